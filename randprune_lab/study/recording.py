"""Records a study in a small folder without texts or weights, which can be shared and can grow in several sessions.

The folder has `study.json`, the tables `results.csv` and `controls.csv`, and for each task and seed a file
`TASK-seed-S.safetensors`, which `analysis.task_records` reads.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from randprune_lab.analysis import recorded
from randprune_lab.analysis.contrasts import KEY
from randprune_lab.analysis.recorded import ENDS, FILE, RESULTS, read_table, write_tables
from randprune_lab.analysis.run_record import RunRecord
from randprune_lab.analysis.task_record import TaskRecord
from randprune_lab.errors import FileError, RunError
from randprune_lab.files import given_path
from randprune_lab.locks import alone_in
from randprune_lab.search.units import DENSE
from randprune_lab.study.config import CONTROLS, StudyConfig
from randprune_lab.study.grid import Grid, Unit, check_grown
from randprune_lab.study.table import in_order, study_controls, study_results, with_included

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("randprune_lab")


def record_study(grid: Grid, folder: str | Path) -> list[Path]:
    """Add the results of all finished units to a folder. Results of other units stay there.

    Any number of processes may do so at the same time: each waits for the others.

    Args:
        grid: the study.
        folder: the folder; it is made if it does not exist.

    Returns:
        The written files.

    Raises:
        RunError: if the folder has another study, or no unit is finished.
        LockedError: if another process records there and does not end within a minute.
        FileError: if the folder cannot be written or locked, or a file of it is damaged.
    """
    folder = given_path(folder)
    _check_place(grid, folder)
    new, controls = study_results(grid), study_controls(grid)
    with alone_in(folder):
        check_recorded(grid, folder)
        return _update(grid, folder, new, controls)


def _update(grid: Grid, folder: Path, new: pd.DataFrame, controls: pd.DataFrame) -> list[Path]:
    """Add the results and the controls of finished units to a folder, and return the written files."""
    written = []
    for runs in finished_records(grid):
        written.append(_file(folder, runs.task, runs.seed))
        if written[-1].is_file():
            runs = _joined(runs, TaskRecord.load(written[-1]))
        runs.save(written[-1])
    results = _with_differences(_added(folder / "results.csv", RESULTS, new), new, folder, grid.config.baseline)
    controls = with_included(_added(folder / "controls.csv", recorded.CONTROLS, controls), grid.config)
    # The results come last, because a unit counts as recorded if they have it.
    tables = {"controls.csv": in_order(controls, grid.config), "results.csv": in_order(results, grid.config)}
    return written + write_tables(folder, without_paths(grid.config).to_dict(), tables)


def finished_records(grid: Grid) -> Iterator[TaskRecord]:
    """A record of the finished methods of each task and seed of a study, without damaged ones."""
    places: dict[tuple[str, int], dict[str, RunRecord]] = {}
    for unit, run in grid.records().items():
        if unit.method != CONTROLS:
            places.setdefault((unit.task, unit.seed), {})[unit.method] = run
    return (TaskRecord.of(records) for records in places.values())


def recorded_units(folder: str | Path) -> frozenset[Unit]:
    """The units whose results and answers a folder has; none if the folder does not exist.

    Raises:
        FileError: if the results are damaged.
    """
    path = Path(folder) / "results.csv"
    if not path.is_file():
        return frozenset()
    rows = [row for row in read_table(path, RESULTS).itertuples() if row.method != DENSE]
    return frozenset(
        Unit(row.method, row.task, row.seed) for row in rows if _file(path.parent, row.task, row.seed).is_file()
    )


def check_recorded(grid: Grid, folder: Path) -> None:
    """Check that a folder can record a study.

    Raises:
        RunError: if the folder has another study, or is a file, or is the folder of the study itself.
        FileError: if a file of its record is damaged.
    """
    _check_place(grid, folder)
    if (folder / FILE).is_file():
        check_grown(without_paths(StudyConfig.load_json(folder / FILE)), without_paths(grid.config), folder)
    for name, columns in (("results.csv", RESULTS), ("controls.csv", recorded.CONTROLS)):
        if (folder / name).is_file():
            read_table(folder / name, columns)
    for task, seed in product(grid.config.tasks, grid.config.seeds):
        if (file := _file(folder, task, seed)).is_file():
            try:
                TaskRecord.load(file)
            except FileError as error:
                raise FileError(f"{error}; take a copy of it, or delete it, and what it had is done again") from error


def _check_place(grid: Grid, folder: Path) -> None:
    if folder.resolve() == grid.path.resolve():
        raise RunError(f"{folder} cannot be the folder of the study and of its record; choose another for one of them")
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file, and a record is a folder; choose another place")


def _file(folder: Path, task: str, seed: int) -> Path:
    """The record of a task and seed."""
    return folder / f"{task}-seed-{seed}.safetensors"


def without_paths(config: StudyConfig) -> StudyConfig:
    """The study without the places of its data and models, which do not belong to it: only their names remain."""
    settings = {name: value for name, value in config.settings.items() if name != "glue_dir"}
    config = dataclasses.replace(config, settings=settings).with_paths(lambda data: Path(data).name)
    return config.with_paths(
        lambda model: Path(model).name if Path(model).is_absolute() or Path(model).is_dir() else model, ("model",)
    )


def _joined(new: TaskRecord, old: TaskRecord) -> TaskRecord:
    if not np.array_equal(old.dense, new.dense):
        log.warning(
            "%s seed %d: the dense model answers otherwise than the recorded one, as can happen on another machine",
            *(new.task, new.seed),
        )
    return new.joined(old)


def _added(path: Path, columns: Mapping[str, type], new: pd.DataFrame) -> pd.DataFrame:
    """A table, with the rows of other units from a file."""
    import pandas as pd

    if not path.is_file():
        return new
    keys = [name for name in KEY if name in new]
    both = pd.concat([new, read_table(path, columns)], ignore_index=True)
    return both.drop_duplicates(keys)


def _with_differences(table: pd.DataFrame, new: pd.DataFrame, folder: Path, baseline: str) -> pd.DataFrame:
    """Add the differences from a baseline that was recorded at another time, or that is recorded again here.

    Another machine may answer otherwise with the same baseline; all rows are compared with the one in the record.

    Args:
        table: `new`, and after it the rows that were recorded before.
    """
    import pandas as pd

    @cache
    def runs(task: str, seed: int) -> TaskRecord:
        return TaskRecord.load(_file(folder, task, seed))

    has, again = ({(row.task, row.seed) for row in rows[rows.method == baseline].itertuples()} for rows in (table, new))
    for index, row in table[table.method != DENSE].iterrows():
        place, old = (row.task, row.seed), index >= len(new)
        if place not in has or not (pd.isna(row.difference) or (old and place in again)):
            continue
        interval = runs(*place).difference(row.method, baseline, row.sparsity)
        table.loc[index, [f"difference{end}" for end in ENDS]] = [interval.estimate, interval.low, interval.high]
    return table
