"""Masks in other tools, with models on a device that is not the CPU."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from support.simulated_device import DEVICE
from torch import Tensor, nn
from transformers import Trainer, TrainingArguments

import randprune_lab as rp
from randprune_lab.errors import MaskError
from randprune_lab.interop import (
    from_parametrize,
    from_torch_prune,
    load_sparse,
    make_permanent,
    mask_from_zeros,
    save_sparse,
    to_parametrize,
    to_torch_prune,
)


@pytest.fixture
def model(tiny_lab) -> nn.Module:
    return tiny_lab.model("cpu")


@pytest.fixture
def mask(model: nn.Module) -> rp.MaskSet:
    return rp.MaskSampler(model, rp.Uniform(), sparsity=0.9, seed=1).draw(0)


def same(here: nn.Module, there: nn.Module) -> bool:
    weights, expected = there.state_dict(), here.state_dict()
    assert weights.keys() == expected.keys() and {weight.device for weight in weights.values()} == {DEVICE}
    return all(torch.equal(weights[name].cpu(), expected[name]) for name in expected)


def rows() -> list[dict[str, Tensor]]:
    """Twelve inputs of six tokens each, and labels."""
    tokens = torch.randint(5, 20, (12, 6), generator=torch.Generator().manual_seed(0))
    return [{"input_ids": row, "labels": torch.tensor(number % 2)} for number, row in enumerate(tokens)]


@pytest.fixture
def accelerate_on_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accelerate moves models to the simulated device, as to a GPU."""
    from accelerate import Accelerator

    monkeypatch.setattr(Accelerator, "device", property(lambda self: DEVICE))


def train_with_accelerate(model: nn.Module, mask: rp.MaskSet) -> nn.Module:
    """A loop with accumulation, as accelerate's documentation has it."""
    from accelerate import Accelerator

    accelerator = Accelerator(gradient_accumulation_steps=2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9, weight_decay=0.1)
    loader = torch.utils.data.DataLoader(rows(), batch_size=2)
    wrapped, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    callback = rp.MaskCallback(mask, wrapped)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for batch in loader:
            with accelerator.accumulate(wrapped):
                accelerator.backward(wrapped(**batch).loss)
                accelerator.clip_grad_norm_(wrapped.parameters(), 1.0)
                optimizer.step()
                callback.enforce()
                optimizer.zero_grad()
            weights = dict(model.named_parameters())
            assert not any(weights[name].cpu()[~kept.cpu()].any() for name, kept in mask.items())
    return model


@pytest.mark.parametrize("mask_device", ["cpu", DEVICE])
def test_an_accelerate_loop_keeps_the_mask(model, mask, mask_device, request) -> None:
    here = train_with_accelerate(copy.deepcopy(model), mask)
    request.getfixturevalue("accelerate_on_device")
    there = train_with_accelerate(model.to(DEVICE), mask.to(mask_device))
    assert same(here, there)


def train_with_trainer(model: nn.Module, mask: rp.MaskSet, folder: Path) -> nn.Module:
    settings = {"max_steps": 4, "learning_rate": 0.05, "weight_decay": 0.1, "dataloader_pin_memory": False}
    quiet = {"save_strategy": "no", "report_to": "none", "disable_tqdm": True}
    arguments = TrainingArguments(str(folder), per_device_train_batch_size=4, **settings, **quiet)
    Trainer(model, arguments, train_dataset=rows(), callbacks=[rp.MaskCallback(mask)]).train()
    return model


def test_a_trainer_keeps_the_mask(model, mask, tmp_path, request, monkeypatch) -> None:
    here = train_with_trainer(copy.deepcopy(model), mask, tmp_path)
    request.getfixturevalue("accelerate_on_device")
    monkeypatch.setattr(TrainingArguments, "device", property(lambda self: self._setup_devices and DEVICE))
    there = train_with_trainer(model, mask, tmp_path)
    assert same(here, there)
    assert not any(there.get_parameter(name).cpu()[~kept].any() for name, kept in mask.items())


def test_a_sparse_file_of_a_model_there_has_its_weights(model, mask, tmp_path: Path) -> None:
    mask.apply_(model)
    there = copy.deepcopy(model).to(DEVICE)
    for number, masks in enumerate((mask, mask.to(DEVICE))):
        save_sparse(there, masks, tmp_path / f"{number}.safetensors")
        weights, found = load_sparse(tmp_path / f"{number}.safetensors")
        assert found == mask and weights.keys() == model.state_dict().keys()
        assert all(torch.equal(weights[name], weight) for name, weight in model.state_dict().items())
        there.load_state_dict(weights)
    assert same(model, there)


def test_tied_weights_are_stored_once(tmp_path: Path) -> None:
    """Two names of one tensor there are seen as such, and other tensors of its shape are not."""
    tied, other, masked = (torch.full((4, 4), value, device=DEVICE) for value in (1.0, 2.0, 3.0))
    weights = {"one": tied, "two": tied, "other": other, "masked": masked.tril_()}
    kept = masked.cpu() != 0
    save_sparse(weights, {"masked": kept}, tmp_path / "tied.safetensors")
    read = load_sparse(tmp_path / "tied.safetensors").weights
    assert {name: weight.tolist() for name, weight in read.items()} == {
        name: weight.tolist() for name, weight in weights.items()
    }
    with safe_open(tmp_path / "tied.safetensors", framework="pt") as file:
        assert {*file.keys()} == {"one", "other", "masked:kept", "masked:mask"}
    with pytest.raises(MaskError, match="weights of 'other' that the mask removes are not zero"):
        save_sparse(weights, {"other": kept}, tmp_path / "wrong.safetensors")


@pytest.mark.parametrize(("attach", "read"), [(to_torch_prune, from_torch_prune), (to_parametrize, from_parametrize)])
def test_masks_go_to_pytorchs_pruning_and_back(model, mask, attach, read) -> None:
    there = copy.deepcopy(model).to(DEVICE)
    attach(there, mask.to(DEVICE))
    assert read(there).to("cpu") == mask
    make_permanent(there)
    mask.apply_(model)
    assert same(model, there)
    assert mask_from_zeros(there).to("cpu") == mask_from_zeros(model)


@pytest.mark.parametrize("regrow", [None, "set", "rigl"])
def test_a_model_is_pruned_gradually_where_it_is(model, regrow):
    """Redraws, regrowth and a checkpoint give the bits of the CPU."""
    ends = []
    for place in (torch.device("cpu"), DEVICE):
        net = copy.deepcopy(model).to(place)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.5, momentum=0.9)
        sampler = rp.MaskSampler(net, rp.Magnitude(), 0.9, seed=1)
        settings = {"begin": 0.5, "regrow": regrow, "model": net, "optimizer": optimizer, "gradients": True}
        pruning = rp.GradualPruning(sampler, 1, 5, 2, **settings)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            for step, row in enumerate(rows()[:6], start=1):
                net(**{name: value[None].to(place) for name, value in row.items()}).loss.backward()
                optimizer.step()
                pruning.step(step)
                optimizer.zero_grad()
                pruning.load_state_dict(pruning.state_dict())
        assert {kept.device for kept in pruning.mask.values()} == {place}
        ends.append((net, pruning.history))
    (here, history), (there, same_history) = ends
    assert same(here, there) and history == same_history and len(history) == 3
