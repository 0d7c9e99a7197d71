"""The controls of explorers: each offers a few values by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

from randprune_lab.errors import ConfigError

FEW = 4
"""At most this many words stand side by side as a toggle; more are a menu."""


@dataclass(frozen=True)
class Choice:
    """A control with a few values.

    Args:
        label: what is chosen.
        options: the values, by the names that are shown.
        start: the place of the value that is chosen at first.
        kind: a slider for what has an order, a toggle for few words, a menu for many.
    """

    label: str
    options: Mapping[str, Any]
    start: int
    kind: Literal["slider", "toggle", "menu"]

    @property
    def names(self) -> list[str]:
        """The names of the values."""
        return list(self.options)

    def value(self, place: int) -> Any:
        """The value at a place among the options."""
        return list(self.options.values())[place]

    def places(self, most: int) -> list[int]:
        """At most `most` places, evenly spread, the start among them.

        Args:
            most: at least 1.
        """
        last = len(self.options) - 1
        if last < most:
            return list(range(last + 1))
        spread = {round(number * last / max(most - 1, 1)) for number in range(most)}
        spread.remove(min(spread, key=lambda place: abs(place - self.start)))
        return sorted({*spread, self.start})


def choice(label: str, options: Mapping[str, Any] | Sequence[str], value: Any = None) -> Choice:
    """A control over values: a slider for numbers, a toggle for few words, a menu for many.

    Args:
        label: what is chosen.
        options: the values, by the names that are shown; or texts that stand for themselves.
        value: the value that is chosen at first; None: the first.

    Raises:
        ConfigError: if there are no options, or `value` is not one of the values.
    """
    named = dict(options) if isinstance(options, Mapping) else {one: one for one in options}
    values = list(named.values())
    if not values:
        raise ConfigError(f"{label} needs at least one option, got none")
    if value is not None and value not in values:
        raise ConfigError(f"{label} must be one of {', '.join(map(str, values))}, got {value!r}")
    start = 0 if value is None else values.index(value)
    ordered = all(isinstance(one, Real) for one in values) and len(values) > 2
    kind: Any = "slider" if ordered else "toggle" if len(values) <= FEW else "menu"
    return Choice(label, named, start, kind)


def sparsity_slider(value: float = 0.9375) -> Choice:
    """A slider over sparsities from 54 % to 99 %, which starts at the one nearest to `value`."""
    levels = (0.54, 0.75, 0.83, 0.92, 0.9375, 0.97, 0.99)
    return choice("sparsity", {f"{100 * level:.4g} %": level for level in levels}, nearest(levels, value))


def sampling_ratio_slider(value: float = 1e-4, removed: int | None = None) -> Choice:
    """A slider over sampling ratios of the voting rule, from most to least random.

    Args:
        value: the slider starts at the ratio nearest to this one.
        removed: the least number of weights that are removed; ratios that decide like the next larger one are left
            out. None: all ratios.
    """
    ratios = [1e-6, 5e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2]
    if removed is not None:
        # Two rounds decide like one: the second vote only breaks ties.
        rounds = [max(2, int(removed * ratio)) for ratio in ratios]
        ratios = [ratio for ratio, this, after in zip(ratios, rounds, [*rounds[1:], 0], strict=True) if this != after]
    names = {f"{ratio:.0e}".replace("e-0", "e-"): ratio for ratio in ratios}
    return choice("sampling ratio", names, nearest(ratios, value))


def nearest(values: Sequence[float], value: float) -> float:
    """The one of these values that is nearest to another; of two, the first."""
    return min(values, key=lambda each: abs(each - value))
