"""N:M sparsity: every m consecutive weights of a row are a separate group, drawn by the reference procedure."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from scipy import stats
from support.exact_laws import check_law, successive_law
from torch import nn

from randprune_lab.errors import ConfigError, ScopeError, WeightError
from randprune_lab.masks import rows
from randprune_lab.masks.curve import Histogram
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.rules import RULES, GumbelTopK, Magnitude, Rule, Uniform, Voting
from randprune_lab.masks.sampler import MaskSampler


def weights(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).standard_normal(shape).astype(np.float32))


def draw(target: Any, rule: Rule, n: int, m: int, *, candidate: int, seed: int = 0) -> MaskSet:
    return MaskSampler(target, rule, None, structure=f"{n}:{m}", seed=seed).draw(candidate)


@pytest.mark.parametrize("rule", [Magnitude(), Uniform(), GumbelTopK(), Voting(), Voting(sampling_ratio=2.5)], ids=str)
@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (1, 2), (4, 8), (4, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_m_consecutive_weights_of_a_row_keep_exactly_n(rule: Rule, n: int, m: int, dtype: torch.dtype) -> None:
    target = {"w": weights(6, 16).to(dtype), "v": weights(3, 2, 8).to(dtype)}
    for candidate in range(3):
        mask = draw(target, rule, n, m, candidate=candidate)
        assert mask["w"].shape == (6, 16) and mask["v"].shape == (3, 2, 8)
        assert all(bool((part.reshape(-1, m).sum(dim=1) == n).all()) for part in mask.values())


def test_magnitude_keeps_the_largest_of_each_group_and_the_first_of_equal_ones() -> None:
    row = torch.tensor([[1.0, -3, 2, 0, 5, 5, -5, 5]])
    mask = draw({"w": row}, Magnitude(), 2, 4, candidate=0)["w"]
    assert mask.tolist() == [[False, True, True, False, True, True, False, False]]


@pytest.mark.parametrize(("rule", "power"), [(Voting(), 5.0), (GumbelTopK(0.5), 2.0), (Uniform(), 0.0)])
def test_groups_follow_the_exact_law_of_successive_sampling(rule: Rule, power: float) -> None:
    """2,000 independent groups of the same four weights in one draw; false alarm 1e-6, as in `check_law`."""
    four = np.array([1.0, 1.2, 0.9, 1.4])
    mask = draw({"w": torch.from_numpy(np.tile(four, (500, 4)))}, rule, 2, 4, candidate=0)["w"]
    drawn = [tuple(row.nonzero()[0].tolist()) for row in mask.reshape(-1, 4).numpy()]
    check_law(drawn, successive_law(four**power, 2))


def test_neighbouring_groups_are_independent() -> None:
    mask = draw({"w": torch.ones(1, 80_000)}, Uniform(), 2, 4, candidate=0)["w"].reshape(-1, 4).numpy()
    number = {subset: i for i, subset in enumerate(combinations(range(4), 2))}
    drawn = np.array([number[tuple(row.nonzero()[0].tolist())] for row in mask])
    cells = np.bincount(drawn[:-1] * 6 + drawn[1:], minlength=36)
    expected = (len(drawn) - 1) / 36
    assert np.sum((cells - expected) ** 2 / expected) < stats.chi2(35).isf(1e-6)


@pytest.mark.parametrize(("n", "m"), [(0, 4), (5, 4), (1, 0), (2.0, 4)])
def test_n_is_from_1_to_m(n: int, m: int) -> None:
    with pytest.raises(ConfigError, match="structure must"):
        draw({"w": weights(4, 4)}, Uniform(), n, m, candidate=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rule": "magnitude"}, "rule must be a rule such as Voting"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"candidate": 1.5}, "candidate must be a whole number"),
    ],
)
def test_settings_of_another_kind_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        draw(**{"target": {"w": weights(4, 4)}, "rule": Voting(), "n": 2, "m": 4, "candidate": 0} | change)


def test_a_rule_needs_votes_unless_it_ignores_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its inclusion curve is for large groups, and drawing as if all weights were equal would be another rule."""
    monkeypatch.setattr(RULES, "_classes", dict(RULES._classes))

    @dataclass(frozen=True)
    class Half(Rule):
        name: ClassVar[str] = "half"

        def inclusion(self, histogram: Histogram, k: int) -> np.ndarray:
            return (Magnitude().inclusion(histogram, k) + Uniform().inclusion(histogram, k)) / 2

    @dataclass(frozen=True)
    class Same(Rule):
        name: ClassVar[str] = "same"

        def inclusion(self, histogram: Histogram, k: int) -> np.ndarray:
            return k * (Uniform().inclusion(histogram, k) / k)

    target = {"w": weights(6, 16)}
    with pytest.raises(ConfigError, match=r"rule 'half' has an inclusion curve, .* define its `votes`"):
        draw(target, Half(), 2, 4, candidate=0)
    assert draw(target, Same(), 2, 4, candidate=0) == draw(target, Uniform(), 2, 4, candidate=0)


def test_rows_that_cannot_be_divided_into_groups_are_named() -> None:
    with pytest.raises(ScopeError, match=r"the 6 inputs of 'w', of shape \(4, 6\), cannot be divided into groups of 4"):
        draw({"w": weights(4, 6)}, Uniform(), 2, 4, candidate=0)


def test_groups_with_too_few_non_zero_weights_are_counted() -> None:
    sparse = weights(4, 8)
    sparse[0, :3] = 0
    with pytest.raises(WeightError, match="cannot keep 2 of every 4 weights of 'w': 1 of 8 groups have fewer"):
        draw({"w": sparse}, Voting(), 2, 4, candidate=0)
    assert not bool(draw({"w": sparse}, Voting(), 1, 4, candidate=0)["w"][sparse == 0].any())


def test_weights_that_are_not_finite_are_named() -> None:
    sick = weights(4, 8)
    sick[1, 1] = float("nan")
    with pytest.raises(WeightError, match="1 of the weights of 'w' are NaN or infinite"):
        draw({"w": sick}, Voting(), 2, 4, candidate=0)


def test_a_mask_is_named_by_seed_and_candidate() -> None:
    target = {"w": weights(40, 8)}
    masks = [draw(target, Voting(), 2, 4, seed=s, candidate=c) for s, c in [(0, 0), (0, 0), (0, 1), (1, 0)]]
    assert masks[0] == masks[1]
    assert masks[0] != masks[2] != masks[3] != masks[0]


@pytest.mark.parametrize("rule", [Magnitude(), Uniform(), Voting(sampling_ratio=2.5)], ids=str)
@pytest.mark.parametrize("chunk", [1, 24, 40])
def test_the_chunk_size_does_not_matter(rule: Rule, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    target = {"w": weights(6, 16), "v": weights(3, 2, 8).to(torch.bfloat16), "none": torch.ones(0, 8)}
    at_once = draw(target, rule, 3, 8, candidate=1)
    monkeypatch.setattr(rows, "CHUNK", chunk)
    assert draw(target, rule, 3, 8, candidate=1) == at_once
    sick = target["w"].clone()
    sick[0, 0] = sick[5, 15] = float("nan")
    with pytest.raises(WeightError, match="2 of the weights of 'w' are NaN or infinite"):
        draw({"w": sick}, rule, 3, 8, candidate=1)
    with pytest.raises(WeightError, match="12 of 12 groups have fewer"):
        draw({"w": torch.zeros(6, 16)}, rule, 3, 8, candidate=1)


@pytest.mark.parametrize("rule", [Magnitude(), Voting()], ids=str)
def test_the_working_memory_does_not_grow_with_the_weight(rule: Rule) -> None:
    """NumPy's memory, in which groups are sorted: only the mask, and its copy, grow with the weight."""
    peaks = []
    for outputs in (2**7, 2**8):
        target = {"w": torch.ones(outputs, 1024)}
        tracemalloc.start()
        draw(target, rule, 2, 4, candidate=0)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 3 * 2**17


def conv1d(*shape: int) -> nn.Module:
    """GPT-2's linear layer in a model; its weight has a row for each input."""
    from transformers.pytorch_utils import Conv1D

    layer = Conv1D(shape[1], shape[0])
    layer.weight = nn.Parameter(weights(*shape))
    model = nn.Module()
    model.blocks = nn.ModuleList([layer])
    return model


@pytest.mark.parametrize("rule", [Magnitude(), Uniform(), Voting()], ids=str)
def test_groups_of_a_conv1d_lie_along_its_inputs(rule: Rule) -> None:
    """The mask is that of the same layer as a Linear, whose weight is the transpose."""
    model, name = conv1d(8, 12), "blocks.0.weight"
    mask = draw(model, rule, 2, 4, candidate=3)
    as_linear = draw({name: model.blocks[0].weight.T}, rule, 2, 4, candidate=3)
    assert torch.equal(mask[name], as_linear[name].T) and mask[name].is_contiguous()
    mask.apply_(model)
    with pytest.raises(ScopeError, match=r"the 6 inputs of 'blocks.0.weight', of shape \(6, 12\), cannot"):
        draw(conv1d(6, 12), rule, 2, 4, candidate=0)


class InputsFirst(nn.Module):
    """A stack of experts as those of gpt-oss, of shape (experts, inputs, outputs)."""

    is_transposed = True

    def __init__(self, *shape: int):
        super().__init__()
        self.gate_up_proj = nn.Parameter(weights(*shape))


def experts(*shape: int) -> nn.Module:
    model = nn.Module()
    model.blocks = nn.ModuleList([nn.ModuleDict({"experts": InputsFirst(*shape)})])
    return model


@pytest.mark.parametrize("rule", [Magnitude(), Voting()], ids=str)
def test_groups_of_experts_with_inputs_first_lie_along_their_inputs(rule: Rule) -> None:
    """The mask is that of the stack whose matrices are turned."""
    model, name = experts(3, 8, 12), "blocks.0.experts.gate_up_proj"
    mask = draw(model, rule, 2, 4, candidate=3)
    turned = draw({name: model.get_parameter(name).mT}, rule, 2, 4, candidate=3)
    assert torch.equal(mask[name], turned[name].mT) and mask[name].is_contiguous()
    assert (mask[name].reshape(3, 2, 4, 12).sum(dim=2) == 2).all()


@pytest.mark.parametrize("layer", [nn.Conv2d(8, 6, 3), nn.ConvTranspose2d(8, 6, 3), nn.Conv1d(8, 6, 1)], ids=str)
def test_groups_of_a_kernel_lie_along_its_input_channels(layer: nn.Module) -> None:
    chosen = {"include": ["0.weight"], "types": ["convolution"]}
    mask = MaskSampler(nn.Sequential(layer), Voting(), None, structure="2:4", **chosen).draw(0)["0.weight"]
    channels = mask if isinstance(layer, nn.ConvTranspose2d) else mask.transpose(0, 1)
    assert (channels.reshape(2, 4, -1).sum(dim=1) == 2).all()
    with pytest.raises(ScopeError, match=r"the 8 inputs of '0.weight', of shape .*, cannot be divided"):
        MaskSampler(nn.Sequential(layer), Voting(), None, structure="2:3", **chosen)
