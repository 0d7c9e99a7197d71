"""A recipe names one candidate: a few hundred bytes from which anyone with the weights rebuilds the mask."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from randprune_lab.errors import FileError, MaskError, check_count
from randprune_lab.files import reading, strict_json, write_json
from randprune_lab.masks.allocations import Counts, as_allocation
from randprune_lab.masks.rules import RULES, Rule
from randprune_lab.masks.sparsity import plain_sparsity
from randprune_lab.typed import record_of, take_types, typed

FORMAT = 3
"""The number of the format that is written and read."""

CHECK = "check"
"""The name of the field that detects a change of the others."""

OPTIONAL = ("criterion", "structure", "regrowth")
"""The fields that are written only if they are not None."""


@dataclass(frozen=True)
class Recipe:
    """Everything that a mask depends on except the weights, and a fingerprint of what the weights contribute.

    A mask with `regrowth` also depends on the one before it and perhaps on gradients, so a recipe only names it.

    Raises:
        ConfigError: if a field is of the wrong kind or out of range.
    """

    rule: dict[str, Any]
    sparsity: float | dict[str, float]
    allocation: str | dict[str, Any]  # a name, counts by tensor, or {"row": one of these}
    seed: int
    candidate: int
    include: list[str] | None
    exclude: list[str]
    reference_below: int
    fingerprint: str
    criterion: dict[str, Any] | None = None  # what the scores are, as `Criterion.to_dict` gives it; None: magnitudes
    structure: str | None = None  # its name; None: single weights
    regrowth: dict[str, Any] | None = None  # the kind and the step of the regrowth that the mask comes from

    def __post_init__(self) -> None:
        plain_sparsity(self.sparsity)
        for name in ("seed", "candidate", "reference_below"):
            check_count(name, getattr(self, name), low=0)
        take_types(self)
        if isinstance(as_allocation(self.allocation), Counts):
            typed(dict[str, int], self.allocation, "allocation", strict=True)
        typed(str, self.rule.get("rule"), "rule.rule", strict=True)
        if self.criterion is not None:
            typed(str, self.criterion.get("criterion"), "criterion.criterion", strict=True)
            typed(bool, self.criterion.get("signed"), "criterion.signed", strict=True)

    @property
    def signed(self) -> bool:
        """Whether the scores have signs, and enter by their ranks."""
        return self.criterion is not None and self.criterion["signed"]

    def make_rule(self) -> Rule:
        settings = dict(self.rule)
        return RULES.make(settings.pop("rule"), settings)

    def check_rebuilds(self) -> None:
        """Raise `MaskError` if weights are not enough to draw the mask again."""
        if self.regrowth is not None:
            raise MaskError(
                f"the mask was regrown ({self.regrowth.get('kind')}) after step {self.regrowth.get('step')}, so it "
                "depends on the mask before it, and cannot be drawn from weights alone; take the mask itself, from a "
                "file or by mask_from_zeros"
            )

    def to_dict(self) -> dict[str, Any]:
        values = {"format": FORMAT, **asdict(self), "sparsity": _in_order(self.sparsity)}
        return with_check({name: value for name, value in values.items() if name not in OPTIONAL or value is not None})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], what: str = "the recipe") -> Recipe:
        """The recipe that `to_dict` gave, which errors call `what`.

        Raises:
            FileError: if it is damaged, or of another format.
        """
        settings = checked(values, what)
        try:
            settings |= {"sparsity": _by_pattern(settings.get("sparsity"))}
            settings = dict.fromkeys(OPTIONAL) | settings
            return cls(**typed(record_of(Recipe), settings, strict=True))
        except ValueError as error:
            raise FileError(f"{what} is damaged: {error}") from error

    def save(self, path: str | Path) -> None:
        """Write the recipe as JSON."""
        write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        """Read what `save` wrote. Raises `FileError` if the file is missing or damaged."""
        with reading("recipe", path):
            return cls.from_dict(strict_json(Path(path).read_text("utf-8")), f"recipe {path}")


def with_check(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a recipe, and the first bits of their SHA-256."""
    others = {name: value for name, value in values.items() if name != CHECK}
    text = json.dumps(others, sort_keys=True, separators=(",", ":"))
    return {**others, CHECK: hashlib.sha256(text.encode()).hexdigest()[:12]}


def checked(values: Mapping[str, Any], what: str = "the recipe") -> dict[str, Any]:
    """The fields of a recipe, called `what` in errors, without its format and its check.

    Raises:
        FileError: if they are not those that `with_check` gave, or of another format.
    """
    if not isinstance(values, Mapping) or "fingerprint" not in values:
        raise FileError(f"{what} is damaged: it has no fingerprint; take what Recipe.to_dict gave")
    if (found := values.get("format", 1)) != FORMAT:
        raise FileError(
            f"{what} has format {found!r}, and this version of randprune_lab reads format {FORMAT}; "
            "draw the mask again, or use the version that wrote it"
        )
    try:
        unchanged = with_check(values) == dict(values)
    except (TypeError, ValueError, RecursionError):  # not JSON
        unchanged = False
    if not unchanged:
        raise FileError(f"{what} is damaged: its fields do not match its check; take it again from its source")
    return {name: value for name, value in values.items() if name not in ("format", CHECK)}


def _in_order(sparsity: float | dict[str, float]) -> Any:
    """A sparsity for JSON: patterns and numbers are pairs, because the order counts, which an object may lose."""
    return [*map(list, sparsity.items())] if isinstance(sparsity, dict) else sparsity


def _by_pattern(recorded: Any) -> Any:
    """The sparsity that `_in_order` recorded."""
    pairs = isinstance(recorded, list) and all(
        isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in recorded
    )
    return dict(recorded) if pairs else recorded
