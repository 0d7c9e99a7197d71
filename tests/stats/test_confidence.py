"""Probabilities and expectations are right on average over pools whose true scores are known."""

from __future__ import annotations

import numpy as np
import pytest

from randprune_lab.errors import StatisticError
from randprune_lab.stats.confidence import assess_choice

N = 200


def pool(random: np.random.Generator, candidates: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """True scores, and scores on examples: some are hard for all candidates, and the noise has heavy tails.

    Args:
        spread: standard deviation of the true scores, in standard errors of a candidate's own noise.
    """
    truth = random.normal(0, spread / np.sqrt(N), candidates)
    hard = 2 * random.standard_t(3, N)
    return truth, truth[:, None] + hard + random.standard_t(4, (candidates, N)) / np.sqrt(2)


def simulate(candidates: int, spread: float, pools: int) -> dict[str, np.ndarray]:
    """The reported and the true values of the winners of many pools."""
    random = np.random.default_rng([candidates, int(10 * spread)])
    rows = []
    for seed in range(pools):
        truth, examples = pool(random, candidates, spread)
        confidence = assess_choice(examples, seed=seed, resamples=200)
        relative, scores = truth - truth.mean(), confidence.scores - confidence.scores.mean()
        rows.append(
            {
                "chance": confidence.chance_of_best[confidence.winner],
                "is best": truth.argmax() == confidence.winner,
                "expected loss": confidence.expected_loss * np.sqrt(N),
                "loss": (truth.max() - truth[confidence.winner]) * np.sqrt(N),
                "expected curse": confidence.winners_curse * np.sqrt(N),
                "curse": (scores - relative)[confidence.winner] * np.sqrt(N),
                "error": ((confidence.expected - confidence.scores.mean() - relative) ** 2).mean() * N,
                "plain error": ((scores - relative) ** 2).mean() * N,
            }
        )
    return {key: np.array([row[key] for row in rows], dtype=float) for key in rows[0]}


SIMULATIONS = [(16, 0.5), (16, 1.0), (16, 3.0), (4, 1.0)]


@pytest.fixture(scope="module", params=SIMULATIONS, ids=str)
def simulated(request) -> dict[str, np.ndarray]:
    return simulate(*request.param, pools=600)


def standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def test_a_reported_probability_is_the_frequency_of_being_best(simulated):
    """Within 0.06 plus 4.9 standard errors, in the pools with lower and in those with higher probabilities.

    False alarms: fewer than one in a million if the bias is 0.06. The plain bootstrap has a bias of 0.1 to 0.35.
    """
    middle = np.median(simulated["chance"])
    for half in (simulated["chance"] <= middle, simulated["chance"] > middle):
        off = simulated["is best"][half] - simulated["chance"][half]
        assert abs(off.mean()) <= 0.06 + 4.9 * standard_error(off)


def test_the_mean_loss_is_the_expected_loss(simulated):
    """Within 0.1 standard errors of a candidate plus 4.9 standard errors of the mean."""
    off = simulated["loss"] - simulated["expected loss"]
    assert abs(off.mean()) <= 0.1 + 4.9 * standard_error(off)


def test_the_mean_winners_curse_is_the_expected_one(simulated):
    off = simulated["curse"] - simulated["expected curse"]
    assert simulated["curse"].mean() > 0.2
    assert abs(off.mean()) <= 0.15 + 4.9 * standard_error(off)


def test_shrinkage_lowers_the_mean_squared_error(simulated):
    """The reduction is more than 4.9 of its standard errors."""
    reduction = simulated["plain error"] - simulated["error"]
    assert reduction.mean() > 4.9 * standard_error(reduction)


def test_equal_true_scores_make_no_candidate_the_certain_best():
    """On average over 200 pools of 8 candidates; the plain bootstrap reports 0.45."""
    random = np.random.default_rng(1)
    confidence = [assess_choice(pool(random, 8, 0.0)[1], resamples=400) for _ in range(200)]
    assert np.mean([c.chance_of_best.max() for c in confidence]) < 0.3


@pytest.mark.parametrize(("candidates", "spread"), [(8, 0.3), (8, 1.0), (16, 0.3), (8, 2.0)], ids=str)
def test_pools_of_other_levels_make_the_winners_curse_right_where_candidates_hardly_differ(candidates, spread):
    """Within 0.2 standard errors, plus 4 of the mean; a single pool is off by 0.37 at a spread of 0.3."""
    random = np.random.default_rng([candidates, int(10 * spread), 5])
    off, chance = [], []
    for seed in range(150):
        truth, examples = pool(random, candidates, spread)
        others = [pool(random, candidates, spread)[1] for _ in range(3)]
        found = assess_choice(examples, others=others, seed=seed, resamples=200)
        curse = (found.scores - truth - (found.scores - truth).mean())[found.winner]
        off.append(np.sqrt(N) * (curse - found.winners_curse))
        chance.append((truth.argmax() == found.winner) - found.chance_of_best[found.winner])
    assert abs(np.mean(off)) <= 0.2 + 4 * standard_error(np.array(off))
    assert abs(np.mean(chance)) <= 0.06 + 4 * standard_error(np.array(chance))


def test_other_pools_count_by_their_spread_in_standard_errors():
    """Neither the unit of their scores nor the number of their examples counts; and no order."""
    random = np.random.default_rng(11)
    examples, one, two = (pool(random, 8, spread)[1] for spread in (1.0, 0.0, 3.0))
    plain = assess_choice(examples).winners_curse
    assert assess_choice(examples, others=[one]).winners_curse > plain
    assert assess_choice(examples, others=[two]).winners_curse < plain
    found = assess_choice(examples, others=[one, two])
    again = assess_choice(examples, others=[100 * two, one])
    assert found.winners_curse == pytest.approx(again.winners_curse)


def test_a_clear_winner_is_certain():
    examples = np.random.default_rng(2).normal(size=(6, 300)) + np.array([[0], [0], [3], [0], [0], [0]])
    confidence = assess_choice(examples)
    assert confidence.winner == 2 and confidence.chance_of_best[2] > 0.999
    assert confidence.expected_loss < 1e-3 and abs(confidence.winners_curse) < 0.1


def test_probabilities_add_up_and_expectations_are_between_score_and_mean():
    confidence = assess_choice(pool(np.random.default_rng(3), 10, 1.0)[1])
    assert confidence.chance_of_best.sum() == pytest.approx(1)
    assert confidence.expected_loss >= 0
    shrinkage = (confidence.expected - confidence.scores) * (confidence.scores.mean() - confidence.scores)
    assert (shrinkage >= -1e-3 * confidence.scores.std() ** 2).all()
    assert np.abs(confidence.expected - confidence.scores).max() > 0


def test_a_worse_winner_has_more_to_lose():
    examples = pool(np.random.default_rng(4), 10, 2.0)[1]
    order = np.argsort(-examples.mean(axis=1))
    losses = [assess_choice(examples, winner=int(candidate)).expected_loss for candidate in order]
    assert losses[0] == assess_choice(examples).expected_loss
    assert losses == sorted(losses)


def test_equal_candidates_have_equal_probabilities():
    examples = np.tile(np.random.default_rng(5).normal(size=50), (4, 1))
    confidence = assess_choice(examples)
    assert confidence.chance_of_best == pytest.approx(0.25)
    assert (confidence.winner, confidence.expected_loss, confidence.winners_curse) == (0, 0, pytest.approx(0))


def test_permuting_candidates_permutes_the_result():
    examples = pool(np.random.default_rng(6), 7, 1.0)[1]
    order = np.random.default_rng(7).permutation(7)
    confidence, permuted = assess_choice(examples), assess_choice(examples[order])
    assert order[permuted.winner] == confidence.winner
    assert permuted.chance_of_best == pytest.approx(confidence.chance_of_best[order])
    assert permuted.expected == pytest.approx(confidence.expected[order])
    assert permuted.expected_loss == pytest.approx(confidence.expected_loss)


def test_the_difficulty_of_an_example_changes_no_comparison():
    random = np.random.default_rng(8)
    examples = pool(random, 7, 1.0)[1]
    confidence, harder = assess_choice(examples), assess_choice(examples - 10 * random.random(N))
    assert harder.chance_of_best == pytest.approx(confidence.chance_of_best)
    assert harder.expected_loss == pytest.approx(confidence.expected_loss)


def test_it_is_a_pure_function_of_the_scores_and_the_seed():
    examples = pool(np.random.default_rng(9), 7, 1.0)[1]
    first, same, other = assess_choice(examples), assess_choice(examples), assess_choice(examples, seed=1)
    assert (first.chance_of_best == same.chance_of_best).all() and first.expected_loss == same.expected_loss
    assert (first.chance_of_best != other.chance_of_best).any()


@pytest.mark.parametrize("shape", [(1, 10), (3, 1)])
def test_too_few_candidates_or_examples_are_an_error(shape):
    with pytest.raises(
        StatisticError, match=f"at least two candidates and two examples, got {shape[0]} and {shape[1]}"
    ):
        assess_choice(np.zeros(shape))


@pytest.mark.parametrize("score", [np.nan, -np.inf])
def test_scores_of_a_candidate_that_diverged_are_an_error(score):
    with pytest.raises(StatisticError, match="finite scores"):
        assess_choice(np.array([[0.1, 0.2], [0.1, score]]))
