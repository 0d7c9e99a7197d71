"""GLUE from the Hugging Face hub, or from a local folder in the hub's layout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from randprune_lab.errors import DataError
from randprune_lab.tasks.corpus import Corpus, Row, make_rows, unused
from randprune_lab.tasks.spec import Task
from randprune_lab.tasks.tables import check_columns

if TYPE_CHECKING:
    import datasets

HUB_ID = "nyu-mll/glue"


def read_hub(task: Task, hub_id: str) -> Corpus:
    """The train and validation splits of a task; the test splits, whose labels are all -1, are not read.

    Raises:
        DataError: if the data set cannot be loaded, lacks a split or a column, or a row cannot be parsed.
    """
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    try:
        splits = load_dataset(hub_id, task.name)
    except (OSError, ValueError, DatasetsError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise DataError(
            f"cannot load {task.name!r} of data set {hub_id!r}: {reason}. Load it once with network access (it is then "
            "cached; with HF_HUB_OFFLINE=1 only the cache is used), or give a folder of GLUE's TSV files with "
            "--glue-dir (glue_dir=...); task 'rotten_tomatoes' works offline, as do your own data (--data)"
        ) from error
    source = f"data set {hub_id}, {task.name}"
    test = "validation_matched" if task.further_tests else "validation"
    further = {name: _rows(task, splits, f"validation_{name}", source) for name in task.further_tests}
    used = ("train", test, *(f"validation_{name}" for name in task.further_tests))
    found = {name if name in used else unused(name): len(split) for name, split in splits.items()}
    return Corpus(source, _rows(task, splits, "train", source), _rows(task, splits, test, source), further, found)


def _rows(task: Task, splits: datasets.DatasetDict, split: str, source: str) -> list[Row]:
    place = f"{source}, {split}"
    columns = [*task.text_fields, "label"]
    if split not in splits:
        raise DataError(
            f"{source} has no split {split!r}; its splits are {', '.join(map(repr, splits))}; "
            "give a data set with GLUE's splits"
        )
    check_columns(place, columns, splits[split].column_names)
    table = splits[split].select_columns(columns)[:]
    fields = zip(*(table[column] for column in columns), strict=True)
    return make_rows(task, place, ((f"{place}, row {number}", row) for number, row in enumerate(fields)))
