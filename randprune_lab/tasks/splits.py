"""Who sees which rows: train, selection and report, disjoint by text and the same on every machine."""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from randprune_lab.errors import ConfigError, DataError
from randprune_lab.tasks.corpus import Corpus, Row
from randprune_lab.tasks.hub import HUB_ID
from randprune_lab.tasks.mini_glue import GENERATORS, MiniGlue, generate
from randprune_lab.tasks.own_data import OwnData, read_own_data
from randprune_lab.tasks.sources import read_corpus
from randprune_lab.tasks.spec import Task, get_task, suffixed

if TYPE_CHECKING:
    import datasets

REPORT_ROWS = 1530  # where the source has no report set of its own: at most these, at most a fifth
SELECTION_ROWS = 1000  # at most these; at most a tenth of an official train set
SCORE_BINS = 10  # scores are stratified by the tenth of all train rows that they fall into

Group = list[Row]  # the rows of one text: they stay together
Stratum = Callable[[Row], int]


@dataclass(frozen=True, eq=False)
class Splits:
    """The rows of a task in their three roles, each with the task's text fields and a `label`: an id or a score.

    Fit weights on `train`, choose among masks on `selection`, and look at `report` and `further_reports` once,
    at the end. Every prefix of each has its labels' shares; scores count by bins.
    """

    task: Task
    source: str
    train: datasets.Dataset
    selection: datasets.Dataset
    report: datasets.Dataset
    dropped_leaks: int  # official train rows left out because their text (see `text_key`) stands in a report set
    identical_leaks: int = 0  # how many of these are the same to the letter
    further_reports: Mapping[str, datasets.Dataset] = field(default_factory=dict)  # in the order of the task's
    found: Mapping[str, int] = field(default_factory=dict)  # rows of each split by the source's name for it

    @property
    def roles(self) -> dict[str, datasets.Dataset]:
        """All rows by role; further report sets are called `report_NAME`."""
        further = {suffixed("report", name): rows for name, rows in self.further_reports.items()}
        return {"train": self.train, "selection": self.selection, "report": self.report, **further}

    @property
    def reports(self) -> dict[str, datasets.Dataset]:
        """The report sets by the names that `Task.report_sets` has for them."""
        return {"": self.report, **self.further_reports}

    def label_counts(self) -> dict[str, dict[str, float]]:
        """Rows of each label by role; in regression the lowest, the mean and the highest score."""
        if self.task.regression:
            scores = {role: np.asarray(rows["label"], dtype=np.float64) for role, rows in self.roles.items()}
            return {
                role: {"lowest": float(each.min()), "mean": round(float(each.mean()), 4), "highest": float(each.max())}
                for role, each in scores.items()
            }
        counts = {role: Counter(rows["label"]) for role, rows in self.roles.items()}
        return {
            role: {label: count[index] for index, label in enumerate(self.task.labels)}
            for role, count in counts.items()
        }

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the rows of all roles, in order."""
        rows = {role: dataset.to_dict() for role, dataset in self.roles.items()}
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def load_splits(
    task: str | OwnData | MiniGlue,
    *,
    glue_dir: str | Path | None = None,
    hub_id: str = HUB_ID,
    train_size: int | None = None,
) -> Splits:
    """The splits of a task, or of data of one's own, which define a task, or of a generated task made to measure.

    Roles depend on the texts alone: not on a seed, nor on the order of the source.

    GLUE's official dev set is the report set (MNLI: the matched one; the mismatched one is a further report
    set); selection is held out of the train set.

    Args:
        glue_dir: a folder of GLUE's TSV files to read instead of the hub.
        hub_id: a data set on the hub, or a local folder in the same layout.
        train_size: rows of the train set to use, by default all; a smaller set is part of every larger one. Of a
            generated task there can be more than by default.

    Raises:
        UnknownNameError: if there is no such task.
        ConfigError: if `train_size` is below the number of labels or above the rows there are.
        DataError: if the data cannot be had, or a row cannot be understood.
    """
    if glue_dir is not None and not isinstance(task, str):
        name = task.data if isinstance(task, OwnData) else f"task {task.task!r}"
        raise ConfigError(f"{name} is no GLUE task; leave glue_dir (--glue-dir) out")
    if task in GENERATORS and train_size is not None:
        task = MiniGlue(str(task), train=train_size)
    if isinstance(task, OwnData):
        spec, corpus = read_own_data(task)
    elif isinstance(task, MiniGlue):
        spec, corpus = get_task(task.task), generate(task)
    else:
        spec = get_task(task)
        corpus = read_corpus(spec, glue_dir=glue_dir, hub_id=hub_id)
    return split_corpus(spec, corpus, train_size=train_size)


def split_corpus(task: Task, corpus: Corpus, *, train_size: int | None = None) -> Splits:
    """The rows of a corpus in their roles; raises `ConfigError` and `DataError` as `load_splits` does."""
    if len({row.label for row in corpus.train}) < 2:
        raise DataError(
            f"{corpus.source}: all {len(corpus.train)} train rows have the label {_label_name(task, corpus.train[0])}, "
            "so nothing can be learned; give rows of at least two labels"
        )
    roles = assign_roles(corpus)
    size = len(roles.train) if train_size is None else train_size
    if not task.num_labels <= size <= len(roles.train):
        raise ConfigError(
            f"train_size must be from {task.num_labels} (one row a label) to {len(roles.train)} (the rows of "
            f"task {task.name!r}), got {size}"
        )
    return Splits(
        task=task,
        source=corpus.source,
        train=_dataset(task, roles.train[:size]),
        selection=_dataset(task, roles.selection),
        report=_dataset(task, roles.report),
        dropped_leaks=roles.dropped_leaks,
        identical_leaks=roles.identical_leaks,
        further_reports={name: _dataset(task, rows) for name, rows in roles.further_reports.items()},
        found=corpus.found,
    )


def _label_name(task: Task, row: Row) -> str:
    return f"{row.label:g}" if task.regression else repr(task.labels[int(row.label)])


class Roles(NamedTuple):
    train: list[Row]
    selection: list[Row]
    report: list[Row]
    further_reports: dict[str, list[Row]]
    dropped_leaks: int
    identical_leaks: int


def assign_roles(corpus: Corpus) -> Roles:
    """Give every row of a corpus its role; rows of the same text (see `text_key`) get the same one.

    Raises `DataError` if there are too few rows for three roles.
    """
    if corpus.selection is not None and corpus.report is not None:
        return Roles(corpus.train, corpus.selection, corpus.report, dict(corpus.further_reports), 0, 0)
    pool = _groups(corpus.train)
    size = len(corpus.train)
    stratum = _stratum(corpus.train)
    leaks: list[Row] = []
    reported = [row for rows in (corpus.report or [], *corpus.further_reports.values()) for row in rows]
    texts = {row.texts for row in reported}
    if corpus.report is None:
        report, pool = _hold_out(pool, min(REPORT_ROWS, size // 5), stratum)
        selection, train = _hold_out(pool, min(SELECTION_ROWS, size // 5), stratum)
    else:
        report = _groups(corpus.report)
        keys = {text_key(row) for row in reported}
        leaks = [row for group in pool if text_key(group[0]) in keys for row in group]
        pool = [group for group in pool if text_key(group[0]) not in keys]
        selection, train = _hold_out(pool, min(SELECTION_ROWS, size // 10), stratum)
    if not (train and selection and report):
        raise DataError(f"{corpus.source} has too few rows for train, selection and report: {size}; get it whole")
    return Roles(
        _in_order(train, stratum),
        _in_order(selection, stratum),
        _in_order(report, stratum),
        {name: _in_order(_groups(rows), stratum) for name, rows in corpus.further_reports.items()},
        len(leaks),
        sum(row.texts in texts for row in leaks),
    )


def text_key(row: Row) -> str:
    """What makes two rows the same text: their words, whatever the case, the punctuation and the field order.

    >>> text_key(Row(("So it is.", "Is it?"), 1))
    'is it | so it is'
    """
    return " | ".join(sorted(" ".join(re.findall(r"\w+", text.casefold())) for text in row.texts))


def _stratum(rows: list[Row]) -> Stratum:
    """What is spread evenly over all roles: a label by its id, a score by the quantile that it falls into."""
    scores = [row.label for row in rows]
    if not any(isinstance(score, float) for score in scores):
        return lambda row: int(row.label)
    edges = np.quantile(scores, np.arange(1, SCORE_BINS) / SCORE_BINS).tolist()
    return lambda row: bisect(edges, row.label)


def _groups(rows: Iterable[Row]) -> list[Group]:
    """Rows by text, in an order that looks random but hangs on the texts alone: that of their hashes."""
    groups = defaultdict(list)
    for row in rows:
        groups[text_key(row)].append(row)
    order = sorted(groups, key=lambda key: hashlib.blake2b(key.encode(), digest_size=16).digest())
    return [sorted(groups[key]) for key in order]


def _hold_out(groups: list[Group], size: int, stratum: Stratum) -> tuple[list[Group], list[Group]]:
    """The first groups that make up `size` rows with the labels' shares, and the others."""
    counts = Counter(stratum(row) for group in groups for row in group)
    room = Counter(_label_sequence(counts)[:size])
    held: list[Group] = []
    others: list[Group] = []
    for group in groups:
        need = Counter(map(stratum, group))
        if need <= room:
            held.append(group)
            room -= need
        else:
            others.append(group)
    return held, others


def _in_order(groups: list[Group], stratum: Stratum) -> list[Row]:
    """The groups' rows, in order within each label, such that every prefix has the labels' shares."""
    rows: dict[int, list[Row]] = defaultdict(list)
    for group in groups:
        for row in group:
            rows[stratum(row)].append(row)
    queues = {label: iter(queue) for label, queue in rows.items()}
    sequence = _label_sequence({label: len(queue) for label, queue in rows.items()})
    return [next(queues[label]) for label in sequence]


def _label_sequence(counts: Mapping[int, int]) -> list[int]:
    """Each label as often as `counts` says, spread evenly: Webster's apportionment, which is nested."""
    places = [((i + 0.5) / count, label) for label, count in counts.items() for i in range(count)]
    return [label for _, label in sorted(places)]


def _dataset(task: Task, rows: list[Row]) -> datasets.Dataset:
    from datasets import ClassLabel, Dataset, Features, Value

    columns: dict[str, list[Any]] = {
        field: [row.texts[index] for row in rows] for index, field in enumerate(task.text_fields)
    }
    columns["label"] = [row.label for row in rows]
    label = Value("float32") if task.regression else ClassLabel(names=list(task.labels))
    return Dataset.from_dict(
        columns, features=Features(dict.fromkeys(task.text_fields, Value("string")) | {"label": label})
    )
