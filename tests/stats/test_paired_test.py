"""The test rejects a true null hypothesis at most at its level, also for skewed or heavy-tailed differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from support.races import gauss, heavy, overconfident

from randprune_lab.stats.paired_test import above_zero, worse


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("noise", [gauss, heavy, overconfident])
def test_a_true_null_hypothesis_is_rejected_at_the_stated_level(noise, sign):
    """False alarms: fewer than one in a million if the true level is at most 1.25 times the stated one.

    The plain t test rejects overconfident gains 2.8 times too often here.
    """
    level, repetitions = 0.01, 6000
    rejected = (above_zero(sign * noise(np.random.default_rng(0), (repetitions + 1, 400))[1:]) <= level).sum()
    assert rejected <= stats.binom.isf(1e-6, repetitions, 1.25 * level)


def test_heavy_tails_are_not_mistaken_for_skewness():
    """At this smaller level, the transformed statistic alone rejects 2 times too often."""
    level, repetitions = 0.001, 40_000
    random = np.random.default_rng(1)
    rejected = sum((above_zero(heavy(random, (4000, 400))) <= level).sum() for _ in range(repetitions // 4000))
    assert rejected <= stats.binom.isf(1e-6, repetitions, level)


def test_without_skewness_it_is_the_t_test():
    differences = np.random.default_rng(2).normal(0.1, size=(5, 50))
    differences = np.concatenate([differences, 2 * differences.mean(axis=1, keepdims=True) - differences], axis=1)
    assert above_zero(differences) == pytest.approx(stats.ttest_1samp(differences, 0, axis=1, alternative="greater")[1])


def test_a_clear_difference_is_detected_and_pairing_helps():
    random = np.random.default_rng(3)
    common = 5 * random.normal(size=300)
    p = worse(np.stack([common, common + 0.3 + random.normal(size=300)]))
    assert p[0, 1] < 1e-4 and p[1, 0] > 0.999
    assert worse(np.stack([common, random.permutation(common) + 0.3]))[0, 1] > 0.01


def test_answers_that_differ_by_a_constant_or_not_at_all():
    answers = np.random.default_rng(4).normal(size=30)
    p = worse(np.stack([answers, answers, answers + 0.25]))
    assert p.tolist() == [[1, 1, 0.5**30], [1, 1, 0.5**30], [1, 1, 1]]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_few_equal_differences_are_no_proof(n):
    """Gains of 1 in 40 % of the examples and of -1 in the others: all of n are gains with probability 0.4 to the n."""
    gains = np.random.default_rng(5).choice([1.0, -1.0], (20_000, n), p=[0.4, 0.6])
    for level in (0.25, 0.1, 0.01):
        assert (above_zero(gains) <= level).mean() <= level
