"""Figures of early evaluation and of the choice say what the pools say, and no more."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from support.made_up import pool

from randprune_lab.analysis.judging import COMPARED, judge
from randprune_lab.search.strategies import TrainAll
from randprune_lab.stats.confidence import assess_choice
from randprune_lab.stats.intervals import Interval
from randprune_lab.stats.winners_curse import best_of
from randprune_lab.viz import figures, widgets
from randprune_lab.viz.style import COLOURS


def test_trajectories_are_coloured_by_the_final_rank_and_end_where_knowledge_ends():
    one = pool()
    axis = figures.early_trajectories(one, steps=5).axes[0]
    known = [line for line in axis.lines if len(line.get_xdata()) == 2]
    assert len(known) == len(one.final)
    brightness = [sum(to_rgb(line.get_color())) for line in known]
    assert np.argsort(brightness).tolist() == np.argsort(one.final).tolist()
    assert axis.get_title().startswith("After 5 steps")


def test_where_early_scores_have_the_final_order_the_title_says_so():
    axis = figures.early_trajectories(pool(settled=True)).axes[0]
    assert "rank correlation +1.00" in axis.get_title()
    axes = figures.early_against_final([pool(6, settled=True), pool(6)]).axes
    assert "+1.00" in axes[0].get_title() and "+1.00" not in axes[1].get_title()


def test_the_noise_floor_shows_every_training_and_every_mean():
    one = pool()
    (axis,) = figures.noise_floor([one]).axes
    dots = [line.get_ydata() for line in axis.lines if line.get_linestyle() == "None"]
    assert np.array_equal(np.stack(dots), one.noise)
    means = [line.get_ydata()[0] for line in axis.lines if line.get_linestyle() == "-"]
    assert means == pytest.approx(one.noise.mean(axis=1))


def test_the_curse_in_the_figure_is_the_one_computed():
    figure = figures.winners_curse(16, 0.5, 1.0)
    shown, worth = best_of(16, 0.5, 1.0)
    assert figure.axes[0].get_title() == f"The best of 16 is worth {worth:.2f} points, and shows {shown:.2f}"
    assert figure.axes[0].lines[0].get_ydata()[4] == pytest.approx(shown)


def test_bars_fall_and_add_up_and_the_chosen_one_stands_out():
    found = assess_choice(pool(5).examples[:, -1])
    axis = figures.chance_of_best(found, list("abcde")).axes[0]
    heights = [bar.get_height() for bar in axis.patches]
    assert heights == sorted(heights, reverse=True) and sum(heights) == pytest.approx(100)
    chosen = [bar for bar in axis.patches if to_rgb(bar.get_facecolor()) == to_rgb(COLOURS["search"])]
    labels = [label.get_text() for label in axis.get_xticklabels()]
    assert len(chosen) == 1 and labels[axis.patches.index(chosen[0])] == "abcde"[found.winner]
    said = f"{'abcde'[found.winner]}: {heights[0] / 100:.0%}"
    assert axis.get_title() == f"Chance to be the best: chosen candidate {said}"


def test_a_choice_by_another_score_does_not_hide_who_is_likeliest():
    examples = pool(5).examples[:, -1]
    best = assess_choice(examples).winner
    found = assess_choice(examples, winner=(best + 1) % 5)
    title = figures.chance_of_best(found, list("abcde")).axes[0].get_title()
    assert f"chosen candidate {'abcde'[found.winner]}: " in title and f"likeliest candidate {'abcde'[best]}: " in title


def test_the_race_shows_what_was_spent():
    selection = TrainAll().select(range(4), 10, pool().replay, every=5)
    axis = figures.race(selection, 10).axes[0]
    assert sum(bar.get_width() for bar in axis.patches) == selection.steps == 40
    assert f"Candidate {selection.winner} wins, for 100% of the steps of all" == axis.get_title()


def test_every_strategy_has_a_marker_of_its_own_and_intervals_only_where_there_are_some():
    alone, twice = (
        judge(pools, repetitions=3) for pools in ([pool(9, looks=20)], [pool(9, n, looks=20) for n in (13, 14)])
    )
    for rows, intervals in ((alone, 0), (twice, len(COMPARED))):
        axis = figures.gain_by_budget(rows).axes[0]
        looks = [(line.get_marker(), line.get_color()) for line in axis.lines if line.get_marker() != "None"]
        assert len(set(looks)) == len(COMPARED) and len(axis.collections) == intervals


@pytest.mark.parametrize(
    ("low", "verdict"),
    [(0.01, "search significantly better than IMP"), (-0.01, "no method significantly better than IMP")],
)
def test_the_verdict_over_tasks_is_what_the_interval_says(low, verdict):
    found = {"search": {"a": Interval(0.1, -0.2, 0.3), "all tasks": Interval(0.05, low, 0.09)}}
    axis = figures.differences_by_task(found, 0.97).axes[0]
    assert axis.get_title() == f"At 97.00%, over all tasks: {verdict}"


@pytest.mark.parametrize(
    ("picture", "controls"),
    [
        (
            lambda steps: figures.early_trajectories(pool(), steps),
            {"steps": widgets.choice("steps", {"0": 0, "5": 5, "10": 10}, 5)},
        ),
        (
            lambda candidates, noise: figures.winners_curse(candidates, 0.5, noise),
            {
                "candidates": widgets.choice("candidates", {"2": 2, "128": 128}, 2),
                "noise": widgets.choice("noise", {"0": 0, "2": 2}, 2),
            },
        ),
    ],
)
def test_explorers_draw_at_every_position(picture, controls):
    explorer = widgets.explore("Which?", picture, **controls)
    image = explorer.children[-1]
    for control in controls.values():
        for _, value in control.options:
            before = image.value
            control.value, changed = value, value != control.value
            assert bytes(image.value[:4]) == b"\x89PNG" and (not changed or image.value != before)
