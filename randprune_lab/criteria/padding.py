"""Which tokens of a batch are padding, for each layer of a model."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

IGNORED = -100
"""The label of what has no part in a loss, in PyTorch and transformers."""


class Padding(AbstractContextManager["Padding"]):
    """Leaves padding out of the inputs of layers, in a `with` statement around the passes of a model.

    The mask is the `attention_mask` of the batch. In the decoder of an encoder-decoder of transformers, except for
    layers that take the encoder's states, it is the `decoder_attention_mask`, or else the tokens whose labels are not
    -100.

    Args:
        model: the model.
        device: where it is.
    """

    def __init__(self, model: nn.Module, device: torch.device):
        self._device = device
        both = getattr(getattr(model, "config", None), "is_encoder_decoder", False) is True
        self._encoder: nn.Module | None = model.get_encoder() if both else None  # type: ignore[operator]
        self._decoder = {id(module) for module in model.get_decoder().modules()} if both else set()  # type: ignore[operator]
        self._states: Tensor | None = None
        self._masks: dict[str, tuple[int, Tensor]] = {}

    def __enter__(self) -> Padding:
        self._hook = None if self._encoder is None else self._encoder.register_forward_hook(self._keep)
        return self

    def __exit__(self, *error: object) -> None:
        self._states = None
        if self._hook is not None:
            self._hook.remove()

    def read(self, batch: Any) -> None:
        """Take the masks of a batch, where it is: so a GPU does not wait in every layer."""
        given = batch if isinstance(batch, Mapping) else {}
        labels = given.get("labels")
        decoder = given.get("decoder_attention_mask")
        if decoder is None and isinstance(labels, Tensor) and labels.ndim == 2:
            decoder = labels != IGNORED
        mask = given.get("attention_mask")
        masks = {"encoder": mask, "decoder": mask if decoder is None else decoder}
        self._masks = {
            name: (each.numel(), each.flatten().nonzero().flatten().to(self._device, non_blocking=True))
            for name, each in masks.items()
            if each is not None
        }

    def without(self, module: nn.Module, x: Float[Tensor, "... inputs"]) -> Float[Tensor, "tokens inputs"]:
        """The input of a layer, a row for each token that is not padding; of other inputs, every row."""
        rows = x.reshape(-1, x.shape[-1])
        states = self._states is not None and x.data_ptr() == self._states.data_ptr()
        part = "decoder" if id(module) in self._decoder and not states else "encoder"
        size, tokens = self._masks.get(part, (0, rows))
        return rows[tokens] if size == len(rows) else rows

    def _keep(self, encoder: nn.Module, given: Any, found: Any) -> None:
        self._states = found[0] if isinstance(found, tuple) else getattr(found, "last_hidden_state", None)
