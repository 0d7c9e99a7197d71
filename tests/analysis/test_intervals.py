"""Intervals cover the truth as often as they say, and use that two models answered the same examples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from randprune_lab.analysis.intervals import accuracy_interval, paired_difference


def answers(right: int, n: int) -> np.ndarray:
    """`right` of n answers are right, in an order that tells nothing."""
    return np.random.default_rng(0).permutation(np.arange(n) < right)


def pair(both: int, first: int, second: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """The answers of two models: so many right by both, by one of them alone, and by neither."""
    numbers = (both, first, second, neither)
    return np.repeat([True, True, False, False], numbers), np.repeat([True, False, True, False], numbers)


def width(interval) -> float:
    return interval.high - interval.low


# --- an accuracy ---


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_accuracy_has_the_published_wilson_intervals(right, n, low, high):
    """Newcombe 1998, table I, method 3."""
    interval = accuracy_interval(answers(right, n))
    assert interval.estimate == right / n
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("right", "n"), [(0, 1), (1, 1), (1, 2), (37, 40), (500, 1000), (999, 1000)])
def test_the_ends_are_where_the_score_test_just_rejects(right, n):
    interval = accuracy_interval(answers(right, n))
    for end in (interval.low, interval.high):
        if 0 < end < 1:  # at 0 and 1 the end is the estimate itself
            score = (right / n - end) / np.sqrt(end * (1 - end) / n)
            assert 2 * stats.norm.sf(abs(score)) == pytest.approx(0.05)
    assert 0 <= interval.low <= interval.estimate <= interval.high <= 1


def test_right_and_wrong_are_mirror_images():
    correct = answers(13, 90)
    interval, mirrored = accuracy_interval(correct), accuracy_interval(~correct)
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - interval.high, 1 - interval.low))


def test_an_interval_reads_as_text():
    assert str(accuracy_interval(answers(81, 263))) == "0.3080 [0.2553, 0.3662]"


# --- a paired difference ---


def test_a_paired_interval_covers_the_truth_as_often_as_it_says():
    """False alarms: less than one in a million if it covers in 93.5 to 96.5 of 100; 90 of 100 would be found out."""
    random = np.random.default_rng(1)
    shares, n, repetitions = [0.7, 0.14, 0.08, 0.08], 400, 2000
    truth = shares[1] - shares[2]
    intervals = [
        paired_difference(*pair(*random.multinomial(n, shares)), seed=repetition) for repetition in range(repetitions)
    ]
    covered = sum(interval.low <= truth <= interval.high for interval in intervals)
    assert stats.binom.ppf(5e-7, repetitions, 0.935) <= covered <= stats.binom.isf(5e-7, repetitions, 0.965)


def test_the_estimate_is_the_difference_of_the_accuracies():
    first, second = answers(70, 100), np.roll(answers(64, 100), 7)
    interval = paired_difference(first, second)
    assert interval.estimate == pytest.approx(first.mean() - second.mean())
    assert interval.low < interval.estimate < interval.high


def test_the_width_is_that_of_the_paired_normal_interval():
    """Within 10 %: the ends of 2,000 resamples scatter by about 3 % of it, and they lie on a grid of 1 / n."""
    first, second = pair(600, 90, 60, 250)
    difference = first.astype(int) - second.astype(int)
    assert width(paired_difference(first, second)) == pytest.approx(
        2 * 1.96 * difference.std() / np.sqrt(len(difference)), rel=0.1
    )


def test_exchanging_the_two_changes_the_sign():
    """The estimate exactly; the ends within a tenth of the width, which is 6 standard errors of 2,000 resamples."""
    first, second = pair(600, 90, 60, 250)
    one, other = paired_difference(first, second), paired_difference(second, first)
    assert one.estimate == -other.estimate
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=0.1 * width(one))


def test_equal_answers_leave_no_doubt():
    interval = paired_difference(answers(70, 100), answers(70, 100))
    assert (interval.estimate, interval.low, interval.high) == (0, 0, 0)


def test_pairing_narrows_the_interval_of_answers_that_go_together():
    first, second = pair(600, 90, 60, 250)
    unrelated = np.random.default_rng(2).permutation(second)
    assert width(paired_difference(first, second)) < 0.65 * width(paired_difference(first, unrelated))


def test_the_order_of_the_examples_does_not_matter():
    first, second = pair(60, 9, 6, 25)
    order = np.random.default_rng(3).permutation(len(first))
    assert paired_difference(first[order], second[order]) == paired_difference(first, second)


def test_the_interval_is_a_pure_function_of_the_answers_and_the_seed():
    first, second = pair(600, 90, 60, 250)
    np.random.seed(4)  # noqa: NPY002
    interval = paired_difference(first, second)
    np.random.seed(5)  # noqa: NPY002
    assert paired_difference(first, second) == interval
    assert paired_difference(first, second, seed=1) != interval
