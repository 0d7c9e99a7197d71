"""A linear function of kept values has the outputs and the gradients of the masked dense one."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
import torch.nn.functional as F

from randprune_lab.sparse.kept_values import KeptPattern, kept_linear


def case(sparsity: float, bias: bool, dtype: torch.dtype = torch.float64):
    random = torch.Generator().manual_seed(0)
    kept = torch.rand(7, 5, generator=random) >= sparsity
    kept[2], kept[:, 3] = False, False
    values = torch.randn(int(kept.sum()), generator=random, dtype=dtype, requires_grad=True)
    x = torch.randn(3, 2, 5, generator=random, dtype=dtype, requires_grad=True)
    b = torch.randn(7, generator=random, dtype=dtype, requires_grad=True) if bias else None
    return KeptPattern(kept, dtype), kept, x, values, b


@pytest.mark.parametrize("sparsity", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("transposed", [True, False], ids=["features first", "tokens first"])
def test_outputs_are_those_of_the_dense_layer_and_gradients_those_of_differences(sparsity, bias, transposed):
    pattern, kept, x, values, b = case(sparsity, bias)
    weight = torch.zeros(7, 5, dtype=torch.float64)
    weight[kept] = values.detach()
    out = kept_linear(x, values, b, pattern, transposed=transposed)
    torch.testing.assert_close(out, F.linear(x, weight, b))
    assert out.is_contiguous() != transposed

    def function(x, values, b):
        return kept_linear(1 * x, values, b, pattern, transposed=transposed)

    assert torch.autograd.gradcheck(function, (x, values, b))


def test_chained_layers_that_share_an_input_have_the_gradients_of_dense_ones():
    """Query and key take one tensor, and the next layer takes the features-first output of an elementwise function."""
    pattern, kept, x, values, b = case(0.5, True)
    last, last_kept = KeptPattern(kept.T, torch.float64), kept.T
    later = values.detach().clone().requires_grad_()

    def sparse():
        source = 2 * x
        query, key = (kept_linear(source, values, b, pattern, transposed=True) for _ in range(2))
        return kept_linear(F.gelu(query) * key, later, None, last).pow(2).sum()

    def dense():
        weight = torch.zeros(7, 5, dtype=torch.float64).masked_scatter(kept, values)
        out = F.linear(2 * x, weight, b)
        return F.linear(F.gelu(out) * out, torch.zeros(5, 7).double().masked_scatter(last_kept, later)).pow(2).sum()

    inputs = (x, values, b, later)
    for ours, theirs in zip(*(torch.autograd.grad(f(), inputs) for f in (sparse, dense)), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("features_first", [True, False], ids=["a view", "a copy"])
def test_nothing_of_a_step_stays_in_memory(features_first):
    """The feature-major form of a features-first input is a view, which holds that input."""
    pattern, _, x, values, b = case(0.5, True)
    inputs = F.gelu(x.flatten(0, 1).T.contiguous().T if features_first else x)
    out = kept_linear(inputs, values, b, pattern)
    out.sum().backward()
    there = weakref.ref(inputs)
    del inputs, out
    gc.collect()
    assert there() is None


def test_an_input_that_changed_or_was_read_without_gradients_is_read_again():
    pattern, _, x, values, b = case(0.5, True)
    source = 1 * x
    with torch.no_grad():
        first = kept_linear(source, values, b, pattern)
        second = kept_linear(source, values, b, pattern)
    assert torch.equal(first, second)
    (gradient,) = torch.autograd.grad(kept_linear(source, values, b, pattern).sum(), x)
    assert gradient.any()
    changed = source.detach()
    kept_linear(changed, values, b, pattern)
    changed.mul_(2)
    torch.testing.assert_close(kept_linear(changed, values, None, pattern), 2 * (first - b).detach())
    with torch.inference_mode():
        torch.testing.assert_close(kept_linear(1 * x, values, b, pattern), first)


def test_only_what_needs_a_gradient_gets_one():
    pattern, _, x, values, _ = case(0.5, False)
    kept_linear(x.detach(), values, None, pattern).sum().backward()
    assert values.grad is not None and x.grad is None
