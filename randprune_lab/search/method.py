"""A method: the rules and the number of the candidates of a level; and what is checked of levels and names."""

from __future__ import annotations

from dataclasses import dataclass

from randprune_lab.errors import ConfigError, check_range
from randprune_lab.masks.rules import Magnitude, Rule, Uniform
from randprune_lab.search.units import DENSE

LONG = "imp-long"
BASELINES: dict[str, Rule] = {"imp": Magnitude(), LONG: Magnitude(), "uniform": Uniform()}
"""The rules of the methods that a run may have besides its own, by name. `LONG` has the search's training steps."""

LONGEST = 80
"""The largest number of bytes of a name: file systems take 255 for that of a file, of which it is a part."""


@dataclass(frozen=True)
class Method:
    """A way to find the mask of a level.

    Args:
        name: the name of the method.
        rules: the mask rules, which candidates use cyclically.
        candidates: the number of candidates; a single one needs no selection.
        epochs: the epochs of the training with the mask of a level; 0 in a search around a training of its own.
    """

    name: str
    rules: tuple[Rule, ...]
    candidates: int
    epochs: int = 0

    @property
    def repetition(self) -> str | None:
        """A warning if several candidates have the mask of one deterministic rule, which makes them equal."""
        used = [self.rules[candidate % len(self.rules)] for candidate in range(self.candidates)]
        for rule in used:
            if rule.deterministic and used.count(rule) > 1:
                return (
                    f"{used.count(rule)} of {self.candidates} candidates have the same mask and training seed, because "
                    f"rule {rule} draws nothing at random; use a random rule, such as voting, or fewer candidates"
                )
        return None


def check_levels(levels: tuple[float, ...]) -> None:
    """Raise `ConfigError` unless levels are increasing sparsities, at least one."""
    if not levels:
        raise ConfigError("levels must have at least one sparsity, got none")
    for level in levels:
        check_range("sparsity", level, low=0, high=1, high_open=True)
    if list(levels) != sorted(set(levels)):
        raise ConfigError(f"levels must be increasing, got {' '.join(f'{level:g}' for level in levels)}")


def check_name(kind: str, name: str) -> None:
    """Raise `ConfigError` unless the name of a method, or of custom data, can be part of the names of files."""
    if not name.replace("-", "").replace("_", "").isalnum() or name == DENSE:
        raise ConfigError(
            f"the name of {kind} must have only letters, digits, - and _, and not be {DENSE!r}, got {name!r}"
        )
    if (size := len(name.encode())) > LONGEST:
        raise ConfigError(
            f"the name of {kind} must have at most {LONGEST} bytes, as it is in the names of files, "
            f"got {size}: {name!r}"
        )
