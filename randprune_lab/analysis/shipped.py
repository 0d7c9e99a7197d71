"""Data that ships with the repository, in its folder `data`: recorded studies and pools, and published results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from randprune_lab.analysis.answer_record import WRITES, AnswerRecord
from randprune_lab.analysis.pool_record import PoolRecord
from randprune_lab.analysis.recorded import CONTROLS, FILE, RESULTS, parse_table, read_settings, read_table
from randprune_lab.analysis.task_record import TaskRecord
from randprune_lab.errors import FileError
from randprune_lab.files import reading

if TYPE_CHECKING:
    import pandas as pd

VARIABLE = "RANDPRUNE_DATA"
MARK = "reference_results.csv"
REFERENCES = {"method": str, "sparsity": float, "task": str, "metric": str, "value": float, "source": str}
"""The columns of the table of published results."""


def data_folder() -> Path:
    """The folder `data` of the repository.

    It is the folder that the environment variable RANDPRUNE_DATA names. Without the variable, it is beside the package,
    or in the working folder or a folder above.

    Raises:
        FileError: if it is in none of these places, for example because the package was installed from a wheel.
    """
    here = Path.cwd()
    beside = Path(__file__).resolve().parents[2] / "data"
    named = os.environ.get(VARIABLE)
    for folder in [Path(named)] if named else [beside, *(parent / "data" for parent in (here, *here.parents))]:
        if (folder / MARK).is_file():
            return folder
    looked = f"at {named}" if named else f"beside the package, in {here} or above"
    raise FileError(
        f"the folder data of the repository is not {looked}; clone the repository, "
        f"or give the path of the folder in the environment variable {VARIABLE}"
    )


def pool_records(folder: str | Path | None = None) -> list[PoolRecord]:
    """The pool records in a folder, sorted by task, seed, source of the masks and sparsity.

    Args:
        folder: a folder that `randprune bench early --out` wrote; without it, the one that ships.

    Raises:
        FileError: if the folder has no pool records, or one is damaged.
    """
    folder = data_folder() / "recorded" / "pools" if folder is None else Path(folder)
    pools = [PoolRecord.load(path) for path in sorted(folder.glob("*.safetensors"))]
    if not pools:
        raise FileError(f"no pool records (*.safetensors) in {folder}; `randprune bench early --out` writes them")
    return sorted(pools, key=lambda pool: (pool.task, pool.seed, pool.candidates_from != "voting", pool.sparsity))


def answer_records(folder: str | Path | None = None) -> list[AnswerRecord]:
    """The answer records in a folder, sorted by seed, task and sparsity.

    Args:
        folder: a folder that `randprune bench reporting --out` wrote; without it, the one that ships.

    Raises:
        FileError: if the folder has no answer records, or one is damaged.
    """
    folder = data_folder() / "recorded" / "answers" if folder is None else Path(folder)
    records = [AnswerRecord.load(path) for path in sorted(folder.glob("*.safetensors"))]
    if not records:
        raise FileError(f"no answer records (*.safetensors) in {folder}; {WRITES}")
    return sorted(records, key=lambda record: (record.seed, record.task, record.sparsity))


def reference_results() -> pd.DataFrame:
    """Published results on GLUE in percent, with their sources. Their settings differ, so they are not a ranking."""
    path = data_folder() / MARK
    with reading("table", path):
        return parse_table(path.read_bytes(), REFERENCES)


def recorded_results(folder: str | Path | None = None) -> pd.DataFrame:
    """The results of a recorded study; columns: see `analysis.results.results_table`.

    Args:
        folder: a folder that `randprune study --record` wrote; without it, the study on eight GLUE tasks that ships.

    Raises:
        FileError: if the folder has no results, or they are damaged.
    """
    return read_table(_study(folder, "results.csv"), RESULTS)


def recorded_controls(folder: str | Path | None = None) -> pd.DataFrame:
    """The scores of a recorded study without pruning; columns: see `study.table.study_controls`.

    Args:
        folder: see `recorded_results`.

    Raises:
        FileError: if the folder has no table of controls, or it is damaged.
    """
    return read_table(_study(folder, "controls.csv"), CONTROLS)


def task_records(folder: str | Path | None = None) -> list[TaskRecord]:
    """The task records of a recorded study, one for each task and seed, in the order of the results.

    Args:
        folder: see `recorded_results`.

    Raises:
        FileError: if a file is missing or damaged.
    """
    rows = recorded_results(folder)[["task", "seed"]].drop_duplicates()
    files = [f"{row.task}-seed-{row.seed}.safetensors" for row in rows.itertuples()]
    return [TaskRecord.load(_study(folder, file)) for file in files]


def recorded_contrasts(folder: str | Path | None = None) -> dict[str, tuple[str, str]]:
    """The contrasts of a recorded study: named differences between two methods, for `analysis.contrast_table`.

    Args:
        folder: see `recorded_results`.

    Raises:
        FileError: if the folder has no `study.json`, or it is damaged.
    """
    contrasts = read_settings(_study(folder, FILE))["contrasts"]
    return {name: (first, second) for name, (first, second) in contrasts.items()}


def _study(folder: str | Path | None, file: str) -> Path:
    path = (data_folder() / "recorded" / "study" if folder is None else Path(folder)) / file
    if not path.is_file():
        raise FileError(f"there is no {file} in {path.parent}; `randprune study --record` writes such a folder")
    return path
