"""The expected key figures of the notebooks: one file for each profile, which `--update` writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from randprune_lab.errors import FileError
from randprune_lab.files import check_plain, strict_json, write_json
from randprune_lab.report.key_figures import Finite, KeyFigure
from randprune_lab.typed import known_names, record_of, typed

FOLDER = Path("data", "expected")

Expected = Mapping[str, Mapping[str, KeyFigure]]  # by notebook and name


@known_names
class _Stored(TypedDict):
    profile: str
    notebooks: dict[str, dict[str, Any]]


def expected_path(profile: str, notebooks: Path, folder: Path | None = None) -> Path:
    """The file of a profile, in `folder` or else in `data/expected` beside the notebooks' folder."""
    return (folder or notebooks.resolve().parent / FOLDER) / f"{profile}.json"


def read_expected(path: Path) -> dict[str, dict[str, KeyFigure]]:
    """The expected key figures by notebook and name.

    Raises:
        FileError: if the file does not exist or cannot be read.
    """
    try:
        check_plain("expected key figures", path)
        stored = typed(_Stored, strict_json(path.read_text("utf-8")), strict=True)
        return {
            notebook: {name: _figure(notebook, name, entry) for name, entry in figures.items()}
            for notebook, figures in stored["notebooks"].items()
        }
    except FileNotFoundError as error:
        raise FileError(f"there are no expected key figures at {path}; record them with --update") from error
    except (OSError, ValueError, RecursionError) as error:
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


def _figure(notebook: str, name: str, entry: float | dict[str, Any]) -> KeyFigure:
    kind = record_of(KeyFigure, ("name", "label", "unit")) if isinstance(entry, dict) else Finite
    read = typed(kind, entry, f"notebooks.{notebook}.{name}", strict=True)
    return KeyFigure(name, **read) if isinstance(entry, dict) else KeyFigure(name, read)
