"""A whole search on a device that is not the CPU: the same masks, scores and files, also after a stop."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.simulated_device import DEVICE

import randprune_lab as rp
from randprune_lab.export import export_run
from randprune_lab.interop import load_sparse
from randprune_lab.search.folder import RunFolder
from randprune_lab.search.journal import read_journal
from randprune_lab.search.run_files import load_predictions
from randprune_lab.search.units import COMPUTE


class Stop(Exception):
    """Stands for a kill."""


def results(path: Path) -> dict:
    """All that a run found; only the device differs."""
    units = read_journal(path)
    del units[COMPUTE]
    return units


@pytest.fixture
def small(config: rp.RunConfig) -> rp.RunConfig:
    """Two levels, two candidates in each, IMP beside them, and losses that need the teacher."""
    shorter = {"candidates": 2, "dense_epochs": 1, "baselines": ("imp",), "evaluate_every": 3, "train_size": 160}
    return dataclasses.replace(config, **shorter, distill_labels=0.5)


def test_a_search_that_stops_and_resumes_on_the_device_finds_what_the_cpu_does(
    small: rp.RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = rp.run(small, tmp_path / "here", progress=False)
    there = dataclasses.replace(small, device=str(DEVICE))
    add = RunFolder.add

    def stop(folder: RunFolder, name: str, result: dict) -> None:
        if name == "search-level-2/candidate-1/steps-5":
            raise Stop
        add(folder, name, result)

    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(RunFolder, "add", stop)
        rp.run(there, tmp_path / "there", progress=False)
    there = rp.run(there, tmp_path / "there", resume=True, progress=False)

    # The journal has masks by recipe and SHA-256, weights by SHA-256, and all scores and losses.
    assert results(there) == results(here)
    for file in (here / "masks").iterdir():
        assert rp.MaskSet.load(there / "masks" / file.name) == rp.MaskSet.load(file)
    for file in (here / "predictions").iterdir():
        arrays = [load_predictions(path, file.stem)[0] for path in (here, there)]
        assert (arrays[0] == arrays[1]).all()

    dense, sparse = (export_run(there, tmp_path / kind, kind) for kind in ("dense", "sparse"))
    record = rp.RunRecord.load(there)
    weights, mask = load_sparse(sparse / "model.sparse.safetensors")
    assert mask == rp.MaskSet.load(dense / "mask.safetensors")
    assert mask.sha256 == record.units["search-level-2"]["mask_sha256"]
    checkpoint = load_file(there / "checkpoints" / "search-level-2.safetensors")
    assert all(torch.equal(weights[name], weight) for name, weight in checkpoint.items())
    assert (dense / "model.safetensors").is_file()


@pytest.mark.parametrize(
    "settings",
    [
        {"criterion": "wanda", "allocation": "global"},
        {"learn": "inclusion", "generations": 2, "candidates": 4},
        {"early_strategy": "race", "screen": 3},
    ],
    ids=str,
)
def test_other_kinds_of_searches_find_what_the_cpu_does(small, settings, tmp_path) -> None:
    short = dataclasses.replace(small, levels=(0.9,), baselines=(), **settings)
    here = rp.run(short, tmp_path / "here", progress=False)
    there = rp.run(dataclasses.replace(short, device=str(DEVICE)), tmp_path / "there", progress=False)
    assert results(there) == results(here)
