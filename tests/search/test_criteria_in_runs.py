"""Every criterion in a run: the same bits after an interruption, and the scores that a level's masks come from."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import randprune_lab as rp
from randprune_lab.criteria import CRITERIA, Custom
from randprune_lab.search.folder import RunFolder

BUILT_IN = [name for name in CRITERIA if name != Custom.name]


class Stop(Exception):
    """Stands for a kill."""


@pytest.fixture(scope="module")
def small(config) -> rp.RunConfig:
    return dataclasses.replace(
        config, train_size=96, validation_size=40, test_size=20, candidates=2, baselines=(), dense_epochs=1, epochs=1
    )


def masks_of(path: Path) -> dict[str, str]:
    return {name: unit["mask_sha256"] for name, unit in rp.RunRecord.load(path).units.items() if "mask_sha256" in unit}


def bits(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted((path / "checkpoints").iterdir())}


@pytest.mark.parametrize("criterion", BUILT_IN)
def test_a_run_with_any_criterion_resumes_to_the_same_bits(small, tmp_path, monkeypatch, criterion):
    asked = dataclasses.replace(small, criterion=criterion, score_batches=2)
    whole = rp.run(asked, tmp_path / "whole", progress=False)
    add = RunFolder.add

    def stopped(self, name, result):
        if name == "search-level-2/selection":
            raise Stop
        add(self, name, result)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "add", stopped)
        with pytest.raises(Stop):
            rp.run(asked, tmp_path / "cut", progress=False)
    rp.run(asked, tmp_path / "cut", resume=True, progress=False)
    assert masks_of(tmp_path / "cut") == masks_of(whole) and bits(tmp_path / "cut") == bits(whole)
