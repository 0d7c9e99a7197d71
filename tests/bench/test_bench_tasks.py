"""The tables of mini-GLUE, measured on few rows; on one task, word order matters and a tiny model learns it."""

import dataclasses
import json
import math

import pytest

from randprune_lab.bench import tasks as bench
from randprune_lab.cli import main
from randprune_lab.errors import UnknownNameError


def test_a_tiny_model_beats_words_and_the_model_without_encoder(monkeypatch):
    monkeypatch.setattr(bench, "DENSE", dataclasses.replace(bench.DENSE, epochs=6))
    (row,) = bench.bench_tasks(["mini-sst2"], sparsities=(), train_size=2000)
    assert row["dense"] > 0.9
    assert max(row["words"], row["without encoder"]) < 0.75
    assert row["majority"] == 0.5


@pytest.fixture
def brief(monkeypatch):
    monkeypatch.setattr(bench, "DENSE", dataclasses.replace(bench.DENSE, epochs=1))
    monkeypatch.setattr(bench, "SHORT_ROWS", 64)
    monkeypatch.setattr(bench, "SPARSITIES", (0.9, 0.99))


def test_every_figure_is_measured(brief):
    (row,) = bench.bench_tasks(["mini-stsb"], sparsities=(0.9, 0.99), train_size=120)
    assert all(math.isfinite(row[name]) for name in (*bench.LEARNED, "seconds", "cpu seconds"))
    assert [level["sparsity"] for level in row["pruned"]] == [0.9, 0.99]
    assert all(len(level["candidates"]) == bench.CANDIDATES for level in row["pruned"])


def test_the_command_prints_both_tables_and_writes_json(brief, monkeypatch, tmp_path, capsys):
    measured = bench.bench_tasks(["mini-rte"], sparsities=(0.9,), train_size=100)
    monkeypatch.setattr(bench, "bench_tasks", lambda names: measured)
    assert main(["bench", "tasks", "--task", "mini-rte", "--json", str(tmp_path / "bench.json")]) == 0
    printed = capsys.readouterr().out
    assert "without encoder" in printed and "majority class" in printed and "90.00%" in printed
    assert json.loads((tmp_path / "bench.json").read_text()) == measured


def test_an_unknown_task_is_refused_before_any_training_with_the_nearest_name(monkeypatch):
    monkeypatch.setattr(bench, "_measure", lambda *_: pytest.fail("trained"))
    with pytest.raises(UnknownNameError, match="mini-cola"):
        bench.bench_tasks(["mini-rte", "mini-coola"])


def test_a_task_that_is_given_twice_is_measured_once(monkeypatch):
    monkeypatch.setattr(bench, "_measure", lambda splits, _: splits.task.name)
    assert bench.bench_tasks(["mini-rte", "mini-sst2", "mini-rte"], train_size=10) == ["mini-rte", "mini-sst2"]
