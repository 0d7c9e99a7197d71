"""The progress of a study, and an estimate of the remaining time."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from typing import Any

from randprune_lab.search.config import RunConfig
from randprune_lab.search.units import DATA
from randprune_lab.study.config import CONTROLS
from randprune_lab.study.grid import Grid, Progress, Unit, planned_steps

TIMES = "times.jsonl"
WIDE = 16
"""The largest number of methods that are columns."""
SIGNS = {"done": "done", "recorded": "recorded", "waiting": "-", "damaged": "damaged"}


def describe_status(grid: Grid) -> str:
    """A Markdown table of all units, what is damaged, and an estimate of the remaining time.

    The table has a row for each seed and task and a column for each method, or the other way round for many methods.
    """
    methods, states = (CONTROLS, *grid.config.methods), grid.states()
    found = {unit: grid.damage(unit) for unit, progress in states.items() if progress.state != "recorded"}
    damaged = {unit: error for unit, error in found.items() if error is not None}

    def cell(unit: Unit) -> str:
        progress = states[unit]
        state = "damaged" if unit in damaged else progress.state
        return SIGNS.get(state, f"{state} {progress.levels}/{progress.of}")

    places = [(task, seed) for seed in grid.config.seeds for task in grid.config.tasks]
    lines = [("seed", "task", *methods)]
    lines += [(str(seed), task, *(cell(Unit(each, task, seed)) for each in methods)) for task, seed in places]
    if len(methods) > WIDE:
        lines = [*zip(*lines, strict=True)]
    lines.insert(1, ("---",) * len(lines[0]))
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    named = [f"{error}; {grid.again(unit)}" for unit, error in damaged.items()]
    return "\n\n".join([table, *named, remaining(grid)])


def remaining(grid: Grid, *, more: int = 0) -> str:
    """The number of units that are done, and an estimate of the time for the others, as text.

    Args:
        grid: the study.
        more: the number of processes besides those that work on a unit at this moment.
    """
    states = grid.states()
    done = sum(not progress.open for progress in states.values())
    text = f"{done} of {len(states)} units"
    seconds = seconds_left(grid, states)
    if done == len(states) or seconds is None:
        return text
    workers = max(1, sum(progress.state == "running" for progress in states.values()) + more)
    shared = f" for each of {workers} processes" if workers > 1 else ""
    return f"{text}, about {_duration(seconds / workers)} of work left{shared}"


def seconds_left(grid: Grid, states: Mapping[Unit, Progress]) -> float | None:
    """The estimated time of the units that are not done, without controls, in seconds of one process.

    The estimate is the number of training steps times the seconds per step: those of the task so far, or those of all
    tasks if the task has none yet.

    Args:
        grid: the study.
        states: the progress of its units.

    Returns:
        The seconds; None before any unit has been timed.
    """

    @cache
    def rows(controls: Unit) -> int:
        """The number of train rows, from the data if they are recorded, or else from the settings."""
        data: dict[str, Any] = grid.journal(controls).get(DATA, {})
        return int(data.get("train", grid.run_config(controls).train_size or RunConfig.train_size or 1))

    def planned(unit: Unit) -> int:
        return planned_steps(grid.run_config(unit), rows(grid.controls_of(unit)))

    spent: dict[str, float] = defaultdict(float)
    steps: dict[str, float] = defaultdict(float)
    for unit, levels, seconds in _times(grid):
        fraction = levels / states[unit].of
        for name in (unit.task, ""):
            spent[name] += seconds
            steps[name] += fraction * planned(unit)
    if not steps[""]:
        return None
    total = 0.0
    for unit, progress in states.items():
        if unit.method == CONTROLS or not progress.open:
            continue
        pace = spent[unit.task] / steps[unit.task] if steps[unit.task] else spent[""] / steps[""]
        left = 1 - progress.levels / progress.of
        total += left * pace * planned(unit)
    return total


def _times(grid: Grid) -> list[tuple[Unit, int, float]]:
    try:
        lines = (grid.path / TIMES).read_text("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    times = []
    for line in lines:
        try:
            entry = json.loads(line)
            times.append((Unit(*entry["unit"]), int(entry["levels"]), float(entry["seconds"])))
        except (ValueError, KeyError, TypeError):  # a killed process left an incomplete line
            continue
    return [(unit, levels, seconds) for unit, levels, seconds in times if unit in grid.units]


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
