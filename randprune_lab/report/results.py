"""What a report knows about its notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from randprune_lab.report.check import Check
from randprune_lab.report.key_figures import KeyFigure

Status = Literal["ok", "failed", "not run"]


@dataclass(frozen=True)
class CellFailure:
    """Where a notebook stopped and why; `cell` is the number in the cell's prompt."""

    cell: int
    error: str
    message: str

    @property
    def reason(self) -> str:
        """The error and its message in a line, as Python ends a traceback."""
        return f"{self.error}: {self.message}" if self.message else self.error

    def __str__(self) -> str:
        return f"cell {self.cell}: {self.reason}"


@dataclass(frozen=True)
class NotebookResult:
    """One notebook of a report.

    Args:
        peak_memory: the most that a process of its kernel held, in bytes; None if the system does not tell.
        check: its key figures against the expected ones; None if they were not compared.
        thumbnail: the bytes of a PNG.
    """

    name: str
    title: str
    status: Status = "not run"
    seconds: float = 0.0
    failure: CellFailure | None = None
    peak_memory: int | None = None
    key_figures: Mapping[str, KeyFigure] = field(default_factory=dict)
    check: Check | None = None
    thumbnail: bytes | None = None

    @property
    def page(self) -> str:
        """The file of the notebook's page, relative to the report's folder."""
        return f"{self.name}.html"


@dataclass(frozen=True)
class ReportSummary:
    """A report: where it is, what it was made with, one result per notebook, and the seconds that all took together."""

    out: Path
    profile: str
    parameters: Mapping[str, Any]
    results: tuple[NotebookResult, ...]
    seconds: float = 0.0

    @property
    def index(self) -> Path:
        """The page to open first."""
        return self.out / "index.html"

    @property
    def exit_code(self) -> int:
        """0 if every notebook ran to its end and no key figure failed the check, else 1."""
        checks = [result.check for result in self.results if result.check]
        return int(any(result.status != "ok" for result in self.results) or not all(check.passed for check in checks))


def format_duration(seconds: float) -> str:
    """A duration as a reader says it: "41 s", "2 min 5 s", "3 h 12 min"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def format_memory(size: int) -> str:
    """Bytes as a reader says them: "0.71 GB"."""
    return f"{size / 1e9:.2f} GB"
