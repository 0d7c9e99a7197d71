"""Random numbers that are a function of integers: the published mixer, uniform, and unrelated between streams.

Statistical tests use fixed streams, so they pass or fail for good; FALSE_ALARM is the chance that a perfect
generator would have failed one test, shared out evenly over the statistics that the test looks at.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from randprune_lab.masks.counter_rng import BLOCK, StreamKey, random_bits, stream_key, uniform

FALSE_ALARM = 1e-6
N = 2**16

int32s = st.integers(-(2**31), 2**31 - 1)


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
    """Every pair of sequences falls evenly into 16 × 16 cells, which any linear dependence would disturb."""
    for a, b in pairs:
        check_even((a * 16).astype(int) * 16 + (b * 16).astype(int), 256, tests=len(pairs))


def finalize(x: int) -> int:
    """MurmurHash3's fmix32 as published, on Python's integers."""
    x ^= x >> 16
    x = x * 0x85EBCA6B % 2**32
    x ^= x >> 13
    x = x * 0xC2B2AE35 % 2**32
    return x ^ x >> 16


@pytest.mark.parametrize(("x", "hashed"), [(0, 0), (1, 0x514E28B7), (2, 0x30F4C306)])
def test_the_reference_finalizer_gives_the_published_values(x: int, hashed: int) -> None:
    assert finalize(x) == hashed


@given(index=st.lists(st.integers(0, 2**31 - 1), min_size=1), first=int32s, second=int32s)
@settings(deadline=None, derandomize=True, max_examples=100)
def test_bits_are_two_keyed_passes_of_murmurhash3(index: list[int], first: int, second: int) -> None:
    bits = random_bits(torch.tensor(index, dtype=torch.int32), StreamKey(first, second))
    assert bits.dtype == torch.int32
    expected = [finalize(finalize((i + first) % 2**32) ^ second % 2**32) for i in index]
    assert [b % 2**32 for b in bits.tolist()] == expected


def test_bits_leave_the_index_alone() -> None:
    index = arange(n=100).int()
    random_bits(index, stream_key(1, 2, "w"))
    assert torch.equal(index, arange(n=100).int())


@given(
    keys=st.lists(
        st.tuples(
            st.integers(-(2**63), 2**63 - 1),
            st.integers(0, 2**63 - 1),
            st.text(max_size=8),
            st.integers(0, 2**31),
            st.sampled_from(["mask", "vote", "split"]),
        ),
        min_size=2,
        max_size=6,
        unique=True,
    )
)
@settings(deadline=None, derandomize=True, max_examples=100)
def test_different_streams_have_different_keys(keys: list[tuple[int, int, str, int, str]]) -> None:
    made = {stream_key(*key) for key in keys}
    assert len(made) == len(keys)
    assert all(-(2**31) <= half < 2**31 for key in made for half in key)


def test_each_argument_of_a_stream_matters_by_itself() -> None:
    streams = [
        stream_key(3, 5, "a"),
        stream_key(5, 3, "a"),
        stream_key(4, 5, "a"),
        stream_key(3, 6, "a"),
        stream_key(3, 5, "b"),
        stream_key(3, 5, "a", block=1),
        stream_key(3, 5, "a", purpose="vote"),
    ]
    assert len(set(streams)) == len(streams)
    assert streams[0] == stream_key(seed=3, candidate=5, tensor="a", block=0, purpose="mask")


def test_numbers_lie_inside_the_open_interval_on_odd_multiples_of_2_to_the_minus_33() -> None:
    u = uniform(0, 0, "w", arange())
    assert u.dtype == torch.float64
    half_steps = u * 2.0**33  # odd numbers reach neither 0 nor 2³³
    assert torch.equal(half_steps, half_steps.round()) and bool((half_steps % 2 == 1).all())
    assert float(u.min()) > 0 and float(u.max()) < 1


def test_the_outermost_bits_give_the_outermost_numbers_inside_the_interval(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    extremes = torch.tensor([-(2**31), 2**31 - 1], dtype=torch.int32)
    monkeypatch.setattr("randprune_lab.masks.counter_rng.random_bits", lambda index, key: extremes)
    assert uniform(0, 0, "w", arange(n=2)).tolist() == [2.0**-33, 1 - 2.0**-33]


def test_uniform_depends_on_the_index_alone_not_on_its_neighbours() -> None:
    index = torch.cat([arange(n=500), arange(start=BLOCK - 250, n=500), arange(start=5 * BLOCK, n=10)])
    order = torch.randperm(len(index), generator=torch.Generator().manual_seed(0))
    whole = uniform(7, 1, "w", index)
    assert torch.equal(uniform(7, 1, "w", index[order]), whole[order])
    assert torch.equal(torch.cat([uniform(7, 1, "w", part) for part in index.split(37)]), whole)
    assert torch.equal(uniform(7, 1, "w", index[::3]), whole[::3])
    assert len(uniform(7, 1, "w", index[:0])) == 0


def test_uniform_does_not_depend_on_the_integer_type_of_the_index() -> None:
    index = arange(n=1000)
    assert torch.equal(uniform(7, 1, "w", index.int()), uniform(7, 1, "w", index))


@pytest.mark.parametrize("start", [BLOCK - N, BLOCK, 3 * BLOCK, 2**40, 2**62])
def test_indices_beyond_one_block_are_uniform_and_do_not_repeat_the_first_block(start: int) -> None:
    u = uniform(0, 0, "w", arange(start)).numpy()
    check_even((u * 256).astype(int), 256, tests=10)
    check_unrelated([(u, uniform(0, 0, "w", arange()).numpy())] * 2)
    assert u.min() > 0 and u.max() < 1


@pytest.mark.parametrize("step", [1, 2, 3, 256, 2**15])
def test_every_byte_is_uniform_low_ones_too(step: int) -> None:
    keys = [stream_key(seed, 0, "w") for seed in range(8)]
    for key in keys:
        bits = random_bits(arange(step=step).int(), key).numpy().astype(np.int64)
        for byte in range(4):
            check_even(bits >> 8 * byte & 255, 256, tests=5 * 4 * len(keys))


def test_numbers_of_successive_candidates_at_one_index_are_uniform() -> None:
    u = np.array([float(uniform(0, candidate, "w", torch.tensor([123]))) for candidate in range(2**12)])
    check_even((u * 256).astype(int), 256, tests=2)
    check_unrelated([(u[:-1], u[1:])] * 2)


def test_candidates_seeds_tensors_blocks_and_purposes_are_unrelated() -> None:
    base = uniform(0, 0, "a.0.weight", arange()).numpy()
    others = [
        *(uniform(0, candidate, "a.0.weight", arange()) for candidate in (1, 2, 3, 4, 2**32)),
        *(uniform(seed, 0, "a.0.weight", arange()) for seed in (1, 2, 3, 2**32)),
        *(uniform(0, 0, name, arange()) for name in ("a.1.weight", "a.2.weight", "b.0.weight", "")),
        *(uniform(0, 0, "a.0.weight", arange(block * BLOCK)) for block in (1, 2, 2**20)),
        uniform(0, 0, "a.0.weight", arange(), purpose="vote"),
    ]
    check_unrelated([(base, other.numpy()) for other in others])


def test_streams_are_not_one_sequence_in_another_order() -> None:
    """A key that only shifts or xors the index would give all candidates the same set of numbers."""
    first = random_bits(arange().int(), stream_key(0, 0, "w"))
    for candidate in range(1, 9):
        second = random_bits(arange().int(), stream_key(0, candidate, "w"))
        # Of N out of 2³² values each, N² / 2³² are in common by chance.
        common = len(np.intersect1d(first.numpy(), second.numpy()))
        assert common <= stats.poisson.isf(FALSE_ALARM / 8, N**2 / 2**32)
        for shift in (1, 2, 64):
            assert len(np.intersect1d(first[shift:].numpy(), second[:-shift].numpy())) < N / 100


def test_neighbouring_indices_are_unrelated() -> None:
    lags = [1, 2, 3, *(2**bit for bit in range(2, 16))]
    u = uniform(0, 0, "w", arange(n=2 * N)).numpy()
    check_unrelated([(u[:N], u[lag : lag + N]) for lag in lags])


def test_each_bit_of_the_index_flips_each_bit_of_the_result_half_of_the_time() -> None:
    n = 20_000
    index = torch.from_numpy(np.random.default_rng(0).integers(0, 2**31, n).astype(np.int32))
    key = stream_key(0, 0, "w")
    limit = stats.norm.isf(FALSE_ALARM / 2 / (31 * 32))
    bits = random_bits(index, key)
    for bit in range(31):
        flipped = (bits ^ random_bits(index ^ (1 << bit), key)).numpy().view(np.uint8)
        share = np.unpackbits(flipped.reshape(n, 4), axis=1).mean(axis=0)
        assert np.all(np.abs(share - 0.5) * 2 * np.sqrt(n) < limit)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_the_same_numbers() -> None:
    index = torch.cat([arange(), arange(BLOCK - 10, n=20)])
    assert torch.equal(uniform(1, 2, "w", index.cuda()).cpu(), uniform(1, 2, "w", index))
