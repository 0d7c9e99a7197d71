"""Training, evaluation and scores on a device that is not the CPU. Its kernels are the CPU's, and so are all bits."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from support.simulated_device import DEVICE
from torch import nn

import randprune_lab as rp
from randprune_lab.criteria import make_criterion, scores
from randprune_lab.search.config import RunConfig
from randprune_lab.search.level import Level
from randprune_lab.search.proposals import Proposal
from randprune_lab.training import (
    Distillation,
    SplitScore,
    Teacher,
    Training,
    TrainingConfig,
    log_likelihood,
    predict,
)
from randprune_lab.training.compute import Compute

DEVICES = (torch.device("cpu"), DEVICE)
CONFIG = TrainingConfig(epochs=1, learning_rate=2e-3, evaluate_every=5, keep_best=True)
DISTILLATION = Distillation(labels=0.5, logits=1.0, attention=1.0, hidden=1.0)


def equal(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(weight.cpu(), other.state_dict()[name].cpu()) for name, weight in one.state_dict().items())


@pytest.mark.parametrize("distillation", [None, DISTILLATION], ids=["labels", "teacher"])
def test_a_training_with_a_mask_ends_with_the_same_weights_scores_and_losses(tiny_lab, distillation) -> None:
    found = []
    for device in DEVICES:
        model, teacher = tiny_lab.model(device, seed=1), None
        if distillation is not None:
            teacher = Teacher(tiny_lab.model(device), tiny_lab.train)
        mask = rp.MaskSampler(model, rp.Voting(), 0.8).draw(0)
        config = dataclasses.replace(CONFIG, distillation=distillation or Distillation())
        training = Training(model, tiny_lab.train, config, mask=mask, teacher=teacher)
        training.run(SplitScore(tiny_lab.task, tiny_lab.validation))
        training.keep_best()
        parameters = dict(model.named_parameters())
        assert all(parameter.device == device for parameter in parameters.values())
        assert all(not parameters[name][~kept].any() for name, kept in mask.items())
        found.append((model, mask.to("cpu"), training.history))
    (here, mask, history), (there, other_mask, other_history) = found
    assert equal(here, there) and mask == other_mask and history == other_history
    assert len(history.losses) == 3


def test_a_training_that_stops_continues_on_the_device(tiny_lab) -> None:
    whole = Training(tiny_lab.model(DEVICE), tiny_lab.train, CONFIG)
    whole.run(lambda model: 0.0)
    first = Training(tiny_lab.model(DEVICE), tiny_lab.train, CONFIG)
    first.run(lambda model: 0.0, until=7)
    state = first.state()
    first.run(lambda model: 0.0)  # the state is a copy, and stays as it is
    second = Training(tiny_lab.model(DEVICE, seed=1), tiny_lab.train, CONFIG)
    second.restore(state)
    second.run(lambda model: 0.0)
    assert equal(second.model, whole.model) and second.history == first.history == whole.history


def test_an_early_evaluation_has_the_same_scores(tiny_lab) -> None:
    """With a stop on the way, as in a race."""
    found = []
    for device in DEVICES:
        model = tiny_lab.model(device)
        config = RunConfig(task="sst2", model=tiny_lab.path, early_epochs=1, evaluate_every=5, distill_labels=0.5)
        proposal = Proposal((rp.Voting(), rp.Uniform()), 0.9, 7)
        start = {name: weight.cpu().clone() for name, weight in tiny_lab.model("cpu", seed=2).state_dict().items()}
        split = (tiny_lab.train, tiny_lab.validation)
        teacher = Teacher(tiny_lab.model(device), tiny_lab.train)
        compute = Compute.find(str(device))
        level = Level("search-level-1", 1, config, compute, tiny_lab.task, model, start, *split, teacher, proposal)
        without, _ = level.advance(1, None, 0)
        _, state = level.advance(1, None, 5)
        level.advance(0, None, 5)
        evaluation, _ = level.advance(1, state, level.total_steps)
        found.append((without, evaluation))
    for here, there in zip(*found, strict=True):
        assert (here.at, here.metric, here.steps) == (there.at, there.metric, there.steps)
        assert np.array_equal(here.examples, there.examples) and np.array_equal(here.logits, there.logits)


def test_predictions_and_their_scores_are_the_same(tiny_lab) -> None:
    logits = [predict(tiny_lab.model(device), tiny_lab.validation, batch_size=7) for device in DEVICES]
    assert np.array_equal(*logits)
    likelihoods = [log_likelihood(each, tiny_lab.validation.labels) for each in logits]
    assert np.array_equal(*likelihoods)


@pytest.mark.parametrize("criterion", ["magnitude", "wanda", "ria", "taylor", "fisher", "movement"])
def test_scores_are_the_same(tiny_lab, criterion) -> None:
    rows = tiny_lab.train.batch(range(50))
    del rows["rows"]
    here, there = (scores(tiny_lab.model(device), criterion, [rows]) for device in DEVICES)
    assert all(found.device == DEVICE and torch.equal(found.cpu(), here[name]) for name, found in there.items())
    signed = make_criterion(criterion).signed
    masks = [
        rp.MaskSampler(tiny_lab.model(device), rp.Magnitude(), 0.8, scores=found, signed=signed).draw(0)
        for device, found in zip(DEVICES, (here, there), strict=True)
    ]
    assert masks[1].to("cpu") == masks[0]
