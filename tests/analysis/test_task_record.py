"""A task record has the same results as the run folders."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest

import randprune_lab as rp
from randprune_lab.analysis.task_record import TaskRecord
from randprune_lab.errors import FileError, RunError, UnknownNameError


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


def test_a_task_record_keeps_the_scores_of_regression(regression, tmp_path):
    record = rp.RunRecord.load(regression)
    TaskRecord.of({"search": record}).save(tmp_path / "runs")
    assert TaskRecord.load(tmp_path / "runs").score("search", 0.5) == record.score("search-level-1")


@pytest.mark.parametrize("labels", [2, 3, 5])
def test_a_task_record_keeps_any_number_of_labels(recorded, labels, tmp_path):
    random = np.random.default_rng(0)
    made = dataclasses.replace(
        recorded,
        labels=random.integers(labels, size=13),
        dense=np.zeros(13, dtype=np.int64),
        answers={name: random.integers(labels, size=(2, 13)) for name in recorded.methods},
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
