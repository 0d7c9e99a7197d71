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
from randprune_lab.viz.figures.results import lead
from randprune_lab.viz.style import COLOURS


def test_each_candidate_goes_from_its_rank_of_now_to_its_final_rank_and_the_best_end_at_the_top():
    one = pool(8)
    axis = figures.rank_changes(one, steps=5).axes[0]
    early = one.early(2, 5)
    places = {(sum(early >= early[c]), sum(one.final >= one.final[c])) for c in range(8)}
    assert {tuple(line.get_ydata().tolist()) for line in axis.lines} == places
    ends = {line.get_label(): line.get_ydata()[1] for line in axis.lines if not line.get_label().startswith("_")}
    assert ends["the 3 that end best"] <= 3 < ends["others"] <= 5 < ends["the 3 that end worst"]
    assert axis.get_title().startswith("After 5 steps") and axis.yaxis_inverted()


def test_the_title_has_the_rank_correlation_with_final_scores():
    axis = figures.rank_changes(pool(settled=True)).axes[0]
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
    ("ends", "verdict"),
    [
        ((0.01, 0.09), "search is ahead of IMP by 5.0 points [1.0, 9.0]"),
        ((-0.01, 0.11), "no clear difference between search and IMP, +5.0 [-1.0, +11.0] points"),
        ((-np.inf, np.inf), "search minus IMP +5.0 points, its interval is unknown"),
    ],
    ids=["ahead", "unclear", "unknown"],
)
def test_the_title_over_tasks_agrees_with_the_interval(ends, verdict):
    found = {"search": {"a": Interval(0.1, -0.2, 0.3), "all tasks": Interval(0.05, *ends)}}
    axis = figures.differences_by_method(found, 0.97, "search").axes[0]
    assert axis.get_title() == f"At 97 %, over all tasks: {verdict}"


def test_a_method_that_is_behind_is_said_to_be_behind_by_a_positive_number():
    assert lead(Interval(-0.02, -0.05, -0.01), "search", "imp") == "search is behind IMP by 2.0 points [1.0, 5.0]"


def test_a_rung_is_drawn_for_each_training_that_is_shown_and_the_axes_fit_all():
    rungs = {"seed 0": [Interval(0.15, 0.12, 0.18)] * 2, "seed 1": [Interval(-0.03, -0.05, 0.4)] * 2}
    one, both = (figures.ladder(rungs, ["imp", "imp-4e-3"], shown) for shown in (1, 2))
    for axis, later in zip(one.axes, both.axes, strict=True):
        assert [len(each.containers[0].lines[0].get_xdata()) for each in (axis, later)] == [1, 2]
        assert (axis.get_xlim(), axis.get_ylim()) == (later.get_xlim(), later.get_ylim())
    said = "Clearly ahead of imp and imp-4e-3 in 1 of 2 trainings"
    assert both.get_suptitle() == f"seed 1: -3.0 and -3.0 points. {said}"


def test_the_clocks_that_ring_first_get_a_vote_and_the_expected_votes_are_those_of_the_rounds():
    weights, rounds = [0.6, 0.8, 1.0, 2.0], 6
    pictures = [figures.clocks(weights, 2, rounds, shown + 1) for shown in range(rounds)]
    votes = np.zeros(4)
    for shown, (line, bars) in enumerate(picture.axes for picture in pictures):
        first = line.lines[0].get_xdata()
        assert len(first) == 2 and max(first) <= line.lines[2].get_xdata()[0] < min(line.lines[1].get_xdata())
        votes[line.lines[0].get_ydata()] += 1
        assert [bar.get_width() for bar in bars.patches] == votes.tolist()
        assert bars.lines[0].get_xdata().sum() == pytest.approx(2 * (shown + 1))
    expected = pictures[-1].axes[1].lines[0].get_xdata() / rounds
    rates = np.array(weights) ** 5
    t = -np.log1p(-expected[0]) / rates[0]
    assert expected == pytest.approx(1 - np.exp(-rates * t)), "one time t for all"


@pytest.mark.parametrize(
    ("picture", "controls"),
    [
        (
            lambda steps: figures.rank_changes(pool(), steps),
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
    ways = {
        "honest": (0, -1),
        "accuracy": (0.1, -1),
        "mask": (0.2, -0.1),
        "checkpoint": (1.5, 1),
        "best of 8": (2, -np.inf),
    }
    rows = [
        {"kind": "masks", "way": way, "size": size, "estimate": middle / size, "low": low / size, "high": 3 / size}
        | {"records": 6}
        for way, (middle, low) in ways.items()
        for size in (50, 100)
    ]
    figure = figures.inflation_by_size(pd.DataFrame(rows))
    assert figure.get_suptitle() == (
        "Accuracy on 50 examples is too high, in points, if they also choose the mask (+0.4, not clear), "
        "the checkpoint (+3.0), the best of 8 (+4.0, not clear): means of 6 pools"
    )
    (axis,) = figure.axes
    assert [text.get_text() for text in axis.get_xticklabels()] == ["\n50", "\n100"]
    heights = {way: [bar[0].get_ydata() for bar in axis.containers][place] for place, way in enumerate(ways)}
    assert heights["checkpoint"] == pytest.approx([3, 1.5]), "in points"
