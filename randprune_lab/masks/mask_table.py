"""The sizes and sparsities of a mask, tensor by tensor, as a table for a terminal or a notebook."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import NamedTuple

from jaxtyping import Bool
from torch import Tensor


class MaskRow(NamedTuple):
    """What a mask does to one tensor, or to all of them."""

    name: str
    shape: tuple[int, ...]
    size: int
    kept: int
    sparsity: float

    @property
    def cells(self) -> list[str]:
        """The row as text."""
        return [self.name, "×".join(map(str, self.shape)), f"{self.size:,}", f"{self.kept:,}", f"{self.sparsity:.4%}"]


class MaskTable(tuple[MaskRow, ...]):
    """A row for each tensor, then their sum. `pd.DataFrame(table)` has the same rows, as numbers."""

    @classmethod
    def of(cls, masks: Mapping[str, Bool[Tensor, "..."]]) -> MaskTable:
        """The table of masks by parameter name."""
        found = [(name, tuple(mask.shape), mask.numel(), int(mask.sum())) for name, mask in masks.items()]
        total = ("total", (), sum(size for *_, size, _ in found), sum(kept for *_, kept in found))
        return cls(MaskRow(*row, removed_fraction(*row[2:])) for row in [*found, total])

    def __repr__(self) -> str:
        cells = [list(MaskRow._fields), *(row.cells for row in self)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [[name.ljust(widths[0]), *map(str.rjust, rest, widths[1:])] for name, *rest in cells]
        return "\n".join("  ".join(line) for line in lines)

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{name}</th>' for name in MaskRow._fields)
        rows = "".join(_html(*row.cells) for row in self)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def removed_fraction(size: int, kept: int) -> float:
    """The fraction of the weights that is removed, from 0 to 1."""
    return 1 - kept / size if size else 0.0


def _html(name: str, *cells: str) -> str:
    numbers = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr><th scope="row" style="text-align: left">{html.escape(name)}</th>{numbers}</tr>'
