"""Training the word embeddings of the train set's tokens alone gives what training all of them gives."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

import randprune_lab as rp
from randprune_lab.errors import ConfigError
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.training.config import TrainingConfig
from randprune_lab.training.data import Encoded
from randprune_lab.training.loop import Training, train
from randprune_lab.training.scoring import predict
from randprune_lab.training.used_rows import find_used_rows

WORDS = "bert.embeddings.word_embeddings.weight"
SIZE = 25
CONFIG = TrainingConfig(epochs=2, learning_rate=2e-3, batch_size=32, weight_decay=0.1, evaluate_every=4)


def some(split: Encoded, share: int) -> Encoded:
    """The split with the ids of a part of its tokens alone, so that most embeddings are not used."""
    ids = split.inputs["input_ids"]
    return dataclasses.replace(split, inputs={**split.inputs, "input_ids": np.where(ids % share, 5, ids)})


@pytest.fixture
def few(lab) -> Encoded:
    return some(lab.train, 3)


def weights(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def equal(a, b):
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


def trained(lab, data, evaluate=lambda model: 0.0, **settings):
    model = lab.model()
    mask = rp.MaskSampler(model, rp.Magnitude(), 0.5).draw(0)
    history = train(model, data, dataclasses.replace(CONFIG, **settings), evaluate=evaluate, mask=mask)
    return model, history


def test_training_the_used_rows_equals_training_all_of_them(lab, few):
    (whole, expected), (used, history) = (trained(lab, few, vocabulary=kind) for kind in ("whole", "used"))
    assert history.losses == pytest.approx(expected.losses, rel=1e-6)
    for name, weight in whole.state_dict().items():
        torch.testing.assert_close(used.state_dict()[name], weight, rtol=1e-6, atol=1e-6)
    start, unused = lab.model().get_parameter(WORDS), np.setdiff1d(np.arange(SIZE), few.numbers)
    now = whole.get_parameter(WORDS)
    decay = (now / start)[unused].nanmedian().item()
    assert len(unused) > 5 and 0.99 < decay < 0.999
    torch.testing.assert_close(used.get_parameter(WORDS)[unused], now[unused], rtol=1e-6, atol=0)


def test_an_evaluation_sees_the_whole_model_and_the_optimizer_a_part_of_it(lab, few):
    """Tokens that the train set lacks are in other sets: their embeddings are those of the whole model."""
    ends = {"whole": [], "used": []}
    sizes = {}
    for kind, seen in ends.items():

        def evaluate(model, seen=seen, kind=kind):
            sizes[kind] = model.get_parameter(WORDS).shape
            seen.append((predict(model, lab.validation), weights(model)))
            return 0.0

        trained(lab, few, evaluate, vocabulary=kind)
    assert sizes["used"][0] == len(few.numbers) < sizes["whole"][0]
    for (logits, state), (expected, all_weights) in zip(ends["used"], ends["whole"], strict=True):
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
        assert {name: tensor.shape for name, tensor in state.items()} == {n: t.shape for n, t in all_weights.items()}
        torch.testing.assert_close(state[WORDS], all_weights[WORDS], rtol=1e-6, atol=1e-6)
        whole = lab.model()
        whole.load_state_dict(state)
        np.testing.assert_array_equal(predict(whole, lab.validation), logits)


@pytest.mark.parametrize("stops", [[1], [5, 6, 11], [0, 24, 99]], ids=str)
def test_a_training_that_stops_ends_with_the_same_bits(lab, few, stops):
    whole, _ = trained(lab, few, keep_best=True)
    mask = rp.MaskSampler(lab.model(), rp.Magnitude(), 0.5).draw(0)
    state = None
    for stop in [*stops, None]:
        model = lab.model(seed=7)
        if state is None:
            model.load_state_dict(lab.model().state_dict())
        training = Training(model, few, dataclasses.replace(CONFIG, keep_best=True), mask=mask)
        if state:
            training.restore(state)
        training.run(lambda model: 0.0, until=stop)
        state = training.state()
    training.keep_best()
    assert equal(weights(model), weights(whole))


def test_the_model_is_whole_again_when_a_training_stops_or_fails(lab, few):
    model = lab.model()
    parameters, layers = [*model.parameters()], [type(module) for module in model.modules()]

    def fail(model):
        raise KeyboardInterrupt

    training = Training(model, few, CONFIG)
    for evaluate, until in ((lambda model: 0.0, 2), (fail, None)):
        before = weights(model)
        try:
            training.run(evaluate, until=until)
        except KeyboardInterrupt:
            assert evaluate is fail
        assert all(a is b for a, b in zip(model.parameters(), parameters, strict=True))
        assert [type(module) for module in model.modules()] == layers
        assert not equal(weights(model), before)
        copy.deepcopy(model)


class Doubled(nn.Embedding):
    def forward(self, ids):
        return 2 * super().forward(ids)


def masked(model):
    return MaskSet({WORDS: torch.ones(SIZE, model.config.hidden_size, dtype=torch.bool)})


def tied(model):
    model.classifier.weight = model.get_input_embeddings().weight


def held_twice(model):
    model.other = model.get_input_embeddings()


def without_them(model):
    model.get_input_embeddings = None
    del model.get_input_embeddings
    model.__class__ = type("Plain", (type(model),), {"get_input_embeddings": property(lambda self: missing())})


def missing():
    raise AttributeError


CHANGES = {
    "tied": tied,
    "held twice": held_twice,
    "of its own class": lambda model: model.set_input_embeddings(Doubled(SIZE, model.config.hidden_size)),
    "sparse gradients": lambda model: setattr(model.get_input_embeddings(), "sparse", True),
    "limited norm": lambda model: setattr(model.get_input_embeddings(), "max_norm", 1.0),
    "frozen": lambda model: model.get_input_embeddings().requires_grad_(False) and None,
    "half precision": lambda model: model.half() and None,
    "masked": masked,
    "no such method": without_them,
}


@pytest.mark.parametrize("change", CHANGES)
def test_embeddings_that_are_more_than_a_table_are_trained_whole(lab, few, change):
    model = lab.model()
    assert find_used_rows(model, few) is not None and len(model.get_parameter(WORDS)) == SIZE
    mask = CHANGES[change](model)
    assert find_used_rows(model, few, mask or ()) is None


def test_all_rows_are_trained_if_all_are_used(lab):
    ids = np.arange(SIZE)
    everything = Encoded({"input_ids": ids}, np.array([SIZE]), np.array([0]), {"input_ids": 0})
    assert find_used_rows(lab.model(), everything) is None


def test_a_model_that_looks_up_other_tokens_is_refused_with_the_remedy(lab, few):
    model, other = lab.model(), int(np.setdiff1d(np.arange(SIZE), few.numbers)[0])
    model.get_input_embeddings().register_forward_pre_hook(lambda layer, given: (torch.full_like(given[0], other),))
    assert other not in few.numbers
    with pytest.raises(ConfigError, match=rf"rows of '{WORDS}' that are not tokens of the train set; .*--vocabulary"):
        train(model, few, CONFIG, evaluate=lambda model: 0.0)
    assert len(model.get_parameter(WORDS)) == SIZE
    train(model, few, dataclasses.replace(CONFIG, vocabulary="whole"), evaluate=lambda model: 0.0)


def test_gpt2_looks_up_token_types_among_its_words():
    from transformers import GPT2Config, GPT2ForSequenceClassification

    model = GPT2ForSequenceClassification(
        GPT2Config(vocab_size=20, n_positions=8, n_embd=12, n_layer=1, n_head=2, pad_token_id=0)
    )
    inputs = {"input_ids": np.arange(8, 14), "token_type_ids": np.array([2, 2, 2, 3, 3, 3])}
    data = Encoded(inputs, np.array([3, 3]), np.array([0, 1]), {"input_ids": 0, "token_type_ids": 1})
    assert find_used_rows(model, data).ids.tolist() == [0, 1, 2, 3, *range(8, 14)]
    train(model, data, CONFIG, evaluate=lambda model: 0.0)


@pytest.mark.parametrize("value", ["all", None], ids=str)
def test_an_unknown_vocabulary_is_refused(value):
    for settings in (TrainingConfig, rp.RunConfig):
        with pytest.raises(ConfigError, match="vocabulary"):
            settings(vocabulary=value)
