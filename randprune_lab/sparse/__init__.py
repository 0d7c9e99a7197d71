"""Linear layers that compute with the weights that a mask keeps, on a CPU; models without removed heads and neurons."""

from randprune_lab.sparse.fast import fast
from randprune_lab.sparse.layer import SparseLinear
from randprune_lab.sparse.shrink import shrink

__all__ = ["SparseLinear", "fast", "shrink"]
