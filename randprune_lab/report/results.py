"""What a report knows about its notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

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
    """One notebook of a report; `thumbnail` holds the bytes of a PNG."""

    name: str
    title: str
    status: Status = "not run"
    seconds: float = 0.0
    failure: CellFailure | None = None
    key_figures: Mapping[str, float] = field(default_factory=dict)
    thumbnail: bytes | None = None

    @property
    def page(self) -> str:
        """The file of the notebook's page, relative to the report's folder."""
        return f"{self.name}.html"


@dataclass(frozen=True)
class ReportSummary:
    """A report: where it is, what it was made with, and one result per notebook."""

    out: Path
    profile: str
    parameters: Mapping[str, Any]
    results: tuple[NotebookResult, ...]

    @property
    def index(self) -> Path:
        """The page to open first."""
        return self.out / "index.html"

    @property
    def exit_code(self) -> int:
        """0 if every notebook ran to its end, else 1."""
        return int(any(result.status != "ok" for result in self.results))


def format_duration(seconds: float) -> str:
    """A duration as a reader says it: "41 s", "2 min 5 s", "3 h 12 min"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
