"""Checks a whole study before its first unit, and tells what its methods cost: an error must not come after hours."""

from __future__ import annotations

import logging
from collections import Counter

from randprune_lab.errors import RandpruneError
from randprune_lab.search.config import DENSE_SETTINGS, DISTILLATION, settings_of_group
from randprune_lab.search.loaded import Loaded
from randprune_lab.study.grid import Grid, planned_steps

LOADED = ({*DENSE_SETTINGS} - {"seed"}) | {
    *("include", "exclude", "types", "structure", "compute"),
    *settings_of_group(DISTILLATION),
}
"""The settings that decide whether `Loaded` finds everything."""

log = logging.getLogger("randprune_lab")


def check_study(grid: Grid) -> None:
    """Load the data and the model of every unit that is still to be done, and log the training steps of each method.

    Units that differ only in other settings are loaded once.

    Raises:
        ConfigError, DataError, FileError, RunError: if a unit cannot begin; the message names the first one.
    """
    rows: dict[str, int] = {}
    units, steps = Counter[str](), Counter[str]()
    for unit in grid.units:
        if not grid.progress(unit).open:
            continue
        config = grid.run_config(unit)
        loaded = repr([getattr(config, name) for name in sorted(LOADED)])
        try:
            if loaded not in rows:
                rows[loaded] = len(Loaded(config).train)
            config.check_budget(rows[loaded])
        except RandpruneError as error:
            raise type(error)(f"{unit} cannot be done: {error}") from error
        units[unit.method] += 1
        steps[unit.method] += planned_steps(config, rows[loaded])
    for method, number in units.items():
        log.info("%s: %d units, at most %s training steps after the dense model", method, number, f"{steps[method]:,}")
