"""A candidate whose training diverges: the others go on, and everything that is recorded can be read."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import randprune_lab as rp
from randprune_lab.analysis.level_record import LevelRecord
from randprune_lab.analysis.task_record import TaskRecord
from randprune_lab.cli import main
from randprune_lab.errors import RunError
from randprune_lab.files import strict_json
from randprune_lab.search import level
from randprune_lab.search.journal import read_journal
from randprune_lab.tasks.spec import get_task
from randprune_lab.viz import figures

LOG_LOSS = {"early_score": "log-loss", "noise_seeds": 2}
SCORES = {"task": "stsb", "metric": "spearman"}


@pytest.fixture
def spoil(monkeypatch):
    """Makes the answers of some candidates NaN."""
    advance, predict, spoiled, now = level.Level.advance, level.predict, set(), []

    def advance_one(self, candidate, *more):
        now.append(candidate)
        return advance(self, candidate, *more)

    def predict_one(*given):
        return predict(*given) * np.float32(np.nan if now[-1] in spoiled else 1)

    monkeypatch.setattr(level.Level, "advance", advance_one)
    monkeypatch.setattr(level, "predict", predict_one)
    return spoiled.update


@pytest.mark.parametrize("settings", [LOG_LOSS, SCORES], ids=["classes by log-loss", "scores"])
def test_a_diverged_candidate_is_dropped_and_the_run_can_be_read(config, pairs_dir, tmp_path, capsys, spoil, settings):
    if settings is SCORES:
        settings = {**settings, "glue_dir": str(pairs_dir)}
    short = dataclasses.replace(config, levels=(0.5,), baselines=(), dense_epochs=1, **settings)
    spoil({1})
    folder = rp.run(short, tmp_path / "run", progress=False)
    first, *_ = read_journal(folder)["search-level-1/selection"]["rounds"]
    assert [drop["why"] for drop in first["dropped"] if drop["candidate"] == 1] == ["its answers are not finite"]
    assert main(["show", str(folder)]) == 0
    text = capsys.readouterr().out
    assert "\n  candidate 1  diverged  " in text and text.count("diverged  ") == 1 and "cannot be said, because" in text
    assert main(["show", str(folder), "--json"]) == 0
    strict_json(capsys.readouterr().out)
    assert main(["results", str(folder), "--out", str(tmp_path / "results.csv")]) == 0
    TaskRecord.of({"search": rp.RunRecord.load(folder)}).save(tmp_path / "task.safetensors")
    evaluations = TaskRecord.load(tmp_path / "task.safetensors").early("search", 0.5)
    assert [each["score"] is None for each in evaluations] == [False, settings is LOG_LOSS, False]
    figures.early_scores(rp.RunRecord.load(folder), 1)


def test_a_candidate_that_diverges_later_has_no_score(config, tmp_path):
    """That of an earlier round is not its last one."""
    rounds = [
        {"steps": steps, "candidates": [0, 1], "scores": scores, "dropped": []}
        for steps, scores in ((4, [0.5, 0.6]), (8, [0.7, np.nan]))
    ]
    units = {f"search-level-1/candidate-{c}/steps-8": {"candidate": c, "steps": 8} for c in (0, 1)}
    units["search-level-1/selection"] = {"rounds": rounds}
    record = LevelRecord(tmp_path, config, units, get_task("sst2"), "search", 1)
    assert [candidate["score"] for candidate in record.candidates] == [0.7, None]


def test_if_all_diverge_the_learning_rate_is_named(config, tmp_path, spoil):
    spoil({0, 1, 2})
    short = dataclasses.replace(config, levels=(0.5,), baselines=(), dense_epochs=1)
    with pytest.raises(RunError, match="no candidate has finite scores after"):
        rp.run(short, tmp_path / "run", progress=False)
