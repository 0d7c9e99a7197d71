"""Reading columns of TSV, CSV, JSONL and Parquet files; an error names the file and, for a bad row, its place."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from randprune_lab.errors import ColumnError, DataError

Record = tuple[str, tuple[Any, ...]]  # the place, for errors, and a value for each column
Fields = tuple[int, list[str]]  # line number from 1, fields


def read_tsv(
    path: Path, columns: Sequence[str], *, header: Sequence[str] | None = None, torn: list[str] | None = None
) -> Iterator[Record]:
    """The chosen columns of every row of a TSV file.

    Quotes have no special meaning: GLUE's files contain unbalanced ones. A byte order mark is skipped.

    Args:
        columns: names of the columns to read.
        header: names of all columns, if the file has no header line.
        torn: a list that collects the places of rows with too few fields; without it, such a row is an error.

    Raises:
        DataError: if the file is missing, not UTF-8 or lacks a column, or a row has too few or too many fields.
    """
    # Neither csv nor splitlines: both end lines at characters that occur inside sentences.
    lines = _read_text(path).removesuffix("\n").split("\n")
    records = ((number, line.removesuffix("\r").split("\t")) for number, line in enumerate(lines, start=1))
    return _pick(path, records, columns, header, torn)


def read_csv(path: Path, columns: Sequence[str]) -> Iterator[Record]:
    """The chosen columns of every row of a quoted CSV file with a header.

    Raises:
        DataError: if the file is missing, damaged, not UTF-8 or lacks a column, or a row has another number of fields.
    """
    return _pick(path, _csv_records(path), columns)


def read_jsonl(path: Path, columns: Sequence[str]) -> Iterator[Record]:
    """The chosen columns of a file with one JSON object per line; a missing value is None.

    Raises:
        DataError: if the file is missing or not UTF-8, a line is not a JSON object, or a column is in no line.
    """
    known: set[str] = set()
    records = []
    for number, line in enumerate(_read_text(path).removesuffix("\n").split("\n"), start=1):
        place = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{place}: not JSON ({error}); write one object per line") from None
        if not isinstance(row, dict):
            raise DataError(f"{place}: not a JSON object but {type(row).__name__}; write one object per line")
        known |= row.keys()
        records.append((place, tuple(row.get(column) for column in columns)))
    check_columns(str(path), columns, sorted(known))
    return iter(records)


def read_parquet(path: Path, columns: Sequence[str]) -> Iterator[Record]:
    """The chosen columns of every row of a Parquet file.

    Raises:
        DataError: if the file is missing, damaged or lacks a column.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        check_columns(str(path), columns, pyarrow.parquet.read_schema(path).names)
        table = pyarrow.parquet.read_table(path, columns=list(columns))
    except FileNotFoundError:
        raise _no_file(path) from None
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"cannot read {path}: not a Parquet file, or a damaged one ({error}); write it again") from None
    values = zip(*(table[column].to_pylist() for column in columns), strict=True)
    return ((f"{path}, row {number}", row) for number, row in enumerate(values))


def parquet_classes(path: Path, column: str) -> list[str] | None:
    """The class names of a column, if `datasets` stored them in the file."""
    import pyarrow.parquet
    from datasets import Features

    feature = Features.from_arrow_schema(pyarrow.parquet.read_schema(path)).get(column)
    return getattr(feature, "names", None)


def check_columns(place: str, columns: Iterable[str], available: Sequence[str]) -> None:
    """Raise `ColumnError` unless every column is available exactly once."""
    for column in columns:
        if available.count(column) != 1:
            trouble = f"has {available.count(column)} columns" if column in available else "has no column"
            raise ColumnError(f"{place} {trouble} {column!r}; its columns are {', '.join(map(repr, available))}")


def _csv_records(path: Path) -> Iterator[Fields]:
    reader = csv.reader(io.StringIO(_read_text(path), newline=""), strict=True)
    line = 1
    try:
        for fields in reader:
            yield line, fields
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}, line {line}: not a CSV row ({error}); write a quote inside a quoted text twice"
        ) from None


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise _no_file(path) from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, line {line}: not UTF-8; convert the file to UTF-8") from None


def _no_file(path: Path) -> DataError:
    return DataError(f"there is no file {path}; check the folder")


def _pick(
    path: Path,
    records: Iterable[Fields],
    columns: Sequence[str],
    header: Sequence[str] | None = None,
    torn: list[str] | None = None,
) -> Iterator[Record]:
    records = iter(records)
    if header is None:
        _, header = next(records, (1, []))
    check_columns(str(path), columns, header)
    indices = [header.index(column) for column in columns]
    for line, fields in records:
        place = f"{path}, line {line}"
        if len(fields) < len(header) and torn is not None:
            torn.append(place)
        elif len(fields) != len(header):
            raise DataError(f"{place}: {len(fields)} fields, but the header has {len(header)}; fix the line")
        else:
            yield place, tuple(fields[index] for index in indices)
