from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, RobertaConfig, RobertaModel

from randprune_lab.errors import ConfigError
from randprune_lab.models.load import load_model
from randprune_lab.training.data import (
    MEGABATCH,
    Encoded,
    check_fits,
    encode,
    scoring_batches,
    tokenize,
    training_batches,
)

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


class Decoder:
    """A tokenizer with nothing between two texts; here, a bar shows where the second begins."""

    truncation_side = "right"
    sep_token, eos_token = None, "$"

    def num_special_tokens_to_add(self, pair):
        return 0

    def __call__(self, first, second, *, truncation, max_length):
        return [f"{a}|{b}" for a, b in zip(first, second, strict=True)]


def test_pairs_for_a_decoder_have_a_separator():
    tokenizer = Decoder()
    pairs = [["bad. No", "bad."], [" good", " No good"]]
    assert tokenize(tokenizer, pairs, 8) == ["bad. No|$ good", "bad.|$ No good"]  # ends are cut off, not the separator
    tokenizer.truncation_side = "left"
    assert tokenize(tokenizer, pairs, 8) == ["bad. No$| good", "bad.$| No good"]
    tokenizer.eos_token = None
    with pytest.raises(ConfigError, match="no token to put between two texts"):
        tokenize(tokenizer, pairs, 8)


@pytest.mark.parametrize("texts", [[["the film is dull"]], [["the film is dull"], ["a good story"]]])
def test_an_input_has_room_for_a_token_of_each_text(tiny_model, texts):
    """With less, a tokenizer of transformers keeps all tokens, or none of a text."""
    _, tokenizer = load_model(tiny_model, num_labels=2)
    least = 2 * len(texts) + 1
    assert len(tokenize(tokenizer, texts, least)["input_ids"][0]) == least
    for length in range(1, least):
        with pytest.raises(ConfigError, match=rf"max_length .* must be at least {least}, .* got {length}"):
            tokenize(tokenizer, texts, length)


def test_pairs_for_an_encoder_are_left_to_its_tokenizer(tiny_model):
    _, tokenizer = load_model(tiny_model, num_labels=2)
    pairs = [["the film", "bad"], ["is dull", "the cast"]]
    assert tokenize(tokenizer, pairs, 8)["input_ids"] == tokenizer(*pairs)["input_ids"]


def small(kind):
    """A BERT or RoBERTa with 50 tokens, 2 token types and 10 places; RoBERTa's first two positions are no places."""
    shape = {"vocab_size": 50, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "type_vocab_size": 2}
    if kind == "bert":
        return BertModel(BertConfig(**shape, intermediate_size=8, max_position_embeddings=10))
    return RobertaModel(RobertaConfig(**shape, intermediate_size=8, max_position_embeddings=12, pad_token_id=1))


@pytest.mark.parametrize("kind", ["bert", "roberta"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, None),
        ({"token": 50}, "the tokenizer of model 'x' gives input_ids up to 50, but the model has 50 embeddings"),
        ({"pad": 50}, "the tokenizer of model 'x' gives input_ids up to 50, but the model has 50 embeddings"),
        ({"type": 2}, "the tokenizer of model 'x' gives token_type_ids up to 2, but the model has 2 embeddings"),
        ({"tokens": 11}, "model 'x' takes at most 10 tokens, but an input has 11; give max_length"),
        ({"longest": 9}, "model 'x' takes at most 9 tokens, but an input has 10; give max_length"),
    ],
)
def test_an_input_that_the_model_has_no_embeddings_for_is_refused(kind, change, message):
    given = {"token": 49, "pad": 1, "type": 1, "tokens": 10, "longest": 10**30} | change
    ids = np.array([7] * (given["tokens"] - 1) + [given["token"]])
    inputs = {"input_ids": ids, "token_type_ids": np.full_like(ids, given["type"])}
    padding = {"input_ids": given["pad"], "token_type_ids": 0}
    encoded = Encoded(inputs, np.array([len(ids)]), np.array([0]), padding)
    model, tokenizer = small(kind), SimpleNamespace(model_max_length=given["longest"])
    if message is None:
        check_fits(encoded, model, tokenizer, "x")
        model(**{name: torch.tensor(values)[None] for name, values in inputs.items()})
    else:
        with pytest.raises(ConfigError, match=message):
            check_fits(encoded, model, tokenizer, "x")


@pytest.mark.parametrize("longest", [-1, None, 0, 10**30, 20])
@pytest.mark.parametrize("positions", [-1, None, 0, 20])
def test_a_limit_that_is_no_positive_number_is_none(longest, positions):
    inputs = {"input_ids": np.full(21, 7)}
    encoded = Encoded(inputs, np.array([21]), np.array([0]), {"input_ids": 0})
    model, tokenizer = small("bert"), SimpleNamespace(model_max_length=longest)
    model.config = SimpleNamespace(max_position_embeddings=positions)
    if 20 in (longest, positions):
        with pytest.raises(ConfigError, match="takes at most 20 tokens, but an input has 21"):
            check_fits(encoded, model, tokenizer, "x")
    else:
        check_fits(encoded, model, tokenizer, "x")


def test_the_first_rows_are_a_split(lab):
    few = lab.train.first(5)
    assert len(few) == 5
    ours, theirs = few.batch([4, 1]), lab.train.batch([4, 1])
    assert all(ours[name].tolist() == theirs[name].tolist() for name in theirs)


class Rows(dict):
    """Columns, with the number of rows as their length."""

    def __len__(self):
        return len(self["label"])
