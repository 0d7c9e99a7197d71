"""Blocks of weights as units: a block is treated like a weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from randprune_lab.errors import ScopeError, check_count
from randprune_lab.masks.layout import Layout, Means, Structure, Target
from randprune_lab.masks.scope import outputs_first


@dataclass(frozen=True)
class Blocks(Structure):
    """Blocks of `outputs` x `inputs` weights: rows and columns, except in GPT-2's `Conv1D`, whose rows are its inputs.

    `Blocks(1, 32)` are 32 consecutive weights of an output.
    """

    outputs: int
    inputs: int

    def __post_init__(self) -> None:
        check_count("outputs of a block", self.outputs)
        check_count("inputs of a block", self.inputs)

    def __str__(self) -> str:
        return f"{self.outputs}x{self.inputs}"

    def layout(self, target: Target, weights: Mapping[str, Tensor]) -> Layout:
        turned = outputs_first(target, weights)
        shape = (self.outputs, self.inputs)
        blocks = {name: shape[::-1] if name in turned else shape for name in weights}
        for name, (rows, columns) in blocks.items():
            weight = weights[name]
            if weight.ndim != 2 or weight.shape[0] % rows or weight.shape[1] % columns:
                raise ScopeError(
                    f"{name!r}, of shape {tuple(weight.shape)}, cannot be divided into blocks of {rows} x {columns}; "
                    "choose another block, or leave the weight dense with exclude=[...]"
                )
        return BlockLayout(blocks)


class BlockLayout(Means):
    """The blocks of each weight, in a matrix; `blocks` has the rows and columns of one, by weight."""

    def __init__(self, blocks: Mapping[str, tuple[int, int]]):
        super().__init__({name: {name: rows * columns} for name, (rows, columns) in blocks.items()})
        self._blocks = dict(blocks)

    def means(self, tensors: Mapping[str, Float[Tensor, "..."]]) -> dict[str, Float[Tensor, "..."]]:
        found = {}
        for name, (rows, columns) in self._blocks.items():
            height, width = tensors[name].shape
            found[name] = tensors[name].reshape(height // rows, rows, width // columns, columns).mean(dim=(1, 3))
        return found

    def spread(self, masks: Mapping[str, Bool[Tensor, "..."]]) -> dict[str, Bool[Tensor, "..."]]:
        return {
            name: masks[name].repeat_interleave(rows, dim=0).repeat_interleave(columns, dim=1)
            for name, (rows, columns) in self._blocks.items()
        }
