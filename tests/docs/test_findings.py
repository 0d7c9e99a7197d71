"""What the pages say that the studies found is what is recorded of them."""

from __future__ import annotations

import itertools
from dataclasses import astuple

import pytest
from docs.pages import ROOT, table_rows, text

from randprune_lab.analysis.intervals import Interval
from randprune_lab.analysis.results import ALL, GAIN, answer, contrasts, gains
from randprune_lab.analysis.shipped import data_folder, recorded_controls, recorded_results

README, STUDY = ROOT / "README.md", ROOT / "docs" / "study.md"


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


@pytest.fixture
def tried():
    """The study that looked for a gain, and which rows of it the guesses were made from."""
    table = recorded_results(data_folder() / "recorded" / "gain")
    return table, (table.seed == 0) & table.task.isin(["stsb", "qnli"])


def test_where_a_gain_was_looked_for_the_points_are_those_of_the_record(tried):
    table, looked = tried
    found = contrasts(table[looked], GAIN)
    tasks = found[found.task != ALL].assign(points=lambda rows: [f"{100 * each:+.1f}" for each in rows.estimate])
    cells = tasks.groupby(["part", "sparsity"], sort=False).points.agg(", ".join).unstack()
    assert table_rows(STUDY, ["looked at", *map(percent, cells)]) == [[part, *cells.loc[part]] for part in GAIN]


def test_what_became_of_the_guess_is_said_of_data_that_had_no_part_in_it(tried):
    table, looked = tried
    found = {sparsity: gains(table[~looked], sparsity)["published"] for sparsity in (0.9375, 0.99, 0.998)}
    rows = [[task, *(points(each[task]) for each in found.values())] for task in found[0.99]]
    assert table_rows(STUDY, ["`published` less `imp`", *map(percent, found)]) == rows


def percent(sparsity: float) -> str:
    return f"{100 * sparsity:.4g} %"


def points(difference: Interval) -> str:
    return "{:+.1f} [{:+.1f}, {:+.1f}]".format(*(100 * each for each in astuple(difference)))
