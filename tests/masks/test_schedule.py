"""The sparsity follows its formula, and a schedule that does not fit is an error."""

from __future__ import annotations

import pytest
import torch

import randprune_lab as rp
from randprune_lab.errors import ConfigError, UnknownNameError
from randprune_lab.masks.gradual import GradualMasks
from randprune_lab.masks.schedule import Schedule, in_steps

SAMPLER = rp.MaskSampler({"w": torch.arange(1.0, 101.0)}, rp.Magnitude(), sparsity=0.9)


@pytest.mark.parametrize(("start", "end", "every"), [(0, 90, 10), (7, 90, 10), (5, 6, 3)], ids=str)
def test_the_cubic_sparsity_is_that_of_zhu_and_gupta(start, end, every):
    schedule = Schedule(start, end, every, begin=0.2)
    assert schedule.steps == tuple(sorted({*range(start, end + 1, every), end}))
    assert schedule.steps == tuple(step for step in range(200) if schedule.due(step))
    for step in schedule.steps:
        expected = 0.95 + (0.2 - 0.95) * (1 - (step - start) / (end - start)) ** 3
        assert schedule.sparsity(step, 0.95) == pytest.approx(expected, abs=1e-12)
    assert schedule.sparsity(end, 0.95) == 0.95, "the end is exact"


@pytest.mark.parametrize(
    ("shape", "expected"),
    [("linear", [0.1, 0.3, 0.5]), ("constant", [0.5, 0.5, 0.5]), (lambda progress: progress**2, [0.1, 0.2, 0.5])],
    ids=["linear", "constant", "function"],
)
def test_other_shapes(shape, expected):
    schedule = Schedule(10, 20, 5, begin=0.1, shape=shape)
    assert [schedule.sparsity(step, 0.5) for step in schedule.steps] == pytest.approx(expected)
    assert schedule.sparsity(15, {"a": 0.5, "*": 0.1}) == pytest.approx({"a": expected[1], "*": 0.1})


def test_fractions_are_of_the_training():
    assert in_steps("start", 0.1, 500) == 50 and in_steps("end", 1.0, 500) == 500
    assert in_steps("start", 0, None) == 0 and in_steps("end", 1, 500) == 1
    for value, total, message in [
        (0.1, None, "whose number of steps is not known"),
        (501, 500, "end must be at most 500, the number of steps of the training, got 501"),
        (1.5, 500, r"end, a fraction of the training, must be in \[0, 1\]"),
        (-1, 500, "end must be a whole number at least 0"),
        ("last", 500, "must be a number"),
    ]:
        with pytest.raises(ConfigError, match=message):
            in_steps("end", value, total)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"start": 5, "end": 5}, "start must be before end, got start 5 and end 5"),
        ({"start": 0.5, "end": 0.1}, "start must be before end"),
        ({"every": 0}, "every must be a whole number at least 1, got 0"),
        ({"every": 2.0}, "every must be a whole number"),
        ({"start": -1}, "start must be"),
        ({"end": 1.5}, "end, a fraction of the training"),
        ({"begin": 0.95}, r"begin must be in \[0, 0\.9\], got 0\.95"),
        ({"schedule": "cubik"}, "unknown schedule 'cubik'; did you mean 'cubic'"),
        ({"schedule": 3}, "schedule must be one of cubic, linear, constant, or a function, got 3"),
        ({"regrow": "riggle"}, "unknown regrowth 'riggle'; did you mean 'rigl'"),
        ({"regrow": "set", "fraction": 1.0}, r"fraction must be in \(0, 1\)"),
        ({"candidate": -1}, "candidate must be"),
        ({"final": 0.5}, "final must be given if sampler is a function, and only then"),
        ({"sampler": lambda model, sparsity: SAMPLER}, "final must be given if sampler is a function"),
        ({"sampler": rp.Magnitude()}, "sampler must be a MaskSampler, or a function .* got a Magnitude"),
        ({"sampler": torch.nn.Linear(2, 2)}, "sampler must be a MaskSampler, or a function .* got a Linear"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_wrong_settings_are_refused_at_once(settings, message):
    given = {"sampler": SAMPLER, "start": 0, "end": 10, "every": 2} | settings
    with pytest.raises(ConfigError, match=message):
        GradualMasks(**given)
    with pytest.raises(ConfigError, match=message):
        rp.GradualPruning(**given)


def test_counts_as_allocation_need_a_constant_sparsity():
    counts = rp.MaskSampler({"w": torch.arange(1.0, 101.0)}, rp.Magnitude(), 0.9, allocation={"w": 10})
    with pytest.raises(ConfigError, match="counts as allocation has one sparsity, and the schedule changes it"):
        GradualMasks(counts, 0, 10, 2)
    GradualMasks(counts, 0, 10, 2, schedule="constant")


@pytest.mark.parametrize(
    "shape",
    [lambda progress: 1 - progress, lambda progress: progress / 2, lambda progress: 2 * progress],
    ids=["falls", "ends early", "beyond"],
)
def test_a_function_must_rise_to_one(shape):
    with pytest.raises(ConfigError, match=r"must not fall, and be 1 at the end, got|must be in \[0, 1\]"):
        Schedule(0, 10, 5, shape=shape)


def test_an_unknown_shape_is_named():
    with pytest.raises(UnknownNameError, match="unknown schedule 'cube'"):
        Schedule(0, 10, 5, shape="cube")
