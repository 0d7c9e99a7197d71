"""Training and evaluation by functions of the user: what they are given, what they return, and what is remembered."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn

from randprune_lab.errors import ConfigError, MaskError
from randprune_lab.interop.names import leftovers
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.wrappers import named_weights
from randprune_lab.progress import Advance
from randprune_lab.search.base_level import Weights
from randprune_lab.search.judged import Judged
from randprune_lab.search.states import Packed, pack, read_state, unpack, write_state

Train = Callable[[nn.Module, MaskSet, int, int, int, int, Any], Any]
"""`train(model, mask, start, stop, total, seed, state) -> state` trains a model in place, from step start to stop."""
Judge = Callable[[nn.Module], Any]
"""`evaluate(model)` returns a score, scores of examples, or both; higher is better."""


NO_STATE = (
    "train returned no state, so a candidate that goes on is trained again from the level's start; return what a "
    "stopped training needs, such as optimizer.state_dict()"
)

log = logging.getLogger("randprune_lab")


@dataclass(frozen=True)
class Course:
    """A training by the user's functions so far.

    Args:
        step: the number of training steps that its last evaluation came after.
        at, scores, examples: its evaluations.
        weights: those of the model at `step`.
        state: what `train` returned; None if it begins again when it goes on.
        best: the weights of the best evaluation, if they are asked for.
    """

    step: int = 0
    at: tuple[int, ...] = ()
    scores: tuple[float, ...] = ()
    examples: tuple[Float64[np.ndarray, " n"], ...] = ()
    weights: Weights = field(default_factory=dict)
    state: Packed | None = None
    best: Weights | None = None

    @property
    def start(self) -> int:
        """The step that the next training begins at."""
        return self.step if self.state is not None else 0

    def next_state(self) -> Any:
        """What the next training is given as its state."""
        return None if self.state is None else unpack(self.state)

    def reached(self, steps: int) -> bool:
        """Whether the evaluation after these steps is done."""
        return bool(self.at) and self.at[-1] == steps

    def next_stop(self, steps: int, every: int | None) -> int:
        """Where to evaluate next on the way to `steps`; without `every`, only there."""
        return steps if every is None else min(steps, (self.step // every + 1) * every)

    def went_on(
        self, stop: int, judged: Judged, weights: Weights, state: Any, *, every: int | None, keep_best: bool
    ) -> Course:
        """The course after a training up to `stop`, and an evaluation there.

        Raises:
            ConfigError: if the state cannot be stored.
        """
        before = self if self.step and every is not None else Course()
        best = self.best
        if keep_best and judged.score > max(self.scores, default=-np.inf):
            best = _copy(weights)
        return Course(
            stop,
            (*before.at, stop),
            (*before.scores, judged.score),
            (*before.examples, judged.examples),
            _copy(weights),
            None if state is None else pack(state),
            best,
        )

    def save(self, path: Path) -> None:
        """Write the course to a file, from which `load` reads it."""
        tensors: dict[str, Tensor] = {"examples": torch.from_numpy(np.stack(self.examples))}
        for kind, part in self._parts().items():
            tensors |= {f"{kind}/{name}": tensor for name, tensor in (part or {}).items()}
        about = {
            "step": self.step,
            "at": [*self.at],
            "scores": [score.hex() for score in self.scores],
            "parts": [kind for kind, part in self._parts().items() if part is not None],
            "state": None if self.state is None else self.state.structure,
        }
        write_state(path, tensors, about)

    @classmethod
    def load(cls, path: Path) -> Course:
        """Read a file that `save` wrote.

        Raises:
            FileError: if it is missing or damaged.
        """
        tensors, about = read_state(path)
        parts: dict[str, Weights] = {kind: {} for kind in about["parts"]}
        for name, tensor in tensors.items():
            kind, _, key = name.partition("/")
            if key:
                parts[kind][key] = tensor
        return cls(
            about["step"],
            tuple(about["at"]),
            tuple(map(float.fromhex, about["scores"])),
            tuple(tensors["examples"].numpy()),
            parts["weights"],
            Packed(parts["state"], about["state"]) if "state" in parts else None,
            parts.get("best"),
        )

    def _parts(self) -> dict[str, Weights | None]:
        state = None if self.state is None else self.state.tensors
        return {"weights": self.weights, "state": state, "best": self.best}


@dataclass(frozen=True)
class CustomTraining:
    """The user's functions, and how far and how often they are called.

    Args:
        train, evaluate: the functions.
        total: the number of steps of a whole training.
        every: the number of steps between two evaluations; None for one wherever the training stops.
        seed: what `train` is given.
        keep_best: whether the weights of the best evaluation are kept.
        examples: the number of examples that `evaluate` scores; None if it is not known yet.
        told: what the user was told already, which is told once.
    """

    train: Train
    evaluate: Judge
    total: int
    every: int | None
    seed: int
    keep_best: bool
    examples: int | None
    told: set[str]

    def advance(
        self,
        model: nn.Module,
        mask: MaskSet,
        course: Course,
        steps: int,
        where: str,
        advance: Advance,
        keep: Callable[[Course], object] = id,
    ) -> Course:
        """Train up to `steps`, with evaluations on the way.

        Args:
            model: has the weights that the training starts from.
            where: what is trained, for messages.
            advance: is told of the steps that were done.
            keep: is given the course after each evaluation.

        Returns:
            The course up to there.
        """
        begun = _copy(model.state_dict())
        while not course.reached(steps):
            stop = course.next_stop(steps, self.every)
            model.load_state_dict(begun if course.state is None else course.weights)
            mask.apply_(model)
            state = self._train(model, mask, course, stop, where) if stop else None
            judged = self.judge(model, f"for {where} after {stop} steps")
            advance(stop - course.step)
            course = self.went_on(course, stop, judged, model, state)
            keep(course)
        return course

    def went_on(self, course: Course, stop: int, judged: Judged, model: nn.Module, state: Any) -> Course:
        """The course after a training up to `stop`, and an evaluation there."""
        return course.went_on(stop, judged, model.state_dict(), state, every=self.every, keep_best=self.keep_best)

    def judge(self, model: nn.Module, where: str) -> Judged:
        """Evaluate a model."""
        model.eval()
        with torch.no_grad(), self._seeded(model, 0):
            judged = Judged.of(self.evaluate(model), where)
        judged.check_same_examples(self.examples, where)
        return judged

    def note(self, course: Course) -> None:
        """Tell the user once that a training which goes on begins again."""
        if course.state is None and course.step and NO_STATE not in self.told:
            self.told.add(NO_STATE)
            log.warning(NO_STATE)

    def _train(self, model: nn.Module, mask: MaskSet, course: Course, stop: int, where: str) -> Any:
        self.note(course)
        model.train()
        with self._seeded(model, course.start):
            state = self.train(model, mask, course.start, stop, self.total, self.seed, course.next_state())
        check_obeyed(mask, model, where)
        return state

    @contextmanager
    def _seeded(self, model: nn.Module, step: int) -> Iterator[None]:
        """Give PyTorch's random numbers a seed in the block, so that a training does not depend on those before."""
        device = next(model.parameters()).device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(self.seed + step)
            yield


def check_obeyed(mask: MaskSet, model: nn.Module, where: str) -> None:
    """Raise `MaskError` unless the removed weights of a trained model are zero."""
    if wrong := leftovers(mask, named_weights(model)):
        name, count = next(iter(wrong.items()))
        raise MaskError(
            f"the training of {where} left {count:,} removed weights of {name!r} that are not zero; enforce the mask "
            "after every step, as with rp.MaskCallback(mask, model).enforce()"
        )


def check_weights(model: nn.Module) -> None:
    """Raise `ConfigError` unless everything in the state of a model is a tensor, which can be stored."""
    for name, value in model.state_dict().items():
        if not isinstance(value, Tensor):
            raise ConfigError(
                f"model has the extra state {name!r}, a {type(value).__name__}, which cannot be stored; "
                "give a module whose state_dict() has tensors only"
            )


def check_functions(**functions: Any) -> None:
    """Raise `ConfigError` unless all of them can be called, or are None."""
    for name, function in functions.items():
        if function is not None and not callable(function):
            raise ConfigError(f"{name} must be a function, got {function!r}")


def _copy(weights: Weights) -> Weights:
    return {name: tensor.detach().clone() for name, tensor in weights.items()}
