"""The bench of strategies, on a pool that takes seconds."""

import json

import numpy as np

from randprune_lab.bench import early
from randprune_lab.cli import main
from randprune_lab.search.config import PRESETS


def test_every_strategy_is_judged_on_candidates_that_were_all_trained(monkeypatch, tmp_path, capsys):
    small = {"train_size": 64, "selection_size": 40, "dense_epochs": 1, "epochs": 1, "batch_size": 4}
    monkeypatch.setitem(PRESETS, "lesson", PRESETS["lesson"] | small)
    monkeypatch.setattr(early, "PATH", (0.5, 0.9))
    monkeypatch.setattr(early, "NOISE_MASKS", 2)
    monkeypatch.setattr(early, "NOISE_SEEDS", 2)
    rows = early.bench_early("mini-rte", sparsities=(0.9,), candidates=4)
    (row,) = rows
    assert row["sparsity"] == 0.9 and len(row["final scores"]) == row["candidates"] == 4
    assert set(row["strategies"]) == set(early.STRATEGIES)
    spread = max(row["final scores"]) - min(row["final scores"])
    for found in row["strategies"].values():
        assert 0 <= found["lost"]["estimate"] <= spread
        # What is lost to the best and what is won over the mean make up the same whole for every strategy.
        whole = max(row["final scores"]) - np.mean(row["final scores"])
        assert abs(found["lost"]["estimate"] + found["gained"]["estimate"] - whole) < 1e-9
    shares = {name: found["share"]["estimate"] for name, found in row["strategies"].items()}
    assert shares["published"] == 1 and shares["screened to 1 untrained"] == 0
    assert 0 < shares["halving, 1/3 of the steps"] <= 1 / 3

    monkeypatch.setattr(early, "bench_early", lambda task: rows)
    assert main(["bench", "early", "--json", str(tmp_path / "early.json")]) == 0
    assert "won over a random one" in capsys.readouterr().out
    assert json.loads((tmp_path / "early.json").read_text()) == rows
