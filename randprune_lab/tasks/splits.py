"""Who sees which rows: train, selection and report, disjoint by text and the same on every machine."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from randprune_lab.errors import ConfigError, DataError
from randprune_lab.tasks.sources import HUB_ID, Corpus, Row, read_corpus
from randprune_lab.tasks.spec import Task, get_task

if TYPE_CHECKING:
    import datasets

REPORT_ROWS = 1530  # where the source has no report set of its own: at most these, at most a fifth
SELECTION_ROWS = 1000  # at most these; at most a tenth of an official train set

Group = list[Row]  # the rows of one text: they stay together


@dataclass(frozen=True, eq=False)
class Splits:
    """The rows of a task in their three roles, each with the task's text fields and an integer `label`.

    Fit weights on `train`, choose among masks on `selection`, and look at `report` once, at the end. Every
    prefix of each has its labels' shares.
    """

    task: Task
    source: str
    train: datasets.Dataset
    selection: datasets.Dataset
    report: datasets.Dataset
    dropped_leaks: int  # official train rows left out because their text stands in the report set

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the rows of all roles, in order."""
        roles = {"train": self.train, "selection": self.selection, "report": self.report}
        rows = {role: dataset.to_dict() for role, dataset in roles.items()}
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def load_splits(
    task: str,
    *,
    glue_dir: str | Path | None = None,
    hub_id: str = HUB_ID,
    train_size: int | None = None,
) -> Splits:
    """The splits of a task. Roles depend on the texts alone: not on a seed, nor on the order of the source.

    GLUE's official dev set is the report set; selection is held out of the train set.

    Args:
        glue_dir: a folder of GLUE's TSV files to read instead of the hub.
        hub_id: a data set on the hub, or a local folder in the same layout.
        train_size: rows of the train set to use, by default all; a smaller set is part of every larger one.

    Raises:
        UnknownNameError: if there is no such task.
        ConfigError: if `train_size` is below the number of labels or above the rows there are.
        DataError: if the data cannot be had, or a row cannot be understood.
    """
    spec = get_task(task)
    corpus = read_corpus(spec, glue_dir=glue_dir, hub_id=hub_id)
    roles = assign_roles(corpus)
    size = len(roles.train) if train_size is None else train_size
    if not spec.num_labels <= size <= len(roles.train):
        raise ConfigError(
            f"train_size must be from {spec.num_labels} (one row a label) to {len(roles.train)} (the rows of "
            f"task {task!r}), got {size}"
        )
    return Splits(
        task=spec,
        source=corpus.source,
        train=_dataset(spec, roles.train[:size]),
        selection=_dataset(spec, roles.selection),
        report=_dataset(spec, roles.report),
        dropped_leaks=roles.dropped_leaks,
    )


class Roles(NamedTuple):
    train: list[Row]
    selection: list[Row]
    report: list[Row]
    dropped_leaks: int


def assign_roles(corpus: Corpus) -> Roles:
    """Give every row of a corpus its role; rows of the same text (see `text_key`) get the same one.

    Raises `DataError` if there are too few rows for three roles.
    """
    pool = _groups(corpus.train)
    size = len(corpus.train)
    leaks: list[Group] = []
    if corpus.report is None:
        report, pool = _hold_out(pool, min(REPORT_ROWS, size // 5))
        selection, train = _hold_out(pool, min(SELECTION_ROWS, size // 5))
    else:
        report = _groups(corpus.report)
        reported = {text_key(row) for row in corpus.report}
        leaks = [group for group in pool if text_key(group[0]) in reported]
        pool = [group for group in pool if text_key(group[0]) not in reported]
        selection, train = _hold_out(pool, min(SELECTION_ROWS, size // 10))
    if not (train and selection and report):
        raise DataError(f"{corpus.source} has too few rows for train, selection and report: {size}; get it whole")
    return Roles(_in_order(train), _in_order(selection), _in_order(report), sum(map(len, leaks)))


def text_key(row: Row) -> str:
    """What makes two rows the same text: their words, whatever the case, the punctuation and the field order.

    >>> text_key(Row(("So it is.", "Is it?"), 1))
    'is it | so it is'
    """
    return " | ".join(sorted(" ".join(re.findall(r"\w+", text.casefold())) for text in row.texts))


def _groups(rows: Iterable[Row]) -> list[Group]:
    """Rows by text, in an order that looks random but hangs on the texts alone: that of their hashes."""
    groups = defaultdict(list)
    for row in rows:
        groups[text_key(row)].append(row)
    order = sorted(groups, key=lambda key: hashlib.blake2b(key.encode(), digest_size=16).digest())
    return [sorted(groups[key]) for key in order]


def _hold_out(groups: list[Group], size: int) -> tuple[list[Group], list[Group]]:
    """The first groups that make up `size` rows with the labels' shares, and the others."""
    counts = Counter(row.label for group in groups for row in group)
    room = Counter(_label_sequence(counts)[:size])
    held: list[Group] = []
    others: list[Group] = []
    for group in groups:
        need = Counter(row.label for row in group)
        if need <= room:
            held.append(group)
            room -= need
        else:
            others.append(group)
    return held, others


def _in_order(groups: list[Group]) -> list[Row]:
    """The groups' rows, in order within each label, such that every prefix has the labels' shares."""
    rows: dict[int, list[Row]] = defaultdict(list)
    for group in groups:
        for row in group:
            rows[row.label].append(row)
    queues = {label: iter(queue) for label, queue in rows.items()}
    sequence = _label_sequence({label: len(queue) for label, queue in rows.items()})
    return [next(queues[label]) for label in sequence]


def _label_sequence(counts: Mapping[int, int]) -> list[int]:
    """Each label as often as `counts` says, spread evenly: Webster's apportionment, which is nested."""
    places = [((i + 0.5) / count, label) for label, count in counts.items() for i in range(count)]
    return [label for _, label in sorted(places)]


def _dataset(task: Task, rows: list[Row]) -> datasets.Dataset:
    from datasets import ClassLabel, Dataset, Features, Value

    columns: dict[str, list[str] | list[int]] = {
        field: [row.texts[index] for row in rows] for index, field in enumerate(task.text_fields)
    }
    columns["label"] = [row.label for row in rows]
    types = dict.fromkeys(task.text_fields, Value("string")) | {"label": ClassLabel(names=list(task.labels))}
    return Dataset.from_dict(columns, features=Features(types))
