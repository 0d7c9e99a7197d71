"""A wrapper of a model changes neither names nor masks nor recipes; adapters are no part of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.distributed
from torch import nn
from torch.optim.swa_utils import AveragedModel

import randprune_lab as rp
from randprune_lab.errors import MaskError, WeightError
from randprune_lab.masks.scope import prunable
from randprune_lab.masks.wrappers import plain_names, unwrapped


@pytest.fixture(scope="module", autouse=True)
def process_group() -> Iterator[None]:
    """A group of this process alone."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 6)) for _ in range(2))
        self.head = nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Adapted(nn.Module):
    """A linear layer with a low-rank adapter beside it, built as PEFT builds it."""

    def __init__(self, base_layer: nn.Linear) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.lora_A = nn.ModuleDict({"default": nn.Linear(base_layer.in_features, 2, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(2, base_layer.out_features, bias=False)})
        nn.init.zeros_(self.lora_B["default"].weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base_layer(x) + self.lora_B["default"](self.lora_A["default"](x))


class OtherAdapter(nn.Module):
    """Another kind of adapter, known by the method that all of PEFT's layers have."""

    def __init__(self, base_layer: nn.Module) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.shift = nn.ModuleDict({"default": nn.Linear(6, 6, bias=False)})

    def get_base_layer(self) -> nn.Module:
        return self.base_layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base_layer(self.shift["default"](x))


class Peft(nn.Module):
    """The outermost wrapper of PEFT."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.base_model = nn.Module()
        self.base_model.model = model

    def get_base_model(self) -> nn.Module:
        return self.base_model.model


def adapted(model: Network, adapter: Callable[[nn.Module], nn.Module] = Adapted) -> Network:
    for block in model.blocks:
        block[0] = adapter(block[0])
    return model


def compiled_layers(model: Network) -> Network:
    for i, block in enumerate(model.blocks):
        model.blocks[i] = torch.compile(block)
    return model


WRAPPERS: dict[str, Callable[[Network], nn.Module]] = {
    "compile": torch.compile,
    "compiled layers": compiled_layers,
    "DataParallel": nn.DataParallel,
    "DistributedDataParallel": nn.parallel.DistributedDataParallel,
    "compiled DistributedDataParallel": lambda model: torch.compile(nn.parallel.DistributedDataParallel(model)),
    "AveragedModel": AveragedModel,
    "adapters": adapted,
    "adapters of adapters": lambda model: adapted(adapted(model), OtherAdapter),
    "PEFT": lambda model: Peft(adapted(model)),
    "compiled PEFT": lambda model: torch.compile(Peft(adapted(model))),
}


@pytest.fixture
def network() -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Network()


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_wrapper_changes_no_mask_and_no_recipe(wrapper: str, network: Network) -> None:
    settings = {"include": ["blocks.0.*.weight"], "allocation": "erk"}
    plain = [rp.MaskSampler(network, rp.Voting(), 0.6), rp.MaskSampler(network, rp.Voting(), 0.6, **settings)]
    wrapped = WRAPPERS[wrapper](copy.deepcopy(network))
    for sampler, other in zip(plain, ({}, settings), strict=True):
        same = rp.MaskSampler(wrapped, rp.Voting(), 0.6, **other)
        assert same.draw(1) == sampler.draw(1)
        assert same.recipe(1) == sampler.recipe(1)
        assert rp.MaskSampler.from_recipe(wrapped, sampler.recipe(1)).draw(1) == sampler.draw(1)


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_mask_of_the_plain_model_fits_the_wrapped_one(wrapper: str, network: Network) -> None:
    mask = rp.MaskSampler(network, rp.Magnitude(), 0.6).draw(0)
    wrapped = WRAPPERS[wrapper](network)
    mask.apply_(wrapped)
    assert rp.mask_from_zeros(wrapped) == mask
    for weight in wrapped.parameters():
        weight.data.fill_(1)
    rp.MaskCallback(mask, wrapped).enforce()
    assert rp.mask_from_zeros(wrapped) == mask


def test_adapters_are_no_part_of_the_scope_wherever_they_are(network: Network) -> None:
    expected = [*prunable(network)]
    model = adapted(network)
    model.head = Adapted(model.head)
    assert [*prunable(model)] == expected
    assert {row.name for row in rp.scope(model).rows if row.kind == "adapter"} == {
        f"{layer}.{adapter}.default.weight" for layer in ("blocks.*.*", "head") for adapter in ("lora_A", "lora_B")
    }
    network = nn.Sequential(nn.Linear(6, 6), Adapted(nn.Linear(6, 2)))
    assert [*prunable(network)] == ["0.weight"]  # the last layer is the one below the adapter


def test_a_layer_of_the_users_own_that_is_called_base_layer_keeps_its_name() -> None:
    model = nn.ModuleDict({"base_layer": nn.Linear(3, 3), "head": nn.Linear(3, 3)})
    assert unwrapped(model) is model and all(name == plain for name, plain in plain_names(model).items())
    assert [*prunable(model)] == ["base_layer.weight"]


def test_a_model_that_is_split_over_devices_is_masked_but_not_drawn_from(network: Network) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mask = rp.MaskSampler(network, rp.Magnitude(), 0.6).draw(0)
    fully_shard(network, mesh=init_device_mesh("cpu", (1,)))
    with pytest.raises(WeightError, match=r"'blocks\.0\.0\.weight' is a DTensor.*before it is split"):
        rp.MaskSampler(network, rp.Magnitude(), 0.6)
    callback = rp.MaskCallback(mask, network)
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.ones(3, 6)).sum().backward()
    optimizer.step()
    callback.enforce()
    whole = {name: weight.full_tensor() for name, weight in network.named_parameters()}
    assert all(torch.equal(whole[name].ne(0), kept) for name, kept in mask.items())


class Halved(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / 2


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@pytest.mark.parametrize(
    "compiled", [torch.jit.script, lambda model: torch.jit.trace(model, torch.ones(1, 6))], ids=["script", "trace"]
)
def test_a_layer_that_torch_jit_compiled_is_refused_if_it_has_weights(
    compiled: Callable[[nn.Module], nn.Module], network: Network
) -> None:
    parts = nn.Sequential(nn.Linear(6, 6), compiled(Halved()), nn.Linear(6, 2))
    assert [*prunable(parts)] == ["0.weight"]
    mask = rp.MaskSampler(network, rp.Magnitude(), 0.5).draw(0)
    for use in (prunable, rp.scope, mask.apply_, rp.mask_from_zeros, rp.make_permanent):
        with pytest.raises(MaskError, match=r"^'blocks\.0\.0', a \w+, was compiled by torch\.jit"):
            use(compiled(network))
        with pytest.raises(MaskError, match=r"^'1', a \w+, was compiled by torch\.jit"):
            use(nn.Sequential(nn.Linear(6, 6), compiled(nn.Linear(6, 6)), nn.Linear(6, 2)))
