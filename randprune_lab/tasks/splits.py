"""Splitting rows into train, validation and test: disjoint by text, and the same on every machine."""

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
from unicodedata import normalize

import numpy as np

from randprune_lab.errors import ConfigError, DataError, listed
from randprune_lab.tasks.corpus import Corpus, Row
from randprune_lab.tasks.custom_data import CustomData, read_custom_data
from randprune_lab.tasks.hub import HUB_ID
from randprune_lab.tasks.mini_glue import GENERATORS, MiniGlue, generate
from randprune_lab.tasks.normal_text import normal_text
from randprune_lab.tasks.sources import read_corpus
from randprune_lab.tasks.spec import Task, get_task, suffixed

if TYPE_CHECKING:
    import datasets

TEST_ROWS = 1530  # limit of a test set that is held out, which has at most a fifth of the rows
VALIDATION_ROWS = 1000  # limit of a validation set, which has at most a tenth of the rows, or a fifth if test has too
SCORE_BINS = 10  # scores are stratified by deciles of the train rows

Group = list[Row]  # the rows with one text: they stay together
Stratum = Callable[[Row], int]


@dataclass(frozen=True, eq=False)
class Splits:
    """The rows of a task in their three roles, each with the task's text fields and a `label`: an id or a score.

    Train on `train`, choose masks on `validation`, and use `test` and `further_tests` once, at the end. Every prefix
    of a split has the label proportions of the whole split; scores are binned for this.
    """

    task: Task
    source: str
    train: datasets.Dataset
    validation: datasets.Dataset
    test: datasets.Dataset
    dropped_leaks: int  # official train rows left out because their text (see `text_key`) is also in a test set
    identical_leaks: int = 0  # number of these whose text is identical, character by character
    further_tests: Mapping[str, datasets.Dataset] = field(default_factory=dict)  # in the order of `Task.further_tests`
    found: Mapping[str, int] = field(default_factory=dict)  # number of rows in each split of the source

    @property
    def roles(self) -> dict[str, datasets.Dataset]:
        """All rows by role; further test sets are called `test_NAME`."""
        further = {suffixed("test", name): rows for name, rows in self.further_tests.items()}
        return {"train": self.train, "validation": self.validation, "test": self.test, **further}

    @property
    def tests(self) -> dict[str, datasets.Dataset]:
        """The test sets by their names in `Task.test_sets`."""
        return {"": self.test, **self.further_tests}

    def label_counts(self) -> dict[str, dict[str, float]]:
        """The number of rows with each label, by role; in regression the lowest, mean and highest score."""
        if self.task.regression:
            scores = {role: np.asarray(rows["label"][:], dtype=np.float64) for role, rows in self.roles.items()}
            return {
                role: {"lowest": float(part.min()), "mean": round(float(part.mean()), 4), "highest": float(part.max())}
                for role, part in scores.items()
            }
        counts = {role: Counter(rows["label"][:]) for role, rows in self.roles.items()}
        return {
            role: {label: count[index] for index, label in enumerate(self.task.labels)}
            for role, count in counts.items()
        }

    @property
    def warnings(self) -> list[str]:
        """What scores may hide about the labels, see `label_warnings`."""
        return label_warnings(self.task, {role: rows["label"][:] for role, rows in self.roles.items()})

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the rows of all roles, in order."""
        rows = {role: dataset.to_dict() for role, dataset in self.roles.items()}
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def load_splits(
    task: str | CustomData | MiniGlue,
    *,
    glue_dir: str | Path | None = None,
    hub_id: str = HUB_ID,
    train_size: int | None = None,
    train_seed: int | None = None,
) -> Splits:
    """The splits of a task, of custom data, or of a generated task with other settings.

    The role of a row depends on texts and labels alone, not on a seed or the order of the source. GLUE's official dev
    set is the test set (MNLI: the matched one; the mismatched one is a further test set), and the validation set is
    held out of the train set.

    Args:
        task: the name of a task, custom data, or the settings of a generated task.
        glue_dir: a folder of GLUE's TSV files to read instead of the hub.
        hub_id: a data set on the hub, or a local folder in the same layout.
        train_size: number of train rows to use, all by default; a smaller train set is part of every larger one. For
            a generated task it may exceed the default number.
        train_seed: draw these train rows by this seed, instead of taking the first ones. It changes nothing if all rows
            are used, as those of a generated task.

    Raises:
        UnknownNameError: if there is no such task.
        ConfigError: if `train_size` is below the number of labels or above the number of available rows.
        DataError: if the data are not available, or a row cannot be parsed.
    """
    if glue_dir is not None and not isinstance(task, str):
        name = task.data if isinstance(task, CustomData) else f"task {task.task!r}"
        raise ConfigError(f"{name} is not a GLUE task; remove glue_dir (--glue-dir)")
    if task in GENERATORS and train_size is not None:
        task = MiniGlue(str(task), train=train_size)
    if isinstance(task, CustomData):
        spec, corpus = read_custom_data(task)
    elif isinstance(task, MiniGlue):
        spec, corpus = get_task(task.task), generate(task)
    else:
        spec = get_task(task)
        corpus = read_corpus(spec, glue_dir=glue_dir, hub_id=hub_id)
    return split_corpus(spec, corpus, train_size=train_size, train_seed=train_seed)


def split_corpus(task: Task, corpus: Corpus, *, train_size: int | None = None, train_seed: int | None = None) -> Splits:
    """The rows of a corpus in their three roles.

    Args:
        train_size, train_seed: see `load_splits`.

    Raises:
        ConfigError: if `train_size` is below the number of labels or above the number of available rows.
        DataError: if all train rows have the same label, or there are too few rows for three roles.
    """
    if len({row.label for row in corpus.train}) < 2:
        raise DataError(
            f"{corpus.source}: all {len(corpus.train)} train rows have the label {_label_name(task, corpus.train[0])}, "
            "so nothing can be learned; give rows of at least two labels"
        )
    roles = assign_roles(corpus)
    size = len(roles.train) if train_size is None else train_size
    if not task.num_labels <= size <= len(roles.train):
        raise ConfigError(
            f"train_size must be from {task.num_labels} (one row per label) to {len(roles.train)} (the rows of "
            f"task {task.name!r}), got {size}"
        )
    train = roles.train
    if train_seed is not None and size < len(train):
        groups = _groups(train)
        order = np.random.default_rng(train_seed).permutation(len(groups))
        train = _in_order([groups[place] for place in order.tolist()], _stratum(train))
    return Splits(
        task=task,
        source=corpus.source,
        train=_dataset(task, train[:size]),
        validation=_dataset(task, roles.validation),
        test=_dataset(task, roles.test),
        dropped_leaks=roles.dropped_leaks,
        identical_leaks=roles.identical_leaks,
        further_tests={name: _dataset(task, rows) for name, rows in roles.further_tests.items()},
        found=corpus.found,
    )


def label_warnings(task: Task, labels: Mapping[str, Iterable[float]]) -> list[str]:
    """A sentence for each role that lacks a class or, in regression, different scores; and for classes that look like
    one.

    Args:
        labels: the label ids or scores of all rows, by role.
    """
    if task.regression:
        constant = {role: found.pop() for role, scores in labels.items() if len(found := set(scores)) == 1}
        return [
            f"all rows of the {role} set have the score {score:g}; add rows with other scores"
            for role, score in constant.items()
        ]
    warnings = []
    for role, ids in labels.items():
        if missing := [task.labels[index] for index in sorted(set(range(task.num_labels)) - set(ids))]:
            warnings.append(f"the {role} set has no row of class {listed(missing)}; add rows of it")
    alike = defaultdict(list)
    for name in task.labels:
        alike["".join(normalize("NFKC", name).casefold().split())].append(name)
    return warnings + [
        f"the labels {listed(names)} differ only in blanks or case; if they mean the same, write them alike"
        for names in alike.values()
        if len(names) > 1
    ]


def _label_name(task: Task, row: Row) -> str:
    return f"{row.label:g}" if task.regression else repr(task.labels[int(row.label)])


class Roles(NamedTuple):
    train: list[Row]
    validation: list[Row]
    test: list[Row]
    further_tests: dict[str, list[Row]]
    dropped_leaks: int
    identical_leaks: int


def assign_roles(corpus: Corpus) -> Roles:
    """Assign a role to every row of a corpus; rows with the same text (see `text_key`) get the same role.

    Raises:
        DataError: if there are too few rows for three roles.
    """
    if corpus.validation is not None and corpus.test is not None:
        return Roles(corpus.train, corpus.validation, corpus.test, dict(corpus.further_tests), 0, 0)
    pool = _groups(corpus.train)
    size, different = len(corpus.train), len(pool)
    stratum = _stratum(corpus.train)
    leaks: list[Row] = []
    test_rows = [row for rows in (corpus.test or [], *corpus.further_tests.values()) for row in rows]
    texts = {row.texts for row in test_rows}
    if corpus.test is None:
        test, pool = _hold_out(pool, min(TEST_ROWS, size // 5), stratum)
        validation, train = _hold_out(pool, min(VALIDATION_ROWS, size // 5), stratum)
    else:
        test = _groups(corpus.test)
        keys = {text_key(row) for row in test_rows}
        leaks = [row for group in pool if text_key(group[0]) in keys for row in group]
        pool = [group for group in pool if text_key(group[0]) not in keys]
        validation, train = _hold_out(pool, min(VALIDATION_ROWS, size // 10), stratum)
    if not (train and validation and test):
        left_out = f", rows left out because the test set has their texts: {len(leaks)}" if leaks else ""
        raise DataError(
            f"{corpus.source} has too few rows for train, validation and test: {size} (different texts: {different}"
            f"{left_out}); use the complete data, or add rows with other texts"
        )
    return Roles(
        _in_order(train, stratum),
        _in_order(validation, stratum),
        _in_order(test, stratum),
        {name: _in_order(_groups(rows), stratum) for name, rows in corpus.further_tests.items()},
        len(leaks),
        sum(row.texts in texts for row in leaks),
    )


def text_key(row: Row) -> str:
    """What rows with the same text have in common: each text as `normal_text`, in alphabetical order.

    >>> text_key(Row(("So it is.", "Is it?"), 1))
    'is it\\nso it is'
    """
    return "\n".join(sorted(map(normal_text, row.texts)))


def _stratum(rows: list[Row]) -> Stratum:
    """The strata that are spread evenly over all roles: a label's id, or a score's quantile bin."""
    scores = [row.label for row in rows]
    if not any(isinstance(score, float) for score in scores):
        return lambda row: int(row.label)
    edges = np.quantile(scores, np.arange(1, SCORE_BINS) / SCORE_BINS).tolist()
    return lambda row: bisect(edges, row.label)


def _groups(rows: Iterable[Row]) -> list[Group]:
    """Rows grouped by text, in an order that looks random but depends on the texts alone."""
    groups = defaultdict(list)
    for row in rows:
        groups[text_key(row)].append(row)
    return [sorted(group) for _, group in sorted(groups.items(), key=lambda item: (_order(min(item[1])), item[0]))]


def _order(row: Row) -> bytes:
    """A hash of the words alone: symbols were once no part of `text_key`, and recorded roles must not change."""
    words = " | ".join(sorted(" ".join(re.findall(r"\w+", text.casefold())) for text in row.texts))
    return hashlib.blake2b(words.encode(), digest_size=16).digest()


def _hold_out(groups: list[Group], size: int, stratum: Stratum) -> tuple[list[Group], list[Group]]:
    """The first groups that add up to `size` rows with the label proportions of all rows, and the other groups."""
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
    """The rows of the groups, in order within each label, such that every prefix has the label proportions."""
    rows: dict[int, list[Row]] = defaultdict(list)
    for group in groups:
        for row in group:
            rows[stratum(row)].append(row)
    queues = {label: iter(queue) for label, queue in rows.items()}
    sequence = _label_sequence({label: len(queue) for label, queue in rows.items()})
    return [next(queues[label]) for label in sequence]


def _label_sequence(counts: Mapping[int, int]) -> list[int]:
    """Each label `counts[label]` times, spread evenly: every prefix is an apportionment by Webster's method."""
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
