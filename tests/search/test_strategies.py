"""Laws of strategies: the steps that they may spend, the candidates that they must keep, and their plain data."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from support.races import Track, gauss, heavy, noiseless, noisy, overconfident

from randprune_lab.errors import ConfigError, RunError, UnknownNameError
from randprune_lab.search.selection import Evaluation
from randprune_lab.search.strategies import (
    STRATEGIES,
    Cautious,
    PairedRace,
    Screened,
    SuccessiveHalving,
    TrainAll,
    make_strategy,
)

ALL = [
    TrainAll(),
    TrainAll(score="log-loss", last=3),
    SuccessiveHalving(budget=0.5),
    PairedRace(),
    Cautious(),
    Screened(keep=5),
    Screened(keep=5, then=SuccessiveHalving(score="log-loss", budget=0.5)),
    Screened(keep=6, then=PairedRace(looks=4)),
]
ABILITIES = np.random.default_rng(0).normal(size=8)


def track(seed: int = 0, abilities=ABILITIES) -> Track:
    return Track(noisy(abilities, 200, seed, gauss))


# --- all strategies ---


@pytest.mark.parametrize("strategy", ALL)
def test_the_steps_and_evaluations_add_up(strategy):
    pool = track()
    selection = strategy.select(range(8), 100, pool, every=10)
    assert selection.steps == pool.spent <= 800
    assert selection.evaluations == pool.evaluations
    assert max(pool.reached.values()) <= 100


@pytest.mark.parametrize("strategy", ALL)
def test_every_candidate_except_the_winner_is_dropped_once(strategy):
    selection = strategy.select(range(8), 100, track(), every=10)
    dropped = [drop.candidate for round in selection.rounds for drop in round.dropped]
    assert sorted([*dropped, selection.winner]) == list(range(8)) == sorted(selection.ranking)
    assert selection.ranking[0] == selection.winner
    assert selection.scores.keys() == set(range(8))
    for before, after in zip(selection.rounds, selection.rounds[1:], strict=False):
        assert set(after.candidates) == set(before.candidates) - {drop.candidate for drop in before.dropped}
        assert after.steps > before.steps


@pytest.mark.parametrize("strategy", ALL)
def test_the_best_candidate_wins_without_noise(strategy):
    assert strategy.select(range(8), 100, Track(noiseless(ABILITIES)), every=10).winner == np.argmax(ABILITIES)


@pytest.mark.parametrize("strategy", ALL)
def test_the_order_of_the_candidates_does_not_matter(strategy):
    selection = strategy.select(range(8), 100, track(), every=10)
    assert strategy.select([3, 1, 7, 0, 2, 6, 5, 4], 100, track(), every=10) == selection


@pytest.mark.parametrize("strategy", ALL)
def test_other_numbers_of_the_candidates_change_only_the_numbers(strategy):
    pool, order = track(), [5, 0, 3, 7, 1, 6, 2, 4]
    selection = strategy.select(range(8), 100, pool, every=10)
    renamed = strategy.select(range(8), 100, Track(lambda c, step: pool.answers(order[c], step)), every=10)
    assert renamed.steps == selection.steps
    assert {order[c]: score for c, score in renamed.scores.items()} == selection.scores
    assert order[renamed.winner] == selection.winner or selection.scores[order[renamed.winner]] == max(
        selection.scores.values()
    )


@pytest.mark.parametrize("strategy", ALL)
def test_the_lowest_number_wins_a_tie(strategy):
    selection = strategy.select(range(2, 10), 100, Track(lambda c, step: np.linspace(-1, 0, 30)), every=10)
    assert selection.ranking == list(range(2, 10))


@pytest.mark.parametrize("strategy", ALL)
def test_a_diverged_candidate_is_dropped_and_the_others_go_on(strategy):
    best = int(np.argmax(ABILITIES))
    answers = noiseless(ABILITIES)
    pool = Track(lambda c, step: answers(c, step) * (np.nan if c == best and step > 5 else 1))
    selection = strategy.select(range(8), 100, pool, every=10)
    assert selection.winner == np.argsort(ABILITIES)[-2]
    assert "not finite" in next(d.why for r in selection.rounds for d in r.dropped if d.candidate == best)


def test_without_any_finite_score_there_is_no_winner():
    with pytest.raises(RunError, match="no candidate has finite scores after 100 steps"):
        TrainAll().select(range(3), 100, Track(lambda c, step: np.full(5, np.nan)))


@pytest.mark.parametrize("strategy", ALL)
def test_a_selection_is_plain_data(strategy):
    selection = strategy.select(range(8), 100, track(), every=10)
    plain = selection.to_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert (plain["winner"], plain["steps"]) == (selection.winner, selection.steps)
    assert [round["steps"] for round in plain["rounds"]] == [round.steps for round in selection.rounds]


@pytest.mark.parametrize("strategy", [s for s in ALL if not isinstance(s, Screened)])
def test_a_single_candidate_wins(strategy):
    selection = strategy.select([4], 100, track(), every=10)
    assert selection.ranking == [4] and selection.steps <= 100


# --- full ---


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), last=st.integers(1, 12), score=st.sampled_from(["metric", "log-loss"]))
def test_full_selects_the_highest_mean_of_the_last_evaluations(seed, last, score):
    pool = track(seed)
    selection = TrainAll(score=score, last=last).select(range(8), 95, pool, every=10)
    evaluations = [pool.evaluation(candidate, 95) for candidate in range(8)]
    means = [np.mean(e.metric[-last:] if score == "metric" else e.examples[-last:].mean(axis=1)) for e in evaluations]
    assert means[selection.winner] == pytest.approx(max(means))
    assert list(selection.scores.values()) == pytest.approx(means)
    assert selection.steps == 8 * 95


# --- successive halving ---


@settings(max_examples=60)
@given(
    candidates=st.integers(1, 40),
    eta=st.integers(2, 5),
    budget=st.floats(0.02, 1),
    total=st.integers(1, 400),
    every=st.integers(1, 60),
)
def test_halving_never_spends_more_than_its_budget(candidates, eta, budget, total, every):
    strategy = SuccessiveHalving(eta=eta, budget=budget)
    pool = Track(noiseless(np.zeros(candidates)), every)
    try:
        selection = strategy.select(range(candidates), total, pool, every=every)
    except ConfigError as error:
        assert "raise the budget" in str(error)
        assert int(budget * candidates * total + 1e-6) // candidates < min(every, total)
        return
    assert pool.spent == selection.steps <= budget * candidates * total + 1e-6
    assert all(round.steps % every == 0 or round.steps == total for round in selection.rounds)


def test_halving_spends_its_budget_equally_in_each_round():
    selection = SuccessiveHalving(budget=1 / 6).select(range(16), 960, track(abilities=np.zeros(16)))
    assert [(round.steps, len(round.candidates)) for round in selection.rounds] == [
        (40, 16),
        (120, 8),
        (280, 4),
        (600, 2),
    ]
    assert selection.steps == 16 * 960 / 6


def test_halving_has_fewer_rounds_if_they_would_not_reach_an_evaluation():
    selection = SuccessiveHalving(budget=1 / 6).select(range(8), 50, track(abilities=np.zeros(8)), every=3)
    assert [(round.steps, len(round.candidates)) for round in selection.rounds] == [(3, 8), (15, 3)]
    assert selection.steps <= 8 * 50 / 6


def test_a_budget_that_reaches_no_evaluation_is_refused():
    with pytest.raises(ConfigError, match=r"budget of 0.1 gives each of 16 candidates 20 steps, but .* after 50"):
        SuccessiveHalving(budget=0.1).select(range(16), 200, track(), every=50)


# --- the race ---


@pytest.mark.parametrize("noise", [gauss, heavy, overconfident])
@pytest.mark.parametrize("ahead", [0.0, 0.02])
def test_the_race_keeps_its_error_rate(noise, ahead):
    """The probability of a false alarm is less than one in a million, if the error rate is kept."""
    repetitions, error_rate = 300, 0.1
    race = PairedRace(error_rate=error_rate, looks=4)
    abilities = [ahead, 0, 0, 0, 0, 0]
    dropped = 0
    for seed in range(repetitions):
        rounds = race.select(range(6), 40, Track(noisy(abilities, 300, seed, noise)), every=10).rounds
        dropped += any(drop.candidate == 0 for round in rounds[:3] for drop in round.dropped)
    assert dropped <= stats.binom.isf(1e-6, repetitions, error_rate)


def test_clearly_worse_candidates_are_dropped_at_the_first_look():
    """All 20 races save at least half of the steps. The power against each of the 6 is more than 0.999."""
    for seed in range(20):
        selection = PairedRace().select(range(8), 100, track(seed, [0, 0.1, *[-1.0] * 6]), every=10)
        assert selection.steps <= 400 and selection.winner in (0, 1)
        assert {drop.candidate for drop in selection.rounds[0].dropped} == set(range(2, 8))
        assert all("worse than candidate" in drop.why for drop in selection.rounds[0].dropped)


def test_more_looks_and_candidates_lower_the_level_of_a_test():
    """The level of a test is the error rate, divided by the number of tests of a candidate."""
    stages = PairedRace(error_rate=0.06, looks=4).stages(11, 100, 10)
    assert [stage.steps for stage in stages] == [30, 50, 80, 100]
    assert stages[0].drop.keywords["level"] == pytest.approx(0.06 / 3 / 10)


def test_more_looks_than_evaluations_are_looks_at_all_of_them():
    for looks in (10, 11, 10**15):
        stages = PairedRace(looks=looks).stages(3, 100, 10)
        assert [stage.steps for stage in stages] == [*range(10, 101, 10)]
    assert [stage.steps for stage in PairedRace(looks=10**15).stages(3, 95, 10)] == [*range(10, 91, 10), 95]


# --- screening ---


def pool_of(*means: float, n: int = 300, noise: float = 1.0, seed: int = 0) -> list[Evaluation]:
    """One evaluation of each candidate, whose scores of examples are paired: easy examples are easy for all."""
    random = np.random.default_rng(seed)
    easy = random.normal(size=n)
    rows = [mean + easy + noise * random.normal(size=n) for mean in means]
    return [Evaluation(place, 10, (10,), (0.0,), row[None]) for place, row in enumerate(rows)]


def chosen(pool: list[Evaluation]) -> int:
    return Cautious().select(range(len(pool)), 10, lambda pairs: [pool[candidate] for candidate, _ in pairs]).winner


def test_a_cautious_search_keeps_a_better_incumbent_and_leaves_a_worse_one():
    assert all(chosen(pool_of(0.0, *[0.5] * 7, seed=seed)) > 0 for seed in range(30))
    assert not any(chosen(pool_of(0.0, *[-0.5] * 7, seed=seed)) for seed in range(30))


def test_a_lead_is_shrunk_to_the_mean_of_the_others():
    """One candidate leads by luck alone where all others are behind; with a spread of their own it is believed."""
    alike = [chosen(pool_of(0.12, *[0.0] * 7, seed=seed)) for seed in range(60)]
    best = [
        max(range(8), key=lambda c, s=seed: pool_of(0.12, *[0.0] * 7, seed=s)[c].by_example(1).mean())
        for seed in range(60)
    ]
    assert np.count_nonzero(alike) < np.count_nonzero(best) / 2
    spread = [chosen(pool_of(0.12, *np.linspace(-1, 1, 7), seed=seed)) for seed in range(20)]
    assert set(spread) == {7}


def test_without_the_incumbent_the_best_of_the_others_wins():
    pool = pool_of(0.0, -0.5, 0.4, 0.1)
    pool[0] = dataclasses.replace(pool[0], examples=np.full_like(pool[0].examples, np.nan))
    assert chosen(pool) == 2
    assert chosen(pool_of(0.0, 0.9)) == 1 and chosen(pool_of(0.0, -0.9)) == 0


def test_a_cautious_search_says_why_and_takes_no_other_score():
    selection = Cautious().select([0, 1, 2], 10, lambda pairs: [pool_of(0.0, -0.5, -0.4)[c] for c, _ in pairs])
    assert {drop.candidate for drop in selection.rounds[0].dropped} == {1, 2}
    assert all("leads candidate 0 by -0." in drop.why for drop in selection.rounds[0].dropped)
    with pytest.raises(ConfigError, match="compares by score=\"log-loss\", got 'metric'"):
        Cautious(score="metric")


def test_screening_keeps_the_best_and_trains_no_others():
    pool = Track(noiseless(np.arange(64)[::-1] / 64))
    selection = Screened(keep=6, then=TrainAll()).select(range(64), 100, pool, every=10)
    assert selection.rounds[0].steps == 0
    assert selection.rounds[1].candidates == tuple(range(6))
    assert selection.steps == 600 and selection.evaluations == 64 + 60
    assert {candidate for candidate, steps in pool.reached.items() if steps > 0} == set(range(6))


# --- names and settings ---


@pytest.mark.parametrize("strategy", ALL)
def test_a_strategy_can_be_made_from_its_settings(strategy):
    assert make_strategy(**json.loads(json.dumps(strategy.to_dict()))) == strategy


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_can_be_made_by_its_name(name):
    assert make_strategy(name).name == name


def test_unknown_names_and_settings_are_refused():
    with pytest.raises(UnknownNameError, match="unknown strategy 'halvin'; did you mean 'halving'"):
        make_strategy("halvin")
    with pytest.raises(
        ConfigError, match="strategy 'race' has no setting 'eta'; its settings: score, last, error_rate, looks"
    ):
        make_strategy("race", eta=3)


@pytest.mark.parametrize(
    ("name", "setting", "message"),
    [
        ("full", {"score": "loss"}, "score must be metric or log-loss, got 'loss'"),
        ("full", {"last": 0}, r"last must be in \[1, inf\), got 0"),
        ("halving", {"eta": 1}, r"eta must be in \[2, inf\), got 1"),
        ("halving", {"budget": 0}, r"budget must be in \(0, 1\], got 0"),
        ("race", {"error_rate": 0.6}, r"error_rate must be in \(0, 0.5\], got 0.6"),
        ("race", {"looks": 1}, r"looks must be in \[2, inf\), got 1"),
        ("screened", {"keep": 0}, r"keep must be in \[1, inf\), got 0"),
        ("screened", {"score": "loss"}, "score must be metric or log-loss, got 'loss'"),
    ],
)
def test_errors_name_the_setting_and_its_value(name, setting, message):
    with pytest.raises(ConfigError, match=message):
        make_strategy(name, **setting)


@pytest.mark.parametrize(
    ("candidates", "total", "every", "message"),
    [
        ([], 10, 1, r"one or more different numbers, got \[\]"),
        ([1, 2, 1], 10, 1, r"one or more different numbers, got \[1, 2, 1\]"),
        ([1, 2], 0, 1, r"total_steps must be in \[1, inf\), got 0"),
        ([1, 2], 10, 0, r"every must be in \[1, inf\), got 0"),
    ],
)
def test_a_race_with_wrong_numbers_is_refused(candidates, total, every, message):
    with pytest.raises(ConfigError, match=message):
        TrainAll().select(candidates, total, track(), every=every)


def test_screening_cannot_keep_more_candidates_than_there_are():
    with pytest.raises(ConfigError, match="keep must be at most 8, the number of candidates, got 9"):
        Screened(keep=9).select(range(8), 100, track())
