"""Gradual pruning in the training loop: the masks of the schedule, and the same bits however it is stopped."""

from __future__ import annotations

import dataclasses
import logging

import pytest
import torch

import randprune_lab as rp
from randprune_lab.errors import ConfigError, MaskError
from randprune_lab.masks import GradualMasks
from randprune_lab.training.config import TrainingConfig
from randprune_lab.training.loop import Training, train

CONFIG = TrainingConfig(epochs=1, learning_rate=2e-3, batch_size=32, evaluate_every=2)
SCHEDULE = {"start": 2, "end": 8, "every": 3, "begin": 0.3}


def gradual(model, final=0.9, **settings) -> GradualMasks:
    return GradualMasks(rp.MaskSampler(model, rp.GumbelTopK(0.2), final, seed=1), **SCHEDULE | settings)


def weights(model) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def equal(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class Seen:
    """An evaluation that sees what is zero, and scores what it is told to."""

    def __init__(self, *scores: float):
        self.scores, self.kept, self.weights = iter(scores), [], []

    def __call__(self, model) -> float:
        pruned = [weight for name, weight in model.named_parameters() if "encoder" in name and weight.ndim == 2]
        self.kept.append(sum(int(weight.count_nonzero()) for weight in pruned))
        self.weights.append(weights(model))
        return next(self.scores, 0.0)


def test_the_weights_that_are_left_are_those_of_the_schedule(lab):
    model, seen = lab.model(), Seen()
    sizes = [weight.numel() for name, weight in model.named_parameters() if "encoder" in name and weight.ndim == 2]
    train(model, lab.train, CONFIG, evaluate=seen, gradual=gradual(model))
    expected = [0.9 + (0.3 - 0.9) * (1 - progress / 6) ** 3 for progress in (0, 0, 3, 6, 6, 6)]
    assert seen.kept == [sum(size - round(sparsity * size) for size in sizes) for sparsity in expected]


@pytest.mark.parametrize(("regrow", "mask_gradients"), [(None, True), ("set", False), ("rigl", True), ("rigl", False)])
def test_a_stopped_training_continues_to_the_same_bits(lab, regrow, mask_gradients):
    """Step 5 is a redraw, after which what regrew is zero; before step 5 its gradients are collected."""
    config = dataclasses.replace(CONFIG, mask_gradients=mask_gradients)

    def begun() -> Training:
        model = lab.model()
        return Training(model, lab.train, config, gradual=gradual(model, regrow=regrow))

    whole = begun()
    whole.run(Seen())
    for stop in (4, 5):
        first, second = begun(), begun()
        first.run(Seen(), until=stop)
        second.restore(first.state())
        second.run(Seen())
        assert equal(weights(second.model), weights(whole.model))
        assert second.mask == whole.mask and second.history == whole.history


@pytest.mark.parametrize("start", [0, 1])
def test_weights_regrow_from_a_mask_of_before_also_if_the_schedule_begins_at_once(lab, start):
    model = lab.model()
    mask = rp.MaskSampler(model, rp.Magnitude(), 0.5).draw(0)
    masks = gradual(model, regrow="set", start=start, begin=0.5)
    training = Training(model, lab.train, CONFIG, mask=mask, gradual=masks)
    training.run(Seen())
    assert training.mask.sparsity == pytest.approx(0.9, abs=1e-3)


def test_a_level_can_be_pruned_gradually_from_the_one_before(lab):
    """The mask of the level before is enforced until the first redraw; later masks are parts of it."""
    model = lab.model()
    before = rp.MaskSampler(model, rp.Magnitude(), 0.5).draw(0)
    seen = Seen()
    training = Training(model, lab.train, CONFIG, mask=before, gradual=gradual(model, begin=0.5, start=3))
    training.run(seen)
    assert seen.kept[0] == before.kept and (training.mask & ~before).kept == 0
    assert training.mask.sparsity == pytest.approx(0.9, abs=1e-3)
    assert all(not model.get_parameter(name)[~kept].any() for name, kept in training.mask.items())


def test_the_best_score_is_one_with_the_last_mask(lab):
    model, seen = lab.model(), Seen(0.9, 0.8, 0.7, 0.1, 0.3, 0.2)
    config = dataclasses.replace(CONFIG, keep_best=True)
    history = train(model, lab.train, config, evaluate=seen, gradual=gradual(model))
    assert history.steps[history.best] == 10 and equal(weights(model), seen.weights[4])


def test_masked_layers_are_computed_dense(lab, caplog):
    model, ends = lab.model(), []
    with pytest.raises(ConfigError, match="compute='sparse' is for a mask that stays, and gradual pruning redraws it"):
        Training(model, lab.train, dataclasses.replace(CONFIG, compute="sparse"), gradual=gradual(model))
    for compute in ("auto", "dense"):
        with caplog.at_level(logging.INFO, "randprune_lab"):
            model = lab.model()
            train(
                model,
                lab.train,
                dataclasses.replace(CONFIG, compute=compute),
                evaluate=Seen(),
                gradual=gradual(model, final=0.97),
            )
        ends.append(weights(model))
    assert equal(*ends) and caplog.text.count("masked layers are computed dense") == 1


def test_pruned_word_embeddings_are_trained_whole(lab):
    """Without this, the rows of words that no text has would not be seen by the sampler."""
    name = "bert.embeddings.word_embeddings.weight"
    model = lab.model()
    settings = GradualMasks(rp.MaskSampler(model, rp.Magnitude(), 0.5, include=[name]), **SCHEDULE)
    training = Training(model, lab.train, CONFIG, gradual=settings)
    training.run(Seen())
    weight = model.get_parameter(name)
    assert int(weight.count_nonzero()) == weight.numel() - round(weight.numel() * 0.5) == training.mask.kept


def test_a_schedule_must_fit_the_training_and_its_mask(lab):
    model = lab.model()
    mask = rp.MaskSampler(model, rp.Magnitude(), 0.3).draw(0)
    part = GradualMasks(rp.MaskSampler(model, rp.Magnitude(), 0.9, include=["*query.weight"]), **SCHEDULE)
    with pytest.raises(
        MaskError, match=r"the mask has 'bert.* and 6 more, and the sampler 'bert.*query.weight'; make the"
    ):
        Training(model, lab.train, CONFIG, mask=mask, gradual=part)
    with pytest.raises(ConfigError, match="end must be at most 12, the number of steps of the training, got 13"):
        Training(model, lab.train, CONFIG, gradual=gradual(model, end=13))
