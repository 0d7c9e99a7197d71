"""A linear function whose weight is the values that a mask keeps, with gradients for these and for its input."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from randprune_lab.sparse.product import feature_major, product, ready_for_csr


class KeptPattern:
    """Where a mask keeps weights of a linear layer, in the forms that products need.

    Args:
        kept: the mask, with the outputs first.
        dtype: the type of the values.

    The values are in the order of the mask's rows.
    """

    def __init__(self, kept: Bool[Tensor, "out in"], dtype: torch.dtype):
        self.shape = (kept.shape[0], kept.shape[1])
        self.index = _csr(kept)
        self.flipped = _csr(kept.T)
        order = torch.zeros(kept.shape, dtype=torch.int64)
        order[kept] = torch.arange(int(kept.sum()))
        self.order = order.T[kept.T]
        ready_for_csr()
        self._zeros = self.matrix(torch.zeros(len(self.order), dtype=dtype))

    def matrix(self, values: Float[Tensor, " kept"]) -> Tensor:
        """The weight in CSR."""
        return torch.sparse_csr_tensor(*self.index, values, self.shape, check_invariants=False)

    def transposed(self, values: Float[Tensor, " kept"]) -> Tensor:
        """The transposed weight in CSR."""
        return torch.sparse_csr_tensor(*self.flipped, values[self.order], self.shape[::-1], check_invariants=False)

    def sampled(self, a: Float[Tensor, "out tokens"], b: Float[Tensor, "in tokens"]) -> Float[Tensor, " kept"]:
        """The kept elements of `a @ b.T`."""
        return torch.sparse.sampled_addmm(self._zeros, a, b.T, beta=0.0).values()


class _Product(torch.autograd.Function):
    """`weight @ x + bias`, feature-major."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, values: Tensor, bias: Tensor | None, pattern: KeptPattern) -> Tensor:
        ctx.save_for_backward(x, values)
        ctx.pattern = pattern
        return product(pattern.matrix(values), x, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, values = ctx.saved_tensors
        pattern, grad, (of_x, of_values, of_bias, _) = ctx.pattern, grad.contiguous(), ctx.needs_input_grad
        return (
            _multiplied(pattern.transposed(values), grad) if of_x else None,
            pattern.sampled(grad, x) if of_values else None,
            grad.sum(1) if of_bias else None,
            None,
        )


class _FeatureMajor(torch.autograd.Function):
    """The feature-major form of an input. The gradient has the layout of the input, which other functions need."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.shape = x.shape
        flat = x.reshape(-1, x.shape[-1])
        ctx.copied = not flat.T.is_contiguous()
        return flat.T.contiguous() if ctx.copied else flat.T.view_as(flat.T)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return (grad.T.contiguous() if ctx.copied else grad.T).reshape(ctx.shape)


def kept_linear(
    x: Float[Tensor, "*rows in"],
    values: Float[Tensor, " kept"],
    bias: Float[Tensor, " out"] | None,
    pattern: KeptPattern,
    *,
    transposed: bool = False,
) -> Float[Tensor, "*rows out"]:
    """The outputs of a linear layer that has these values where the pattern keeps weights, and zeros elsewhere.

    Args:
        x: the inputs; the layers that take the same tensor share its feature-major form.
        values, bias: the kept weights in the order of the pattern, and the bias.
        pattern: where they are.
        transposed: return a view of a result with the features first in memory, as elementwise functions keep it.
    """
    out = _Product.apply(_form(x), values, bias, pattern).T
    return (out if transposed else out.contiguous()).reshape(*x.shape[:-1], pattern.shape[0])


def _form(x: Tensor) -> Tensor:
    """The feature-major form; a copy is remembered at the tensor as long as that is unchanged.

    A view costs nothing to make again, and remembered at its own base it would keep both in memory for ever.
    """
    if x.is_inference():
        return feature_major(x)
    stamp = (x._version, torch.is_grad_enabled())
    have: tuple[Any, Tensor] | None = getattr(x, "_feature_major", None)
    if have is None or have[0] != stamp:
        have = (stamp, _FeatureMajor.apply(x))
        if not have[1]._is_view():
            x._feature_major = have  # type: ignore[attr-defined]
    return have[1]


def _multiplied(weight: Tensor, x: Float[Tensor, "out tokens"]) -> Float[Tensor, "in tokens"]:
    """`weight @ x`, without the zeros that PyTorch fills a result with before it computes it."""
    out = x.new_empty(weight.shape[0], x.shape[1])
    return torch.addmm(out, weight, x, beta=0.0, out=out)


def _csr(kept: Tensor) -> tuple[Tensor, Tensor]:
    """The rows and columns of a mask's elements, as CSR has them."""
    rows, columns = kept.nonzero(as_tuple=True)
    starts = torch.zeros(len(kept) + 1, dtype=torch.int64)
    starts[1:] = torch.bincount(rows, minlength=len(kept)).cumsum(0)
    return starts.int(), columns.int()
