"""Lessons and exercises import only from the rooms of the package, so that readers see few and public names."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

PACKAGE = "randprune_lab"
ROOMS = {
    "analysis",
    "bench",
    "exercises",
    "masks",
    "models",
    "report",
    "search",
    "stats",
    "study",
    "tasks",
    "training",
    "viz",
}
MOST_ROOMS = 5  # in one notebook

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted([*FOLDER.glob("*.ipynb"), *FOLDER.glob("exercises/*.ipynb")])
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def imports(path: Path) -> set[str]:
    """The imports from the package in a notebook's code and in the Python code of its text, one line each."""
    cells = nbformat.read(path, as_version=4).cells
    sources = [code for cell in cells for code in _code(cell)]
    return {text for source in sources for node in ast.walk(ast.parse(source)) for text in _imported(node)}


def _code(cell: nbformat.NotebookNode) -> list[str]:
    return [cell.source] if cell.cell_type == "code" else PYTHON.findall(cell.source)


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name.partition(".")[0] == PACKAGE:
                yield ast.unparse(ast.Import([alias]))
    elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == PACKAGE:
        yield f"from {node.module} import {', '.join(alias.name for alias in node.names)}"


def room(text: str) -> str | None:
    """The room of an import; empty for the package itself, None if a name is not in the `__all__` of a room."""
    if text == f"import {PACKAGE} as rp":
        return ""
    found = re.fullmatch(rf"from {PACKAGE}\.(\S+) import (.+)", text)
    if not found or found[1] not in ROOMS:
        return None
    module = importlib.import_module(f"{PACKAGE}.{found[1]}")
    return found[1] if set(found[2].split(", ")) <= set(module.__all__) else None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.relative_to(FOLDER).with_suffix("").as_posix())
def test_a_notebook_imports_only_from_a_few_rooms(path):
    found = imports(path)
    assert found
    assert [text for text in sorted(found) if room(text) is None] == []
    assert len({room(text) for text in found} - {""}) <= MOST_ROOMS


@pytest.mark.parametrize(
    "source",
    [
        "import randprune_lab",
        "import randprune_lab.masks as masks",
        "from randprune_lab import masks",
        "from randprune_lab.masks.sampler import MaskSampler",
        "from randprune_lab.masks import sampler",
        "def f():\n    from randprune_lab.study import run",
    ],
)
def test_imports_from_inner_modules_are_detected(tmp_path, source):
    path = tmp_path / "notebook.ipynb"
    shown = nbformat.v4.new_markdown_cell(f"Say:\n\n```python\n{source}\n```\n")
    for cell in (nbformat.v4.new_code_cell(source), shown):
        nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
        assert [room(text) for text in imports(path)] == [None]
