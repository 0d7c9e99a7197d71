"""The published procedure, compared with its exact law by enumeration, and with the fast sampler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from support.exact_laws import FALSE_ALARM, check_law, successive_law, voting_law

from randprune_lab.masks.reference import first, published_mask, vote
from randprune_lab.masks.rules import GumbelTopK, Magnitude, Votes, Voting
from randprune_lab.masks.sampler import MaskSampler

SCORES = np.array([1.0, 1.5, 0.7, 2.0])


@pytest.mark.parametrize(("rounds", "power", "k", "draws"), [(1, 1.0, 2, 1000), (2, 2.5, 1, 2500), (3, 1.5, 2, 1000)])
def test_vote_follows_the_exact_law_of_the_procedure(rounds: int, power: float, k: int, draws: int) -> None:
    masks = [
        tuple(vote(SCORES, k, Votes(rounds, power), seed=0, candidate=candidate, group="w").nonzero()[0].tolist())
        for candidate in range(draws)
    ]
    check_law(masks, voting_law(SCORES**power, k, rounds))


@pytest.mark.parametrize(("rounds", "power", "k"), [(1, 1.0, 2), (3, 1.5, 2)])
def test_the_published_mask_follows_the_exact_law_too(rounds: int, power: float, k: int) -> None:
    weights = torch.from_numpy(SCORES) * torch.tensor([1.0, -1.0, -1.0, 1.0])
    rule = Voting(sampling_ratio=(rounds + 0.5) / (4 - k), power=power)
    generator = torch.Generator().manual_seed(0)
    masks = [tuple(published_mask(weights, k, rule, generator).nonzero().flatten().tolist()) for _ in range(1000)]
    check_law(masks, voting_law(SCORES**power, k, rounds))


def test_a_small_gumbel_sampler_follows_the_exact_law_of_successive_sampling() -> None:
    temperature = 0.7
    sampler = MaskSampler({"w": torch.from_numpy(SCORES)[:, None].float()}, GumbelTopK(temperature), 0.5)
    masks = [tuple(sampler.draw(candidate)["w"].flatten().nonzero().flatten().tolist()) for candidate in range(1000)]
    check_law(masks, successive_law(SCORES ** (1 / temperature), 2))


def test_vote_and_the_published_mask_agree_weight_by_weight() -> None:
    """2,000 draws of each, with 40 of 200 weights kept in 3 rounds; the z-scores share the false-alarm rate."""
    n, k, draws = 200, 40, 2000
    weights = torch.from_numpy(np.random.default_rng(0).standard_t(5, n))
    rule = Voting(sampling_ratio=3.5 / (n - k), power=3.0)
    votes = rule.votes(n, k)
    assert votes.rounds == 3
    generator = torch.Generator().manual_seed(1)
    published = sum(published_mask(weights, k, rule, generator).numpy().astype(int) for _ in range(draws))
    scores = weights.abs().numpy()
    ours = sum(vote(scores, k, votes, seed=1, candidate=c, group="w").astype(int) for c in range(draws))
    pooled = (published + ours) / (2 * draws)
    chance = draws * pooled * (1 - pooled) > 5
    z = (published - ours)[chance] / np.sqrt(2 * draws * (pooled * (1 - pooled))[chance])
    assert chance.sum() > 100
    assert np.abs(z).max() < stats.norm.isf(FALSE_ALARM / 2 / chance.sum())
    assert np.abs((published - ours)[~chance]).max() < 40


@given(
    scores=st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, 1e3]), min_size=1, max_size=30),
    rounds=st.integers(1, 5),
    power=st.sampled_from([0.0, 1.0, 5.0]),
    data=st.data(),
)
@settings(max_examples=100)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_vote_keeps_exactly_k_and_no_zero(scores: list[float], rounds: int, power: float, data: st.DataObject) -> None:
    array = np.array(scores)
    k = data.draw(st.integers(0, int((array > 0).sum())))
    mask = vote(array, k, Votes(rounds, power), seed=0, candidate=0, group="w")
    assert mask.dtype == bool and mask.shape == array.shape
    assert mask.sum() == k
    assert not mask[array == 0].any()


def test_vote_is_a_function_of_its_integers_and_the_group() -> None:
    scores, votes = np.abs(np.random.default_rng(0).standard_normal(500)), Votes(3, 2.0)
    mask = vote(scores, 100, votes, seed=1, candidate=2, group="w")
    assert np.array_equal(mask, vote(scores, 100, votes, seed=1, candidate=2, group="w"))
    for other in ({"seed": 2}, {"candidate": 3}, {"group": "v"}, {"seed": 2, "candidate": 1}):
        assert not np.array_equal(mask, vote(scores, 100, votes, **{"seed": 1, "candidate": 2, "group": "w", **other}))


def test_vote_with_many_rounds_keeps_the_largest() -> None:
    scores = 2.0 ** np.arange(12)
    mask = vote(scores, 5, Votes(300, 1.0), seed=0, candidate=0, group="w")
    assert mask.nonzero()[0].tolist() == [7, 8, 9, 10, 11]


def test_the_published_mask_has_the_shape_of_the_weights_and_k_of_them() -> None:
    weights = torch.randn(6, 7, 2, generator=torch.Generator().manual_seed(0))
    state = torch.get_rng_state()
    mask = published_mask(weights, 30, Voting(sampling_ratio=0.05), torch.Generator().manual_seed(1))
    assert mask.shape == weights.shape and mask.dtype == torch.bool and int(mask.sum()) == 30
    assert torch.equal(torch.get_rng_state(), state)


@given(keys=st.lists(st.integers(0, 5), max_size=20), data=st.data())
@settings(max_examples=100)
def test_first_takes_the_smallest_keys_equal_ones_by_index(keys: list[int], data: st.DataObject) -> None:
    k = data.draw(st.integers(0, len(keys)))
    expected = sorted(range(len(keys)), key=lambda i: (keys[i], i))[:k]
    assert first(np.array(keys, dtype=float), k).nonzero()[0].tolist() == sorted(expected)


# --- the oracle of the fast path ---

N, MASKS = 60_000, 12
LIMIT_ERROR = 0.02
"""The accepted relative error of the closed forms, which are limits, at N = 60,000."""


@dataclass(frozen=True)
class Distances:
    """Mean distance over all pairs of masks, and to the magnitude mask."""

    pairwise: float
    to_magnitude: float

    @classmethod
    def of(cls, masks: np.ndarray, magnitude: np.ndarray) -> Distances:
        kept, m = masks.sum(axis=0), len(masks)
        return cls(float(np.sum(2 * kept * (m - kept)) / (m * (m - 1))), float((masks ^ magnitude).sum() / m))


def standard_errors(sampler: MaskSampler) -> Distances:
    """Of `Distances.of` MASKS masks, for weights kept independently; the fixed size hardly changes them."""
    curve = sampler.curves["w"]
    q, counts = curve.inclusion, curve.histogram.counts
    kept = np.arange(MASKS + 1)[:, None]
    distance, chance = 2 * kept * (MASKS - kept) / (MASKS * (MASKS - 1)), stats.binom.pmf(kept, MASKS, q)
    variance = (chance * distance**2).sum(axis=0) - (chance * distance).sum(axis=0) ** 2
    return Distances(float(np.sqrt(np.sum(counts * variance))), float(np.sqrt(np.sum(counts * q * (1 - q)) / MASKS)))


@pytest.mark.parametrize(("sparsity", "rounds"), [(0.54, 15), (0.9375, 55), (0.99, 29), (0.90, 1)])
def test_reference_masks_fast_masks_and_closed_forms_agree(sparsity: float, rounds: int) -> None:
    """Pairwise and to magnitude, and bin by bin in the score. z-limit 5.5: false alarm 1e-6 over 26 comparisons."""
    limit = 5.5
    weights = torch.from_numpy(np.random.default_rng(0).standard_t(8, N).astype(np.float32))
    k = N - round(sparsity * N)
    rule = Voting(sampling_ratio=(rounds + 0.5) / (N - k))
    assert rule.rounds(N, k) == rounds
    sampler = MaskSampler({"w": weights}, rule, sparsity)
    generator = torch.Generator().manual_seed(0)

    def stack(draw: Callable[[int], torch.Tensor]) -> np.ndarray:
        return np.stack([draw(number).numpy() for number in range(MASKS)])

    reference_masks = stack(lambda _: published_mask(weights, k, rule, generator))
    fast_masks = stack(lambda candidate: sampler.draw(candidate)["w"])
    assert np.all(reference_masks.sum(axis=1) == k) and np.all(fast_masks.sum(axis=1) == k)

    magnitude = MaskSampler({"w": weights}, Magnitude(), sparsity).draw(0)["w"].numpy()
    reference, fast = (Distances.of(masks, magnitude) for masks in (reference_masks, fast_masks))
    closed = Distances(sampler.expected_hamming().overall, sampler.expected_distance_to_magnitude().overall)
    error = standard_errors(sampler)
    for field in ("pairwise", "to_magnitude"):
        expected, se = getattr(closed, field), getattr(error, field)
        assert abs(getattr(reference, field) - expected) <= limit * se + LIMIT_ERROR * expected
        assert abs(getattr(fast, field) - expected) <= limit * se + LIMIT_ERROR * expected
        assert abs(getattr(reference, field) - getattr(fast, field)) <= limit * se * np.sqrt(2) + LIMIT_ERROR * expected

    order = np.argsort(weights.abs().numpy())
    for part in np.array_split(order, 20):
        a, b = reference_masks[:, part].sum(), fast_masks[:, part].sum()
        pooled = (reference_masks[:, part].mean(axis=0) + fast_masks[:, part].mean(axis=0)) / 2
        se = np.sqrt(2 * MASKS * np.sum(pooled * (1 - pooled)))
        assert abs(int(a) - int(b)) <= limit * se + LIMIT_ERROR * (a + b) / 2 + 1
