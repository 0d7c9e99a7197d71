"""A run level by level: the masks that were chosen, what became of their weights, and the steps that they cost."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from randprune_lab.analysis.intervals import Interval, score_difference
from randprune_lab.analysis.record import RunRecord
from randprune_lab.errors import RunError
from randprune_lab.masks.mask_set import MaskSet


def level_masks(record: RunRecord) -> dict[str, list[MaskSet]]:
    """The mask that each method trained with, level by level.

    Raises `RunError` if the run has not come so far, `FileError` if a mask file is missing or damaged.
    """
    names = {
        method: [f"{method}-level-{level}" for level in range(1, len(record.config.levels) + 1)]
        for method in record.methods
    }
    _check_trained(record, [name for each in names.values() for name in each])
    return {
        method: [MaskSet.load(record.path / "masks" / f"{name}.safetensors") for name in each]
        for method, each in names.items()
    }


def training_steps(record: RunRecord) -> list[dict[str, Any]]:
    """A row for each method and level: steps spent on candidates, of which all but one are dropped, and on the winner.

    Raises `RunError` if the run has not come so far.
    """
    rows = []
    for method in record.methods:
        for level, sparsity in enumerate(record.config.levels, start=1):
            name = f"{method}-level-{level}"
            _check_trained(record, [name])
            rows.append(
                {
                    "method": method,
                    "level": level,
                    "sparsity": sparsity,
                    "candidates": record.units.get(f"{name}/selection", {}).get("steps", 0),
                    "winner": record.units[name]["total_steps"],
                }
            )
    return rows


def share_kept(first: MaskSet, second: MaskSet) -> float:
    """The share of what `first` keeps that `second` keeps too. Raises `MaskError` if they don't match."""
    both = (first.kept + second.kept - first.hamming(second)) / 2
    return both / first.kept if first.kept else 1.0


def revived(masks: Sequence[MaskSet]) -> list[float]:
    """Of what each level but the first keeps, the share that the level before had pruned: 0 where masks are nested."""
    return [1.0 - share_kept(after, before) for before, after in pairwise(masks)]


def gain_of_levels(record: RunRecord, at_once: RunRecord, method: str) -> Interval:
    """The first metric after the last level of `record`, less that after the last level of `at_once`, paired.

    Raises `RunError` if the two were not reported on the same examples.
    """
    ours, labels = record.answers(f"{method}-level-{len(record.config.levels)}")
    theirs, other_labels = at_once.answers(f"{method}-level-{len(at_once.config.levels)}")
    prints = [each.units.get("data", {}).get("fingerprint") for each in (record, at_once)]
    if len(set(prints)) > 1 or not (labels.shape == other_labels.shape and (labels == other_labels).all()):
        raise RunError(
            f"{record.path} and {at_once.path} were not reported on the same examples; give both runs the same data"
        )
    return score_difference(record.task.primary_metric, ours, theirs, labels)


def _check_trained(record: RunRecord, names: Sequence[str]) -> None:
    if missing := [name for name in names if name not in record.units]:
        raise RunError(f"{record.path} has not trained {missing[0]} yet; go on with --resume")
