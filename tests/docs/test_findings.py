"""What the pages say that the studies found is what is recorded of them."""

from __future__ import annotations

from docs.pages import ROOT, table_rows

from randprune_lab.analysis.results import ALL, GAIN, answer, contrasts
from randprune_lab.analysis.shipped import data_folder, recorded_controls, recorded_results


def test_the_table_of_the_study_is_that_of_its_record():
    controls, table = recorded_controls(), recorded_results()
    found = answer(table[table.task.isin(controls.task[controls.counts])])
    rows = [[f"`{method}`", *map(str, row)] for method, row in zip(found.index, found.to_numpy(), strict=True)]
    written = table_rows(ROOT / "README.md", ["method", *found.columns])
    assert [[name.partition(":")[0], *rest] for name, *rest in written] == rows


def test_where_a_gain_was_looked_for_the_points_are_those_of_the_record():
    table = recorded_results(data_folder() / "recorded" / "gain")
    found = contrasts(table[(table.seed == 0) & table.task.isin(["stsb", "qnli"])], GAIN)
    points = found[found.task != ALL].assign(points=lambda rows: [f"{100 * each:+.1f}" for each in rows.estimate])
    cells = points.groupby(["part", "sparsity"], sort=False).points.agg(", ".join).unstack()
    head = ["looked at", *(f"{100 * sparsity:.4g} %" for sparsity in cells)]
    assert table_rows(ROOT / "docs" / "study.md", head) == [[part, *cells.loc[part]] for part in GAIN]
