"""The files of a recorded study: its settings, and its tables with their checksums.

`study.json` has the settings and the SHA-256 of each table. A recording is several files, and may be killed between any
two of them. So it first adds the SHA-256 of the new tables, then writes these, and last forgets that of the old ones:
at any moment each table has a SHA-256 that is listed.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from randprune_lab.files import atomic_path, reading
from randprune_lab.sealed import read_sealed, sha256, write_sealed
from randprune_lab.search.config import RunConfig
from randprune_lab.typed import known_names, partial_of, typed

if TYPE_CHECKING:
    import pandas as pd

FILE = "study.json"
FORMAT = 5
"""The format number of `study.json`. Format 4 is still read: its studies had the same train rows for all seeds, and
chose checkpoints by the metric. Before 4, the default was to train with the gradients of removed weights, and all word
embeddings."""
IN_STUDIES = {"train_rows": "seed", "checkpoint": "log-loss"}
"""Defaults of a study that are not those of a run: its seeds are to stand for other train sets too, and its checkpoints
to be no worse than the last (`docs/study.md`)."""
IN_FORMAT_4 = {"train_rows": "first", "checkpoint": "metric"}
"""What the settings of a study in format 4 do not say."""
TABLES: Literal["tables"] = "tables"
"""The key in `study.json` with the SHA-256 of each table; there are several while the table is written."""

ENDS = ("", "_low", "_high")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,99})(\.[0-9]+)?([eE][+-]?[0-9]+)?")
"""A number of JSON, with at most 100 digits before the point."""
_CELLS: dict[type, Any] = {
    str: str,
    bool: bool,
    int: Annotated[int, Field(ge=0, lt=2**63)],
    float: Annotated[float, Field(allow_inf_nan=False)],
}
"""The type of a cell that is not empty, by the type of its column."""


_Run = partial_of(RunConfig, strict=True)


@known_names
class Primary(TypedDict):
    """A difference that a study was made to test, written down before its first run.

    It is `first` minus `second`, two methods at the level `sparsity`, and `expected` is its expected size in points. If
    the value of a factor is chosen before, the names are without that value.
    """

    first: str
    second: str
    sparsity: float
    expected: float


@known_names
class Settings(TypedDict):
    """The content of `study.json`: what `StudyConfig.to_dict` gave, and the SHA-256 of each table."""

    tasks: list[str]
    seeds: list[int]
    methods: dict[str, _Run]  # type: ignore[valid-type]
    settings: _Run  # type: ignore[valid-type]
    task_settings: dict[str, _Run]  # type: ignore[valid-type]
    baseline: str
    contrasts: dict[str, Annotated[list[str], Field(min_length=2, max_length=2)]]
    factors: NotRequired[dict[str, dict[str, dict[str, Any]]]]
    chosen: NotRequired[str]
    primary: NotRequired[dict[str, Primary]]
    tables: dict[str, list[str]]


def _ends(*names: str) -> list[str]:
    """The columns of estimates and of the ends of their intervals."""
    return [f"{name}{end}" for name in names for end in ENDS]


def _typed(*names: str) -> dict[str, type]:
    types = {"task": str, "method": str, "metric": str, "seed": int, "steps": int, "included": bool}
    return {name: types.get(name, float) for name in names}


RESULTS = _typed("task", "seed", "method", "sparsity", "steps", "metric", "validation", *_ends("score", "difference"))
"""The columns of a table of results, and the types of their cells."""
CONTROLS = _typed(
    *("task", "seed", "metric", "majority", "words", "without-encoder", "dense", "magnitude", *_ends("encoder")),
    "included",
)
"""The columns of a table of controls, and the types of their cells."""


def write_settings(path: Path, settings: Mapping[str, Any], tables: Mapping[str, list[str]]) -> None:
    """Write a file `study.json`.

    Args:
        path: the file.
        settings: the settings of the study.
        tables: the SHA-256 of each table by its file name.
    """
    write_sealed(path, FORMAT, {**settings, TABLES: tables})


def read_settings(path: Path) -> Settings:
    """The settings in a file `study.json`, and the SHA-256 of the tables under `TABLES`.

    Raises:
        FileError: if the file is missing or damaged, or its format is another one.
    """
    remedy = "start the study again in another folder, or use the version that wrote it"
    values = read_sealed("study", path, FORMAT, remedy, {4: _say_what_was})
    with reading("study", path):
        return typed(Settings, values, strict=True)


def _say_what_was(values: dict[str, Any]) -> None:
    if isinstance(settings := values.get("settings"), dict):
        values["settings"] = IN_FORMAT_4 | settings


def write_tables(folder: Path, settings: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> list[Path]:
    """Write the settings and the tables of a study into the folder of its record; return the files of the tables.

    Args:
        folder: the folder.
        settings: the settings of the study.
        tables: the tables by their file names, in the order in which they are written.
    """
    path = folder / FILE
    old = read_settings(path)[TABLES] if path.is_file() else {}
    contents = {folder / name: _csv(table) for name, table in tables.items()}
    new = {file.name: [sha256(content)] for file, content in contents.items()}
    write_settings(path, settings, {name: [*old.get(name, []), *new[name]] for name in new})
    for file, content in contents.items():
        _write(file, content)
    write_settings(path, settings, new)
    return list(contents)


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table to a CSV file, atomically.

    Numbers have six digits after the point, and p-values six significant digits; sparsities are exact.
    """
    _write(path, _csv(table))


def _csv(table: pd.DataFrame) -> bytes:
    texts = {name: table[name].map(repr) for name in ("sparsity",) if name in table}  # it names a level
    texts |= {name: table[name].map("{:.6g}".format, na_action="ignore") for name in ("p", "holm") if name in table}
    return table.assign(**texts).to_csv(index=False, float_format="%.6f").encode()


def _write(path: Path, content: bytes) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def read_table(path: Path, columns: Mapping[str, type]) -> pd.DataFrame:
    """A table of a recorded study.

    Raises:
        FileError: if the file is missing or damaged, or has other columns.
    """
    with reading("table", path):
        content = path.read_bytes()
        if sha256(content) not in read_settings(path.with_name(FILE))[TABLES].get(path.name, ()):
            raise ValueError(f"its SHA-256 is not in {FILE}")
        return parse_table(content, columns)


def parse_table(content: bytes, columns: Mapping[str, type]) -> pd.DataFrame:
    """A table from CSV. Only columns of type float and bool may have empty cells; every text is read as it is.

    Raises:
        ValueError: if the columns are others, or a cell has another type; the message has its line and column.
    """
    import pandas as pd

    reader = csv.reader(StringIO(content.decode(), newline=""), strict=True)
    cells: dict[str, list[Any]] = {name: [] for name in columns}
    try:
        if (names := next(reader, [])) != list(columns):
            raise ValueError(f"its columns are {', '.join(names) or 'missing'}, expected {', '.join(columns)}")
        for row in reader:
            if len(row) != len(columns):
                raise ValueError(f"line {reader.line_num} must have {len(columns)} cells, got {len(row)}")
            for (name, kind), text in zip(columns.items(), row, strict=True):
                cells[name].append(_cell(kind, text, f"line {reader.line_num}, column {name}"))
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num} is not CSV: {error}") from None
    return pd.DataFrame(cells).astype({name: "boolean" if kind is bool else kind for name, kind in columns.items()})


def _cell(kind: type, text: str, place: str) -> Any:
    """What a cell of a column contains. A number is written as in JSON."""
    if kind is str:
        return text
    if kind in (float, bool) and not text:
        return math.nan if kind is float else None
    value = json.loads(text) if _NUMBER.fullmatch(text) else {"True": True, "False": False}.get(text, text)
    return typed(_CELLS[kind], value, place, strict=True)
