"""A study does every unit of its grid once, with any number of processes and interruptions."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from itertools import product
from pathlib import Path
from threading import Thread

import numpy as np
import pandas as pd
import pytest
import torch
import transformers
import yaml
from support.runs import write_units
from torch import nn

import randprune_lab as rp
from randprune_lab.analysis import recorded
from randprune_lab.analysis.contrasts import contrast
from randprune_lab.analysis.recorded import RESULTS, parse_table, read_table, write_settings, write_tables
from randprune_lab.analysis.shipped import data_folder
from randprune_lab.analysis.task_record import TaskRecord
from randprune_lab.cli import main
from randprune_lab.errors import ConfigError, DataError, FileError, LockedError, RandpruneError, RunError, WorkerError
from randprune_lab.masks.scope import prunable
from randprune_lab.sealed import write_arrays, write_sealed
from randprune_lab.search.config import RunConfig
from randprune_lab.search.folder import RunFolder
from randprune_lab.search.journal import JOURNAL, read_journal
from randprune_lab.search.loaded import Loaded
from randprune_lab.search.recorded_config import FORMAT
from randprune_lab.search.run_files import PREDICTIONS, load_predictions, predictions_path
from randprune_lab.stats.intervals import mean_interval
from randprune_lab.stats.tasks import over_tasks
from randprune_lab.study import (
    Grid,
    StudyConfig,
    controls,
    describe_status,
    record_study,
    recorded_units,
    recording,
    run_study,
    verify_winners,
    write_results,
)
from randprune_lab.study import run as working
from randprune_lab.study.config import CONTROLS
from randprune_lab.study.controls import BARE, linear_words, majority, measure_controls, without_blocks
from randprune_lab.study.grid import Unit, planned_steps
from randprune_lab.study.recording import check_recorded, without_paths
from randprune_lab.study.table import study_controls, study_results
from randprune_lab.study.verify import read_test_set
from randprune_lab.study.watch import Watch
from randprune_lab.training.scoring import predict

SETTINGS = {
    "model": "tiny",
    "train_size": 96,
    "validation_size": 40,
    "test_size": 60,
    "levels": [0.9, 0.97],
    "dense_epochs": 2,
    "dense_learning_rate": 1e-3,
    "learning_rate": 5e-4,
    "epochs": 1,
    "candidates": 2,
    "evaluate_every": 2,
    "early_last": 2,
}
METHODS = {
    "search": {},
    "imp": {"rule": "magnitude", "candidates": 1, "epochs": 3},
    "wanda": {"rule": "magnitude", "candidates": 1, "criterion": "wanda"},
}
TASKS, SEEDS = ("mini-sst2", "mini-stsb"), (0, 1)


@pytest.fixture(scope="module")
def config() -> StudyConfig:
    return StudyConfig(TASKS, SEEDS, METHODS, SETTINGS)


@pytest.fixture(scope="module")
def grid(config, tmp_path_factory) -> Grid:
    """A finished study, done by two processes; tests only read or copy it."""
    path = tmp_path_factory.mktemp("study") / "whole"
    assert run_study(config, path, jobs=2) == []
    return Grid.load(path)


@pytest.fixture
def copy(grid, tmp_path) -> Grid:
    shutil.copytree(grid.path, tmp_path / "copy")
    return Grid.load(tmp_path / "copy")


# --- the grid ---


def test_units_are_ordered_by_seed_and_start_with_the_controls(config):
    units = Grid(config, Path("nowhere")).units
    assert len(units) == len(set(units)) == len(TASKS) * len(SEEDS) * (1 + len(METHODS))
    assert [unit.seed for unit in units] == sorted(unit.seed for unit in units)
    half = len(units) // 2
    assert [unit.method for unit in units[:half]] == [*(CONTROLS for _ in TASKS), *(m for _ in TASKS for m in METHODS)]
    places = [unit[1:] for unit in units[len(TASKS) : half]]
    assert places == sorted(places, key=lambda place: TASKS.index(place[0])), "one task after the other"
    assert {unit[1:] for unit in units[: len(TASKS)]} == {(task, 0) for task in TASKS}


def test_sums_over_the_dense_training_are_taken_from_another_method_that_has_them(tmp_path):
    summed = {"rule": "magnitude", "candidates": 1, "criterion": "movement"}
    parts = summed | {"include": ["*.attention.*"]}
    methods = METHODS | {"movement": summed, "global": summed | {"allocation": "global"}, "parts": parts}
    grid = Grid(StudyConfig(TASKS, SEEDS, methods, SETTINGS), tmp_path)
    unit = Unit("movement", "mini-sst2", 1)
    controls = grid.folder(grid.controls_of(unit))
    assert grid.dense_of(unit) == grid.dense_of(unit._replace(method="global")) == controls
    grid.folder(unit).mkdir(parents=True)
    dense = {"score": 0.5, "scores": [0.5], "steps": [2], "losses": [0.7], "total_steps": 2, "weights_sha256": "1"}
    write_units(grid.folder(unit), {"dense": dense})
    assert grid.dense_of(unit._replace(method="global")) == controls
    write_units(grid.folder(unit), {"dense": dense | {"scores_sha256": "2"}})
    assert grid.dense_of(unit._replace(method="global")) == grid.folder(unit)
    assert grid.dense_of(unit._replace(method="parts")) == grid.dense_of(unit._replace(method="imp")) == controls
    assert grid.dense_of(unit._replace(seed=0)).parent == grid.folder(unit._replace(seed=0)).parent
    assert grid.dense_of(grid.controls_of(unit)) is None


def test_every_unit_is_done_and_has_the_results_of_a_separate_run(grid, tmp_path):
    assert {grid.progress(unit).state for unit in grid.units} == {"done"}
    unit = Unit("search", "mini-sst2", 1)
    separate = rp.run(grid.run_config(unit), tmp_path / "separate", progress=False)
    ours, theirs = (rp.RunRecord.load(path).units for path in (grid.folder(unit), separate))
    assert ours == theirs  # including the dense model, which the unit copied from the controls


def test_a_stopped_study_continues_to_the_same_results(grid, copy):
    stopped = [Unit("imp", "mini-stsb", 0), Unit(CONTROLS, "mini-sst2", 1), Unit("search", "mini-sst2", 1)]
    for unit in stopped:  # in the middle, so that a part of each is there
        journal = copy.folder(unit) / "journal.jsonl"
        lines = journal.read_text().splitlines(keepends=True)
        journal.write_text("".join(lines[: len(lines) // 2]))
        assert copy.progress(unit).state == "begun"
    assert run_study(copy.config, copy.path, resume=True) == []
    pd.testing.assert_frame_equal(study_results(copy), study_results(grid))
    assert study_controls(copy).equals(study_controls(grid))


def test_units_of_another_process_are_not_taken(copy, monkeypatch):
    busy, other = Unit("imp", "mini-stsb", 0), Unit("imp", "mini-sst2", 1)
    for unit in (busy, other):
        shutil.rmtree(copy.folder(unit))
    lock = RunFolder.open(copy.folder(busy), copy.run_config(busy))
    assert copy.progress(busy).state == "running" and "running 0/2" in describe_status(copy)

    def other_process_ends(seconds):
        assert copy.progress(other).state == "done"
        lock.__exit__()

    monkeypatch.setattr(working.time, "sleep", other_process_ends)
    assert run_study(copy.config, copy.path, resume=True) == []
    assert copy.progress(busy).state == "done"  # the other process left it unfinished, so it was taken over


def test_the_bar_of_a_study_shows_the_work_of_all_its_units(config, grid, copy, tmp_path):
    total, left, counted = Watch(grid).look()
    assert (left, counted) == (0, f"{len(grid.units)} of {len(grid.units)} units")
    journal = copy.folder(Unit("search", "mini-sst2", 1)) / JOURNAL
    lines = journal.read_text().splitlines(keepends=True)
    lefts = []
    for kept in (len(lines) // 2, 2, 0):  # a half done unit counts with what it has
        journal.write_text("".join(lines[:kept]))
        found, left, counted = Watch(copy).look()
        assert found == total and counted.startswith(f"{len(grid.units) - 1} of ")
        lefts.append(left)
    assert 0 < lefts[0] < lefts[1] == lefts[2] < total / 8  # the dense model is that of the controls
    total, left, counted = Watch(Grid(config, tmp_path / "new")).look()
    assert left == total and counted.startswith("0 of ")


ORPHAN = """
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from randprune_lab.study.run import _begin

def work(_):
    print("working", flush=True)
    time.sleep(60)
    print("still working", flush=True)

if __name__ == "__main__":
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_begin, initargs=([], False)) as pool:
        list(pool.map(work, [0]))
"""


def test_the_processes_of_a_study_exit_with_their_parent(tmp_path):
    (tmp_path / "parent.py").write_text(ORPHAN)
    parent = subprocess.Popen([sys.executable, tmp_path / "parent.py"], stdout=subprocess.PIPE, text=True)
    assert parent.stdout.readline() == "working\n"
    parent.kill()
    assert parent.stdout.readline() == ""  # the end of the file: no process is left that could write
    parent.wait()


@pytest.mark.parametrize("before", [None, "3"])
@pytest.mark.parametrize("end", [None, BrokenProcessPool()], ids=["done", "killed"])
def test_the_processes_divide_the_cores_and_the_caller_keeps_all(config, tmp_path, monkeypatch, before, end):
    seen = []

    class Pool(ThreadPoolExecutor):
        def __init__(self, *_: object, **__: object):
            super().__init__()

        def submit(self, *_: object) -> Future:
            seen.append(os.environ.get(working.THREADS))
            work = Future()
            work.set_exception(end) if end else work.set_result([])
            return work

    monkeypatch.setattr(working, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(working, "cores", lambda: 12)
    monkeypatch.delenv(working.THREADS, raising=False)
    if before:
        monkeypatch.setenv(working.THREADS, before)
    with pytest.raises(WorkerError) if end else nullcontext():
        run_study(config, tmp_path / "study", jobs=2, progress=False)
    assert seen == [before or "6"] * 2 and os.environ.get(working.THREADS) == before


def test_a_unit_that_another_process_took_first_is_not_a_failure(copy, monkeypatch):
    unit = Unit("imp", "mini-stsb", 0)
    shutil.rmtree(copy.folder(unit))
    calls = []

    def locked_once(*args, **kwargs):
        calls.append(args)
        if len(calls) == 1:
            raise LockedError("another process is working")
        return rp.run(*args, **kwargs)

    monkeypatch.setattr(working, "run", locked_once)
    assert run_study(copy.config, copy.path, resume=True) == [] and len(calls) == 2


def test_a_unit_that_another_process_is_beginning_is_locked(copy):
    """At that moment its folder has only an empty journal and temporary files."""
    unit = Unit("imp", "mini-stsb", 0)
    shutil.rmtree(copy.folder(unit))
    lock = RunFolder.open(copy.folder(unit), copy.run_config(unit))
    for path in copy.folder(unit).iterdir():
        if path.name != JOURNAL:
            path.rename(path.with_name(f".{path.name}.1.tmp"))
    with pytest.raises(LockedError):
        rp.run(copy.run_config(unit), copy.folder(unit), resume=True, progress=False)
    lock.__exit__()


def test_the_journal_of_a_finished_unit_is_read_again_only_if_it_changed(copy, monkeypatch):
    read, before = [], copy.states()
    monkeypatch.setattr("randprune_lab.study.grid.read_journal", lambda path: read.append(path) or read_journal(path))
    assert copy.states() == before and not read
    journal = copy.folder(unit := copy.units[-1]) / JOURNAL
    journal.write_text(journal.read_text("utf-8").rpartition('{"unit": "model"')[0], "utf-8")
    assert copy.progress(unit).state == "begun" and read == [copy.folder(unit)]
    shutil.rmtree(copy.folder(unit))
    assert copy.progress(unit).state == "waiting"


def test_a_failed_unit_does_not_stop_the_others(config, tmp_path, caplog):
    broken = StudyConfig(TASKS[:1], (0,), {**METHODS, "broken": {"learning_rate": 1e30}}, SETTINGS)
    failed = run_study(broken, tmp_path / "study")
    assert failed == [Unit("broken", "mini-sst2", 0)] and "lower early_rate" in caplog.text
    grid = Grid.load(tmp_path / "study")
    assert {unit.method for unit in grid.finished()} == {CONTROLS, *METHODS}
    assert set(study_results(grid).method) == {"dense", *METHODS}


def test_an_error_of_a_library_stops_only_its_unit(tmp_path, caplog, monkeypatch):
    def measured(loaded):
        if loaded.config.task == "mini-stsb":
            raise UnboundLocalError("output_states")
        return measure_controls(loaded)

    monkeypatch.setattr(working, "measure_controls", measured)
    study = StudyConfig(TASKS, (0,), {"imp": {}}, {**SETTINGS, "candidates": 1})
    assert run_study(study, tmp_path / "study") == [Unit(CONTROLS, "mini-stsb", 0)]
    assert "controls mini-stsb seed 0 failed" in caplog.text and "output_states" in caplog.text
    assert Grid.load(tmp_path / "study").progress(Unit("imp", "mini-sst2", 0)).state == "done"


def test_without_its_controls_no_unit_of_a_task_and_seed_is_begun(config, tmp_path):
    wrong = StudyConfig(TASKS, (0,), {"imp": {}}, SETTINGS, {"mini-stsb": {"dense_learning_rate": 1e30}})
    assert run_study(wrong, tmp_path / "study") == [Unit(CONTROLS, "mini-stsb", 0)]
    assert Grid.load(tmp_path / "study").progress(Unit("imp", "mini-stsb", 0)).state == "waiting"


@pytest.mark.parametrize(
    ("settings", "by_task", "message"),
    [
        ({"none": {"include": ["*.nothing"]}}, {}, "none mini-sst2 seed 0 cannot be done: pattern"),
        ({"cut": {"structure": "7x5"}}, {}, "cut mini-sst2 seed 0 cannot be done: .* blocks of 7 x 5"),
        ({"kinds": {"types": ["convolution"]}}, {}, "kinds mini-sst2 seed 0 cannot be done: nothing to prune"),
        (
            {"short": {"early_strategy": "halving", "early_budget": 0.01}},
            {},
            "short mini-sst2 seed 0 cannot be done: a budget of 0.01",
        ),
        ({}, {"mini-stsb": {"test_size": 10**6}}, "controls mini-stsb seed 0 cannot be done: test_size must be at"),
        ({}, {"mini-stsb": {"model": "missing/model"}}, "controls mini-stsb seed 0 cannot be done: .*missing/model"),
        ({}, {"own": {"data": "missing.csv"}}, "controls own seed 0 cannot be done: .*missing.csv"),
    ],
    ids=["pattern", "blocks", "kinds", "budget", "size", "model", "data"],
)
def test_a_unit_that_cannot_be_done_is_found_before_the_first_one(tmp_path, monkeypatch, settings, by_task, message):
    monkeypatch.setattr(working, "_work", lambda *_: pytest.fail("a unit was begun"))
    config = StudyConfig((TASKS[0], *by_task), (0,), {"imp": {}, **settings}, SETTINGS, by_task)
    with pytest.raises(RandpruneError, match=message):
        run_study(config, tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_the_steps_of_each_method_are_told_before_the_first_unit(config, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(working, "_work", lambda *_: [])
    with caplog.at_level("INFO", "randprune_lab"):
        run_study(config, tmp_path / "study")
    assert "imp: 4 units, at most 72 training steps after the dense model" in caplog.text  # 3 epochs at 2 levels


def test_what_is_done_is_not_checked_again(copy, monkeypatch):
    monkeypatch.setattr("randprune_lab.study.check.Loaded", lambda *_: pytest.fail("something was loaded"))
    assert run_study(copy.config, copy.path, resume=True) == []


def test_a_study_may_grow_and_its_old_units_are_not_done_again(copy):
    before = {unit: copy.journal(unit) for unit in copy.units}
    grown = StudyConfig(TASKS, SEEDS, {**METHODS, "uniform": {"rule": "uniform", "candidates": 1}}, SETTINGS)
    assert run_study(grown, copy.path, resume=True) == []
    grid = Grid.load(copy.path)
    assert set(grid.units) - set(copy.units) == {Unit("uniform", task, seed) for task in TASKS for seed in SEEDS}
    assert {grid.progress(unit).state for unit in grid.units} == {"done"}
    assert all(grid.journal(unit) == units for unit, units in before.items())
    for changed in (copy.config, StudyConfig(TASKS[::-1], SEEDS, grown.methods, SETTINGS)):
        with pytest.raises(RunError, match="may only grow at the end"):
            Grid.open(changed, copy.path, resume=True)


# --- controls ---


def test_controls_follow_their_definitions(grid):
    splits = rp.load_splits("mini-sst2", train_size=96)
    test = splits.test.select(range(60))
    table = study_controls(grid).set_index(["task", "seed"])
    row = table.loc["mini-sst2", 0]
    labels = np.asarray(test["label"])
    assert row.majority == majority(splits.task, splits.train, test) == np.mean(labels == 0)
    words = [linear_words(splits.task, splits.train, splits.validation, test, compared=c) for c in (False, True)]
    assert row.words == max(words)[1]
    record = rp.RunRecord.load(grid.folder(Unit(CONTROLS, "mini-sst2", 0)))
    assert row.dense == record.score("dense").estimate
    assert row[BARE] == pytest.approx(record.score(BARE).estimate)
    assert row.encoder == pytest.approx(row.dense - row[BARE])
    assert record.config.levels == (0.97,) and record.level(1).recipe["rule"]["rule"] == "magnitude"


@pytest.mark.parametrize("task", TASKS)
def test_a_learning_rate_without_finite_answers_is_not_chosen(task, monkeypatch):
    loaded = Loaded(StudyConfig((task,), (0,), METHODS, SETTINGS).run_config(CONTROLS, task, 0))
    whole, made = controls.without_blocks, []

    def diverged(model: nn.Module) -> nn.Module:
        made.append(whole(model))
        if len(made) in spoiled:
            nn.init.constant_(made[-1].classifier.bias, np.nan)
        return made[-1]

    spoiled = {1, 3}
    monkeypatch.setattr(controls, "without_blocks", diverged)
    scores, logits = measure_controls(loaded)
    assert np.isfinite(logits).all() and np.isfinite(scores[BARE])
    assert np.array_equal(logits, predict(made[1], loaded.tests[""]))
    made.clear()
    spoiled = {1, 2, 3}
    message = r"without encoder has finite answers with none .*, 0\.001, 0\.003, 0\.01; lower dense_learning_rate"
    with pytest.raises(RunError, match=message) as none:
        measure_controls(loaded)
    assert isinstance(none.value.__cause__, DataError) == loaded.task.regression, "what stopped them is not lost"


def test_a_task_is_included_if_the_first_seed_shows_a_benefit_of_the_encoder(copy):
    """The answers without encoder are replaced by those of the dense model, so the encoder has no benefit."""
    before = study_controls(copy)
    for task, seed in (("mini-sst2", 0), ("mini-stsb", 1)):
        predictions = copy.folder(Unit(CONTROLS, task, seed)) / "predictions"
        shutil.copy(predictions / "test-dense.safetensors", predictions / f"test-{BARE}.safetensors")
    after = study_controls(copy).set_index(["task", "seed"])
    assert not after.loc["mini-sst2"].included.any()
    assert after.loc["mini-stsb"].included.tolist() == before[before.task == "mini-stsb"].included.tolist()


def test_without_blocks_all_other_parameters_remain():
    model, _ = rp.load_model("tiny", num_labels=2)
    before = {name for name, _ in model.named_parameters()}
    bare = without_blocks(model)
    remaining = {name for name, _ in bare.named_parameters()}
    assert remaining == {name for name in before if ".layer." not in name}
    assert before == dict(model.named_parameters()).keys()

    class Nested(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList([nn.ModuleList([nn.Linear(2, 2)]), nn.Linear(2, 2)])
            self.head = nn.Linear(2, 2)

    assert [name for name, _ in without_blocks(Nested()).named_parameters()] == ["head.weight", "head.bias"]


@pytest.mark.parametrize("kind", ["Bert", "Albert", "DebertaV2"])
def test_without_blocks_the_states_are_those_of_the_embeddings(kind):
    """ALBERT goes several times through its blocks, and the encoder of DeBERTa returns what its last block returns."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = getattr(transformers, f"{kind}Config")(vocab_size=50, embedding_size=16, num_labels=2, **sizes)
    model = getattr(transformers, f"{kind}ForSequenceClassification")(config).eval()
    bare = without_blocks(model)
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        found = bare.base_model(input_ids=ids).last_hidden_state
        expected = bare.base_model.embeddings(input_ids=ids)
        if kind == "Albert":
            expected = bare.base_model.encoder.embedding_hidden_mapping_in(expected)
        assert torch.equal(found, expected) and bare(input_ids=ids).logits.shape == (1, 2)
        assert not torch.equal(model.base_model(input_ids=ids).last_hidden_state, expected)


# --- tables ---


def test_the_table_has_the_results_of_the_runs(grid):
    table = study_results(grid)
    assert len(table) == len(TASKS) * len(SEEDS) * (1 + len(METHODS) * 2)
    assert not table.duplicated(["task", "seed", "method", "sparsity"]).any()
    assert table.method.unique().tolist() == ["dense", *METHODS] and table.task.unique().tolist() == list(TASKS)
    keyed = table.set_index(["task", "seed", "method", "sparsity"])
    for task, seed, method in product(TASKS, SEEDS, METHODS):
        record = rp.RunRecord.load(grid.folder(Unit(method, task, seed)))
        row = keyed.loc[task, seed, method, 0.97]
        assert row.score == record.score(record.last).estimate
        assert row.validation == record.units[record.last]["score"]
        assert row.difference == pytest.approx(row.score - keyed.loc[task, seed, "imp", 0.97].score)
        assert row.steps == planned_steps(record.config, 96)
    assert (table[table.method == "imp"].difference == 0).all()


def test_imp_has_the_steps_of_the_search(grid):
    steps = study_results(grid).groupby(["method", "sparsity"]).steps.unique().map(list)
    assert steps["imp"].tolist() == steps["search"].tolist() != steps["wanda"].tolist()


def test_contrasts_are_paired_by_task_and_seed_and_averaged_over_tasks(grid):
    table = study_results(grid)
    level = table[table.sparsity == 0.97].set_index(["task", "seed", "method"]).score.unstack()
    intervals = contrast(table, "search", "wanda", 0.97)
    paired = {task: (level.search - level.wanda)[task].tolist() for task in TASKS}
    assert {task: intervals[task] for task in TASKS} == {task: mean_interval(values) for task, values in paired.items()}
    assert intervals["all tasks"] == over_tasks(paired)
    assert contrast(table, "search", "nobody", 0.97) == {}


def test_a_recorded_study_is_small_and_has_the_same_results(grid, tmp_path):
    written = record_study(grid, tmp_path / "recorded")
    assert sum(path.stat().st_size for path in written) < 200_000
    table = study_results(grid).set_index(["task", "seed", "method", "sparsity"])
    for task, seed in product(TASKS, SEEDS):
        runs = TaskRecord.load(tmp_path / "recorded" / f"{task}-seed-{seed}.safetensors")
        assert runs.methods == list(METHODS)
        for method, sparsity in product(METHODS, runs.levels):
            row = table.loc[task, seed, method, sparsity]
            assert runs.score(method, sparsity).estimate == row.score
            assert runs.difference(method, "imp", sparsity).estimate == row.difference
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "recorded" / "results.csv"), study_results(grid), check_dtype=False, atol=1e-6
    )


def test_a_study_in_pieces_has_the_same_record_as_a_whole_one(grid, copy, tmp_path, caplog):
    """On machines that share no folder, recorded units are neither done again nor lost."""
    late = [Unit("search", "mini-sst2", 0), *(unit for unit in copy.units if unit.seed == 1)]
    early = [unit for unit in copy.units if unit not in late]
    for unit in late:
        shutil.rmtree(copy.folder(unit))
    pieces, whole = tmp_path / "pieces", tmp_path / "whole"
    record_study(copy, pieces)
    assert recorded_units(pieces) == {unit for unit in early if unit.method != CONTROLS}

    elsewhere = Grid(grid.config, tmp_path / "elsewhere", recorded_units(pieces))
    assert run_study(grid.config, elsewhere.path, recorded=pieces) == []
    again = {Unit(CONTROLS, "mini-sst2", 0)}  # whose dense model an unfinished unit needs
    assert set(elsewhere.finished()) == set(late) | again
    assert "recorded | recorded" in describe_status(elsewhere)
    assert "16 of 16 units" in describe_status(elsewhere)
    record_study(elsewhere, pieces)
    record_study(grid, whole)
    assert "the dense model answers otherwise" not in caplog.text
    assert sorted(path.name for path in pieces.iterdir()) == sorted(path.name for path in whole.iterdir())
    for name in ("results", "controls"):
        ours, theirs = (pd.read_csv(folder / f"{name}.csv") for folder in (pieces, whole))
        pd.testing.assert_frame_equal(ours, theirs)
    for path in whole.glob("*.safetensors"):
        ours, theirs = TaskRecord.load(pieces / path.name), TaskRecord.load(path)
        assert ours.recipes == theirs.recipes and ours.candidates == theirs.candidates
        for method, sparsity in product(METHODS, theirs.levels):
            assert ours.difference(method, "imp", sparsity) == theirs.difference(method, "imp", sparsity)


def test_two_processes_that_record_at_the_same_time_lose_nothing(grid, tmp_path, monkeypatch):
    halves, record, write = [], tmp_path / "record", recording.write_tables
    for seed in SEEDS:
        halves.append(Grid.load(shutil.copytree(grid.path, tmp_path / f"seed-{seed}")))
        for unit in grid.units:
            if unit.seed != seed:
                shutil.rmtree(halves[-1].folder(unit))
    other = Thread(target=record_study, args=(halves[1], record))

    def meanwhile(*tables):
        monkeypatch.setattr(recording, "write_tables", write)
        other.start()
        other.join(0.5)
        return write(*tables)

    monkeypatch.setattr(recording, "write_tables", meanwhile)
    record_study(halves[0], record)
    other.join()
    assert recorded_units(record) == {unit for unit in grid.units if unit.method != CONTROLS}
    assert not (record / ".lock").exists()


def test_a_lost_file_of_a_record_is_named_before_the_work_and_done_again(grid, copy, tmp_path):
    record, file = tmp_path / "record", "mini-stsb-seed-1.safetensors"
    record_study(grid, record)
    whole = {path.name: path.read_bytes() for path in record.iterdir()}
    (record / "controls.csv").write_bytes(whole["controls.csv"][:-9])
    with pytest.raises(FileError, match=r"controls\.csv"):
        check_recorded(grid, record)
    (record / "controls.csv").write_bytes(whole["controls.csv"])
    (record / file).write_bytes(whole[file][:-9])
    with pytest.raises(FileError, match=rf"{file} is damaged .* delete it, and what it had is done again"):
        run_study(grid.config, tmp_path / "elsewhere", recorded=record)
    assert not (tmp_path / "elsewhere").exists()
    (record / file).unlink()
    lost = {Unit(method, "mini-stsb", 1) for method in METHODS}
    assert {unit for unit in grid.units if unit.method != CONTROLS} - recorded_units(record) == lost
    record_study(copy, record)
    assert {path.name: path.read_bytes() for path in record.iterdir()} == whole


def test_a_baseline_that_is_recorded_again_gives_all_methods_new_differences(grid, copy, tmp_path):
    """As by another machine, which rounds differently and did not do the other methods."""
    record_study(grid, tmp_path)
    for unit in copy.units:
        if unit.method not in (CONTROLS, "imp"):
            shutil.rmtree(copy.folder(unit))
    run = copy.folder(Unit("imp", "mini-sst2", 0))
    logits, labels = load_predictions(run, "test-imp-level-2")
    path = predictions_path(run, "test-imp-level-2")
    write_arrays(path, PREDICTIONS, FORMAT, {"logits": -logits, "labels": labels}, {})
    record_study(copy, tmp_path)
    table = read_table(tmp_path / "results.csv", RESULTS)
    table = table[table.sparsity == 0.97].set_index(["task", "seed", "method"])
    for task, seed, method in product(TASKS, SEEDS, METHODS):
        row = table.loc[task, seed, method]
        assert row.difference == pytest.approx(row.score - table.loc[task, seed, "imp"].score, abs=2e-6)


@pytest.mark.parametrize("method", ["None", "NA", "null", "nan", "1e5", "True"])
def test_a_method_with_any_name_is_found_among_the_recorded_ones(grid, tmp_path, method):
    row = {"task": "mini-sst2", "seed": 0, "method": method, "sparsity": 0.5, "steps": 1, "metric": "accuracy"}
    table = pd.DataFrame([row, {**row, "method": "imp"}], columns=[*recorded.RESULTS])
    write_tables(tmp_path, grid.config.to_dict(), {"results.csv": table})
    (tmp_path / "mini-sst2-seed-0.safetensors").touch()
    assert recorded_units(tmp_path) == {Unit(name, "mini-sst2", 0) for name in (method, "imp")}


def test_a_first_seed_that_was_recorded_before_decides_which_tasks_are_included(grid, copy, tmp_path):
    record_study(grid, tmp_path / "recorded")
    path = tmp_path / "recorded" / "controls.csv"
    table = read_table(path, recorded.CONTROLS)
    table["encoder_low"] = [
        0.1 if (task, seed) == ("mini-stsb", 0) else -0.1 for task, seed in zip(table.task, table.seed, strict=True)
    ]
    write_tables(path.parent, grid.config.to_dict(), {path.name: table, "results.csv": study_results(grid)})
    for unit in copy.units:
        if unit.seed == 0:
            shutil.rmtree(copy.folder(unit), ignore_errors=True)
    record_study(copy, tmp_path / "recorded")
    after = pd.read_csv(path).set_index(["task", "seed"]).included
    assert after["mini-stsb"].all() and not after["mini-sst2"].any() and set(after.index.levels[1]) == set(SEEDS)


def test_it_is_unknown_whether_a_task_is_included_while_the_first_seed_is_missing(grid, copy, tmp_path):
    """As on a machine that does other seeds; the record knows it."""
    record_study(grid, tmp_path)
    shutil.rmtree(copy.folder(Unit(CONTROLS, TASKS[0], 0)).parent)
    write_results(copy)
    alone = read_table_of_controls(copy.path)
    assert alone.included[alone.task == TASKS[0]].isna().all()
    assert alone.included[alone.task == TASKS[1]].notna().all()
    write_results(copy, tmp_path)
    whole = read_table_of_controls(copy.path)
    pd.testing.assert_frame_equal(whole, read_table(tmp_path / "controls.csv", recorded.CONTROLS))


def read_table_of_controls(folder: Path) -> pd.DataFrame:
    return parse_table((folder / "controls.csv").read_bytes(), recorded.CONTROLS)


def test_records_of_another_study_are_refused(grid, tmp_path):
    record_study(grid, tmp_path / "recorded")
    other = StudyConfig(TASKS, SEEDS, METHODS, {**SETTINGS, "epochs": 2})
    with pytest.raises(RunError, match="settings were"):
        run_study(other, tmp_path / "other", recorded=tmp_path / "recorded")
    assert not (tmp_path / "other").exists()
    moved = StudyConfig(TASKS, SEEDS, METHODS, {**SETTINGS, "glue_dir": str(tmp_path)})  # the same study elsewhere
    assert run_study(moved, tmp_path / "nothing", recorded=tmp_path / "recorded") == []
    assert not (tmp_path / "nothing" / "runs").exists()


# --- winners ---


def test_transformers_alone_gives_the_winners_the_recorded_scores(grid):
    verified = verify_winners(grid)
    assert len(verified) == len(TASKS) * len(SEEDS) * len(METHODS)
    assert np.allclose(verified.again, verified.recorded, atol=1e-6)
    for row in verified.itertuples():
        recipe = rp.RunRecord.load(grid.folder(Unit(row.method, row.task, row.seed))).level(2).recipe
        assert row.sparsity == recipe["sparsity"] == 0.97
    assert verified.zeros.nunique() == 1 and abs(verified.zeros[0] - 0.97) < 1e-4


def test_a_winner_that_was_changed_after_the_study_is_detected(copy):
    from safetensors.torch import load_file, save_file

    before = verify_winners(copy).set_index(["method", "task", "seed"])
    unit = Unit("imp", "mini-sst2", 0)
    path = copy.folder(unit) / "model" / "model.safetensors"
    weights = load_file(path)
    name = next(name for name in weights if "query.weight" in name)
    kept = weights[name] != 0
    weights[name][:] = 0
    weights["classifier.weight"] *= -1
    save_file(weights, path, {"format": "pt"})
    row = verify_winners(copy).set_index(["method", "task", "seed"]).loc[unit]
    total = sum(weight.numel() for weight in prunable(rp.load_model("tiny", num_labels=2)[0]).values())
    assert row.zeros * total == pytest.approx(before.loc[unit].zeros * total + int(kept.sum()))
    assert abs(row.again - row.recorded) > 0.01 and row.finding == "another score"
    weights[name] += 1.0
    save_file(weights, path, {"format": "pt"})
    found = verify_winners(copy).set_index(["method", "task", "seed"]).finding
    assert found[unit].startswith("too few zeros") and not found.drop(unit).any() and not before.finding.any()
    assert main(["study", "--out", str(copy.path), "--verify"]) == 1


def test_a_winner_without_parts_is_checked_against_its_mask(tmp_path):
    """Heads and neurons are removed whole, so that there may be fewer zeros than the sparsity of the settings."""
    methods = {"imp": {"rule": "magnitude", "structure": "heads"}, "neurons": {"structure": "neurons"}}
    settings = {**SETTINGS, "levels": [0.5], "candidates": 1, "dense_epochs": 1}
    assert run_study(StudyConfig(TASKS[:1], (0,), methods, settings), tmp_path / "study") == []
    verified = verify_winners(Grid.load(tmp_path / "study"))
    assert not verified.finding.any() and verified.zeros.min() < 0.5


@pytest.mark.parametrize(
    "file", ["model/model.safetensors", "model/config.json", "predictions/test-imp-level-2.safetensors"]
)
@pytest.mark.parametrize("size", [None, 50], ids=["missing", "truncated"])
def test_a_winner_that_cannot_be_loaded_is_a_finding(copy, file, size):
    unit = Unit("imp", "mini-sst2", 0)
    path = copy.folder(unit) / file
    content = path.read_bytes()
    path.unlink()
    if size:
        path.write_bytes(content[:size])
    found = verify_winners(copy).set_index(["method", "task", "seed"]).finding
    assert found[unit].startswith("cannot be loaded: ")
    assert found[unit].endswith(f"; delete {copy.folder(unit)}, then --resume does imp mini-sst2 seed 0 again")
    assert not found.drop(unit).any()


def test_a_record_is_no_study_to_work_in(grid, tmp_path):
    """Its tables would be replaced by those of the study, without the units of other machines."""
    record_study(grid, tmp_path / "recorded")
    before = {path.name: path.read_bytes() for path in (tmp_path / "recorded").iterdir()}
    for refused in (
        lambda: Grid.load(tmp_path / "recorded"),
        lambda: run_study(grid.config, tmp_path / "recorded", resume=True),
    ):
        with pytest.raises(RunError, match=r"holds the record of a study, .* give it as --record"):
            refused()
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "recorded").iterdir()}
    for refused in (
        lambda: run_study(grid.config, tmp_path / "new", recorded=tmp_path / "new"),
        lambda: record_study(grid, grid.path / "runs" / ".."),
    ):
        with pytest.raises(RunError, match="cannot be the folder of the study and of its record"):
            refused()
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="file is a file, and a record is a folder"):
        run_study(grid.config, tmp_path / "new", recorded=tmp_path / "file")
    assert not (tmp_path / "new").exists()


def test_a_sparsity_with_many_digits_is_the_same_in_a_record():
    table = pd.DataFrame({"sparsity": [0.9921875, 2 / 3, 0.0], "score": [0.123456789] * 3})
    lines = recorded._csv(table).decode().splitlines()
    assert [float(line.split(",")[0]) for line in lines[1:]] == table.sparsity.tolist()
    assert lines[1] == "0.9921875,0.123457"


def test_a_small_p_value_is_not_zero_in_a_table():
    table = pd.DataFrame({"p": [3e-9, 0.2, np.nan], "holm": [1.0, 0.0123456789, np.nan]})
    assert recorded._csv(table).decode().splitlines()[1:] == ["3e-09,1", "0.2,0.0123457", ","]


# --- the command ---


def test_the_command_runs_a_study_and_writes_its_tables(config, tmp_path, capsys):
    """Here of custom data, whose path is relative to the file of the study."""
    file, out, record = tmp_path / "small.yaml", tmp_path / "study", tmp_path / "recorded"
    rows = rp.load_splits("mini-sst2", train_size=200).train.to_pandas().rename(columns={"label": "mood"})
    rows.to_csv(tmp_path / "all.csv", index=False)
    reviews = {"data": "all.csv", "text_columns": ["sentence"], "label_column": "mood", "metric": "f1"}
    study = {"tasks": {"reviews": reviews}, "seeds": [3], "settings": SETTINGS, "methods": {"imp": None}}
    file.write_text(yaml.safe_dump({**study, "settings": {**SETTINGS, "test_size": 30, "validation_size": 30}}))
    assert main(["study", str(file), "--out", str(out), "--record", str(record)]) == 0
    printed = capsys.readouterr().out
    assert "| 3 | reviews | done | done |" in printed and "2 of 2 units" in printed
    table = pd.read_csv(record / "results.csv")
    assert set(table.task) == {"reviews"} and set(table.metric) == {"f1"}
    assert TaskRecord.load(record / "reviews-seed-3.safetensors").score("dense").estimate == pytest.approx(
        table.score[0], abs=1e-6
    )
    assert not any(str(tmp_path).encode() in path.read_bytes() for path in record.iterdir())
    assert main(["study", str(file), "--out", str(tmp_path / "done"), "--record", str(record)]) == 0
    assert "2 of 2 units" in capsys.readouterr().out  # all recorded
    for name in ("results", "controls"):
        table, parquet = pd.read_csv(out / f"{name}.csv"), pd.read_parquet(out / f"{name}.parquet")
        pd.testing.assert_frame_equal(table, parquet, check_exact=False, atol=1e-6, check_dtype=False)
    assert main(["study", str(file), "--out", str(out)]) == 2
    assert "exists already; go on with --resume" in capsys.readouterr().err
    before = (out / "results.csv").read_bytes()
    assert main(["study", str(file), "--out", str(out), "--resume"]) == 0
    assert (out / "results.csv").read_bytes() == before
    file.write_text(file.read_text().replace("0.97", "0.98"))
    assert main(["study", str(file), "--out", str(out), "--resume"]) == 2
    assert "settings were" in capsys.readouterr().err
    (tmp_path / "all.csv").unlink()
    assert main(["study", "--out", str(out), "--verify"]) == 2  # missing data are no fault of a winner
    assert "all.csv" in capsys.readouterr().err


def test_the_status_of_an_unfinished_study_shows_the_remaining_units(copy, capsys):
    shutil.rmtree(copy.folder(Unit("search", "mini-stsb", 1)))
    assert main(["study", "--out", str(copy.path), "--status"]) == 0
    printed = capsys.readouterr().out
    assert "| 1 | mini-stsb | done | - | done | done |" in printed and "15 of 16 units, about" in printed


@pytest.mark.parametrize("what", ["--status", "--verify"])
def test_the_status_of_another_study_is_refused(copy, capsys, what):
    assert main(["study", "laptop", "--out", str(copy.path), what]) == 2
    assert f"{copy.path} has another study: " in capsys.readouterr().err


def test_the_status_with_a_wrong_record_changes_and_shows_nothing(copy, capsys, tmp_path):
    """Units of another study are not recorded ones, and a study's own folder would become a record."""
    shutil.rmtree(copy.folder(Unit("imp", "mini-sst2", 0)))
    record_study(copy, tmp_path / "other")
    before = (copy.path / "study.json").read_bytes()
    other = {**copy.config.to_dict(), "settings": {**SETTINGS, "epochs": 9}}
    tables = recorded.read_settings(tmp_path / "other" / "study.json")["tables"]
    write_settings(tmp_path / "other" / "study.json", other, tables)
    for record, message in ((tmp_path / "other", "settings were"), (copy.path, "cannot be the folder of the study")):
        assert main(["study", "--out", str(copy.path), "--status", "--record", str(record)]) == 2
        said = capsys.readouterr()
        assert message in said.err and not said.out
    assert (copy.path / "study.json").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--status", "--jobs", "2"], "--jobs has no effect with --status"),
        (["--status", "--workers", "2"], "--workers has no effect with --status"),
        (["--verify", "--executor", "dask"], "--executor has no effect with --verify"),
        (["--verify", "--record", "record"], "--record has no effect with --verify"),
    ],
)
def test_options_that_only_work_has_are_refused_without_it(tmp_path, capsys, arguments, named):
    assert main(["study", "--out", str(tmp_path / "study"), *arguments]) == 2
    assert f"{named}; leave it out" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["--status", "--verify", "--resume"])
def test_only_stopped_work_goes_on_with_resume(copy, capsys, monkeypatch, what):
    def stop(*_, **__):
        raise KeyboardInterrupt

    for place in ("Grid.load", "run_study"):
        monkeypatch.setattr(f"randprune_lab.study.{place}", stop)
    (copy.path / "study.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(copy.config.to_dict()))))
    assert main(["study", str(copy.path / "study.yaml"), "--out", str(copy.path), what]) == 130
    assert ("go on with: randprune study" in capsys.readouterr().err) == (what == "--resume")


def test_a_study_is_no_run(grid, capsys, tmp_path):
    for command in (["show", str(grid.path)], ["results", str(grid.path), "--out", str(tmp_path / "a.csv")]):
        assert main(command) == 2
        assert f"{grid.path} is a study; give one of {grid.path}/runs/*/*, or use" in capsys.readouterr().err


def test_a_study_begins_with_its_settings(tmp_path, capsys):
    assert main(["study", "--out", str(tmp_path / "study")]) == 2
    assert "CONFIG is missing; give a YAML file, or one of best-shot" in capsys.readouterr().err


def test_one_damaged_journal_keeps_nothing_else_from_being_done_and_shown(copy, capsys, caplog):
    """Its unit is named, and done again once its folder is deleted."""
    damaged, missing = Unit("imp", "mini-stsb", 1), Unit("search", "mini-sst2", 0)
    journal = copy.folder(damaged) / "journal.jsonl"
    journal.write_text(journal.read_text().replace("fingerprint", "fingerprints", 1))
    shutil.rmtree(copy.folder(missing))
    assert main(["study", "--out", str(copy.path), "--status"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "| 1 | mini-stsb | done | done | damaged | done |" in printed and "14 of 16 units" in printed
    assert f"{journal}, line 1, is damaged: " in printed and f"delete {copy.folder(damaged)}, then" in printed
    assert run_study(copy.config, copy.path, resume=True) == [damaged]
    assert "is damaged" in caplog.text and copy.progress(missing).state == "done"
    shutil.rmtree(copy.folder(damaged))
    assert run_study(copy.config, copy.path, resume=True) == []


@pytest.mark.parametrize("file", ["predictions/test-imp-level-1.safetensors", "config.json"])
def test_one_lost_file_of_a_finished_unit_keeps_no_other_out_of_the_tables(copy, capsys, tmp_path, file):
    damaged = Unit("imp", "mini-stsb", 1)
    (copy.folder(damaged) / file).unlink()
    lost = Unit(CONTROLS, "mini-sst2", 1)
    (copy.folder(lost) / "predictions" / f"test-{BARE}.safetensors").write_bytes(b"")
    assert main(["study", "--out", str(copy.path), "--status", "--record", str(tmp_path / "record")]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    for unit in (damaged, lost):
        assert f"; delete {copy.folder(unit)}, then --resume does {unit} again" in printed
    assert "| 1 | mini-stsb | done | done | damaged | done |" in printed
    assert recorded_units(tmp_path / "record") == {
        unit for unit in copy.units if unit.method != CONTROLS and unit != damaged
    }
    assert len(pd.read_csv(copy.path / "controls.csv")) == 3
    for unit in (damaged, lost):
        shutil.rmtree(copy.folder(unit))
    assert run_study(copy.config, copy.path, resume=True) == [] and len(study_controls(copy)) == 4


def test_the_remaining_time_is_estimated_from_the_finished_units(copy):
    """At one second a step, the remaining seconds are the remaining steps."""
    from randprune_lab.study.status import TIMES, seconds_left

    removed = [Unit("search", "mini-stsb", 1), Unit("imp", "mini-sst2", 1)]
    steps = {unit: planned_steps(copy.run_config(unit), 96) for unit in copy.units}
    times = [
        {"unit": list(unit), "levels": 2, "seconds": steps[unit]} for unit in copy.units if unit.method != CONTROLS
    ]
    (copy.path / TIMES).write_text("".join(json.dumps(line) + "\n" for line in times) + '{"unit": ["torn')
    for unit in removed:
        shutil.rmtree(copy.folder(unit))
    assert seconds_left(copy, copy.states()) == sum(steps[unit] for unit in removed)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tasks": []}, "lacks tasks"),
        ({"tasks": ["mini-sst2"] * 2}, r"each value once, got \['mini-sst2', 'mini-sst2'\]"),
        ({"methods": {"imp": {}, "Controls": {}}}, "must not be named 'Controls', as 'controls' is the first unit"),
        ({"methods": {"imp": {}, "Imp": {}}}, "methods 'Imp' and 'imp' differ only in case, so that their runs would"),
        (
            {"tasks": {"mrpc": {}, "MRPC": {"data": "d.csv"}}},
            "tasks 'MRPC' and 'mrpc' differ only in case, so that their runs would be in one folder",
        ),
        ({"methods": {"a/b": {}}, "baseline": "a/b"}, "letters, digits"),
        ({"baseline": "imq"}, "did you mean 'imp'"),
        ({"settings": {"seed": 3}}, "seed is not a setting of a study's runs"),
        ({"settings": {"epoch": 3}}, "did you mean 'epochs'"),
        ({"settings": {"epochs": 0}}, "epochs must be a whole number at least 1, got 0"),
        ({"task_settings": {"mini-stbs": {}}}, "did you mean 'mini-stsb'"),
        ({"methods": {"imp": {}, "other": {"levels": [0.5]}}}, "the same levels"),
        (
            {"tasks": ["mrpc"], "methods": {"imp": {}, "other": {"metric": "f1"}}},
            "other has metric 'f1' and the controls have None; give metric in settings or in task_settings",
        ),
        ({"methods": {"imp": {"train_size": 64}}}, "the same data and dense model, but imp has train_size 64 and the"),
        ({"sedes": [1]}, "did you mean 'seeds'"),
        ({"tasks": {}}, "lacks tasks"),
        ({"seeds": 0}, r"seeds must be a list, got 0; write \[0\]"),
        ({"tasks": "mrpc"}, r"wrong.yaml: tasks must be a list, got 'mrpc'; write \['mrpc'\]"),
        ({"tasks": ["mine"]}, r"unknown task 'mine'; .*; for custom data, give mine: {data: FILE} in tasks"),
        ({"tasks": {"mine": {"text_columns": ["a"]}}}, "text_columns .* describes custom data; give data too"),
        ({"tasks": {"mine": "d.csv"}}, r"tasks\.mine must be a mapping, got 'd.csv'"),
        ({"tasks": {"a/b": {"data": "d.csv"}}}, "the name of custom data must have only letters, digits"),
        ({"tasks": {"mrpc": {"data": "d.csv"}}}, "task 'mrpc' and data .*d.csv' exclude each other"),
        ({"tasks": {"mrpc": {"metric": "spearman"}}}, "metric 'spearman' does not fit 'mrpc', which has 2 classes"),
        ({"settings": {"metric": "accuracy"}}, "metric 'accuracy' does not fit 'mini-stsb', which has scores"),
        ({"tasks": {"rte": {"epochs": 1}}, "task_settings": {"rte": {"epochs": 2}}}, "rte has settings in tasks and"),
        ({"tasks": [{"reviews": {"data": "d.csv"}}, "mrpc"]}, r"tasks\.0 must be a text, got {'reviews'"),
        ({"seeds": [[1]]}, r"seeds\.0 must be a whole number, got \[1\]"),
        ({"contrasts": ["imp"]}, r"contrasts must be a mapping, got \['imp'\]"),
        ({"methods": ["imp"]}, r"methods must be a mapping, got \['imp'\]"),
        ({"methods": {"imp": 3}}, r"methods\.imp must be a mapping, got 3"),
        ({"settings": [1]}, r"settings must be a mapping, got \[1\]"),
        ({"tasks": 5}, "tasks must be a list, got 5"),
        ({"tasks": [None]}, r"tasks\.0 must be a text, got None"),
        ({"seeds": 3}, r"seeds must be a list, got 3; write \[3\]"),
        ({"baseline": []}, r"baseline must be a text, got \[\]"),
        ({"settings": {"model": 7}}, "settings.model must be a text, got 7; put it in quotes"),
        ({"settings": {"levels": 0.5}}, r"settings.levels must be a list, got 0.5; write \[0.5\]"),
        ({"methods": {"imp": {"candidates": "two"}}}, r"methods\.imp\.candidates must be a whole number, got 'two'"),
        ({"methods": {"imp": {}, False: {}}}, "a name in methods must be a text, got False; put it in quotes"),
        ({"task_settings": {"mini-sst2": "x"}}, r"task_settings\.mini-sst2 must be a mapping, got 'x'"),
        ({"contrasts": {"a": 5}}, r"contrasts\.a must be a list, got 5"),
    ],
)
def test_wrong_studies_are_refused_with_the_reason(change, message, tmp_path):
    file = tmp_path / "wrong.yaml"
    correct = {"tasks": ["mini-sst2", "mini-stsb"], "seeds": [0], "methods": {"imp": {}}, "settings": {}}
    file.write_text(yaml.safe_dump({**correct, **change}))
    with pytest.raises(ConfigError, match=message):
        StudyConfig.load(file)


CUSTOM = {"data": "reviews.csv", "test_data": "../test.csv"}


@pytest.fixture
def custom(tmp_path) -> StudyConfig:
    """A study of custom data, and of a task of GLUE."""
    study = {"tasks": {"reviews": CUSTOM, "mrpc": None}, "seeds": [0], "methods": {"imp": None}, "settings": None}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    return StudyConfig.load(tmp_path / "study.yaml", glue_dir="glue")


def test_paths_of_data_are_relative_to_the_file_of_the_study(custom, tmp_path, monkeypatch):
    found, other = (custom.run_config("imp", task, 0) for task in ("reviews", "mrpc"))
    assert (found.data, found.test_data) == (str(tmp_path / "reviews.csv"), str(tmp_path.parent / "test.csv"))
    here = str(Path("glue").absolute())  # --glue-dir is relative to here
    assert found.glue_dir is None and (other.glue_dir, other.data) == (here, None)
    (tmp_path / "below").mkdir()
    for folder, file in ((tmp_path, "study.yaml"), (tmp_path / "below", "../study.yaml")):
        monkeypatch.chdir(folder)
        assert StudyConfig.load(file, glue_dir=f"{here}/below/..") == custom


def test_a_model_may_be_a_folder_beside_the_file_of_the_study(tmp_path, monkeypatch):
    study = {"tasks": ["mini-sst2"], "seeds": [0], "methods": {"imp": None}, "settings": {"model": "mine"}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    monkeypatch.chdir(tmp_path.parent)

    def model() -> str:
        return StudyConfig.load(tmp_path / "study.yaml").run_config("imp", "mini-sst2", 0).model

    assert model() == "mine"  # of the hub, or in the working folder
    (tmp_path / "mine").mkdir()
    assert model() == str(tmp_path / "mine")
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study | {"settings": {"model": "tiny"}}))
    (tmp_path / "tiny").mkdir()  # such as the folder of a study
    assert model() == "tiny"


def test_a_setting_of_all_runs_may_be_none(config):
    """As `test_size: null`, all rows, in YAML; a mapping that is empty there is None, too."""
    whole = dataclasses.replace(config, settings={**config.settings, "test_size": None})
    assert whole.run_config("imp", "mini-sst2", 0).test_size is None
    assert dataclasses.replace(config, task_settings=None, contrasts=None).task_settings == {}


def test_data_with_fewer_test_examples_than_the_run_are_not_its_data(tmp_path):
    rows = [f"word{number},{number % 2}" for number in range(40)]
    (tmp_path / "reviews.csv").write_text("\n".join(["text,label", *rows]), "utf-8")
    config = RunConfig(task="reviews", data=str(tmp_path / "reviews.csv"), text_columns=("text",), test_size=39)
    with pytest.raises(DataError, match=r"the data of reviews have \d test examples, and the run has 39; give"):
        read_test_set(config)


def test_a_mapping_of_tasks_is_a_list_and_their_settings(custom, tmp_path):
    assert custom.tasks == ("reviews", "mrpc") and list(custom.task_settings) == ["reviews"]
    folded = {"tasks": custom.tasks, "task_settings": custom.task_settings, "settings": custom.settings}
    assert StudyConfig(**folded, seeds=(0,), methods={"imp": {}}) == custom
    assert Grid.open(custom, tmp_path / "out").config == Grid.load(tmp_path / "out").config == custom
    assert list(json.loads((tmp_path / "out" / "study.json").read_text())["tasks"]) == ["reviews", "mrpc"]


def test_a_study_may_grow_by_custom_data_with_settings_of_their_own(custom, tmp_path):
    Grid.open(custom, tmp_path / "out")
    more = {**custom.task_settings, "more": {"data": "more.csv"}}
    grown = dataclasses.replace(custom, tasks=(*custom.tasks, "more"), task_settings=more)
    assert Grid.open(grown, tmp_path / "out", resume=True).config == Grid.load(tmp_path / "out").config
    for settings in ({**more, "mrpc": {"epochs": 3}}, {**more, "reviews": {"data": "others.csv"}}):
        with pytest.raises(RunError, match=r"task_settings were .* a study may only grow at the end"):
            Grid.open(dataclasses.replace(grown, task_settings=settings), tmp_path / "out", resume=True)


def test_a_record_of_the_same_study_may_have_its_data_and_model_elsewhere(custom, tmp_path):
    def placed(folder: str) -> StudyConfig:
        elsewhere = {"reviews": {name: f"{folder}/{Path(path).name}" for name, path in CUSTOM.items()}}
        settings = {"model": f"{folder}/bert", "glue_dir": folder}
        return dataclasses.replace(custom, task_settings=elsewhere, settings=settings)

    write_tables(tmp_path, without_paths(placed("/here")).to_dict(), {})
    assert "/here" not in (tmp_path / "study.json").read_text()
    check_recorded(Grid(placed("/there"), tmp_path / "out"), tmp_path)
    other = dataclasses.replace(placed("/there"), task_settings={"reviews": {"data": "b.csv"}})
    with pytest.raises(RunError, match="task_settings were"):
        check_recorded(Grid(other, tmp_path / "out"), tmp_path)


def test_files_that_are_not_studies_are_named_in_the_error(tmp_path):
    with pytest.raises(FileError, match="laptop"):
        StudyConfig.load(tmp_path / "missing.yaml")
    (tmp_path / "torn.yaml").write_text("tasks: [a")
    with pytest.raises(FileError, match=r"torn.yaml is not valid YAML"):
        StudyConfig.load(tmp_path / "torn.yaml")
    (tmp_path / "list.yaml").write_text("- a")
    with pytest.raises(ConfigError, match=r"list.yaml is not a study"):
        StudyConfig.load(tmp_path / "list.yaml")
    with pytest.raises(RunError, match=r"holds no study"):
        Grid.load(tmp_path)


@pytest.mark.parametrize("name", ["laptop", "paper"])
def test_imp_has_the_steps_of_the_search_in_the_built_in_studies(name):
    config = StudyConfig.load(name)
    for task in config.tasks:
        steps = {method: planned_steps(config.run_config(method, task, 0), 4000) for method in config.methods}
        assert steps["imp"] == steps["search"] > steps["imp-short"] == steps["uniform"] == steps["one-mask"]
        assert len(config.tasks) == 8 and len(config.seeds) >= 3 and {0.9375, 0.99} <= set(config.levels)


@pytest.mark.parametrize("name", ["laptop-gain", "laptop-small"])
def test_studies_that_explore_gains_have_the_steps_and_learning_rates_of_laptop(name):
    study, gain = StudyConfig.load("laptop"), StudyConfig.load(name)
    changed = {"levels", "learning_rate", "layers"}
    assert all(study.settings[name] == value for name, value in gain.settings.items() if name not in changed)
    contrasts = StudyConfig.load("laptop-gain").contrasts
    pairs = {name: pair for name, pair in contrasts.items() if set(pair) <= set(gain.methods)}
    assert pairs
    for task, (contrast_name, (method, other)) in product(gain.tasks, pairs.items()):
        ours, theirs = (planned_steps(gain.run_config(member, task, 0), 4000) for member in (method, other))
        assert ours / theirs == pytest.approx(3.2 if "3.2 times" in contrast_name else 1, abs=0.02)
        assert "imp" in (other, method) or gain.run_config(method, task, 0).learning_rate == 4e-3
    for method in ("imp", "search"):
        rates = {config.run_config(method, "qnli", 0).learning_rate for config in (study, gain)}
        assert len(rates) == 1


def test_mask_and_learning_rate_are_compared_one_at_a_time_with_the_steps_of_laptop():
    study, rates = StudyConfig.load("laptop"), StudyConfig.load("laptop-rates")
    assert set(rates.methods) & set(study.methods) >= {"imp", "search"} and rates.seeds == study.seeds
    for task in rates.tasks:
        configs = {name: rates.run_config(name, task, 0) for name in rates.methods}
        assert all(configs[name] == study.run_config(name, task, 0) for name in configs if name in study.methods)
        compared = set()
        for name, other in rates.contrasts.values():
            first, second = configs[name], configs[other]
            steps = planned_steps(first, 4000)
            assert steps == planned_steps(second, 4000)
            equal_rate = dataclasses.replace(second, method=name, learning_rate=first.learning_rate)
            assert (first == equal_rate) == (first.learning_rate != second.learning_rate)
            compared.add((steps, first.rule, second.rule, first.learning_rate, second.learning_rate))
        assert len(compared) == len(rates.contrasts) == 8


def test_one_threshold_for_all_matrices_is_paired_with_the_imps_of_laptop_rates():
    """Each method differs from one of the other study in the allocation alone, and in what magnitude masks ignore."""
    wide, rates = StudyConfig.load("laptop-global"), StudyConfig.load("laptop-rates")
    assert (wide.tasks, wide.seeds, wide.levels) == (rates.tasks, rates.seeds, rates.levels)
    layerwise = [name.replace("-global", "") for name in wide.methods]
    assert set(layerwise) == {name for name in rates.methods if name.startswith("imp")}
    for task, (name, other) in product(wide.tasks, zip(wide.methods, layerwise, strict=True)):
        ours, theirs = wide.run_config(name, task, 0), rates.run_config(other, task, 0)
        assert (ours.allocation, theirs.allocation) == ("global", "layerwise")
        ignored = {each: getattr(theirs, each) for each in ("sampling_ratios", "early_rate", "early_last")}
        assert dataclasses.replace(ours, method=other, allocation="layerwise", **ignored) == theirs


PARTS = {
    "best-shot-parts": {"magnitude-layerwise-2e-3": "imp", "fisher-global-2e-3": "fisher-short"},
    "best-shot-gradual": {"imp": "imp", "fisher": "fisher-short"},
}
"""Studies with the two masks of `best-shot`, by their names there and here."""


@pytest.mark.parametrize("name", PARTS)
def test_studies_beside_the_best_shot_have_its_two_masks_with_all_their_settings(name):
    parts, whole, both = StudyConfig.load(name), StudyConfig.load("best-shot"), PARTS[name]
    assert (parts.tasks, parts.seeds) == (whole.tasks, whole.seeds) and {*whole.levels} <= {*parts.levels}
    assert (parts.levels == whole.levels) == (name == "best-shot-parts")
    for task, (ours, theirs) in product(parts.tasks, both.items()):
        part, shot = parts.run_config(ours, task, 300), whole.run_config(theirs, task, 300)
        ignored = {each: getattr(shot, each) for each in ("levels", "sampling_ratios", "early_rate", "early_last")}
        assert dataclasses.replace(part, method=theirs, **ignored) == shot
    assert parts.methods.keys() >= both.keys()


def test_learning_rates_were_tuned_equally_and_with_a_separate_seed():
    study, tuning = StudyConfig.load("laptop"), StudyConfig.load("laptop-tuning")
    rates = {
        kind: [m.removeprefix(f"{kind}-") for m in tuning.methods if m.startswith(kind)] for kind in ("imp", "search")
    }
    assert rates["imp"] == rates["search"] and not set(study.seeds) & set(tuning.seeds)
    changed = {"levels", "task_settings", "learning_rate"}
    assert all(study.settings[name] == value for name, value in tuning.settings.items() if name not in changed)
    for task in tuning.tasks:
        steps = {planned_steps(tuning.run_config(method, task, 100), 4000) for method in tuning.methods}
        assert len(steps) == 1


# --- the dense model of another run ---


def test_the_dense_model_of_another_run_must_be_the_same(grid, tmp_path):
    import dataclasses

    source = grid.folder(Unit(CONTROLS, "mini-sst2", 0))
    config = grid.run_config(Unit("imp", "mini-sst2", 0))
    with pytest.raises(RunError, match=r"its dense_learning_rate is 0\.001, here it is 0\.01"):
        rp.run(dataclasses.replace(config, dense_learning_rate=1e-2), tmp_path / "a", progress=False, dense_of=source)
    journal = source / "journal.jsonl"
    copy = shutil.copytree(source, tmp_path / "copy")
    (copy / "journal.jsonl").write_text(journal.read_text().splitlines(keepends=True)[0])
    with pytest.raises(RunError, match="has no dense model yet"):
        rp.run(config, tmp_path / "b", progress=False, dense_of=copy)
    lost = shutil.copytree(source, tmp_path / "lost")
    (lost / "checkpoints" / "dense.safetensors").unlink()
    with pytest.raises(RunError, match=r"the file of the dense model of .*lost is missing; delete that folder"):
        rp.run(config, tmp_path / "c", progress=False, dense_of=lost)


def test_recorded_studies_are_those_of_their_files():
    """What was recorded can be continued: `study.json` has the settings that the study's file has now."""
    for name, folder in {"laptop": "study", "laptop-gain": "gain", "laptop-small": "small"}.items():
        study = StudyConfig.load(name)
        check_recorded(Grid(study, Path("nowhere")), data_folder() / "recorded" / folder)
        settings = study.run_config(study.baseline, study.tasks[0], 0)
        assert (settings.mask_gradients, settings.vocabulary, settings.compute) == (False, "whole", "dense")
        assert (settings.train_rows, settings.checkpoint) == ("first", "metric")


def test_a_study_from_before_keeps_its_train_rows_and_checkpoints(tmp_path):
    """Its file says neither, because there was one way; a new study has others, and both go on as they began."""
    settings = StudyConfig(TASKS, SEEDS, METHODS, SETTINGS).to_dict()
    write_sealed(tmp_path / "old.json", 4, {**settings, "tables": {}})
    write_settings(tmp_path / "new.json", settings, {})
    for name, wanted in (("old", ("first", "metric")), ("new", ("seed", "log-loss"))):
        config = StudyConfig.load_json(tmp_path / f"{name}.json").run_config("imp", TASKS[0], SEEDS[0])
        assert (config.train_rows, config.checkpoint) == wanted
    given = StudyConfig(TASKS, SEEDS, METHODS, {**SETTINGS, "checkpoint": "last"})
    assert given.run_config("imp", TASKS[0], SEEDS[0]).checkpoint == "last"
