"""A replay returns the recorded evaluations up to a step, and regrets are those of the choices."""

from __future__ import annotations

import numpy as np
import pytest

from randprune_lab.analysis.replay import Replay, regret
from randprune_lab.errors import ConfigError
from randprune_lab.search.strategies import PairedRace, Screened, SuccessiveHalving, TrainAll

AT = tuple(range(0, 41, 4))
CANDIDATES, N = 8, 120
STRATEGIES = [
    TrainAll(),
    TrainAll(score="log-loss"),
    SuccessiveHalving(budget=0.5),
    PairedRace(),
    Screened(keep=3),
]


def recording(spread: float = 1.0, noise: float = 1.0, seed: int = 0) -> tuple[Replay, np.ndarray]:
    """A pool of recorded evaluations, and the true scores of its candidates."""
    random = np.random.default_rng(seed)
    truth = random.normal(0, spread, CANDIDATES)
    wobble = random.normal(0, noise, (CANDIDATES, len(AT), N))
    examples = truth[:, None, None] + np.array(AT)[None, :, None] / 20 + random.normal(size=N) + wobble
    return Replay(AT, examples, lambda rows: np.tanh(examples[:, :, rows]).mean(axis=2)), truth


def test_a_replay_returns_the_evaluations_up_to_a_step():
    pool, _ = recording()
    (evaluation,) = pool([(3, 8)])
    assert (evaluation.candidate, evaluation.steps, evaluation.at) == (3, 8, (4, 8))
    assert (evaluation.examples == pool.examples[3, 1:3]).all()
    assert evaluation.metric == pytest.approx(np.tanh(pool.examples[3, 1:3]).mean(axis=1))


def test_with_0_steps_a_replay_returns_the_evaluation_without_training():
    pool, _ = recording()
    (evaluation,) = pool([(3, 0)])
    assert evaluation.at == (0,) and (evaluation.examples == pool.examples[3, :1]).all()


def test_candidates_and_examples_of_a_replay_can_be_chosen():
    pool, _ = recording()
    part = Replay(pool.at, pool.examples, pool.metric, chosen=np.array([5, 2]), rows=np.array([7, 7, 3]))
    (evaluation,) = part([(1, 40)])
    assert evaluation.candidate == 1
    assert (evaluation.examples == pool.examples[2, 1:][:, [7, 7, 3]]).all()
    assert evaluation.metric == pytest.approx(np.tanh(evaluation.examples).mean(axis=1))


def test_steps_without_a_recorded_evaluation_are_refused():
    with pytest.raises(ConfigError, match=r"steps must be one of the recorded 0, 4, 8, 12, .*, got 25"):
        recording()[0]([(0, 25)])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_regrets_are_those_of_the_choices(strategy):
    """With all candidates and examples, every repetition makes the same choice."""
    pool, truth = recording()
    result = regret(strategy, pool, truth, repetitions=5)
    selection = strategy.select(range(CANDIDATES), 40, pool, every=4)
    assert (result.steps == selection.steps).all()
    assert (result.share == selection.steps / (CANDIDATES * 40)).all()
    assert (result.evaluations == selection.evaluations).all()
    assert result.lost + result.gained == pytest.approx(truth.max() - truth.mean())
    assert result.lost == pytest.approx(truth.max() - truth[selection.winner])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_without_noise_nothing_is_lost(strategy):
    pool, truth = recording(spread=3.0, noise=0.0)
    pool = Replay(pool.at, pool.examples, lambda rows: pool.examples[:, :, rows].mean(axis=2))
    assert (regret(strategy, pool, truth, candidates=5, examples=60, repetitions=50).lost == 0).all()


def test_the_loss_to_the_best_is_no_chance_if_single_answers_are_known():
    """Candidates that are equally good lose nothing to each other, though the best of 8 scores is 3 points higher."""
    pool, random = recording()[0], np.random.default_rng(0)
    by_score, by_halves = [], []
    for _ in range(60):
        right = random.random((CANDIDATES, 400)) < 0.7
        for truth, lost in ((right.mean(axis=1), by_score), (right, by_halves)):
            lost.append(regret(TrainAll(), pool, truth, repetitions=20).lost.mean())
    assert abs(np.mean(by_halves)) < 0.016 < 0.02 < np.mean(by_score)  # 4 standard errors: false alarm 1 in 16,000


def test_a_loss_that_is_real_is_found_on_either_half():
    pool, truth = recording()
    chances = np.linspace(0.4, 0.9, CANDIDATES)[truth.argsort().argsort()]
    right = np.random.default_rng(1).random((CANDIDATES, 4000)) < chances[:, None]
    worst = Replay(pool.at, -pool.examples, lambda rows: -pool.metric(rows))
    for one in (pool, worst):
        scores = right.mean(axis=1)
        known, found = (regret(TrainAll(), one, each, candidates=5, repetitions=100) for each in (scores, right))
        assert (known.gained == found.gained).all() and (known.steps == found.steps).all()
        assert found.lost == pytest.approx(known.lost, abs=1e-12), "both halves have the same best"


def test_candidates_that_do_not_differ_gain_nothing_over_the_mean():
    """The true scores are independent of the recording. A false alarm, beyond 4.9 standard errors, is one in a million.

    Repetitions over all candidates would share one winner, so each repetition draws only a few of them.
    """
    pool, _ = recording(spread=0.0)
    truth = np.random.default_rng(1).normal(size=(40, CANDIDATES))
    gains = np.array([regret(TrainAll(), pool, t, candidates=4, repetitions=50).gained.mean() for t in truth])
    assert abs(gains.mean()) <= 4.9 * gains.std(ddof=1) / np.sqrt(len(gains))


def test_ties_favour_no_candidate():
    """With equal answers, all candidates win equally often. A count below 60 of 800 has a probability of 1e-5."""
    examples = np.zeros((CANDIDATES, 1, 5))
    pool = Replay((10,), examples, lambda rows: examples.mean(axis=2))
    result = regret(TrainAll(), pool, np.arange(CANDIDATES, dtype=float), repetitions=800)
    assert np.bincount(result.lost.astype(int), minlength=CANDIDATES).min() >= 60


def test_the_same_seed_draws_the_same_pools_for_every_strategy():
    pool, truth = recording()
    first, second = (regret(TrainAll(), pool, truth, candidates=4, examples=50, repetitions=20) for _ in range(2))
    assert (first.lost == second.lost).all()
    halving = regret(SuccessiveHalving(), pool, truth, candidates=4, examples=50, repetitions=20)
    assert halving.lost + halving.gained == pytest.approx(
        first.lost + first.gained
    )  # best minus mean of the same pools
    assert (halving.steps < first.steps).all()
    fresh = regret(TrainAll(), pool, truth, candidates=4, examples=50, repetitions=20, seed=1)
    assert (fresh.gained != first.gained).any()


def test_a_summary_has_the_mean_and_the_range_of_95_percent():
    pool, truth = recording()
    result = regret(TrainAll(), pool, truth, candidates=3, examples=20, repetitions=200)
    summary = result.summary()
    assert summary.keys() == {"lost", "gained", "steps", "share", "evaluations"}
    assert summary["lost"].estimate == pytest.approx(result.lost.mean())
    inside = (result.gained >= summary["gained"].low) & (result.gained <= summary["gained"].high)
    assert inside.mean() >= 0.95


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"candidates": 9}, r"candidates must be in \[1, 8\], got 9"),
        ({"examples": 0}, r"examples must be in \[1, 120\], got 0"),
        ({"truth": np.zeros(3)}, "truth must have a score for each of 8 candidates, got 3"),
    ],
)
def test_more_candidates_or_examples_than_recorded_are_refused(settings, message):
    pool, truth = recording()
    with pytest.raises(ConfigError, match=message):
        regret(TrainAll(), pool, **{"truth": truth, **settings})
