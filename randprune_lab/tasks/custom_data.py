"""Custom data: a CSV, TSV, JSONL or Parquet file, or a folder that `datasets` saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from randprune_lab.errors import ColumnError, ConfigError, DataError
from randprune_lab.files import given_path
from randprune_lab.tasks.corpus import Corpus, Row, check_texts, unused
from randprune_lab.tasks.custom_labels import (
    class_name,
    differ_in_float32,
    is_unlabelled,
    no_label,
    score,
    sorted_classes,
    stored_class,
    without_number,
)
from randprune_lab.tasks.spec import Task
from randprune_lab.tasks.tables import (
    Record,
    check_columns,
    is_folder,
    parquet_classes,
    read_csv,
    read_custom_tsv,
    read_jsonl,
    read_parquet,
    shown,
)
from randprune_lab.typed import take_types

if TYPE_CHECKING:
    import datasets

LabelKind = Literal["class", "score"]

MAX_CLASSES = 200
MAX_LENGTH = 128
TEST_SPLITS = ("validation", "test")
METRICS: dict[str, tuple[str, ...]] = {"class": ("accuracy", "macro_f1"), "score": ("pearson", "spearman")}
READERS: dict[str, Callable[[Path, Sequence[str]], Iterable[Record]]] = {
    ".csv": read_csv,
    ".tsv": read_custom_tsv,
    ".jsonl": read_jsonl,
    ".json": read_jsonl,
    ".parquet": read_parquet,
}


@dataclass(frozen=True)
class CustomData:
    """Where custom data are, and the meaning of their columns.

    Args:
        data: a CSV, TSV, JSONL or Parquet file, or a folder that `datasets` saved.
        text_columns: the names of one or two columns with texts.
        label_column: the name of the column with labels.
        label_kind: `"class"`, or `"score"` for regression.
        test_data: data with the test set. Without it, the test set is the folder's first split with labels among
            `validation` and `test`; if there is none, it is held out of the train rows.
        name: the name of the task, by default that of the file or folder.

    Raises:
        ConfigError: if a path is empty, a setting is of another type, there are not one or two text columns, columns
            have the same name, or there is no such kind.
    """

    data: str
    text_columns: tuple[str, ...] = ("text",)
    label_column: str = "label"
    label_kind: LabelKind = "class"
    test_data: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        for name in ("data", "test_data"):
            if (path := getattr(self, name)) is not None:
                object.__setattr__(self, name, _path(name, path))
        take_types(self)
        columns = (*self.text_columns, self.label_column)
        if len(self.text_columns) not in (1, 2):
            raise ConfigError(f"text_columns must name one or two columns, got {len(self.text_columns)}")
        if len(set(columns)) < len(columns) or "label" in self.text_columns:
            raise ConfigError(
                "text_columns and label_column must differ, and no text column may be called 'label', "
                f"got {', '.join(map(repr, self.text_columns))} and {self.label_column!r}; rename the columns"
            )

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.text_columns, self.label_column)


def _path(name: str, path: Any) -> str:
    text = str(path) if isinstance(path, Path) else path
    if not isinstance(text, str) or not text or "\0" in text:
        raise ConfigError(f"{name} must be the path of a file or folder, got {path!r}")
    given_path(text)
    return text


class Table(NamedTuple):
    """One split as it was read: its name in errors, its rows, and the names of its classes if the data store them."""

    place: str
    records: list[Record]
    classes: list[str] | None


def read_custom_data(custom: CustomData) -> tuple[Task, Corpus]:
    """The task that custom data define, and their rows.

    The classes are those that the data store, in their order, or else the sorted labels of the train rows.

    Raises:
        DataError: if a file, a column or a value is missing, or a label is not of the given kind.
    """
    splits = _open(Path(custom.data))
    train_name, test_name = _train_split(custom, splits), _test_split(custom, splits)
    train = _read(custom, custom.data, splits, train_name)
    if custom.test_data is not None:
        test: Table | None = _read_test_data(custom, custom.test_data)
    else:
        test = _read(custom, custom.data, splits, test_name) if test_name else None
    task = _score_task(custom, train, test) if custom.label_kind == "score" else _class_task(custom, train)
    found = {
        name if name in (train_name, test_name) else unused(name): _size(split, train) for name, split in splits.items()
    }
    if custom.test_data is not None and test is not None:
        found["test"] = len(test.records)
    source = f"custom data {train.place}, test set " + (f"{test.place}" if test else "held out of it")
    return task, Corpus(source, _rows(custom, task, train), test and _rows(custom, task, test), found=found)


# --- splits and their rows ---


def _open(path: Path) -> dict[str, Path | datasets.Dataset]:
    """The splits at a path, by name; a file is one split, called `all`."""
    if is_folder(path, f"there is no file or folder {path}; check --data and --test-data"):
        return _open_saved(path)
    if path.suffix.lower() not in READERS:
        raise DataError(
            f"{path} has an unknown format; give a file that ends in {', '.join(READERS)}, or a folder that "
            "datasets saved (save_to_disk)"
        )
    return {"all": path}


def _open_saved(path: Path) -> dict[str, Path | datasets.Dataset]:
    from datasets import DatasetDict, load_from_disk

    for pattern in ("*.json", "*.arrow", "*/*.json", "*/*.arrow"):
        for file in path.glob(pattern):
            is_folder(file, f"there is no file {file}; save the data again")  # a pipe would wait for ever
    try:
        saved = load_from_disk(str(path))
    except Exception as error:  # pyarrow and json raise their own kinds
        raise _damaged(str(path), error) from error
    return dict(saved) if isinstance(saved, DatasetDict) else {"all": saved}


def _damaged(place: str, error: Exception) -> DataError:
    reason = str(error).partition("\n")[0].rstrip(".")
    return DataError(f"cannot read folder {place}: {reason}; give a folder that datasets saved (save_to_disk)")


def _train_split(custom: CustomData, splits: dict[str, Any]) -> str:
    if "train" not in splits and len(splits) > 1:
        names = ", ".join(map(repr, splits))
        raise DataError(f"{custom.data} has no split 'train'; its splits are {names}; rename the one to train on")
    return "train" if "train" in splits else next(iter(splits))


def _test_split(custom: CustomData, splits: dict[str, Any]) -> str | None:
    """The split of the data that is the test set; None if it comes from other data or must be held out."""
    if custom.test_data is not None or len(splits) == 1:
        return None
    return next((name for name in TEST_SPLITS if name in splits and _has_labels(custom, splits[name])), None)


def _read_test_data(custom: CustomData, data: str) -> Table:
    splits = _open(Path(data))
    if len(splits) > 1:
        raise DataError(f"{data} has the splits {', '.join(splits)}; give the folder of one of them")
    return _read(custom, data, splits, next(iter(splits)))


def _has_labels(custom: CustomData, split: Any) -> bool:
    """Whether a split has labels: the hub's test sets have the label -1 in every row, or no label column."""
    return custom.label_column in split.column_names and not all(map(is_unlabelled, split[custom.label_column]))


def _read(custom: CustomData, data: str, splits: dict[str, Path | datasets.Dataset], name: str) -> Table:
    split = splits[name]
    place = data if name == "all" else f"{data}, {name}"
    try:
        records, classes = _read_file(custom, split) if isinstance(split, Path) else _read_saved(custom, place, split)
    except ColumnError as error:
        raise ColumnError(f"{error}; name those to use with --text-columns and --label-column") from None
    if not records:
        raise DataError(f"{place} contains no rows; give data with rows")
    if all(is_unlabelled(values[-1]) for _, values in records):
        raise DataError(
            f"{place}: no row has a label in column {custom.label_column!r}, all are -1 or missing, as in a test set "
            "without labels; give rows with labels"
        )
    return Table(place, records, classes)


def _read_file(custom: CustomData, path: Path) -> tuple[list[Record], list[str] | None]:
    kind = path.suffix.lower()
    records = list(READERS[kind](path, custom.columns))
    return records, parquet_classes(path, custom.label_column) if kind == ".parquet" else None


def _read_saved(custom: CustomData, place: str, split: datasets.Dataset) -> tuple[list[Record], list[str] | None]:
    check_columns(place, custom.columns, split.column_names)
    try:
        chosen = split.with_format(None).select_columns(list(custom.columns))
        chosen.data.validate(full=True)  # reading damaged memory could end the process
        table = chosen[:]
    except Exception as error:  # pyarrow raises its own kinds
        raise _damaged(place, error) from error
    values = zip(*(table[column] for column in custom.columns), strict=True)
    classes = getattr(split.features[custom.label_column], "names", None)
    return [(f"{place}, row {number}", row) for number, row in enumerate(values)], classes


def _size(split: Path | datasets.Dataset, train: Table) -> int:
    return len(train.records) if isinstance(split, Path) else len(split)


# --- the task that the data define ---


def _class_task(custom: CustomData, train: Table) -> Task:
    places: dict[str, str] = {}
    for place, values in train.records:
        places.setdefault(_class_of(custom, train, place, values[-1]), place)
    names = train.classes or sorted_classes(set(places))
    rows = len(train.records)
    if len(names) > MAX_CLASSES or (len(names) > 2 and 2 * len(names) > rows):
        raise DataError(
            f"{train.place}: column {custom.label_column!r} has {len(names)} different labels in {rows} rows, too many "
            f"for classes (at most {MAX_CLASSES}, and on average two rows for each); choose another column with "
            "--label-column, or use --label-kind score for scores"
        )
    if not train.classes and (name := without_number(names)):
        raise no_label(custom.label_column, places[name])
    return custom_task(custom, labels=tuple(names))


def _score_task(custom: CustomData, *tables: Table | None) -> Task:
    scores = [
        score(custom.label_column, place, values[-1]) for table in tables if table for place, values in table.records
    ]
    if not differ_in_float32(scores):
        raise DataError(
            f"{custom.data}: many scores of column {custom.label_column!r}, from {min(scores):.9g} to "
            f"{max(scores):.9g}, are the same in the 32-bit floats that a model computes in; subtract a constant from "
            "all scores, or divide them by one"
        )
    return custom_task(custom, score_range=(min(scores), max(scores)))


def custom_task(
    custom: CustomData, *, labels: tuple[str, ...] = (), score_range: tuple[float, float] | None = None
) -> Task:
    """The task of custom data; it has neither classes nor scores if the data have not been read."""
    return Task(
        name=custom.name or Path(custom.data).stem,
        description=f"Custom data: column {custom.label_column!r} of {custom.data}",
        text_fields=custom.text_columns,
        labels=labels,
        metrics=METRICS[custom.label_kind],
        max_length=MAX_LENGTH,
        score_range=score_range,
    )


def _rows(custom: CustomData, task: Task, table: Table) -> list[Row]:
    ids = {name: index for index, name in enumerate(task.labels)}
    rows = []
    for place, (*texts, value) in table.records:
        check_texts(place, custom.text_columns, texts, allow_empty=False)
        if task.regression:
            label: int | float = score(custom.label_column, place, value)
        else:
            name = _class_of(custom, table, place, value)
            if name not in ids:
                known = ", ".join(task.labels)
                raise DataError(f"{place}: unknown label {shown(name)}; the classes of {custom.data} are {known}")
            label = ids[name]
        rows.append(Row(tuple(texts), label))
    return rows


def _class_of(custom: CustomData, table: Table, place: str, value: Any) -> str:
    if table.classes:
        return stored_class(custom.label_column, place, value, table.classes)
    return class_name(custom.label_column, place, value)
