"""Weights whose entries PyTorch cannot compare or set: every door refuses them by name, or does what it should."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

import randprune_lab as rp
from randprune_lab.errors import MaskError, RandpruneError

EYE = torch.eye(4)
ODD: dict[str, Callable[[], Tensor]] = {
    "4 bits": lambda: torch.empty(4, 4, dtype=torch.uint4),
    "8 bits": lambda: EYE.to(torch.float8_e4m3fn),
    "bits": lambda: torch.empty(4, 4, dtype=torch.bits8),
    "quantized": lambda: torch.quantize_per_tensor(EYE, 0.5, 0, torch.qint8),
    "complex": lambda: EYE.to(torch.complex64),
    "whole numbers": lambda: EYE.to(torch.int64),
    "sparse": EYE.to_sparse,
    "sparse rows": EYE.to_sparse_csr,
    "sparse blocks": lambda: EYE.to_sparse_bsr(2),
    "opaque": EYE.to_mkldnn,
    "no values": lambda: EYE.to("meta"),
    "fake": lambda: FakeTensorMode().from_tensor(EYE),
    "nested": lambda: torch.nested.nested_tensor([EYE[:2], EYE[2:3]]),
    "nested, jagged": lambda: torch.nested.nested_tensor([EYE[:2], EYE[2:3]], layout=torch.jagged),
    "no weights": lambda: torch.empty(0, 4),
    "negated": lambda: torch._neg_view(EYE.clone()),
    "conjugated": lambda: EYE.to(torch.complex64).conj(),
}
REFUSED = ("sparse", "sparse rows", "sparse blocks", "opaque", "no values", "fake", "nested", "nested, jagged")
"""What no door takes."""
MASK = rp.MaskSet({"0.weight": EYE.bool()})


def check_mask(mask: rp.MaskSet) -> None:
    assert mask["0.weight"].shape in [(4, 4), (0, 4)]


def sample(sparsity: float | None, **settings) -> Callable[[nn.Module], None]:
    return lambda model: check_mask(
        rp.MaskSampler(model, rp.Magnitude(), sparsity, include=["0.weight"], **settings).draw(0)
    )


DOORS: dict[str, Callable[[nn.Module], object]] = {
    "sampler": sample(0.75),
    "rows": sample(0.75, allocation="row"),
    "blocks": sample(0.75, structure=(2, 2)),
    "n of m": sample(None, structure="2:4"),
    "scores": sample(0.75, scores={"0.weight": EYE}),
    "mask_from_zeros": lambda model: check_mask(rp.mask_from_zeros(model, include=["0.weight"])),
    "apply": MASK.apply_,
    "to_torch_prune": lambda model: rp.to_torch_prune(model, MASK),
    "to_parametrize": lambda model: rp.to_parametrize(model, MASK),
    "fast": lambda model: rp.fast(model, MASK),
    "shrink": lambda model: rp.shrink(model, MASK),
    "save_sparse": lambda model: rp.save_sparse(model, MASK, "weights.safetensors"),
    "callback": lambda model: rp.MaskCallback(MASK, model, gradients=True),
    "gradual": lambda model: rp.GradualPruning(
        lambda found, sparsity: rp.MaskSampler(found, rp.Magnitude(), sparsity, include=["0.weight"]),
        *(0, 2, 1),
        final=0.75,
        model=model,
    ),
}


def model_with(weight: Tensor) -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 4))
    model[0].weight = nn.Parameter(weight, requires_grad=False)
    return model


@pytest.mark.filterwarnings("ignore:no layer of Sequential is computed sparse")
@pytest.mark.filterwarnings("ignore:.*quantize:Warning")
@pytest.mark.filterwarnings("ignore:Sparse CSR:UserWarning")
@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("door", DOORS)
def test_an_odd_weight_is_taken_or_refused_by_name(door, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = model_with(ODD[kind]())
    assert "0.weight" in str(rp.scope(model))
    try:
        DOORS[door](model)
        assert kind not in REFUSED
    except RandpruneError as error:
        named = "0.weight" in str(error) or "removes no whole head" in str(error)
        assert named and "\n" not in str(error)


@pytest.mark.parametrize("kind", REFUSED)
def test_an_odd_weight_that_replaces_a_masked_one_is_named(kind):
    model = nn.Sequential(nn.Linear(4, 4))
    enforce = MASK.enforcer(model)
    model[0].weight = nn.Parameter(ODD[kind](), requires_grad=False)
    with pytest.raises(RandpruneError, match=r"'0\.weight' of Sequential"):
        enforce()


@pytest.mark.parametrize("kind", ["4 bits", "8 bits", "bits", "sparse"])
def test_no_weight_is_changed_if_one_cannot_be_set_to_zero(kind):
    model = nn.Sequential(nn.Linear(4, 4), *model_with(ODD[kind]()))
    before = model[0].weight.clone()
    with pytest.raises(RandpruneError, match=r"'1\.weight' of Sequential is"):
        rp.MaskSet({"0.weight": EYE.bool(), "1.weight": EYE.bool()}).apply_(model)
    assert torch.equal(model[0].weight, before)


@pytest.mark.parametrize("mask", ["mask.safetensors", ["0.weight"], 3], ids=["path", "list", "number"])
@pytest.mark.parametrize("door", [rp.fast, rp.shrink, rp.to_torch_prune, rp.to_parametrize])
def test_what_is_no_mask_is_named(door, mask):
    with pytest.raises(
        MaskError, match=f"must be a dict of bool tensors by parameter name, got a {type(mask).__name__}"
    ):
        door(nn.Sequential(nn.Linear(4, 4)), mask)
