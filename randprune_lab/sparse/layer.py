"""A linear layer that stores and multiplies only the kept weights."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor, nn

from randprune_lab.errors import WeightError
from randprune_lab.sparse.product import FeatureMajor, product, ready_for_csr

WIDENS = 3
"""A layer with more outputs per input than this has its output feature-major; query, key and value in one have 3."""


class SparseLinear(nn.Module):
    """A linear layer in CSR, for inference on a CPU in float32.

    Its `state_dict` has the names, shapes and values of the dense layer. Its output is a view with the features first
    in memory if the layer widens (`WIDENS`), as the first half of a feed-forward block does: elementwise functions keep
    that layout, and the next sparse layer needs no copy. Otherwise it is contiguous, as attention needs it.

    Args:
        shape: the shape of the weight: (outputs, inputs), or (inputs, outputs) for GPT-2's `Conv1D`.
        places: the places of the kept weights in the flattened weight, ascending.
        values: the kept weights.
        bias: the bias, if there is one.
        inputs_first: whether the weight is that of a `Conv1D`.
        form: makes the feature-major form of inputs; layers that get the same input share it, such as query, key and
            value.

    Raises:
        WeightError: if the places are not ascending places of the weight, one for each value.
    """

    crow: Tensor
    col: Tensor
    values: Tensor

    def __init__(
        self,
        shape: tuple[int, int],
        places: Int64[Tensor, " kept"],
        values: Shaped[Tensor, " kept"],
        bias: Float[Tensor, " out"] | None,
        *,
        inputs_first: bool = False,
        form: FeatureMajor | None = None,
    ):
        super().__init__()
        if len(places) != len(values) or not _ascending(places, math.prod(shape)):
            raise WeightError(
                f"each of {len(values):,} values needs a place from 0 to {math.prod(shape) - 1:,} in a weight of shape "
                f"{shape}, in ascending order, got {len(places):,} places; take mask.flatten().nonzero().squeeze(1)"
            )
        self.in_features, self.out_features = shape if inputs_first else shape[::-1]
        self.inputs_first, self.form = inputs_first, form or FeatureMajor()
        self._made: tuple[Tensor | None, Tensor | None] = (None, None)  # the matrix, and the values that it is made of
        self._store(places, values)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)

    def _store(self, places: Tensor, values: Tensor) -> None:
        width = self.out_features if self.inputs_first else self.in_features
        row, col = places // width, places % width
        if self.inputs_first:
            order = col.argsort(stable=True)
            row, col, values = col[order], row[order], values[order]
        crow = torch.zeros(self.out_features + 1, dtype=torch.int64)
        crow[1:] = torch.bincount(row, minlength=self.out_features).cumsum(0)
        for name, part in {"crow": crow.int(), "col": col.int(), "values": values}.items():
            self.register_buffer(name, part, persistent=False)

    @property
    def weight(self) -> Tensor:
        """The weight as a sparse tensor of its dense shape: CSR, or CSC for a `Conv1D`."""
        return self._matrix().t() if self.inputs_first else self._matrix()

    def _matrix(self) -> Tensor:
        matrix, values = self._made
        if matrix is None or values is not self.values:  # a conversion of the module replaces its values
            ready_for_csr()
            parts = (self.crow, self.col, self.values, (self.out_features, self.in_features))
            with torch.inference_mode(False):  # a tensor of inference mode could not take part in gradients later
                matrix = torch.sparse_csr_tensor(*parts, check_invariants=not self.values.is_meta)
            self._made = (matrix, self.values)
        return matrix

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles leave out the matrix, which has the values of the module."""
        return self.__dict__ | {"_made": (None, None)}

    def forward(self, x: Float[Tensor, "... d"]) -> Float[Tensor, "... out"]:
        """The outputs of the dense layer, up to rounding.

        Raises:
            WeightError: if inputs or values are not in float32 on the CPU.
        """
        if not (_computable(x) and _computable(self.values)):
            raise WeightError(
                f"sparse layers compute in float32 on the CPU, got inputs in {x.dtype} on {x.device} and weights in "
                f"{self.values.dtype} on {self.values.device}; use the dense model for this"
            )
        if torch.is_autocast_enabled("cpu"):
            with torch.autocast("cpu", enabled=False):
                return self._computed(x)
        return self._computed(x)

    def _computed(self, x: Float[Tensor, "... d"]) -> Float[Tensor, "... out"]:
        out = product(self._matrix(), self.form(x, self), self.bias).T
        if self.out_features <= WIDENS * self.in_features:
            out = out.contiguous()
        return out.view(*x.shape[:-1], self.out_features)

    def extra_repr(self) -> str:
        """What `print` shows of the layer."""
        kept, size = len(self.values), self.in_features * self.out_features
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}, "
            f"kept={kept:,} of {size:,}, sparsity={1 - kept / size:.2%}"
        )

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        dense = self._matrix().to_dense()
        destination[f"{prefix}weight"] = dense.T.contiguous() if self.inputs_first else dense
        super()._save_to_state_dict(destination, prefix, keep_vars)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *more: Any) -> None:
        raise WeightError(
            f"cannot load weights into the sparse layer {prefix.rstrip('.')!r}; load them into the dense model, and "
            "call randprune_lab.fast on it"
        )


def _ascending(places: Tensor, size: int) -> bool:
    """Whether these are different places of a flattened weight, in their order."""
    return not len(places) or bool(places[0] >= 0 and places[-1] < size and (places.diff() > 0).all())


def _computable(x: Tensor) -> bool:
    return x.dtype is torch.float32 and x.is_cpu
