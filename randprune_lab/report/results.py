"""The results of a report: for each notebook, and for all together."""

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
    """Where a notebook stopped and why.

    Args:
        cell: the number in the cell's prompt.
        error: the name of the error's class.
        message: the error's message.
    """

    cell: int
    error: str
    message: str

    @property
    def reason(self) -> str:
        """The error and its message, like the last line of a traceback."""
        return f"{self.error}: {self.message}" if self.message else self.error

    def __str__(self) -> str:
        return f"cell {self.cell}: {self.reason}"


@dataclass(frozen=True)
class Thumbnail:
    """A small picture of a figure, as the bytes of a PNG file, and what it shows in words."""

    png: bytes
    alt: str = ""


@dataclass(frozen=True)
class NotebookResult:
    """The result of one notebook.

    Args:
        name: the name of the notebook's file, without the extension.
        title: the notebook's first heading.
        seconds: the time it took.
        failure: where and why it stopped; None if it did not.
        peak_memory: the peak memory of its kernel in bytes; None if the system does not report it.
        figure_times: the seconds until its first figure and until its last, from its first cell; None without figures.
        code_before: the lines of code that a reader sees up to the first figure.
        key_figures: the key figures by name.
        check: the key figures compared with the expected ones; None if they were not compared.
        thumbnail: a picture of its main figure; None without figures.
        parameters: the parameters that it was given.
    """

    name: str
    title: str
    status: Status = "not run"
    seconds: float = 0.0
    failure: CellFailure | None = None
    peak_memory: int | None = None
    figure_times: tuple[float, float] | None = None
    code_before: int = 0
    key_figures: Mapping[str, KeyFigure] = field(default_factory=dict)
    check: Check | None = None
    thumbnail: Thumbnail | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def page(self) -> str:
        """The name of the notebook's page in the report's folder."""
        return f"{self.name}.html"


@dataclass(frozen=True)
class ReportSummary:
    """A report and its results.

    Args:
        out: the report's folder.
        profile: the profile that the notebooks were run with.
        parameters: parameters that were set for this report.
        results: one result for each notebook.
        seconds: the time that all notebooks took together.
    """

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
        """0 if every notebook ran to its end and no key figure failed the check; otherwise 1."""
        checks = [result.check for result in self.results if result.check]
        return int(any(result.status != "ok" for result in self.results) or not all(check.passed for check in checks))


def format_duration(seconds: float) -> str:
    """A duration as text: "41 s", "2 min 5 s", "3 h 12 min"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def format_memory(size: int) -> str:
    """A number of bytes as text: "0.71 GB"."""
    return f"{size / 1e9:.2f} GB"
