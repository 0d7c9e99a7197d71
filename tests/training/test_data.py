import numpy as np
import pytest

from randprune_lab.models.load import load_model
from randprune_lab.training.data import MEGABATCH, encode, scoring_batches, training_batches

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


def test_batches_are_not_ordered_by_length():
    lengths = np.arange(32 * MEGABATCH)
    means = [lengths[batch].mean() for batch in training_batches(lengths, 32, seed=0, epoch=0)]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.65  # 5 standard deviations of 50 pairs


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_batch_equals_the_tokenizers_own_padding(tiny_model, side):
    _, tokenizer = load_model(tiny_model, num_labels=2)
    tokenizer.padding_side = side
    rows = {"one": ["the film", "a good story", "bad"], "two": ["is", "very dull", "the cast"], "label": [0, 1, 0]}
    encoded = encode(Rows(rows), ("one", "two"), tokenizer, 8)
    for chosen in ([0], [2, 0], [0, 1, 2]):
        batch = encoded.batch(chosen)
        pairs = [[rows["one"][row] for row in chosen], [rows["two"][row] for row in chosen]]
        expected = tokenizer(*pairs, padding=True, truncation=True, max_length=8, return_tensors="pt")
        assert {name: batch[name].tolist() for name in expected} == {name: expected[name].tolist() for name in expected}
        assert batch["labels"].tolist() == [rows["label"][row] for row in chosen]
        assert batch["rows"].tolist() == chosen


def test_the_first_rows_are_a_split(lab):
    few = lab.train.first(5)
    assert len(few) == 5
    ours, theirs = few.batch([4, 1]), lab.train.batch([4, 1])
    assert all(ours[name].tolist() == theirs[name].tolist() for name in theirs)


class Rows(dict):
    """Columns, with the number of rows as their length."""

    def __len__(self):
        return len(self["label"])
