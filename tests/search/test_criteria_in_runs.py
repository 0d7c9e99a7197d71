"""Every criterion in a run: the same bits after an interruption, and the scores that a level's masks come from."""

from __future__ import annotations

import dataclasses
import logging
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support.runs import write_units

import randprune_lab as rp
from randprune_lab.criteria import CRITERIA, Custom, Record, recorded_criterion
from randprune_lab.errors import ConfigError
from randprune_lab.masks.scope import prunable
from randprune_lab.search import redraw
from randprune_lab.search.drawing import proposal_of
from randprune_lab.search.journal import read_journal
from randprune_lab.search.run import Search
from randprune_lab.search.scorer import label_loss, random_batches

OTHERS = [name for name in CRITERIA if name not in (Custom.name, "magnitude")]


@pytest.fixture(scope="module")
def small(config) -> rp.RunConfig:
    return dataclasses.replace(
        config, train_size=96, validation_size=40, test_size=20, candidates=2, baselines=(), dense_epochs=1, epochs=1
    )


def masks_of(path: Path) -> dict[str, str]:
    return {name: unit["mask_sha256"] for name, unit in rp.RunRecord.load(path).units.items() if "mask_sha256" in unit}


def bits(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted((path / "checkpoints").iterdir())}


@pytest.mark.parametrize("criterion", OTHERS)
def test_a_run_with_any_criterion_resumes_to_the_same_bits_from_masks_that_can_be_redrawn(small, tmp_path, criterion):
    """The masks come from the scores of the level's starting weights, over the batches that the seed gives."""
    asked = dataclasses.replace(small, criterion=criterion, score_batches=2)
    whole = rp.run(asked, tmp_path / "whole", progress=False)
    cut = shutil.copytree(whole, tmp_path / "cut")
    units = read_journal(whole)
    write_units(cut, {name: units[name] for name in [*units][: [*units].index("search-level-1") + 1]})
    (cut / "checkpoints" / "search-level-2.safetensors").unlink()
    rp.run(asked, cut, resume=True, progress=False)
    assert masks_of(cut) == masks_of(whole) and bits(cut) == bits(whole)
    search, recipe = Search(asked, progress=False), units["search-level-2"]["mask"]
    search.model.load_state_dict(load_file(whole / "checkpoints" / "search-level-1.safetensors"))
    assert redraw(search.model, recipe, scores_of(search, whole, recipe)).sha256 == masks_of(whole)["search-level-2"]


def scores_of(search: Search, path: Path, recipe: dict) -> dict[str, torch.Tensor]:
    """The scores at level 2, computed outside the run."""
    criterion = recorded_criterion(recipe["criterion"])
    if criterion.name == "movement":
        return load_file(path / "checkpoints" / "search-level-1-scores.safetensors")
    batches = random_batches(search.train, search.config.batch_size, 2, recipe["seed"])
    return criterion.scores(search.model, prunable(search.model), batches, label_loss)


def test_movement_is_what_the_training_before_summed_up_and_early_evaluations_add_nothing(small, tmp_path, monkeypatch):
    """Also if the dense model came from a run that summed up nothing: then it is trained again, to the same bits."""
    asked = dataclasses.replace(small, criterion="movement", levels=(0.5,))
    summed = rp.run(asked, tmp_path / "summed", progress=False)
    steps = []

    def count(self, name, gradient):
        steps.append(name)
        plain(self, name, gradient)

    plain = Record._add
    monkeypatch.setattr(Record, "_add", count)
    dense_of = rp.run(dataclasses.replace(small, levels=(0.5,)), tmp_path / "magnitude", progress=False)
    assert not steps
    again = rp.run(asked, tmp_path / "again", progress=False, dense_of=dense_of)
    weights, epoch = len({*steps}), -(-small.train_size // small.batch_size)
    assert len(steps) == weights * epoch * small.dense_epochs
    assert masks_of(again) == masks_of(summed) != masks_of(dense_of) and bits(again) == bits(summed)
    rp.run(asked, tmp_path / "copied", progress=False, dense_of=summed)
    assert len(steps) == weights * epoch * small.dense_epochs and bits(tmp_path / "copied") == bits(summed)
    (again / "checkpoints" / "dense-scores.safetensors").write_bytes(b"damaged")
    units = read_journal(again)
    write_units(again, {name: units[name] for name in ("data", "compute", "dense")})
    rp.run(asked, again, resume=True, progress=False)
    assert masks_of(again) == masks_of(summed) and bits(again) == bits(summed)


def test_wanda_sees_the_first_128_examples_unless_batches_are_asked_for(config):
    search = Search(dataclasses.replace(config, criterion="wanda"), progress=False)
    method = search.config.methods()[0]
    batches = proposal_of(search.config, method, 1, 0, search.train).scores.batches
    longest = np.sort(search.train.lengths[:128])[::-1]
    assert [len(batch["labels"]) for batch in batches] == [32] * 4
    assert np.concatenate([batch["attention_mask"].sum(dim=1) for batch in batches]).tolist() == longest.tolist()
    asked = proposal_of(dataclasses.replace(search.config, score_batches=3), method, 1, 0, search.train).scores.batches
    assert len(asked) == 3


def test_the_number_of_batches_is_sixteen_or_what_is_asked_for_and_the_seed_chooses_them(config):
    search = Search(dataclasses.replace(config, criterion="fisher", batch_size=8), progress=False)
    found = {}
    for seed in (0, 1):
        for count in (None, 2, 1000):
            asked = dataclasses.replace(search.config, score_batches=count)
            found[seed, count] = proposal_of(asked, asked.methods()[0], 1, seed, search.train).scores.batches
    assert [len(found[0, count]) for count in (None, 2, 1000)] == [16, 2, -(-len(search.train) // 8)]
    same = [torch.equal(found[0, 2][0]["labels"], found[seed, None][0]["labels"]) for seed in (0, 1)]
    assert same == [True, False] and "rows" not in found[0, 2][0]


def test_a_proposal_that_was_sent_to_a_worker_draws_the_same_masks(config):
    search = Search(dataclasses.replace(config, criterion="taylor", score_batches=2), progress=False)
    summed = {name: torch.randn_like(weight) for name, weight in prunable(search.model).items()}
    for asked, recorded in ((search.config, None), (dataclasses.replace(config, criterion="movement"), summed)):
        here = proposal_of(asked, asked.methods()[0], 1, 5, search.train, recorded)
        there = pickle.loads(pickle.dumps(here))
        assert here.draw(search.model, 1) == there.draw(search.model, 1)
        assert here.recipe(search.model, 1) == there.recipe(search.model, 1)


def test_a_uniform_mask_needs_no_scores(config):
    search = Search(dataclasses.replace(config, criterion="fisher"), progress=False)
    used = [proposal_of(search.config, method, 1, 0, search.train).scores for method in search.config.methods()]
    assert [scorer is None for scorer in used] == [False, False, True]


def test_a_run_says_which_criterion_it_uses_and_another_choice(small, tmp_path, caplog):
    caplog.set_level(logging.INFO, "randprune_lab")
    short = dataclasses.replace(small, levels=(0.5,), candidates=1)
    rp.run(short, tmp_path / "magnitude", progress=False)
    rp.run(dataclasses.replace(short, criterion="taylor"), tmp_path / "taylor", progress=False)
    said = [line for line in caplog.messages if line.startswith("criterion: ")]
    assert "magnitude" in said[0] and "--criterion fisher" in said[0]
    assert "taylor" in said[1] and "--criterion magnitude" in said[1] and "16 train batches" in said[1]


def test_a_criterion_that_a_run_cannot_use_is_refused_before_it_begins(config):
    with pytest.raises(ConfigError, match="unknown criterion 'fischer'; did you mean 'fisher'"):
        dataclasses.replace(config, criterion="fischer")
    with pytest.raises(ConfigError, match=r"criterion 'custom' needs a dict of tensors.*--plugin FILE\.py"):
        dataclasses.replace(config, criterion="custom")
    with pytest.raises(ConfigError, match="criterion 'taylor' has no setting 'per'; its settings: none"):
        dataclasses.replace(config, criterion="taylor", criterion_settings={"per": "example"})
    with pytest.raises(ConfigError, match="score_batches must be a whole number at least 1, got 0"):
        dataclasses.replace(config, score_batches=0)
    with pytest.raises(ConfigError, match=r"criterion 'fisher' needs the train set.*got train=None"):
        fisher = dataclasses.replace(config, criterion="fisher")
        proposal_of(fisher, fisher.methods()[0], 1, 0)
