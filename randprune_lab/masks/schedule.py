"""When masks are redrawn during a training, and how sparse they are then."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import isclose
from typing import Any

from randprune_lab.errors import ConfigError, check_count, check_range, unknown_name
from randprune_lab.masks.sparsity import Sparsity

Shape = str | Callable[[float], float]
"""A name of `SHAPES`, or a function like those."""

SHAPES: dict[str, Callable[[float], float]] = {
    "cubic": lambda progress: 1 - (1 - progress) ** 3,
    "linear": lambda progress: progress,
    "constant": lambda progress: 1.0,
}
"""How far the sparsity is on its way from the first to the final one, from 0 to 1, by the progress from 0 to 1."""


@dataclass(frozen=True)
class Schedule:
    """Masks are redrawn after `start` steps, then every `every` steps, and after `end` steps for the last time.

    In between, the sparsity is `final + (begin - final) * (1 - shape(progress))`, where the progress is the fraction
    of the way from start to end. With the shape "cubic" that is equation 1 of Zhu and Gupta 2017, arXiv 1710.01878.

    Args:
        start, end, every: numbers of training steps.
        begin: the sparsity at the start, in [0, 1).
        shape: a name of `SHAPES`, or a function from the progress to how far the sparsity is on its way; both are from
            0 to 1. It must not fall, and must be 1 at the end.

    Raises:
        ConfigError: if a setting is out of range.

    >>> Schedule(start=100, end=400, every=120).steps
    (100, 220, 340, 400)
    >>> Schedule(start=0, end=4, every=2).sparsity(2, final=0.5)
    0.4375
    """

    start: int
    end: int
    every: int
    begin: float = 0.0
    shape: Shape = "cubic"

    def __post_init__(self) -> None:
        check_count("start", self.start, low=0)
        check_count("end", self.end)
        check_count("every", self.every)
        check_range("begin", self.begin, low=0, high=1, high_open=True)
        if self.start >= self.end:
            raise ConfigError(f"start must be before end, got start {self.start} and end {self.end}; give a later end")
        way = [self._way(step) for step in self.steps]
        if not isclose(way[-1], 1.0) or sorted(way) != way:
            raise ConfigError(
                "the function of the schedule must not fall, and be 1 at the end, "
                f"got {', '.join(f'{value:g}' for value in way)}"
            )

    @cached_property
    def steps(self) -> tuple[int, ...]:
        """The numbers of training steps after which masks are redrawn."""
        return (*range(self.start, self.end, self.every), self.end)

    def due(self, step: int) -> bool:
        """Whether masks are redrawn after this number of steps."""
        return step == self.end or (self.start <= step < self.end and (step - self.start) % self.every == 0)

    def progress(self, step: int) -> float:
        """The fraction of the way from start to end, from 0 to 1."""
        return min(1.0, max(0.0, (step - self.start) / (self.end - self.start)))

    def sparsity(self, step: int, final: Sparsity) -> Sparsity:
        """The sparsity of the mask that is drawn after this number of steps.

        Args:
            final: the sparsity at the end, or one for each pattern of names.
        """
        if isinstance(final, Mapping):
            return {pattern: self._between(step, value) for pattern, value in final.items()}
        return self._between(step, final)

    def _between(self, step: int, final: float) -> float:
        return final if step == self.end else final + (self.begin - final) * (1 - self._way(step))

    def _way(self, step: int) -> float:
        way = shape_function(self.shape)(self.progress(step))
        check_range(f"the schedule's value after {step} steps", way, low=0, high=1)
        return float(way)


def shape_function(shape: Shape) -> Callable[[float], float]:
    """The function of a shape; raises `UnknownNameError` if there is none of this name."""
    if isinstance(shape, str) and shape not in SHAPES:
        raise unknown_name("schedule", shape, SHAPES)
    if not isinstance(shape, str) and not callable(shape):
        raise ConfigError(f"schedule must be one of {', '.join(SHAPES)}, or a function, got {shape!r}")
    return SHAPES[shape] if isinstance(shape, str) else shape


def in_steps(name: str, value: float, total: int | None) -> int:
    """A number of steps, which may be given as a fraction of the training.

    Args:
        name: what errors call the value.
        value: a whole number of steps; or a float from 0 to 1, which is a fraction of `total`.
        total: the number of steps of the training; None if it is not known.

    Raises:
        ConfigError: if it is out of range, beyond the training, or a fraction of an unknown number of steps.
    """
    if isinstance(value, numbers.Integral):
        check_count(name, value, low=0)
        step = int(value)
    else:
        check_range(f"{name}, a fraction of the training,", value, low=0, high=1)
        if total is None:
            raise ConfigError(
                f"{name} {value:g} is a fraction of the training, whose number of steps is not known; give it too "
                "(steps=...), or give a whole number of steps"
            )
        step = round(value * total)
    if total is not None and step > total:
        raise ConfigError(f"{name} must be at most {total}, the number of steps of the training, got {step}")
    return step


def name_of(function: Any) -> str:
    """What a function is called in records and messages; a name is its own."""
    return function if isinstance(function, str) else getattr(function, "__qualname__", type(function).__name__)
