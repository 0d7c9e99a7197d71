"""Levels: their masks, the weights that come back, the training steps, and the difference from one step."""

from __future__ import annotations

import dataclasses
import shutil

import pytest
import torch

import randprune_lab as rp
from randprune_lab.analysis.levels import (
    difference_at_the_end,
    level_masks,
    overlap_fraction,
    revived,
    total_steps,
    training_steps,
)
from randprune_lab.errors import FileError, MaskError, RunError
from randprune_lab.stats.intervals import Interval, no_difference


def mask(*bits: int) -> rp.MaskSet:
    return rp.MaskSet({"w": torch.tensor(bits, dtype=torch.bool)})


@pytest.fixture(scope="module")
def record(finished) -> rp.RunRecord:
    return rp.RunRecord.load(finished)


def without(record: rp.RunRecord, unit: str) -> rp.RunRecord:
    """The same run without the result of a unit."""
    return dataclasses.replace(record, units={name: value for name, value in record.units.items() if name != unit})


# --- masks ---


def test_masks_match_the_journal(record):
    masks = level_masks(record)
    assert list(masks) == record.methods
    for method, levels in masks.items():
        assert [mask.sparsity for mask in levels] == pytest.approx(record.config.levels, abs=1e-3)
        assert [mask.sha256 for mask in levels] == [record.units[f"{method}-level-{n}"]["mask_sha256"] for n in (1, 2)]


def test_pruned_weights_stay_pruned_in_a_search(record):
    """No rule draws weights with score zero."""
    assert {name: revived(masks) for name, masks in level_masks(record).items()} == {
        method: [0.0] for method in record.methods
    }


def test_missing_masks_are_refused(record, tmp_path):
    with pytest.raises(RunError, match="has not trained uniform-level-2 yet"):
        level_masks(without(record, "uniform-level-2"))
    copy = shutil.copytree(record.path, tmp_path / "copy")
    (copy / "masks" / "imp-level-1.safetensors").unlink()
    with pytest.raises(FileError, match="imp-level-1"):
        level_masks(rp.RunRecord.load(copy))


@pytest.mark.parametrize(
    ("first", "second", "fraction"),
    [((1, 1, 0, 0), (1, 1, 0, 0), 1.0), ((1, 1, 0, 0), (0, 1, 1, 1), 0.5), ((1, 0, 0, 0), (0, 1, 1, 1), 0.0)],
)
def test_the_overlap_is_a_fraction_of_the_weights_that_the_first_mask_keeps(first, second, fraction):
    assert overlap_fraction(mask(*first), mask(*second)) == fraction


def test_the_overlap_of_a_mask_that_keeps_nothing_is_1():
    assert overlap_fraction(mask(0, 0), mask(0, 1)) == 1.0


def test_the_overlap_of_different_shapes_is_refused():
    with pytest.raises(MaskError, match="shape"):
        overlap_fraction(mask(1, 0), mask(1, 0, 0))


def test_revived_weights_are_a_fraction_of_the_weights_that_the_later_level_keeps():
    levels = [mask(1, 1, 1, 0, 0), mask(1, 0, 0, 1, 0), mask(1, 0, 0, 0, 0), mask(0, 1, 1, 1, 1)]
    assert revived(levels) == [0.5, 0.0, 1.0]
    assert revived(levels[:1]) == []


# --- steps ---


def test_every_step_of_the_journal_is_counted_once(record):
    rows = training_steps(record)
    assert [(row["method"], row["level"]) for row in rows] == [(m, n) for m in record.methods for n in (1, 2)]
    counted = sum(row["candidates"] + row["winner"] for row in rows)
    candidates = [entry["steps"] for level in (1, 2) for entry in record.level(level).candidates]
    trained = [record.units[name]["total_steps"] for name in record.trained if name != "dense"]
    assert counted == sum(candidates) + sum(trained)
    assert total_steps(record) == {
        method: sum(row["candidates"] + row["winner"] for row in rows if row["method"] == method)
        for method in record.methods
    }
    assert all(row["candidates"] == 0 for row in rows if row["method"] != "search")
    assert len({row["winner"] for row in rows}) == 1, "the winner of each method trains equally long"


def test_missing_steps_are_refused(record):
    with pytest.raises(RunError, match="has not trained imp-level-2 yet; go on with --resume"):
        training_steps(without(record, "imp-level-2"))


# --- levels compared with one step ---


def test_the_difference_of_a_run_from_itself_is_zero(record):
    """Equal answers of two trainings may be chance; those of one training are not."""
    assert difference_at_the_end(record, "imp", record, "imp") == Interval(0.0, 0.0, 0.0)
    copy = dataclasses.replace(record, config=dataclasses.replace(record.config, threads=2))
    equal = no_difference(len(record.answers("dense")[1]))
    assert difference_at_the_end(record, "imp", copy, "imp") == equal


def test_the_difference_is_that_of_the_last_levels(record):
    shorter = dataclasses.replace(record, config=dataclasses.replace(record.config, levels=record.config.levels[:1]))
    ours, theirs = record.score("imp-level-2").estimate, record.score("imp-level-1").estimate
    assert difference_at_the_end(record, "imp", shorter, "imp").estimate == pytest.approx(ours - theirs)
    assert difference_at_the_end(shorter, "imp", record, "imp").estimate == pytest.approx(theirs - ours)


def test_runs_on_different_examples_are_not_compared(record, two_tests):
    with pytest.raises(RunError, match="not scored on the same test examples"):
        difference_at_the_end(record, "imp", rp.RunRecord.load(two_tests), "imp")
    data = {**record.units["data"], "fingerprint": "another"}
    with pytest.raises(RunError, match="give both runs the same data"):
        difference_at_the_end(record, "imp", dataclasses.replace(record, units={**record.units, "data": data}), "imp")
