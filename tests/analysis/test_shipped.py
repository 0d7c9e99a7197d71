"""The data that ships can be found and read; errors about missing data name a remedy."""

import itertools

import pytest
from support.made_up import answer_record
from support.made_up import pool as made_up_pool

from randprune_lab.analysis.contrasts import seed_by_seed
from randprune_lab.analysis.shipped import (
    answer_records,
    data_folder,
    pool_records,
    recorded_controls,
    recorded_results,
    reference_results,
    task_records,
)
from randprune_lab.errors import FileError
from randprune_lab.stats import intervals
from randprune_lab.study import StudyConfig


def test_pool_records_ship_and_are_sorted():
    pools = pool_records()
    keys = [(pool.task, pool.seed, pool.candidates_from != "voting", pool.sparsity) for pool in pools]
    assert keys == sorted(keys) and len(set(keys)) == len(keys) >= 6


def test_reference_results_have_their_sources():
    table = reference_results()
    assert {"method", "sparsity", "task", "metric", "value", "source"} == set(table) and table.source.notna().all()


def test_another_folder_of_pools_can_be_named(tmp_path):
    made_up_pool().save(tmp_path / "one.safetensors")
    assert [pool.task for pool in pool_records(tmp_path)] == ["mini-sst2"]
    with pytest.raises(FileError, match="no pool records"):
        pool_records(tmp_path / "none")


def test_answer_records_are_sorted_seed_by_seed(tmp_path):
    for task, seed in (("qnli", 1), ("qnli", 0), ("mnli", 1)):
        answer_record(task=task, seed=seed).save(tmp_path / f"{task}-{seed}.safetensors")
    assert [(one.seed, one.task) for one in answer_records(tmp_path)] == [(0, "qnli"), (1, "mnli"), (1, "qnli")]
    with pytest.raises(FileError, match="no answer records"):
        answer_records(tmp_path / "none")


def test_the_variable_names_the_folder_of_the_data(tmp_path, monkeypatch):
    monkeypatch.setenv("RANDPRUNE_DATA", str(tmp_path))
    with pytest.raises(FileError, match=r"clone the repository, or give the path of the folder in .* RANDPRUNE_DATA"):
        data_folder()
    (tmp_path / "reference_results.csv").write_text("method\n")
    assert data_folder() == tmp_path


STUDIES = {"study": "laptop", "gain": "laptop-gain", "small": "laptop-small", "rates": "laptop-rates"}
STUDIES |= {name: name for name in ("referee", "best-shot", "forget", "minilm", "minilm-tuning", "minilm-gradual")}


@pytest.fixture(params=STUDIES)
def folder(request):
    return data_folder() / "recorded" / request.param


def test_recorded_results_are_those_of_the_study_that_ships(folder):
    table, study = recorded_results(folder), StudyConfig.load(STUDIES[folder.name])
    levels = table[table.sparsity > 0].groupby(["task", "seed", "method"]).sparsity.agg(tuple)
    assert set(levels) == {study.levels} and set(table.task) == set(study.tasks)
    assert {study.baseline, "dense"} <= set(table.method) <= {"dense", *study.methods}
    assert (table.difference[table.method == study.baseline] == 0).all()


def test_recorded_scores_and_differences_follow_from_recorded_answers(folder, monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 2)  # the estimates do not depend on it
    table, baseline = recorded_results(folder), StudyConfig.load(STUDIES[folder.name]).baseline
    rows = table[table.sparsity > 0].set_index(["task", "seed", "method", "sparsity"])
    runs = task_records(folder)
    assert sum(len(run.methods) * len(run.levels) for run in runs) == len(rows)
    for run in runs:
        for method, sparsity in itertools.product(run.methods, run.levels):
            row = rows.loc[run.task, run.seed, method, sparsity]
            assert row.score == pytest.approx(run.score(method, sparsity).estimate, abs=1e-6)
            assert row.difference == pytest.approx(run.difference(method, baseline, sparsity).estimate, abs=1e-6)


def test_differences_seed_by_seed_are_those_of_each_run_that_has_the_methods():
    runs = task_records(data_folder() / "recorded" / "gain")
    table = seed_by_seed(runs, "search", ["imp", "imp-4e-3"], 0.998)
    complete = [run for run in runs if {"search", "imp", "imp-4e-3"} <= set(run.methods)]
    assert list(table.index) == [(run.task, run.seed) for run in complete] and len(complete) >= 2
    for run in complete:
        estimate = 100 * (run.score("search", 0.998).estimate - run.score("imp-4e-3", 0.998).estimate)
        assert table.loc[(run.task, run.seed), "minus imp-4e-3 (points)"].startswith(f"{estimate:+.1f} [")
    assert seed_by_seed(runs, "search", ["none such"], 0.998).empty


def test_controls_decide_which_tasks_are_included(folder):
    controls = recorded_controls(folder)
    first = controls[controls.seed == controls.seed.min()]
    assert (first.included == (first.encoder_low > 0)).all() and set(controls.task) == set(
        recorded_results(folder).task
    )


def test_a_folder_without_a_recorded_study_is_an_error_with_a_remedy(tmp_path):
    for read in (recorded_results, recorded_controls, task_records):
        with pytest.raises(FileError, match="randprune study --record"):
            read(tmp_path)
