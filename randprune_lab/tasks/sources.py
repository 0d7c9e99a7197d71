"""Where a task's data come from. A source is a function that returns a `Corpus`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from randprune_lab.errors import ConfigError
from randprune_lab.tasks.corpus import Corpus
from randprune_lab.tasks.glue_folder import read_glue_folder
from randprune_lab.tasks.hub import HUB_ID, read_hub
from randprune_lab.tasks.mini_glue import GENERATORS, MiniGlue, generate
from randprune_lab.tasks.movie_reviews import read_package
from randprune_lab.tasks.spec import Task

OFFLINE: dict[str, Callable[[Task], Corpus]] = {
    "rotten_tomatoes": read_package,
    **dict.fromkeys(GENERATORS, lambda task: generate(MiniGlue(task.name))),
}
"""Tasks whose source needs neither a folder nor a network."""


def read_corpus(task: Task, *, glue_dir: str | Path | None = None, hub_id: str = HUB_ID) -> Corpus:
    """All labelled rows of a task: from its offline source, else from `glue_dir`, else from the hub.

    Args:
        glue_dir: a folder of GLUE's TSV files in their original layout, such as `SST-2/train.tsv`.
        hub_id: a data set on the hub, or a local folder in the same layout.

    Raises:
        ConfigError: if `glue_dir` is given for a task that is not a GLUE task.
        DataError: if the data are not available, or a row cannot be parsed.
    """
    if task.glue is None:
        if glue_dir is not None:
            raise ConfigError(f"task {task.name!r} is not a GLUE task; remove glue_dir (--glue-dir)")
        return OFFLINE[task.name](task)
    if glue_dir is not None:
        return read_glue_folder(task, Path(glue_dir))
    return read_hub(task, hub_id)
