"""Run folders as a kill, another version or a stranger leaves them; their checksums are right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

import randprune_lab as rp
from randprune_lab.sealed import write_sealed
from randprune_lab.search.folder import RunFolder
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


class Stop(Exception):
    """Stands for a kill."""


def stopped(config: rp.RunConfig, folder: Path, numbers: Iterable[int]) -> Path:
    """Run a search that is stopped and resumed each time that its journal has one of these numbers of units.

    The files of the next unit are written then, its line in the journal is not.
    """
    whole = RunFolder.add
    for units_done in numbers:

        def add(self: RunFolder, name: str, result: dict[str, Any], units_done: int = units_done) -> None:
            if len(self.units) >= units_done:
                raise Stop
            whole(self, name, result)

        with pytest.MonkeyPatch.context() as patch, pytest.raises(Stop):
            patch.setattr(RunFolder, "add", add)
            rp.run(config, folder, resume=folder.exists(), progress=False)
        assert len(read_journal(folder)) == units_done
    return rp.run(config, folder, resume=True, progress=False)
