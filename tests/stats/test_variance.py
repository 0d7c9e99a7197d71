"""The split recovers known variances, and its interval has the stated coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from randprune_lab.errors import StatisticError
from randprune_lab.stats.variance import variance_split


def scores(random: np.random.Generator, masks: int, seeds: int, mask: float, seed: float) -> np.ndarray:
    """Scores of masks x seeds with effects of these standard deviations."""
    return 0.8 + random.normal(0, mask, (masks, 1)) + random.normal(0, seed, (masks, seeds))


@pytest.mark.parametrize(("mask", "seed"), [(1.0, 2.0), (2.0, 1.0), (0.0, 1.0)])
def test_known_variances_are_recovered_on_average(mask, seed):
    """Within 4.9 standard errors over 2,000 experiments of 8 masks and 3 seeds: the estimates are unbiased."""
    random = np.random.default_rng(0)
    splits = [variance_split(scores(random, 8, 3, mask, seed)) for _ in range(2000)]
    for estimates, true in (([s.mask for s in splits], mask**2), ([s.seed for s in splits], seed**2)):
        assert abs(np.mean(estimates) - true) <= 4.9 * np.std(estimates) / np.sqrt(len(estimates))


@pytest.mark.parametrize(("mask", "seed"), [(1.0, 2.0), (2.0, 1.0), (0.0, 1.0)])
def test_the_interval_of_the_fraction_has_the_stated_coverage(mask, seed):
    """False alarms: fewer than one in a million."""
    random, true = np.random.default_rng(1), mask**2 / (mask**2 + seed**2)
    shares = [variance_split(scores(random, 6, 4, mask, seed)).share for _ in range(2000)]
    covered = sum(share.low <= true <= share.high for share in shares)
    assert stats.binom.ppf(5e-7, 2000, 0.95) <= covered <= stats.binom.isf(5e-7, 2000, 0.95)


def test_a_published_example():
    """Six targets, four judges, ICC(1,1) = 0.17. Source: Shrout and Fleiss 1979, tables 2 to 4."""
    ratings = np.array(
        [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], dtype=float
    )
    split = variance_split(ratings)
    assert split.share.estimate == pytest.approx(0.17, abs=5e-3)
    assert split.reliability(4) == pytest.approx(0.44, abs=5e-3)  # ICC(1,k)


def test_the_reliability_is_the_correlation_of_two_evaluations():
    """Within 0.02, 5 standard errors over 20,000 masks."""
    table = scores(np.random.default_rng(2), 20_000, 2, 1.0, 1.5)
    split = variance_split(table)
    assert np.corrcoef(table.T)[0, 1] == pytest.approx(split.share.estimate, abs=0.02)
    assert split.reliability(1) == pytest.approx(split.share.estimate)


def test_more_seeds_are_more_reliable():
    split = variance_split(scores(np.random.default_rng(3), 8, 3, 1.0, 1.0))
    reliabilities = [split.reliability(seeds) for seeds in (1, 2, 8, 10_000)]
    assert reliabilities == sorted(reliabilities) and reliabilities[-1] == pytest.approx(1, abs=1e-2)


def test_the_fraction_is_1_for_masks_alone_and_0_for_seeds_alone():
    table = scores(np.random.default_rng(4), 8, 3, 1.0, 1e-6)
    assert variance_split(table).share.low > 0.999
    seeds_alone = variance_split(table - table.mean(axis=1, keepdims=True))
    assert seeds_alone.mask < 0 and seeds_alone.share.estimate < 0 and seeds_alone.reliability(3) == 0


def test_order_shift_and_scale_do_not_change_the_fraction():
    random = np.random.default_rng(5)
    table = scores(random, 6, 3, 1.0, 1.0)
    share = variance_split(table).share
    other = variance_split(3 - 2 * random.permuted(table, axis=1)[random.permutation(6)]).share
    assert (other.estimate, other.low, other.high) == pytest.approx((share.estimate, share.low, share.high))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (np.zeros((1, 4)), "at least two masks and two seeds, got 1 and 4"),
        (np.zeros((4, 1)), "at least two masks and two seeds, got 4 and 1"),
        (np.ones((4, 3)), "vary with the seed"),
        (np.full((4, 3), 0.1), "vary with the seed"),  # whose mean is not 0.1, by rounding
        (np.array([[0.1 + 0.2, 0.3], [0.5, 0.5]]), "vary with the seed"),  # equal up to rounding
        (np.array([[0.0, 1.0], [0.0, np.nan]]), "finite scores"),
        (np.array([[0.0, 1.0], [0.0, -np.inf]]), "finite scores"),
    ],
)
def test_scores_that_cannot_be_split_are_an_error(table, message):
    with pytest.raises(StatisticError, match=message):
        variance_split(table)
