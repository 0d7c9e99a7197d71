"""The candidates of one method at one level: drawing their masks, and training each a little to judge it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from torch import Tensor, nn

from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.search.config import RunConfig
from randprune_lab.search.drawing import Drawing
from randprune_lab.search.selection import Evaluation
from randprune_lab.tasks import Task
from randprune_lab.training.config import TrainingConfig
from randprune_lab.training.data import Encoded
from randprune_lab.training.distillation import Teacher
from randprune_lab.training.loop import Training, TrainingState
from randprune_lab.training.scoring import log_likelihood, predict, score

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class CandidateState:
    """Where a candidate's early evaluation stopped: its training, and what the evaluations so far found."""

    training: TrainingState
    examples: list[Float64[np.ndarray, " n"]]


@dataclass(eq=False)
class Level:
    """One method at one level, with all that its candidates are drawn from, trained on and judged by.

    Only the weights of `model` change, and every use begins by setting them; so a level can be sent to a worker once,
    and candidates be evaluated there in any order.
    """

    name: str
    number: int  # from 1
    config: RunConfig
    task: Task
    model: nn.Module
    start: Weights
    train: Encoded
    scoring: Encoded
    teacher: Teacher | None
    drawing: Drawing
    training_seed: int = 0  # 0 is the one that candidates are compared with; others only measure the noise

    @property
    def total_steps(self) -> int:
        """Training steps of a whole early evaluation."""
        return self.training.epochs * -(-len(self.train) // self.training.batch_size)

    @property
    def training(self) -> TrainingConfig:
        """Settings of an early evaluation, the same for all candidates."""
        other = (self.training_seed,) if self.training_seed else ()
        return self.config.early_training(derived_seed(self.config.seed, "early", self.number, *other))

    def start_with(self, candidate: int) -> MaskSet:
        """The mask of a candidate, drawn from the level's starting weights, which the model then has."""
        self.model.load_state_dict(self.start)
        return self.drawing.draw(self.model, candidate)

    def recipe(self, candidate: int) -> dict[str, Any]:
        """What names the mask of a candidate, given the level's starting weights."""
        self.model.load_state_dict(self.start)
        return self.drawing.recipe(self.model, candidate)

    def advance(
        self, candidate: int, state: CandidateState | None, steps: int, progress: str | None = None
    ) -> tuple[Evaluation, CandidateState]:
        """Train a candidate on from `state`, or from the level's start, until so many steps are done.

        The result is the same wherever, and after how many stops, it is computed. With `steps` 0 it is what the mask
        does to the untrained weights.
        """
        mask = self.start_with(candidate)
        training = Training(self.model, self.train, self.training, mask=mask, teacher=self.teacher)
        examples: list[Float64[np.ndarray, " n"]] = []
        logits = np.zeros((0, 0), dtype=np.float32)
        if state is not None:
            training.restore(state.training)
            examples += state.examples

        def evaluate(model: nn.Module) -> float:
            nonlocal logits
            logits = predict(model, self.scoring)
            examples.append(log_likelihood(self.task, logits, self.scoring))
            return score(self.task, logits, self.scoring)[self.task.primary_metric]

        if steps == 0:
            metric, at = [evaluate(self.model)], [0]
        else:
            training.run(evaluate, until=steps, progress=progress)
            metric, at = training.history.scores, training.history.steps
        found = Evaluation(candidate, training.step, tuple(at), tuple(metric), np.stack(examples), logits)
        return found, CandidateState(training.state(), examples if steps else [])


def derived_seed(seed: int, *parts: object) -> int:
    """A seed for one purpose, so that no two purposes share random numbers. Fits NumPy's and PyTorch's seeds."""
    message = "/".join(map(str, (seed, *parts)))
    return int.from_bytes(hashlib.blake2b(message.encode(), digest_size=8).digest()[:7])
