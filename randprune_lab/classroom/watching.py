"""Looks at a folder again and again, and draws what is new in it."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from time import sleep
from typing import NoReturn

from randprune_lab.errors import ConfigError, FileError
from randprune_lab.files import refused_by_machine

SECONDS = 1.0
"""Seconds between two looks."""

Seen = dict[Path, tuple[int, int]]


def watch(
    folder: Path,
    redraw: Callable[[], object],
    told: Callable[[object], object],
    *,
    without: Path,
) -> NoReturn:
    """Redraw whenever a file of a folder is added, changed or removed. It ends when it is stopped, as by Ctrl-C.

    Args:
        folder: the folder, with its subfolders.
        redraw: draws what is there.
        told: is told what is wrong with the files while nothing can be drawn, such as before the first one.
        without: the file that is drawn, which may be in the folder.
    """
    before: Seen | None = None
    while True:
        now = _seen(folder, without.resolve())
        if now != before:
            try:
                redraw()
            except FileError as error:
                if refused_by_machine(error):
                    raise
                told(error)
            except ConfigError as error:  # the next files may have what was asked for
                told(error)
        before = now
        sleep(SECONDS)


def _seen(folder: Path, without: Path) -> Seen:
    """The time of the last change and the size of each file that is not hidden."""
    seen: Seen = {}
    for path in folder.rglob("*"):
        if path.name.startswith(".") or path.resolve() == without:
            continue
        try:
            about = path.stat()
        except OSError:  # it was removed a moment ago
            continue
        if stat.S_ISREG(about.st_mode):  # a folder changes with the file that is drawn in it
            seen[path] = about.st_mtime_ns, about.st_size
    return seen
