"""Reading columns of TSV, CSV, JSONL and Parquet files; an error names the file and, for a bad row, its place."""

from __future__ import annotations

import csv
import json
import math
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from reprlib import Repr
from typing import TYPE_CHECKING, Any

from randprune_lab.errors import ColumnError, DataError, listed

if TYPE_CHECKING:
    import pyarrow.parquet

Record = tuple[str, tuple[Any, ...]]  # the place, for errors, and a value for each column
Fields = tuple[int, list[str]]  # line number from 1, fields

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
QUOTED = re.compile(r'"(?:[^"]|"")*"')

_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80


def shown(value: Any) -> str:
    """A value in an error: its `repr`, shortened."""
    return _SHORT.repr(value)


def as_number(value: Any) -> float:
    """The number that a value is or, if it is a text, spells in decimal digits; NaN if there is none."""
    spelt = isinstance(value, str) and NUMBER.fullmatch(value.strip())
    if spelt or (isinstance(value, int | float | Decimal) and not isinstance(value, bool)):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    return math.nan


def read_tsv(
    path: Path, columns: Sequence[str], *, header: Sequence[str] | None = None, torn: list[str] | None = None
) -> Iterator[Record]:
    """The chosen columns of every row of a TSV file of GLUE.

    Quotes have no special meaning: GLUE's files contain unbalanced ones. A byte order mark is skipped.

    Args:
        columns: names of the columns to read.
        header: names of all columns, if the file has no header line.
        torn: a list that collects the places of rows with too few fields; without it, such a row is an error.

    Raises:
        DataError: if the file is missing, not UTF-8 or lacks a column, or a row has too few or too many fields.
    """
    return _pick(path, _tsv_records(_read_text(path)), columns, header, torn)


def read_custom_tsv(path: Path, columns: Sequence[str]) -> Iterator[Record]:
    """The chosen columns of every row of any program's TSV file with a header.

    Fields are quoted as in CSV, as pandas and Excel write them, if all quotes of the file fit; if not, quotes have no
    special meaning.

    Raises:
        DataError: if the file is missing, not UTF-8 or lacks a column, a row has another number of fields, or some
            fields are quoted as in CSV, but not all quotes fit.
    """
    text = _read_text(path)
    plain = list(_tsv_records(text))
    try:
        quoted = _csv_records(path, text, "\t")
    except DataError:
        if any(QUOTED.fullmatch(field) and '""' in field[1:-1] for _, fields in plain for field in fields):
            raise
        quoted = plain
    # A quoted field may have line breaks, but then its lines alone do not have the right number of fields.
    one_line = len({len(fields) for _, fields in plain}) == 1 and len(quoted) < len(plain)
    return _pick(path, plain if one_line else quoted, columns)


def read_csv(path: Path, columns: Sequence[str]) -> Iterator[Record]:
    """The chosen columns of every row of a quoted CSV file with a header.

    Raises:
        DataError: if the file is missing, damaged, not UTF-8 or lacks a column, or a row has another number of fields.
    """
    return _pick(path, _csv_records(path, _read_text(path), ","), columns)


def read_jsonl(path: Path, columns: Sequence[str]) -> Iterator[Record]:
    """The chosen columns of a file with one JSON object per line or, in a `.json` file, of one array of objects.

    A missing value is None.

    Raises:
        DataError: if the file is missing or not UTF-8, a line is not a JSON object, it has a key twice or half a
            character, or a column is in no line.
    """
    known: set[str] = set()
    records = []
    for place, row in _json_rows(path, _read_text(path)):
        if not isinstance(row, dict):
            raise DataError(f"{place}: not a JSON object but {type(row).__name__}; write one object per line")
        known |= row.keys()
        values = tuple(row.get(column) for column in columns)
        for column, value in zip(columns, values, strict=True):
            _check_characters(place, column, value)
        records.append((place, values))
    if records:
        check_columns(str(path), columns, sorted(known))
    return iter(records)


def read_parquet(path: Path, columns: Sequence[str]) -> Iterator[Record]:
    """The chosen columns of every row of a Parquet file.

    Raises:
        DataError: if the file is missing, damaged or lacks a column.
    """
    with _parquet(path) as file:
        check_columns(str(path), columns, file.schema_arrow.names)
        table = file.read(columns=list(columns))
        values = list(zip(*(table[column].to_pylist() for column in columns), strict=True))
    return ((f"{path}, row {number}", row) for number, row in enumerate(values))


def parquet_classes(path: Path, column: str) -> list[str] | None:
    """The class names of a column of label ids, if `datasets` stored them in the file.

    Raises:
        DataError: if the file is missing or damaged.
    """
    import pyarrow
    from datasets import Features

    with _parquet(path) as file:
        schema = file.schema_arrow
        stored = (schema.metadata or {}).get(b"huggingface")
        if stored is None or not pyarrow.types.is_integer(schema.field(column).type):
            return None
        # Features of other columns are left alone: they may be of any type.
        chosen = {name: kind for name, kind in json.loads(stored)["info"]["features"].items() if name == column}
        return getattr(Features.from_dict(chosen).get(column), "names", None)


def check_columns(place: str, columns: Iterable[str], available: Sequence[str]) -> None:
    """Raise `ColumnError` unless every column is available exactly once."""
    for column in columns:
        if available.count(column) != 1:
            trouble = f"has {available.count(column)} columns" if column in available else "has no column"
            raise ColumnError(f"{place} {trouble} {column!r}; its columns are {listed(available)}")


def is_folder(path: Path, missing: str) -> bool:
    """Whether a path is a folder; if not, it is a file.

    Args:
        missing: the error if there is nothing.

    Raises:
        DataError: if the path is neither, such as a pipe, or cannot be looked at.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise DataError(missing) from None
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise DataError(f"cannot read {path}: neither a file nor a folder; copy its content to a file")
    return stat.S_ISDIR(mode)


# --- files ---


def _read_bytes(path: Path) -> bytes:
    is_folder(path, f"there is no file {path}; check the folder")  # a pipe would wait for ever
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def _read_text(path: Path) -> str:
    """The text of a file, without empty lines at its end."""
    content = _read_bytes(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, line {line}: not UTF-8; convert the file to UTF-8") from None
    if "\0" in text:
        line = text.partition("\0")[0].count("\n") + 1
        raise DataError(f"{path}, line {line}: a NUL character; convert the file to UTF-8 text, or get it again")
    return text.rstrip("\r\n")


@contextmanager
def _parquet(path: Path) -> Iterator[pyarrow.parquet.ParquetFile]:
    """A Parquet file to read from; what goes wrong meanwhile is a `DataError`."""
    import pyarrow.parquet

    content = _read_bytes(path)
    try:
        with pyarrow.parquet.ParquetFile(pyarrow.BufferReader(content), page_checksum_verification=True) as file:
            yield file
    except DataError:
        raise
    except Exception as error:  # pyarrow, json and datasets raise their own kinds
        reason = str(error).partition("\n")[0]
        raise DataError(
            f"cannot read {path}: not a Parquet file, or a damaged one ({reason}); write it again"
        ) from None


# --- rows ---


def _tsv_records(text: str) -> Iterator[Fields]:
    # Neither csv nor splitlines: both end lines at characters that occur inside sentences.
    return ((number, line.removesuffix("\r").split("\t")) for number, line in enumerate(text.split("\n"), start=1))


def _csv_records(path: Path, text: str, delimiter: str) -> list[Fields]:
    lines = (line[0] for line in LINE.finditer(text))  # not io.StringIO, which takes four bytes for each character
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    records, line = [], 1
    limit = csv.field_size_limit(max(len(text), csv.field_size_limit()))
    try:
        for fields in reader:
            records.append((line, fields))
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}, line {line}: not a CSV row ({error}); write a quote inside a quoted text twice"
        ) from None
    finally:
        csv.field_size_limit(limit)
    return records


def _json_rows(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    """What each line contains, or each item of an array; and its place."""
    if path.suffix.lower() == ".json" and text.lstrip().startswith("["):
        yield from ((f"{path}, item {number}", row) for number, row in enumerate(_json(str(path), text), start=1))
    elif text:
        for number, line in enumerate(text.split("\n"), start=1):
            yield (place := f"{path}, line {number}"), _json(place, line)


def _json(place: str, text: str) -> Any:
    if not text.strip():
        raise DataError(f"{place}: an empty line; remove it")
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise DataError(f"{place}: not JSON ({error}); write one object per line") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: cannot read this JSON ({str(error).partition(':')[0]}); correct the line") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for key, count in Counter(key for key, _ in pairs).items():
        if count > 1:
            raise ValueError(f"key {shown(key)} is given {count} times")
    return dict(pairs)


def _check_characters(place: str, column: str, value: Any) -> None:
    """JSON can escape half of a character that UTF-16 writes in two: a text that was cut there."""
    try:
        str(value).encode()
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        raise DataError(
            f"{place}: column {column!r} has half a character, {half!r}; complete the text, or remove the row"
        ) from None


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
        elif not fields:
            raise DataError(f"{place}: an empty line; remove it")
        elif len(fields) != len(header):
            raise DataError(f"{place}: {len(fields)} fields, but the header has {len(header)}; fix the line")
        else:
            yield place, tuple(fields[index] for index in indices)
