"""The small source of exercises, as a notebook and as a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from support.small_exercises import make_source


@pytest.fixture
def numbers() -> Any:
    """The source as a notebook, which a test may change."""
    return make_source()


@pytest.fixture
def sources(numbers, tmp_path) -> Path:
    """The folder of the source."""
    (tmp_path / "sources").mkdir()
    nbformat.write(numbers, tmp_path / "sources" / "01_numbers.ipynb")
    return tmp_path / "sources"


@pytest.fixture
def cell_of() -> Callable[[Any, str], Any]:
    """A function that finds a cell by its grade_id."""
    return lambda notebook, name: next(
        c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == name
    )
