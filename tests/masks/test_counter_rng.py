"""Random numbers that are a function of integers: the published mixer, uniform, and unrelated between streams.

Statistical tests use fixed streams, so their results do not vary. FALSE_ALARM is the probability that a perfect
generator would have failed one test, divided evenly over the statistics of the test.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from randprune_lab.masks.counter_rng import random_bits, salts, stream_key, uniform

FALSE_ALARM = 1e-6
N = 2**16

int64s = st.integers(-(2**63), 2**63 - 1)


def arange(start: int = 0, n: int = N, step: int = 1) -> torch.Tensor:
    return torch.arange(start, start + n * step, step)


def check_even(cells: np.ndarray, n_cells: int, tests: int) -> None:
    """Chi-square: the cell numbers are uniform, neither too uneven nor too even."""
    expected = len(cells) / n_cells
    statistic = float(np.sum((np.bincount(cells, minlength=n_cells) - expected) ** 2) / expected)
    law = stats.chi2(n_cells - 1)
    alarm = FALSE_ALARM / tests / 2
    assert law.ppf(alarm) < statistic < law.isf(alarm)


def check_unrelated(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
    """Every pair of sequences is uniform over 16 × 16 cells, which a linear dependence would change."""
    for a, b in pairs:
        check_even((a * 16).astype(int) * 16 + (b * 16).astype(int), 256, tests=len(pairs))


def mix(x: int) -> int:
    """SplitMix64's mixer as published, on Python's integers."""
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ x >> 27) * 0x94D049BB133111EB % 2**64
    return x ^ x >> 31


def test_the_reference_mixer_gives_the_published_values() -> None:
    """The first numbers of SplitMix64 with seed 1234567, which mixes multiples of the golden ratio."""
    states = [1234567 + (i + 1) * 0x9E3779B97F4A7C15 for i in range(3)]
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [mix(state % 2**64) for state in states] == expected


@given(index=st.lists(st.integers(0, 2**63 - 1), min_size=1), seed=int64s, candidate=st.integers(0, 2**63 - 1))
@settings(max_examples=100)
def test_bits_are_two_keyed_passes_of_the_mixer(index: list[int], seed: int, candidate: int) -> None:
    salt = salts(torch.tensor(index), seed, "w")
    by_hand = [mix((i + stream_key(seed, "w", "tensor")) % 2**64) for i in index]
    assert [s % 2**64 for s in salt.tolist()] == by_hand
    bits = random_bits(salt, seed, candidate)
    key = stream_key(seed, candidate, "mask") % 2**64
    assert [b % 2**64 for b in bits.tolist()] == [mix(s ^ key) for s in by_hand]


def test_bits_leave_index_and_salt_alone() -> None:
    index = arange(n=100)
    salt = salts(index, 1, "w")
    before = salt.clone()
    random_bits(salt, 1, 2)
    assert torch.equal(index, arange(n=100)) and torch.equal(salt, before)


@given(
    keys=st.lists(
        st.tuples(
            int64s,
            st.one_of(st.integers(0, 2**63 - 1), st.text(alphabet="abc.", max_size=8)),
            st.sampled_from(["mask", "vote", "rest", "tensor"]),
        ),
        min_size=2,
        max_size=6,
        unique=True,
    )
)
@settings(max_examples=100)
def test_different_streams_have_different_keys(keys: list[tuple[int, int | str, str]]) -> None:
    made = {stream_key(*key) for key in keys}
    assert len(made) == len(keys)
    assert all(-(2**63) <= key < 2**63 for key in made)


def test_numbers_are_inside_the_open_interval_at_odd_multiples_of_2_to_the_minus_53() -> None:
    u = uniform(0, 0, "w", arange())
    assert u.dtype == torch.float64
    half_steps = u * 2.0**53  # odd numbers reach neither 0 nor 2⁵³
    assert torch.equal(half_steps, half_steps.round()) and bool((half_steps % 2 == 1).all())
    assert float(u.min()) > 0 and float(u.max()) < 1


def test_the_outermost_bits_give_the_outermost_numbers_inside_the_interval(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    extremes = torch.tensor([0, -1])  # all bits clear, all bits set
    monkeypatch.setattr("randprune_lab.masks.counter_rng.random_bits", lambda *stream: extremes)
    assert uniform(0, 0, "w", arange(n=2)).tolist() == [2.0**-53, 1 - 2.0**-53]


def test_a_number_depends_on_its_index_and_not_on_other_indices() -> None:
    index = torch.cat([arange(n=500), arange(start=2**31 - 250, n=500), arange(start=2**50, n=10)])
    order = torch.randperm(len(index), generator=torch.Generator().manual_seed(0))
    whole = uniform(7, 1, "w", index)
    assert torch.equal(uniform(7, 1, "w", index[order]), whole[order])
    assert torch.equal(torch.cat([uniform(7, 1, "w", part) for part in index.split(37)]), whole)
    assert torch.equal(uniform(7, 1, "w", index[::3]), whole[::3])
    assert len(uniform(7, 1, "w", index[:0])) == 0


@pytest.mark.parametrize("start", [2**31 - N, 2**31, 2**32, 2**40, 2**62])
def test_large_indices_are_uniform_and_do_not_repeat_small_ones(start: int) -> None:
    u = uniform(0, 0, "w", arange(start)).numpy()
    check_even((u * 256).astype(int), 256, tests=10)
    check_unrelated([(u, uniform(0, 0, "w", arange()).numpy())] * 2)
    assert u.min() > 0 and u.max() < 1


@pytest.mark.parametrize("step", [1, 2, 3, 256, 2**15])
def test_every_byte_is_uniform_low_ones_too(step: int) -> None:
    for seed in range(8):
        bits = random_bits(salts(arange(step=step), seed, "w"), seed, candidate=0).numpy()
        for byte in range(8):
            check_even(bits >> 8 * byte & 255, 256, tests=5 * 8 * 8)


def test_the_bytes_of_a_number_are_unrelated() -> None:
    """Each byte is used for another weight."""
    every = random_bits(salts(arange(), 0, "w"), 0, candidate=0).numpy().view(np.uint8).reshape(N, 8) / 256
    check_unrelated([(every[:, i], every[:, j]) for i in range(8) for j in range(i)])


def test_numbers_of_successive_candidates_at_one_index_are_uniform() -> None:
    u = np.array([float(uniform(0, candidate, "w", torch.tensor([123]))) for candidate in range(2**12)])
    check_even((u * 256).astype(int), 256, tests=2)
    check_unrelated([(u[:-1], u[1:])] * 2)


def test_candidates_seeds_tensors_and_purposes_are_unrelated() -> None:
    base = uniform(0, 0, "a.0.weight", arange()).numpy()
    others = [
        *(uniform(0, candidate, "a.0.weight", arange()) for candidate in (1, 2, 3, 4, 2**32)),
        *(uniform(seed, 0, "a.0.weight", arange()) for seed in (1, 2, 3, 2**32)),
        *(uniform(0, 0, name, arange()) for name in ("a.1.weight", "a.2.weight", "b.0.weight", "")),
        uniform(0, 0, "a.0.weight", arange(), purpose="vote"),
    ]
    check_unrelated([(base, other.numpy()) for other in others])


def test_streams_are_not_one_sequence_in_another_order() -> None:
    """A key that only shifts or xors the index would give all candidates and tensors the same set of numbers."""

    def stream(tensor: str, candidate: int) -> np.ndarray:
        return random_bits(salts(arange(), 0, tensor), 0, candidate).numpy()

    first = stream("w", 0)
    for other in (*(stream("w", candidate) for candidate in range(1, 9)), stream("v", 0)):
        assert len(np.intersect1d(first, other)) == 0  # among 2⁶⁴ values: one is expected in four billion tests


def test_neighbouring_indices_are_unrelated() -> None:
    lags = [1, 2, 3, *(2**bit for bit in range(2, 16))]
    u = uniform(0, 0, "w", arange(n=2 * N)).numpy()
    check_unrelated([(u[:N], u[lag : lag + N]) for lag in lags])


@pytest.mark.parametrize("of", ["index", "candidate's salt"])
def test_each_bit_of_the_input_flips_each_bit_of_the_result_half_of_the_time(of: str) -> None:
    n = 20_000
    index = torch.from_numpy(np.random.default_rng(0).integers(0, 2**62, n))
    limit = stats.norm.isf(FALSE_ALARM / 2 / (62 * 64))

    def bits(index: torch.Tensor) -> torch.Tensor:
        return random_bits(salts(index, 0, "w") if of == "index" else index, 0, candidate=0)

    for bit in range(62):
        flipped = (bits(index) ^ bits(index ^ (1 << bit))).numpy().view(np.uint8)
        flips = np.unpackbits(flipped.reshape(n, 8), axis=1).mean(axis=0)
        assert np.all(np.abs(flips - 0.5) * 2 * np.sqrt(n) < limit)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_the_same_numbers() -> None:
    index = torch.cat([arange(), arange(2**31 - 10, n=20)])
    assert torch.equal(uniform(1, 2, "w", index.cuda()).cpu(), uniform(1, 2, "w", index))
