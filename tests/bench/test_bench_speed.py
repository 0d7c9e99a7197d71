"""The bench of pruned models, on a small shape."""

from __future__ import annotations

import json
import math

import pytest
import torch

from randprune_lab.bench import alternating, train_speed
from randprune_lab.bench import speed as bench
from randprune_lab.cli import main

SHAPE = {"hidden_size": 384, "num_hidden_layers": 1, "num_attention_heads": 6, "intermediate_size": 512}


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setitem(bench.MODELS, "small", SHAPE | {"vocab_size": 20_000})
    monkeypatch.setattr(bench, "FORWARD", (bench.Forward("small", 0.99, 1, 4, 1, 2),))
    monkeypatch.setattr(bench, "IN_MEMORY", ("small", 0.99, 1.0, 0.5))
    monkeypatch.setattr(alternating, "SECONDS", 0.0)
    yield
    bench.pruned_bert.cache_clear()


def test_a_forward_pass_is_measured_and_judged(small):
    (row,) = bench.forward_rows()
    assert {"dense", "sparse", "F.linear with CSR"} <= row["measured"].keys()
    assert row["threads"] == torch.get_num_threads() and row["processor"]
    assert all(seconds > 0 for seconds in row["measured"].values())
    assert all(math.isfinite(figure["value"]) for figure in row["figures"])


def test_all_ways_compute_the_same(small):
    model, ids = bench.pruned_bert("small", 0.99), torch.arange(5, 9)[None]
    with torch.no_grad():
        for other in (bench.fast(model), bench.with_csr_weights(model)):
            assert torch.allclose(other(ids).logits, model(ids).logits, atol=1e-4)


def test_memory_is_measured_in_processes_of_their_own(small, monkeypatch):
    asked = []
    monkeypatch.setattr(bench, "_peak_in_process", lambda kind, folder: asked.append(kind) or bench.peak(kind, folder))
    (row,) = bench.memory_rows()
    assert asked == ["dense", "sparse"] and row["unit"] == "bytes"


def test_memory_that_cannot_be_measured_has_no_row(small, monkeypatch):
    monkeypatch.setattr(bench, "_peak_in_process", lambda kind, folder: math.nan)
    assert bench.memory_rows() == []


def test_training_steps_are_measured_and_judged(small, monkeypatch):
    monkeypatch.setattr(train_speed, "TRAINING", (train_speed.Step(1, 0.95, 1, 2),))
    monkeypatch.setattr(train_speed, "STEPS", 1)
    monkeypatch.setattr(train_speed, "TEXTS", 2)
    (row,) = train_speed.training_rows()
    assert row["measured"].keys() == {"before", "dense", "sparse", "auto"} and row["model"] == "MiniLM, 1 layers"
    assert all(math.isfinite(figure["value"]) for figure in row["figures"])


def test_the_command_prints_all_parts_and_writes_json(monkeypatch, tmp_path, capsys):
    figure = bench.Figure("dense / sparse", 2.5, 2, 3, at_most=False)
    row = alternating.speed_row("forward pass", "small", 0.99, "s", {"dense": 0.5, "sparse": 0.2}, [figure])
    monkeypatch.setattr(bench, "PARTS", (lambda: [row], lambda: [row | {"what": "another", "unit": "bytes"}]))
    assert main(["bench", "speed", "--json", str(tmp_path / "speed.json")]) == 0
    out = capsys.readouterr().out
    assert "forward pass, small, sparsity 99 %" in out and "another, small" in out and "met: limit" in out
    assert [found["what"] for found in json.loads((tmp_path / "speed.json").read_text())] == ["forward pass", "another"]
