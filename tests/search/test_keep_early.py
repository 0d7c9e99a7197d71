"""The winner of a level goes on from the weights of its early evaluation, if the run says so."""

from __future__ import annotations

import dataclasses
import json
import sys

import pytest
import torch

from randprune_lab.errors import ConfigError
from randprune_lab.search.config import RunConfig
from randprune_lab.search.level import Level
from randprune_lab.search.run import Search, run

CONFIG = RunConfig(
    task="mini-sst2",
    model="tiny",
    train_size=96,
    validation_size=40,
    test_size=40,
    levels=(0.5, 0.9),
    candidates=3,
    dense_epochs=1,
    epochs=1,
    early_epochs=2,
    evaluate_every=2,
    keep_early=True,
    baselines=("imp",),
)


def copied(model) -> dict:
    return {name: weight.clone() for name, weight in model.state_dict().items()}


@pytest.fixture
def starts(monkeypatch):
    """What each training with a winner started from, and what the early training of that winner had ended with."""
    running = sys.modules[Search.__module__]
    found: list[tuple[str, dict, dict]] = []
    original = Search.train_winner

    def train_winner(search, level: Level, winner, mask):
        early = {}
        if level.name.startswith("search"):
            level.advance(winner, None, level.total_steps)
            early = copied(level.model)
            level.start_with(winner)
        begun = running.train

        def train(model, *arguments, **settings):
            found.append((level.name, copied(model), early))
            return begun(model, *arguments, **settings)

        monkeypatch.setattr(running, "train", train)
        try:
            return original(search, level, winner, mask)
        finally:
            monkeypatch.setattr(running, "train", begun)

    monkeypatch.setattr(Search, "train_winner", train_winner)
    return found


def same(one: dict, other: dict) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_the_winner_starts_from_its_early_weights_and_the_baseline_does_not(tmp_path, starts):
    run(CONFIG, tmp_path / "run")
    searched = [each for each in starts if each[0].startswith("search")]
    assert [name for name, *_ in starts] == ["search-level-1", "search-level-2", "imp-level-1", "imp-level-2"]
    assert all(same(begun, early) for _, begun, early in searched)


def test_without_the_setting_it_starts_from_the_level_before(tmp_path, starts):
    run(dataclasses.replace(CONFIG, keep_early=False, baselines=()), tmp_path / "run")
    assert not any(same(begun, early) for _, begun, early in starts)


def test_a_resumed_run_has_the_same_bits(tmp_path):
    config = dataclasses.replace(CONFIG, baselines=())
    run(config, tmp_path / "whole")
    folder = run(config, tmp_path / "parts")
    journal = folder / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    cut = next(place for place, line in enumerate(lines) if '"unit": "search-level-2"' in line)
    journal.write_text("".join(lines[:cut]))
    run(config, folder, resume=True)
    weights = [
        [
            line
            for line in (tmp_path / name / "journal.jsonl").read_text().splitlines()
            if '"unit": "search-level-2"' in line
        ]
        for name in ("whole", "parts")
    ]
    assert weights[0] == weights[1] and len(weights[0]) == 1


def early_scores(folder) -> dict[int, list[float]]:
    units = map(json.loads, (folder / "journal.jsonl").read_text("utf-8").splitlines())
    early = [unit["result"] for unit in units if unit["unit"].startswith("search-level-1/candidate")]
    return {each["candidate"]: each["metric"] for each in early}


def test_restarts_of_one_mask_differ_and_the_best_of_them_goes_on(tmp_path, starts, caplog):
    config = dataclasses.replace(CONFIG, rule="magnitude", baselines=(), dense_epochs=4, evaluate_every=1)
    same_seed, restarts = (dataclasses.replace(config, candidate_seeds=each) for each in (False, True))
    run(same_seed, tmp_path / "same")
    assert caplog.text.count("3 of 3 candidates have the same mask and training seed") == 1
    caplog.clear()
    run(restarts, tmp_path / "restarts")
    assert "candidates have" not in caplog.text
    same_scores, scores = early_scores(tmp_path / "same"), early_scores(tmp_path / "restarts")
    assert same_scores[0] == same_scores[1] == same_scores[2] == scores[0]
    assert scores[0] != scores[1] != scores[2]
    assert all(same(begun, early) for _, begun, early in starts)


def test_cautious_needs_the_incumbent_and_compares_by_log_loss():
    with pytest.raises(ConfigError, match="set incumbent"):
        RunConfig(early_strategy="cautious")
    with pytest.raises(ConfigError, match="got early_score 'metric'; set early_score log-loss"):
        RunConfig(early_strategy="cautious", incumbent=True)
    config = dataclasses.replace(CONFIG, early_strategy="cautious", incumbent=True, early_score="log-loss")
    assert config.strategy().name == "cautious"
