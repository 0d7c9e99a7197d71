"""Chances and expectations are right on average over pools whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from randprune_lab.errors import ConfigError
from randprune_lab.stats.confidence import assess_choice

N = 200


def pool(random: np.random.Generator, candidates: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """True scores, and scores on examples: some are hard for all, and the noise has heavy tails.

    The spread is that of the true scores, in standard errors of a candidate's own noise.
    """
    truth = random.normal(0, spread / np.sqrt(N), candidates)
    hard = 2 * random.standard_t(3, N)
    return truth, truth[:, None] + hard + random.standard_t(4, (candidates, N)) / np.sqrt(2)


def simulate(candidates: int, spread: float, pools: int) -> dict[str, np.ndarray]:
    """What was said of the winners of many pools, and what was true."""
    random = np.random.default_rng([candidates, int(10 * spread)])
    rows = []
    for seed in range(pools):
        truth, examples = pool(random, candidates, spread)
        said = assess_choice(examples, seed=seed, resamples=400)
        apart, scores = truth - truth.mean(), said.scores - said.scores.mean()
        rows.append(
            {
                "chance": said.chance_of_best[said.winner],
                "is best": truth.argmax() == said.winner,
                "expected loss": said.expected_loss * np.sqrt(N),
                "loss": (truth.max() - truth[said.winner]) * np.sqrt(N),
                "expected curse": said.winners_curse * np.sqrt(N),
                "curse": (scores - apart)[said.winner] * np.sqrt(N),
                "error": ((said.expected - said.scores.mean() - apart) ** 2).mean() * N,
                "plain error": ((scores - apart) ** 2).mean() * N,
            }
        )
    return {key: np.array([row[key] for row in rows], dtype=float) for key in rows[0]}


SIMULATIONS = [(16, 0.5), (16, 1.0), (16, 3.0), (4, 1.0)]


@pytest.fixture(scope="module", params=SIMULATIONS, ids=str)
def found(request) -> dict[str, np.ndarray]:
    return simulate(*request.param, pools=600)


def standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def test_where_it_says_p_the_winner_is_best_in_p_of_the_cases(found):
    """In each half of the pools, by what is said; within 0.06 and 4.9 standard errors: false alarms less than one in
    a million where it is off by 0.06. The plain bootstrap is off by 0.1 to 0.35."""
    middle = np.median(found["chance"])
    for half in (found["chance"] <= middle, found["chance"] > middle):
        off = found["is best"][half] - found["chance"][half]
        assert abs(off.mean()) <= 0.06 + 4.9 * standard_error(off)


def test_the_loss_is_what_it_is_expected_to_be(found):
    """Within 0.1 standard errors of a candidate, and 4.9 of the mean."""
    off = found["loss"] - found["expected loss"]
    assert abs(off.mean()) <= 0.1 + 4.9 * standard_error(off)


def test_the_winner_is_too_good_by_what_it_is_expected_to_be(found):
    off = found["curse"] - found["expected curse"]
    assert found["curse"].mean() > 0.2
    assert abs(off.mean()) <= 0.15 + 4.9 * standard_error(off)


def test_shrinkage_lowers_the_mean_squared_error(found):
    """The gain is more than 4.9 of its standard errors."""
    gain = found["plain error"] - found["error"]
    assert gain.mean() > 4.9 * standard_error(gain)


def test_of_candidates_that_do_not_differ_none_is_sure_to_be_best():
    """On average over 200 pools of 8; the plain bootstrap says 0.45."""
    random = np.random.default_rng(1)
    said = [assess_choice(pool(random, 8, 0.0)[1], resamples=400) for _ in range(200)]
    assert np.mean([c.chance_of_best.max() for c in said]) < 0.3


def test_a_clear_winner_is_sure():
    examples = np.random.default_rng(2).normal(size=(6, 300)) + np.array([[0], [0], [3], [0], [0], [0]])
    said = assess_choice(examples)
    assert said.winner == 2 and said.chance_of_best[2] > 0.999
    assert said.expected_loss < 1e-3 and abs(said.winners_curse) < 0.1


def test_chances_add_up_and_expectations_lie_between_score_and_mean():
    said = assess_choice(pool(np.random.default_rng(3), 10, 1.0)[1])
    assert said.chance_of_best.sum() == pytest.approx(1)
    assert said.expected_loss >= 0
    towards = (said.expected - said.scores) * (said.scores.mean() - said.scores)
    assert (towards >= -1e-3 * said.scores.std() ** 2).all()
    assert np.abs(said.expected - said.scores).max() > 0


def test_a_worse_winner_has_more_to_lose():
    examples = pool(np.random.default_rng(4), 10, 2.0)[1]
    order = np.argsort(-examples.mean(axis=1))
    losses = [assess_choice(examples, winner=int(candidate)).expected_loss for candidate in order]
    assert losses[0] == assess_choice(examples).expected_loss
    assert losses == sorted(losses)


def test_equal_candidates_share_the_chance():
    examples = np.tile(np.random.default_rng(5).normal(size=50), (4, 1))
    said = assess_choice(examples)
    assert said.chance_of_best == pytest.approx(0.25)
    assert (said.winner, said.expected_loss, said.winners_curse) == (0, 0, pytest.approx(0))


def test_permuting_candidates_permutes_all_of_it():
    examples = pool(np.random.default_rng(6), 7, 1.0)[1]
    order = np.random.default_rng(7).permutation(7)
    said, permuted = assess_choice(examples), assess_choice(examples[order])
    assert order[permuted.winner] == said.winner
    assert permuted.chance_of_best == pytest.approx(said.chance_of_best[order])
    assert permuted.expected == pytest.approx(said.expected[order])
    assert permuted.expected_loss == pytest.approx(said.expected_loss)


def test_what_is_hard_for_all_changes_no_comparison():
    random = np.random.default_rng(8)
    examples = pool(random, 7, 1.0)[1]
    said, harder = assess_choice(examples), assess_choice(examples - 10 * random.random(N))
    assert harder.chance_of_best == pytest.approx(said.chance_of_best)
    assert harder.expected_loss == pytest.approx(said.expected_loss)


def test_it_is_a_pure_function_of_the_scores_and_the_seed():
    examples = pool(np.random.default_rng(9), 7, 1.0)[1]
    one, same, other = assess_choice(examples), assess_choice(examples), assess_choice(examples, seed=1)
    assert (one.chance_of_best == same.chance_of_best).all() and one.expected_loss == same.expected_loss
    assert (one.chance_of_best != other.chance_of_best).any()


@pytest.mark.parametrize("shape", [(1, 10), (3, 1)])
def test_too_little_to_compare_is_an_error(shape):
    with pytest.raises(ConfigError, match=f"are needed, got {shape[0]} and {shape[1]}"):
        assess_choice(np.zeros(shape))
