"""The masks of one training with gradual pruning: what is drawn when, and what a checkpoint needs."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from randprune_lab.errors import ConfigError, MaskError, listed
from randprune_lab.masks.gradual import GradualMasks, check_single, replanned
from randprune_lab.masks.mask_file import decode_mask, encode_mask
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.recipe import Recipe
from randprune_lab.masks.regrow import Keys, Regrowth, forget, grown
from randprune_lab.masks.sampler import MaskSampler
from randprune_lab.masks.wrappers import named_weights


class Redraw(NamedTuple):
    """A mask that was drawn during a training."""

    step: int
    sparsity: float
    sha256: str


class GradualTraining:
    """The masks of one training with gradual pruning: the present one, those before, and the next.

    Args:
        settings: the settings of the pruning.
        model: the model that is trained.
        total: the number of training steps, if it is known.
        mask: the mask that the model obeys already, if it has one.

    Raises:
        ConfigError: if the schedule does not fit into the training.
    """

    def __init__(self, settings: GradualMasks, model: nn.Module, total: int | None, mask: MaskSet | None = None):
        self.settings, self.model = settings, model
        self.schedule = settings.planned(total)
        self.mask, self.history = mask or MaskSet({}), list[Redraw]()
        self.recipe: Recipe | None = None

    def check(self) -> frozenset[str]:
        """The names of the weights to prune.

        Raises:
            ConfigError: if weights regrow that are frozen, or that are not chosen one by one within a tensor.
            MaskError: if the sampler is of another model, or of other tensors than the mask.
            WeightError: if fewer weights are non-zero than are to be kept at the end.
        """
        with visible(self.model, self.mask):
            sampler = self.settings.sampler(self.model, self.settings.final)
        names = frozenset(sampler.shapes)
        self._check_names(names)
        if self.settings.regrowth:
            check_single(sampler)
            if self.settings.regrowth.kind == "rigl":
                self._check_frozen(names)
        return names

    def describe(self) -> dict[str, Any]:
        """The settings as plain data, for records."""
        return self.settings.describe(self.schedule)

    def due(self, step: int) -> bool:
        """Whether a mask is drawn after this number of steps."""
        return self.schedule.due(step)

    def needs_gradients(self, step: int) -> bool:
        """Whether the gradients of all weights in this step decide on the next mask."""
        regrowth = self._regrowth(step)
        return self.due(step) and regrowth is not None and regrowth.kind == "rigl"

    def redraw(self, step: int, gradients: Mapping[str, torch.Tensor] | None = None, optimizer: Any = None) -> MaskSet:
        """Draw the mask that is due after a step, from the present weights; it is empty while none is removed.

        The weights are not changed. What regrows is zero, because it was removed, and so is what the optimizer
        remembers of it and of the weights that are removed now.

        Args:
            gradients: the gradients of all weights by name, if `needs_gradients`.
            optimizer: the optimizer of the training; only regrowth needs it.

        Raises:
            MaskError: if the sampler is of other tensors than the mask, whose removed weights would come back.
            WeightError: if fewer weights are non-zero than are to be kept.
        """
        settings, before = self.settings, self.mask
        sparsity = self.schedule.sparsity(step, settings.final)
        if not before and not any(sparsity.values() if isinstance(sparsity, dict) else [sparsity]):
            return self.mask
        with visible(self.model, before):
            sampler = settings.sampler(self.model, sparsity)
            self._check_names(sampler.shapes)
            drawn, recipe = sampler.draw(settings.candidate), sampler.recipe(settings.candidate)
            if regrowth := self._regrowth(step):
                keys = regrowth.keys(gradients, sampler.seed, settings.candidate, step)
                drawn = self._regrown(sampler, drawn, regrowth.fraction_at(self.schedule.progress(step)), keys)
                recipe = replace(recipe, regrowth={"kind": regrowth.kind, "step": step})
        if drawn.kept == drawn.size:
            return self.mask
        if before and settings.regrowth:
            forget(optimizer, named_weights(self.model), MaskSet({name: drawn[name] ^ before[name] for name in before}))
        self.mask, self.recipe = drawn, recipe
        self.history.append(Redraw(step, drawn.sparsity, drawn.sha256))
        return drawn

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs besides the weights, as plain data.

        The removed weights are zero in a checkpoint, so that only the kept weights that are zero are listed.
        """
        weights = named_weights(self.model)
        zeros = {name: kept & (weights[name].detach() == 0).to(kept.device) for name, kept in self.mask.items()}
        return {
            "sha256": self.mask.sha256,
            "settings": self.describe(),
            "history": [list(redraw) for redraw in self.history],
            "recipe": self.recipe and self.recipe.to_dict(),
            "zeros": {name: base64.b64encode(encode_mask(found).tobytes()).decode() for name, found in zeros.items()},
        }

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` gave; the model has the weights of that moment already.

        Raises:
            MaskError: if the settings are others, or the weights do not obey the mask.
        """
        mine, recorded = self.describe(), state["settings"]
        if other := [name for name in mine if mine[name] != recorded.get(name)]:
            raise MaskError(
                f"the checkpoint was trained with another gradual pruning: {other[0]} was {recorded.get(other[0])!r}, "
                f"and is {mine[other[0]]!r}; resume with the same settings, or start a new training from its weights"
            )
        weights, masks = named_weights(self.model), {}
        for name, code in state["zeros"].items():
            if name not in weights:
                raise MaskError(f"the checkpoint has a mask of {name!r}, which {type(self.model).__name__} lacks")
            packed = np.frombuffer(base64.b64decode(code), dtype=np.uint8)
            zeros = decode_mask(packed, list(weights[name].shape)).to(weights[name].device)
            masks[name] = (weights[name] != 0) | zeros
        if (mask := MaskSet(masks)).sha256 != state["sha256"]:
            raise MaskError(
                f"the weights do not obey the mask of their checkpoint (SHA-256 {mask.sha256[:12]}, not "
                f"{state['sha256'][:12]}); resume from the weights that it was written with"
            )
        self.mask, self.history = mask, [Redraw(*redraw) for redraw in state["history"]]
        self.recipe = Recipe.from_dict(state["recipe"]) if state["recipe"] else None

    def _regrowth(self, step: int) -> Regrowth | None:
        """The regrowth after a step, if some weights come back then."""
        inside = self.schedule.start < step < self.schedule.end
        return self.settings.regrowth if inside and self.mask else None

    def _regrown(self, sampler: MaskSampler, drawn: MaskSet, fraction: float, keys: Keys) -> MaskSet:
        """A mask that keeps the same number of weights of each tensor as `drawn`; a fraction of them come back."""
        counts = {name: int(kept.sum()) for name, kept in drawn.items()}
        rest = {name: count - round(fraction * count) for name, count in counts.items()}
        sparsity = 1 - sum(rest.values()) / drawn.size
        survivors = replanned(sampler, self.model, sparsity, rest).draw(self.settings.candidate)
        return grown(survivors, counts, keys)

    def _check_names(self, names: Collection[str]) -> None:
        if self.mask and self.mask.keys() != {*names}:
            raise MaskError(
                f"the mask has {listed(sorted(self.mask))}, and the sampler {listed(sorted(names))}; make the sampler "
                "for the tensors of the mask"
            )

    def _check_frozen(self, names: frozenset[str]) -> None:
        weights = named_weights(self.model)
        if frozen := sorted(name for name in names if not weights[name].requires_grad):
            raise ConfigError(
                f"regrow='rigl' needs gradients, and {frozen[0]!r} is frozen; thaw it, leave it dense with "
                "exclude=[...], or choose regrow='set'"
            )


def _least(dtype: torch.dtype) -> float:
    """The least number that is drawn from: in float16 below the normal ones, which some of its weights are, too."""
    found = torch.finfo(dtype)
    return found.tiny * found.eps if dtype == torch.float16 else found.tiny


@contextmanager
def visible(model: nn.Module, mask: MaskSet) -> Iterator[None]:
    """In the block, kept weights that are zero, as after regrowth, are tiny: they can be kept again, and come last."""
    every = named_weights(model)
    weights = {name: every[name] for name in mask}
    with torch.no_grad():
        zeros = {name: mask[name].to(weight.device) & (weight == 0) for name, weight in weights.items()}
        for name, weight in weights.items():
            weight.masked_fill_(zeros[name], _least(weight.dtype))
    try:
        yield
    finally:
        with torch.no_grad():
            for name, weight in weights.items():
                weight.masked_fill_(zeros[name], 0.0)
