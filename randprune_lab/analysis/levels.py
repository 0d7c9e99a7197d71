"""A run level by level: the chosen masks, the weights that come back, and the training steps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

from randprune_lab.analysis.run_record import RunRecord
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.stats.intervals import Interval, score_difference


def level_masks(record: RunRecord) -> dict[str, list[MaskSet]]:
    """The masks that each method trained with, level by level.

    Raises:
        RunError: if a level of the run is not done.
        FileError: if a mask file is missing or damaged.
    """
    numbers = range(1, len(record.config.levels) + 1)
    return {method: [record.level(number, method).mask for number in numbers] for method in record.methods}


def training_steps(record: RunRecord) -> list[dict[str, Any]]:
    """The training steps of a run, level by level.

    Returns:
        A row for each method and level, with the training steps of all candidates and those of the winner.

    Raises:
        RunError: if a level of the run is not done.
    """
    rows = []
    for method in record.methods:
        for number, sparsity in enumerate(record.config.levels, start=1):
            level = record.level(number, method)
            about = {"method": method, "level": number, "sparsity": sparsity}
            rows.append({**about, "candidates": level.candidate_steps, "winner": level.steps})
    return rows


def steps_up_to(record: RunRecord, method: str) -> dict[float, int]:
    """The training steps of a method up to each level, candidates included, by the sparsity of the level.

    Raises:
        RunError: if a level of the run is not done.
    """
    rows = [row for row in training_steps(record) if row["method"] == method]
    steps = accumulate(row["candidates"] + row["winner"] for row in rows)
    return dict(zip(record.config.levels, steps, strict=True))


def total_steps(record: RunRecord) -> dict[str, int]:
    """The training steps of each method of a run, over all levels, candidates included.

    Raises:
        RunError: if a level of the run is not done.
    """
    return {method: steps_up_to(record, method)[record.config.levels[-1]] for method in record.methods}


def overlap_fraction(first: MaskSet, second: MaskSet) -> float:
    """The fraction of the weights kept by `first` that `second` keeps too; 1 if `first` keeps none.

    Raises:
        MaskError: if the masks do not match.
    """
    both = (first.kept + second.kept - first.hamming(second)) / 2
    return both / first.kept if first.kept else 1.0


def revived(masks: Sequence[MaskSet]) -> list[float]:
    """The fraction of a level's kept weights that the level before had removed, for each level after the first.

    It is 0 if the masks are nested.
    """
    return [1.0 - overlap_fraction(after, before) for before, after in pairwise(masks)]


def difference_at_the_end(record: RunRecord, method: str, other: RunRecord, its_method: str) -> Interval:
    """The first metric of a method after a run's last level minus that of another run's method, paired.

    Args:
        record: a run.
        method: one of its methods.
        other: another run on the same test examples, or the same run.
        its_method: one of the methods of `other`.

    Raises:
        RunError: if the runs were not scored on the same test examples, or a last level is not done.
    """
    first = record.level(len(record.config.levels), method).name
    second = other.level(len(other.config.levels), its_method).name
    return difference_of_runs(record, first, other, second)


def difference_of_runs(record: RunRecord, first: str, other: RunRecord, second: str) -> Interval:
    """The first metric of a training of one run minus that of a training of another, or of the same, paired.

    A training differs from itself by exactly 0.

    Raises:
        RunError: if the runs were not scored on the same test examples.
    """
    if record == other:
        return record.difference(first, second)
    record.check_same_examples(other)
    ours, labels = record.answers(first)
    theirs, _ = other.answers(second)
    return score_difference(record.task.primary_metric, ours, theirs, labels)
