import numpy as np
import pytest

from randprune_lab.training.data import MEGABATCH, scoring_batches, training_batches

LENGTHS = np.random.default_rng(0).integers(3, 60, size=1001)


@pytest.mark.parametrize("n", [1, 7, 32, 1001])
def test_every_row_is_in_exactly_one_batch(n):
    for batches in (training_batches(LENGTHS[:n], 32, seed=0, epoch=0), list(scoring_batches(LENGTHS[:n], 32))):
        assert sorted(np.concatenate(batches)) == list(range(n))
        assert all(1 <= len(batch) <= 32 for batch in batches)
        assert len(batches) == -(-n // 32)


def test_batches_are_a_pure_function_of_seed_and_epoch():
    def flat(seed, epoch):
        return np.concatenate(training_batches(LENGTHS, 32, seed, epoch)).tolist()

    assert flat(1, 2) == flat(1, 2)
    assert len({tuple(flat(*key)) for key in ((0, 0), (0, 1), (1, 0))}) == 3


def test_grouping_by_length_saves_padding():
    def padded(batches):
        return sum(len(batch) * LENGTHS[batch].max() for batch in batches)

    shuffled = np.array_split(np.random.default_rng(0).permutation(len(LENGTHS)), 32)
    assert padded(training_batches(LENGTHS, 32, seed=0, epoch=0)) < 0.75 * padded(shuffled)


def test_batches_come_in_no_order_of_length():
    lengths = np.arange(32 * MEGABATCH)
    means = [lengths[batch].mean() for batch in training_batches(lengths, 32, seed=0, epoch=0)]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.65  # 5 standard deviations of 50 pairs
