"""What the lessons say in numbers is what the recorded studies and the expected key figures have."""

from __future__ import annotations

import itertools
import json
import math
import re
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from support.pages import LESSONS, ROOT, name, text
from support.rates_show import PAIRS, complete

from randprune_lab.analysis import (
    PoolRecord,
    contrast,
    data_folder,
    early_evaluations,
    judge,
    pool_records,
    recorded_controls,
    recorded_results,
    task_records,
)
from randprune_lab.analysis.contrasts import ALL
from randprune_lab.analysis.task_record import TaskRecord
from randprune_lab.report import lesson_settings
from randprune_lab.search import PairedRace
from randprune_lab.stats import assess_choice, best_of, rank_correlation
from randprune_lab.stats.intervals import Interval, accuracy_interval
from randprune_lab.study import recorded_primary
from randprune_lab.viz import figures
from randprune_lab.viz.style import LABELS

INTERVAL = re.compile(r"([+-]?\d+(?:\.\d+)?) (?:points )?(\[[^\]a-z]*\d, [^\]a-z]*\d\])")
"""A number with its interval, as the lessons write it."""
BEST_SHOT = data_folder() / "recorded" / "best-shot"


def results(study: str = "study") -> pd.DataFrame:
    """The results of a recorded study on the four included tasks."""
    controls, table = recorded_controls(), recorded_results(data_folder() / "recorded" / study)
    return table[table.task.isin(controls.task[controls.included])]


def gain_and_small() -> pd.DataFrame:
    """The runs that have the search and IMP at its rate; each model size counts as other seeds."""
    tables = [results(study) for study in ("gain", "small")]
    return pd.concat(table.assign(seed=table.seed + 10 * number) for number, table in enumerate(tables))


def means_over_levels(table: pd.DataFrame) -> pd.DataFrame:
    own = table[table.sparsity > 0]
    return own.groupby(["task", "seed", "method"]).score.mean().reset_index().assign(sparsity=0.0)


def written(found: Interval, *, less: bool = False, sign: str = "+") -> tuple[str, str]:
    """A difference as the lessons write it; `less` writes how far the first method is behind."""
    ends = [-found.estimate, -found.high, -found.low] if less else [found.estimate, found.low, found.high]
    mean, low, high = (f"{100 * end:{sign}.1f}" for end in ends)
    return mean, f"[{low}, {high}]"


def what_helps() -> list[tuple[str, str]]:
    """The differences of best-shot: the mask, with other seeds and over tasks, and the search."""
    mask, search = recorded_primary(BEST_SHOT)[["difference", "low", "high"]].to_numpy() / 100
    tasks = contrast(recorded_results(BEST_SHOT), "fisher-short", "imp", 0.9375)[ALL]
    return [written(Interval(*mask)), written(tasks), written(Interval(*search))]


def intervals_of_results() -> list[tuple[str, str]]:
    """All differences with intervals that lesson 07 writes, in its order."""
    table = results()
    first, others = table[table.seed == 0], table[table.seed != 0]
    rate, random = ("imp-short-4e-3", "imp-short"), ("one-mask", "imp-short-4e-3")
    at = {s: lambda pair, rows=table, s=s: contrast(rows, *pair, s)[ALL] for s in (0.9375, 0.99)}
    wanda = contrast(means_over_levels(recorded_results()), "wanda", "imp-short", 0.0)[ALL]
    equal = contrast(gain_and_small(), "search", "imp-4e-3", 0.99)[ALL]
    return [
        written(at[0.9375](rate), less=True, sign=""),
        written(at[0.99](("allocation", "search"))),
        written(wanda),
        *what_helps(),
        written(at[0.9375](("search", "imp"))),
        written(at[0.99](("search", "imp"))),
        written(at[0.99](("search", "one-mask"))),
        written(at[0.99](random)),
        written(at[0.99](("one-mask", "imp-short"), first), sign=""),
        written(at[0.99](("one-mask", "imp-short"), others)),
        written(at[0.99](random, first)),
        written(the_case("imp-4e-3", seed=0)),
        written(the_case("imp", seed=1)),
        written(equal, less=True, sign=""),
        written(contrast(gain_and_small(), "search", "imp-4e-3", 0.998)[ALL]),
        written(contrast(table, "search", "imp", 0.9375)["stsb"]),
        written(at[0.9375](("search", "imp"))),
    ]


SYMBOLS = {
    "00": {
        "k": r"k of the N weights of a matrix are drawn",
        "N": r"k of the N weights of a matrix",
        "w": r"where w is the weight",
        "r": r"\*\*sampling ratio\*\* r sets the number of rounds",
    },
    "01": {"w": r"rank them by \|w\|", "k": r"keeps exactly k"},
    "02": {
        "T": r"an election with T rounds",
        "k": r"draw k different weights",
        "w": r"proportional to \|w\|",
        "N": r"a matrix of N weights",
        "r": r"\*sampling ratio\* r sets the number of rounds",
        "p": r"exponential with rate p",
        "t": r"the k-th ringing comes at nearly the same time t",
        "π": r"the probability to be drawn in a round, π",
        "V": r"a weight's votes are binomial, V",
        "v": r"Let v be the number of votes at the border",
        "f": r"A fraction f of the weights",
        "q": r"That q is the weight's \*inclusion probability\*",
        "u": r"a random number u that is a \*hash\*",
    },
    "03": {
        "k": r"Two masks with k weights each",
        "q": r"A weight with inclusion probability q",
        "T": r"the number of rounds T",
        "r": r"the same ratio leaves less",
        "N": r"the tensor's size",
        "n": r"Among n candidates",
    },
    "04": {"n": r"with variance n", "m": r"with variance m"},
}
"""The symbols of a lesson, and the words that say what each is."""
SYMBOL = r"(?<![\w`.'’/{{\[]){}(?![\w`'’/}}\]]|\.\w)"


@pytest.mark.parametrize(("number", "symbol"), [(number, one) for number in SYMBOLS for one in SYMBOLS[number]])
def test_a_symbol_is_defined_where_it_is_used_first(number, symbol):
    """In the same paragraph or, where a formula comes first, in the sentence after it."""
    [lesson] = [path for path in LESSONS if path.stem.startswith(number)]
    plain = re.sub(r"\]\([^)]*\)|`[^`]*`", "", text(lesson)).replace("\\pi", "π").replace("_i", "")
    blocks = [" ".join(block.split()) for block in plain.split("\n\n")]
    first = next(place for place, block in enumerate(blocks) if re.search(SYMBOL.format(symbol), block))
    formulas = 0
    while "$$" in blocks[first + formulas]:
        formulas += 1
    near = " ".join(blocks[first : first + formulas + 1])
    assert re.search(SYMBOLS[number][symbol], near), near


def test_every_method_in_the_legends_of_lesson_07_is_explained_before():
    cells = nbformat.read(ROOT / "notebooks" / "07_results.ipynb", as_version=4).cells
    first = next(place for place, cell in enumerate(cells) if "figures.results_by_task" in cell.source)
    before = " ".join(" ".join(cell.source for cell in cells[:first] if cell.cell_type == "markdown").split())
    for method in set(results().method) - {"dense"}:
        label, *at = LABELS[method].split(", learning rate ")
        assert f"*{label}*" in before, method
        assert not at or f"*{label}*, at two learning rates" in before


def the_case(other: str, seed: int) -> Interval:
    """The search minus an IMP on STS-B at 99.8 %, one layer; with `imp` and seed 0 it is the lead of the course."""
    return the_run("small", "stsb", seed).difference("search", other, 0.998)


def the_run(study: str, task: str, seed: int) -> TaskRecord:
    """The record of a task and seed of a study."""
    runs = task_records(data_folder() / "recorded" / study)
    [run] = [run for run in runs if (run.task, run.seed) == (task, seed)]
    return run


@pytest.mark.parametrize("lesson", LESSONS, ids=name)
def test_every_interval_of_a_lesson_is_that_of_the_record(lesson):
    """Every lesson begins with the case; the only one with other intervals in its text is 07."""
    case = written(the_case("imp", seed=0), sign="")
    rest = intervals_of_results() if lesson.stem == "07_results" else []
    assert INTERVAL.findall(flat(lesson)) == [case, *rest]


def test_the_tour_says_what_the_case_shows_besides_the_lead():
    case, tour = the_run("small", "stsb", 0), flat(ROOT / "notebooks" / "00_tour.ipynb")
    before = [-100 * case.difference("search", "imp", sparsity).estimate for sparsity in (0.9375, 0.99)]
    assert "*behind* IMP at 93.75 % and at 99 %, by {:.1f} and {:.1f} points".format(*before) in tour
    assert all(case.difference("search", "imp", sparsity).high < 0 for sparsity in (0.9375, 0.99))
    scores = [[100 * one["score"] for one in case.early("search", sparsity)] for sparsity in case.levels]
    spread = [np.ptp(level) for level in scores]
    assert len(case.labels) == 1000 and {*map(len, scores)} == {8}, "said of sentences and candidates"
    said = "range over {:.1f} points at 93.75 %, {:.1f} at 99 % and {:.1f} at 99.8 %".format(*spread)
    assert said in tour and spread == sorted(spread, reverse=True)


def test_the_tour_says_what_the_search_spends_on_candidates():
    tour, table = flat(ROOT / "notebooks" / "00_tour.ipynb"), recorded_results(data_folder() / "recorded" / "small")
    one = table[(table.task == "stsb") & (table.seed == 0) & (table.method == "search")]
    level = one.steps.iloc[0]
    early = sum(each["steps"] for each in the_run("small", "stsb", 0).early("search", 0.9375))
    assert one.steps.diff().dropna().eq(level).all()
    assert f"of the {level:,} steps of a level the search spends {early:,} on judging candidates" in tour


@pytest.mark.parametrize("profile", ["smoke", "classroom"])
def test_half_of_the_weights_can_go_in_the_tours_own_run(profile):
    value, tests = expected(profile, "00_tour"), lesson_settings("00", profile)["run"]["test_size"]
    dense = accuracy_interval(np.arange(tests) < round(value["dense_accuracy"] * tests))
    assert dense.low < value["first_level_accuracy"] < dense.high and dense.low > 0.6


def test_the_case_had_equal_steps():
    table = recorded_results(data_folder() / "recorded" / "small")
    one = table[(table.task == "stsb") & (table.seed == 0) & (table.sparsity == 0.998)].set_index("method")
    assert one.steps["search"] == one.steps["imp"] == one.steps["imp-4e-3"]


SUSPECTS = {
    "candidates all alike": ("03", "cleared"),
    "luck in early scores": ("04", "cleared"),
    "the winner's curse": ("05", "cleared"),
    "unequal training": ("06", "cleared"),
    "an easy task": ("07", "cleared"),
    "the learning rate": ("07", "guilty"),
    "one seed": ("07", "guilty"),
}
"""The lesson that judges each suspect, and what it finds."""


@pytest.mark.parametrize("lesson", LESSONS[1:], ids=name)
def test_the_board_has_the_verdicts_of_the_lessons_before(lesson):
    number = lesson.stem[:2]
    board = []
    for suspect, (by, verdict) in SUSPECTS.items():
        open_question = f"**{suspect}?**" if by == number else f"{suspect}?"
        mark = {"cleared": "✓", "guilty": "✗"}[verdict]
        board.append(f"{mark} {suspect} ({verdict})" if by < number else open_question)
    assert f"Suspects: {' · '.join(board)}" in flat(lesson)


def test_the_verdicts_are_those_of_the_record():
    assert the_case("imp", seed=0).low > 0, "a lead"
    assert "stsb" in set(results().task), "on a task that needs its encoder"
    assert the_case("imp-4e-3", seed=0).low < 0, "none at the search's own rate"
    assert the_case("imp", seed=1).high < 0, "and none with the next seed"


def flat(lesson: Path) -> str:
    return " ".join(text(lesson).split())


def test_lesson_07_says_what_the_single_levels_and_seeds_say():
    lesson = flat(ROOT / "notebooks" / "07_results.ipynb")
    table = results()
    behind = contrast(table, "search", "imp", 0.9375)[ALL].estimate
    assert f"the search is behind IMP by {-100 * behind:.1f} points" in lesson
    rate = contrast(table[table.seed == 0], "imp-short-4e-3", "imp-short", 0.99)[ALL].estimate
    assert f"the magnitude mask was ahead by {100 * rate:.1f} points there, too" in lesson


def test_lesson_07_says_what_ended_the_leads():
    both = [the_run("gain", "stsb", 1), the_run("small", "stsb", 0)]
    assert [f"{100 * run.difference('search', 'imp', 0.998).estimate:.1f}" for run in both] == ["12.8", "14.9"]
    bad = [100 * run.difference("imp-4e-3", "imp", 0.998).estimate for run in both]
    assert all(16 <= points <= 17 for points in bad)
    ahead = the_run("small", "mnli", 1)
    assert all(ahead.difference("search", other, 0.998).low > 0 for other in ("imp", "imp-4e-3"))
    more = [the_run("small", "mnli", seed) for seed in (0, 2)]
    assert all(run.difference("search", other, 0.998).low < 0 for run in more for other in ("imp", "imp-4e-3"))


def test_lesson_07_says_in_how_many_trainings_the_mask_that_helps_is_ahead():
    leads = [run.difference("fisher-short", "imp", 0.9375) for run in task_records(BEST_SHOT)]
    ahead, clearly = sum(lead.estimate > 0 for lead in leads), sum(lead.low > 0 for lead in leads)
    said = f"ahead in {ahead} of the {len(leads)} trainings, and clearly ahead in {clearly}."
    assert said in flat(ROOT / "notebooks" / "07_results.ipynb")


def test_lesson_07_says_what_the_repetition_of_the_rates_shows():
    table = complete(recorded_results(data_folder() / "recorded" / "rates"))
    for (one, pair), sparsity in itertools.product(PAIRS.items(), (0.9375, 0.99)):
        found, imp = contrast(table, *pair, sparsity)[ALL], one == "IMP: 4e-3 minus 2e-3"
        assert found.low < 0 and (found.high < 0) == (imp and sparsity == 0.9375), (pair, sparsity)


def test_lesson_07_says_what_the_mask_that_helps_does_on_a_larger_model():
    control, ahead = recorded_controls(data_folder() / "recorded" / "minilm"), []
    for own in control[control.task == "stsb"].itertuples():
        run, without = the_run("minilm", "stsb", own.seed), control["without-encoder"][own.Index]
        imp, fisher = (run.score(method, 0.9375).estimate for method in ("imp-short", "fisher-short"))
        assert without < imp < without + 0.03 and own.dense - 0.04 < fisher < own.dense
        assert all(run.difference("fisher-short", "imp-short", level).low > 0 for level in run.levels)
        ahead.append(f"{100 * (fisher - imp):.0f}")
    small = the_run("minilm-gradual", "stsb", 0)
    imp, fisher = (f"{100 * small.score(method, 0.9375).estimate:.1f}" for method in ("imp", "fisher"))
    steps = f"in eight smaller steps IMP keeps {imp} points at 93.75 %, and the mask {fisher} (one training of each)"
    assert small.difference("fisher", "imp", 0.9375).low > 0 and steps in flat(ROOT / "notebooks" / "07_results.ipynb")
    run = the_run("minilm", "stsb", 0)
    assert all(run.difference("fisher", "imp", level).low > 0 for level in run.levels)
    assert run.difference("layer-fisher-short", "fisher-short", 0.9375).high > 0, "one threshold does not help"
    assert run.difference("layer-fisher-short", "imp-short", 0.9375).low > 0, "and the score does"
    others = [the_run("minilm", "sst2", seed).difference("fisher-short", "imp-short", 0.9375) for seed in (0, 1)]
    assert [one.low > 0 for one in others] == [True, False] and all(one.estimate < 0.03 for one in others)
    assert (control[control.task == "sst2"].encoder < own.encoder).all()
    small = contrast(recorded_results(BEST_SHOT), "fisher-short", "imp", 0.9375)["stsb"].estimate
    said = f"a mask that was {100 * small:.0f} points ahead of IMP on STS-B is {' and '.join(ahead)} points ahead"
    assert said in flat(ROOT / "docs" / "teaching.md")


def test_lesson_07_says_how_far_apart_the_two_imps_are():
    lesson, apart = flat(ROOT / "notebooks" / "07_results.ipynb"), []
    for study in ("gain", "small"):
        last = results(study).query("sparsity == 0.998")
        scores = 100 * last.pivot(index=["task", "seed"], columns="method", values="score")
        apart += (scores["imp-4e-3"] - scores["imp"]).dropna().abs().tolist()
    *others, _, _ = sorted(apart)
    assert f"In the {len(others)} other trainings the two IMPs are closer, by {others[-1]:.1f} points or less" in lesson
    imps = results("gain").query("task == 'stsb' and method in ('imp', 'imp-4e-3')")
    ranges = 100 * imps.groupby(["sparsity", "method"]).score.agg(np.ptp).unstack()
    before, last = ranges[:0.99].to_numpy(), ranges.loc[0.998]
    assert (
        f"the scores of the three seeds range over {before.min():.0f} to {before.max():.0f} points, at 99.8 % over "
        f"{last['imp']:.0f} (`imp`) and {last['imp-4e-3']:.0f} (`imp-4e-3`)."
    ) in lesson


def test_lesson_07_says_what_random_allocations_cost():
    steps = results().pivot(index=["task", "seed", "sparsity"], columns="method", values="steps")
    assert ((steps["allocation"] / steps["search"]).dropna().round(1).isin([0.4, 0.5])).all(), "said to be about half"


def test_lesson_07_says_how_uniform_masks_lose():
    for sparsity in (0.9375, 0.99):
        tasks = contrast(results(), "uniform", "imp", sparsity)
        assert tasks.pop(ALL).high > 0
        assert sum(task.high < 0 for task in tasks.values()) == 3
    tasks = contrast(results(), "uniform", "imp", 0.9375)
    most, least = (f"{-100 * tasks[task].estimate:.1f}" for task in ("stsb", "mrpc"))
    assert f"from {most} points on STS-B to {least} on MRPC at 93.75 %" in flat(ROOT / "notebooks" / "07_results.ipynb")


def test_lesson_07_says_what_a_task_more_does():
    lesson, table = flat(ROOT / "notebooks" / "07_results.ipynb"), recorded_results()
    with_qqp = contrast(table[table.task.isin([*results().task, "qqp"])], "search", "imp", 0.9375)[ALL].estimate
    assert f"(with QQP among the tasks, by {-100 * with_qqp:.1f})" in lesson
    controls = recorded_controls().query("task == 'qqp'")
    assert (controls.encoder_low > 0).tolist() == [False, True, True] and not controls.included.any()
    one_layer = recorded_controls(data_folder() / "recorded" / "small").query("task == 'stsb'")
    assert (one_layer.encoder_low > 0).all(), "said of the model with one layer"


def test_lesson_07_says_how_far_methods_and_seeds_are_apart():
    own = results().query("sparsity > 0 and method in ('imp', 'search', 'wanda')")
    scores = (100 * own.set_index(["task", "sparsity", "method"]).score).groupby(level=[0, 1, 2])
    apart = scores.mean().unstack().agg(np.ptp, axis=1)
    seeds = (scores.max() - scores.min()).unstack().mean(axis=1)
    said = f"by {apart.mean():.1f} points against {seeds.mean():.1f}, on average"
    assert said in flat(ROOT / "notebooks" / "07_results.ipynb") and (apart < seeds).mean() > 0.7
    assert (apart["stsb"] > seeds["stsb"])[:0.97].all()


def test_lesson_02_says_how_the_election_of_eight_weights_ends():
    lesson = flat(ROOT / "notebooks" / "02_mask_sampling.ipynb")
    weights = [0.3, 0.6, 0.8, 1.0, 1.1, 1.3, 1.6, 2.0]
    assert str(weights) in "".join(
        c.source for c in nbformat.read(ROOT / "notebooks" / "02_mask_sampling.ipynb", 4).cells
    )
    one, twelve = (figures.clocks(weights, 3, 12, shown).axes[1].patches for shown in (1, 12))
    first = [f"{weight:.1f}" for weight, bar in zip(weights, one, strict=True) if bar.get_width()]
    votes = [int(bar.get_width()) for bar in twelve]
    fourth, third, second, most = sorted(votes)[-4:]
    assert votes[-3:] == [third, second, most]
    assert f"After one round chance decides: {first[0]}, {first[1]} and {first[2]} have a vote." in lesson
    assert f"the three largest weights lead with {most}, {second} and {third} votes" in lesson
    assert f"(above, v = {third - 1}: three weights have more" in lesson and fourth <= third - 1


def test_lesson_05_says_what_the_closed_form_says():
    gains = [best_of(candidates, 0.5, noise)[1] for candidates, noise in ((8, 1), (16, 1), (32, 1), (8, 0.5))]
    assert [f"{gain:.2f}" for gain in gains] == ["0.32", "0.39", "0.46", "0.50"]
    assert "is worth 0.32 points, of 16 0.39, and of 32 0.46." in flat(ROOT / "notebooks" / "05_selection.ipynb")
    assert [f"{best_of(candidates, 1, 0)[1]:.2f}" for candidates in (8, 16)] == ["1.42", "1.77"]


def test_lesson_05_says_where_the_chosen_candidates_ended():
    chances, places = [], []
    for kind, sparsity in itertools.product(("voting", "random allocation"), (0.54, 0.9375, 0.99)):
        pool = the_pool(kind, sparsity)
        found = assess_choice(pool.examples[:, -2:].mean(axis=1), resamples=500)
        chances.append(f"{100 * found.chance_of_best[found.winner]:.0f}")
        places.append(str(1 + int((pool.final > pool.final[found.winner]).sum())))
    chance, place = (f"{', '.join(values[:-1])} and {values[-1]}" for values in (chances, places))
    said = flat(ROOT / "notebooks" / "05_selection.ipynb")
    assert f"the probability of the chosen candidate is {chance} %, and it ended in place {place} of 16." in said
    assert places.count("1") == 1 and f"With {chances[places.index('16')]} % the chosen one ended last." in said


def test_lesson_05_says_what_a_winner_with_its_own_allocation_gains():
    points = []
    for sparsity in (0.54, 0.9375, 0.99):
        voting, allocation = (the_pool(kind, sparsity) for kind in ("voting", "random allocation"))
        points.append(100 * (allocation.final[allocation.early(2).argmax()] - voting.final.mean()))
    below, *above = points
    above = "at 93.75 and 99 % it is above, by {:.1f} and {:.1f} points".format(*above)
    said = f"below the mean candidate of the vote, by {-below:.1f} points; {above}"
    assert said in flat(ROOT / "notebooks" / "05_selection.ipynb")


def test_lesson_04_says_what_the_recorded_pools_show():
    pools = [the_pool("voting", sparsity) for sparsity in (0.54, 0.9375, 0.99)]
    ranges = [100 * float(np.ptp(pool.final)) for pool in pools]
    assert ranges[0] < 0.5 and [round(each) for each in ranges[1:]] == [2, 2]
    correlations = [rank_correlation(pool.early(2), pool.final) for pool in pools]
    assert all(found.low < 0 < found.high for found in correlations)


def test_lesson_04_says_what_random_allocations_show():
    low, *high = (the_pool("random allocation", sparsity) for sparsity in (0.54, 0.9375, 0.99))
    ranges = " and ".join(f"{100 * np.ptp(pool.final):.0f}" for pool in high)
    assert f"their final scores range over {ranges} points" in flat(ROOT / "notebooks" / "04_early_evaluation.ipynb")
    assert all(rank_correlation(pool.early(2), pool.final).low > 0 for pool in high), "said to be seen in one epoch"
    by_chance = rank_correlation(low.early(2), low.final)
    assert f"{by_chance.estimate:.1f}" == "-0.5" and by_chance.high > 0


def test_lesson_04_says_when_the_order_of_candidates_is_known():
    voting, allocation = (the_pool(kind, 0.9375) for kind in ("voting", "random allocation"))
    assert all(found.low < 0 < found.high for found in (voting.agreement(2, at) for at in voting.at[1:]))
    found = {at: allocation.agreement(2, at) for at in allocation.at[1:]}
    since = 2 + max(at for at, one in found.items() if one.low <= 0)  # an evaluation every other step
    said = f"it lies above zero from step {since} on, and the correlation after 40 steps is {found[40].estimate:.2f}."
    assert said in flat(ROOT / "notebooks" / "04_early_evaluation.ipynb")


def the_pool(kind: str, sparsity: float) -> PoolRecord:
    """The pool of candidates that lessons 04 and 05 take."""
    wanted = (kind, sparsity)
    [pool] = [pool for pool in pool_records() if (pool.candidates_from, pool.sparsity) == wanted]
    return pool


def test_lesson_03_says_what_the_sampling_ratio_does():
    early, lesson = early_evaluations(task_records(), "search"), flat(ROOT / "notebooks" / "03_mask_diversity.ipynb")
    figure = figures.early_by_ratio(early)
    means, dots = figure.estimates[0].intervals, np.concatenate([dots.get_ydata() for dots in figure.axes[1].lines[:4]])
    assert f"scatter by about {dots.std():.1f} points" in lesson and len(dots) == 4 * 8 * 3
    low, high = (f"{end([mean.estimate for mean in means]):+.1f}" for end in (min, max))
    assert f"The four means over the eight tasks are between {low} and {high} points" in lesson
    assert all(mean.low < 0 < mean.high for mean in means)
    assert f"one of {max(max(-mean.low, mean.high) for mean in means):.1f} points is not excluded" in lesson
    ratios = early.sampling_ratio
    assert round(ratios.max() / ratios.min()) == 6 and f"{ratios.min() / 36:g} {ratios.max() / 36:.0e}" == "5e-05 3e-04"


def test_lesson_05_says_what_cheap_strategies_gain():
    most = []
    for pool in (the_pool("random allocation", sparsity) for sparsity in (0.9375, 0.99)):
        gains = {row["strategy"]: row["gained"]["estimate"] for row in judge([pool], repetitions=40)}
        assert all(gains[name] >= gains["full"] for name in ("halving, 1/6 of the steps", "pre-filtered to 2"))
        highest = [math.comb(below, 7) / math.comb(16, 8) for below in range(16)]  # of eight, in the order of scores
        most.append(f"{100 * (np.sort(pool.final) @ highest - pool.final.mean()):.1f}")
    said = "The best of the eight would gain {} points at 93.75 % and {} at 99 %.".format(*most)
    assert said in flat(ROOT / "notebooks" / "05_selection.ipynb")


def test_lesson_05_says_when_the_race_dropped_the_best():
    dropped = []
    for kind in ("voting", "random allocation"):
        pool = the_pool(kind, 0.9375)
        every, total = pool.at[1], pool.at[-1]
        rounds = PairedRace(error_rate=0.05, last=2).select(range(16), total, pool.replay, every=every).rounds
        assert rounds[0].steps == 4 and len(rounds[0].dropped) > 8, "most are said to be dropped at the first look"
        best = pool.final.argmax()
        dropped += [one.steps for one in rounds if best in [drop.candidate for drop in one.dropped]]
    assert (
        f"in the voting pool the candidate that ends best was dropped at step {dropped[0]}, with random allocations at "
        f"step {dropped[1]}."
    ) in flat(ROOT / "notebooks" / "05_selection.ipynb")


def test_lesson_05_says_how_early_scores_scatter():
    early, lesson = early_evaluations(task_records(), "search"), flat(ROOT / "notebooks" / "05_selection.ipynb")
    level = ["task", "seed", "sparsity"]
    spread = (100 * early.groupby(level).score.std()).groupby("sparsity").mean()
    assert spread[:0.9375].is_monotonic_decreasing
    assert (
        f"their standard deviation falls from {spread[0.54]:.1f} points to {spread[0.9375]:.1f}, and is "
        f"{spread[0.99]:.1f} at 99 %"
    ) in lesson
    scores = pd.DataFrame(
        (run.task, run.seed, sparsity, found["metric"][0], found["metric"][-1])
        for run in task_records()
        for sparsity in run.levels
        for found in run.early("search", sparsity)
    ).set_axis([*level, "first", "last"], axis="columns")
    apart = scores[["first", "last"]] - scores.groupby(level)[["first", "last"]].transform("mean")
    found = [rows["first"].corr(rows["last"]) for _, rows in apart.groupby(scores.sparsity)]
    assert f"correlate by {min(found):.1f} to {max(found):.1f}." in lesson


def test_at_equal_steps_imp_is_far_ahead_in_lesson_06():
    value = classroom("06_iterative_pruning")
    assert value["steps_of_search"] == 3 * value["steps_of_imp"]
    assert value["imp_equal_steps"] > value["search_score"] + 0.1
    for sparsity in (0.9375, 0.99):
        steps = contrast(results(), "imp", "imp-short", sparsity)[ALL]
        assert steps.low < 0 < steps.high, "in the study, 11 epochs are said to be not clearly better than 3"


def test_a_high_rate_of_the_early_evaluation_does_in_lesson_04_what_is_said():
    value = classroom("04_early_evaluation")
    assert value["lowest_at_1x"] < value["lowest_at_4x"] < value["dense_accuracy"]
    assert value["lowest_at_16x"] < value["lowest_at_4x"]


def classroom(lesson: str) -> dict[str, float]:
    return expected("classroom", lesson)


def expected(profile: str, lesson: str) -> dict[str, float]:
    """The expected key figures of a lesson in a profile."""
    found = json.loads((ROOT / "data" / "expected" / f"{profile}.json").read_text("utf-8"))["notebooks"][lesson]
    return {key: figure["value"] if isinstance(figure, dict) else figure for key, figure in found.items()}
