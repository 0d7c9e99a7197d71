"""Sums over a training are those of its steps, however the training is computed."""

from __future__ import annotations

import dataclasses

import pytest
import torch

import randprune_lab as rp
from randprune_lab.criteria import Movement, Record
from randprune_lab.masks.wrappers import named_weights
from randprune_lab.models.load import load_model
from randprune_lab.tasks import load_splits
from randprune_lab.training.config import TrainingConfig
from randprune_lab.training.data import encode
from randprune_lab.training.loop import Training, train

CONFIG = TrainingConfig(epochs=1, learning_rate=2e-3, batch_size=16, evaluate_every=5, compute="dense")
WORDS = "bert.embeddings.word_embeddings.weight"
QUERY = "bert.encoder.layer.0.attention.self.query.weight"
SCORED = (WORDS, QUERY, "bert.encoder.layer.1.output.dense.weight")


@pytest.fixture(scope="module")
def lab(glue_dir, tiny_model):
    splits = load_splits("sst2", glue_dir=glue_dir)
    _, tokenizer = load_model(tiny_model, task=splits.task)
    rows = encode(splits.train.select(range(160)), splits.task.text_fields, tokenizer, 32)
    return rows, lambda: load_model(tiny_model, task=splits.task, seed=0)[0]


def recorded(lab, mask=None, **settings):
    rows, model = lab[0], lab[1]()
    weights = named_weights(model)
    record = Record(Movement(), {name: weights[name] for name in SCORED})
    config = dataclasses.replace(CONFIG, **settings)
    train(model, rows, config, evaluate=lambda model: 0.0, mask=mask, record=record)
    return record.scores


@pytest.mark.parametrize("mask_gradients", [True, False], ids=["masked", "not masked"])
def test_the_sums_are_those_of_the_steps(lab, monkeypatch, mask_gradients):
    """Of the gradients before they are clipped; those of removed weights do not matter, because w is 0."""
    mask, expected = rp.MaskSampler(lab[1](), rp.Magnitude(), 0.9).draw(0), {}
    clip = torch.nn.utils.clip_grad_norm_

    def before_clipping(weights, largest):
        named = {name: weight for name, weight in named_weights(trained.model).items() if name in SCORED}
        for name, weight in named.items():
            expected[name] = expected.get(name, 0) - weight.detach() * weight.grad
        return clip(weights, largest)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", before_clipping)
    model = lab[1]()
    record = Record(Movement(), {name: named_weights(model)[name] for name in SCORED})
    config = dataclasses.replace(CONFIG, vocabulary="whole", mask_gradients=mask_gradients, max_grad_norm=0.01)
    trained = Training(model, lab[0], config, mask=mask, record=record)
    trained.run(lambda model: 0.0)
    assert record.scores.keys() == expected.keys()
    for name, score in record.scores.items():
        torch.testing.assert_close(score, expected[name])
    assert not record.scores[QUERY][~mask[QUERY]].any() and record.scores[QUERY][mask[QUERY]].all()


@pytest.mark.parametrize("settings", [{"vocabulary": "used"}, {"compute": "sparse"}], ids=["used rows", "kept weights"])
def test_the_sums_are_the_same_where_a_part_of_a_weight_is_trained_in_its_place(lab, settings):
    mask = rp.MaskSampler(lab[1](), rp.Magnitude(), 0.9).draw(0) if "compute" in settings else None
    whole, part = (recorded(lab, mask, **({"vocabulary": "whole"} | each)) for each in ({}, settings))
    assert whole.keys() == part.keys() == {*SCORED}
    for name, score in part.items():
        assert score.shape == whole[name].shape
        torch.testing.assert_close(score, whole[name], rtol=1e-3, atol=1e-6)


def test_a_recorded_training_has_the_bits_of_another(lab):
    rows, model, other = lab[0], lab[1](), lab[1]()
    weights = named_weights(model)
    train(model, rows, CONFIG, evaluate=lambda model: 0.0, record=Record(Movement(), {QUERY: weights[QUERY]}))
    train(other, rows, CONFIG, evaluate=lambda model: 0.0)
    assert all(torch.equal(weight, other.state_dict()[name]) for name, weight in model.state_dict().items())
