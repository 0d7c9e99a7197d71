"""Data of one's own: a CSV, TSV, JSONL or Parquet file, or a folder saved by `datasets`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from randprune_lab.errors import ColumnError, ConfigError, DataError
from randprune_lab.tasks.corpus import Corpus, Row, check_texts, unused
from randprune_lab.tasks.own_labels import class_name, is_unlabelled, score, sorted_classes, stored_class
from randprune_lab.tasks.spec import Task
from randprune_lab.tasks.tables import (
    Record,
    check_columns,
    parquet_classes,
    read_csv,
    read_jsonl,
    read_parquet,
    read_tsv,
)

if TYPE_CHECKING:
    import datasets

LabelKind = Literal["class", "score"]

MAX_CLASSES = 200
MAX_LENGTH = 128
REPORT_SPLITS = ("validation", "test")
METRICS: dict[str, tuple[str, ...]] = {"class": ("accuracy", "macro_f1"), "score": ("pearson", "spearman")}
READERS: dict[str, Callable[[Path, Sequence[str]], Iterable[Record]]] = {
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".jsonl": read_jsonl,
    ".json": read_jsonl,
    ".parquet": read_parquet,
}


@dataclass(frozen=True)
class OwnData:
    """Where data of one's own stand, and which of their columns are what.

    Without `report_data`, the report set is the folder's split `validation`, or else `test`, if it has labels; failing
    these, it is held out of the train rows.
    """

    data: str
    text_columns: tuple[str, ...] = ("text",)
    label_column: str = "label"
    label_kind: LabelKind = "class"
    report_data: str | None = None

    def __post_init__(self) -> None:
        columns = (*self.text_columns, self.label_column)
        if len(self.text_columns) not in (1, 2):
            raise ConfigError(f"text_columns must name one or two columns, got {len(self.text_columns)}")
        if len(set(columns)) < len(columns) or "label" in self.text_columns:
            raise ConfigError(
                "text_columns and label_column must differ, and no text column be called 'label', "
                f"got {' '.join(self.text_columns)} and {self.label_column}"
            )
        if self.label_kind not in METRICS:
            raise ConfigError(f"label_kind must be class or score, got {self.label_kind!r}")

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.text_columns, self.label_column)


class Table(NamedTuple):
    """One split as it was read: what errors call it, its rows, and the names of its classes where it says them."""

    place: str
    records: list[Record]
    classes: list[str] | None


def read_own_data(own: OwnData) -> tuple[Task, Corpus]:
    """The task that the data define, and their rows.

    Classes are those of the train rows, in the order that the data give them, or else sorted.

    Raises:
        DataError: if a file, a column or a value is missing, or a label is not of the kind asked for.
    """
    splits = _open(Path(own.data))
    train_name, report_name = _train_split(own, splits), _report_split(own, splits)
    train = _read(own, own.data, splits, train_name)
    if own.report_data is not None:
        report: Table | None = _read_report_data(own, own.report_data)
    else:
        report = _read(own, own.data, splits, report_name) if report_name else None
    task = _score_task(own, train, report) if own.label_kind == "score" else _class_task(own, train)
    found = {
        name if name in (train_name, report_name) else unused(name): _size(split, train)
        for name, split in splits.items()
    }
    if own.report_data is not None and report is not None:
        found["report"] = len(report.records)
    source = f"own data {train.place}, report set " + (f"{report.place}" if report else "held out of it")
    return task, Corpus(source, _rows(own, task, train), report and _rows(own, task, report), found=found)


# --- splits and their rows ---


def _open(path: Path) -> dict[str, Path | datasets.Dataset]:
    """The splits that stand at a path, by name; a file is one split, called `all`."""
    if not path.exists():
        raise DataError(f"there is no file or folder {path}; check --data and --report-data")
    if path.is_dir():
        return _open_saved(path)
    if path.suffix.lower() not in READERS:
        raise DataError(
            f"{path} is of no known kind; give a file that ends in {', '.join(READERS)}, or a folder that "
            "datasets saved (save_to_disk)"
        )
    return {"all": path}


def _open_saved(path: Path) -> dict[str, Path | datasets.Dataset]:
    from datasets import DatasetDict, load_from_disk

    try:
        saved = load_from_disk(str(path))
    except Exception as error:  # pyarrow and json add their own kinds
        reason = str(error).partition("\n")[0].rstrip(".")
        raise DataError(
            f"{path} is no folder that datasets saved (save_to_disk), or a damaged one: {reason}"
        ) from error
    return dict(saved) if isinstance(saved, DatasetDict) else {"all": saved}


def _train_split(own: OwnData, splits: dict[str, Any]) -> str:
    if "train" not in splits and len(splits) > 1:
        raise DataError(f"{own.data} has no split 'train'; its splits are {', '.join(map(repr, splits))}")
    return "train" if "train" in splits else next(iter(splits))


def _report_split(own: OwnData, splits: dict[str, Any]) -> str | None:
    """Which split of the data is the report set; None if it is given apart or must be held out."""
    if own.report_data is not None or len(splits) == 1:
        return None
    return next((name for name in REPORT_SPLITS if name in splits and _has_labels(own, splits[name])), None)


def _read_report_data(own: OwnData, data: str) -> Table:
    splits = _open(Path(data))
    if len(splits) > 1:
        raise DataError(f"{data} has the splits {', '.join(splits)}; give the folder of one of them")
    return _read(own, data, splits, next(iter(splits)))


def _has_labels(own: OwnData, split: Any) -> bool:
    """The hub's test sets have the label -1 in every row, or no column of labels."""
    return own.label_column in split.column_names and not all(map(is_unlabelled, split[own.label_column]))


def _read(own: OwnData, data: str, splits: dict[str, Path | datasets.Dataset], name: str) -> Table:
    split = splits[name]
    place = data if name == "all" else f"{data}, {name}"
    try:
        records, classes = _read_file(own, split) if isinstance(split, Path) else _read_saved(own, place, split)
    except ColumnError as error:
        raise ColumnError(f"{error}; name those to use with --text-columns and --label-column") from None
    if not records:
        raise DataError(f"{place} holds no rows; give data that has some")
    if all(is_unlabelled(values[-1]) for _, values in records):
        raise DataError(
            f"{place}: no row has a label in column {own.label_column!r}, all are -1 or missing, as in a test set "
            "without labels; give rows that have labels"
        )
    return Table(place, records, classes)


def _read_file(own: OwnData, path: Path) -> tuple[list[Record], list[str] | None]:
    kind = path.suffix.lower()
    records = list(READERS[kind](path, own.columns))
    return records, parquet_classes(path, own.label_column) if kind == ".parquet" else None


def _read_saved(own: OwnData, place: str, split: datasets.Dataset) -> tuple[list[Record], list[str] | None]:
    check_columns(place, own.columns, split.column_names)
    table = split.select_columns(list(own.columns))[:]
    values = zip(*(table[column] for column in own.columns), strict=True)
    classes = getattr(split.features[own.label_column], "names", None)
    return [(f"{place}, row {number}", row) for number, row in enumerate(values)], classes


def _size(split: Path | datasets.Dataset, train: Table) -> int:
    return len(train.records) if isinstance(split, Path) else len(split)


# --- what is learned from them ---


def _class_task(own: OwnData, train: Table) -> Task:
    names = train.classes or sorted_classes(
        {_class_of(own, train, place, values[-1]) for place, values in train.records}
    )
    rows = len(train.records)
    if len(names) > MAX_CLASSES or (len(names) > 2 and 2 * len(names) > rows):
        raise DataError(
            f"{train.place}: column {own.label_column!r} holds {len(names)} different labels in {rows} rows, too many "
            f"for classes (at most {MAX_CLASSES}, and two rows for each); name another column with --label-column, "
            "or learn scores with --label-kind score"
        )
    return _task(own, labels=tuple(names))


def _score_task(own: OwnData, *tables: Table | None) -> Task:
    scores = [
        score(own.label_column, place, values[-1]) for table in tables if table for place, values in table.records
    ]
    return _task(own, score_range=(min(scores), max(scores)))


def _task(own: OwnData, *, labels: tuple[str, ...] = (), score_range: tuple[float, float] | None = None) -> Task:
    return Task(
        name=Path(own.data).stem,
        description=f"Data of one's own: column {own.label_column!r} of {own.data}",
        text_fields=own.text_columns,
        labels=labels,
        metrics=METRICS[own.label_kind],
        max_length=MAX_LENGTH,
        score_range=score_range,
    )


def _rows(own: OwnData, task: Task, table: Table) -> list[Row]:
    ids = {name: index for index, name in enumerate(task.labels)}
    rows = []
    for place, (*texts, value) in table.records:
        check_texts(place, own.text_columns, texts, allow_empty=False)
        if task.regression:
            label: int | float = score(own.label_column, place, value)
        else:
            name = _class_of(own, table, place, value)
            if name not in ids:
                known = ", ".join(task.labels)
                raise DataError(f"{place}: unknown label {name!r}; the train rows of {own.data} have {known}")
            label = ids[name]
        rows.append(Row(tuple(texts), label))
    return rows


def _class_of(own: OwnData, table: Table, place: str, value: Any) -> str:
    if table.classes:
        return stored_class(own.label_column, place, value, table.classes)
    return class_name(own.label_column, place, value)
