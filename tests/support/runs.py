"""Changes of a run folder that keep its checksums right, as another version or a stranger could write it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from randprune_lab.sealed import write_sealed
from randprune_lab.search.journal import JOURNAL, journal_line, read_journal
from randprune_lab.search.recorded_config import FORMAT, KIND


def write_config(folder: Path, settings: Mapping[str, Any]) -> None:
    """Write the configuration of a run."""
    write_sealed(folder / "config.json", FORMAT, {"kind": KIND, "plugins": [], **settings})


def write_units(folder: Path, units: Mapping[str, dict[str, Any]]) -> None:
    """Write a whole journal."""
    (folder / JOURNAL).write_text("".join(journal_line(*unit) for unit in units.items()), "utf-8")


def change_unit(folder: Path, name: str, **values: Any) -> None:
    """Change the result of a unit."""
    units = read_journal(folder)
    write_units(folder, units | {name: units[name] | values})
