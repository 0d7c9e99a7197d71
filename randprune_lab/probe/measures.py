"""How good a model is on batches, by forward passes alone: its loss, or how far it is from the dense model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import signature

import torch
from jaxtyping import Float
from torch import Tensor, nn

from randprune_lab.criteria.passes import Batch, Loss, evaluating, model_loss, on_device
from randprune_lab.errors import ConfigError
from randprune_lab.masks.wrappers import unwrapped

Evaluate = Callable[[nn.Module], float]
"""What is measured of a model; smaller is better."""

Data = Sequence[Batch] | Evaluate
"""Batches, or a function that measures a model."""

UNLABELLED = -100
"""The label of tokens that do not count, such as padding; PyTorch's cross-entropy ignores it."""


def loss_on(data: Data, loss: Loss = model_loss) -> Evaluate:
    """The mean loss on batches, weighted by their numbers of examples; a function is returned as it is.

    Raises:
        ConfigError: if there are no batches.
    """
    if callable(data):
        return data
    batches = checked(data)

    def evaluate(model: nn.Module) -> float:
        with evaluating(model), torch.no_grad():
            total = sum(float(loss(model, batch)) * _rows(batch) for batch in _here(model, batches))
        return total / sum(map(_rows, batches))

    return evaluate


def divergence_from(dense: nn.Module, data: Data) -> Evaluate:
    """The mean Kullback-Leibler divergence KL(dense || model) of the predictions; a function is returned as it is.

    It needs no labels, except where an encoder-decoder makes the inputs of its decoder from them. The mean is over
    rows, or over the tokens that the attention mask shows: the decoder's, or those with a label, in an encoder-decoder.
    For a single output, as in regression, it is half of the squared difference: the divergence of normal distributions
    with variance 1.

    Raises:
        ConfigError: if there are no batches, the model has no logits, or the mask is not one of its tokens.
    """
    if callable(data):
        return data
    batches = checked(data)
    if not _decodes(dense):
        batches = [{key: value for key, value in batch.items() if key != "labels"} for batch in batches]
    wanted = _logits(dense, batches)

    def evaluate(model: nn.Module) -> float:
        found = _logits(model, batches)
        parts = [_divergence(*pair) for pair in zip(wanted, found, strict=True)]
        return float(torch.cat(parts).mean())

    return evaluate


def checked(data: object) -> list[Batch]:
    """The batches; raises `ConfigError` if there are none, or they are no dicts of tensors."""
    batches = list(data) if isinstance(data, Sequence) else []
    if not batches or not all(isinstance(batch, Mapping) and batch for batch in batches):
        raise ConfigError(
            f"data must be a list of batches, dicts of tensors, or a function of the model, got {type(data).__name__}"
            f"{'' if batches else ' without a batch'}"
        )
    return batches


def _logits(model: nn.Module, batches: Sequence[Batch]) -> list[Float[Tensor, "rows labels"]]:
    """Log-probabilities, or single outputs, of all rows that count."""
    found = []
    with evaluating(model), torch.no_grad():
        for batch in _here(model, batches):
            logits = getattr(model(**batch), "logits", None)
            if logits is None:
                raise ConfigError(
                    f"{type(model).__name__} returns no logits; give a function of the model instead of batches"
                )
            found.append(_counted(model, batch, logits).float().flatten(0, -2))
    return found


def _counted(model: nn.Module, batch: Batch, logits: Tensor) -> Tensor:
    """The logits that count: without those of tokens that the mask hides."""
    mask = batch.get("decoder_attention_mask" if _decodes(model) else "attention_mask")
    if mask is None and _decodes(model) and "labels" in batch:
        mask = batch["labels"] != UNLABELLED
    if mask is None or logits.ndim != 3:
        return logits
    if mask.shape != logits.shape[:2]:
        raise ConfigError(
            f"{type(model).__name__} returns logits of {tuple(logits.shape[:2])} tokens, and their mask has shape "
            f"{tuple(mask.shape)}; give a function of the model instead of batches"
        )
    return logits[mask.bool()]


def _decodes(model: nn.Module) -> bool:
    """Whether a model has a decoder beside its encoder, which gives the logits and has a mask of its own."""
    return "decoder_attention_mask" in signature(unwrapped(model).forward).parameters


def _divergence(wanted: Float[Tensor, "n labels"], found: Float[Tensor, "n labels"]) -> Float[Tensor, " n"]:
    if wanted.shape[-1] == 1:
        return (wanted - found).square().flatten() / 2
    first, second = wanted.log_softmax(-1), found.log_softmax(-1)
    return (first.exp() * (first - second)).sum(-1)


def _rows(batch: Batch) -> int:
    """The number of examples: the labels, or else the longest tensor. Others may be of all examples, as positions."""
    parts = [batch["labels"]] if "labels" in batch else batch.values()
    return max((len(part) for part in parts if isinstance(part, Tensor) and part.ndim), default=1)


def _here(model: nn.Module, batches: Sequence[Batch]) -> Iterator[Batch]:
    device = next(model.parameters()).device
    return (on_device(batch, device) for batch in batches)
