"""Masks on a device that is not the CPU: planned, drawn, applied and saved there, bit for bit those of the CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from support.simulated_device import DEVICE
from torch import Tensor, nn

import randprune_lab as rp
from randprune_lab.errors import MaskError, WeightError
from randprune_lab.masks import scope
from randprune_lab.masks.allocations import keep_counts
from randprune_lab.masks.counter_rng import uniform
from randprune_lab.search.proposals import LearnedAllocation, LearnedInclusion, Proposal, redraw

RULES = [rp.Magnitude(), rp.Uniform(), rp.GumbelTopK(), rp.Voting(sampling_ratio=2e-3)]
SHAPES = {"b": (90, 80), "a": (100, 60), "small": (30, 40), "c": (64, 3, 32), "empty": (0, 3)}
SPARSITY = 0.8


def weights(dtype: torch.dtype = torch.float32, *, ties: bool = False) -> dict[str, Tensor]:
    """Two large tensors, a small one, one that is not contiguous, and one without weights. A tenth of them is zero."""
    found = {}
    for name, shape in SHAPES.items():
        numbers = 2 * uniform(1, 0, name, torch.arange(int(torch.tensor(shape).prod()))) - 1
        numbers = torch.round(8 * numbers) / 8 if ties else numbers**3 * (numbers.abs() > 0.1)
        found[name] = numbers.reshape(shape).to(dtype)
    return found | {"c": found["c"].transpose(0, 2)}


def there(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.to(DEVICE) for name, tensor in tensors.items()}


def check_equal(draw: Callable[[dict[str, Tensor]], rp.MaskSampler], tensors: dict[str, Tensor]) -> None:
    """The samplers of both devices have the same masks, fingerprint and curves."""
    here, on_device = draw(tensors), draw(there(tensors))
    for candidate in (0, 3, 10**12):
        mask = on_device.draw(candidate)
        assert all(part.device == DEVICE for part in mask.values())
        assert mask.to("cpu") == here.draw(candidate) and mask.kept == here.kept
    assert on_device.fingerprint == here.fingerprint
    assert on_device.expected_hamming() == here.expected_hamming()
    assert on_device.undecided == here.undecided


@pytest.mark.parametrize("allocation", ["layerwise", "global", "erk", "counts"])
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_masks_are_those_of_the_cpu_for_all_rules_and_allocations(rule: rp.Rule, allocation: str) -> None:
    tensors = weights()
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    counts = keep_counts(shapes, SPARSITY, "erk")
    chosen = dict(reversed(counts.items())) if allocation == "counts" else allocation
    check_equal(lambda part: rp.MaskSampler(part, rule, SPARSITY, seed=5, allocation=chosen), tensors)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("rule", [rp.Magnitude(), rp.Voting(2e-3)], ids=str)
def test_masks_are_those_of_the_cpu_for_all_dtypes(rule: rp.Rule, dtype: torch.dtype) -> None:
    check_equal(lambda part: rp.MaskSampler(part, rule, SPARSITY, allocation="layerwise"), weights(dtype))


@pytest.mark.parametrize("allocation", ["layerwise", "global"])
def test_equal_magnitudes_go_by_tensor_and_index(allocation: str) -> None:
    check_equal(lambda part: rp.MaskSampler(part, rp.Magnitude(), 0.6, allocation=allocation), weights(ties=True))


def test_groups_of_different_dtypes_are_planned_apart() -> None:
    mixed = weights() | {name: tensor for name, tensor in weights(torch.float16).items() if name in ("a", "small")}
    check_equal(lambda part: rp.MaskSampler(part, rp.Voting(2e-3), SPARSITY), mixed)


@pytest.mark.parametrize("allocation", ["layerwise", "global"])
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_size_of_chunks_and_batches_does_not_matter(
    rule: rp.Rule, allocation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, size in (("plan.GPU_CHUNK", 1000), ("plan.GPU_TENSORS", 2), ("pareto.GPU_CHUNK", 4000)):
        monkeypatch.setattr(f"randprune_lab.masks.{name}", size)
    check_equal(lambda part: rp.MaskSampler(part, rule, SPARSITY, allocation=allocation), weights())


def test_a_window_that_is_too_narrow_is_widened(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = rp.MaskSampler(weights(), rp.Voting(2e-3), SPARSITY).draw(0)
    monkeypatch.setattr("randprune_lab.masks.pareto.WINDOW", 1e-3)
    assert rp.MaskSampler(there(weights()), rp.Voting(2e-3), SPARSITY).draw(0).to("cpu") == expected


@pytest.mark.parametrize("rule", RULES[1:], ids=str)
def test_small_groups_are_drawn_by_the_reference_procedure(rule: rp.Rule) -> None:
    tensors = {name: tensor[:20, :20] for name, tensor in weights().items() if name in ("a", "b", "small")}
    for allocation in ("layerwise", "global"):
        check_equal(lambda part: rp.MaskSampler(part, rule, SPARSITY, allocation=allocation), tensors)  # noqa: B023
        check_equal(
            lambda part: rp.MaskSampler(part, rule, SPARSITY, allocation=allocation, reference_below=0),  # noqa: B023
            tensors,
        )


def test_broken_weights_are_named() -> None:
    tensors = weights()
    tensors["a"][0, :2] = float("nan")
    with pytest.raises(WeightError, match="2 of the weights of 'a' are NaN or infinite"):
        rp.MaskSampler(there(tensors), rp.Voting(), SPARSITY)
    with pytest.raises(WeightError, match="cannot keep 7,200 weights of 'b'"):
        rp.MaskSampler(there(weights()), rp.Voting(), 0.0)


@pytest.mark.parametrize("signed", [None, False, True], ids=["magnitudes", "scores", "signed scores"])
def test_weights_that_compete_on_several_devices_are_named(signed: bool | None) -> None:
    tensors = weights() | {"a": weights()["a"].to(DEVICE)}
    given = {} if signed is None else {"scores": {name: part.abs() for name, part in tensors.items()}, "signed": signed}
    found = r"of one device, got \['cpu', 'sim:0'\]; convert them first"
    with pytest.raises(WeightError, match=f"group 'global' needs weights {found}"):
        rp.MaskSampler(tensors, rp.Voting(), SPARSITY, allocation="global", **given)
    if signed:
        with pytest.raises(WeightError, match=f"group 'all' needs weights {found}"):
            rp.MaskSampler(tensors, rp.Voting(), SPARSITY, allocation="owl", **given)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_blocks_and_n_of_m(rule: rp.Rule) -> None:
    tensors = {name: tensor for name, tensor in weights(ties=True).items() if name in ("a", "b")}
    drawn = []
    for part in (tensors, there(tensors)):
        blocks = rp.MaskSampler(part, rule, SPARSITY, structure=(2, 4))
        drawn.append((blocks.draw(1), rp.MaskSampler(part, rule, None, structure="1:4").draw(1)))
    for here, on_device in zip(*drawn, strict=True):
        assert all(mask.device == DEVICE for mask in on_device.values()) and on_device.to("cpu") == here


class Model(nn.Module):
    """Two matrices in blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(*reversed(SHAPES[name]), bias=False) for name in ("a", "b"))
        for linear, name in zip(self.blocks, ("a", "b"), strict=True):
            linear.weight.data.copy_(weights()[name])


@pytest.mark.parametrize("kind", [Proposal, LearnedAllocation, LearnedInclusion])
def test_proposals_learn_the_same_masks(kind: type[Proposal]) -> None:
    settings = {"size": 4, "elites": ((3, 1),), "rate": 0.5}
    drawn = []
    for model in (Model(), Model().to(DEVICE)):
        proposal = kind((rp.Voting(2e-3), rp.Uniform()), SPARSITY, 7, **settings)
        recipe = proposal.recipe(model, 6)
        assert redraw(model, recipe) == proposal.draw(model, 6)
        drawn.append((proposal.draw(model, 6).to("cpu"), recipe))
    assert drawn[0] == drawn[1]


# --- masks and models ---


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a.cpu(), b.cpu()) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("mask_device", ["cpu", DEVICE])
def test_a_mask_of_either_device_is_enforced_on_a_model_there(mask_device: object) -> None:
    model, expected = Model().to(DEVICE), Model()
    mask = rp.MaskSampler(expected, rp.Voting(2e-3), SPARSITY).draw(0)
    mask.apply_(expected)
    enforce = mask.to(mask_device).enforcer(model)
    enforce()
    assert same(model, expected)
    for parameter in model.parameters():
        nn.init.ones_(parameter)
    enforce()
    assert all(torch.equal(weight.cpu() != 0, mask[name]) for name, weight in model.named_parameters())
    model = Model().to(DEVICE)
    mask.to(mask_device).apply_(model)
    assert same(model, expected)


def test_masks_are_compared_and_saved(tmp_path: Path) -> None:
    one, two = (rp.MaskSampler(Model(), rp.Voting(2e-3), SPARSITY).draw(candidate) for candidate in (0, 1))
    first, second = one.to(DEVICE), two.to(DEVICE)
    assert first == one.to(DEVICE) != second and first.to("cpu") == one
    assert first.hamming(second) == one.hamming(two) > 0 and first.jaccard(second) == one.jaccard(two)
    assert (first.kept, first.sparsity, first.sha256) == (one.kept, one.sparsity, one.sha256)
    first.save(tmp_path / "mask.safetensors")
    assert rp.MaskSet.load(tmp_path / "mask.safetensors") == one
    assert first.hamming(two) == one.hamming(two) and (first & two).to("cpu") == one & two


def test_a_recipe_rebuilds_a_mask_on_either_device() -> None:
    recipe = rp.MaskSampler(Model().to(DEVICE), rp.Voting(2e-3), SPARSITY, seed=3).recipe(4)
    here, on_device = (rp.MaskSampler.from_recipe(model, recipe).draw(4) for model in (Model(), Model().to(DEVICE)))
    assert on_device.to("cpu") == here
    changed = Model().to(DEVICE)
    with torch.no_grad():
        changed.blocks[0].weight.mul_(1.5)
    with pytest.raises(MaskError, match="other weights"):
        rp.MaskSampler.from_recipe(changed, recipe)


def test_masks_for_a_device_without_64_bit_floats_are_drawn_on_the_cpu(monkeypatch) -> None:
    model, there = Model(), Model().to(DEVICE)
    monkeypatch.setattr(scope, "WITHOUT_FLOAT64", (DEVICE.type,))
    mask = rp.MaskSampler(there, rp.Voting(), 0.9).draw(0)
    assert all(part.device.type == "cpu" for part in mask.values())
    assert mask == rp.MaskSampler(model, rp.Voting(), 0.9).draw(0)
    mask.apply_(there)
    mask.apply_(model)
    assert all(torch.equal(weight.cpu(), model.state_dict()[name]) for name, weight in there.state_dict().items())


def test_masks_on_two_devices_can_be_equal():
    mask = rp.MaskSet({"w": torch.tensor([True, False])})
    assert mask == mask.to(DEVICE) and mask.to(DEVICE) == mask and mask.to(DEVICE) != ~mask
