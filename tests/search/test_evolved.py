"""A run whose levels evolve their allocation: exact, recorded once, and not computed again."""

from __future__ import annotations

import dataclasses
import shutil

import pytest
import torch
from safetensors.torch import load_file

import randprune_lab as rp
from randprune_lab.analysis.text import describe_run
from randprune_lab.errors import ConfigError
from randprune_lab.masks.sparsity import keep_count
from randprune_lab.search import evolved, redraw
from randprune_lab.search.journal import read_journal

SMALL = {"generations": 2, "offspring": 2, "examples": 16}


@pytest.fixture(scope="module")
def run(config, tmp_path_factory):
    changed = dataclasses.replace(
        config, allocation="evolved", allocation_settings=SMALL, baselines=("imp",), candidates=2, incumbent=True
    )
    return changed, rp.run(changed, tmp_path_factory.mktemp("evolved") / "run", progress=False)


def test_masks_have_the_evolved_counts_and_the_exact_total(run):
    config, path = run
    units, (model, _) = read_journal(path), rp.load_model(config.model, num_labels=2)
    for method in ("search", "imp"):
        for level, sparsity in enumerate(config.levels, start=1):
            found = units[f"{method}-level-{level}/allocation"]
            mask = units[f"{method}-level-{level}"]["mask"]
            assert mask["allocation"] == found["counts"]
            assert found["history"] == sorted(found["history"], reverse=True) and len(found["history"]) == 3
            assert found["evaluations"] <= 5
            size = sum(model.get_parameter(name).numel() for name in found["counts"])
            assert sum(found["counts"].values()) == keep_count(size, sparsity)
    model.load_state_dict(load_file(path / "checkpoints" / "dense.safetensors"))
    assert redraw(model, units["imp-level-1"]["mask"]).sha256 == units["imp-level-1"]["mask_sha256"]
    incumbent = next(unit["mask"] for name, unit in units.items() if "search-level-1/candidate-0/" in name)
    assert redraw(model, incumbent).sha256 == units["imp-level-1"]["mask_sha256"]
    assert "search" in describe_run(rp.RunRecord.load(path))


def test_a_resumed_run_reads_the_counts_from_its_journal(run, tmp_path, monkeypatch):
    config, path = run
    lines = (path / "journal.jsonl").read_text("utf-8").splitlines(keepends=True)
    last = max(number for number, line in enumerate(lines) if "/allocation" in line)
    copy = shutil.copytree(path, tmp_path / "copy")
    (copy / "journal.jsonl").write_text("".join(lines[: last + 1]), "utf-8")
    monkeypatch.setattr(evolved, "evolve_allocation", None)
    rp.run(config, copy, resume=True, progress=False)
    assert rp.RunRecord.load(copy).summary() | {"run": None} == rp.RunRecord.load(path).summary() | {"run": None}


def test_a_sampler_alone_cannot_evolve():
    with pytest.raises(ConfigError, match="give it the counts of"):
        rp.MaskSampler({"w": torch.ones(4, 4)}, rp.Magnitude(), 0.5, allocation="evolved")
    for wrong in ({"start": "layer"}, {"offspring": 0}, {"step": 0}):
        with pytest.raises(ConfigError):
            rp.RunConfig(allocation="evolved", allocation_settings=wrong)
