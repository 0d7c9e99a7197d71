"""Figures of an iterative run agree with its masks and its journal."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch

import randprune_lab as rp
from randprune_lab.analysis.levels import level_masks, overlap_fraction, training_steps
from randprune_lab.errors import MaskError, RunError
from randprune_lab.stats.intervals import Interval
from randprune_lab.viz import figures
from randprune_lab.viz.figures import levels
from randprune_lab.viz.style import COLOURS, LABELS, short_name
from randprune_lab.viz.widgets import choice, explore


def mask(**tensors: list[list[int]]) -> rp.MaskSet:
    return rp.MaskSet({name: torch.tensor(bits, dtype=torch.bool) for name, bits in tensors.items()})


# --- the schedule ---


def test_bars_are_the_steps_of_each_level_one_after_the_other(record):
    kept, steps = figures.schedule(record).axes
    bars = sorted(steps.patches, key=lambda bar: (bar.get_y(), bar.get_x(), bar.get_width()))
    expected = [row[part] for row in training_steps(record) for part in ("candidates", "winner")]
    assert sorted(bar.get_width() for bar in bars) == sorted(expected)
    for place, method in enumerate(record.methods):
        ends = [bar.get_x() + bar.get_width() for bar in bars if round(bar.get_y() + bar.get_height() / 2) == place]
        whole = sum(row["candidates"] + row["winner"] for row in training_steps(record) if row["method"] == method)
        assert max(ends) == whole, "nothing is left out and nothing overlaps"
    assert [label.get_text() for label in steps.get_yticklabels()] == [LABELS[method] for method in record.methods]
    assert kept.lines[-1].get_ydata().tolist() == pytest.approx([100, 50, 10])


def test_titles_have_the_saved_weights_and_the_cost(record):
    kept, steps = figures.schedule(record).axes
    rows = [row for row in training_steps(record) if row["method"] == "search"]
    winner, candidates = (sum(row[part] for row in rows) for part in ("winner", "candidates"))
    assert kept.get_title() == "2 levels: 10× fewer prunable weights"
    assert steps.get_title() == f"search: {(winner + candidates) / winner:.3g}× the winner's steps"


# --- the search and IMP at equal steps ---


def only_imp(record, **changes) -> rp.RunRecord:
    """The same record, read as a run of IMP alone."""
    config = dataclasses.replace(record.config, method="imp", baselines=(), **changes)
    return dataclasses.replace(record, config=config)


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [
        (Interval(0.03, -0.01, 0.07), "search minus IMP +3.0 [-1.0, +7.0], no clear difference"),
        (Interval(0.03, 0.01, 0.05), "the search is ahead, +3.0 [+1.0, +5.0] points"),
        (Interval(-0.24, -0.28, -0.21), "the search is behind, -24.0 [-28.0, -21.0] points"),
    ],
)
def test_at_equal_steps_the_title_has_the_paired_difference(record, monkeypatch, gain, verdict):
    monkeypatch.setattr(levels, "total_steps", lambda _: {"search": 1440, "imp": 1440})
    monkeypatch.setattr(levels, "difference_at_the_end", lambda *_: gain)
    axis = figures.equal_steps(record, only_imp(record)).axes[0]
    assert axis.get_title() == f"At 90 % and equal steps:\n{verdict}"
    assert {container.get_label() for container in axis.containers} == {"search, 1,440 steps", "IMP, 1,440 steps"}


def test_runs_with_other_steps_or_levels_are_not_compared(record):
    with pytest.raises(RunError, match="set epochs so that both take the same number"):
        figures.equal_steps(record, only_imp(record))
    with pytest.raises(RunError, match="with the same levels"):
        figures.equal_steps(record, only_imp(record, levels=(0.9,)))


# --- levels against one step ---


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [
        (Interval(0.03, -0.01, 0.07), "IMP: no clear difference between levels and one step (+3.0 points)"),
        (Interval(0.03, 0.01, 0.05), "IMP: levels are significantly better than one step (+3.0 points)"),
        (Interval(-0.03, -0.05, -0.01), "IMP: levels are significantly worse than one step (-3.0 points)"),
    ],
)
def test_the_title_claims_no_more_than_the_interval_allows(record, monkeypatch, gain, verdict):
    monkeypatch.setattr(levels, "difference_at_the_end", lambda *_: gain)
    one_step = dataclasses.replace(record, config=dataclasses.replace(record.config, baselines=("imp",)))
    assert figures.levels_against_one_shot(record, one_step).axes[0].get_title() == verdict


def test_only_methods_of_both_runs_are_compared_and_with_their_intervals(record):
    shorter = dataclasses.replace(record.config, levels=record.config.levels[:1], baselines=("imp",))
    axis = figures.levels_against_one_shot(record, dataclasses.replace(record, config=shorter)).axes[0]
    drawn = {container.get_label(): container for container in axis.containers}
    assert set(drawn) == {LABELS["search"], LABELS["imp"]}
    for method in ("search", "imp"):
        line, _, (bars,) = drawn[LABELS[method]]
        scores = [record.score(f"{method}-level-{level}") for level in (1, 2)]
        assert line.get_ydata() == pytest.approx([100 * score.estimate for score in scores])
        ends = [[float(y) for _, y in segment] for segment in bars.get_segments()]
        assert ends == [pytest.approx([100 * score.low, 100 * score.high]) for score in scores]
        assert line.get_color() == COLOURS[method]


# --- masks ---


def test_pictures_are_the_masks_level_by_level(record):
    masks = level_masks(record)["imp"]
    name = next(iter(masks[0]))
    axes = figures.surviving(masks, name, method="imp").axes
    assert [np.array_equal(axis.images[0].get_array(), each[name]) for axis, each in zip(axes, masks, strict=True)] == [
        True,
        True,
    ]


def test_the_message_is_about_the_masks_that_are_drawn():
    nested = [mask(w=[[1, 1, 1, 0]]), mask(w=[[1, 0, 0, 0]])]
    assert figures.surviving(nested, "w").get_suptitle() == "w: removed weights stay removed"
    grown = [mask(w=[[1, 1, 0, 0]]), mask(w=[[1, 0, 1, 0]])]
    title = figures.surviving(grown, "w").get_suptitle()
    assert title == "w: up to 50.0 % of a level's kept weights were removed at the level before"


def test_every_weight_has_the_colour_of_the_masks_that_keep_it():
    first, second = mask(w=[[1, 1, 0], [0, 1, 0]], v=[[1, 0]]), mask(w=[[1, 0, 1], [0, 1, 0]], v=[[0, 1]])
    picture, overlaps = figures.masks_compared(first, second, "w").axes
    assert picture.images[0].get_array().tolist() == [[3, 1, 2], [0, 3, 0]]
    assert picture.get_title() == "w: 1 of 3 kept weights differ"
    assert [bar.get_width() for bar in overlaps.patches] == pytest.approx([2 / 3, 0])
    assert overlaps.lines[0].get_xdata()[0] == 4 / 8, "the overlap of uniform masks is their density"
    assert overlaps.get_title() == "At 50 %, the overlap is 50.0 %"


def test_a_tensor_that_is_not_in_the_mask_is_refused():
    with pytest.raises(MaskError, match="has no tensor 'v'; its tensors are 'w'"):
        figures.masks_compared(mask(w=[[1]]), mask(w=[[1]]), "v")


def test_names_of_many_matrices_are_left_out_except_for_the_chosen_one():
    many = mask(**{f"w{number}": [[1, 0]] for number in range(30)})
    overlaps = figures.masks_compared(many, many, "w7").axes[1]
    assert [label.get_text() for label in overlaps.get_yticklabels()] == ["w7"] and len(overlaps.patches) == 30


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("bert.encoder.layer.0.attention.self.query.weight", "0 attention query"),
        ("bert.encoder.layer.11.output.dense.weight", "11 output"),
        ("transformer.h.3.mlp.c_fc.weight", "3 mlp c_fc"),
        ("encoder.w", "encoder w"),
    ],
)
def test_names_are_shortened_to_what_distinguishes_them(name, short):
    assert short_name(name) == short


def test_the_explorer_draws_every_level_and_every_matrix(record):
    masks = level_masks(record)
    level = choice("level", {f"{share:.2%}": at for at, share in enumerate(record.config.levels)})
    matrix = choice("matrix", list(masks["imp"][0]))

    def picture(level, matrix):
        return figures.masks_compared(masks["search"][level], masks["imp"][level], matrix)

    explorer = explore("Where do they differ?", picture, level=level, matrix=matrix)
    places = list(itertools.product(range(len(level.options)), range(len(matrix.options))))
    assert len({explorer.frame(place).src for place in places}) == len(places)
    assert all(0 <= overlap_fraction(masks["search"][at], masks["imp"][at]) <= 1 for at in level.options.values())
