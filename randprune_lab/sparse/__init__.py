"""Linear layers that compute with the weights that a mask keeps, on a CPU."""

from randprune_lab.sparse.fast import fast
from randprune_lab.sparse.layer import SparseLinear

__all__ = ["SparseLinear", "fast"]
