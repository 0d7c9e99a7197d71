"""Rules as inclusion curves: the laws of every curve, formulas by brute force, and the limits of the rules."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from randprune_lab.errors import ConfigError, UnknownNameError
from randprune_lab.masks.curve import Histogram, lawful
from randprune_lab.masks.rules import (
    RULES,
    GumbelTopK,
    Magnitude,
    Rule,
    Uniform,
    Votes,
    Voting,
    majority_inclusion,
    make_rule,
    successive_inclusion,
    votes_above,
)

law = settings(max_examples=150)

any_rule = st.one_of(
    st.just(Magnitude()),
    st.just(Uniform()),
    st.builds(GumbelTopK, temperature=st.floats(-4, 4).map(lambda x: 10.0**x)),
    st.builds(Voting, sampling_ratio=st.floats(-4, 2).map(lambda x: 10.0**x), power=st.floats(0, 10)),
)
"""All rules, from almost no randomness to almost uniform."""


@st.composite
def histograms(draw: st.DrawFn) -> Histogram:
    """Scores from tiny to huge, with ties and zeros; at least one is not zero."""
    spread = draw(st.sampled_from([0.0, 1e-3, 1.0, 10.0]))
    exponents = draw(st.lists(st.floats(-1, 1), min_size=1, max_size=30))
    scores = 10.0 ** (spread * np.array(exponents))
    repeats = draw(st.lists(st.integers(1, 200), min_size=len(scores), max_size=len(scores)))
    zeros = np.zeros(draw(st.integers(0, 20)))
    return Histogram.from_scores(np.concatenate([np.repeat(scores, repeats), zeros]))


def heavy_tailed(n: int = 5000, seed: int = 0) -> np.ndarray:
    return np.abs(np.random.default_rng(seed).standard_t(4, n))


# --- laws of every curve ---


@given(rule=any_rule, histogram=histograms(), data=st.data())
@law
def test_a_curve_sums_to_k_is_monotone_and_stays_between_0_and_1(
    rule: Rule, histogram: Histogram, data: st.DataObject
) -> None:
    ends = [0, *histogram.counts[::-1].cumsum().tolist()]  # for these k the step of magnitude splits no bucket
    k = data.draw(st.one_of(st.integers(0, histogram.nonzero), st.sampled_from(ends)))
    q = rule.curve(histogram, k).inclusion
    assert lawful(q, histogram, k, rule.name, rule.deterministic) == pytest.approx(q, abs=1e-9)
    assert np.sum(histogram.counts * q) == pytest.approx(k, rel=1e-8)
    assert np.all(np.diff(q) >= -1e-9)
    assert np.all((q >= 0) & (q <= 1))


@given(rule=any_rule, histogram=histograms())
@law
def test_at_the_limits_no_weight_or_every_non_zero_weight_is_kept(rule: Rule, histogram: Histogram) -> None:
    assert np.all(rule.curve(histogram, 0).inclusion == 0)
    assert np.all(rule.curve(histogram, histogram.nonzero).inclusion == 1)


@given(rule=any_rule, count=st.integers(1, 1000), zeros=st.integers(0, 9), share=st.floats(0, 1))
@law
def test_equal_scores_have_equal_inclusion_probabilities(rule: Rule, count: int, zeros: int, share: float) -> None:
    k = round(share * count)
    histogram = Histogram.from_scores(np.concatenate([np.full(count, 0.3), np.zeros(zeros)]))
    assert rule.curve(histogram, k).inclusion == pytest.approx([k / count], rel=1e-8)


@given(rule=any_rule, histogram=histograms(), share=st.floats(0, 1), factor=st.floats(-12, 12))
@law
def test_scaling_all_scores_changes_nothing(rule: Rule, histogram: Histogram, share: float, factor: float) -> None:
    k = round(share * histogram.nonzero)
    scaled = Histogram(histogram.buckets, histogram.scores * 10.0**factor, histogram.counts, histogram.zeros)
    # The rounding of log(score) is amplified by the power 1 / temperature, up to 10⁴ here.
    assert rule.curve(scaled, k).inclusion == pytest.approx(rule.curve(histogram, k).inclusion, abs=1e-6)


@pytest.mark.parametrize("rule", [Magnitude(), Uniform(), GumbelTopK(), Voting(sampling_ratio=1e-2)])
def test_keeping_more_raises_every_inclusion_probability(rule: Rule) -> None:
    histogram = Histogram.from_scores(heavy_tailed())
    curves = [rule.curve(histogram, k).inclusion for k in range(0, 5001, 500)]
    assert np.all(np.diff(curves, axis=0) >= -1e-9)


@pytest.mark.parametrize("rule", [Magnitude(), Uniform(), GumbelTopK(), Voting(sampling_ratio=1e-2)])
def test_zeros_do_not_change_the_inclusion_probabilities_of_other_weights(rule: Rule) -> None:
    """The number of rounds T depends on the number of all weights in the published rule; it is set equal here."""
    scores, k = heavy_tailed(), 1000
    without = Histogram.from_scores(scores)
    with_zeros = Histogram.from_scores(np.concatenate([scores, np.zeros(3000)]))
    if isinstance(rule, Voting):
        rounds = rule.rounds(without.size, k)
        other: Rule = Voting(sampling_ratio=(rounds + 0.5) / (with_zeros.size - k))
    else:
        other = rule
    assert other.curve(with_zeros, k).inclusion == pytest.approx(rule.curve(without, k).inclusion, rel=1e-12)


@pytest.mark.parametrize("k", [1, 9, 10, 11, 19])
@pytest.mark.parametrize("rule", [Voting(sampling_ratio=5.0), Voting(sampling_ratio=1e-9), GumbelTopK(), Magnitude()])
def test_scores_too_far_apart_for_chance_are_kept_in_order(rule: Rule, k: int) -> None:
    """The inclusion probabilities of successive sampling are 0 and 1 to the last bit here."""
    histogram = Histogram.from_scores(np.repeat([1.0, 1e9], 10))
    small, large = max(k - 10, 0) / 10, min(k, 10) / 10
    assert rule.curve(histogram, k).inclusion == pytest.approx([small, large], abs=1e-9)


# --- compared with brute force ---


@given(histogram=histograms(), share=st.floats(0.001, 0.999), power=st.floats(0, 20))
@law
def test_successive_inclusion_solves_the_equation_of_the_race(histogram: Histogram, share: float, power: float) -> None:
    k = min(max(1, round(share * histogram.nonzero)), histogram.nonzero - 1)
    if k == 0:
        return
    log_p, counts = power * np.log(histogram.scores), histogram.counts

    def surplus(log_t: float) -> float:
        return float(counts @ -np.expm1(-np.exp(np.minimum(log_p + log_t, 700)))) - k

    log_t = optimize.brentq(surplus, -log_p.max() - 50, 50 - log_p.min(), xtol=1e-13, rtol=1e-14)
    expected = -np.expm1(-np.exp(np.minimum(log_p + log_t, 700)))
    assert successive_inclusion(log_p, counts, k) == pytest.approx(expected, abs=1e-8)


def test_successive_inclusion_is_the_frequency_of_a_simulated_race() -> None:
    """20 score bins share a false-alarm rate of 1e-6. The curve is a limit; at N = 20,000 its error is far smaller."""
    n, k, races, bins = 20_000, 2_000, 200, 20
    scores = np.sort(heavy_tailed(n))
    rng = np.random.default_rng(1)
    kept = np.zeros(n)
    for _ in range(races):
        kept[np.argpartition(rng.exponential(size=n) / scores**5, k)[:k]] += 1
    q = successive_inclusion(5 * np.log(scores), np.ones(n, dtype=np.int64), k)
    observed, expected = (x.reshape(bins, -1).sum(axis=1) for x in (kept, races * q))
    spread = np.sqrt((races * q * (1 - q)).reshape(bins, -1).sum(axis=1))
    limit = stats.norm.isf(1e-6 / 2 / bins)
    assert np.all(np.abs(observed - expected) <= limit * spread + 5)


@given(
    pi=st.lists(st.floats(0, 1), min_size=1, max_size=8),
    counts=st.lists(st.integers(1, 30), min_size=8, max_size=8),
    rounds=st.integers(1, 40),
    share=st.floats(0.001, 0.999),
)
@law
def test_majority_inclusion_is_the_formula_written_out(
    pi: list[float], counts: list[int], rounds: int, share: float
) -> None:
    """`q = P(V > v) + f P(V = v)` for the first v with `Σ P(V > v) <= k <= Σ P(V >= v)`."""
    chances, weights = np.sort(pi), np.array(counts[: len(pi)])
    k = min(max(1, round(share * weights.sum())), int(weights.sum()) - 1)
    tails = {v: stats.binom.sf(v, rounds, chances) for v in range(-1, rounds + 1)}
    v = next(v for v in range(rounds + 1) if weights @ tails[v] <= k + 1e-9)
    equal = tails[v - 1] - tails[v]
    f = (k - weights @ tails[v]) / (weights @ equal)
    q = majority_inclusion(chances, weights, rounds, k)
    assert q == pytest.approx(tails[v] + f * equal, abs=1e-8)
    assert weights @ q == pytest.approx(k, rel=1e-8)


@pytest.mark.parametrize("rounds", [1, 2, 3, 5, 15, 55, 221])
def test_votes_above_is_the_binomial_tail_for_every_number_of_votes(rounds: int) -> None:
    pi = np.sort(np.concatenate([[0, 1e-300, 1e-12, 1 - 1e-12, 1], np.linspace(0, 1, 301), np.geomspace(1e-9, 1, 50)]))
    for v in range(-1, rounds + 1):
        assert votes_above(v, rounds, pi) == pytest.approx(stats.binom.sf(v, rounds, pi), abs=1e-12)


@pytest.mark.parametrize("rounds", [1000, 10**5, 10**6, 10**7, 10**9])
def test_votes_above_is_the_binomial_tail_for_many_rounds(rounds: int) -> None:
    """With a sampling ratio of 1, the 85 million weights of BERT's encoder have 8 · 10⁷ rounds."""
    for v in (
        0,
        1,
        rounds // 100,
        rounds // 3,
        rounds // 2,
        rounds - rounds // 50,
        rounds - 2,
        rounds - 1,
        rounds,
    ):
        center, spread = v / rounds, math.sqrt(max(v * (1 - v / rounds), 1)) / rounds
        near = np.clip(center + spread * np.linspace(-12, 12, 97), 0, 1)
        pi = np.sort(np.concatenate([[0, 1], np.linspace(0, 1, 21), near]))
        tail = votes_above(v, rounds, pi)
        assert tail == pytest.approx(stats.binom.sf(v, rounds, pi), abs=1e-8)
        assert np.all(np.diff(tail) >= -1e-8)


# --- limits of the rules ---


@given(histogram=histograms(), share=st.floats(0, 1), power=st.floats(0.1, 20))
@law
def test_voting_in_one_round_is_gumbel_top_k(histogram: Histogram, share: float, power: float) -> None:
    k = round(share * histogram.nonzero)
    voting = Voting(sampling_ratio=1e-9, power=power)
    gumbel = GumbelTopK(temperature=1 / power)
    assert voting.rounds(histogram.size, k) == 1
    assert voting.curve(histogram, k).inclusion == pytest.approx(gumbel.curve(histogram, k).inclusion, abs=1e-9)
    votes = voting.votes(histogram.size, k)
    assert votes.rounds == gumbel.votes(histogram.size, k).rounds == 1
    assert votes.power == pytest.approx(gumbel.votes(histogram.size, k).power)


@given(histogram=histograms(), share=st.floats(0, 1), power=st.floats(0.1, 20))
@law
def test_a_second_round_of_voting_changes_nothing(histogram: Histogram, share: float, power: float) -> None:
    """With T = 2, one vote is the threshold and f = 1/2: `π² + π (1 - π) = π`. A majority needs three rounds."""
    n = histogram.size
    k = min(round(share * histogram.nonzero), n - 1)
    one, two = (Voting(sampling_ratio=(rounds + 0.5) / (n - k), power=power) for rounds in (1, 2))
    assert two.rounds(n, k) == 2
    assert two.curve(histogram, k).inclusion == pytest.approx(one.curve(histogram, k).inclusion, abs=1e-7)


SEPARATED = Histogram.from_scores(np.repeat(2.0 ** np.arange(8), 10))


@pytest.mark.parametrize("k", [1, 5, 10, 37, 40, 79])
def test_voting_with_many_rounds_becomes_magnitude(k: int) -> None:
    rule = Voting(sampling_ratio=1e6 / (80 - k), power=1.0)
    expected = Magnitude().curve(SEPARATED, k).inclusion
    assert rule.curve(SEPARATED, k).inclusion == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("k", [1, 5, 10, 37, 40, 79])
def test_gumbel_top_k_becomes_magnitude_when_cold_and_uniform_when_hot(k: int) -> None:
    cold, hot = GumbelTopK(temperature=1e-3), GumbelTopK(temperature=1e9)
    assert cold.curve(SEPARATED, k).inclusion == pytest.approx(Magnitude().curve(SEPARATED, k).inclusion, abs=1e-9)
    assert hot.curve(SEPARATED, k).inclusion == pytest.approx(Uniform().curve(SEPARATED, k).inclusion, abs=1e-6)


def test_voting_with_power_zero_is_uniform() -> None:
    rule = Voting(sampling_ratio=0.1, power=0.0)
    assert rule.curve(SEPARATED, 30).inclusion == pytest.approx(np.full(8, 30 / 80))


@pytest.mark.parametrize("sparsity", [0.3, 0.9, 0.99])
def test_randomness_falls_with_the_sampling_ratio_and_rises_with_the_temperature(sparsity: float) -> None:
    histogram = Histogram.from_scores(heavy_tailed())
    k = round(5000 * (1 - sparsity))
    by_rounds = [
        Voting(sampling_ratio=(t + 0.5) / (5000 - k)).curve(histogram, k) for t in (1, 3, 5, 20, 100, 1000, 10_000)
    ]
    by_temperature = [GumbelTopK(temperature=t).curve(histogram, k) for t in (1e-3, 1e-2, 0.1, 0.3, 1.0, 10.0, 1000.0)]
    bound = Uniform().curve(histogram, k)
    for curves in (by_rounds[::-1], by_temperature):
        hamming = [curve.expected_hamming() for curve in curves]
        distance = [curve.expected_distance_to_magnitude() for curve in curves]
        assert np.all(np.diff(hamming) > 0) and hamming[0] > 0 and hamming[-1] <= bound.expected_hamming()
        assert np.all(np.diff(distance) > 0) and distance[-1] <= bound.expected_distance_to_magnitude()
    assert by_rounds[-1].expected_hamming() < 0.02 * bound.expected_hamming()
    assert by_temperature[0].expected_hamming() < 0.02 * bound.expected_hamming()


# --- settings ---


@pytest.mark.parametrize(
    ("n", "k", "ratio", "rounds"),
    [(100, 40, 1e-4, 1), (100, 40, 0.05, 3), (100, 40, 1.0, 60), (100, 100, 5.0, 1)],
)
def test_rounds_are_the_removed_weights_times_the_ratio_and_at_least_one(
    n: int, k: int, ratio: float, rounds: int
) -> None:
    rule = Voting(sampling_ratio=ratio)
    assert rule.rounds(n, k) == rounds
    assert rule.votes(n, k) == Votes(rounds=rounds, power=5.0)


@pytest.mark.parametrize("rule", [Magnitude(), Uniform(), GumbelTopK(0.7), Voting(3e-4, 2.0)])
def test_a_rule_can_be_made_again_from_its_dict(rule: Rule) -> None:
    recorded = dict(rule.to_dict())
    assert make_rule(recorded.pop("rule"), **recorded) == rule
    assert hash(rule) == hash(make_rule(rule.name, **recorded))


def test_every_rule_is_listed_under_its_name() -> None:
    assert {name: rule.name for name, rule in RULES.items()} == {name: name for name in RULES}
    assert set(RULES.values()) >= {Magnitude, Uniform, GumbelTopK, Voting}
    assert [rule.deterministic for rule in (Magnitude, Uniform, GumbelTopK, Voting)] == [True, False, False, False]


def test_rules_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Voting().power = 3.0  # type: ignore[misc]


def test_only_the_rules_that_are_limits_have_a_reference_procedure() -> None:
    assert Magnitude().votes(10, 5) is None and Uniform().votes(10, 5) is None


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("gumbel", {"temperature": 0.0}, "temperature must be in [1e-12, 1e+12]"),
        ("gumbel", {"temperature": -1.0}, "temperature must be in [1e-12, 1e+12]"),
        ("gumbel", {"temperature": float("nan")}, "temperature must be in [1e-12, 1e+12]"),
        ("gumbel", {"temperature": float("inf")}, "temperature must be in [1e-12, 1e+12]"),
        ("voting", {"sampling_ratio": 0.0}, "sampling_ratio must be in (0, 1e+06]"),
        ("voting", {"sampling_ratio": -1e-4}, "sampling_ratio must be in (0, 1e+06]"),
        ("voting", {"sampling_ratio": float("nan")}, "sampling_ratio must be in (0, 1e+06]"),
        ("voting", {"sampling_ratio": float("inf")}, "sampling_ratio must be in (0, 1e+06]"),
        ("voting", {"power": -0.5}, "power must be in [0, 1e+12]"),
        ("voting", {"power": float("nan")}, "power must be in [0, 1e+12]"),
        ("voting", {"power": float("inf")}, "power must be in [0, 1e+12]"),
        ("gumbel", {"temperature": 1e-300}, "temperature must be in [1e-12, 1e+12]"),
        ("voting", {"sampling_ratio": 1e300}, "sampling_ratio must be in (0, 1e+06]"),
        ("voting", {"power": 1e300}, "power must be in [0, 1e+12]"),
    ],
)
def test_a_setting_out_of_range_is_named_with_its_range_and_value(
    name: str, settings: dict[str, float], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        make_rule(name, **settings)
    assert str(caught.value).startswith(message)
    assert str(caught.value).endswith(f"got {next(iter(settings.values()))!r}")


def test_the_error_for_an_unknown_rule_has_the_nearest_names() -> None:
    with pytest.raises(UnknownNameError, match="unknown rule 'votting'; did you mean 'voting'"):
        make_rule("votting")
    with pytest.raises(UnknownNameError, match=r"unknown rule 'xyz'; known: .*gumbel.*magnitude.*uniform.*voting"):
        make_rule("xyz")


def test_the_error_for_an_unknown_setting_has_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"rule 'voting' has no setting 'ratio'; its settings: sampling_ratio, power"):
        make_rule("voting", ratio=0.1)
    with pytest.raises(ConfigError, match=r"rule 'magnitude' has no setting 'temperature'; its settings: none"):
        make_rule("magnitude", temperature=0.1)
