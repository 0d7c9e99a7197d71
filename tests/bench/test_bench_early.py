"""The bench of early-evaluation strategies, on small pools."""

import contextlib
import json

import pytest

from randprune_lab.analysis import judging
from randprune_lab.bench import early, pools, reporting
from randprune_lab.cli import main
from randprune_lab.errors import ConfigError, UnknownNameError
from randprune_lab.search.presets import PRESETS


@pytest.fixture
def small(monkeypatch):
    sizes = {"train_size": 64, "validation_size": 40, "dense_epochs": 1, "epochs": 1, "batch_size": 4}
    monkeypatch.setitem(PRESETS, "lesson", PRESETS["lesson"] | sizes)
    for module in (pools, judging):
        for name, value in {"CANDIDATES": 4, "DRAWN": 3}.items():
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(pools, "PATH", (0.5, 0.9))
    monkeypatch.setattr(pools, "SPARSITIES", (0.9,))
    monkeypatch.setattr(pools, "NOISE_MASKS", 2)
    monkeypatch.setattr(pools, "NOISE_SEEDS", 2)
    monkeypatch.setattr(pools, "TEST", 100)
    monkeypatch.setattr(early, "SEEDS", (0,))
    monkeypatch.setattr(judging, "REPETITIONS", 50)
    monkeypatch.setattr(pools, "LEARNERS", {name: how | {"generations": 2} for name, how in pools.LEARNERS.items()})


def test_strategies_are_judged_on_pools_that_are_trained_once(small, tmp_path, monkeypatch, capsys):
    assert main(["bench", "early", "--task", "mini-rte", "--out", str(tmp_path), "--json", str(tmp_path / "json")]) == 0
    printed = capsys.readouterr().out
    found = json.loads((tmp_path / "json").read_text())
    assert {pool["candidates from"] for pool in found["pools"]} == set(pools.KINDS)
    assert {pool["seed"] for pool in found["pools"]} == set(early.SEEDS)
    for kind in pools.KINDS:
        rows = {row["strategy"]: row for row in found["strategies"] if row["candidates from"] == kind}
        assert set(rows) == set(judging.COMPARED)
        for row in rows.values():
            # Loss to the best plus gain over the mean is the same for every strategy.
            whole = rows["full"]["lost"]["estimate"] + rows["full"]["gained"]["estimate"]
            assert row["lost"]["estimate"] + row["gained"]["estimate"] == pytest.approx(whole, abs=1e-9)
        assert all(row["lost"]["estimate"] >= -0.1 for row in rows.values()), "found on other examples than compared"
        assert rows["full"]["share"]["estimate"] == 1
        assert rows["pre-filtered to 1"]["share"]["estimate"] == 0
        assert 0 < rows["halving, 1/3 of the steps"]["share"]["estimate"] <= 1 / 3
    assert {row["search"] for row in found["learning"]} >= {"learned allocation, winner", "learned inclusion, winner"}
    assert all(row["searches"] == len(early.SEEDS) for row in found["learning"])
    assert "gain over random" in printed and "due to the mask" in printed

    def never(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(pools, "_Pools", never)
    again = early.bench_early(["mini-rte"], tmp_path)
    assert json.loads(json.dumps(again)) == found


@pytest.mark.parametrize(
    ("tasks", "error", "message"),
    [
        (["mini-rte", "mini-stsb"], ConfigError, "mini-stsb is judged by pearson"),
        (["mini-rte", "mini-cola"], ConfigError, "mini-cola is judged by matthews"),
        (["mini-rte", "mini-sst"], UnknownNameError, "did you mean 'mini-sst2'"),
    ],
)
def test_tasks_without_accuracy_are_refused_before_any_training(tmp_path, tasks, error, message):
    with pytest.raises(error, match=message):
        early.bench_early(tasks, tmp_path / "pools")
    assert not (tmp_path / "pools").exists()


@pytest.mark.parametrize("bench", [early, reporting], ids=["early", "reporting"])
def test_a_task_that_is_given_twice_counts_once(bench, tmp_path, monkeypatch):
    """Pools that count twice would make intervals too narrow."""
    trained = []
    train = {early: "train_pools", reporting: "_train"}[bench]
    monkeypatch.setattr(bench, train, lambda _folder, task, seed, *_: trained.append((task, seed)) or iter(()))
    bench_it = {early: early.bench_early, reporting: reporting.bench_reporting}[bench]
    with contextlib.suppress(ValueError, KeyError):  # there are no pools to compare
        bench_it(["mini-rte", "mini-rte"], tmp_path)
    assert trained == [("mini-rte", seed) for seed in bench.SEEDS]
