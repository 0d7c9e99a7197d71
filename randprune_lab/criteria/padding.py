"""Which tokens of a batch are padding, for each layer of a model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

IGNORED = -100
"""The label of what has no part in a loss, in PyTorch and transformers."""


class Padding(AbstractContextManager["Padding"]):
    """Leaves padding out of the inputs of layers, in a `with` statement around the passes of a model.

    The mask is the `attention_mask` of the batch. In the decoder of an encoder-decoder of transformers, except for
    layers that take the encoder's states, it is the `decoder_attention_mask`, or else the tokens whose labels are not
    -100. A layer's inputs may have examples or tokens first; where the numbers are equal, it is the examples.

    Args:
        model: the model.
        device: where it is.
    """

    def __init__(self, model: nn.Module, device: torch.device):
        self._device = device
        both = getattr(getattr(model, "config", None), "is_encoder_decoder", False) is True
        self._encoder: nn.Module | None = model.get_encoder() if both else None  # type: ignore[operator]
        self._decoder = {id(module) for module in model.get_decoder().modules()} if both else set()  # type: ignore[operator]
        projection = getattr(model, "enc_to_dec_proj", None)
        self._giving = [module for module in (self._encoder, projection) if isinstance(module, nn.Module)]
        self._states: list[Tensor] = []
        self._masks: dict[str, _Tokens] = {}

    def __enter__(self) -> Padding:
        self._hooks = [module.register_forward_hook(self._keep) for module in self._giving]
        return self

    def __exit__(self, *error: object) -> None:
        self._states = []
        for hook in self._hooks:
            hook.remove()

    def read(self, batch: Any) -> None:
        """Take the masks of a batch, where it is: so a GPU does not wait in every layer."""
        given = batch if isinstance(batch, Mapping) else {}
        labels = given.get("labels")
        decoder = given.get("decoder_attention_mask")
        if decoder is None and isinstance(labels, Tensor) and labels.ndim == 2:
            decoder = labels != IGNORED
        mask = given.get("attention_mask")
        masks = {"encoder": mask, "decoder": mask if decoder is None else decoder}
        self._states = []
        self._masks = {
            name: _Tokens(tuple(each.shape), *(at.to(self._device, non_blocking=True) for at in each.nonzero().T))
            for name, each in masks.items()
            if each is not None and each.ndim == 2
        }

    def without(self, module: nn.Module, x: Float[Tensor, "... inputs"]) -> Float[Tensor, "tokens inputs"]:
        """The input of a layer, a row for each token that is not padding; of other inputs, every row."""
        states = any(x.data_ptr() == each.data_ptr() for each in self._states)
        part = "decoder" if id(module) in self._decoder and not states else "encoder"
        found = x if (tokens := self._masks.get(part)) is None else tokens.of(x)
        return found.reshape(-1, x.shape[-1])

    def _keep(self, module: nn.Module, given: Any, found: Any) -> None:
        states = found[0] if isinstance(found, tuple) else getattr(found, "last_hidden_state", found)
        self._states += [states] if isinstance(states, Tensor) else []


@dataclass(frozen=True)
class _Tokens:
    """Where the tokens of a batch are that are not padding, in a mask of this shape."""

    shape: tuple[int, ...]
    examples: Int64[Tensor, " tokens"]
    places: Int64[Tensor, " tokens"]

    def of(self, x: Float[Tensor, "... inputs"]) -> Float[Tensor, "... inputs"]:
        """The tokens in the input of a layer; all of it where it has no axes of examples and tokens."""
        count, length = self.shape
        if x.ndim > 2 and x.shape[:2] == self.shape:
            return x[self.examples, self.places]
        if x.ndim > 2 and x.shape[:2] == self.shape[::-1]:
            return x[self.places, self.examples]
        if x.ndim == 2 and len(x) == count * length:
            return x[self.examples * length + self.places]
        if x.ndim > 2 and count in x.shape[:2] and len(self.places) < count * length and count > 1:
            warnings.warn(
                f"inputs of shape {tuple(x.shape)} do not fit an attention_mask of shape {self.shape}, so padding is "
                "taken for tokens; give batches without padding, or padded as the model pads them",
                stacklevel=2,
            )
        return x
