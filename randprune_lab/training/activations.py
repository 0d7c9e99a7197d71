"""A criterion from outside: weights judged by their magnitude and by how large what they are multiplied with is."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from randprune_lab.errors import ConfigError
from randprune_lab.masks.scope import prunable
from randprune_lab.training.data import Encoded, scoring_batches

CALIBRATION = 128
"""Examples that the norms are taken over, as many as Sun et al. take."""


@torch.no_grad()
def activation_scores(
    model: nn.Module,
    data: Encoded,
    batch_size: int = 32,
    *,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
) -> dict[str, Float[Tensor, "out in"]]:
    """`|W_ij| * norm(x_j)` for each prunable matrix W, where x are the inputs of its layer over all tokens of `data`.

    The score of Sun et al. (2023, arXiv 2306.11695); they compare weights within a row, here the mask's groups decide.
    A weight that is zero has the score zero. The model is run without dropout, and is otherwise left as it was.

    Args:
        include, exclude: patterns that choose the weights, see `prunable`.

    Raises `ConfigError` if a matrix is not the weight of a linear layer.
    """
    weights = prunable(model, include, exclude)
    layers = {name: model.get_submodule(name.rpartition(".")[0]) for name in weights}
    squares: dict[str, Tensor] = {}
    mask: Tensor | None = None

    def add(name: str, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0].flatten(0, -2)
        if mask is not None and len(x) == mask.numel():
            x = x[mask.flatten().bool()]  # padding is no input
        squares[name] = squares.get(name, 0) + x.double().square().sum(dim=0)

    was_training = model.training
    model.eval()
    with contextlib.ExitStack() as hooks:
        for name, layer in layers.items():
            hooks.callback(layer.register_forward_pre_hook(partial(add, name)).remove)
        device = next(iter(weights.values())).device
        for rows in scoring_batches(data.lengths, batch_size):
            batch = {key: value.to(device) for key, value in data.batch(rows.tolist()).items()}
            del batch["rows"], batch["labels"]
            mask = batch.get("attention_mask")
            model(**batch)
    model.train(was_training)
    return {name: _scores(name, weight, layers[name], squares) for name, weight in weights.items()}


def _scores(name: str, weight: Tensor, layer: Any, squares: dict[str, Tensor]) -> Tensor:
    norms = squares.get(name)
    from transformers.pytorch_utils import Conv1D  # GPT-2's linear layer, whose rows are its inputs

    if norms is None or not isinstance(layer, nn.Linear | Conv1D):
        raise ConfigError(
            f"criterion activation is for linear layers that the model runs; {name!r} belongs to a "
            f"{type(layer).__name__}; take criterion magnitude"
        )
    across = norms.sqrt().to(weight.dtype)
    return weight.detach().abs() * (across[:, None] if isinstance(layer, Conv1D) else across)
