"""The simulated device itself: it computes what the CPU does, refuses what CUDA refuses, and counts."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from support.simulated_device import DEVICE, SimulatedTensor, counted
from torch import Tensor, nn

NUMBERS = torch.tensor([[3.0, 0.0, -1.0], [0.5, 2.0, 0.0]])


def test_tensors_go_there_and_back() -> None:
    there = NUMBERS.to(DEVICE)
    assert isinstance(there, SimulatedTensor) and there.device == DEVICE and there.shape == (2, 3)
    assert torch.equal(there.cpu(), NUMBERS) and torch.equal(
        torch.tensor([1, 2], device=DEVICE).cpu(), torch.tensor([1, 2])
    )
    assert there.tolist() == NUMBERS.tolist() and there[0, 0].item() == 3.0


@pytest.mark.parametrize(
    "make",
    [
        lambda device: torch.zeros(3, device=device),
        lambda device: torch.full((2, 2), 0.5, device=device),
        lambda device: torch.arange(2, 11, 3, device=device),
        lambda device: NUMBERS.to(device).new_ones(3),
        lambda device: torch.cat([torch.zeros(0, device=device), torch.ones(2, device=device)]),
    ],
)
def test_factories_make_tensors_there(make: Callable[[object], Tensor]) -> None:
    assert make(DEVICE).device == DEVICE and torch.equal(make(DEVICE).cpu(), make("cpu"))


def test_views_share_memory_and_changes_in_place_return_the_same_tensor() -> None:
    there = NUMBERS.to(DEVICE)
    row = there[1]
    assert row.add_(1) is row
    there[:, 2] = 7.0
    assert there.tolist() == [[3.0, 0.0, 7.0], [1.5, 3.0, 7.0]]


@pytest.mark.parametrize(
    "mix",
    [
        lambda there: there + NUMBERS,
        lambda there: NUMBERS * there,
        lambda there: torch.cat([there, NUMBERS]),
        lambda there: torch.where(there > 0, there, NUMBERS),
        lambda there: NUMBERS[there[0] > 0],
        lambda there: there[0].index_put_((torch.tensor([0, 1, 2]),), NUMBERS[0]),
        lambda there: nn.Linear(3, 1)(there),
    ],
)
def test_devices_are_not_mixed(mix: Callable[[Tensor], object]) -> None:
    with pytest.raises(RuntimeError, match="expected all tensors on one device"):
        mix(NUMBERS.to(DEVICE))


def test_numpy_cannot_read_it() -> None:
    with pytest.raises(TypeError, match="to numpy"):
        np.asarray(NUMBERS.to(DEVICE))


@pytest.mark.parametrize(
    ("operation", "waits", "kernels"),
    [
        (lambda there: there[0].view(3, 1).t(), 0, 0),
        (lambda there: there.abs().sum(), 0, 2),
        (lambda there: there * torch.tensor(2.0), 0, 1),
        (lambda there: there.copy_(there + 1), 0, 2),
        (lambda there: there.copy_(NUMBERS, non_blocking=True), 0, 1),
        (lambda there: NUMBERS.to(DEVICE, non_blocking=True), 0, 1),
        (lambda there: NUMBERS.to(DEVICE), 1, 1),
        (lambda there: torch.tensor(3.0, device=DEVICE), 1, 1),
        (lambda there: there.cpu(), 1, 1),
        (lambda there: there.to("cpu", non_blocking=True), 1, 1),
        (lambda there: NUMBERS.clone().copy_(there), 1, 1),
        (lambda there: there.tolist(), 1, 1),
        (lambda there: float(there.max()), 1, 2),
        (lambda there: torch.equal(there, there), 1, 1),
        (lambda there: there.nonzero(), 1, 1),
        (lambda there: there[there > 0], 1, 2),
        (lambda there: there.masked_fill_(there > 0, 0.0), 0, 2),
        (lambda there: there[torch.tensor([0])], 1, 1),
        (lambda there: there.view(-1).int().abs().bincount(), 2, 3),
        (lambda there: there[0].repeat_interleave(torch.tensor([1, 2, 3]).to(DEVICE), output_size=6), 1, 3),
        (lambda there: there[0].repeat_interleave(torch.tensor([1, 2, 3]).to(DEVICE)), 2, 3),
    ],
)
def test_kernels_and_waits_are_counted(operation: Callable[[Tensor], object], waits: int, kernels: int) -> None:
    there = NUMBERS.to(DEVICE)
    with counted() as counts:
        operation(there)
    assert (counts.waits, counts.kernels) == (waits, kernels), counts


def test_models_train_to_the_cpus_bits() -> None:
    here = nn.Sequential(nn.Linear(3, 8), nn.GELU(), nn.Linear(8, 2))
    there = copy.deepcopy(here).to(DEVICE)
    for model, numbers in ((here, NUMBERS), (there, NUMBERS.to(DEVICE))):
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
        for _ in range(3):
            model(numbers).square().mean().backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
            optimizer.zero_grad()
    copied = copy.deepcopy(there)
    assert all(isinstance(parameter, nn.Parameter) and parameter.device == DEVICE for parameter in copied.parameters())
    for model in (there, copied):
        assert all(torch.equal(model.state_dict()[name].cpu(), weight) for name, weight in here.state_dict().items())


def test_what_it_cannot_do_fails() -> None:
    with pytest.raises(NotImplementedError, match="changes the shape"):
        NUMBERS.to(DEVICE).t_()
    with pytest.raises(NotImplementedError, match="pickled"):
        pickle.dumps(NUMBERS.to(DEVICE))


def test_other_tests_do_not_see_it() -> None:
    """It is registered for the whole process, but nothing may choose it by itself."""
    from accelerate import Accelerator

    assert not torch.accelerator.is_available() and not torch.cuda.is_available()
    assert Accelerator().device.type == "cpu"
    with torch.random.fork_rng():
        torch.manual_seed(0)
