"""The progress of a whole study: read from the journals, so that all processes count, also those of other machines."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from randprune_lab.progress import Progress, progress_bar
from randprune_lab.search.config import RunConfig
from randprune_lab.search.plan import Plan
from randprune_lab.search.units import DATA, DENSE
from randprune_lab.study.config import CONTROLS
from randprune_lab.study.grid import Grid, Unit

SECONDS = 2.0
"""Seconds between two looks at the journals."""
ROWS = 1000
"""The number of rows of a set whose size is not known yet."""


@contextmanager
def watched(grid: Grid, *, shown: bool) -> Iterator[None]:
    """Show the progress of a study, while the block does its units."""
    if not shown:
        yield
        return
    watch, stop = Watch(grid), threading.Event()
    total, left, counted = watch.look()
    with progress_bar(total, total - left, counted=counted) as bar:
        thread = threading.Thread(target=_follow, args=(watch, bar, stop), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def _follow(watch: Watch, bar: Progress, stop: threading.Event) -> None:
    """Show what is done, until `stop` is set, and once more then."""
    ended = False
    while not ended:
        ended = stop.wait(SECONDS)
        bar.show(*watch.look())


@dataclass
class Watch:
    """Reads how far a study is; units that are done are read once."""

    grid: Grid
    done: set[Unit] = field(default_factory=set)
    data: dict[Unit, dict[str, Any]] = field(default_factory=dict)
    plans: dict[tuple[Unit, bool], Plan] = field(default_factory=dict)

    def look(self) -> tuple[int, int, str]:
        """The steps of all units, the steps that are left, and the number of units that are done, as text."""
        total = left = 0
        for unit in self.grid.units:
            begun: dict[str, Any] = {}
            if unit.method != CONTROLS:  # its dense model is that of the controls
                begun[DENSE] = {}
            plan = self._plan(unit)
            total += plan.left(begun)
            if unit not in self.done:
                journal = self.grid.journal(unit)
                if self.grid.is_done(unit, journal):
                    self.done.add(unit)
                else:
                    left += plan.left({**begun, **journal})
        return total, left, f"{len(self.done)} of {len(self.grid.units)} units"

    def _plan(self, unit: Unit) -> Plan:
        """The plan of a unit; it is more exact when the sizes of the data are known."""
        data = self._data(self.grid.controls_of(unit))
        if (key := (unit, bool(data))) not in self.plans:
            self.plans[key] = _planned(self.grid.run_config(unit), data)
        return self.plans[key]

    def _data(self, controls: Unit) -> dict[str, Any]:
        if controls not in self.data and (data := self.grid.journal(controls).get(DATA)):
            self.data[controls] = data
        return self.data.get(controls, {})


def _planned(config: RunConfig, data: dict[str, Any]) -> Plan:
    tests = [rows for role, rows in data.items() if role.startswith("test") and isinstance(rows, int)]
    rows = {role: data.get(role) or getattr(config, f"{role}_size") or ROWS for role in ("train", "validation")}
    return Plan(config, rows["train"], rows["validation"], sum(tests) or config.test_size or ROWS)
