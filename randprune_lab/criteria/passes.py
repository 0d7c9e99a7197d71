"""Running a model over batches, to see its gradients or the inputs of its layers. The model is left as it was."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from randprune_lab.criteria.padding import Padding
from randprune_lab.errors import ConfigError
from randprune_lab.masks.layers import is_conv1d, parameters
from randprune_lab.masks.wrappers import unwrapped

Batch = Mapping[str, Tensor]
"""The inputs of a model by name, with the labels among them."""

Loss = Callable[[nn.Module, Batch], Tensor]
"""The loss of a model on a batch, a scalar."""

Term = Callable[[Tensor, Tensor], Tensor]
"""What a weight and its gradient add to a score."""


def batch_list(batches: Iterable[Batch]) -> list[Batch]:
    """The batches; raises `ConfigError` if it is a single one, or none."""
    if isinstance(batches, Mapping | Tensor) or not isinstance(batches, Iterable):
        got = f"one batch of {_names(batches)}" if isinstance(batches, Mapping) else f"a {type(batches).__name__}"
        raise ConfigError(f"batches must be a list of batches, got {got}; give a list: batches=[batch]")
    return [*batches]


def model_loss(model: nn.Module, batch: Batch) -> Tensor:
    """The loss that a model of transformers returns for a batch with labels.

    Raises:
        ConfigError: if it returns none, or does not take the batch.
    """
    value = getattr(_outputs(model, batch), "loss", None)
    if value is None:
        raise ConfigError(
            f"{type(model).__name__} returns no loss for a batch of {_names(batch)}; put the labels into the batch, "
            "or give a function: loss=lambda model, batch: ..."
        )
    return value


def _outputs(model: nn.Module, batch: Batch) -> Any:
    """What a model returns for a batch by the names of its inputs; raises `ConfigError` if it does not take them."""
    remedy = "give a function: loss=lambda model, batch: ..."
    if not isinstance(batch, Mapping):
        raise ConfigError(f"without a loss, a batch must be a dict of tensors, got a {type(batch).__name__}; {remedy}")
    try:
        inspect.signature(unwrapped(model).forward).bind(**batch)
    except TypeError as error:
        raise ConfigError(
            f"{type(model).__name__} does not take a batch of {_names(batch)}: {error}; {remedy}"
        ) from None
    return model(**batch)


def _names(batch: Batch) -> str:
    return ", ".join(map(str, batch))


def sum_over_gradients(
    criterion: str, model: nn.Module, weights: Mapping[str, Tensor], batches: Sequence[Batch], loss: Loss, term: Term
) -> dict[str, Tensor]:
    """The sum of a term over the batches: it is computed from a weight and its gradient, at least in float32.

    A batch whose loss does not depend on a weight adds nothing to it.

    Args:
        criterion: what errors call the criterion.
        model, weights, batches, loss: see `Criterion.scores`.
        term: the term.

    Raises:
        ConfigError: if there are no batches, a weight is frozen, no loss depends on it, or a loss is no scalar.
    """
    check_trained(criterion, weights)
    totals: dict[str, Tensor] = {}
    with evaluating(model), torch.enable_grad():
        for batch in _batches(criterion, batches, weights):
            value = loss(model, batch)
            if not isinstance(value, Tensor) or value.numel() != 1 or not value.requires_grad:
                got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) and value.ndim else repr(value)
                raise ConfigError(f"the loss of a batch must be a scalar that depends on the weights, got {got}")
            found = torch.autograd.grad(value.sum(), [*weights.values()], allow_unused=True)
            for (name, weight), gradient in zip(weights.items(), found, strict=True):
                if gradient is None:  # as of an expert that no token of this batch has
                    continue
                part = wide_term(term, weight, gradient)
                totals[name] = totals[name].add_(part) if name in totals else part
    if missing := [name for name in weights if name not in totals]:
        raise ConfigError(
            f"criterion {criterion!r} needs the gradient of {missing[0]!r}, but the loss of no batch depends on it; "
            "exclude it, or use criterion 'magnitude'"
        )
    return totals


def check_trained(criterion: str, weights: Mapping[str, Tensor]) -> None:
    """Raise `ConfigError` for a weight that has no gradient because it is frozen."""
    for name, weight in weights.items():
        if not weight.requires_grad:
            raise ConfigError(
                f"criterion {criterion!r} needs the gradient of {name!r}, which is frozen; call requires_grad_() on "
                "it, exclude it, or use criterion 'magnitude'"
            )


@torch.no_grad()
def wide_term(term: Term, weight: Tensor, gradient: Tensor) -> Tensor:
    """The term, computed at least in float32: products of numbers in half precision underflow."""
    dtype = torch.promote_types(weight.dtype, torch.float32)
    return term(weight.detach().to(dtype), gradient.to(dtype))


@torch.no_grad()
def input_norms(
    criterion: str, model: nn.Module, weights: Mapping[str, Tensor], batches: Sequence[Batch], loss: Loss
) -> dict[str, Float64[Tensor, "#out #in"]]:
    """The norm of each input of each weight's layer over all tokens but padding, with the weight's axes.

    Args:
        criterion: what errors call the criterion.
        model, weights, batches, loss: see `Criterion.scores`; labels are not needed if the loss is the default.

    Raises:
        ConfigError: if there are no batches, or a weight is not that of a linear layer that the model runs.
    """
    inner = unwrapped(model)  # what torch.compile has compiled does not run hooks that come later
    known = parameters(inner)
    layers = {name: known[name].layer for name in weights}
    for name, layer in layers.items():
        if not (isinstance(layer, nn.Linear) or is_conv1d(layer)):  # such as stacked experts, with inputs for each
            raise ConfigError(
                f"criterion {criterion!r} needs weights of linear layers, but {name!r} belongs to a "
                f"{type(layer).__name__}; exclude it, or use criterion 'magnitude'"
            )
    squares: dict[str, Tensor] = {}
    padding = Padding(inner, next(iter(weights.values())).device)

    def add(name: str, module: nn.Module, given: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
        x = padding.without(module, next(iter((*given, *named.values()))))
        squares[name] = squares.get(name, 0) + x.double().square().sum(dim=0)

    owners = {id(weight): name for name, weight in weights.items()}
    with evaluating(inner), ExitStack() as hooks:
        for module in inner.modules():
            for parameter in module._parameters.values():  # a tied weight has the inputs of all its layers
                if id(parameter) in owners:
                    hook = partial(add, owners[id(parameter)])
                    hooks.callback(module.register_forward_pre_hook(hook, with_kwargs=True).remove)
        hooks.enter_context(padding)
        for given, batch in zip(batches, _batches(criterion, batches, weights), strict=True):
            padding.read(given)
            _outputs(inner, batch) if loss is model_loss else loss(inner, batch)
    if missing := [name for name in weights if name not in squares]:
        raise ConfigError(
            f"criterion {criterion!r} needs the inputs of {missing[0]!r}, but the model does not call its layer for "
            "these batches; exclude it, or use criterion 'magnitude'"
        )
    return {name: squares[name].sqrt()[:, None] if is_conv1d(layers[name]) else squares[name].sqrt() for name in layers}


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Dropout is off; at the end, each module is in the mode that it was in."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _batches(criterion: str, batches: Sequence[Batch], weights: Mapping[str, Tensor]) -> Iterator[Batch]:
    if not batches:
        raise ConfigError(f"criterion {criterion!r} needs batches that the model runs on, got none; give some")
    device = next(iter(weights.values())).device
    return (on_device(batch, device) for batch in batches)


def on_device(value: Any, device: torch.device) -> Any:
    """A batch, or a part of one, on a device, which is not waited for."""
    if isinstance(value, Mapping):
        return {name: on_device(part, device) for name, part in value.items()}
    if isinstance(value, PackedSequence):
        return value.to(device)  # type: ignore[arg-type]  # its batch sizes stay on the CPU
    if isinstance(value, list | tuple):
        return of_kind(value, [on_device(part, device) for part in value])
    return value.to(device, non_blocking=True) if isinstance(value, Tensor) else value


def of_kind(sequence: list[Any] | tuple[Any, ...], parts: list[Any]) -> Any:
    """A list, a tuple or a named tuple, as `sequence` is one, with other parts."""
    kind: Any = type(sequence)
    return kind(*parts) if hasattr(sequence, "_fields") else kind(parts)
