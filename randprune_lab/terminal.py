"""Output of a command: what names and messages contain cannot control a terminal, and lost output is an error."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any, TextIO

# Control characters, marks that change the direction of writing, line separators, and halves of surrogate pairs.
_CONTROLS = (
    *(*range(0x20), *range(0x7F, 0xA0)),
    *(0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A)),
    *range(0xD800, 0xE000),
)
_ONE_LINE = {code: chr(code).encode("unicode_escape").decode("ascii") for code in _CONTROLS}
_LINES = {code: escape for code, escape in _ONE_LINE.items() if chr(code) not in "\n\t"}


class OutputError(Exception):
    """Standard output is closed or cannot be written."""


class Terminated(KeyboardInterrupt):
    """The process was asked to end by SIGTERM."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Inside the block, SIGTERM stops the work as Ctrl-C does, by raising `Terminated`. Only in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(*_: object) -> None:
    raise Terminated


def printable(text: object, *, lines: bool = False) -> str:
    r"""Text without characters that control a terminal: they become escapes.

    Args:
        lines: keep line breaks and tabs.

    >>> printable("tiny\x1b[2J\n")
    'tiny\\x1b[2J\\n'
    """
    return str(text).translate(_LINES if lines else _ONE_LINE)


class LogFormatter(logging.Formatter):
    """Log messages as `printable` text.

    Args:
        before: what is written before each message.
    """

    def __init__(self, before: str = ""):
        super().__init__("%(message)s")
        self._before = before

    def format(self, record: logging.LogRecord) -> str:
        """The message with its traceback, if it has one."""
        return self._before + printable(super().format(record), lines=True)


def brief(record: logging.LogRecord) -> bool:
    """A filter for log messages: those of other libraries only from warnings on, and without tracebacks."""
    if record.name.partition(".")[0] == __name__.partition(".")[0]:
        return True
    record.exc_info = record.exc_text = record.stack_info = None
    return record.levelno >= logging.WARNING


@contextmanager
def terminal() -> Iterator[None]:
    """Inside the block, standard output shows `printable` text, with escapes for what its encoding lacks.

    All of it is written when the block ends. Without a standard error, messages are dropped.

    Raises:
        OutputError: if standard output is closed, or full, or its reader has gone.
    """
    sys.stderr = sys.stderr or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  until the process ends
    if sys.stdout is None:
        raise OutputError("standard output is closed")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    shown = _Shown(sys.stdout)
    try:
        with redirect_stdout(shown):
            yield
    finally:
        shown.flush()


def say_lost(error: OutputError) -> None:
    """Say on standard error that output was lost, unless its reader has gone: `randprune tasks | head` is no error."""
    if not isinstance(error.__cause__, BrokenPipeError):
        say(f"cannot print the result: {error}")


def say(message: object) -> None:
    """Print one line on standard error, if that is possible."""
    with suppress(OSError):
        print(f"randprune: {printable(' '.join(str(message).splitlines()))}", file=sys.stderr)


class _Shown:
    """A text stream that writes `printable` text."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._writing():
            self._stream.write(printable(text, lines=True))
        return len(text)

    def flush(self) -> None:
        with self._writing():
            self._stream.flush()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            with suppress(OSError):  # what is left would fail again when the process ends
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            raise OutputError(error.strerror or str(error)) from error
