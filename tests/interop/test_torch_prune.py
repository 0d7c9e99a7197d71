"""Masks converted to PyTorch's tools and back are equal, and weights keep their names."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize, prune

import randprune_lab as rp
from randprune_lab.errors import MaskError, ScopeError

TOOLS = {
    "prune": (rp.to_torch_prune, rp.from_torch_prune),
    "parametrize": (rp.to_parametrize, rp.from_parametrize),
}


def answer(model: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(input_ids=torch.arange(5, 17)[None]).logits


def masked(model: nn.Module, mask: rp.MaskSet) -> nn.Module:
    """A copy of the model with the removed weights at zero."""
    pruned = copy.deepcopy(model)
    mask.apply_(pruned)
    return pruned


@pytest.fixture(params=TOOLS)
def tool(request):
    return TOOLS[request.param]


def test_masks_are_read_back_unchanged(model, mask, tool):
    put, read = tool
    put(model, mask)
    assert read(model) == mask


def test_the_output_is_that_of_a_masked_model_also_after_training(model, mask, tool):
    expected = answer(masked(model, mask))
    tool[0](model, mask)
    assert torch.equal(answer(model), expected)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    for _ in range(2):
        model(input_ids=torch.arange(5, 17)[None], labels=torch.tensor([1])).loss.backward()
        optimizer.step()
    before = answer(model)
    assert rp.make_permanent(model) == mask and torch.equal(answer(model), before)
    assert all(not model.get_parameter(name)[~kept].any() for name, kept in mask.items())


def test_make_permanent_restores_names_and_leaves_no_trace(model, mask, tool):
    expected = masked(model, mask).state_dict()
    kinds = [type(module) for module in model.modules()]
    tool[0](model, mask)
    assert rp.make_permanent(model) == mask
    state = model.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name]) for name in expected)
    assert not any(torch.signbit(state[name][~kept]).any() for name, kept in mask.items())
    assert [type(module) for module in model.modules()] == kinds
    assert all(isinstance(model.get_parameter(name), nn.Parameter) for name in mask)
    model.load_state_dict(expected)


def test_removal_by_pytorch_leaves_the_same_names(model, mask):
    names, other = model.state_dict().keys(), copy.deepcopy(model)
    rp.to_torch_prune(model, mask)
    rp.to_parametrize(other, mask)
    for name in mask:
        module, _, attribute = name.rpartition(".")
        prune.remove(model.get_submodule(module), attribute)
        parametrize.remove_parametrizations(other.get_submodule(module), attribute)
    assert model.state_dict().keys() == other.state_dict().keys() == names


def test_intermediate_names_are_pytorchs(model, mask):
    name = next(iter(mask))
    other = copy.deepcopy(model)
    rp.to_torch_prune(model, mask)
    assert {f"{name}_orig", f"{name}_mask"} <= model.state_dict().keys()
    rp.to_parametrize(other, mask)
    module, _, attribute = name.rpartition(".")
    assert f"{module}.parametrizations.{attribute}.original" in other.state_dict()


def test_masks_that_pytorch_made_are_read():
    model = nn.Sequential(nn.Linear(20, 10), nn.ReLU(), nn.Linear(10, 2))
    for module in (model[0], model[2]):
        prune.l1_unstructured(module, "weight", amount=0.4)
        prune.random_unstructured(module, "weight", amount=0.5)  # on top of the first mask
        prune.l1_unstructured(module, "bias", amount=0.5)
    mask = rp.from_torch_prune(model)
    assert set(mask) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    assert all(
        torch.equal(model[int(name[0])].get_buffer(f"{name[2:]}_mask").bool(), kept) for name, kept in mask.items()
    )
    assert mask["0.weight"].sum() == 60 and mask["0.bias"].sum() == 5


def test_a_kept_weight_that_is_zero_is_kept_when_masks_become_permanent(tool):
    put, read = tool
    model = nn.Sequential(nn.Linear(4, 2))
    model[0].weight.data[0, 0] = 0.0
    mask = rp.MaskSet({"0.weight": torch.tensor([[True, True, False, True], [True, False, True, True]])})
    put(model, mask)
    assert read(model) == rp.make_permanent(model) == mask


def test_what_attention_reads_without_a_call_is_refused_for_pytorchs_pruning(tool):
    put, _ = tool
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, batch_first=True), 1, enable_nested_tensor=False)
    name = "layers.0.self_attn.out_proj.weight"
    mask = rp.MaskSampler(model, rp.Magnitude(), 0.5, include=[name]).draw(0)
    if put is rp.to_torch_prune:
        with pytest.raises(MaskError, match=f"{name!r} is read by its attention .* use to_parametrize"):
            put(model, mask)
        return
    put(model, mask)
    for _ in range(2):
        model(torch.ones(1, 3, 8)).sum().backward()


def test_assignments_are_masked_and_other_parametrizations_ignored():
    model = nn.Linear(4, 4, bias=False)
    nn.init.ones_(model.weight)
    rp.to_parametrize(model, {"weight": torch.eye(4, dtype=torch.bool)})
    model.weight = torch.full((4, 4), 3.0)
    assert torch.equal(model.weight, 3 * torch.eye(4))
    other = parametrize.register_parametrization(nn.Linear(4, 4), "weight", nn.Identity())
    with pytest.raises(ScopeError, match="Linear has no masks of to_parametrize"):
        rp.from_parametrize(other)


@pytest.mark.parametrize("put", [rp.to_torch_prune, rp.to_parametrize])
def test_a_misfit_changes_nothing(model, mask, put):
    names = [*model.state_dict()]
    for wrong in ({**mask, "none": mask[next(iter(mask))]}, {name: ~kept | kept for name, kept in mask.items()}):
        with pytest.raises(MaskError):
            put(model, wrong)
    assert [*model.state_dict()] == names


@pytest.mark.parametrize("put", [rp.to_torch_prune, rp.to_parametrize])
def test_a_weight_in_two_modules_is_refused(put):
    model = nn.ModuleDict({"one": nn.Linear(4, 4), "two": nn.Linear(4, 4)})
    model["two"].weight = model["one"].weight
    with pytest.raises(MaskError, match=r"'one\.weight' and 'two\.weight' are one tied weight"):
        put(model, {"one.weight": torch.eye(4, dtype=torch.bool)})
    assert model["one"].weight is model["two"].weight


# --- zeros ---


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_the_zeros_of_a_model_define_the_mask(model, mask, dtype):
    masked_model = masked(model, mask).to(dtype)
    assert rp.mask_from_zeros(masked_model) == mask
    name = next(iter(mask))
    assert [*rp.mask_from_zeros(masked_model, include=[name])] == [name]
    assert rp.mask_from_zeros({name: masked_model.get_parameter(name)})[name].equal(mask[name])


def test_zeros_are_read_where_a_sampler_with_the_same_choice_drew_them():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(4, 8), nn.Linear(8, 2))
    for choice in ({"types": [nn.Conv2d]}, {"types": ["linear"], "include": ["*.weight"], "exclude": ["2.*"]}):
        drawn = rp.MaskSampler(model, rp.Uniform(), 0.5, **choice).draw(0)
        assert rp.mask_from_zeros(masked(model, drawn), **choice) == drawn


def test_negative_zeros_are_zeros_and_nan_is_not():
    assert rp.mask_from_zeros({"w": torch.tensor([-0.0, 0.0, float("nan"), 1e-45])})["w"].tolist() == [
        False,
        False,
        True,
        True,
    ]


@pytest.mark.parametrize("read", [rp.from_torch_prune, rp.from_parametrize, rp.make_permanent, rp.mask_from_zeros])
def test_a_dense_model_has_no_mask_to_read(model, read):
    with pytest.raises(ScopeError):
        read(model)


# --- weights that PyTorch's tools hide ---


def test_a_model_with_masks_is_sampled_after_they_are_permanent(model, mask, tool):
    """The hidden weights have no zeros: pruned weights would come back."""
    tool[0](model, mask)
    for read in (lambda: rp.MaskSampler(model, rp.Uniform(), 0.95), lambda: rp.mask_from_zeros(model)):
        with pytest.raises(MaskError, match=r"make it permanent first, with randprune_lab\.make_permanent"):
            read()
    rp.make_permanent(model)
    drawn = rp.MaskSampler(model, rp.Uniform(), 0.95).draw(0)
    assert drawn.keys() == mask.keys() and not any((drawn[name] & ~kept).any() for name, kept in mask.items())
    assert rp.mask_from_zeros(model) == mask


def test_a_mask_for_a_weight_that_is_computed_is_refused_with_the_remedy(model, mask, tool, tmp_path):
    tool[0](model, mask)
    for use in (
        lambda: rp.to_torch_prune(model, mask),
        lambda: rp.to_parametrize(model, mask),
        lambda: rp.MaskCallback(mask, model),
        lambda: rp.save_sparse(model, mask, tmp_path / "file"),
        lambda: rp.fast(model, mask),
        lambda: mask.apply_(model),
    ):
        with pytest.raises(MaskError, match=r"weight' in Bert.* is computed from 'bert\..*, with randprune_lab.make_"):
            use()
    rp.make_permanent(model)
    rp.MaskCallback(mask, model)


@pytest.mark.parametrize("put", [rp.to_torch_prune, rp.to_parametrize])
def test_weights_without_values_take_no_masks(put):
    model = nn.Sequential(nn.Linear(4, 4, device="meta"))
    with pytest.raises(MaskError, match=r"'0\.weight' in Sequential is on the meta device"):
        put(model, {"0.weight": torch.eye(4, dtype=torch.bool)})
