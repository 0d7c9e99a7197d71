"""The journal of a run folder: one line for each finished unit of work. Who holds it open works in the folder alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pydantic_core import from_json
from typing_extensions import TypedDict

from randprune_lab.errors import FileError, RunError
from randprune_lab.files import own_file
from randprune_lab.locks import is_there, lock
from randprune_lab.sealed import check_sum, checksum
from randprune_lab.search.units import Units, result_type
from randprune_lab.typed import known_names, typed

JOURNAL = "journal.jsonl"


@known_names
class _Line(TypedDict):
    unit: str
    result: dict[str, Any]
    checksum: str


def journal_line(name: str, result: dict[str, Any]) -> str:
    """The line of a unit."""
    return json.dumps({"unit": name, "result": result, "checksum": checksum([name, result])}) + "\n"


def read_journal(path: Path) -> Units:
    """The results of the finished units of the run in the folder `path`, by name.

    An incomplete last line, which a killed process may leave, is ignored.

    Raises:
        FileError: if another line is damaged.
    """
    file = own_file(path, JOURNAL)
    try:
        lines = file.read_bytes().split(b"\n")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise FileError(f"cannot read {file}: {error.strerror}") from error
    units: Units = {}
    for number, line in enumerate(lines[:-1], start=1):  # the text after the last line break is incomplete
        try:
            entry = typed(_Line, from_json(line), strict=True)
            name, result = entry["unit"], entry["result"]
            check_sum([name, result], entry["checksum"])
            typed(result_type(name), result, name, strict=True)
            units[name] = result
        except ValueError as error:
            raise FileError(f"{file}, line {number}, is damaged: {error}") from error
    return units


def in_use(path: Path) -> bool:
    """Whether a process is working in a run folder."""
    try:
        import fcntl
    except ImportError:  # a system on which no process can work in a run folder
        return False
    try:
        with own_file(path, JOURNAL).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


class Journal:
    """The journal of a run folder, held by this process. As long as it is held, no other process can hold it.

    Args:
        path: the folder, which must exist.

    Raises:
        LockedError: if another process holds the journal.
        FileError: if it cannot be written, or it is a link.
    """

    def __init__(self, path: Path):
        self.path = own_file(path, JOURNAL)
        try:
            self._file = self.path.open("ab", buffering=0)
        except OSError as error:
            raise FileError(f"cannot write {self.path}: {error.strerror}; choose another --out") from error
        try:
            lock(self._file, path)
            self.check_held()
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Let other processes work in the folder."""
        self._file.close()

    def check_held(self) -> None:
        """Raise `RunError` if the file was deleted or replaced, so that another process may hold a new one."""
        if not is_there(self._file, self.path):
            raise RunError(
                f"{self.path} was deleted or replaced while this process was working; it writes nothing more; "
                "start again in a new folder"
            )

    def clear(self) -> None:
        """Forget all units."""
        self._file.truncate(0)

    def units(self) -> Units:
        """All units; an incomplete last line is cut off."""
        units = read_journal(self.path.parent)
        content = self.path.read_bytes()
        self._file.truncate(content.rfind(b"\n") + 1)
        return units

    def add(self, name: str, result: dict[str, Any]) -> None:
        """Append a unit.

        Raises:
            FileError: if the line cannot be written.
        """
        self.check_held()
        line = memoryview(journal_line(name, result).encode())
        end = self._file.seek(0, os.SEEK_END)
        try:
            while line:
                line = line[self._file.write(line) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            self._file.truncate(end)
            raise FileError(
                f"cannot write {self.path}: {error.strerror}; free some disk space, then go on with --resume"
            ) from error
