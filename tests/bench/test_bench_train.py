"""The bench of a training step, on a small model and task."""

import json

import torch

from randprune_lab.bench import train as bench
from randprune_lab.cli import main


def test_three_loops_are_timed_on_the_same_model_and_batches(monkeypatch, tmp_path, capsys):
    rows = bench.bench_train("tiny", None, "mini-rte", steps=2, repeats=1)
    (row,) = rows
    assert row["device"] == "cpu" or torch.cuda.is_available()
    assert set(row["seconds"]) == {"dense", "masked", "Trainer"} and min(row["seconds"].values()) > 0
    assert all(figure["value"] > 0 for figure in row["figures"])
    capsys.readouterr()

    asked = []
    monkeypatch.setattr(bench, "bench_train", lambda *arguments: asked.append(arguments) or rows)
    assert main(["bench", "train", "--task", "mini-rte", "--json", str(tmp_path / "train.json")]) == 0
    assert asked == [("minilm", 3, "mini-rte", 20)]
    assert "dense step / step of transformers.Trainer" in capsys.readouterr().out
    assert json.loads((tmp_path / "train.json").read_text()) == rows
