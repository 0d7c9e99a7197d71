"""The expected key figures of the notebooks: one file for each profile, which `--update` writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from randprune_lab.errors import FileError
from randprune_lab.files import write_json
from randprune_lab.report.key_figures import KeyFigure

FOLDER = Path("data", "expected")

Expected = Mapping[str, Mapping[str, KeyFigure]]  # by notebook and name


def expected_path(profile: str, notebooks: Path, folder: Path | None = None) -> Path:
    """The file of a profile, in `folder` or else in `data/expected` beside the notebooks' folder."""
    return (folder or notebooks.resolve().parent / FOLDER) / f"{profile}.json"


def read_expected(path: Path) -> dict[str, dict[str, KeyFigure]]:
    """The expected key figures by notebook and name.

    Raises:
        FileError: if the file does not exist or cannot be read.
    """
    try:
        stored = json.loads(path.read_text("utf-8"))
        return {
            notebook: {name: _figure(name, entry) for name, entry in figures.items()}
            for notebook, figures in stored["notebooks"].items()
        }
    except FileNotFoundError as error:
        raise FileError(f"there are no expected key figures at {path}; record them with --update") from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        remedy = "restore it, or remove it and record all key figures again with --update"
        raise FileError(f"the expected key figures in {path} cannot be read ({error}); {remedy}") from error


def write_expected(path: Path, profile: str, expected: Expected) -> None:
    """Write the expected key figures of a profile, atomically."""
    notebooks = {
        notebook: {name: _entry(figure) for name, figure in expected[notebook].items()} for notebook in sorted(expected)
    }
    write_json(path, {"profile": profile, "notebooks": notebooks})


def _entry(figure: KeyFigure) -> float | dict[str, Any]:
    """The figure as in the notebook: the number alone if it must be reproduced exactly."""
    if figure.tolerance == 0:
        return figure.value
    return {"value": figure.value, "tolerance": figure.tolerance, "better": figure.better}


def _figure(name: str, entry: float | Mapping[str, Any]) -> KeyFigure:
    return KeyFigure(name, **entry) if isinstance(entry, Mapping) else KeyFigure(name, entry)
