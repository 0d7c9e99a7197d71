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
    from randprune_lab.interop.gradual import GradualPruning
    from randprune_lab.interop.trainer import MaskCallback

__all__ = [
    "GradualPruning",
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

_LATER = {  # they need transformers, which takes seconds to import
    "GradualPruning": "randprune_lab.interop.gradual",
    "MaskCallback": "randprune_lab.interop.trainer",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
