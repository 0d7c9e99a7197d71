"""One progress bar for the whole of a long piece of work; where there is no terminal, a line now and then."""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from tqdm.auto import tqdm as tqdm_of_place
from tqdm.contrib.logging import logging_redirect_tqdm
from tqdm.std import tqdm

Advance = Callable[[int], object]
"""Is told the number of steps that were just done."""

NARROW, WIDE = 30, 50
"""Columns of a terminal from which the bar itself, and the count, are shown. The time left always is."""
SECONDS, LINES = 10.0, 100
"""Without a terminal: the seconds between two lines, at least, and the number of lines, at most."""

CLEAR_LINE = "\r\x1b[K"
"""Empties the line of a terminal."""

log = logging.getLogger("randprune_lab")


def ignore(steps: int) -> None:
    """Count no steps."""


class Progress:
    """The progress of a piece of work, in steps.

    Args:
        bar: the bar that shows it. Its total stays as it is, so that every kind of bar ends full.
    """

    def __init__(self, bar: Any):
        self._bar = bar

    def advance(self, steps: int) -> None:
        """Count steps that were done."""
        self._bar.update(steps)

    def left(self, steps: int) -> None:
        """Correct the number of steps that are left, when more or fewer are needed than were planned.

        The steps that are skipped count as done, but not as work: the speed is that of the others.
        """
        if self._bar.disable:
            return
        skipped = self._bar.total - steps - self._bar.n
        self._bar.n += skipped
        self._bar.initial += skipped
        self._bar.update(0)

    def show(self, total: int, left: int, counted: str) -> None:
        """Show work that is done elsewhere: the steps of all the work, those that are left, and what is done."""
        self._bar.total, self._bar.desc = total, counted
        self._bar.update(total - left - self._bar.n)


@contextmanager
def progress_bar(total: int, done: int = 0, *, counted: str = "", shown: bool = True) -> Iterator[Progress]:
    """Show the progress on standard error inside the block.

    On a terminal and in a notebook it is a bar, and log messages appear above it. Elsewhere it is a log message now and
    then, without control characters.

    Args:
        total: the number of steps of all the work.
        done: the number of steps that were done before.
        counted: what is done, as text to be shown instead of the number of steps.
        shown: whether to show anything.
    """
    settings: dict[str, Any] = {"total": total, "initial": done, "smoothing": 0, "miniters": 0, "desc": counted}
    settings |= {} if shown else {"disable": True}
    with ExitStack() as stack:
        if on_terminal():
            bar = stack.enter_context(_Terminal(**settings))
            stack.enter_context(logging_redirect_tqdm(tqdm_class=_Terminal))
        elif type(sys.stderr).__module__.startswith("ipykernel"):
            bar = stack.enter_context(tqdm_of_place(**settings, leave=False))
        else:
            settings |= {"mininterval": SECONDS, "miniters": total / LINES, "delay": SECONDS, "file": io.StringIO()}
            bar = stack.enter_context(_Lines(**settings))
        yield Progress(bar)


def on_terminal() -> bool:
    """Whether standard error is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


class _Terminal(tqdm):
    """A bar that fits a terminal of any width."""

    monitor_interval = 0  # no thread

    @property
    def format_dict(self) -> dict[str, Any]:
        columns = _columns()
        count = "{desc}" if self.desc else "{n_fmt}/{total_fmt} steps"
        bar = "{percentage:3.0f}%|{bar}| " if columns >= NARROW else "{percentage:3.0f}% "
        shown = f"{bar}{f'{count}, ' if columns >= WIDE else ''}{{remaining}} left"
        return super().format_dict | {"ncols": columns - 1, "bar_format": shown}


_Terminal.set_lock(threading.RLock())  # tqdm's own is shared between processes, and outlives one that is killed


class _Lines(_Terminal):
    """Log messages instead of a bar."""

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        count = "{desc}" if self.desc else "{n_fmt} of {total_fmt} steps"
        shown = f"progress: {{percentage:.0f}} % ({count}), {{remaining}} left"
        log.info(self.format_meter(**(self.format_dict | {"ncols": None, "bar_format": shown})))


def _columns() -> int:
    with suppress(ValueError):
        if (columns := int(os.environ.get("COLUMNS", "0"))) > 0:
            return columns
    with suppress(OSError, ValueError):
        if (columns := os.get_terminal_size(sys.stderr.fileno()).columns) > 0:
            return columns
    return 80
