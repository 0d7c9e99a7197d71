"""The results and the controls of a study as tidy tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from randprune_lab.analysis.contrasts import KEY
from randprune_lab.analysis.pairs import comparisons, primary_differences
from randprune_lab.analysis.recorded import FILE, write_table
from randprune_lab.analysis.results import study_table
from randprune_lab.analysis.shipped import recorded_controls, recorded_results
from randprune_lab.errors import ConfigError, RunError
from randprune_lab.files import atomic_path
from randprune_lab.search.units import DENSE
from randprune_lab.study.config import CONTROLS, StudyConfig
from randprune_lab.study.controls import BARE
from randprune_lab.study.grid import Grid

if TYPE_CHECKING:
    import pandas as pd


TABLES = ("results", "controls", "comparisons", "primary")
"""The names of the tables in the folder of a study."""


def write_results(grid: Grid, record: str | Path | None = None) -> list[Path]:
    """Write the tables of a study into its folder, each as CSV and Parquet.

    These are `results` and `controls`, `comparisons` if its methods are combinations of factors, and `primary` if it
    has primary differences.

    Args:
        grid: the study.
        record: the folder of its record, whose controls are written, and whose results are compared, so that what was
            done elsewhere is in both.

    Returns:
        The written files.

    Raises:
        RunError: if no unit is finished.
    """
    written = []
    results, config = study_results(grid), grid.config
    tables = {"results": results, "controls": recorded_controls(record) if record else study_controls(grid)}
    results = recorded_results(record) if record else results
    compared = results[results.method.isin([*config.combinations])]
    if config.chosen:  # another seed of the task chooses
        compared = compared[compared.groupby("task").seed.transform("nunique") > 1]
    if len(compared):
        tables["comparisons"] = comparisons(compared, config.combinations, config.chosen)
    if config.primary:
        tables["primary"] = _primary(results, config)
    for name, table in tables.items():
        written += [grid.path / f"{name}.csv", grid.path / f"{name}.parquet"]
        write_table(written[-2], table)
        with atomic_path(written[-1]) as temporary:
            table.to_parquet(temporary, index=False)
    return written


def recorded_primary(folder: str | Path) -> pd.DataFrame:
    """The differences that a recorded study was made to test; the table of `analysis.pairs.primary_differences`.

    Raises:
        FileError: if a file of the record is missing or damaged.
        ConfigError: if nothing was written down before the study.
    """
    config = StudyConfig.load_json(Path(folder) / FILE)
    if not config.primary:
        raise ConfigError(f"the study in {folder} has no primary differences; choose a record of one that has")
    return _primary(recorded_results(folder), config)


def _primary(results: pd.DataFrame, config: StudyConfig) -> pd.DataFrame:
    units = len(config.tasks) * len(config.seeds)
    return primary_differences(results, config.primary, config.combinations, config.chosen, units)


def study_results(grid: Grid) -> pd.DataFrame:
    """The results of all finished units without damaged ones; columns: see `analysis.results.study_table`.

    Raises:
        RunError: if only controls are finished, or nothing.
    """
    records = {unit: record for unit, record in grid.records().items() if unit.method != CONTROLS}
    if not records:
        raise RunError(f"no method in {grid.path} is finished yet; go on with --resume")
    table = study_table([*records.values()], [unit.method for unit in records], grid.config.baseline)
    return in_order(table, grid.config)


def study_controls(grid: Grid) -> pd.DataFrame:
    """The controls of a study, in one table.

    Returns:
        A row for each task and seed whose controls are finished and not damaged.
        Columns: task, seed, metric; scores on the test set: majority, words and without-encoder (see `study.controls`),
        dense, and magnitude (pruned to the last level in one step, by magnitude); encoder, the dense score minus that
        without encoder, with its paired 95 % interval; included, whether this interval is above zero with the study's
        first seed, so that masks can matter on the task; empty while the controls of that seed are missing.

    Raises:
        RunError: if no controls are finished.
    """
    import pandas as pd

    rows = []
    for unit, record in grid.records().items():
        if unit.method != CONTROLS:
            continue
        encoder = record.difference(DENSE, BARE)
        rows.append(
            {
                "task": unit.task,
                "seed": unit.seed,
                "metric": record.task.primary_metric,
                **record.units[CONTROLS],
                "dense": record.score(DENSE).estimate,
                "magnitude": record.score(record.last).estimate,
                "encoder": encoder.estimate,
                "encoder_low": encoder.low,
                "encoder_high": encoder.high,
            }
        )
    table = pd.DataFrame(rows)
    if table.empty:
        raise RunError(f"no controls in {grid.path} are finished yet; go on with --resume")
    return with_included(table, grid.config)


def with_included(table: pd.DataFrame, config: StudyConfig) -> pd.DataFrame:
    """The table of controls with the column `included`. The study's first seed decides it for all seeds."""
    first = table[table.seed == config.seeds[0]].set_index("task").encoder_low
    return table.assign(included=table.task.map(first > 0).astype("boolean"))


def in_order(table: pd.DataFrame, config: StudyConfig) -> pd.DataFrame:
    """The table with tasks and methods in the order of the study's settings."""
    places = {"task": list(config.tasks), "method": [DENSE, *config.methods]}

    def key(column: pd.Series) -> pd.Series:
        return column.map(places[column.name].index) if column.name in places else column

    keys = [name for name in KEY if name in table]  # the table of controls has only the first two
    return table.sort_values(keys, key=key).reset_index(drop=True)
