"""Figures of early evaluation and of selection agree with the pools, and claim no more."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
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


def test_trajectories_are_darker_the_better_they_end_and_stop_at_the_given_steps():
    one = pool()
    axis = figures.early_trajectories(one, steps=5).axes[0]
    known = [line for line in axis.lines if len(line.get_xdata()) == 2]
    assert len(known) == len(one.final)
    brightness = [sum(to_rgb(line.get_color())) for line in known]
    assert np.argsort(brightness).tolist() == np.argsort(-one.final).tolist()
    assert axis.get_title().startswith("After 5 steps")


def test_the_title_has_the_rank_correlation_with_final_scores():
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
    assert (
        figure.axes[0].get_title() == f"Best of 16 candidates: observed {shown:+.2f} points, true {worth:+.2f} points"
    )
    assert figure.axes[0].lines[0].get_ydata()[4] == pytest.approx(shown)


def test_bars_fall_and_sum_to_100_and_the_selected_one_is_highlighted():
    found = assess_choice(pool(5).examples[:, -1])
    axis = figures.chance_of_best(found, list("abcde")).axes[0]
    heights = [bar.get_height() for bar in axis.patches]
    assert heights == sorted(heights, reverse=True) and sum(heights) == pytest.approx(100)
    chosen = [bar for bar in axis.patches if to_rgb(bar.get_facecolor()) == to_rgb(COLOURS["search"])]
    labels = [label.get_text() for label in axis.get_xticklabels()]
    assert len(chosen) == 1 and labels[axis.patches.index(chosen[0])] == "abcde"[found.winner]
    winner = f"{'abcde'[found.winner]}: {heights[0]:.0f} %"
    assert axis.get_title() == f"Probability of the best early score: selected candidate {winner}"


def test_after_a_choice_by_another_score_the_title_names_the_most_probable_candidate_too():
    examples = pool(5).examples[:, -1]
    best = assess_choice(examples).winner
    found = assess_choice(examples, winner=(best + 1) % 5)
    title = figures.chance_of_best(found, list("abcde")).axes[0].get_title()
    assert f"selected candidate {'abcde'[found.winner]}: " in title and f" %, candidate {'abcde'[best]}: " in title


def test_where_the_ends_are_known_a_star_marks_the_best_and_the_title_has_the_place():
    found = assess_choice(pool(5).examples[:, -1])
    final = [0.5] * 5
    final[found.winner], final[(found.winner + 1) % 5] = 0.6, 0.7
    axis = figures.chance_of_best(found, list("abcde"), final).axes[0]
    (star,) = (line for line in axis.lines if line.get_marker() == "*")
    labels = [label.get_text() for label in axis.get_xticklabels()]
    assert labels[int(star.get_xdata()[0])] == "abcde"[(found.winner + 1) % 5]
    assert axis.get_title().endswith("; it ended in place 2 of 5")

    selection = TrainAll().select(range(4), 10, pool().replay, every=5)
    ends = [float(candidate == selection.ranking[-1]) for candidate in range(4)]
    axis = figures.race(selection, 10, final=ends).axes[0]
    (star,) = (line for line in axis.lines if line.get_marker() == "*")
    assert int(star.get_ydata()[0]) == 3, "the last of the ranking"
    assert axis.get_title().endswith(", and ended in place 2 of 4")


def test_the_race_shows_the_steps_of_every_candidate():
    selection = TrainAll().select(range(4), 10, pool().replay, every=5)
    axis = figures.race(selection, 10).axes[0]
    assert sum(bar.get_width() for bar in axis.patches) == selection.steps == 40
    title = f"Candidate {selection.winner} wins, with 100 % of the steps of the strategy full"
    assert axis.get_title() == title


def test_every_strategy_has_its_own_marker_and_finite_intervals_are_drawn():
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
def test_the_title_over_tasks_agrees_with_the_interval(low, verdict):
    found = {"search": {"a": Interval(0.1, -0.2, 0.3), "all tasks": Interval(0.05, low, 0.09)}}
    axis = figures.differences_by_task(found, 0.97).axes[0]
    assert axis.get_title() == f"At 97 %, over all tasks: {verdict}"


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
    places = list(itertools.product(*(range(len(control.options)) for control in controls.values())))
    assert len({explorer.frame(place).src for place in places}) == len(places)


def test_the_title_about_ways_of_reporting_says_which_of_them_are_clear():
    ways = {"honest": (0, -1), "mask": (0.2, -0.1), "checkpoint": (1.5, 1), "best of 8": (2, -np.inf)}
    rows = [
        {"kind": "masks", "way": way, "size": size, "estimate": middle / size, "low": low / size, "high": 3 / size}
        for way, (middle, low) in ways.items()
        for size in (50, 100)
    ]
    figure = figures.inflation_by_size(pd.DataFrame(rows))
    assert figure.get_suptitle() == (
        "Points too good if the 50 reported examples choose: mask +0.4 (not clear), checkpoint +3.0, "
        "best of 8 +4.0 (not clear)"
    )
    (axis,) = figure.axes
    assert [text.get_text() for text in axis.get_xticklabels()] == ["\n50", "\n100"]
    heights = {way: [bar[0].get_ydata() for bar in axis.containers][place] for place, way in enumerate(ways)}
    assert heights["checkpoint"] == pytest.approx([3, 1.5]), "in points"
