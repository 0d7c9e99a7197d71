"""A study does every unit of its grid once, whoever works on it and however often it is stopped."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from torch import nn

import randprune_lab as rp
from randprune_lab.analysis.results import contrast
from randprune_lab.analysis.task_record import TaskRecord
from randprune_lab.cli import main
from randprune_lab.errors import ConfigError, FileError, RunError
from randprune_lab.masks.scope import prunable
from randprune_lab.search import folder as run_folder
from randprune_lab.search.folder import RunFolder
from randprune_lab.stats.intervals import mean_interval
from randprune_lab.study import (
    Grid,
    StudyConfig,
    describe_status,
    record_study,
    recorded_units,
    run_study,
    verify_winners,
)
from randprune_lab.study import run as working
from randprune_lab.study.config import CONTROLS
from randprune_lab.study.controls import BARE, linear_words, majority, without_blocks
from randprune_lab.study.grid import Unit, planned_steps
from randprune_lab.study.table import study_controls, study_results

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
    """A finished study, done by two processes; it is only read, or copied."""
    path = tmp_path_factory.mktemp("study") / "whole"
    assert run_study(config, path, jobs=2) == []
    return Grid.load(path)


@pytest.fixture
def copy(grid, tmp_path) -> Grid:
    shutil.copytree(grid.path, tmp_path / "copy")
    return Grid.load(tmp_path / "copy")


def scores(grid: Grid) -> pd.DataFrame:
    return study_results(grid)


# --- the grid ---


def test_all_tasks_with_one_seed_come_first_and_of_a_seed_its_controls(config):
    units = Grid(config, Path("nowhere")).units
    assert len(units) == len(set(units)) == len(TASKS) * len(SEEDS) * (1 + len(METHODS))
    assert [unit.seed for unit in units] == sorted(unit.seed for unit in units)
    half = len(units) // 2
    assert [unit.method for unit in units[:half]] == [m for m in (CONTROLS, *METHODS) for _ in TASKS]
    assert {unit[1:] for unit in units[: len(TASKS)]} == {(task, 0) for task in TASKS}


def test_every_unit_is_done_once_and_gives_the_same_as_a_run_by_itself(grid, tmp_path):
    assert {grid.progress(unit).state for unit in grid.units} == {"done"}
    unit = Unit("search", "mini-sst2", 1)
    alone = rp.run(grid.run_config(unit), tmp_path / "alone", progress=False)
    ours, theirs = (rp.RunRecord.load(path).units for path in (grid.folder(unit), alone))
    assert ours == theirs  # the dense model that it took from the controls among them


def test_a_study_that_was_stopped_goes_on_to_the_same(grid, copy):
    lost = [Unit("imp", "mini-stsb", 0), Unit(CONTROLS, "mini-sst2", 1), Unit("search", "mini-sst2", 1)]
    for unit in lost:  # stopped in the middle, so that a part of each is there
        journal = copy.folder(unit) / "journal.jsonl"
        lines = journal.read_text().splitlines(keepends=True)
        journal.write_text("".join(lines[: len(lines) // 2]))
        assert copy.progress(unit).state == "begun"
    assert run_study(copy.config, copy.path, resume=True) == []
    pd.testing.assert_frame_equal(scores(copy), scores(grid))
    assert study_controls(copy).equals(study_controls(grid))


def test_what_another_process_works_on_is_left_to_it(copy, monkeypatch):
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
    assert copy.progress(busy).state == "done"  # it was left unfinished, so it was taken over


ORPHAN = """
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from randprune_lab.study.run import _begin

def work(_):
    print("at work", flush=True)
    time.sleep(60)
    print("went on", flush=True)

if __name__ == "__main__":
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_begin) as pool:
        list(pool.map(work, [0]))
"""


def test_the_processes_of_a_study_end_with_their_parent(tmp_path):
    (tmp_path / "parent.py").write_text(ORPHAN)
    parent = subprocess.Popen([sys.executable, tmp_path / "parent.py"], stdout=subprocess.PIPE, text=True)
    assert parent.stdout.readline() == "at work\n"
    parent.kill()
    assert parent.stdout.readline() == ""  # which comes when the last process that can write has ended
    parent.wait()


def test_a_process_that_was_faster_is_no_failure(copy, monkeypatch):
    unit = Unit("imp", "mini-stsb", 0)
    shutil.rmtree(copy.folder(unit))
    tried = []

    def once(*args, **kwargs):
        tried.append(args)
        if len(tried) == 1:
            raise run_folder.LockedError("another process is working")
        return rp.run(*args, **kwargs)

    monkeypatch.setattr(working, "run", once)
    assert run_study(copy.config, copy.path, resume=True) == [] and len(tried) == 2


def test_a_unit_that_another_process_just_begins_is_no_failure(copy):
    """As its folder is for a moment: a lock, and half a file."""
    unit = Unit("imp", "mini-stsb", 0)
    shutil.rmtree(copy.folder(unit))
    lock = RunFolder.open(copy.folder(unit), copy.run_config(unit))
    for path in copy.folder(unit).iterdir():
        if path.name != run_folder.LOCK:
            path.rename(path.with_name(f".{path.name}.1.tmp"))
    with pytest.raises(run_folder.LockedError):
        rp.run(copy.run_config(unit), copy.folder(unit), resume=True, progress=False)
    lock.__exit__()


def test_a_unit_that_fails_does_not_keep_the_others_from_being_done(config, tmp_path, caplog):
    broken = StudyConfig(TASKS[:1], (0,), {**METHODS, "broken": {"learning_rate": 1e30}}, SETTINGS)
    failed = run_study(broken, tmp_path / "study")
    assert failed == [Unit("broken", "mini-sst2", 0)] and "lower the learning rate" in caplog.text
    grid = Grid.load(tmp_path / "study")
    assert {unit.method for unit in grid.finished()} == {CONTROLS, *METHODS}
    assert set(study_results(grid).method) == {"dense", *METHODS}


def test_without_controls_nothing_of_that_task_and_seed_is_begun(config, tmp_path, monkeypatch):
    wrong = StudyConfig(TASKS, (0,), {"imp": {}}, SETTINGS, {"mini-stsb": {"validation_size": 10**6}})
    assert run_study(wrong, tmp_path / "study") == [Unit(CONTROLS, "mini-stsb", 0)]
    assert Grid.load(tmp_path / "study").progress(Unit("imp", "mini-stsb", 0)).state == "waiting"


def test_a_study_may_grow_and_what_it_had_is_not_done_again(copy):
    before = {unit: copy.journal(unit) for unit in copy.units}
    grown = StudyConfig(TASKS, SEEDS, {**METHODS, "uniform": {"rule": "uniform", "candidates": 1}}, SETTINGS)
    assert run_study(grown, copy.path, resume=True) == []
    grid = Grid.load(copy.path)
    assert set(grid.units) - set(copy.units) == {Unit("uniform", task, seed) for task in TASKS for seed in SEEDS}
    assert {grid.progress(unit).state for unit in grid.units} == {"done"}
    assert all(grid.journal(unit) == units for unit, units in before.items())
    for less in (copy.config, StudyConfig(TASKS[::-1], SEEDS, grown.methods, SETTINGS)):
        with pytest.raises(RunError, match="may only grow at the end"):
            Grid.open(less, copy.path, resume=True)


# --- controls ---


def test_controls_are_those_of_the_literal_definitions(grid):
    splits = rp.load_splits("mini-sst2", train_size=96)
    test = splits.test.select(range(60))
    table = study_controls(grid).set_index(["task", "seed"])
    row = table.loc["mini-sst2", 0]
    labels = np.asarray(test["label"])
    assert row.majority == majority(splits.task, splits.train, test) == np.mean(labels == 0)
    found = [linear_words(splits.task, splits.train, splits.validation, test, compared=c) for c in (False, True)]
    assert row.words == max(found)[1]
    record = rp.RunRecord.load(grid.folder(Unit(CONTROLS, "mini-sst2", 0)))
    assert row.dense == record.score("dense").estimate
    assert row[BARE] == pytest.approx(record.score(BARE).estimate)
    assert row.encoder == pytest.approx(row.dense - row[BARE])
    assert record.config.levels == (0.97,) and record.units["search-level-1"]["mask"]["rule"]["rule"] == "magnitude"


def test_a_task_is_included_if_the_encoder_is_worth_something_with_the_first_seed(copy):
    """Answers without the encoder are made those of the dense model: nothing is left to tell masks apart by."""
    before = study_controls(copy)
    for task, seed in (("mini-sst2", 0), ("mini-stsb", 1)):
        predictions = copy.folder(Unit(CONTROLS, task, seed)) / "predictions"
        shutil.copy(predictions / "test-dense.safetensors", predictions / f"test-{BARE}.safetensors")
    after = study_controls(copy).set_index(["task", "seed"])
    assert not after.loc["mini-sst2"].included.any()
    assert after.loc["mini-stsb"].included.tolist() == before[before.task == "mini-stsb"].included.tolist()


def test_without_blocks_only_what_is_around_them_is_left():
    model, _ = rp.load_model("tiny", num_labels=2)
    before = {name for name, _ in model.named_parameters()}
    bare = without_blocks(model)
    left = {name for name, _ in bare.named_parameters()}
    assert (
        left == {name for name in before if ".layer." not in name} and before == dict(model.named_parameters()).keys()
    )

    class Nested(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList([nn.ModuleList([nn.Linear(2, 2)]), nn.Linear(2, 2)])
            self.head = nn.Linear(2, 2)

    assert [name for name, _ in without_blocks(Nested()).named_parameters()] == ["head.weight", "head.bias"]


# --- tables ---


def test_the_table_has_what_the_runs_say(grid):
    table = study_results(grid)
    assert len(table) == len(TASKS) * len(SEEDS) * (1 + len(METHODS) * 2)
    assert not table.duplicated(["task", "seed", "method", "sparsity"]).any()
    assert table.method.unique().tolist() == ["dense", *METHODS] and table.task.unique().tolist() == list(TASKS)
    keyed = table.set_index(["task", "seed", "method", "sparsity"])
    for task, seed, method in product(TASKS, SEEDS, METHODS):
        record = rp.RunRecord.load(grid.folder(Unit(method, task, seed)))
        row = keyed.loc[task, seed, method, 0.97]
        assert row.score == record.score("search-level-2").estimate
        assert row.validation == record.units["search-level-2"]["score"]
        assert row.gain == pytest.approx(row.score - keyed.loc[task, seed, "imp", 0.97].score)
        assert row.steps == planned_steps(record.config, 96)
    assert (table[table.method == "imp"].gain == 0).all()


def test_equal_steps_are_equal(grid):
    steps = study_results(grid).groupby(["method", "sparsity"]).steps.unique().map(list)
    assert steps["imp"].tolist() == steps["search"].tolist() != steps["wanda"].tolist()


def test_contrasts_are_paired_by_task_and_seed_and_averaged_over_tasks(grid):
    table = study_results(grid)
    level = table[table.sparsity == 0.97].set_index(["task", "seed", "method"]).score.unstack()
    found = contrast(table, "search", "wanda", 0.97)
    each = {task: (level.search - level.wanda)[task].tolist() for task in TASKS}
    assert {task: found[task] for task in TASKS} == {task: mean_interval(values) for task, values in each.items()}
    assert found["all tasks"] == mean_interval([float(np.mean(values)) for values in each.values()])
    assert contrast(table, "search", "nobody", 0.97) == {}


def test_a_recorded_study_is_small_and_says_the_same(grid, tmp_path):
    written = record_study(grid, tmp_path / "recorded")
    assert sum(path.stat().st_size for path in written) < 200_000
    table = study_results(grid).set_index(["task", "seed", "method", "sparsity"])
    for task, seed in product(TASKS, SEEDS):
        runs = TaskRecord.load(tmp_path / "recorded" / f"{task}-seed-{seed}.safetensors")
        assert runs.methods == list(METHODS)
        for method, sparsity in product(METHODS, runs.levels):
            row = table.loc[task, seed, method, sparsity]
            assert runs.score(method, sparsity).estimate == row.score
            assert runs.difference(method, "imp", sparsity).estimate == row.gain
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "recorded" / "results.csv"), study_results(grid), check_dtype=False, atol=1e-6
    )


def test_a_study_in_pieces_records_the_same_as_one_at_once(grid, copy, tmp_path, caplog):
    """On machines that share no folder: nothing that is recorded is done again, and nothing of it is lost."""
    late = [Unit("search", "mini-sst2", 0), *(unit for unit in copy.units if unit.seed == 1)]
    early = [unit for unit in copy.units if unit not in late]
    for unit in late:
        shutil.rmtree(copy.folder(unit))
    pieces, whole = tmp_path / "pieces", tmp_path / "whole"
    record_study(copy, pieces)
    assert recorded_units(pieces) == {unit for unit in early if unit.method != CONTROLS}

    elsewhere = Grid(grid.config, tmp_path / "elsewhere", recorded_units(pieces))
    assert run_study(grid.config, elsewhere.path, recorded=pieces) == []
    again = {Unit(CONTROLS, "mini-sst2", 0)}  # the dense model from which what was open starts
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


def test_the_first_seed_decides_what_is_included_though_it_was_recorded_before(grid, copy, tmp_path):
    record_study(grid, tmp_path / "recorded")
    path = tmp_path / "recorded" / "controls.csv"
    table = pd.read_csv(path)
    table["encoder_low"] = [
        0.1 if (task, seed) == ("mini-stsb", 0) else -0.1 for task, seed in zip(table.task, table.seed, strict=True)
    ]
    table.to_csv(path, index=False)
    for unit in copy.units:
        if unit.seed == 0:
            shutil.rmtree(copy.folder(unit), ignore_errors=True)
    record_study(copy, tmp_path / "recorded")
    after = pd.read_csv(path).set_index(["task", "seed"]).included
    assert after["mini-stsb"].all() and not after["mini-sst2"].any() and set(after.index.levels[1]) == set(SEEDS)


def test_what_is_recorded_of_another_study_is_no_piece_of_this_one(grid, tmp_path):
    record_study(grid, tmp_path / "recorded")
    other = StudyConfig(TASKS, SEEDS, METHODS, {**SETTINGS, "epochs": 2})
    with pytest.raises(RunError, match="settings were"):
        run_study(other, tmp_path / "other", recorded=tmp_path / "recorded")
    assert not (tmp_path / "other").exists()
    elsewhere = StudyConfig(
        TASKS, SEEDS, METHODS, {**SETTINGS, "glue_dir": str(tmp_path)}
    )  # where data lie is no matter
    assert run_study(elsewhere, tmp_path / "nothing", recorded=tmp_path / "recorded") == []
    assert not (tmp_path / "nothing" / "runs").exists()


# --- winners ---


def test_winners_are_what_the_tables_say_when_plain_transformers_loads_them(grid):
    found = verify_winners(grid)
    assert len(found) == len(TASKS) * len(SEEDS) * len(METHODS)
    assert np.allclose(found.again, found.recorded, atol=1e-6)
    for row in found.itertuples():
        mask = rp.RunRecord.load(grid.folder(Unit(row.method, row.task, row.seed))).units["search-level-2"]["mask"]
        assert row.sparsity == mask["sparsity"] == 0.97
    assert found.zeros.nunique() == 1 and abs(found.zeros[0] - 0.97) < 1e-4


def test_a_winner_that_was_changed_after_the_study_is_seen(copy):
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
    total = sum(one.numel() for one in prunable(rp.load_model("tiny", num_labels=2)[0]).values())
    assert row.zeros * total == pytest.approx(before.loc[unit].zeros * total + int(kept.sum()))
    assert abs(row.again - row.recorded) > 0.01


# --- the command ---


def test_the_command_does_a_study_and_writes_its_tables(config, tmp_path, capsys):
    file, out = tmp_path / "small.yaml", tmp_path / "study"
    file.write_text(
        yaml.safe_dump({"tasks": ["mini-sst2"], "seeds": [3], "settings": SETTINGS, "methods": {"imp": None}})
    )
    assert main(["study", str(file), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "| 3 | mini-sst2 | done | done |" in printed and "2 of 2 units" in printed
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


def test_the_status_of_a_study_that_is_not_done_says_what_is_left(copy, capsys):
    shutil.rmtree(copy.folder(Unit("search", "mini-stsb", 1)))
    assert main(["study", "ignored", "--out", str(copy.path), "--status"]) == 0
    printed = capsys.readouterr().out
    assert "| 1 | mini-stsb | done | - | done | done |" in printed and "15 of 16 units, about" in printed


def test_what_is_left_is_estimated_from_what_was_done(copy):
    """At one second a step, the steps that are left are the seconds that are left."""
    from randprune_lab.study.status import TIMES, seconds_left

    gone = [Unit("search", "mini-stsb", 1), Unit("imp", "mini-sst2", 1)]
    steps = {unit: planned_steps(copy.run_config(unit), 96) for unit in copy.units}
    times = [
        {"unit": list(unit), "levels": 2, "seconds": steps[unit]} for unit in copy.units if unit.method != CONTROLS
    ]
    (copy.path / TIMES).write_text("".join(json.dumps(each) + "\n" for each in times) + '{"unit": ["torn')
    for unit in gone:
        shutil.rmtree(copy.folder(unit))
    assert seconds_left(copy) == sum(steps[unit] for unit in gone)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tasks": []}, "lacks tasks"),
        ({"tasks": ["mini-sst2"] * 2}, "each once"),
        ({"methods": {"controls": {}}}, "cannot be called 'controls'"),
        ({"methods": {"a/b": {}}, "baseline": "a/b"}, "letters, digits"),
        ({"baseline": "imq"}, "did you mean 'imp'"),
        ({"settings": {"seed": 3}}, "seed is not a setting of a study's runs"),
        ({"settings": {"epoch": 3}}, "did you mean 'epochs'"),
        ({"settings": {"epochs": 0}}, "epochs must be in"),
        ({"task_settings": {"mini-stbs": {}}}, "did you mean 'mini-stsb'"),
        ({"methods": {"imp": {}, "other": {"levels": [0.5]}}}, "the same levels"),
        ({"sedes": [1]}, "did you mean 'seeds'"),
    ],
)
def test_what_cannot_be_is_named_before_anything_is_begun(change, message, tmp_path):
    file = tmp_path / "wrong.yaml"
    right = {"tasks": ["mini-sst2", "mini-stsb"], "seeds": [0], "methods": {"imp": {}}, "settings": {}}
    file.write_text(yaml.safe_dump({**right, **change}))
    with pytest.raises(ConfigError, match=message):
        StudyConfig.load(file)


def test_files_that_are_no_studies_are_named(tmp_path):
    with pytest.raises(FileError, match="laptop"):
        StudyConfig.load(tmp_path / "missing.yaml")
    (tmp_path / "torn.yaml").write_text("tasks: [a")
    with pytest.raises(FileError, match=r"torn.yaml is no YAML"):
        StudyConfig.load(tmp_path / "torn.yaml")
    (tmp_path / "list.yaml").write_text("- a")
    with pytest.raises(ConfigError, match=r"list.yaml is not a study"):
        StudyConfig.load(tmp_path / "list.yaml")
    with pytest.raises(RunError, match=r"holds no study"):
        Grid.load(tmp_path)


@pytest.mark.parametrize("name", ["laptop", "paper"])
def test_in_the_studies_that_ship_imp_has_the_steps_of_the_search(name):
    config = StudyConfig.load(name)
    for task in config.tasks:
        steps = {method: planned_steps(config.run_config(method, task, 0), 4000) for method in config.methods}
        assert steps["imp"] == steps["search"] > steps["imp-short"] == steps["uniform"] == steps["one-mask"]
        assert len(config.tasks) == 8 and len(config.seeds) >= 3 and {0.9375, 0.99} <= set(config.levels)


@pytest.mark.parametrize("looking", ["laptop-gain", "laptop-small"])
def test_where_a_gain_is_looked_for_steps_and_rates_are_as_in_laptop(looking):
    study, gain = StudyConfig.load("laptop"), StudyConfig.load(looking)
    changed = {"levels", "learning_rate", "layers"}
    assert all(study.settings[name] == value for name, value in gain.settings.items() if name not in changed)
    pairs = {name: pair for name, pair in gain.contrasts.items() if set(pair) <= set(gain.methods)}
    assert pairs
    for task, (name, (method, other)) in product(gain.tasks, pairs.items()):
        ours, theirs = (planned_steps(gain.run_config(each, task, 0), 4000) for each in (method, other))
        assert ours / theirs == pytest.approx(3.2 if "3.2 times" in name else 1, abs=0.02)
        assert "imp" in (other, method) or gain.run_config(method, task, 0).learning_rate == 4e-3
    for name in ("imp", "search"):
        rates = {each.run_config(name, "qnli", 0).learning_rate for each in (study, gain)}
        assert len(rates) == 1


def test_rates_were_tuned_with_the_same_effort_and_a_seed_of_their_own():
    study, tuning = StudyConfig.load("laptop"), StudyConfig.load("laptop-tuning")
    rates = {
        each: [m.removeprefix(f"{each}-") for m in tuning.methods if m.startswith(each)] for each in ("imp", "search")
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
