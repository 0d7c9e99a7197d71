"""Locks: who holds a file changes a folder alone. A lock ends with its process, also with one that is killed."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from randprune_lab.errors import FileError, LockedError
from randprune_lab.files import own_file

LOCK = ".lock"
TRIES, PAUSE = 10, 0.02
"""How often a lock is tried, and the seconds between: who only looks holds it for less than a moment."""
PATIENT = 3000
"""How often the lock of a folder is tried whose changes take seconds."""


def lock(file: FileIO, folder: Path, tries: int = TRIES) -> None:
    """Hold an open file of a folder until it is closed.

    Raises:
        LockedError: if another process holds it and does not end in time.
        FileError: if the system, or the folder's file system, has no locks.
    """
    try:
        import fcntl
    except ImportError:
        raise FileError(
            f"cannot lock {file.name}: this system has no such locks (fcntl); runs are written on Linux and macOS, "
            "and can be read anywhere"
        ) from None
    for tries_left in reversed(range(tries)):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not tries_left:
                remedy = "wait for it, or choose another folder"
                raise LockedError(f"another process is working in {folder}; {remedy}") from None
            time.sleep(PAUSE)
        except OSError as error:
            raise FileError(
                f"cannot lock {file.name}: {os.strerror(error.errno or errno.ENOLCK)}; choose a folder on a file "
                "system with locks"
            ) from error


def is_there(file: FileIO, path: Path) -> bool:
    """Whether an open file is still the one at `path`, and was neither deleted nor replaced."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Change a folder, which is made if it is missing, while no other process is in such a block: it is waited for.

    Raises:
        LockedError: if another process does not end within a minute.
        FileError: if the folder cannot be written or locked.
    """
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path = own_file(folder, LOCK)
            file = path.open("ab", buffering=0)
        except OSError as error:
            raise FileError(f"cannot write {folder}: {error.strerror}; choose another folder") from error
        with file:
            lock(file, folder, PATIENT)
            if is_there(file, path):  # who held it before has removed it
                try:
                    yield
                finally:
                    path.unlink(missing_ok=True)
                return
