"""A level whose candidates are trained and judged by functions of the user."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from randprune_lab.progress import Advance, ignore
from randprune_lab.search.base_level import BaseLevel, Choice, Weights
from randprune_lab.search.custom_training import Course, CustomTraining
from randprune_lab.search.level import derived_seed
from randprune_lab.search.proposals import Proposal
from randprune_lab.search.selection import Evaluation
from randprune_lab.training.compute import Compute


@dataclass(eq=False)
class CustomLevel(BaseLevel):
    """A level of a search with training functions of the user.

    Args:
        early: the early evaluation; its seed is that of the search.
        compared: how candidates are compared.
    """

    name: str
    number: int
    compute: Compute
    model: nn.Module
    start: Weights
    proposal: Proposal
    early: CustomTraining
    compared: Choice

    @property
    def total_steps(self) -> int:
        return self.early.total

    @property
    def choice(self) -> Choice:
        return self.compared

    @property
    def evaluation_cost(self) -> int:
        return 0  # it is not known

    @property
    def labels(self) -> None:
        return None

    @property
    def training(self) -> CustomTraining:
        """The early evaluation, with the same seed for all candidates."""
        return replace(self.early, seed=derived_seed(self.early.seed, "early", self.number))

    def advance(
        self, candidate: int, state: Course | None, steps: int, advance: Advance = ignore
    ) -> tuple[Evaluation, Course]:
        """See `BaseLevel.advance`."""
        mask, course = self.start_with(candidate), state or Course()
        course = self.training.advance(self.model, mask, course, steps, self.named(candidate), advance)
        return self.evaluation(candidate, course), course

    def evaluation(self, candidate: int, course: Course) -> Evaluation:
        """The evaluations of a candidate's course."""
        return Evaluation(candidate, course.step, course.at, course.scores, np.stack(course.examples))

    def named(self, candidate: int) -> str:
        """A candidate, for messages."""
        return f"candidate {candidate} of level {self.number}"
