"""A recipe names one candidate: a few hundred bytes from which anyone with the weights rebuilds the mask."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from randprune_lab.errors import FileError
from randprune_lab.files import write_json
from randprune_lab.masks.rules import Rule, make_rule
from randprune_lab.masks.scope import Allocation

FORMAT = 2
"""The number of the format that is written and read."""


@dataclass(frozen=True)
class Recipe:
    """Everything that a mask depends on except the weights, and a fingerprint of what the weights contribute."""

    rule: dict[str, Any]
    sparsity: float
    allocation: Allocation | dict[str, int]
    seed: int
    candidate: int
    include: list[str] | None
    exclude: list[str]
    reference_below: int
    fingerprint: str

    def make_rule(self) -> Rule:
        settings = dict(self.rule)
        return make_rule(settings.pop("rule"), **settings)

    def to_dict(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """The recipe that `to_dict` gave. Raises `FileError` if it is of another format."""
        settings = dict(values)
        if "fingerprint" in settings and (found := settings.pop("format", 1)) != FORMAT:
            raise FileError(
                f"the recipe has format {found}, and this version of randprune_lab reads format {FORMAT}; "
                "draw the mask again, or use the version that wrote it"
            )
        return cls(**settings)

    def save(self, path: str | Path) -> None:
        """Write the recipe as JSON."""
        write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        """Read what `save` wrote. Raises `FileError` if the file is missing or damaged."""
        try:
            return cls.from_dict(json.loads(Path(path).read_text("utf-8")))
        except FileError as error:
            raise FileError(f"cannot read recipe {path}: {error}") from None
        except OSError as error:
            raise FileError(f"cannot read recipe {path}: {error.strerror or error}") from error
        except (ValueError, TypeError) as error:
            raise FileError(f"recipe {path} is damaged ({error!r}); write it again") from error
