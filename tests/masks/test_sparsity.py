"""A sparsity for each pattern of names: the first that matches counts, and nothing stays unmatched."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from randprune_lab.errors import ConfigError, RandpruneError, ScopeError
from randprune_lab.masks.allocations import keep_counts
from randprune_lab.masks.rules import Magnitude, Rule, Uniform, Voting
from randprune_lab.masks.sampler import MaskSampler

SIZES = {"0.attention.query": 5001, "0.attention.output": 333, "0.mlp.up": 10, "1.attention.query": 7, "head": 1}
BY_PATTERN = {"0.attention.*": 0.8, "*.attention.*": 0.5, "head": 0.0, "*": 0.95}
EXPECTED = {"0.attention.query": 0.8, "0.attention.output": 0.8, "0.mlp.up": 0.95, "1.attention.query": 0.5, "head": 0}


def weights() -> dict[str, Tensor]:
    rng = np.random.default_rng(0)
    return {name: torch.from_numpy(rng.standard_normal(size)) for name, size in SIZES.items()}


def test_every_tensor_keeps_what_the_first_pattern_says() -> None:
    counts = keep_counts({name: (size,) for name, size in SIZES.items()}, BY_PATTERN, "layerwise")
    assert counts == {name: size - round(EXPECTED[name] * size) for name, size in SIZES.items()}
    assert set(keep_counts({"a": (10,), "b": (10,)}, {"*": 0.9, "a": 0.5}, "layerwise").values()) == {1}


@pytest.mark.parametrize("rule", [Magnitude(), Uniform(), Voting()], ids=str)
def test_the_mask_of_a_tensor_is_that_of_its_sparsity_alone(rule: Rule) -> None:
    sampler = MaskSampler(weights(), rule, BY_PATTERN, seed=3)
    mask = sampler.draw(2)
    assert mask.kept == sampler.kept
    for name, sparsity in EXPECTED.items():
        assert torch.equal(mask[name], MaskSampler(weights(), rule, sparsity, seed=3).draw(2)[name])


@pytest.mark.parametrize("number", [np.float16, np.float64, torch.tensor])
def test_numbers_of_other_libraries_are_pythons(number: Any) -> None:
    sampler = MaskSampler(weights(), Uniform(), {"*": number(0.9)})
    assert sampler.sparsity == {"*": float(number(0.9))} and type(sampler.sparsity["*"]) is float


@pytest.mark.parametrize(
    ("sparsity", "error", "message"),
    [
        ({"*": 0.9, "*.mpl.*": 0.5}, ScopeError, "pattern '*.mpl.*' matches no weight to prune; names look like"),
        ({"left.out": 0.5, "*": 0.9}, ScopeError, "pattern 'left.out' matches no weight to prune"),
        ({"0.*": 0.9, "head": 0.5}, ScopeError, "no pattern of sparsity matches '1.attention.query'; add a pattern"),
        ({}, ScopeError, "no pattern of sparsity matches '0.attention.query', '0.attention.output', "),
        ({"*": 1.0}, ConfigError, "sparsity of '*' must be in [0, 1), got 1.0"),
        ({"*": 0.5, "head": float("nan")}, ConfigError, "sparsity of 'head' must be in [0, 1), got nan"),
        ({"*": "0.9"}, ConfigError, "sparsity of '*' must be a number, got '0.9'"),
        ({"*": {"head": 0.5}}, ConfigError, "sparsity of '*' must be a number, got {'head': 0.5}"),
        ({0: 0.5}, ConfigError, "patterns of sparsity must be strings, got 0"),
        ([("*", 0.5)], ConfigError, "sparsity must be a number, got [('*', 0.5)]"),
    ],
)
def test_what_does_not_fit_is_named(sparsity: Any, error: type[RandpruneError], message: str) -> None:
    with pytest.raises(error, match="^" + re.escape(message)):
        MaskSampler(weights() | {"left.out": torch.ones(3)}, Uniform(), sparsity, exclude=["left.out"])


@pytest.mark.parametrize("allocation", ["global", "erk", dict.fromkeys(SIZES, 1)])
def test_a_sparsity_of_patterns_divides_the_weights_itself(allocation: Any) -> None:
    with pytest.raises(ConfigError, match="sparsity by pattern is for the allocations 'layerwise' and 'row', got "):
        MaskSampler(weights(), Uniform(), BY_PATTERN, allocation=allocation)
