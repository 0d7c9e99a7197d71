"""A task record has the same results as the run folders."""

from __future__ import annotations

import dataclasses
import itertools
import math
import shutil

import numpy as np
import pytest

import randprune_lab as rp
from randprune_lab.analysis import task_record
from randprune_lab.analysis.answers import read_logits
from randprune_lab.analysis.task_record import TaskRecord
from randprune_lab.errors import DataError, FileError, RunError, UnknownNameError
from randprune_lab.sealed import read_arrays, write_arrays
from randprune_lab.stats.intervals import Interval
from randprune_lab.training.scoring import log_likelihood


@pytest.fixture(scope="module")
def records(finished, config, tmp_path_factory) -> dict[str, rp.RunRecord]:
    changed = dataclasses.replace(config, rule="magnitude", candidates=1, baselines=())
    imp = rp.run(changed, tmp_path_factory.mktemp("recorded") / "imp", progress=False, dense_of=finished)
    return {"search": rp.RunRecord.load(finished), "imp": rp.RunRecord.load(imp)}


@pytest.fixture(scope="module")
def recorded(records, tmp_path_factory) -> TaskRecord:
    path = tmp_path_factory.mktemp("recorded") / "runs.safetensors"
    TaskRecord.of(records).save(path)
    assert path.stat().st_size < 40_000
    return TaskRecord.load(path)


def test_scores_differences_and_early_evaluations_are_those_of_the_runs(recorded, records, config):
    assert recorded.methods == ["search", "imp"] and recorded.levels == config.levels
    assert recorded.score("dense") == records["search"].score("dense")
    for number, sparsity in enumerate(config.levels, start=1):
        for name, record in records.items():
            unit = f"search-level-{number}"
            assert recorded.score(name, sparsity) == record.score(unit)
            assert recorded.recipes[name][number - 1] == record.units[unit]["mask"]
        early, expected = recorded.early("search", sparsity), records["search"].level(number).candidates
        assert [entry["score"] for entry in early] == [entry["score"] for entry in expected]
        assert [entry["metric"] for entry in early] == [entry["metric"] for entry in expected]
        assert [entry["rule"] for entry in early] == [entry["mask"]["rule"] for entry in expected]
        assert recorded.early("imp", sparsity) == []
    # The IMP baseline of the search has the same training as this IMP run.
    paired = records["search"].difference("search-level-2", "imp-level-2")
    assert recorded.difference("search", "imp", config.levels[1]) == paired
    for method in ("imp", "dense"):
        assert recorded.difference(method, method, config.levels[1]) == Interval(0.0, 0.0, 0.0)


def test_logits_and_courses_of_trainings_are_those_of_the_runs(recorded, records, config):
    for (number, sparsity), (name, record) in itertools.product(enumerate(config.levels, start=1), records.items()):
        level = record.level(number)
        logits, labels = read_logits(record.path, record.task, level.name)
        exact = log_likelihood(logits, labels)
        assert recorded.log_likelihood(name, sparsity) == pytest.approx(exact, abs=2e-3)
        course, history = recorded.courses[name][number - 1], record.units[level.name]
        assert (course["at"], course["scores"], course["losses"]) == tuple(
            history[key] for key in ("steps", "scores", "losses")
        )
        assert (course["steps"], course["early_steps"]) == (level.steps, level.candidate_steps)
        early = sum(len(unit["at"]) for unit in level.candidates)
        assert course["looks"] == len(course["at"]) + early and bool(early) == (name == "search")


def test_logits_of_any_size_are_kept_in_half_precision():
    """Only differences between the logits of an example count; they survive where the logits themselves would not."""
    logits = np.array([[[1e6, 1e6 - 2, 0], [-3e38, 3e38, 0], [1e-3, 0, 0]]], dtype=np.float32)
    kept, labels = task_record._half(logits), np.array([1, 1, 0])
    assert kept.dtype == np.float16
    assert log_likelihood(kept[0], labels) == pytest.approx(log_likelihood(logits[0], labels), rel=1e-3, abs=1e-5)


def test_a_training_that_diverged_at_an_evaluation_is_recorded(records, tmp_path):
    imp = records["imp"]
    unit = imp.units["search-level-1"]
    changed = {**unit, "losses": [math.nan, *unit["losses"][1:]], "judged": [-math.inf, *unit["losses"][1:]]}
    record = dataclasses.replace(imp, units={**imp.units, "search-level-1": changed})
    TaskRecord.of({"imp": record}).save(tmp_path / "runs")
    course = TaskRecord.load(tmp_path / "runs").courses["imp"][0]
    assert course["losses"] == course["judged"] == [None, *unit["losses"][1:]]


def test_a_record_without_logits_is_read_and_says_so(recorded, tmp_path):
    """Format 3, as in the recorded studies that ship."""
    recorded.save(tmp_path / "new.safetensors")
    arrays, about = read_arrays(tmp_path / "new.safetensors", task_record.KIND, task_record.FORMAT, "")
    arrays = {name: values for name, values in arrays.items() if not name.startswith("logits/")}
    del about["courses"]
    write_arrays(tmp_path / "old.safetensors", task_record.KIND, 3, arrays, about)
    old = TaskRecord.load(tmp_path / "old.safetensors")
    sparsity = recorded.levels[0]
    assert old.courses == old.logits == {} and old.score("imp", sparsity) == recorded.score("imp", sparsity)
    with pytest.raises(DataError, match=r"has no logits of imp; record it again"):
        old.log_likelihood("imp", sparsity)
    assert recorded.joined(old).courses == recorded.courses
    write_arrays(tmp_path / "lacking.safetensors", task_record.KIND, task_record.FORMAT, arrays, about)
    with pytest.raises(FileError, match="courses"):
        TaskRecord.load(tmp_path / "lacking.safetensors")


def test_a_task_record_keeps_the_scores_of_regression(regression, tmp_path):
    record = rp.RunRecord.load(regression)
    TaskRecord.of({"search": record}).save(tmp_path / "runs")
    loaded = TaskRecord.load(tmp_path / "runs")
    assert loaded.score("search", 0.5) == record.score("search-level-1") and not loaded.logits
    said, labels = record.answers("search-level-1")
    assert (loaded.log_likelihood("search", 0.5) == -np.square(said.astype(np.float64) - labels)).all()


@pytest.mark.parametrize("labels", [2, 3, 5])
def test_a_task_record_keeps_any_number_of_labels(recorded, labels, tmp_path):
    random = np.random.default_rng(0)
    made = dataclasses.replace(
        recorded,
        labels=random.integers(labels, size=13),
        dense=np.zeros(13, dtype=np.int64),
        answers={name: random.integers(labels, size=(2, 13)) for name in recorded.methods},
        logits={},
    )
    made.save(tmp_path / "runs")
    loaded = TaskRecord.load(tmp_path / "runs")
    assert np.array_equal(loaded.labels, made.labels) and np.array_equal(loaded.dense, made.dense)
    assert all(np.array_equal(loaded.answers[name], made.answers[name]) for name in made.methods)


def test_two_task_records_can_be_joined(recorded, records):
    single = [TaskRecord.of({name: record}) for name, record in records.items()]
    both = single[0].joined(single[1])
    assert both.recipes == recorded.recipes and both.candidates == recorded.candidates
    sparsity = recorded.levels[0]
    assert both.difference("search", "imp", sparsity) == recorded.difference("search", "imp", sparsity)
    assert both.courses == recorded.courses and both.logits.keys() == recorded.logits.keys()
    others = dataclasses.replace(recorded, labels=1 - recorded.labels)
    for other, message in (
        (dataclasses.replace(recorded, seed=9), "differ in seed: 0 and 9"),
        (others, "same test examples"),
    ):
        with pytest.raises(RunError, match=message):
            recorded.joined(other)


def test_errors_name_a_missing_method_level_or_file(recorded, tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'search'"):
        recorded.score("serch", 0.9)
    with pytest.raises(UnknownNameError, match=r"unknown level '0\.7'"):
        recorded.difference("search", "imp", 0.7)
    (tmp_path / "text").write_text("nothing")
    for name, message in (("missing", "there is no task record"), ("text", "text is damaged")):
        with pytest.raises(FileError, match=message):
            TaskRecord.load(tmp_path / name)


def test_a_task_record_of_different_or_unfinished_runs_is_refused(records, regression, tmp_path):
    other = rp.RunRecord.load(regression)
    with pytest.raises(RunError, match=r"differ in levels: \(0\.5, 0\.9\) and \(0\.5,\)"):
        TaskRecord.of({**records, "other": other})
    copy = shutil.copytree(records["imp"].path, tmp_path / "copy")
    lines = (copy / "journal.jsonl").read_text().splitlines(keepends=True)
    (copy / "journal.jsonl").write_text("".join(lines[:-1]))
    with pytest.raises(RunError, match="not finished"):
        TaskRecord.of({"imp": rp.RunRecord.load(copy)})
