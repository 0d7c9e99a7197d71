"""How often the CPU waits for a GPU, and how many kernels it starts: the table in docs/method.md may not grow."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.metadata import version

import pytest
import torch
from support.pages import ROOT
from support.simulated_device import DEVICE, Counts, counted
from torch import Tensor

import randprune_lab as rp
from randprune_lab.criteria import scores
from randprune_lab.masks.counter_rng import uniform
from randprune_lab.search.scorer import first_batches
from randprune_lab.training import Distillation, SplitScore, Teacher, Training, TrainingConfig

RULE, SPARSITY = rp.Voting(1e-3), 0.9375

LOCKED = re.search(r"^transformers==(\S+)", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE)
of_the_lock = pytest.mark.skipif(
    LOCKED is None or version("transformers") != LOCKED[1],
    reason="other versions of transformers wait more often in their own forward passes",
)


def weights(number: int, *shape: int) -> dict[str, Tensor]:
    """Tensors of this shape on the device."""
    index = torch.arange(int(torch.tensor(shape).prod()))
    numbers = {f"w{i}": 2 * uniform(0, 0, f"w{i}", index) - 1 for i in range(number)}
    return {name: (each**3).float().reshape(shape).to(DEVICE) for name, each in numbers.items()}


def counts_of(work: Callable[[], object]) -> Counts:
    with counted() as counts:
        work()
    return counts


def plan(number: int) -> Counts:
    tensors = weights(number, 200, 300)
    return counts_of(lambda: rp.MaskSampler(tensors, RULE, SPARSITY))


def draw(number: int) -> Counts:
    sampler = rp.MaskSampler(weights(number, 200, 300), RULE, SPARSITY)
    return counts_of(lambda: sampler.draw(0))


@pytest.fixture
def training(tiny_lab) -> Training:
    """A training with all losses, after two of its steps: the first is special, and the second has no padding."""
    model = tiny_lab.model(DEVICE, seed=1)
    mask = rp.MaskSampler(model, rp.Voting(), 0.8).draw(0)
    config = TrainingConfig(epochs=1, distillation=Distillation(labels=1.0, logits=1.0, attention=1.0, hidden=1.0))
    found = Training(model, tiny_lab.train, config, mask=mask, teacher=Teacher(tiny_lab.model(DEVICE), tiny_lab.train))
    found.run(lambda model: 0.0, until=2)
    return found


@of_the_lock
def test_the_table_of_the_docs_has_these_counts(tiny_lab, training) -> None:
    """If a number has become smaller, change the table; if it has become larger, find out why."""
    evaluate = SplitScore(tiny_lab.task, tiny_lab.train)
    counts = {
        "plan of 3 tensors": plan(3),
        "plan of 30 tensors": plan(30),
        "draw for 3 tensors": draw(3),
        "draw for 30 tensors": draw(30),
        "training step": counts_of(lambda: training.run(evaluate, until=3)),
        "evaluation in 6 batches": counts_of(lambda: evaluate(training.model)),
    }
    found = {name: (each.waits, each.kernels) for name, each in counts.items()}
    section = (
        (ROOT / "docs" / "method.md").read_text("utf-8").partition("## Waits for a GPU\n")[2].partition("\n## ")[0]
    )
    rows = re.findall(r"^\| (.+) \| (\d+) \| (\d+) \|$", section, re.MULTILINE)
    assert {name: (int(waits), int(kernels)) for name, waits, kernels in rows} == found, counts


@pytest.mark.parametrize("rule", [rp.Magnitude(), rp.Uniform(), rp.GumbelTopK(), RULE], ids=str)
@pytest.mark.parametrize("allocation", ["layerwise", "global", "erk"])
def test_a_plan_waits_no_more_often_for_many_tensors_than_for_few(rule: rp.Rule, allocation: str) -> None:
    """Up to a limit: more than 32 tensors are handled in parts, each of which waits twice. ERK counts zeros first."""
    tensors = weights(33, 100, 100)
    for number, waits in ((2, 2), (32, 2), (33, 4)):
        some = {name: tensors[name] for name in list(tensors)[:number]}
        with counted() as counts:
            rp.MaskSampler(some, rule, SPARSITY, allocation=allocation)
        first = allocation == "erk"
        assert counts.waits == waits + first and counts.kernels < 300 + first * (number + 1), counts


def test_small_groups_are_read_together_and_drawn_without_waiting() -> None:
    tensors = weights(30, 20, 30)
    with counted() as plans:
        sampler = rp.MaskSampler(tensors, rp.Voting(), SPARSITY)
    with counted() as draws:
        sampler.draw(0)
    assert (plans.waits, draws.waits) == (3, 0)


def test_a_fingerprint_is_read_at_once() -> None:
    sampler = rp.MaskSampler(weights(30, 100, 100), RULE, SPARSITY)
    assert counts_of(lambda: sampler.fingerprint).waits == 3


@of_the_lock
def test_only_the_forward_passes_of_training_and_scoring_wait(tiny_lab, training) -> None:
    """Transformers looks for padding. The losses are read at the next evaluation, and the answers at the end."""
    steps = counts_of(lambda: training.run(lambda model: 0.0, until=7))
    assert steps.waits == steps.waits_of["_local_scalar_dense"] == 2 * 5
    rest = counts_of(lambda: training.run(lambda model: 0.0))
    assert rest.waits == 2 * 5 + 1 and len(training.history.losses) == 1
    wanda = counts_of(lambda: scores(training.model, "wanda", first_batches(tiny_lab.train.first(100))))
    assert wanda.waits == wanda.waits_of["_local_scalar_dense"] == 4
