"""Weights whose entries PyTorch cannot compare or set: every door refuses them by name, or does what it should."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import randprune_lab as rp
from randprune_lab.errors import RandpruneError

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
    "no values": lambda: EYE.to("meta"),
}
MASK = rp.MaskSet({"0.weight": EYE.bool()})


def check_mask(mask: rp.MaskSet) -> None:
    assert mask["0.weight"].shape == (4, 4)


DOORS: dict[str, Callable[[nn.Module], object]] = {
    "sampler": lambda model: check_mask(rp.MaskSampler(model, rp.Magnitude(), 0.5, include=["0.weight"]).draw(0)),
    "n of m": lambda model: check_mask(
        rp.MaskSampler(model, rp.Magnitude(), None, structure="2:4", include=["0.weight"]).draw(0)
    ),
    "mask_from_zeros": lambda model: check_mask(rp.mask_from_zeros(model, include=["0.weight"])),
    "apply": MASK.apply_,
    "to_torch_prune": lambda model: rp.to_torch_prune(model, MASK),
    "to_parametrize": lambda model: rp.to_parametrize(model, MASK),
    "fast": lambda model: rp.fast(model, MASK),
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
def test_an_odd_weight_is_taken_or_refused_by_name(door, kind):
    try:
        DOORS[door](model_with(ODD[kind]()))
    except RandpruneError as error:
        assert "0.weight" in str(error) and "\n" not in str(error)


@pytest.mark.parametrize("kind", ["4 bits", "8 bits", "bits", "sparse"])
def test_no_weight_is_changed_if_one_cannot_be_set_to_zero(kind):
    model = nn.Sequential(nn.Linear(4, 4), *model_with(ODD[kind]()))
    before = model[0].weight.clone()
    with pytest.raises(RandpruneError, match=r"'1\.weight' of Sequential is"):
        rp.MaskSet({"0.weight": EYE.bool(), "1.weight": EYE.bool()}).apply_(model)
    assert torch.equal(model[0].weight, before)
