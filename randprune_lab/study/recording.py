"""What a study leaves to be handed on: a small folder without texts and weights, which grows from sitting to sitting.

It has `study.json`, the tables `results.csv` and `controls.csv`, and of each task and seed a file
`TASK-seed-S.safetensors` that `analysis.task_records` reads.
"""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from randprune_lab.analysis.results import ENDS
from randprune_lab.analysis.run_record import RunRecord
from randprune_lab.analysis.task_record import TaskRecord
from randprune_lab.files import write_json
from randprune_lab.search.units import DENSE
from randprune_lab.study.config import CONTROLS, StudyConfig
from randprune_lab.study.grid import FILE, Grid, Unit, check_grown
from randprune_lab.study.table import ROW, in_order, study_controls, study_results, with_included, write_csv

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("randprune_lab")


def record_study(grid: Grid, folder: str | Path) -> list[Path]:
    """Add what is finished to a folder; what it has already of other units stays.

    Raises `RunError` if it holds another study, or nothing is finished.
    """
    folder = Path(folder)
    check_recorded(grid.config, folder)
    places: dict[tuple[str, int], dict[str, RunRecord]] = {}
    for unit in grid.finished():
        if unit.method != CONTROLS:
            places.setdefault((unit.task, unit.seed), {})[unit.method] = RunRecord.load(grid.folder(unit))
    results, controls, written = study_results(grid), study_controls(grid), []
    for (task, seed), records in places.items():
        written.append(folder / f"{task}-seed-{seed}.safetensors")
        runs = TaskRecord.of(records)
        if written[-1].is_file():
            runs = _joined(runs, TaskRecord.load(written[-1]))
        runs.save(written[-1])
    write_json(folder / FILE, _without_paths(grid.config).to_dict())
    # The tables come last: what they have counts as done.
    results = _with_differences(_added(folder / "results.csv", results), folder, grid.config.baseline)
    controls = with_included(_added(folder / "controls.csv", controls), grid.config)
    for name, table in (("controls", controls), ("results", results)):
        written.append(write_csv(in_order(table, grid.config), folder / f"{name}.csv"))
    return written


def recorded_units(folder: str | Path) -> frozenset[Unit]:
    """The units that a folder has the results of; none if it is not there."""
    import pandas as pd

    path = Path(folder) / "results.csv"
    if not path.is_file():
        return frozenset()
    rows = pd.read_csv(path)
    return frozenset(Unit(row.method, row.task, int(row.seed)) for row in rows.itertuples() if row.method != DENSE)


def check_recorded(config: StudyConfig, folder: Path) -> None:
    """Raise `RunError` if a folder has the results of another study, `FileError` if it is damaged."""
    try:
        had = StudyConfig.load_json(folder / FILE)
    except FileNotFoundError:
        return
    check_grown(had, _without_paths(config), folder)


def _without_paths(config: StudyConfig) -> StudyConfig:
    """Where the data lay is no part of a study."""
    settings = {name: value for name, value in config.settings.items() if name != "glue_dir"}
    return dataclasses.replace(config, settings=settings)


def _joined(new: TaskRecord, had: TaskRecord) -> TaskRecord:
    if not np.array_equal(had.dense, new.dense):
        log.warning(
            "%s seed %d: the dense model answers otherwise than the one recorded, as happens on another machine",
            *(new.task, new.seed),
        )
    return new.joined(had)


def _added(path: Path, new: pd.DataFrame) -> pd.DataFrame:
    """A table with the rows that a file has of other units."""
    import pandas as pd

    if not path.is_file():
        return new
    keys = [name for name in ROW if name in new]
    both = pd.concat([new, pd.read_csv(path)], ignore_index=True)
    return both.drop_duplicates(keys)


def _with_differences(table: pd.DataFrame, folder: Path, baseline: str) -> pd.DataFrame:
    """Differences of methods to a baseline that was recorded at another time."""
    has = {(row.task, row.seed) for row in table[table.method == baseline].itertuples()}
    lacking = table[table.difference.isna() & (table.method != DENSE)]
    for index, row in lacking[[place in has for place in zip(lacking.task, lacking.seed, strict=True)]].iterrows():
        runs = TaskRecord.load(folder / f"{row.task}-seed-{row.seed}.safetensors")
        found = runs.difference(row.method, baseline, row.sparsity)
        table.loc[index, [f"difference{end}" for end in ENDS]] = [found.estimate, found.low, found.high]
    return table
