"""One method at one level: draws the masks of its candidates, and trains each candidate briefly to judge it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float64
from torch import Tensor, nn

from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.progress import Advance, ignore
from randprune_lab.search.config import RunConfig
from randprune_lab.search.proposals import Proposal
from randprune_lab.search.selection import Evaluation
from randprune_lab.tasks import Task
from randprune_lab.training.compute import Compute
from randprune_lab.training.config import TrainingConfig
from randprune_lab.training.data import Encoded
from randprune_lab.training.distillation import Teacher
from randprune_lab.training.loop import Training, TrainingState
from randprune_lab.training.scoring import log_likelihood, predict, score

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class CandidateState:
    """The state of a candidate's early evaluation when it stopped: its training, and its evaluations so far."""

    training: TrainingState
    examples: list[Float64[np.ndarray, " n"]]


@dataclass(eq=False)
class Level:
    """One method at one level, with everything that is needed to draw, train and judge its candidates.

    Only the weights of `model` change, and every use begins by setting them. So a level can be sent to a worker once,
    and its candidates can be evaluated there in any order.
    """

    name: str
    number: int  # from 1
    config: RunConfig
    compute: Compute
    task: Task
    model: nn.Module
    start: Weights
    train: Encoded
    scoring: Encoded
    teacher: Teacher | None
    proposal: Proposal
    training_seed: int = 0  # 0 for the comparison of candidates; other seeds only measure the noise

    @property
    def total_steps(self) -> int:
        """The number of training steps of a whole early evaluation."""
        return self.training.epochs * -(-len(self.train) // self.training.batch_size)

    @property
    def training(self) -> TrainingConfig:
        """The settings of an early evaluation, the same for all candidates."""
        other = (self.training_seed,) if self.training_seed else ()
        training = self.config.early_training(derived_seed(self.config.seed, "early", self.number, *other))
        return replace(training, compute=self.compute.layers)

    def start_with(self, candidate: int) -> MaskSet:
        """Set the model to the level's starting weights, and draw the mask of a candidate from them."""
        self.model.load_state_dict(self.start)
        return self.proposal.draw(self.model, candidate)

    def recipe(self, candidate: int) -> dict[str, Any]:
        """The recipe of a candidate's mask: with the level's starting weights it determines the mask."""
        self.model.load_state_dict(self.start)
        return self.proposal.recipe(self.model, candidate)

    def advance(
        self, candidate: int, state: CandidateState | None, steps: int, advance: Advance = ignore
    ) -> tuple[Evaluation, CandidateState]:
        """Train a candidate until it has had `steps` training steps, and evaluate it on the way.

        The result does not depend on where it is computed, nor on the number of stops in between. With `steps` 0 the
        mask is evaluated without training.

        Args:
            state: the state to continue from; without it, the candidate starts from the level's starting weights.
            advance: is told of the training steps, and of each evaluation as the steps that it counts as.

        Returns:
            The evaluation, and the state to continue from.
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
            advance(evaluation_steps(len(self.scoring), self.config.batch_size))
            finite = np.nan_to_num(logits)  # a diverged candidate has a metric too; its log-likelihoods drop it
            return score(self.task, finite, self.scoring)[self.task.primary_metric]

        if steps == 0:
            scores, at = [evaluate(self.model)], [0]
        else:
            training.run(evaluate, until=steps, advance=advance)
            scores, at = training.history.scores, training.history.steps
        evaluation = Evaluation(candidate, training.step, tuple(at), tuple(scores), np.stack(examples), logits)
        return evaluation, CandidateState(training.state(), examples if steps else [])


def evaluation_steps(rows: int, batch_size: int) -> int:
    """The number of training steps that take about as long as an evaluation: a step is three forward passes."""
    return max(1, round(rows / batch_size / 3))


def derived_seed(seed: int, *parts: object) -> int:
    """A seed for one purpose, so that no two purposes share random numbers.

    Args:
        seed: the seed of the run.
        parts: the words and numbers that name the purpose.

    Returns:
        A whole number below 2**56, which NumPy and PyTorch accept as a seed.
    """
    message = "/".join(map(str, (seed, *parts)))
    return int.from_bytes(hashlib.blake2b(message.encode(), digest_size=8).digest()[:7])
