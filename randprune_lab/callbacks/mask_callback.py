"""Enforcing masks in `transformers.Trainer` and in your own training loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from transformers import TrainerCallback

from randprune_lab.errors import ConfigError, MaskError
from randprune_lab.interop.names import leftovers, matched
from randprune_lab.masks.gradients import GradientMasks
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.wrappers import named_weights, unwrapped
from randprune_lab.sparse.kept_layers import KeptForward, Layers, computable, why_dense
from randprune_lab.typed import typed

log = logging.getLogger("randprune_lab")

RECORD = "randprune_lab.mask"
"""The name in a checkpoint's `trainer_state.json` under which the SHA-256 of the enforced masks are recorded."""


class MaskCallback(TrainerCallback):
    """Keeps the removed weights of a model at exactly zero while it is trained.

    In a Trainer, `Trainer(..., callbacks=[MaskCallback(mask)])` zeroes them when the Trainer is made, before the first
    step, after every optimizer step, and at the end. In your own loop, also with `accelerate`, give the model, and call
    `enforce` after every `optimizer.step()`. Names match even if `torch.compile` or data parallelism wraps the model.
    Several callbacks, each with its own masks, may be used together. A callback is copied and pickled together with
    its model.

    Args:
        mask: masks by parameter name, True = kept.
        model: only for your own loop: the model to train, already on its device.
        gradients: whether backward passes give removed weights a gradient of zero, so that the norm that gradients are
            clipped by is that of the kept weights, and optimizers see these alone.
        compute: only for a Trainer: which masked layers leave out removed weights in forward and backward passes of
            the training, on a CPU: "auto" for those where it is faster, "sparse" for all that can, "dense" for none.
            Other than "dense", it masks `gradients` of all layers, too.

    Raises:
        ConfigError: if no layer can be computed "sparse", or `compute` is for a training loop of your own.
        MaskError: if the masks remove nothing, or a name or a shape does not fit the model; if a weight has no values,
            because it is offloaded; if a checkpoint to resume from was trained with other masks, or with none; if a
            Trainer evaluated the model without its masks.
    """

    def __init__(
        self,
        mask: Mapping[str, Tensor],
        model: nn.Module | None = None,
        *,
        gradients: bool = False,
        compute: Layers = "dense",
    ):
        self.gradients, self.compute = gradients or compute != "dense", typed(Layers, compute, "compute")
        if model is not None and compute != "dense":
            raise ConfigError(f"compute={compute!r} is for a Trainer; leave it out, or give the callback to a Trainer")
        self._mask, self._sha256, self._in_record = MaskSet(mask), "", ""
        self._kept_forwards: list[KeptForward] = []
        self._why_dense: str | None = None
        self._model: nn.Module | None = None
        self._zero: Callable[[], None] | None = None
        self._gradient_masks: GradientMasks | None = None
        if model is not None:
            self._attach(model, self._mask, gradients=gradients)

    @property
    def mask(self) -> MaskSet:
        """The masks. Others can be assigned, also during a training: they are enforced at once.

        Raises:
            MaskError: if they do not fit the model; then nothing is changed.
        """
        return self._mask

    @mask.setter
    def mask(self, mask: Mapping[str, Tensor]) -> None:
        mask = MaskSet(mask)
        if self._model is not None:
            masks = self._attach(self._model, mask, gradients=self._gradient_masks is not None)
            self._sha256 = self._sha256 and masks.sha256
        self._mask = mask

    def enforce(self) -> None:
        """Set the removed weights to zero.

        Raises:
            MaskError: if no model is known yet, or it no longer has the weights.
        """
        if self._zero is None:
            raise MaskError("there is no model yet to enforce the mask on; give one: MaskCallback(mask, model)")
        self._zero()
        if self._gradient_masks is not None:
            self._gradient_masks.renew()

    # --- what the Trainer calls ---

    def on_init_end(self, args: Any, state: Any, control: Any, model: Any = None, **others: Any) -> None:
        """Enforce the mask before anything is evaluated. A Trainer with `model_init` may have no model yet."""
        if model is not None:
            self._attach(model, self.mask, gradients=False)

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **others: Any) -> None:
        self._sha256 = self._in_record = _fitting(self.mask, model).sha256
        self._why_dense = why_dense(args.device, "bfloat16" if args.bf16 or args.fp16 else "float32")
        if state.global_step:
            self._check_resumed(state, model)
        self._attach(model, self.mask, gradients=self.gradients)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        self.enforce()
        if self._sha256 not in _recorded(state) or self._sha256 != self._in_record:
            self._record(state, {"sha256": self._sha256})

    def on_evaluate(self, args: Any, state: Any, control: Any, model: Any = None, **others: Any) -> None:
        """Refuse the scores of a model without its mask, as when the callback joins a Trainer that exists already."""
        masks = _fitting(self.mask, model)
        if wrong := leftovers(masks, named_weights(model)):
            raise MaskError(
                f"the model was evaluated without its mask: {_in_words(wrong, masks)}; give the callback to the "
                "Trainer when you make it, or call mask.apply_(model) first"
            )

    on_predict = on_evaluate  # type: ignore[assignment]  # the scores come by name

    def on_train_end(self, args: Any, state: Any, control: Any, model: Any = None, **others: Any) -> None:
        """Enforce the mask again: the best checkpoint may have been loaded since the last step."""
        self._attach(model, self.mask, gradients=False)

    # --- parts ---

    def _attach(self, model: nn.Module, mask: MaskSet, *, gradients: bool) -> MaskSet:
        masks = _fitting(mask, model)
        self._zero = masks.enforcer(model)
        self._zero()
        self._hook(masks, model, masking=gradients)
        self._leave_out(masks, model, training=gradients)
        self._model = model
        log.info("the mask is enforced on %d tensors, sparsity %.2f %%", len(masks), 100 * masks.sparsity)
        return masks

    def _hook(self, masks: MaskSet, model: nn.Module, *, masking: bool, collect: bool = False) -> None:
        """Mask gradients, or collect them, from now on."""
        if self._gradient_masks is not None:
            self._gradient_masks.remove()
        hooked = masking or collect
        self._gradient_masks = (
            GradientMasks(masks, unwrapped(model), masking=masking, collect=collect) if hooked else None
        )

    def _leave_out(self, masks: MaskSet, model: nn.Module, *, training: bool) -> None:
        """Compute layers from their kept weights from now on, or all of them as they were."""
        while self._kept_forwards:
            self._kept_forwards.pop().remove()
        if not training or self.compute == "dense":
            return
        if self._why_dense is None:
            layers = computable(model, masks, faster=self.compute == "auto")
            self._kept_forwards = [KeptForward(layer, masks[name]) for name, layer in layers.items()]
        elif self.compute == "sparse":
            raise ConfigError(f"compute='sparse' cannot be used here: {self._why_dense}; choose compute='auto'")

    def _record(self, state: Any, attributes: dict[str, Any]) -> None:
        """Record what a checkpoint needs of this callback, in the place of what it recorded before."""
        rest = [record for record in records_of(state) if not self._owns(record["attributes"])]
        records = [*rest, {"args": {}, "attributes": attributes}]
        state.stateful_callbacks[RECORD] = records if len(records) > 1 else records[0]
        self._in_record = self._sha256

    def _owns(self, attributes: dict[str, Any]) -> bool:
        return "settings" not in attributes and attributes["sha256"] in (self._sha256, self._in_record)

    def _check_resumed(self, state: Any, model: nn.Module) -> None:
        masks = _fitting(self.mask, model)
        if (recorded := _recorded(state)) and self._sha256 not in recorded:
            raise MaskError(
                f"the checkpoint at step {state.global_step} was trained with another mask (SHA-256 "
                f"{' and '.join(sha256[:12] for sha256 in recorded)}, not {self._sha256[:12]}); resume with that mask, "
                "or start a new training from its weights"
            )
        if wrong := leftovers(masks, named_weights(model)):
            raise MaskError(
                f"the checkpoint at step {state.global_step} does not obey the mask: {_in_words(wrong, masks)}; resume "
                "with the mask that it was trained with, or start a new training from its weights"
            )


def _fitting(mask: MaskSet, model: nn.Module) -> MaskSet:
    return matched(mask, named_weights(model), type(unwrapped(model)).__name__)


def _in_words(wrong: Mapping[str, int], masks: MaskSet) -> str:
    """What `leftovers` found."""
    name, count = next(iter(wrong.items()))
    return f"{count:,} removed weights of {name!r} are not zero ({len(wrong)} of {len(masks)} tensors affected)"


def records_of(state: Any) -> list[dict[str, Any]]:
    """What the callbacks of a training recorded."""
    found = state.stateful_callbacks.get(RECORD, [])
    return found if isinstance(found, list) else [found]  # as transformers stores callbacks of one kind


def _recorded(state: Any) -> list[str]:
    """The SHA-256 of the masks that a training enforced so far, by its callbacks together."""
    return [record["attributes"]["sha256"] for record in records_of(state)]
