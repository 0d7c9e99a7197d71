"""Reading columns of TSV and CSV files; an error names the file and, for a bad row, its line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from randprune_lab.errors import DataError

Record = tuple[int, list[str]]  # line number from 1, fields


def read_tsv(path: Path, columns: Sequence[str], *, header: Sequence[str] | None = None) -> Iterator[Record]:
    """The named columns of every row of a TSV file, which begins with their names unless `header` gives them.

    Quotes mean nothing: GLUE's files hold unbalanced ones. A byte order mark is skipped.

    Raises:
        DataError: if the file is missing, not UTF-8 or lacks a column, or a row has too few or many fields.
    """
    # Neither csv nor splitlines: both end lines at characters that stand inside sentences.
    lines = _read_text(path).removesuffix("\n").split("\n")
    records = ((number, line.removesuffix("\r").split("\t")) for number, line in enumerate(lines, start=1))
    return _pick(path, records, columns, header)


def read_csv(path: Path, columns: Sequence[str]) -> Iterator[Record]:
    """The named columns of every row of a quoted CSV file with a header; raises like `read_tsv`."""
    return _pick(path, _csv_records(path), columns)


def _csv_records(path: Path) -> Iterator[Record]:
    reader = csv.reader(io.StringIO(_read_text(path), newline=""))
    try:
        for fields in reader:
            yield reader.line_num, fields
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not a CSV row ({error}); get the file again") from None


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"there is no file {path}; check the folder") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, line {line}: not UTF-8; convert the file to UTF-8") from None


def _pick(
    path: Path, records: Iterable[Record], columns: Sequence[str], header: Sequence[str] | None = None
) -> Iterator[Record]:
    records = iter(records)
    if header is None:
        _, header = next(records, (1, []))
    for column in columns:
        if column not in header:
            raise DataError(f"{path} has no column {column!r}; its columns are {', '.join(map(repr, header))}")
    indices = [header.index(column) for column in columns]
    for line, fields in records:
        if len(fields) != len(header):
            raise DataError(f"{path}, line {line}: {len(fields)} fields, but the header has {len(header)}")
        yield line, [fields[index] for index in indices]
