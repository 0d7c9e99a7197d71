"""Masks in other tools: transformers' Trainer, PyTorch's pruning and parametrization, and sparse files."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from randprune_lab.interop.sparse_file import load_sparse, save_sparse
from randprune_lab.interop.torch_prune import (
    from_parametrize,
    from_torch_prune,
    make_permanent,
    mask_from_zeros,
    to_parametrize,
    to_torch_prune,
)

if TYPE_CHECKING:
    from randprune_lab.interop.trainer import MaskCallback

__all__ = [
    "MaskCallback",
    "from_parametrize",
    "from_torch_prune",
    "load_sparse",
    "make_permanent",
    "mask_from_zeros",
    "save_sparse",
    "to_parametrize",
    "to_torch_prune",
]


def __getattr__(name: str) -> Any:
    if name == "MaskCallback":  # it needs transformers, which takes seconds to import
        return import_module("randprune_lab.interop.trainer").MaskCallback
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
