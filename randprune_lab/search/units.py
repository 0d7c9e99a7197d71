"""Names of a run's units. Only this module builds and parses them.

    data, compute, dense, model     the units that a run has once
    start, examples                 those of a search with custom training
    METHOD-level-N                  the training with the winner of a level
    METHOD-level-N/...              the steps that led to it: allocation, candidates, generations, noise, selection
    test/NAME                       the test scores of the model that was trained under NAME

A file of a unit has the unit's name, with `-` for `/`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from randprune_lab.search import results
from randprune_lab.tasks.spec import suffixed

DATA, COMPUTE, DENSE, MODEL = "data", "compute", "dense", "model"
START, EXAMPLES = "start", "examples"

Units = dict[str, dict[str, Any]]
"""The results of finished units by name, in the order in which they finished."""


def level_unit(method: str, level: int) -> str:
    """The name of the training with the winner of a level; levels count from 1.

    >>> level_unit("search", 3)
    'search-level-3'
    """
    return f"{method}-level-{level}"


def level_units(methods: Iterable[str], levels: int) -> list[str]:
    """The names of the trainings of all levels, method by method."""
    return [level_unit(method, level) for method in methods for level in range(1, levels + 1)]


def candidate_unit(level: str, candidate: int, steps: int) -> str:
    """The name of a candidate's early evaluation up to `steps` training steps; `level` is the level's unit."""
    return f"{level}/candidate-{candidate}/steps-{steps}"


def generation_unit(level: str, number: int) -> str:
    """The name of the race within a generation."""
    return f"{level}/generation-{number}"


def noise_unit(level: str, mask: int, number: int) -> str:
    """The name of an early evaluation of a mask with another training seed."""
    return f"{level}/noise-{mask}-{number}"


def allocation_unit(level: str) -> str:
    """The name of the allocation that a level evolves; `level` is the level's unit."""
    return f"{level}/allocation"


def selection_unit(level: str) -> str:
    """The name of the choice among a level's candidates."""
    return f"{level}/selection"


def score_unit(name: str) -> str:
    """The name of the test scores of the model that was trained under `name`."""
    return f"test/{name}"


def file_name(unit: str, test_set: str = "") -> str:
    """The name of the file of a unit's arrays, without its ending; predictions have one file for each test set."""
    return suffixed(unit, test_set, "-").replace("/", "-")


_TYPES = {
    DATA: results.Data,
    COMPUTE: results.Ran,
    DENSE: results.Dense,
    START: results.Start,
    EXAMPLES: results.Examples,
    MODEL: results.Final,
    r"[\w-]+-level-\d+": results.Winner,
    r"[\w-]+-level-\d+/candidate-\d+/steps-\d+": results.Evaluated,
    r"[\w-]+-level-\d+/generation-\d+": results.Raced,
    r"[\w-]+-level-\d+/selection": results.Selected,
    r"[\w-]+-level-\d+/allocation": results.Allocated,
    r"[\w-]+-level-\d+/noise-\d+-\d+": results.Noise,
    r"test/[\w-]+": results.Scores,
    r"[\w-]+": results.Scores,  # what a study adds: its controls
}
_NAMES = re.compile("|".join(f"({pattern})" for pattern in _TYPES))


def result_type(unit: str) -> Any:
    """The type of the result of a unit.

    Raises:
        ValueError: if no unit has such a name.
    """
    if (found := _NAMES.fullmatch(unit)) is None:
        raise ValueError(f"no unit has the name {unit!r}")
    return [*_TYPES.values()][(found.lastindex or 1) - 1]


def candidate_units(units: Mapping[str, dict[str, Any]], level: str) -> list[dict[str, Any]]:
    """The results of the early evaluations of a level's candidates."""
    return _below(units, f"{level}/candidate-")


def noise_units(units: Mapping[str, dict[str, Any]], level: str) -> list[dict[str, Any]]:
    """The results of the early evaluations of a level's masks with other training seeds."""
    return _below(units, f"{level}/noise-")


def levels_done(units: Mapping[str, dict[str, Any]], method: str) -> int:
    """The number of levels at which a method has trained its winner."""
    pattern = re.compile(rf"{re.escape(method)}-level-\d+")
    return sum(pattern.fullmatch(name) is not None for name in units)


def _below(units: Mapping[str, dict[str, Any]], prefix: str) -> list[dict[str, Any]]:
    return [unit for name, unit in units.items() if name.startswith(prefix)]
