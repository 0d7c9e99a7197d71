"""The training loop: short, seeded, and with the mask enforced after every step."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from randprune_lab.criteria import Record
from randprune_lab.masks.gradients import GradientMasks
from randprune_lab.masks.gradual import GradualMasks
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.redraws import GradualTraining
from randprune_lab.progress import Advance, ignore
from randprune_lab.training.compact import Compact
from randprune_lab.training.config import TrainingConfig
from randprune_lab.training.data import Encoded, training_batches
from randprune_lab.training.distillation import Teacher, loss, use_eager_attention
from randprune_lab.training.kept_weights import find_kept_weights, no_kept_weights
from randprune_lab.training.optimizer import parameter_groups, rate_factor
from randprune_lab.training.scoring import on_device
from randprune_lab.training.used_rows import find_used_rows

Evaluate = Callable[[nn.Module], float | tuple[float, float]]  # a score; or a score and what the best is chosen by


@dataclass
class History:
    """The evaluations of a training: their steps, their scores, and the mean loss since the previous evaluation."""

    steps: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    total_steps: int = 0
    counted_from: int = 0  # the step from which on a score can be the best; before, gradual pruning is not finished
    judged: list[float] = field(default_factory=list)  # what the best is chosen by, if that is not the score

    def add(self, found: float | tuple[float, float]) -> None:
        score, *judged = found if isinstance(found, tuple) else (found,)
        self.scores.append(score)
        self.judged += [-math.inf if math.isnan(each) else each for each in judged]

    @property
    def best(self) -> int:
        """The position of the best score, the earliest of equals, NaN last; or of the last without `keep_best`."""
        counted = [place for place, step in enumerate(self.steps) if step >= self.counted_from]
        values = [-math.inf if math.isnan(value) else value for value in self.judged or self.scores]
        return max(counted, key=values.__getitem__)


@dataclass(frozen=True)
class TrainingState:
    """Everything that a stopped training needs to continue, besides the arguments of `Training`."""

    step: int
    weights: dict[str, Tensor]
    decay: float  # of the word embeddings that no token of the train set has; in `weights` they are as at first
    optimizer: dict[str, Any]
    history: History
    since: list[float]
    best: dict[str, Tensor] | None
    gradual: dict[str, Any] | None = None


class Training:
    """A training of `model`, in place, that can stop after any step and continue elsewhere to the same bits.

    Weights that `mask` removes are zero at the start and after every step, and have gradients of zero unless
    `config.mask_gradients` is off. The result is a pure function of the model's weights, the data, the mask, the
    teacher and the configuration: the batches, and the dropout of every step, come from `config.seed`. The global
    random state is not changed. The training is done where the model is; the model of the teacher must be there too.

    With `gradual`, masks are redrawn during the training; then the best score is one with the last mask. `mask` is
    enforced until the first redraw.

    While it runs, `model` has smaller parameters: the word embeddings of the train set's tokens alone, unless
    `config.vocabulary` is "whole", and the kept weights alone of the layers that `config.compute` chooses. Its
    `state_dict` and its outputs in evaluation mode are always those of the whole. Between two runs the weights of the
    model must not be changed by others.

    A `record` of weights of the model sums up a criterion's terms over all steps; the state does not have its sums.
    """

    def __init__(
        self,
        model: nn.Module,
        data: Encoded,
        config: TrainingConfig,
        *,
        mask: MaskSet | None = None,
        teacher: Teacher | None = None,
        record: Record | None = None,
        gradual: GradualMasks | None = None,
    ):
        self.model, self.device = model, next(model.parameters()).device
        self.data, self.config, self.teacher = data, config, teacher
        epochs = [training_batches(data.lengths, config.batch_size, config.seed, i) for i in range(config.epochs)]
        self.batches = [rows for epoch in epochs for rows in epoch]
        self.rate = rate_factor(config, len(self.batches))
        if teacher is not None and config.distillation.needs_teacher_states:
            use_eager_attention(model, teacher.model)
        if mask:
            mask.apply_(model)
        self._gradual = GradualTraining(gradual, model, len(self.batches), mask) if gradual else None
        pruned = {*(mask or ()), *(self._gradual.check() if self._gradual else ())}
        self._rows = find_used_rows(model, data, pruned) if config.vocabulary == "used" else None
        kept = no_kept_weights(config) if gradual else find_kept_weights(model, mask or MaskSet({}), config)
        self._compact: list[Compact] = [*kept.values(), *([self._rows] if self._rows else [])]
        self._set_mask(MaskSet({name: part for name, part in (mask or {}).items() if name not in kept}))
        self._hooks: GradientMasks | None = None
        self._learned = self._find_learned()  # once, it takes time
        decayed = {weight for weight in self._learned if weight.ndim >= 2} | {part.small for part in self._compact}
        self.optimizer = torch.optim.AdamW(parameter_groups(self._learned, decayed, config.weight_decay), fused=True)
        self._record = record
        if record is not None:
            self._watch(record)
        self.step = 0
        self.history = History(total_steps=len(self.batches), counted_from=0 if config.keep_best else len(self.batches))
        if self._gradual:
            self.history.counted_from = max(self.history.counted_from, self._gradual.schedule.end)
            if self._gradual.due(0):
                self._set_mask(self._gradual.redraw(0, optimizer=self.optimizer))
        self._since: list[float] = []  # the losses since the last evaluation
        self._unread: list[Tensor] = []  # the last of them, still on the device: a GPU waits when a number is read
        self._best: dict[str, Tensor] | None = None

    def run(self, evaluate: Evaluate, *, until: int | None = None, advance: Advance = ignore) -> None:
        """Train until step `until`, or to the end.

        Args:
            evaluate: returns the score of a model, higher is better; called every `config.evaluate_every` steps, and
                after the last.
            until: number of steps, counted from the start of the training.
            advance: is told of every step.
        """
        todo = range(self.step + 1, (len(self.batches) if until is None else min(until, len(self.batches))) + 1)
        gpus = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(gpus), ExitStack() as stack:
            for part in self._compact:
                stack.enter_context(part)
            stack.callback(self._unhook)
            self._hook()
            stack.enter_context(self._record or nullcontext())
            self.model.train()
            for step in todo:
                self._seed(_mixed(self.config.seed, step))
                self._unread.append(self._train(self.batches[step - 1].tolist(), self.rate(step - 1)))
                self.step = step
                if self._gradual:
                    self._redraw(self._gradual)
                advance(1)
                if step % self.config.evaluate_every == 0 or step == len(self.batches):
                    self._evaluate(evaluate)

    def keep_best(self) -> None:
        """Load the weights of the best score into the model, if the configuration says so."""
        if self._best is not None:
            self.model.load_state_dict(self._best)

    def state(self) -> TrainingState:
        """A copy of everything that changes during training."""
        self._read_losses()
        return TrainingState(
            step=self.step,
            weights=_copy(self.model.state_dict()) | {part.name: part.at_first() for part in self._compact},
            decay=self._rows.factor if self._rows else 1.0,
            optimizer=copy.deepcopy(self.optimizer.state_dict()),
            history=copy.deepcopy(self.history),
            since=[*self._since],
            best=self._best,
            gradual=self._gradual.state_dict() if self._gradual else None,
        )

    def restore(self, state: TrainingState) -> None:
        """Continue from a state."""
        self.step, self.history = state.step, copy.deepcopy(state.history)
        self._since, self._unread, self._best = [*state.since], [], state.best
        self.model.load_state_dict(state.weights)
        for part in self._compact:
            part.read(state.decay)
        if self._gradual and state.gradual:
            self._gradual.load_state_dict(state.gradual)
            self._set_mask(self._gradual.mask)
        self.optimizer.load_state_dict(copy.deepcopy(state.optimizer))

    def _seed(self, seed: int) -> None:
        """Seed the device; `torch.manual_seed` also remembers the seed for every kind of device that is not there."""
        on_cpu = self.device.type == "cpu"
        (torch.default_generator.manual_seed if on_cpu else torch.manual_seed)(seed)

    def _train(self, rows: list[int], rate: float) -> Float[Tensor, ""]:
        for group in self.optimizer.param_groups:
            group["lr"] = rate * self.config.learning_rate
        batch = on_device(self.data.batch(rows), self.device)
        value = loss(self.model, batch, self.teacher, self.config.distillation)
        value.backward()
        nn.utils.clip_grad_norm_(self._learned, self.config.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self._rows:
            self._rows.decay(1 - rate * self.config.learning_rate * self.config.weight_decay)
        self.enforce()
        return value.detach()

    def _watch(self, record: Record) -> None:
        """Let a record take the gradients of what is trained in the place of whole weights."""
        parts = {id(part.whole): part for part in self._compact}
        for name, weight in [*record.weights.items()]:
            if part := parts.get(id(weight)):
                record.watch(name, part.small, part.spread)

    def _find_learned(self) -> list[Tensor]:
        """The parameters that are trained, in the order of the model, in which the norm of gradients is summed."""
        small = {part.whole: part.small for part in self._compact}
        return [small.get(weight, weight) for weight in self.model.parameters() if weight.requires_grad]

    def _set_mask(self, mask: MaskSet) -> None:
        self.mask = mask
        self.enforce = mask.enforcer(self.model) if mask else _nothing
        self.enforce()

    def _redraw(self, gradual: GradualTraining) -> None:
        """Draw the mask that is due after this step, if one is."""
        if gradual.due(self.step):
            hooks = self._hooks if gradual.needs_gradients(self.step) else None
            self._set_mask(gradual.redraw(self.step, hooks.dense if hooks else None, self.optimizer))
            self._hook()
        elif gradual.needs_gradients(self.step + 1):
            self._hook()

    def _hook(self) -> None:
        """Mask gradients if the configuration says so, and collect those of all weights if the next mask needs them."""
        self._unhook()
        masking = bool(self.mask) and self.config.mask_gradients
        collect = bool(self._gradual and self._gradual.needs_gradients(self.step + 1))
        if masking or collect:
            self._hooks = GradientMasks(self.mask, self.model, masking=masking, collect=collect)

    def _unhook(self) -> None:
        if self._hooks is not None:
            self._hooks.remove()
        self._hooks = None

    def _read_losses(self) -> None:
        if self._unread:
            self._since += torch.stack(self._unread).tolist()
            self._unread.clear()

    def _evaluate(self, evaluate: Evaluate) -> None:
        self._read_losses()
        self.history.steps.append(self.step)
        self.history.add(evaluate(self.model))
        self.history.losses.append(sum(self._since) / len(self._since))
        self._since.clear()
        counted = self.config.keep_best and self.step >= self.history.counted_from
        if counted and self.history.best == len(self.history.scores) - 1:
            self._best = _copy(self.model.state_dict())


def train(
    model: nn.Module,
    data: Encoded,
    config: TrainingConfig,
    *,
    evaluate: Evaluate,
    mask: MaskSet | None = None,
    teacher: Teacher | None = None,
    record: Record | None = None,
    gradual: GradualMasks | None = None,
    advance: Advance = ignore,
) -> History:
    """Run a whole `Training`; the arguments are those of `Training` and of its `run`.

    Returns:
        The history of the training; the model is trained in place.
    """
    training = Training(model, data, config, mask=mask, teacher=teacher, record=record, gradual=gradual)
    training.run(evaluate, advance=advance)
    training.keep_best()
    return training.history


def _copy(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in weights.items()}


def _mixed(seed: int, step: int) -> int:
    """A seed for every step, so that a stopped training continues with the same dropout."""
    return (seed * 0x9E3779B97F4A7C15 + step) % 2**63


def _nothing() -> None:
    """Enforce no mask."""
