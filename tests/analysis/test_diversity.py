"""Pairwise tables, maps and coverage of masks, against counting by hand and against the laws they follow."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import randprune_lab as rp
from randprune_lab.analysis.diversity import count_coverage, count_overlap, expected_coverage, planar_map
from randprune_lab.errors import ConfigError, MaskError

GENERATOR = torch.Generator().manual_seed(0)
WEIGHTS = {"a": torch.randn(90, 80, generator=GENERATOR), "b": torch.randn(70, 100, generator=GENERATOR)}
SAMPLER = rp.MaskSampler(WEIGHTS, rp.Voting(3e-3), 0.8)
MASKS = [rp.MaskSampler(WEIGHTS, rp.Magnitude(), 0.8).draw(0), *(SAMPLER.draw(c) for c in range(6))]


def test_tables_are_those_of_the_pairs():
    found = count_overlap(MASKS)
    for (i, one), (j, other) in itertools.product(enumerate(MASKS), repeat=2):
        assert found.hamming()[i, j] == one.hamming(other)
        assert found.jaccard()[i, j] == pytest.approx(one.jaccard(other))
        for name in WEIGHTS:
            assert found.hamming(name)[i, j] == int((one[name] ^ other[name]).sum())
            assert found.both[name][i, j] == int((one[name] & other[name]).sum())


def test_masks_that_keep_nothing_are_alike():
    none = rp.MaskSet({"w": torch.zeros(5, dtype=torch.bool)})
    assert (count_overlap([none, none]).jaccard() == 1).all()


def test_masks_of_different_models_are_refused():
    with pytest.raises(MaskError, match="'b'"):
        count_overlap([MASKS[0], rp.MaskSet({"a": MASKS[0]["a"]})])
    with pytest.raises(ConfigError, match="at least two masks, got 1"):
        count_overlap(MASKS[:1])


def test_a_map_shows_whole_what_lies_in_a_plane_in_whichever_order():
    corners = np.array([[0, 2, 2, 4], [2, 0, 4, 2], [2, 4, 0, 2], [4, 2, 2, 0]])  # of a square: Hamming = squared
    shown = planar_map(corners)
    assert shown.fraction == pytest.approx(1) and (shown.points[0] == 0).all()
    drawn = np.square(np.linalg.norm(shown.points[:, None] - shown.points[None], axis=-1))
    assert drawn == pytest.approx(corners)


def test_masks_equally_far_from_each_other_are_shown_no_better_than_two_directions_can():
    n = 9
    shown = planar_map(10 * (1 - np.eye(n, dtype=np.int64)))
    assert shown.fraction == pytest.approx(2 / (n - 1))


def test_no_pair_is_further_apart_on_the_map_than_it_is():
    hamming = count_overlap(MASKS).hamming()
    points = planar_map(hamming).points
    drawn = np.linalg.norm(points[:, None] - points[None], axis=-1)
    assert (drawn <= np.sqrt(hamming) + 1e-9).all()


def test_equal_masks_have_a_map_too():
    shown = planar_map(np.zeros((3, 3), dtype=np.int64))
    assert np.isfinite(shown.points).all() and shown.fraction == 0


def test_two_candidates_try_both_ways_what_they_differ_in():
    expected = SAMPLER.expected_hamming().overall
    size = SAMPLER.undecided
    assert expected_coverage(SAMPLER.curves, [2])[0] * size == pytest.approx(expected, rel=1e-4)
    assert count_coverage(MASKS[1:], [2], SAMPLER.curves)[0] * size == pytest.approx(MASKS[1].hamming(MASKS[2]))


def test_counts_are_as_expected():
    """Within 5 standard errors of a fraction of N weights that are nearly independent: over three numbers a false alarm
    in less than one of 100,000 seeds; the seed is fixed."""
    numbers = (2, 4, 16)
    counted = count_coverage((SAMPLER.draw(c) for c in range(16)), numbers, SAMPLER.curves)
    size = SAMPLER.undecided
    assert np.abs(counted - expected_coverage(SAMPLER.curves, numbers)).max() < 5 * np.sqrt(0.25 / size)


def test_more_candidates_try_more_and_never_more_than_all():
    shares = expected_coverage(SAMPLER.curves, (1, 2, 8, 10**3, 10**12))
    assert shares[0] == pytest.approx(0, abs=1e-12) and (np.diff(shares) > 0).all()
    assert shares[-1] == pytest.approx(1)


def test_a_rule_without_randomness_has_no_undecided_weights():
    sampler = rp.MaskSampler(WEIGHTS, rp.Magnitude(), 0.8)
    assert sampler.undecided == 0
    with pytest.raises(ConfigError, match="no weight is undecided"):
        expected_coverage(sampler.curves, [8])
