"""What ships with the repository beside the package: recorded pools and results of others, in its folder `data`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from randprune_lab.analysis.pool_record import PoolRecord
from randprune_lab.analysis.task_record import TaskRecord
from randprune_lab.errors import FileError

if TYPE_CHECKING:
    import pandas as pd

VARIABLE = "RANDPRUNE_DATA"
MARK = "reference_results.csv"


def data_folder() -> Path:
    """The folder `data`: where the variable RANDPRUNE_DATA says, beside the package, or above the working folder.

    Raises `FileError` if it is in none of these places, as with a package that was installed from a wheel.
    """
    here = Path.cwd()
    beside = Path(__file__).resolve().parents[2] / "data"
    named = os.environ.get(VARIABLE)
    for folder in [Path(named)] if named else [beside, *(parent / "data" for parent in (here, *here.parents))]:
        if (folder / MARK).is_file():
            return folder
    raise FileError(
        f"the folder data of the repository is not here ({named or here}); clone the repository, "
        f"or say where it is by the environment variable {VARIABLE}"
    )


def pool_records(folder: str | Path | None = None) -> list[PoolRecord]:
    """The pools of candidates that were trained to the end, of those that ship or of a folder of `bench early`.

    Sorted by task, seed, way of drawing and sparsity.
    """
    place = data_folder() / "recorded" / "pools" if folder is None else Path(folder)
    pools = [PoolRecord.load(path) for path in sorted(place.glob("*.safetensors"))]
    if not pools:
        raise FileError(f"no pool records (*.safetensors) in {place}; `randprune bench early --out` writes some")
    return sorted(pools, key=lambda pool: (pool.task, pool.seed, pool.candidates_from != "voting", pool.sparsity))


def reference_results() -> pd.DataFrame:
    """Results of other people on GLUE, in per cent, with their sources: a backdrop, not a ranking."""
    import pandas as pd

    return pd.read_csv(data_folder() / MARK)


def recorded_results(folder: str | Path | None = None) -> pd.DataFrame:
    """The results of the study on eight GLUE tasks, as `analysis.results.results_table` makes them.

    Args:
        folder: of a study of one's own, as `randprune study --record` writes it; so with the two below.
    """
    import pandas as pd

    return pd.read_csv(_study(folder, "results.csv"))


def recorded_controls(folder: str | Path | None = None) -> pd.DataFrame:
    """What can be had on each task of the study without masks, as `study.table.study_controls` makes it."""
    import pandas as pd

    return pd.read_csv(_study(folder, "controls.csv"))


def task_records(folder: str | Path | None = None) -> list[TaskRecord]:
    """All answers and early evaluations of the study, a record for each task and seed, in the order of the results."""
    places = recorded_results(folder)[["task", "seed"]].drop_duplicates()
    files = [f"{place.task}-seed-{place.seed}.safetensors" for place in places.itertuples()]
    return [TaskRecord.load(_study(folder, file)) for file in files]


def recorded_contrasts(folder: str | Path | None = None) -> dict[str, tuple[str, str]]:
    """The study's contrasts: named differences between two methods, as `analysis.results.contrast_table` takes them."""
    study = json.loads(_study(folder, "study.json").read_text("utf-8"))
    return {name: tuple(pair) for name, pair in study["contrasts"].items()}


def _study(folder: str | Path | None, file: str) -> Path:
    path = (data_folder() / "recorded" / "study" if folder is None else Path(folder)) / file
    if not path.is_file():
        raise FileError(f"there is no {file} in {path.parent}; `randprune study --record` writes such a folder")
    return path
