"""A replay gives what was recorded and nothing later; regrets are those of the choices made."""

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
    """Recorded trainings, and the true scores of their candidates."""
    random = np.random.default_rng(seed)
    truth = random.normal(0, spread, CANDIDATES)
    wobble = random.normal(0, noise, (CANDIDATES, len(AT), N))
    examples = truth[:, None, None] + np.array(AT)[None, :, None] / 20 + random.normal(size=N) + wobble
    return Replay(AT, examples, lambda rows: np.tanh(examples[:, :, rows]).mean(axis=2)), truth


def test_it_gives_what_was_recorded_until_then():
    pool, _ = recording()
    (evaluation,) = pool([(3, 8)])
    assert (evaluation.candidate, evaluation.steps, evaluation.at) == (3, 8, (4, 8))
    assert (evaluation.examples == pool.examples[3, 1:3]).all()
    assert evaluation.metric == pytest.approx(np.tanh(pool.examples[3, 1:3]).mean(axis=1))


def test_before_training_there_is_the_pass_before_training():
    pool, _ = recording()
    (evaluation,) = pool([(3, 0)])
    assert evaluation.at == (0,) and (evaluation.examples == pool.examples[3, :1]).all()


def test_who_takes_part_and_the_examples_can_be_chosen():
    pool, _ = recording()
    part = Replay(pool.at, pool.examples, pool.metric, chosen=np.array([5, 2]), rows=np.array([7, 7, 3]))
    (evaluation,) = part([(1, 40)])
    assert evaluation.candidate == 1
    assert (evaluation.examples == pool.examples[2, 1:][:, [7, 7, 3]]).all()
    assert evaluation.metric == pytest.approx(np.tanh(evaluation.examples).mean(axis=1))


def test_what_was_not_recorded_is_an_error():
    with pytest.raises(ConfigError, match="nothing was recorded at step 25; recorded: 0, 4, 8, 12,"):
        recording()[0]([(0, 25)])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_regrets_are_those_of_the_choices(strategy):
    """With all candidates and examples every repetition makes the same choice."""
    pool, truth = recording()
    found = regret(strategy, pool, truth, repetitions=5)
    selection = strategy.select(range(CANDIDATES), 40, pool, every=4)
    assert (found.steps == selection.steps).all()
    assert (found.share == selection.steps / (CANDIDATES * 40)).all()
    assert (found.evaluations == selection.evaluations).all()
    assert found.lost + found.gained == pytest.approx(truth.max() - truth.mean())
    assert found.lost == pytest.approx(truth.max() - truth[selection.winner])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_without_noise_nothing_is_lost(strategy):
    pool, truth = recording(spread=3.0, noise=0.0)
    pool = Replay(pool.at, pool.examples, lambda rows: pool.examples[:, :, rows].mean(axis=2))
    assert (regret(strategy, pool, truth, candidates=5, examples=60, repetitions=50).lost == 0).all()


def test_candidates_that_do_not_differ_gain_nothing_over_the_mean():
    """Truth that the recording knows nothing of: a gain of more than 4.9 standard errors is a false alarm in a
    million. Repetitions over all candidates would share one winner; so each draws its own few."""
    pool, _ = recording(spread=0.0)
    truth = np.random.default_rng(1).normal(size=(40, CANDIDATES))
    gains = np.array([regret(TrainAll(), pool, t, candidates=4, repetitions=50).gained.mean() for t in truth])
    assert abs(gains.mean()) <= 4.9 * gains.std(ddof=1) / np.sqrt(len(gains))


def test_ties_favour_no_candidate():
    """All answers are equal: each is chosen about as often; a count of less than 60 of 800 has a chance of 1e-5."""
    examples = np.zeros((CANDIDATES, 1, 5))
    pool = Replay((10,), examples, lambda rows: examples.mean(axis=2))
    found = regret(TrainAll(), pool, np.arange(CANDIDATES, dtype=float), repetitions=800)
    assert np.bincount(found.lost.astype(int), minlength=CANDIDATES).min() >= 60


def test_the_same_seed_draws_the_same_pools_for_every_strategy():
    pool, truth = recording()
    one, other = (regret(TrainAll(), pool, truth, candidates=4, examples=50, repetitions=20) for _ in range(2))
    assert (one.lost == other.lost).all()
    halving = regret(SuccessiveHalving(), pool, truth, candidates=4, examples=50, repetitions=20)
    assert halving.lost + halving.gained == pytest.approx(one.lost + one.gained)  # best less mean of the same pools
    assert (halving.steps < one.steps).all()
    fresh = regret(TrainAll(), pool, truth, candidates=4, examples=50, repetitions=20, seed=1)
    assert (fresh.gained != one.gained).any()


def test_a_summary_is_the_mean_and_where_most_lie():
    pool, truth = recording()
    found = regret(TrainAll(), pool, truth, candidates=3, examples=20, repetitions=200)
    summary = found.summary()
    assert summary.keys() == {"lost", "gained", "steps", "share", "evaluations"}
    assert summary["lost"].estimate == pytest.approx(found.lost.mean())
    inside = (found.gained >= summary["gained"].low) & (found.gained <= summary["gained"].high)
    assert inside.mean() >= 0.95


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"candidates": 9}, r"candidates must be in \[1, 8\], got 9"),
        ({"examples": 0}, r"examples must be in \[1, 120\], got 0"),
        ({"truth": np.zeros(3)}, "truth must have a score for each of 8 candidates, got 3"),
    ],
)
def test_more_than_was_recorded_cannot_be_drawn(settings, message):
    pool, truth = recording()
    with pytest.raises(ConfigError, match=message):
        regret(TrainAll(), pool, **{"truth": truth, **settings})
