"""Neurons as units: the hidden units of feed-forward blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from randprune_lab.masks.coupled import Coupled, Pattern, Places


@dataclass(frozen=True)
class Neurons(Coupled):
    """The hidden units of each feed-forward block; of a gated one, with their gates."""

    name: ClassVar[str] = "neurons"
    patterns: ClassVar[tuple[Pattern, ...]] = (
        Pattern(("intermediate.dense",), "output.dense"),
        Pattern(("lin1",), "lin2"),
        Pattern(("c_fc",), "c_proj"),
        Pattern(("gate_proj", "up_proj"), "down_proj"),
        Pattern(("gate_up_proj",), "down_proj"),
        Pattern(("wi_0", "wi_1"), "wo"),
        Pattern(("wi",), "wo"),
        Pattern(("Wi",), "Wo"),
        Pattern(("fc1",), "fc2"),
        Pattern(("fc_in",), "fc_out"),
        Pattern(("ffn",), "ffn_output"),
        Pattern(("linear1",), "linear2"),
        Pattern(("dense_h_to_4h",), "dense_4h_to_h"),
    )

    def units(self, rows: Mapping[str, int], width: int, modules: tuple[nn.Module, ...]) -> int:
        return width if all(size in (width, 2 * width) for size in rows.values()) else 0

    def places(self, name: str, layer: nn.Module, rows: int, units: int) -> Places:
        return torch.arange(rows).view(-1, units).T  # with twice the outputs, one half are the gates
