"""What ships with the repository beside the package: recorded pools and results of others, in its folder `data`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from randprune_lab.analysis.trained_pool import TrainedPool
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


def trained_pools(folder: str | Path | None = None) -> list[TrainedPool]:
    """The pools of candidates that were trained to the end, of those that ship or of a folder of `bench early`.

    Sorted by task, seed, way of drawing and sparsity.
    """
    place = data_folder() / "recorded" / "pools" if folder is None else Path(folder)
    pools = [TrainedPool.load(path) for path in sorted(place.glob("*.safetensors"))]
    if not pools:
        raise FileError(f"no trained pools (*.safetensors) in {place}; `randprune bench early --out` writes some")
    return sorted(pools, key=lambda pool: (pool.task, pool.seed, pool.candidates_from != "voting", pool.sparsity))


def reference_results() -> pd.DataFrame:
    """Results of other people on GLUE, in per cent, with their sources: a backdrop, not a ranking."""
    import pandas as pd

    return pd.read_csv(data_folder() / MARK)


def recorded_results() -> pd.DataFrame:
    """Our own results on the tasks of mini-GLUE, as `analysis.results.results_table` makes them."""
    import pandas as pd

    return pd.read_csv(data_folder() / "recorded" / "mini_glue.csv")
