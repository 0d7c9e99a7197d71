"""One method at one level: draws the masks of its candidates, and trains each candidate briefly to judge it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64
from torch import nn

from randprune_lab.progress import Advance, ignore
from randprune_lab.search.base_level import BaseLevel, Choice, Weights
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


@dataclass(frozen=True)
class CandidateState:
    """The state of a candidate's early evaluation when it stopped: its training, and its evaluations so far."""

    training: TrainingState
    examples: list[Float64[np.ndarray, " n"]]


@dataclass(eq=False)
class Level(BaseLevel):
    """One method at one level of a run, with everything that is needed to draw, train and judge its candidates."""

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
        """The settings of an early evaluation, the same for all candidates, unless they have seeds of their own."""
        return self._training_of(0)

    def _training_of(self, candidate: int) -> TrainingConfig:
        other = (self.training_seed,) if self.training_seed else ()
        own = ("candidate", candidate) if self.config.candidate_seeds and candidate else ()
        training = self.config.early_training(derived_seed(self.config.seed, "early", self.number, *other, *own))
        return replace(training, compute=self.compute.layers)

    @property
    def choice(self) -> Choice:
        config = self.config
        return Choice(
            config.strategy(),
            config.evaluate_every,
            config.early_score,
            config.early_last,
            config.generations,
            config.noise_seeds,
        )

    @property
    def evaluation_cost(self) -> int:
        return evaluation_steps(len(self.scoring), self.config.batch_size)

    @property
    def labels(self) -> np.ndarray:
        return self.scoring.labels

    def advance(
        self, candidate: int, state: CandidateState | None, steps: int, advance: Advance = ignore
    ) -> tuple[Evaluation, CandidateState | None]:
        """See `BaseLevel.advance`; the result does not depend on the number of stops in between either.

        There is no state, which is a copy of weights and moments, where a training has not begun or is at its end.
        """
        mask = self.start_with(candidate)
        training = Training(self.model, self.train, self._training_of(candidate), mask=mask, teacher=self.teacher)
        examples: list[Float64[np.ndarray, " n"]] = []
        logits = np.zeros((0, 0), dtype=np.float32)
        if state is not None:
            training.restore(state.training)
            examples += state.examples

        def evaluate(model: nn.Module) -> float:
            nonlocal logits
            logits = predict(model, self.scoring)
            examples.append(log_likelihood(logits, self.scoring.labels))
            advance(self.evaluation_cost)
            finite = np.nan_to_num(logits)  # a diverged candidate has a metric too; its log-likelihoods drop it
            return score(self.task, finite, self.scoring)[self.task.primary_metric]

        if steps == 0:
            scores, at = [evaluate(self.model)], [0]
        else:
            training.run(evaluate, until=steps, advance=advance)
            scores, at = training.history.scores, training.history.steps
        evaluation = Evaluation(candidate, training.step, tuple(at), tuple(scores), np.stack(examples), logits)
        goes_on = 0 < steps < self.total_steps
        return evaluation, CandidateState(training.state(), examples) if goes_on else None


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
