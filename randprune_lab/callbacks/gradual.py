"""Gradual pruning in `transformers.Trainer` and in your own training loop."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from randprune_lab.callbacks.mask_callback import MaskCallback, records_of
from randprune_lab.errors import ConfigError, MaskError
from randprune_lab.masks.gradual import GradualMasks, MakeSampler
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.recipe import Recipe
from randprune_lab.masks.redraws import GradualTraining, Redraw
from randprune_lab.masks.regrow import Kind
from randprune_lab.masks.sampler import MaskSampler
from randprune_lab.masks.schedule import Shape
from randprune_lab.masks.sparsity import Sparsity


class GradualPruning(MaskCallback):
    """Prunes a model while it is trained: every some steps it enforces a sparser mask, drawn from the present weights.

    In a Trainer, `Trainer(..., callbacks=[GradualPruning(sampler, start=0.1, end=0.7, every=100)])`. In your own loop,
    give the model, and call `pruning.step(n)` after the n-th `optimizer.step()`, before `zero_grad`. Masks are enforced
    as by `MaskCallback`. A removed weight is zero and never comes back, unless `regrow` says which do.

    A checkpoint of a Trainer has all that is needed to resume it to the same bits. In your own loop, save
    `pruning.state_dict()`, which is plain data, beside the model and the optimizer, and load it after the model.

    Args:
        sampler: a `MaskSampler`, whose rule, final sparsity, allocation, seed and scope are used at every redraw with
            the weights of that moment; or a function `(model, sparsity) -> MaskSampler`, such as one that computes
            scores of its own.
        start, end: the steps of the first and the last redraw: whole numbers, or floats from 0 to 1, which are
            fractions of the training.
        every: the number of steps between two redraws.
        final: the sparsity at the end; that of `sampler`, so only a function needs it.
        begin: the sparsity at `start`; before, there is no mask.
        schedule: how the sparsity rises: "cubic", "linear" or "constant" (the final one from the start on), or a
            function from the progress to how far the sparsity is on its way, both from 0 to 1.
        regrow: which removed weights come back at a redraw, in place of others: "set" for random ones, "rigl" for
            those with the largest gradients. They begin at zero.
        fraction: the fraction of each tensor's kept weights that regrowth replaces at first; it falls along a cosine.
        candidate: the number of the candidate that is drawn at every redraw.
        gradients: whether backward passes give removed weights a gradient of zero, as in `MaskCallback`.
        model, optimizer, steps: only for your own loop: the model to train, its optimizer (which regrowth needs), and
            the number of training steps (which fractions need).

    Raises:
        ConfigError: if a setting is out of range, or the schedule does not fit into the training.
        MaskError: if the sampler is of another model; if a checkpoint to resume from does not fit.
        WeightError: if fewer weights are non-zero than are to be kept.

    Source: Zhu and Gupta 2017, arXiv 1710.01878; regrowth: Mocanu et al. 2018, arXiv 1707.04780 ("set"), and Evci et
    al. 2020, arXiv 1911.11134 ("rigl").
    """

    def __init__(
        self,
        sampler: MaskSampler | MakeSampler,
        start: float,
        end: float,
        every: int,
        *,
        final: Sparsity | None = None,
        begin: float = 0.0,
        schedule: Shape = "cubic",
        regrow: Kind | None = None,
        fraction: float = 0.3,
        candidate: int = 0,
        gradients: bool = False,
        model: nn.Module | None = None,
        optimizer: Any = None,
        steps: int | None = None,
    ):
        super().__init__({}, gradients=gradients)
        self.settings = GradualMasks(
            sampler,
            start,
            end,
            every,
            final=final,
            begin=begin,
            schedule=schedule,
            regrow=regrow,
            fraction=fraction,
            candidate=candidate,
        )
        self._training: GradualTraining | None = None
        self._optimizer, self._step = optimizer, 0
        if model is not None:
            if regrow is not None and optimizer is None:
                raise ConfigError("regrow also sets what the optimizer remembers to zero; give it: optimizer=...")
            self._begin(model, steps).check()
            self._redraw()

    @property
    def mask(self) -> MaskSet:
        """The present masks; none before the first redraw. They come from the schedule alone."""
        return self._mask

    @mask.setter
    def mask(self, mask: Mapping[str, Tensor]) -> None:
        raise MaskError("the masks of GradualPruning come from its schedule; to enforce others, use MaskCallback")

    @property
    def sparsity(self) -> float:
        """The fraction of the weights to prune that is removed now."""
        return self.mask.sparsity if self.mask else 0.0

    @property
    def history(self) -> list[Redraw]:
        """The step, the sparsity and the SHA-256 of each mask so far."""
        return self._training.history if self._training else []

    @property
    def recipe(self) -> Recipe | None:
        """The recipe of the present mask: it rebuilds it from the weights before the redraw, unless weights regrew."""
        return self._training.recipe if self._training else None

    def step(self, step: int) -> None:
        """Enforce the mask after an optimizer step, and draw the next one if it is due.

        Args:
            step: the number of optimizer steps so far, from 1.

        Raises:
            MaskError: if no model is known yet.
            ConfigError: if it is not the step after the one before.
        """
        if self._training is None:
            raise MaskError("there is no model yet to prune; give one: GradualPruning(..., model=model)")
        if step != self._step + 1:
            raise ConfigError(
                f"step must be called after every optimizer step, with {self._step + 1} now, got {step}; to continue a "
                "training, load its state_dict first"
            )
        self._step = step
        if self.mask:
            self.enforce()
        self._redraw()

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs besides the weights, as plain data.

        Raises:
            MaskError: if no model is known yet.
        """
        if self._training is None:
            raise MaskError("there is no training yet; give a model: GradualPruning(..., model=model)")
        return {"step": self._step, **self._training.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` gave. The model must have the weights of that moment already.

        Raises:
            MaskError: if the settings are others, the weights do not obey the mask, or no model is known yet.
        """
        if self._training is None:
            raise MaskError("there is no model yet; give one: GradualPruning(..., model=model)")
        self._training.load_state_dict(state)
        self._training.check()
        self._step = state["step"]
        self._adopt(self._training.mask)
        self._collect_if_needed()

    # --- what the Trainer calls ---

    def on_init_end(self, args: Any, state: Any, control: Any, model: Any = None, **others: Any) -> None:
        """There is no mask before the training begins."""

    def on_train_begin(
        self, args: Any, state: Any, control: Any, model: Any = None, optimizer: Any = None, **others: Any
    ) -> None:
        self._optimizer = optimizer
        training = self._begin(model, state.max_steps)
        recorded = [record["attributes"] for record in records_of(state) if "settings" in record["attributes"]]
        own = [attributes for attributes in recorded if self._owns(attributes)]
        if state.global_step and recorded:
            self.load_state_dict({**(own or recorded)[0], "step": state.global_step})
        elif state.global_step >= training.schedule.start > 0:
            raise MaskError(
                f"the checkpoint at step {state.global_step} was trained without this gradual pruning, which begins at "
                f"step {training.schedule.start}; start a new training from its weights"
            )
        else:
            self._step = state.global_step
            training.check()
            self._redraw()
        self._record(state, self.state_dict())

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        redraws = len(self.history)
        self.step(state.global_step + 1)
        if len(self.history) > redraws:  # the best checkpoint is one with the present mask
            state.best_metric, state.best_model_checkpoint, state.best_global_step = None, None, 0
            self._record(state, self.state_dict())

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Record the kept weights that are zero now, where a checkpoint may follow."""
        if control.should_save or control.should_evaluate:
            self._record(state, self.state_dict())

    on_epoch_end = on_step_end

    def on_evaluate(self, args: Any, state: Any, control: Any, model: Any = None, **others: Any) -> None:
        if self.mask:
            super().on_evaluate(args, state, control, model=model, **others)

    on_predict = on_evaluate

    def on_train_end(self, args: Any, state: Any, control: Any, model: Any = None, **others: Any) -> None:
        if self.mask:
            super().on_train_end(args, state, control, model=model, **others)
        assert self._training is not None, "a training has begun"
        if self._step < (end := self._training.schedule.end):
            warnings.warn(
                f"the training ended after step {self._step}, and the last redraw is after step {end}: the sparsity is "
                f"{self.sparsity:.2%}, not that of the schedule's end; let it run longer, or choose a smaller end",
                stacklevel=2,
            )

    # --- parts ---

    def _begin(self, model: nn.Module, steps: int | None) -> GradualTraining:
        self._model, self._step, self._in_record = model, 0, ""
        self._training = GradualTraining(self.settings, model, steps)
        self._adopt(self._training.mask)
        return self._training

    def _redraw(self) -> None:
        """Draw the mask that is due after the present step, if one is."""
        assert self._training is not None, "a training has begun"
        if self._training.due(self._step):
            hooks = self._gradient_masks if self._training.needs_gradients(self._step) else None
            dense = hooks.dense if hooks is not None else None
            self._adopt(self._training.redraw(self._step, dense, self._optimizer))
        self._collect_if_needed()

    def _adopt(self, mask: MaskSet) -> None:
        assert self._model is not None, "a training has begun"
        self._mask, self._sha256 = mask, mask.sha256
        if mask:
            self._attach(self._model, mask, gradients=self.gradients)

    def _collect_if_needed(self) -> None:
        """Collect the gradients of all weights in the next step, if they decide on the next mask."""
        assert self._training is not None and self._model is not None, "a training has begun"
        if self._training.needs_gradients(self._step + 1):
            self._hook(self.mask, self._model, masking=self.gradients, collect=True)

    def _owns(self, attributes: dict[str, Any]) -> bool:
        assert self._training is not None, "a training has begun"
        return attributes.get("settings") == self._training.describe()
