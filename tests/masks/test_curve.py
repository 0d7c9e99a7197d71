"""Buckets have the order of the scores; histograms count every weight; curves have the expected distances."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from randprune_lab.errors import WeightError
from randprune_lab.masks.curve import BUCKETINGS, Bucketing, Histogram, InclusionCurve

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
RESOLUTION = 1 / 1024

law = settings(max_examples=80)
finite = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def curves(draw: st.DrawFn) -> InclusionCurve:
    """Any curve: scores with ties and zeros, ascending inclusion probabilities, and k as their sum."""
    counts = np.array(draw(st.lists(st.integers(1, 50), min_size=1, max_size=12)), dtype=np.int64)
    scores = np.arange(1.0, len(counts) + 1)
    histogram = Histogram(np.arange(1, len(counts) + 1), scores, counts, zeros=draw(st.integers(0, 5)))
    k = draw(st.integers(0, histogram.nonzero))
    if k in (0, histogram.nonzero):
        return InclusionCurve(histogram, np.full(len(counts), float(k > 0)), k)
    # A mixture of the constant curve and the step, which both sum to k.
    step = InclusionCurve(histogram, np.zeros(0), k).magnitude
    return InclusionCurve(histogram, step + draw(st.floats(0, 1)) * (k / histogram.nonzero - step), k)


@pytest.mark.parametrize("dtype", DTYPES)
@given(values=st.lists(finite, min_size=2, max_size=20))
@law
def test_buckets_are_in_the_order_of_magnitudes_and_ignore_the_sign(dtype: torch.dtype, values: list[float]) -> None:
    weights = torch.tensor(values, dtype=torch.float64).to(dtype)
    weights = weights[weights.isfinite()]
    bucketing = BUCKETINGS[dtype]
    by_score = weights.abs().sort().values
    buckets = bucketing.bucket(by_score).long()
    assert bool((buckets.diff() >= 0).all())
    assert torch.equal(buckets, bucketing.bucket(-by_score).long())
    assert bool(((buckets >= 0) & (buckets < bucketing.infinity)).all())


@pytest.mark.parametrize("dtype", DTYPES)
@given(value=finite)
@law
def test_the_score_of_a_bucket_is_that_of_its_weights_within_the_resolution(dtype: torch.dtype, value: float) -> None:
    weight = torch.tensor([value], dtype=torch.float64).to(dtype)
    magnitude = float(weight.abs().double())
    if not torch.finfo(dtype).tiny <= magnitude < float("inf"):
        return
    bucketing = BUCKETINGS[dtype]
    score = float(bucketing.score(bucketing.bucket(weight).long().numpy())[0])
    assert score == pytest.approx(magnitude, rel=RESOLUTION)
    if bucketing.shift == 0:
        assert score == magnitude


@pytest.mark.parametrize("dtype", DTYPES)
def test_zero_infinity_and_nan_have_their_buckets(dtype: torch.dtype) -> None:
    bucketing = BUCKETINGS[dtype]
    special = torch.tensor([0.0, -0.0, float("inf"), float("-inf"), float("nan"), -float("nan")], dtype=dtype)
    zero, minus_zero, *broken = bucketing.bucket(special).tolist()
    assert zero == minus_zero == 0
    assert all(bucketing.infinity <= bucket for bucket in broken)
    largest = torch.tensor([torch.finfo(dtype).max], dtype=dtype)
    assert int(bucketing.bucket(largest)) == bucketing.infinity - 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_has_its_number_of_bits(dtype: torch.dtype) -> None:
    bucketing: Bucketing = BUCKETINGS[dtype]
    info = torch.finfo(dtype)
    assert bucketing.dtype == dtype
    assert torch.iinfo(bucketing.integer).bits == info.bits == 1 + bucketing.exponent_bits + bucketing.mantissa_bits
    assert info.eps == 2.0**-bucketing.mantissa_bits


@given(scores=st.lists(st.integers(0, 6).map(float), max_size=60))
@law
def test_a_histogram_counts_every_weight_once(scores: list[float]) -> None:
    bucketing = BUCKETINGS[torch.float16]
    buckets = bucketing.bucket(torch.tensor(scores, dtype=torch.float16)).long().numpy()
    counts = np.bincount(buckets, minlength=1)
    for histogram in (Histogram.from_counts(counts, bucketing), Histogram.from_scores(np.array(scores))):
        assert histogram.size == len(scores)
        assert histogram.zeros == scores.count(0.0)
        assert histogram.nonzero == len(scores) - histogram.zeros
        assert histogram.scores.tolist() == sorted({score for score in scores if score > 0})
        assert histogram.counts.tolist() == [scores.count(score) for score in histogram.scores]
        assert len(histogram.buckets) == len(histogram.scores)


@pytest.mark.parametrize("wrong", [-1.0, -1e-300, np.nan, np.inf, -np.inf])
def test_scores_with_a_sign_or_without_a_size_are_refused(wrong: float) -> None:
    with pytest.raises(WeightError, match=rf"scores must be finite and at least 0, got {wrong:g}; .* need a shift"):
        Histogram.from_scores(np.array([1.0, wrong, 2.0]))


@pytest.mark.parametrize(
    "wrong",
    ["magnitude", None, {"w": 1.0}, object(), [1j], [[1.0], [1.0, 2.0]], 10**400],
    ids=lambda value: type(value).__name__,
)
def test_scores_that_are_no_numbers_are_refused(wrong: object) -> None:
    with pytest.raises(WeightError, match="importance scores must be"):
        Histogram.from_scores(wrong)


@given(curve=curves())
@law
def test_the_magnitude_curve_is_a_step_that_sums_to_k(curve: InclusionCurve) -> None:
    step, counts = curve.magnitude, curve.histogram.counts
    assert counts @ step == pytest.approx(curve.k, rel=1e-12)
    assert np.all(np.diff(step) >= 0)
    assert np.sum((step > 0) & (step < 1)) <= 1
    assert np.all((step >= 0) & (step <= 1))


@given(curve=curves())
@law
def test_expected_distances_stay_within_their_bounds(curve: InclusionCurve) -> None:
    most = 2 * min(curve.k, curve.histogram.nonzero - curve.k) * (1 + 1e-12) + 1e-9
    hamming, to_magnitude = curve.expected_hamming(), curve.expected_distance_to_magnitude()
    assert 0 <= hamming <= most
    assert 0 <= to_magnitude <= most
    assert hamming <= 2 * to_magnitude + 1e-9  # the triangle inequality through the magnitude mask


@given(curve=curves(), data=st.data())
@law
def test_expected_distances_of_the_parts_add_up_to_the_whole(curve: InclusionCurve, data: st.DataObject) -> None:
    part = np.array([data.draw(st.integers(0, int(count))) for count in curve.histogram.counts])
    rest = curve.histogram.counts - part
    for distance in (curve.expected_hamming, curve.expected_distance_to_magnitude):
        assert distance(part) + distance(rest) == pytest.approx(distance(), rel=1e-12, abs=1e-12)


def test_expected_distances_equal_the_sums_over_weights() -> None:
    """`Σ 2 q (1 - q)` and `Σ |q - 1[top k]|`, by hand for one weight in each bucket."""
    histogram = Histogram.from_scores(np.array([1.0, 2.0, 4.0, 8.0]))
    curve = InclusionCurve(histogram, np.array([0.1, 0.3, 0.7, 0.9]), k=2)
    assert curve.expected_hamming() == pytest.approx(2 * (0.09 + 0.21 + 0.21 + 0.09))
    assert curve.expected_distance_to_magnitude() == pytest.approx(0.1 + 0.3 + 0.3 + 0.1)


def test_a_rule_without_randomness_has_distance_zero_even_if_its_threshold_splits_a_bucket() -> None:
    histogram = Histogram.from_scores(np.array([1.0, 1.0, 1.0, 2.0]))
    curve = InclusionCurve(histogram, np.array([1 / 3, 1.0]), k=2, deterministic=True)
    assert curve.expected_hamming() == curve.expected_distance_to_magnitude() == 0.0


def test_a_curve_of_zero_weights_only_has_no_distances() -> None:
    curve = InclusionCurve(Histogram.from_scores(np.zeros(3)), np.zeros(0), k=0)
    assert curve.expected_hamming() == curve.expected_distance_to_magnitude() == 0.0
