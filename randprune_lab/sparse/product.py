"""The product of a sparse matrix with the states of tokens, and the layout that makes it fast.

PyTorch's product of a CSR matrix is fast for a contiguous operand of shape (features, tokens) alone. A transposed view
is copied inside, and `F.linear` with a CSR weight takes a path that is several times slower.
"""

from __future__ import annotations

import warnings
import weakref
from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


@cache
def ready_for_csr() -> None:
    """Let PyTorch say now, unheard, what it says of the first CSR tensor of a process: that CSR is in beta."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        torch.zeros(1, 1).to_sparse_csr()


class FeatureMajor:
    """Makes the feature-major form of an input, once for the layers that take the same tensor one after the other.

    The last form is remembered while its input lives and is unchanged. In `torch.inference_mode` a tensor does not tell
    whether it was changed. There, the form is remembered for layers that have not used it yet: query, key and value
    share it, and a layer that comes again reads its input again. So only layers may share a `FeatureMajor` that one
    forward pass gives the same input, and between two of them the input must not change; training rules that out too.
    """

    def __init__(self) -> None:
        self._last: tuple[Any, int, Tensor | None] = (lambda: None, 0, None)
        self._users: set[int] = set()

    def __call__(self, x: Float[Tensor, "... d"], user: object) -> Float[Tensor, "d tokens"]:
        """The same numbers with the features first, contiguous; no copy if `x` is a view of that.

        Args:
            x: the input.
            user: the layer that takes it.
        """
        if x.requires_grad:
            return feature_major(x)
        source, version, form = self._last
        now = -1 if x.is_inference() else x._version
        used = now == -1 and id(user) in self._users
        if form is None or source() is not x or version != now or used:
            form = feature_major(x)
            self._last = (weakref.ref(x, self._forget), now, form)
            self._users.clear()
        self._users.add(id(user))
        return form

    def _forget(self, source: Any) -> None:
        if self._last[0] is source:
            self._last = (lambda: None, 0, None)

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """Copies start empty; layers that share this share its copy."""
        return type(self), ()


def feature_major(x: Float[Tensor, "... d"]) -> Float[Tensor, "d tokens"]:
    """The same numbers with the features first, contiguous; no copy if `x` is a view of that."""
    return x.reshape(-1, x.shape[-1]).T.contiguous()


def product(
    weight: Float[Tensor, "out d"], x: Float[Tensor, "d tokens"], bias: Float[Tensor, " out"] | None
) -> Float[Tensor, "out tokens"]:
    """`weight @ x + bias`, for a weight in CSR and a contiguous `x`; for one token, the faster product of a vector."""
    if x.shape[1] == 1 and not x.requires_grad:
        one = x.squeeze(1)
        return (weight @ one if bias is None else torch.addmv(bias, weight, one)).unsqueeze(1)
    return weight @ x if bias is None else torch.addmm(bias[:, None], weight, x)
