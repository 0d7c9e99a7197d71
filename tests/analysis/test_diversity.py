"""Pairwise tables, maps and coverage of masks, compared with direct counts and with the laws that they follow."""

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


def test_tables_have_the_counts_of_each_pair():
    overlap = count_overlap(MASKS)
    for (i, first), (j, second) in itertools.product(enumerate(MASKS), repeat=2):
        assert overlap.hamming()[i, j] == first.hamming(second)
        assert overlap.jaccard()[i, j] == pytest.approx(first.jaccard(second))
        for name in WEIGHTS:
            assert overlap.hamming(name)[i, j] == int((first[name] ^ second[name]).sum())
            assert overlap.both[name][i, j] == int((first[name] & second[name]).sum())


def test_masks_that_keep_nothing_have_similarity_1():
    none = rp.MaskSet({"w": torch.zeros(5, dtype=torch.bool)})
    assert (count_overlap([none, none]).jaccard() == 1).all()


def test_masks_of_different_models_are_refused():
    with pytest.raises(MaskError, match="'b'"):
        count_overlap([MASKS[0], rp.MaskSet({"a": MASKS[0]["a"]})])
    with pytest.raises(ConfigError, match="at least two masks, got 1"):
        count_overlap(MASKS[:1])


def test_a_map_of_points_in_a_plane_is_exact():
    corners = np.array([[0, 2, 2, 4], [2, 0, 4, 2], [2, 4, 0, 2], [4, 2, 2, 0]])  # of a square, with squared distances
    shown = planar_map(corners)
    assert shown.fraction == pytest.approx(1) and (shown.points[0] == 0).all()
    drawn = np.square(np.linalg.norm(shown.points[:, None] - shown.points[None], axis=-1))
    assert drawn == pytest.approx(corners)


def test_a_map_of_equally_distant_masks_shows_two_of_their_directions():
    n = 9
    shown = planar_map(10 * (1 - np.eye(n, dtype=np.int64)))
    assert shown.fraction == pytest.approx(2 / (n - 1))


def test_distances_on_the_map_are_not_larger_than_the_true_ones():
    hamming = count_overlap(MASKS).hamming()
    points = planar_map(hamming).points
    drawn = np.linalg.norm(points[:, None] - points[None], axis=-1)
    assert (drawn <= np.sqrt(hamming) + 1e-9).all()


def test_equal_masks_have_a_map():
    shown = planar_map(np.zeros((3, 3), dtype=np.int64))
    assert np.isfinite(shown.points).all() and shown.fraction == 0


def test_the_coverage_of_two_candidates_is_their_hamming_distance():
    expected = SAMPLER.expected_hamming().overall
    size = SAMPLER.undecided
    assert expected_coverage(SAMPLER.curves, [2])[0] * size == pytest.approx(expected, rel=1e-4)
    assert count_coverage(MASKS[1:], [2], SAMPLER.curves)[0] * size == pytest.approx(MASKS[1].hamming(MASKS[2]))


def test_counted_coverage_is_near_the_expected_one():
    """The difference is within 5 standard errors of a fraction of nearly independent weights.

    For three numbers of candidates, a false alarm happens in less than one of 100,000 seeds; the seed is fixed.
    """
    numbers = (2, 4, 16)
    counted = count_coverage((SAMPLER.draw(c) for c in range(16)), numbers, SAMPLER.curves)
    size = SAMPLER.undecided
    assert np.abs(counted - expected_coverage(SAMPLER.curves, numbers)).max() < 5 * np.sqrt(0.25 / size)


def test_coverage_grows_with_the_candidates_up_to_1():
    coverage = expected_coverage(SAMPLER.curves, (1, 2, 8, 10**3, 10**12))
    assert coverage[0] == pytest.approx(0, abs=1e-12) and (np.diff(coverage) > 0).all()
    assert coverage[-1] == pytest.approx(1)


def test_a_deterministic_rule_has_no_undecided_weights():
    sampler = rp.MaskSampler(WEIGHTS, rp.Magnitude(), 0.8)
    assert sampler.undecided == 0
    with pytest.raises(ConfigError, match="no weight is undecided"):
        expected_coverage(sampler.curves, [8])
