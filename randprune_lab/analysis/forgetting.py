"""Which test examples pruning loses: from which sparsity, whether other models lose the same, and what is in them.

Of the examples that the dense model answers correctly, some are *wrong* at a level: the pruned model answers them
wrongly. An example is *lost* from the level from which it is wrong at this level and at all sparser ones, so the number
of lost examples cannot fall with the sparsity. Only tasks with labels count: a score is not right or wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float64, Int64

from randprune_lab.analysis.task_record import TaskRecord
from randprune_lab.errors import DataError, unknown_name
from randprune_lab.stats.discoveries import repeated
from randprune_lab.stats.holm import holm
from randprune_lab.stats.tasks import fixed_test

if TYPE_CHECKING:
    import pandas as pd

RATE = 0.1
"""Of the examples that are found to be lost consistently, at most this fraction is found by chance, on average."""

OTHER_METHOD = "another method, same seed"
OTHER_SEED = "the same method, another seed"
OTHER_BOTH = "another method, another seed"
OTHER_DENSE = "the dense model of another seed"
RELATIONS = (OTHER_METHOD, OTHER_SEED, OTHER_BOTH, OTHER_DENSE)
"""What a pruned model is compared with in `shared_losses`."""


def losing_level(record: TaskRecord, method: str) -> Int64[np.ndarray, " n"]:
    """The place of the level from which each example is lost; the number of levels, if it is not.

    It means something only for examples that the dense model answers correctly.

    Raises:
        UnknownNameError: if there is no such method.
        DataError: if the task is a regression.
    """
    _classified([record])
    if method not in record.answers:
        raise unknown_name("method", method, record.methods)
    right = record.answers[method] == record.labels
    return np.where(right, np.arange(1, len(right) + 1)[:, None], 0).max(axis=0)


def losses(records: Sequence[TaskRecord], methods: Sequence[str] = ()) -> pd.DataFrame:
    """How many examples pruning loses, and how many it gains.

    Args:
        records: the task records; regression tasks are left out.
        methods: the names of the methods, by default all that a record has.

    Returns:
        A row for each task, seed, method and level.
        Columns: task, seed, method, sparsity; wrong and lost, of the examples that the dense model answers correctly,
        the fractions that are wrong at this level and lost from it or before; gained, of the other examples, the
        fraction that is answered correctly. Fractions of no examples are NaN.

    Raises:
        DataError: if no record has labels.
        UnknownNameError: if a record lacks one of the methods.
    """
    import pandas as pd

    rows = []
    for record in _classified(records):
        known = record.dense == record.labels
        for method in methods or record.methods:
            place = losing_level(record, method)
            for level, sparsity in enumerate(record.levels):
                right = record.answers[method][level] == record.labels
                rows.append(
                    {
                        "task": record.task,
                        "seed": record.seed,
                        "method": method,
                        "sparsity": sparsity,
                        "wrong": _mean(~right[known]),
                        "lost": _mean(place[known] <= level),
                        "gained": _mean(right[~known]),
                    }
                )
    return pd.DataFrame(rows)


def losses_by_label(records: Sequence[TaskRecord], methods: Sequence[str] = ()) -> pd.DataFrame:
    """How many examples of each label become wrong: a model that gives one label more often loses those of another.

    Args:
        records, methods: as for `losses`.

    Returns:
        A row for each task, label and level, means over seeds and methods.
        Columns: task, label, sparsity; examples, the number that the dense model answers correctly; wrong, the fraction
        of them that is wrong at this level.

    Raises:
        DataError: if no record has labels.
        UnknownNameError: if a record lacks one of the methods.
    """
    import pandas as pd

    rows = []
    for record in _classified(records):
        for label in np.unique(record.labels).tolist():
            here = (record.dense == record.labels) & (record.labels == label)
            for method in methods or record.methods:
                losing_level(record, method)  # raises UnknownNameError
                for sparsity, answers in zip(record.levels, record.answers[method], strict=True):
                    wrong = _mean(answers[here] != label)
                    rows.append((record.task, label, sparsity, int(here.sum()), wrong))
    table = pd.DataFrame(rows, columns=["task", "label", "sparsity", "examples", "wrong"])
    return table.groupby(["task", "label", "sparsity"], sort=False).mean().reset_index()


def shared_losses(records: Sequence[TaskRecord], methods: Sequence[str] = ()) -> pd.DataFrame:
    """How many of the examples that are wrong in one model are wrong in another, too, and how many by chance.

    By chance, each model would get the same number of examples of each label wrong, but independently of the other. The
    examples are those that the dense models of both answer correctly. For `OTHER_DENSE` they are those of the pruned
    model's own dense model, and the question is whether the dense model of another seed answers them wrongly.

    Args:
        records, methods: as for `losses`.

    Returns:
        A row for each task, level and relation in `RELATIONS` that occurs.
        Columns: task, sparsity, relation; pairs, the number of pairs of models; shared, of the examples that are wrong
        in one model, the fraction that is wrong in the other (in two pruned models, of their mean number); chance, this
        fraction by chance. Fractions of no examples are NaN.

    Raises:
        DataError: if no record has labels.
        UnknownNameError: if a record lacks one of the methods.
    """
    import pandas as pd

    rows = []
    for task, group in _by_task(records).items():
        labels = _same_labels(group)
        known = {record.seed: record.dense == labels for record in group}
        models = {(one.seed, name): one.answers[name] != labels for one in group for name in _asked(one, methods)}
        for level, sparsity in enumerate(group[0].levels):
            found: dict[str, list[tuple[float, float, float]]] = {}
            for first, second in combinations(models, 2):
                among = known[first[0]] & known[second[0]]
                one, other = (models[each][level] & among for each in (first, second))
                both = (one.sum() + other.sum()) / 2, *_both(one, other, among, labels)
                found.setdefault(_relation(first, second), []).append(both)
            for (seed, _), wrong in models.items():
                for dense in known.keys() - {seed}:
                    one = wrong[level] & known[seed]
                    both = float(one.sum()), *_both(one, ~known[dense], known[seed], labels)
                    found.setdefault(OTHER_DENSE, []).append(both)
            for relation in RELATIONS:
                if relation in found:
                    number, shared, chance = np.mean(found[relation], axis=0).tolist()
                    parts = (shared / number, chance / number) if number else (np.nan, np.nan)
                    rows.append((task, sparsity, relation, len(found[relation]), *parts))
    return pd.DataFrame(rows, columns=["task", "sparsity", "relation", "pairs", "shared", "chance"])


def lost_consistently(records: Sequence[TaskRecord], methods: Sequence[str] = (), rate: float = RATE) -> pd.DataFrame:
    """Which examples are lost consistently, by one seed after the other.

    Each seed is one repetition. Its count for an example is the number of levels at which the example is lost,
    summed over its methods. The test of an example asks whether its sum over seeds is larger than if every seed
    lost the same number of examples of this label, but drew them at random (`stats.discoveries.repeated`): so it is
    not found just because the pruned models never give its label, or because the methods of a seed start from the
    same dense model. Only examples that the dense models of all seeds answer correctly are tested.

    Args:
        records, methods: as for `losses`.
        rate: the false discovery rate of each task.

    Returns:
        A row for each task and tested example, those with the smallest p first.
        Columns: task; example, its place in the test set, from 0; label; lost, the fraction of levels at which it is
        lost, over all models; p; q, p corrected for all examples of the task; consistently, whether q is at most
        `rate`; from, the sparsity from which half of the models or more have lost it (NaN: fewer have lost
        it at the last level); and from_METHOD, the same of the seeds of each method.

    Raises:
        DataError: if no record has labels, or a task has a single seed.
        UnknownNameError: if a record lacks one of the methods.

    Source: Benjamini and Hochberg 1995 (the correction).
    """
    import pandas as pd
    from scipy.stats import false_discovery_control

    tables = []
    for task, group in _by_task(records).items():
        labels = _same_labels(group)
        asked, depth = methods or group[0].methods, len(group[0].levels)
        places = {method: np.array([losing_level(one, method) for one in group]) for method in asked}
        counts = np.sum([depth - each for each in places.values()], axis=0)
        tested = np.logical_and.reduce([one.dense == labels for one in group])
        p = np.full(len(labels), np.nan)
        for label in np.unique(labels[tested]):
            same = tested & (labels == label)
            p[same] = repeated([seed[same] for seed in counts])
        half = {f"from_{name}": _from_which(each, group[0].levels) for name, each in places.items()}
        about = {"task": task, "example": np.arange(len(labels)), "label": labels}
        about["lost"] = counts.mean(axis=0) / (depth * len(asked))
        every = _from_which(np.concatenate([*places.values()]), group[0].levels)
        table = pd.DataFrame({**about, "p": p, "q": p, "consistently": False, "from": every, **half})[tested]
        table["q"] = false_discovery_control(table.p.to_numpy(np.float64))
        table["consistently"] = table.q <= rate
        tables.append(table.sort_values(["p", "lost", "example"], ascending=[True, False, True]))
    return pd.concat(tables, ignore_index=True)


def phenomena_losses(
    records: Sequence[TaskRecord],
    phenomena: Mapping[str, Sequence[frozenset[str]]],
    methods: Sequence[str] = (),
) -> pd.DataFrame:
    """Whether more of the examples become wrong in which something occurs, such as a negation, than of the others.

    Examples are compared within their label, among those that the dense model answers correctly; the difference is a
    mean over labels, weighted as for the smallest variance, and over methods. It is one value for each seed.

    Args:
        records, methods: as for `losses`.
        phenomena: the phenomena of each test example, by task; other tasks are left out.

    Returns:
        A row for each task, phenomenon and level.
        Columns: task, phenomenon, sparsity; examples, the number that has it and is compared, a mean over seeds; of
        these, having, the fraction that is wrong; lacking, the fraction among the others, of the same labels;
        difference, their difference in points, with its 95 % interval for other seeds (low, high); p, of the same
        test; holm, p corrected for all rows.

    Raises:
        DataError: if no record is of these tasks, or a task has fewer phenomena than examples.
        UnknownNameError: if a record lacks one of the methods.
    """
    import pandas as pd

    rows = []
    for task, group in _by_task([record for record in records if record.task in phenomena]).items():
        labels, told = _same_labels(group), phenomena[task]
        if len(told) < len(labels):
            raise DataError(f"task {task} has {len(labels)} test examples, got the phenomena of {len(told)}")
        for name in sorted(set().union(*told)):
            has = np.array([name in each for each in told[: len(labels)]])
            for level, sparsity in enumerate(group[0].levels):
                found = _compared(group, has, level, methods)
                if found:
                    examples, having, lacking = np.mean(found, axis=0)
                    by_seed = [100 * (one[1] - one[2]) for one in found]
                    test = fixed_test({task: by_seed})
                    rows.append((task, name, sparsity, examples, having, lacking, *astuple(test.interval), test.p))
    columns = ["task", "phenomenon", "sparsity", "examples", "having", "lacking", "difference", "low", "high", "p"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(holm=holm(table.p.to_numpy(np.float64)))


def _compared(
    group: Sequence[TaskRecord], has: Bool[np.ndarray, " n"], level: int, methods: Sequence[str]
) -> list[tuple[float, float, float]]:
    """For each seed the number of examples that have a phenomenon, and the fractions of these and of the others of
    the same labels that are wrong; empty if no label has both.
    """
    found = []
    for record in group:
        wrong = np.mean([record.answers[name][level] != record.labels for name in _asked(record, methods)], axis=0)
        known = record.dense == record.labels
        total, sums = 0.0, np.zeros(3)
        for label in np.unique(record.labels):
            here = known & (record.labels == label)
            having, lacking = here & has, here & ~has
            if having.any() and lacking.any():
                weight = having.sum() * lacking.sum() / here.sum()
                total += weight
                sums += having.sum(), weight * wrong[having].mean(), weight * wrong[lacking].mean()
        if not total:
            return []
        found.append((sums[0], sums[1] / total, sums[2] / total))
    return found


def _asked(record: TaskRecord, methods: Sequence[str]) -> Sequence[str]:
    for method in methods:
        losing_level(record, method)  # raises UnknownNameError
    return methods or record.methods


def _from_which(places: Int64[np.ndarray, "models n"], levels: Sequence[float]) -> Float64[np.ndarray, " n"]:
    """The sparsity from which half of the models or more have lost each example; NaN if it is none."""
    return np.array([*levels, np.nan])[np.sort(places, axis=0)[(len(places) - 1) // 2]]


def _classified(records: Sequence[TaskRecord]) -> list[TaskRecord]:
    """The records whose tasks have labels."""
    if not (found := [record for record in records if record.labels.dtype.kind != "f"]):
        tasks = ", ".join(dict.fromkeys(record.task for record in records)) or "none"
        raise DataError(f"no task has labels, so no example is lost; the tasks are: {tasks}")
    return found


def _by_task(records: Sequence[TaskRecord]) -> dict[str, list[TaskRecord]]:
    groups: dict[str, list[TaskRecord]] = {}
    for record in _classified(records):
        groups.setdefault(record.task, []).append(record)
    return groups


def _same_labels(group: Sequence[TaskRecord]) -> Int64[np.ndarray, " n"]:
    """The labels of a task's test examples, which all its seeds must have."""
    first = group[0]
    for other in group[1:]:
        if not np.array_equal(other.labels, first.labels) or other.levels != first.levels:
            raise DataError(
                f"{first.task}: seeds {first.seed} and {other.seed} have other test examples or levels; "
                "compare seeds of one study"
            )
    return first.labels


def _relation(first: tuple[int, str], second: tuple[int, str]) -> str:
    if first[0] == second[0]:
        return OTHER_METHOD
    return OTHER_SEED if first[1] == second[1] else OTHER_BOTH


def _both(
    first: Bool[np.ndarray, " n"],
    second: Bool[np.ndarray, " n"],
    among: Bool[np.ndarray, " n"],
    labels: Int64[np.ndarray, " n"],
) -> tuple[int, float]:
    """The number of examples that are in both sets, and the number by chance if each label is dealt out separately."""
    chance = 0.0
    for label in np.unique(labels[among]):
        here = among & (labels == label)
        chance += first[here].sum() * second[here].sum() / here.sum()
    return int((first & second & among).sum()), float(chance)


def _mean(values: Bool[np.ndarray, " n"]) -> float:
    return float(values.mean()) if len(values) else np.nan
