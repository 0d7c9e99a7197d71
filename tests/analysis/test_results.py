"""The table of many runs has the results of each run."""

from __future__ import annotations

import dataclasses
import itertools
import shutil

import numpy as np
import pandas as pd
import pytest
from support.runs import change_unit, write_config

import randprune_lab as rp
from randprune_lab.analysis.contrasts import (
    contrast,
    contrast_means,
    contrast_table,
    differences,
    encoder_table,
    over_seeds,
    summary_table,
)
from randprune_lab.analysis.levels import training_steps
from randprune_lab.analysis.recorded import RESULTS
from randprune_lab.analysis.results import method_name, results_table
from randprune_lab.cli import main
from randprune_lab.errors import DataError, RunError, UnknownNameError
from randprune_lab.search.recorded_config import read_config
from randprune_lab.study import StudyConfig

CONTRASTS = StudyConfig.load("laptop-gain").contrasts


@pytest.fixture(scope="module")
def without_imp(config, tmp_path_factory) -> rp.RunRecord:
    """The same search with a learned allocation and no baselines."""
    changed = dataclasses.replace(config, learn="allocation", baselines=(), levels=(0.5,))
    return rp.RunRecord.load(rp.run(changed, tmp_path_factory.mktemp("without_imp") / "run", progress=False))


def test_scores_differences_and_steps_are_those_of_the_run(finished):
    record = rp.RunRecord.load(finished)
    table = results_table([record]).set_index(["method", "sparsity"])
    assert len(table) == 1 + 3 * 2
    for method in ("search", "imp", "uniform"):
        steps = 0
        for level in (row for row in training_steps(record) if row["method"] == method):
            row, number = table.loc[method, level["sparsity"]], level["level"]
            steps += level["candidates"] + level["winner"]
            score = record.score(f"{method}-level-{number}")
            assert (row.score, row.score_low, row.score_high) == (score.estimate, score.low, score.high)
            assert row.steps == steps
            paired = record.difference(f"{method}-level-{number}", f"imp-level-{number}")
            interval = (row.difference, row.difference_low, row.difference_high)
            assert interval == (paired.estimate, paired.low, paired.high)
    assert table.loc["dense", 0.0].score == record.score("dense").estimate
    assert (table.loc["imp"].difference == 0).all()


def test_a_run_without_imp_is_compared_with_the_imp_of_another_run(finished, without_imp):
    table = results_table([without_imp, rp.RunRecord.load(finished)])
    row = table[(table.method == "random allocation") & (table.sparsity == 0.5)].iloc[0]
    imp = table[(table.method == "imp") & (table.sparsity == 0.5)].iloc[0]
    assert row.difference == pytest.approx(row.score - imp.score)
    assert not table.duplicated(["run", "method", "sparsity"]).any()
    assert results_table([without_imp]).difference.isna().all()


@pytest.fixture
def altered(finished, tmp_path):
    """Makes a copy of the run, as if it had other settings; its IMP has the answers of its uniform masks."""

    def make(name: str, **settings) -> rp.RunRecord:
        copy = shutil.copytree(finished, tmp_path / name)
        write_config(copy, read_config(copy).to_dict() | settings)
        for number in (1, 2):
            answers = copy / "predictions" / f"test-uniform-level-{number}.safetensors"
            shutil.copy(answers, answers.with_name(f"test-imp-level-{number}.safetensors"))
        return rp.RunRecord.load(copy)

    return make


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({"candidates": 4}, [4]),
        ({"layers": 1}, [1]),
        ({"learning_rate": 2e-7}, [2e-7]),
        ({"sampling_ratios": [0.1, 0.25]}, ["0.1 0.25"]),
        ({"early_strategy": "race", "early_settings": {"looks": 3}}, ["race", '{"looks": 3}']),
        ({"baselines": ["imp"]}, ["imp"]),
    ],
)
def test_each_of_several_runs_has_its_rows_and_is_compared_with_its_own_imp(
    finished, altered, tmp_path, changed, shown
):
    records = [rp.RunRecord.load(finished), altered("other", **changed)]
    forwards, backwards = (results_table(order) for order in (records, records[::-1]))
    key = ["run", "method", "sparsity"]
    pd.testing.assert_frame_equal(*(table.sort_values(key, ignore_index=True) for table in (forwards, backwards)))
    rows = forwards.set_index(key).sort_index()
    assert len(rows) == sum(1 + 2 * len(record.methods) for record in records)
    own = [(record, record.level(number)) for record in records for number in (1, 2)]
    found = [rows.loc[(str(record.path), method_name(record.config), level.sparsity)] for record, level in own]
    expected = [record.difference(level.name, record.level(level.number, "imp").name) for record, level in own]
    assert [row.difference for row in found] == [interval.estimate for interval in expected]
    assert found[0].difference != found[2].difference or found[1].difference != found[3].difference
    assert set(rows.columns) - set(RESULTS) == {*changed}
    for setting, text in zip(changed, shown, strict=True):
        assert set(rows.loc[str(records[1].path), setting]) == {text}
    out = tmp_path / "table.csv"
    assert main(["results", *(str(record.path) for record in records), "--out", str(out)]) == 0
    written = pd.read_csv(out, dtype=str, keep_default_na=False)
    assert len(written) == len(rows)
    for setting, text in zip(changed, shown, strict=True):
        assert str(text) in set(written[setting])


def test_a_chosen_metric_does_not_replace_the_metric_of_the_scores(finished, altered):
    table = results_table([rp.RunRecord.load(finished), altered("other", metric="accuracy")])
    assert set(table.metric) == {"accuracy"}


@pytest.mark.parametrize(
    ("settings", "same"),
    [({"candidates": 4}, True), ({"power": 2.0}, True), ({"epochs": 2}, False), ({"levels": [0.4, 0.9]}, False)],
)
def test_the_imp_of_another_run_is_used_only_if_it_has_the_same_settings(finished, altered, settings, same):
    alone = altered("alone", baselines=["uniform"], **settings)
    record = rp.RunRecord.load(finished)
    for order in ((alone, record), (record, alone)):
        table = results_table(order)
        row = table[(table.run == str(alone.path)) & (table.method == "search") & (table.sparsity == 0.9)].iloc[0]
        if same:
            assert row.difference == record.difference("search-level-2", "imp-level-2").estimate
        else:
            assert np.isnan(row.difference)


def test_a_run_is_not_given_twice(finished):
    with pytest.raises(RunError, match="is given twice"):
        results_table([rp.RunRecord.load(finished), rp.RunRecord.load(finished / ".." / finished.name)])


def test_data_that_changed_between_two_runs_are_noticed(finished, altered):
    other = altered("other", candidates=4)
    change_unit(other.path, "data", fingerprint="0" * 64)
    with pytest.raises(RunError, match="not scored on the same test examples"):
        results_table([rp.RunRecord.load(finished), rp.RunRecord.load(other.path)])


def test_runs_on_different_examples_are_not_compared(finished, without_imp, tmp_path):
    copy = shutil.copytree(without_imp.path, tmp_path / "copy")
    change_unit(copy, "data", fingerprint="0" * 64)
    with pytest.raises(RunError, match="not scored on the same test examples"):
        results_table([rp.RunRecord.load(copy), rp.RunRecord.load(finished)])


def test_an_unfinished_run_is_refused(finished, tmp_path):
    copy = shutil.copytree(finished, tmp_path / "copy")
    lines = (copy / "journal.jsonl").read_text().splitlines(keepends=True)
    (copy / "journal.jsonl").write_text("".join(lines[:-1]))
    with pytest.raises(RunError, match="not finished; go on with --resume"):
        results_table([rp.RunRecord.load(copy)])


def test_the_command_writes_the_table(finished, tmp_path, capsys):
    out = tmp_path / "results.csv"
    assert main(["results", str(finished), "--out", str(out)]) == 0
    written, table = pd.read_csv(out), results_table([rp.RunRecord.load(finished)])
    pd.testing.assert_frame_equal(written, table, check_exact=False, atol=1e-6, check_dtype=False)
    assert f"7 rows: {out}" in capsys.readouterr().out


MADE_UP = pd.DataFrame(
    [
        {"task": task, "seed": seed, "method": method, "sparsity": 0.9, "score": score, "difference": difference}
        for task, seed, scores in (("a", 0, (0.8, 0.7)), ("a", 1, (0.9, 0.7)), ("b", 0, (0.5, 0.5)))
        for method, score, difference in (("search", scores[0], scores[0] - scores[1]), ("imp", scores[1], 0.0))
    ]
).assign(difference_low=lambda t: t.difference - 0.1, difference_high=lambda t: t.difference + 0.1)


@pytest.mark.parametrize(
    "use",
    [
        lambda table: differences(table, 0.9),
        lambda table: contrast(table, "search", "imp", 0.9),
        lambda table: summary_table(table.assign(steps=1), [0.9]),
        lambda table: over_seeds(table[(table.method == "search") & (table.task == "a")], "score", "seeds"),
    ],
)
def test_rows_of_different_settings_are_not_taken_for_seeds(use):
    use(pd.concat([MADE_UP, MADE_UP]))  # equal rows count once
    other = MADE_UP[MADE_UP.method == "search"].assign(score=0.1, difference=-0.1, run="other")
    with pytest.raises(DataError, match=r"2 different rows of search on a, seed 0, sparsity 0\.9"):
        use(pd.concat([MADE_UP.assign(run="one"), other]))


def test_differences_are_means_over_seeds_and_then_over_tasks():
    by_method = differences(MADE_UP, 0.9)
    assert set(by_method) == {"search"} and list(by_method["search"]) == ["a", "b", "all tasks"]
    assert by_method["search"]["a"].estimate == pytest.approx(0.15)
    assert by_method["search"]["all tasks"].estimate == pytest.approx(0.075)


def test_all_intervals_of_a_table_are_of_one_kind():
    """Over seeds if any method has several on a task, and then a single seed has none; or else over test examples."""
    several = differences(MADE_UP, 0.9)["search"]
    assert (
        np.isfinite([several["a"].low, several["a"].high]).all()
        and np.isinf([several["b"].low, several["b"].high]).all()
    )
    alone = differences(MADE_UP[MADE_UP.seed == 0], 0.9)["search"]
    for task, estimate in (("a", 0.1), ("b", 0.0)):
        assert (alone[task].low, alone[task].high) == pytest.approx((estimate - 0.1, estimate + 0.1))
    with pytest.raises(DataError, match="that of one seed, got 2"):
        over_seeds(MADE_UP[(MADE_UP.method == "search") & (MADE_UP.task == "a")], "difference", "examples")


def test_the_baseline_may_have_any_name():
    named = MADE_UP.assign(method=MADE_UP.method.replace("imp", "imp-5e-4"), steps=2)
    assert differences(named, 0.9, "imp-5e-4") == differences(MADE_UP, 0.9)
    summary = summary_table(named, [0.9], "imp-5e-4")
    assert list(summary["difference from imp-5e-4 at 90 % (points)"]) == ["+7.5 [-87.8, +102.8]", ""]
    with pytest.raises(UnknownNameError, match=r"method as baseline 'imp'; did you mean 'imp-5e-4'"):
        summary_table(named, [0.9])


def test_a_level_that_the_table_lacks_is_named():
    """As those of the default, in a study with other levels."""
    with pytest.raises(UnknownNameError, match=r"unknown level '0\.9375'; did you mean '0\.9'"):
        summary_table(MADE_UP)


def test_contrasts_that_no_unit_has_make_a_table_without_rows():
    found = contrast_table(MADE_UP, {"absent": ("search", "one-mask")})
    assert [*found] == ["contrast", "sparsity", "task", "estimate", "low", "high"] and found.empty


def test_the_summary_has_points_and_steps_relative_to_imp():
    steps = MADE_UP.method.map({"search": 30, "imp": 120}) * (1 + MADE_UP.seed)
    summary = summary_table(MADE_UP.assign(steps=steps), [0.9])
    assert list(summary.index) == ["search", "imp"] and list(summary.seeds) == [1, 1]  # task b has one seed
    assert list(summary["steps (IMP = 1)"]) == ["0.25", "1.00"]
    assert list(summary["difference from IMP at 90 % (points)"]) == ["+7.5 [-87.8, +102.8]", ""]
    without_b = MADE_UP[(MADE_UP.method == "imp") | (MADE_UP.task == "a")].assign(steps=steps)
    assert list(summary_table(without_b, [0.9]).seeds) == [0, 1]


def test_searches_are_named_after_their_strategy_and_learning():
    names = [
        method_name(rp.RunConfig(**settings))
        for settings in (
            {},
            {"early_strategy": "race"},
            {"learn": "allocation"},
            {"learn": "allocation", "generations": 2},
            {"learn": "inclusion", "generations": 2},
            {"method": "mine", "early_strategy": "race"},
        )
    ]
    assert names == ["search", "search, race", "random allocation", "learned allocation", "learned inclusion", "mine"]


def scores(pairs, sparsities=(0.9,)):
    """Random scores of every method in the pairs, on three tasks with three seeds."""
    random = np.random.default_rng(0)
    methods = sorted({method for pair in pairs for method in pair})
    return [
        {"task": task, "seed": seed, "method": method, "sparsity": sparsity, "score": random.random()}
        for task, seed, method, sparsity in itertools.product("abc", range(3), methods, sparsities)
    ]


def test_the_table_of_contrasts_has_the_intervals_of_each_contrast():
    table = pd.DataFrame(scores(CONTRASTS.values(), (0.99, 0.9)))
    contrasts = contrast_table(table, CONTRASTS)
    keys = list(zip(contrasts.contrast, contrasts.sparsity, contrasts.task, strict=True))
    assert keys == list(itertools.product(CONTRASTS, (0.9, 0.99), (*"abc", "all tasks")))
    for name, sparsity in itertools.product(CONTRASTS, (0.9, 0.99)):
        rows = contrasts[(contrasts.contrast == name) & (contrasts.sparsity == sparsity)]
        expected = contrast(table, *CONTRASTS[name], sparsity).values()
        assert rows[["estimate", "low", "high"]].to_numpy().tolist() == [[i.estimate, i.low, i.high] for i in expected]
    some = table[table.method != "random-brief"]
    assert set(CONTRASTS) - set(contrast_table(some, CONTRASTS).contrast) == {"one random mask, 1 epoch"}


def test_the_components_of_a_difference_add_up():
    contrasts = StudyConfig.load("laptop").contrasts
    rows = scores(contrasts.values())
    randomness, _, selection, steps, whole = contrast_means(pd.DataFrame(rows), contrasts, 0.9).values()
    assert whole.estimate == pytest.approx(randomness.estimate + selection.estimate - steps.estimate)
    some = [row for row in rows if row["method"] != "one-mask"]
    assert list(contrast_means(pd.DataFrame(some), contrasts, 0.9)) == list(contrasts)[3:]


def test_the_table_of_encoders_has_a_row_for_each_task_and_a_column_for_each_seed():
    rows = [("b", 0, 0.2, True), ("b", 1, 0.3, False), ("a", 1, -0.1, False)]
    controls = pd.DataFrame(
        {"task": task, "seed": seed, "encoder": gain, "encoder_low": gain - 0.1, "encoder_high": 1.0, "included": one}
        for task, seed, gain, one in rows
    )
    table = encoder_table(controls)
    assert table.loc["b"].tolist() == ["+20.0 [+10.0, +100.0]", "+30.0 [+20.0, +100.0]", "yes"]
    assert table.loc["a"].tolist() == ["", "-10.0 [-20.0, +100.0]", "no"]
    assert table.index.tolist() == ["b", "a"] and table.columns.tolist() == ["seed 0", "seed 1", "included"]


def test_the_table_of_encoders_has_its_seeds_in_order_and_says_what_is_unknown():
    row = {"task": "a", "encoder": 0.2, "encoder_low": 0.1, "encoder_high": 0.3, "included": None}
    controls = pd.DataFrame(row | {"seed": seed} for seed in (10, 9, 2)).astype({"included": "boolean"})
    table = encoder_table(controls)
    assert table.columns.tolist() == ["seed 2", "seed 9", "seed 10", "included"]
    assert table.included.tolist() == ["unknown"]
