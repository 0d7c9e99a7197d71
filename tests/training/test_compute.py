"""The device, the threads and the precision of a run."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from support.simulated_device import DEVICE

import randprune_lab as rp
from randprune_lab.errors import ConfigError
from randprune_lab.masks.rules import RULES
from randprune_lab.training.compute import Compute, find_device


def test_a_cpu_is_found_where_there_is_no_gpu(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    here = torch.get_num_threads()
    assert Compute.find() == Compute.find("cpu") == Compute("cpu", None, here, "float32")
    assert Compute.find(str(DEVICE)).device == "sim:0"


@pytest.mark.parametrize("name", ["cuda", "cuda:1", "mps", "xpu", "meta"])
def test_a_device_that_is_not_here_is_refused_with_those_that_are(name: str) -> None:
    if (name.startswith("cuda") and torch.cuda.device_count() > 1) or (name == "cuda" and torch.cuda.is_available()):
        pytest.skip("there are GPUs")
    with pytest.raises(ConfigError, match=rf"device '{name}' cannot be used here; choose one of cpu"):
        find_device(name)


@pytest.mark.parametrize("name", ["gpu", "", "cuda:one", "cpu:"])
def test_what_is_no_device_is_refused_by_the_configuration(name) -> None:
    with pytest.raises(ConfigError, match="device must be auto, cpu, cuda"):
        rp.RunConfig(device=name)


@pytest.mark.parametrize("name", [None, 0])
def test_a_device_must_be_a_text(name) -> None:
    with pytest.raises(ConfigError, match=f"device must be a text, got {name}"):
        rp.RunConfig(device=name)


@pytest.mark.parametrize("settings", [{"threads": 0}, {"threads": 1.5}, {"precision": "float16"}], ids=str)
def test_other_bad_settings_are_refused(settings) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        rp.RunConfig(**settings)


def test_threads_and_precision_hold_in_the_block_only() -> None:
    before, product = torch.get_num_threads(), torch.ones(2, 2)
    with Compute.find("cpu", before + 1, "bfloat16").active():
        assert torch.get_num_threads() == before + 1
        assert (product @ product).dtype == torch.bfloat16
    assert torch.get_num_threads() == before
    assert (product @ product).dtype == torch.float32


def test_weights_that_change_in_the_block_are_seen() -> None:
    """Autocast can keep copies of weights, which would be those of the first training step for ever."""
    layer = torch.nn.Linear(2, 2, bias=False)
    with Compute.find("cpu", precision="bfloat16").active():
        layer(torch.ones(2))
        with torch.no_grad():
            layer.weight.fill_(3.0)
        assert layer(torch.ones(2)).tolist() == [6.0, 6.0]


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_masks_do_not_depend_on_threads_and_precision(rule) -> None:
    weights = {name: torch.randn(64, 96, generator=torch.Generator().manual_seed(1)) for name in "ab"}
    mask = rp.MaskSampler(weights, rule(), 0.9, allocation="global").draw(3)
    with Compute.find("cpu", 3, "bfloat16").active():
        assert rp.MaskSampler(weights, rule(), 0.9, allocation="global").draw(3) == mask


def test_a_description_names_everything() -> None:
    assert str(Compute("cpu", None, 1, "float32")) == "cpu, 1 thread, float32"
    assert str(Compute("cuda:1", "Great GPU", 8, "bfloat16")) == "cuda:1 (Great GPU), 8 threads, bfloat16"


def test_a_run_has_its_own_number_of_threads_and_precision(config, tmp_path) -> None:
    settings = {"levels": (0.5,), "candidates": 2, "baselines": (), "dense_epochs": 1, "epochs": 1}
    short = dataclasses.replace(config, **settings, threads=2, precision="bfloat16")
    record = rp.RunRecord.load(rp.run(short, tmp_path / "run", progress=False))
    assert record.units["compute"] == {
        "device": "cpu",
        "processor": None,
        "threads": 2,
        "precision": "bfloat16",
        "layers": "dense",
        "sparse_from": 0.82,
    }
    plain = rp.run(dataclasses.replace(short, precision="float32"), tmp_path / "plain", progress=False)
    assert rp.RunRecord.load(plain).units["dense"]["losses"] != record.units["dense"]["losses"]
