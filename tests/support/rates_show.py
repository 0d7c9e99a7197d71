"""What the page of results says of the study `laptop-rates`, made from its record."""

from __future__ import annotations

from typing import Any

import pandas as pd

from randprune_lab.analysis.pairs import at_chosen
from randprune_lab.analysis.parts import RATE_FIRST, RATE_LAST, alike_but_for, parts_by_level, parts_table
from randprune_lab.stats.tasks import over_tasks
from randprune_lab.study import StudyConfig
from support.pages import markdown_table

PICTURE = "rates.png"
"""The figure of the parts, beside the page: `figures.difference_parts` of `parts_by_level`."""
SPARSITIES = (0.9375, 0.99)
PATHS = (RATE_LAST, RATE_FIRST)
PAIRS = {
    "search minus IMP, both at 2e-3": ("search-2e-3", "imp"),
    "search minus IMP, both at 4e-3": ("search", "imp-4e-3"),
    "search at 4e-3 minus IMP at 2e-3, as in `laptop`": ("search", "imp"),
    "IMP: 4e-3 minus 2e-3": ("imp-4e-3", "imp"),
    "search: 4e-3 minus 2e-3": ("search", "search-2e-3"),
}
"""First and second method, with 11 epochs a level each."""
CHOSEN = "search minus IMP, each at the rate that its other seeds choose"


def rates_show(table: pd.DataFrame, study: dict[str, Any]) -> str:
    """The text below the heading, from the recorded results and settings."""
    table = complete(table)
    config = StudyConfig.load("laptop-rates")
    lines, seeds = [shown_units(table, config)], table.groupby("task").seed.nunique()
    if len(seeds) < len(config.tasks):
        return lines[0]
    lines += ["", f"![The difference of search and IMP, and its parts, at each level]({PICTURE})", ""]
    parts = parts_table(parts_by_level(table[table.sparsity.isin(SPARSITIES)], PATHS))
    lines += markdown_table(["search at 4e-3 minus IMP at 2e-3", *parts], parts)
    rows = {name: difference(table, *pair) for name, pair in PAIRS.items()}
    if seeds.min() > 1:
        chosen = at_chosen(table, alike_but_for("learning_rate", study), "learning_rate")
        rows[CHOSEN] = difference(chosen, "search", "imp")
    lines += ["", *markdown_table(["with 11 epochs a level each", *parts], pd.DataFrame(rows, index=parts.columns).T)]
    return "\n".join(lines)


def shown_units(table: pd.DataFrame, config: StudyConfig) -> str:
    """How many of the tasks and seeds of a study a table has."""
    every, units = len(config.tasks) * len(config.seeds), table.groupby(["task", "seed"]).ngroups
    seeds = table.groupby("task").seed.nunique()
    if len(seeds) < len(config.tasks):
        return f"The record has {units} of the {every} tasks and seeds, and not yet one seed of each task."
    few = ", so this is preliminary" if units < every else ""
    done = ", ".join(f"{task.upper()} {number} {'seeds' if number > 1 else 'seed'}" for task, number in seeds.items())
    return f"The record has {units} of the {every} tasks and seeds{few} ({done})."


def complete(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the tasks and seeds that have all methods."""
    methods = set(StudyConfig.load("laptop-rates").methods)
    return table.groupby(["task", "seed"]).filter(lambda rows: methods <= set(rows.method))


def difference(table: pd.DataFrame, first: str, second: str) -> list[str]:
    """The cells of a row: the first method minus the second at each sparsity, with intervals over tasks."""
    cells = []
    for sparsity in SPARSITIES:
        wide = table[table.sparsity == sparsity].pivot(index=["task", "seed"], columns="method", values="score")
        values = (wide[first] - wide[second]).dropna().groupby(level="task")
        cells.append(over_tasks({str(task): each.tolist() for task, each in values}).in_points(signed=True))
    return cells
