"""What the pages say that the studies found is what is recorded of them."""

from __future__ import annotations

import itertools
from dataclasses import astuple

from docs.pages import ROOT, table_rows, text

from randprune_lab.analysis.intervals import Interval
from randprune_lab.analysis.results import ALL, GAIN, answer, contrast, contrasts, gains, seed_by_seed, split_of_gain
from randprune_lab.analysis.shipped import data_folder, recorded_controls, recorded_results, recorded_runs

README, STUDY, TEACHING = ROOT / "README.md", ROOT / "docs" / "study.md", ROOT / "docs" / "teaching.md"
LOOKED = "seed == 0 and task in ('stsb', 'qnli')"
"""Of the studies that looked for a gain, the rows that the guesses were made from."""


def test_the_table_of_the_study_is_that_of_its_record():
    controls, table = recorded_controls(), recorded_results()
    found = answer(table[table.task.isin(controls.task[controls.counts])])
    rows = [[f"`{method}`", *map(str, row)] for method, row in zip(found.index, found.to_numpy(), strict=True)]
    written = table_rows(README, ["method", *found.columns])
    assert [[name.partition(":")[0], *rest] for name, *rest in written] == rows


def test_what_is_said_of_the_published_search_over_more_tasks_is_that_of_the_record():
    controls, table = recorded_controls(), recorded_results()
    counted = set(controls.task[controls.counts])
    for sparsity, page in itertools.product((0.9375, 0.99), (README, STUDY)):
        for tasks in (set(table.task), counted | {"qqp"})[: 1 if page == README else 2]:
            assert points(gains(table[table.task.isin(tasks)], sparsity)["published"][ALL]) in text(page)


def test_what_is_said_of_the_parts_over_all_tasks_is_that_of_the_record():
    parts = list(split_of_gain(recorded_results(), 0.99).values())
    said = f"randomness at the same rate {points(parts[1])}, selection {points(parts[2])}."
    assert said in " ".join(text(STUDY).split())


def test_where_a_gain_was_looked_for_the_points_are_those_of_the_record():
    table = recorded_results(data_folder() / "recorded" / "gain")
    found = contrasts(table.query(LOOKED), GAIN)
    tasks = found[found.task != ALL].assign(points=lambda rows: [f"{100 * each:+.1f}" for each in rows.estimate])
    cells = tasks.groupby(["part", "sparsity"], sort=False).points.agg(", ".join).unstack()
    assert table_rows(STUDY, ["looked at", *map(percent, cells)]) == [[part, *cells.loc[part]] for part in GAIN]


def test_what_became_of_the_guesses_is_that_of_the_record():
    imps, looks, last = ["imp", "imp-4e-3"], [], []
    for name, layers in (("gain", "two layers"), ("small", "one layer")):
        folder = data_folder() / "recorded" / name
        looks.append(seed_by_seed(recorded_runs(folder), "published", imps, 0.998).add_prefix(f"{layers}, "))
        fresh = recorded_results(folder).query(f"not ({LOOKED})")
        last += [points(contrast(fresh, "published", imp, 0.998)[ALL]) for imp in imps]
    found = looks[0].join(looks[1], how="outer").fillna("")
    rows = {f"{task}, seed {seed}": list(row) for (task, seed), row in zip(found.index, found.to_numpy(), strict=True)}
    written = table_rows(STUDY, ["at 99.8 %", *(f"{name.replace('less ', 'less `')}`" for name in found)])
    assert [name for name, *_ in written][:2] == ["stsb, seed 0", "qnli, seed 0"]  # said to be those looked at
    assert {name: row for name, *row in written} == {**rows, "all tasks": last}


def test_what_else_is_said_of_the_guesses_is_that_of_the_record():
    folders = {name: data_folder() / "recorded" / name for name in ("gain", "small")}
    table, page = recorded_results(folders["gain"]), " ".join(text(STUDY).split())
    scores = table[table.sparsity == 0.998].pivot(index=["task", "seed"], columns="method", values="score")
    assert "scores {:.2f}, {:.2f} and {:.2f} with the three seeds".format(*scores.loc["stsb", "imp"]) in page
    selection = 100 * (scores["published"] - scores["random-short"])
    assert "({:+.1f}, {:+.1f}, {:+.1f} points)".format(*selection["stsb"]) in page
    others = selection.drop("stsb", level="task")
    assert f"({others.min():+.1f} to {others.max():+.1f})" in page
    steps = 100 * (scores["imp-4e-3"] - scores["magnitude-short"])["stsb"]
    assert "in the mean as much ({:+.1f}, {:+.1f}, {:+.1f})".format(*steps) in page
    assert abs(steps.mean() - selection["stsb"].mean()) < 2
    fresh = table.query(f"not ({LOOKED})")
    assert f"four times the ratios {points(gains(fresh, 0.99)['ratios-times-4'][ALL])} over tasks" in page
    small = seed_by_seed(recorded_runs(folders["small"]), "published", ["imp"], 0.99)
    assert f"one layer on QNLI {small.loc[('qnli', 1)].item()}" in page


def test_the_interval_that_teachers_are_told_of_is_that_of_the_record():
    found = seed_by_seed(recorded_runs(data_folder() / "recorded" / "small"), "published", ["imp"], 0.998)
    first, second = found.loc["stsb"].squeeze(axis=1)[:2]
    assert f"{first.replace('[+', '[').replace(', +', ', ')} points, and {second} with the next seed" in text(TEACHING)


def percent(sparsity: float) -> str:
    return f"{100 * sparsity:.4g} %"


def points(difference: Interval) -> str:
    return "{:+.1f} [{:+.1f}, {:+.1f}]".format(*(100 * each for each in astuple(difference)))
