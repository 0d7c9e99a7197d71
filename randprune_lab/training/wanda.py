"""Wanda's importance score (Sun et al. 2023): a weight's magnitude times the norm of its input."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from randprune_lab.errors import ConfigError
from randprune_lab.masks.layers import is_conv1d
from randprune_lab.masks.scope import with_values
from randprune_lab.training.data import Encoded, scoring_batches
from randprune_lab.training.scoring import inputs, on_device

CALIBRATION = 128
"""Number of examples that the norms are computed over, the same as in Sun et al."""


@torch.no_grad()
def wanda_scores(
    model: nn.Module,
    data: Encoded,
    batch_size: int = 32,
    *,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    types: Sequence[type[nn.Module] | str] | None = None,
) -> dict[str, Float[Tensor, "out in"]]:
    """Wanda's score of each prunable weight: `|W_ij| * norm(x_j)`, where x are its layer's inputs over all tokens.

    Sun et al. compare the weights of a row with each other; here the allocation of the mask decides what is compared.
    A weight that is zero has score zero. The model runs without dropout and is not changed.

    Args:
        data: the examples whose tokens are the inputs.
        include, exclude, types: patterns and kinds of layers that choose the weights, see `prunable`.

    Raises:
        ConfigError: if a tensor is not the weight of a linear layer, as those of stacked experts are not.

    Source: Sun et al. 2023, arXiv 2306.11695.
    """
    weights = with_values(model, include, exclude, types)
    layers = {name: model.get_submodule(name.rpartition(".")[0]) for name in weights}
    for name, layer in layers.items():
        if not (isinstance(layer, nn.Linear) or is_conv1d(layer)):  # such as stacked experts, with inputs for each
            raise _without_norms(name, layer)
    squares: dict[str, Tensor] = {}
    mask: Tensor | None = None
    tokens: Tensor | None = None

    def add(name: str, module: nn.Module, given: tuple[Tensor, ...]) -> None:
        x = given[0].flatten(0, -2)
        if mask is not None and len(x) == mask.numel():
            x = x[tokens]  # without padding
        squares[name] = squares.get(name, 0) + x.double().square().sum(dim=0)

    was_training = model.training
    model.eval()
    with contextlib.ExitStack() as hooks:
        for name, layer in layers.items():
            hooks.callback(layer.register_forward_pre_hook(partial(add, name)).remove)
        device = next(iter(weights.values())).device
        for rows in scoring_batches(data.lengths, batch_size):
            batch = inputs(data.batch(rows.tolist()))
            mask = batch.get("attention_mask")
            if mask is not None:  # found on the CPU, so that a GPU does not wait in every layer
                tokens = mask.flatten().nonzero().flatten().to(device, non_blocking=True)
            model(**on_device(batch, device))
    model.train(was_training)
    return {name: _scores(name, weight, layers[name], squares) for name, weight in weights.items()}


def _scores(name: str, weight: Tensor, layer: nn.Module, squares: dict[str, Tensor]) -> Tensor:
    if name not in squares:
        raise _without_norms(name, layer)
    across = squares[name].sqrt().to(weight.dtype)
    return weight.detach().abs() * (across[:, None] if is_conv1d(layer) else across)


def _without_norms(name: str, layer: nn.Module) -> ConfigError:
    return ConfigError(
        f"criterion 'wanda' needs weights of linear layers that the model runs, but {name!r} belongs to a "
        f"{type(layer).__name__}; exclude it, or use criterion 'magnitude'"
    )
