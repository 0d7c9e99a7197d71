"""The documentation as tests see it: every Markdown page, and the Markdown cells of every lesson."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from itertools import takewhile
from pathlib import Path

import nbformat
import pandas as pd

ROOT = Path(__file__).parents[2]
FOLDERS = ("", "binder", "data", "docs", "docs/reference", "notebooks/exercises")
PAGES = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.md"))
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
BLOCK = re.compile(r"^```(\S*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@cache
def text(path: Path) -> str:
    """The Markdown of a page or of a notebook."""
    if path.suffix != ".ipynb":
        return path.read_text("utf-8")
    cells = nbformat.read(path, as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def blocks(path: Path, language: str) -> list[str]:
    """The code blocks of a page in a language; "" finds those without one."""
    return [block for named, block in BLOCK.findall(text(path)) if named == language]


def prose(path: Path) -> str:
    """The text of a page without its code blocks."""
    return BLOCK.sub("", text(path))


def name(path: Path) -> str:
    """The path from the root of the repository."""
    return path.relative_to(ROOT).as_posix()


def table_rows(path: Path, head: list[str]) -> list[list[str]]:
    """The cells of each row of the table with this head, on a page."""
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else None
        for line in text(path).splitlines()
    ]
    first = lines.index(head) + 2  # after the rule below the head
    return list(takewhile(bool, lines[first:]))


def markdown_table(head: Sequence[object], table: pd.DataFrame) -> list[str]:
    """The lines of a table on a page: below the head, a row for each row of `table`, which begins with its index."""
    rows = [[name, *row] for name, row in zip(table.index, table.to_numpy(), strict=True)]
    return [f"| {' | '.join(map(str, line))} |" for line in (head, ["---"] * len(head), *rows)]
