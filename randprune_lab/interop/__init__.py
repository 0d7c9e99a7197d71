"""Masks in other tools: PyTorch's pruning and parametrization, and sparse files."""

from randprune_lab.interop.sparse_file import load_sparse, save_sparse
from randprune_lab.interop.torch_prune import (
    from_parametrize,
    from_torch_prune,
    make_permanent,
    mask_from_zeros,
    to_parametrize,
    to_torch_prune,
)

__all__ = [
    "from_parametrize",
    "from_torch_prune",
    "load_sparse",
    "make_permanent",
    "mask_from_zeros",
    "save_sparse",
    "to_parametrize",
    "to_torch_prune",
]
