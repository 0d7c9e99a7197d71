"""Many runs in one table say what each run says."""

from __future__ import annotations

import dataclasses
import itertools
import shutil

import numpy as np
import pandas as pd
import pytest

import randprune_lab as rl
from randprune_lab.analysis.levels import training_steps
from randprune_lab.analysis.results import (
    GAIN,
    PARTS,
    answer,
    contrast,
    contrasts,
    gains,
    ranks,
    results_table,
    search_name,
    split_of_gain,
)
from randprune_lab.cli import main
from randprune_lab.errors import RunError


@pytest.fixture(scope="module")
def alone(config, tmp_path_factory) -> rl.RunRecord:
    """The same search by allocation, without a baseline of its own."""
    asked = dataclasses.replace(config, learn="allocation", baselines=(), levels=(0.5,))
    return rl.RunRecord.load(rl.run(asked, tmp_path_factory.mktemp("alone") / "run", progress=False))


def test_scores_gains_and_steps_are_those_of_the_run(finished):
    record = rl.RunRecord.load(finished)
    table = results_table([record]).set_index(["method", "sparsity"])
    assert len(table) == 1 + 3 * 2
    for method, name in (("published", "randomized"), ("imp", "imp"), ("uniform", "uniform")):
        spent = 0
        for step in (each for each in training_steps(record) if each["method"] == name):
            row = table.loc[method, step["sparsity"]]
            spent += step["candidates"] + step["winner"]
            score = record.score(f"{name}-level-{step['level']}")
            assert (row.score, row.score_low, row.score_high) == (score.estimate, score.low, score.high)
            assert row.steps == spent
            gain = record.difference(f"{name}-level-{step['level']}", f"imp-level-{step['level']}")
            assert (row.gain, row.gain_low, row.gain_high) == (gain.estimate, gain.low, gain.high)
    assert table.loc["dense", 0.0].score == record.score("dense").estimate
    assert (table.loc["imp"].gain == 0).all()


def test_a_run_without_imp_is_held_against_that_of_another_run(finished, alone):
    table = results_table([alone, rl.RunRecord.load(finished)])
    row = table[(table.method == "random allocation") & (table.sparsity == 0.5)].iloc[0]
    imp = table[(table.method == "imp") & (table.sparsity == 0.5)].iloc[0]
    assert row.gain == pytest.approx(row.score - imp.score)
    assert not table.duplicated(["task", "seed", "method", "sparsity"]).any()
    assert results_table([alone]).gain.isna().all()


def test_runs_on_other_examples_are_not_compared(finished, alone, tmp_path):
    copy = shutil.copytree(alone.path, tmp_path / "copy")
    journal = copy / "journal.jsonl"
    fingerprint = alone.units["data"]["fingerprint"]
    journal.write_text(journal.read_text().replace(fingerprint, "0" * len(fingerprint)))
    with pytest.raises(RunError, match="not reported on the same examples"):
        results_table([rl.RunRecord.load(copy), rl.RunRecord.load(finished)])


def test_an_unfinished_run_is_refused(finished, tmp_path):
    copy = shutil.copytree(finished, tmp_path / "copy")
    lines = (copy / "journal.jsonl").read_text().splitlines(keepends=True)
    (copy / "journal.jsonl").write_text("".join(lines[:-1]))
    with pytest.raises(RunError, match="not finished; go on with --resume"):
        results_table([rl.RunRecord.load(copy)])


def test_the_command_writes_the_table(finished, tmp_path, capsys):
    out = tmp_path / "results.csv"
    assert main(["results", str(finished), "--out", str(out)]) == 0
    written, table = pd.read_csv(out), results_table([rl.RunRecord.load(finished)])
    pd.testing.assert_frame_equal(written, table, check_exact=False, atol=1e-6, check_dtype=False)
    assert f"7 rows: {out}" in capsys.readouterr().out


MADE_UP = pd.DataFrame(
    [
        {"task": task, "seed": seed, "method": method, "sparsity": 0.9, "score": score, "gain": gain}
        for task, seed, scores in (("a", 0, (0.8, 0.7)), ("a", 1, (0.9, 0.7)), ("b", 0, (0.5, 0.5)))
        for method, score, gain in (("published", scores[0], scores[0] - scores[1]), ("imp", scores[1], 0.0))
    ]
).assign(gain_low=lambda t: t.gain - 0.1, gain_high=lambda t: t.gain + 0.1)


def test_gains_are_means_over_seeds_and_then_over_tasks():
    found = gains(MADE_UP, 0.9)
    assert set(found) == {"published"} and list(found["published"]) == ["a", "b", "all tasks"]
    assert found["published"]["a"].estimate == pytest.approx(0.15)
    one = found["published"]["b"]
    assert (one.low, one.high) == pytest.approx((-0.1, 0.1))  # over examples, where there is one seed
    assert found["published"]["all tasks"].estimate == pytest.approx(0.075)


def test_ranks_share_ties():
    found = ranks(MADE_UP, 0.9)
    assert found["published"].estimate == pytest.approx((1 + 1 + 1.5) / 3)
    assert found["imp"].estimate == pytest.approx((2 + 2 + 1.5) / 3)


def test_a_method_that_lacks_a_task_or_seed_is_not_ranked():
    lacking = {"task": "a", "seed": 0, "method": "uniform", "sparsity": 0.9, "score": 0.99}
    assert ranks(pd.concat([MADE_UP, pd.DataFrame([lacking])]), 0.9) == ranks(MADE_UP, 0.9)


def test_the_answer_is_told_in_points_of_the_metric_and_in_steps_of_imp():
    steps = MADE_UP.method.map({"published": 30, "imp": 120}) * (1 + MADE_UP.seed)
    found = answer(MADE_UP.assign(steps=steps), [0.9])
    assert list(found.index) == ["published", "imp"] and list(found.seeds) == [1, 1]  # task b has one seed
    assert list(found.steps) == ["0.25", "1.00"]
    assert list(found["less IMP at 90 %"]) == ["+7.5 [-87.8, +102.8]", ""]
    assert list(found["rank at 90 %"]) == ["1.2", "1.8"]
    without_b = MADE_UP[(MADE_UP.method == "imp") | (MADE_UP.task == "a")].assign(steps=steps)
    assert list(answer(without_b, [0.9]).seeds) == [0, 1]


def test_searches_are_named_by_what_sets_them_apart():
    names = [
        search_name(rl.RunConfig(**settings))
        for settings in (
            {},
            {"early_strategy": "race"},
            {"learn": "allocation"},
            {"learn": "allocation", "generations": 2},
            {"learn": "weights", "generations": 2},
        )
    ]
    assert names == ["published", "race", "random allocation", "learned allocation", "learned weights"]


def scores(pairs, sparsities=(0.9,)):
    """Three tasks and seeds of every method of the pairs."""
    random = np.random.default_rng(0)
    methods = sorted({method for pair in pairs for method in pair})
    return [
        {"task": task, "seed": seed, "method": method, "sparsity": sparsity, "score": random.random()}
        for task, seed, method, sparsity in itertools.product("abc", range(3), methods, sparsities)
    ]


def test_contrasts_of_pairs_are_those_of_each_pair():
    table = pd.DataFrame(scores(GAIN.values(), (0.99, 0.9)))
    found = contrasts(table, GAIN)
    keys = list(zip(found.part, found.sparsity, found.task, strict=True))
    assert keys == list(itertools.product(GAIN, (0.9, 0.99), (*"abc", "all tasks")))
    for part, sparsity in itertools.product(GAIN, (0.9, 0.99)):
        own = found[(found.part == part) & (found.sparsity == sparsity)]
        each = contrast(table, *GAIN[part], sparsity).values()
        assert own[["estimate", "low", "high"]].to_numpy().tolist() == [[i.estimate, i.low, i.high] for i in each]
    some = table[table.method != "random-brief"]
    assert set(GAIN) - set(contrasts(some, GAIN).part) == {"one random mask, 1 epoch"}


def test_the_parts_of_a_gain_add_up():
    rows = scores(PARTS.values())
    randomness, _, selection, steps, whole = split_of_gain(pd.DataFrame(rows), 0.9).values()
    assert whole.estimate == pytest.approx(randomness.estimate + selection.estimate - steps.estimate)
    some = [row for row in rows if row["method"] != "one-candidate"]
    assert list(split_of_gain(pd.DataFrame(some), 0.9)) == list(PARTS)[3:]
