"""What the README says that the study found is what its record says."""

from __future__ import annotations

from pathlib import Path

from randprune_lab.analysis.results import answer
from randprune_lab.analysis.shipped import recorded_controls, recorded_results

README = Path(__file__).parents[2] / "README.md"


def test_the_table_of_the_study_is_that_of_its_record():
    controls, table = recorded_controls(), recorded_results()
    found = answer(table[table.task.isin(controls.task[controls.counts])])
    rows = [[f"`{method}`", *map(str, row)] for method, row in zip(found.index, found.to_numpy(), strict=True)]
    lines = [line.strip("|").split("|") for line in README.read_text("utf-8").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line] for line in lines]
    head = ["method", *found.columns]
    first = cells.index(head) + 2  # after the rule below the head
    assert [[name.partition(":")[0], *rest] for name, *rest in cells[first : first + len(rows)]] == rows
