"""Attention heads as units: the outputs of query, key and value of a head, and the inputs of what follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from randprune_lab.masks.coupled import Coupled, Pattern, Places
from randprune_lab.masks.layers import is_conv1d

SIZE = ("attention_head_size", "head_dim", "key_value_proj_dim", "head_size")
"""How modules of transformers name the width of a head."""


@dataclass(frozen=True)
class Heads(Coupled):
    """The heads of each attention module. Where queries share keys and values, a unit has all queries that do."""

    name: ClassVar[str] = "heads"
    patterns: ClassVar[tuple[Pattern, ...]] = (
        Pattern(("self.query", "self.key", "self.value"), "output.dense"),
        Pattern(("query", "key", "value"), "dense"),
        Pattern(("q_lin", "k_lin", "v_lin"), "out_lin"),
        Pattern(("q_proj", "k_proj", "v_proj"), "o_proj"),
        Pattern(("q_proj", "k_proj", "v_proj"), "out_proj"),
        Pattern(("q", "k", "v"), "o"),
        Pattern(("c_attn",), "c_proj"),
        Pattern(("query_key_value",), "dense"),
        Pattern(("Wqkv",), "Wo"),
        Pattern(("qkv_proj",), "o_proj"),
    )

    def units(self, rows: Mapping[str, int], width: int, modules: tuple[nn.Module, ...]) -> int:
        size = next((getattr(module, name) for module in modules for name in SIZE if hasattr(module, name)), 0)
        if not isinstance(size, int) or size < 1:
            return 0
        if len(rows) == 1:  # query, key and value in one matrix
            return width // size if [*rows.values()] == [3 * width] else 0
        return min(rows.values()) // size

    def places(self, name: str, layer: nn.Module, rows: int, units: int) -> Places:
        blocks = name.endswith(("Wqkv.weight", "qkv_proj.weight"))  # ModernBERT, Phi-3
        if blocks or (name.endswith("c_attn.weight") and is_conv1d(layer)):  # all queries, then all keys, all values
            return torch.arange(rows).view(3, units, -1).transpose(0, 1).reshape(units, -1)
        return torch.arange(rows).view(units, -1)
