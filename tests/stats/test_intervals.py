"""Intervals have the stated coverage, and those of differences use that both models have the same examples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score, matthews_corrcoef

from randprune_lab.stats import intervals
from randprune_lab.stats.intervals import (
    WEIGHTED,
    Interval,
    accuracy_interval,
    mean_interval,
    paired_difference,
    rank_correlation,
    score_difference,
    score_interval,
)
from randprune_lab.tasks.metrics import CORRELATIONS, METRICS


def answers(right: int, n: int) -> np.ndarray:
    """`right` of n answers are right, in random order."""
    return np.random.default_rng(0).permutation(np.arange(n) < right)


def pair(both: int, first: int, second: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Answers of two models: numbers of examples that both, only the first, only the second, or neither has right."""
    numbers = (both, first, second, neither)
    return np.repeat([True, True, False, False], numbers), np.repeat([True, False, True, False], numbers)


def width(interval) -> float:
    return interval.high - interval.low


# --- accuracy ---


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_accuracy_has_published_wilson_intervals(right, n, low, high):
    """Source: Newcombe 1998, table I, method 3."""
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


# --- paired difference ---


def test_a_paired_interval_has_the_stated_coverage():
    """False alarms: fewer than one in a million if the coverage is 93.5 to 96.5 %; a coverage of 90 % would fail."""
    random = np.random.default_rng(1)
    fractions, n, repetitions = [0.7, 0.14, 0.08, 0.08], 400, 2000
    truth = fractions[1] - fractions[2]
    intervals = [
        paired_difference(*pair(*random.multinomial(n, fractions)), seed=repetition)
        for repetition in range(repetitions)
    ]
    covered = sum(interval.low <= truth <= interval.high for interval in intervals)
    assert stats.binom.ppf(5e-7, repetitions, 0.935) <= covered <= stats.binom.isf(5e-7, repetitions, 0.965)


def test_the_estimate_is_the_difference_of_the_accuracies():
    first, second = answers(70, 100), np.roll(answers(64, 100), 7)
    interval = paired_difference(first, second)
    assert interval.estimate == pytest.approx(first.mean() - second.mean())
    assert interval.low < interval.estimate < interval.high


def test_the_width_is_that_of_the_paired_normal_interval():
    """Within 10 %: the ends of 2,000 resamples vary by about 3 % of the width, and they are multiples of 1 / n."""
    first, second = pair(600, 90, 60, 250)
    difference = first.astype(int) - second.astype(int)
    assert width(paired_difference(first, second)) == pytest.approx(
        2 * 1.96 * difference.std() / np.sqrt(len(difference)), rel=0.1
    )


def test_exchanging_the_two_changes_the_sign():
    """The estimate exactly; the ends within a tenth of the width, which is 6 standard errors of 2,000 resamples."""
    first, second = pair(600, 90, 60, 250)
    interval, exchanged = paired_difference(first, second), paired_difference(second, first)
    assert interval.estimate == -exchanged.estimate
    assert (interval.low, interval.high) == pytest.approx((-exchanged.high, -exchanged.low), abs=0.1 * width(interval))


@pytest.mark.parametrize("n", [1, 20, 1000])
def test_answers_that_agree_on_all_examples_may_still_differ_on_others(n):
    """The end is the fraction of differing examples that would give n equal ones with probability 0.05."""
    interval = paired_difference(answers(n // 2, n), answers(n // 2, n))
    assert interval.estimate == 0 and interval.low == -interval.high
    assert (1 - interval.high) ** n == pytest.approx(0.05)
    ids = np.arange(n) % 3
    assert score_difference("matthews", ids, ids, ids[::-1].copy()) == interval


def test_the_ends_do_not_depend_on_the_intervals_before(monkeypatch):
    """Neither on another number of resamples, nor on another batch of them."""
    scores = np.random.default_rng(0).normal(size=(2, 60))
    interval = score_interval("pearson", *scores)
    for name, value in {"RESAMPLES": 2, "CHUNK": 60 * 700}.items():
        with monkeypatch.context() as patch:
            patch.setattr(intervals, name, value)
            assert (score_interval("pearson", *scores) == interval) == (name == "CHUNK")
        assert score_interval("pearson", *scores) == interval


@pytest.mark.parametrize("n", [1, 4, 50])
def test_a_model_that_is_better_on_every_example_may_be_worse_on_others(n):
    """With a single example, nothing is known; the end is where a fraction of the examples has the other sign."""
    better, worse = (
        paired_difference(*pair) for pair in ((answers(n, n), answers(0, n)), (answers(0, n), answers(n, n)))
    )
    assert (better.estimate, better.high) == (1, 1) and ((1 + better.low) / 2) ** n == pytest.approx(0.05)
    assert (worse.low, worse.high) == pytest.approx((-better.high, -better.low)) and (better.low < 0) == (n < 5)


def test_no_interval_of_a_difference_covers_too_seldom_where_few_answers_differ():
    """In 0.5 % of the examples one is right and the other wrong: a sample of 200 has none of them in 37 % of cases."""
    random, n = np.random.default_rng(0), 200
    draws = [random.choice(3, n, p=[0.001, 0.995, 0.004]) for _ in range(600)]
    intervals = [paired_difference(draw == 2, draw == 0, resamples=400) for draw in draws]
    silent = [interval for draw, interval in zip(draws, intervals, strict=True) if (draw == 1).all()]
    assert len(silent) > 150 and all(interval.low <= 0.003 <= interval.high for interval in silent)


def test_pairing_narrows_the_interval_of_correlated_answers():
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


# --- other metrics ---


def correlated(n: int, seed: int, strength: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    """Answers and true scores with correlation `strength` in the population."""
    random = np.random.default_rng(seed)
    labels = random.normal(size=n)
    answers = strength * labels + np.sqrt(1 - strength**2) * random.normal(size=n)
    return answers.astype(np.float32), labels.astype(np.float32)


def guessed(n: int, seed: int, classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Answers and label ids; half of the answers are guessed."""
    random = np.random.default_rng(seed)
    labels = random.choice(classes, size=n, p=np.arange(1, classes + 1) / sum(range(classes + 1)))
    return np.where(random.random(n) < 0.5, labels, random.integers(0, classes, size=n)), labels


REFERENCE = {
    "pearson": lambda a, b: stats.pearsonr(a, b).statistic,
    "spearman": lambda a, b: stats.spearmanr(a, b).statistic,
    "matthews": lambda a, b: matthews_corrcoef(b, a),
    "f1": lambda a, b: f1_score(b, a),
    "macro_f1": lambda a, b: f1_score(b, a, average="macro"),
}


def test_every_metric_has_an_interval():
    assert METRICS.keys() == {"accuracy", *WEIGHTED} == {"accuracy", *REFERENCE}


@pytest.mark.parametrize(
    ("metric", "sample"),
    [
        ("pearson", correlated(80, 0)),
        ("spearman", correlated(80, 0)),
        ("spearman", tuple(values.round() for values in correlated(80, 0))),  # with ties
        ("matthews", guessed(80, 0)),
        ("matthews", guessed(80, 0, classes=4)),
        ("f1", guessed(80, 0)),
        ("macro_f1", guessed(80, 0)),
        ("macro_f1", guessed(80, 0, classes=30)),  # some are in no example of a resample
    ],
)
def test_a_resample_is_scored_like_its_examples(metric, sample):
    answers, labels = sample
    counts = np.random.default_rng(1).multinomial(80, np.full(80, 1 / 80), size=20)
    expected = [REFERENCE[metric](np.repeat(answers, row), np.repeat(labels, row)) for row in counts]
    assert WEIGHTED[metric](counts.astype(np.float64), answers, labels) == pytest.approx(expected, abs=1e-6)
    assert score_interval(metric, answers, labels).estimate == pytest.approx(REFERENCE[metric](answers, labels))


def test_the_interval_of_a_correlation_is_close_to_fishers():
    answers, labels = correlated(1500, 0)
    fisher = stats.pearsonr(answers, labels).confidence_interval(0.95)
    interval = score_interval("pearson", answers, labels)
    assert (interval.low, interval.high) == pytest.approx((fisher.low, fisher.high), abs=0.005)


@pytest.mark.parametrize(("metric", "draw"), [("pearson", correlated), ("matthews", guessed)])
def test_intervals_of_other_metrics_have_the_stated_coverage(metric, draw):
    """95 % of 150 repetitions within 4 standard deviations (false alarms: 1 in 15,000), plus 1 % because n = 150."""
    truth = REFERENCE[metric](*draw(300_000, seed=0))
    intervals = [score_interval(metric, *draw(150, seed=1 + repetition)) for repetition in range(150)]
    covered = np.mean([interval.low <= truth <= interval.high for interval in intervals])
    assert abs(covered - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 150) + 0.01


@pytest.mark.parametrize(("metric", "sample"), [("pearson", correlated(200, 0)), ("matthews", guessed(200, 0))])
def test_differences_of_other_metrics_are_paired(metric, sample):
    first, labels = sample
    second = first.copy()
    second[:6] = second[5::-1]  # all but six of the answers are the same
    ours, theirs = (score_difference(metric, *pair, labels) for pair in ((first, second), (second, first)))
    assert ours.estimate == pytest.approx(
        REFERENCE[metric](first, labels) - REFERENCE[metric](second, labels), abs=1e-6
    )
    assert (theirs.low, theirs.high) == pytest.approx((-ours.high, -ours.low))
    assert width(ours) < 0.65 * width(score_interval(metric, first, labels))
    assert width(score_difference("pearson", first * 1.0, first * 1.0, labels)) == 0, "the same scores: one model"


def test_f1_of_a_label_that_no_example_has_is_0():
    zeros = np.zeros(50, dtype=np.int64)
    assert score_interval("f1", zeros, zeros).high == 0.0


@pytest.mark.parametrize("metric", ["matthews", *CORRELATIONS])
@pytest.mark.parametrize("constant", [0, 1])
def test_constant_answers_have_metric_0(metric, constant):
    kind = np.float32 if metric in CORRELATIONS else np.int64
    arrays = [np.full(50, 1 / 3 if metric in CORRELATIONS else 1, dtype=kind), np.arange(50).astype(kind) % 2]
    interval = score_interval(metric, arrays[constant], arrays[1 - constant])
    assert (interval.estimate, interval.low, interval.high) == (0.0, 0.0, 0.0)


def test_a_constant_resample_has_no_rounding_noise():
    """All answers except one are the same: a resample without that one is constant."""
    answers = np.full(40, 0.1, dtype=np.float32)
    answers[7] = 5.0
    counts = np.ones((1, 40))
    counts[0, 7] = 0
    assert WEIGHTED["pearson"](counts, answers, np.arange(40).astype(np.float32)).tolist() == [0.0]


def test_chunks_that_bound_the_memory_change_nothing(monkeypatch):
    whole = score_interval("pearson", *correlated(200, 0))
    monkeypatch.setattr(intervals, "CHUNK", 3000)
    assert score_interval("pearson", *correlated(200, 0)) == whole


def test_an_accuracy_has_its_own_intervals():
    answers, labels = guessed(90, 0)
    assert score_interval("accuracy", answers, labels) == accuracy_interval(answers == labels)
    other = np.roll(answers, 1)
    expected = paired_difference(answers == labels, other == labels)
    assert score_difference("accuracy", answers, other, labels) == expected


def test_the_interval_of_a_mean_has_the_stated_coverage():
    random = np.random.default_rng(0)
    intervals = [mean_interval(random.normal(3.0, 2.0, size=5)) for _ in range(2000)]
    covered = np.mean([interval.low <= 3.0 <= interval.high for interval in intervals])
    assert abs(covered - 0.95) < 4.5 * np.sqrt(0.95 * 0.05 / 2000)  # false alarm: 1 in 150,000


def test_a_single_value_has_an_infinite_interval():
    assert mean_interval([0.3]) == Interval(0.3, -np.inf, np.inf)
    assert mean_interval([0.1, 0.1, 0.1]) == Interval(pytest.approx(0.1), -np.inf, np.inf), "nor do equal ones"


def test_the_interval_of_a_rank_correlation_has_the_stated_coverage():
    """1,000 samples of 16 normal pairs with correlation 0.6, whose rank correlation is 6/π·asin(0.3)."""
    random, truth = np.random.default_rng(0), 6 / np.pi * np.arcsin(0.3)
    pairs = random.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=(1000, 16))
    intervals = [rank_correlation(sample[:, 0], sample[:, 1]) for sample in pairs]
    covered = np.mean([interval.low <= truth <= interval.high for interval in intervals])
    assert 0.92 < covered < 0.98


def test_a_rank_correlation_depends_on_order_alone():
    x = np.arange(8.0)
    assert rank_correlation(x, np.exp(x)).estimate == 1
    assert rank_correlation(x, -(x**3)).estimate == -1
    assert rank_correlation(x, np.zeros(8)) == Interval(0.0, -1.0, 1.0)
    assert rank_correlation(x[:3], x[:3]) == Interval(1.0, -1.0, 1.0)
