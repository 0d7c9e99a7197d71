"""A search with training functions of the user: its levels, its folder, and what is still to be trained."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from randprune_lab.errors import FileError, RunError
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.progress import Advance, ignore
from randprune_lab.search.base_level import BaseLevel
from randprune_lab.search.custom_config import CustomConfig
from randprune_lab.search.custom_level import CustomLevel
from randprune_lab.search.custom_training import Course, CustomTraining, Judge, Train
from randprune_lab.search.executors import Executor, Job
from randprune_lab.search.folder import RunFolder
from randprune_lab.search.judged import Judged
from randprune_lab.search.level import derived_seed
from randprune_lab.search.levels import LevelSearch, Trained
from randprune_lab.search.method import Method
from randprune_lab.search.plan import BasePlan
from randprune_lab.search.proposals import Proposal
from randprune_lab.search.run_files import weights_sha256
from randprune_lab.search.scorer import Scorer
from randprune_lab.search.selection import Evaluation, check_examples
from randprune_lab.search.units import EXAMPLES, START, level_units, selection_unit
from randprune_lab.training.compute import Compute
from randprune_lab.training.loop import History

WINNER = "winner"
"""The name of the last training of a level in the names of its files."""

log = logging.getLogger("randprune_lab")


@dataclass(frozen=True)
class Todo:
    """A training that somebody else does: up to `steps`, from where its course is."""

    level: CustomLevel
    key: str
    candidate: int
    mask: MaskSet
    training: CustomTraining
    course: Course
    steps: int

    @property
    def winner(self) -> bool:
        """Whether it is the training with the winner of its level."""
        return self.key == WINNER


class Waiting(Exception):
    """The search can only go on when these trainings are done."""

    def __init__(self, todo: Sequence[Todo]):
        self.todo = todo


@dataclass(frozen=True)
class Courses:
    """The courses of stopped trainings, in files of the folder."""

    folder: RunFolder

    def load(self, level: str, key: str, steps: int) -> Course:
        """A course on its way to `steps`; that of a training that has not begun if there is none, or its file is
        damaged, or it went further already, as where a damaged evaluation is made again.
        """
        path = self._path(level, key)
        try:
            course = Course.load(path) if path.exists() else Course()
        except FileError as error:
            log.warning("%s; this training begins again", error)
            return Course()
        return course if course.step <= steps else Course()

    def save(self, level: str, key: str, course: Course) -> None:
        """Write a course."""
        course.save(self._path(level, key))

    def clear(self, level: str) -> None:
        """Remove the courses of a level that is done."""
        for path in self.folder.checkpoint(level).parent.glob(f"{level}.*.safetensors"):
            path.unlink()

    def _path(self, level: str, key: str) -> Path:
        return self.folder.checkpoint(f"{level}.{key}")


@dataclass
class InFolder(Executor):
    """Evaluates candidates in this process, and keeps the courses of those that may go on in the folder."""

    courses: Courses

    def evaluate(self, level: BaseLevel, jobs: Sequence[Job], advance: Advance = ignore) -> Iterator[Evaluation]:
        for candidate, steps in jobs:
            key = f"candidate-{candidate}"
            evaluation, course = level.advance(candidate, self.courses.load(level.name, key, steps), steps, advance)
            if 0 < steps < level.total_steps:
                self.courses.save(level.name, key, course)
            yield evaluation


@dataclass
class ByOthers(Executor):
    """Yields the evaluations that were told, and raises `Waiting` if others are asked for."""

    courses: Courses

    def evaluate(self, level: Any, jobs: Sequence[Job], advance: Advance = ignore) -> Iterator[Evaluation]:
        todo = []
        for candidate, steps in jobs:
            key = f"candidate-{candidate}"
            if (course := self.courses.load(level.name, key, steps)).reached(steps):
                yield level.evaluation(candidate, course)
            else:
                mask = level.start_with(candidate)
                todo.append(Todo(level, key, candidate, mask, level.training, course, steps))
        if todo:
            raise Waiting(todo)


class CustomSearch(LevelSearch[CustomLevel]):
    """A search whose candidates are trained by functions of the user, or by others who tell the scores.

    Args:
        model: the model with the weights that the search starts from.
        config: the settings.
        scorer: computes importance scores; None for magnitudes.
        train, evaluate: the functions; None if others train.
    """

    first = START

    def __init__(
        self, model: nn.Module, config: CustomConfig, scorer: Scorer | None, train: Train | None, evaluate: Judge | None
    ):
        self.model, self.config, self.scorer = model, config, scorer
        self.functions: tuple[Any, Any] = train, evaluate
        self.initial = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        self.plan = CustomPlan(config)
        self._told: set[str] = set()

    @property
    def methods(self) -> list[Method]:
        return [Method(self.config.method, self.config.rules, self.config.candidates)]

    @property
    def sparsities(self) -> tuple[float, ...]:
        return self.config.levels

    @property
    def courses(self) -> Courses:
        """The courses in the folder."""
        return Courses(self.folder)

    def go_on(self, folder: RunFolder, executor: Executor, bar: Any) -> None:
        """Do all units of work that are not done yet; then the model has the weights of the last winner.

        Raises:
            Waiting: if others must train first.
            RunError: if the search was begun with other weights.
        """
        self.folder, self.executor, self.bar = folder, executor, bar
        if START in folder.units and folder.units[START]["weights_sha256"] != weights_sha256(self.initial):
            raise RunError(
                f"cannot resume {folder.path}: the model has other weights than when the search was begun; give it "
                f"those of {folder.checkpoint(START)}, or choose another folder"
            )
        self.make_all()
        self.model.load_state_dict(self.weights([*self.levels][-1]))

    def begin(self) -> dict[str, Any]:
        self.model.load_state_dict(self.initial)
        result: dict[str, Any] = {"weights_sha256": self.save_weights(START)}
        if self.functions[1] is not None:
            judged = self._training(1, 0).judge(self.model, "for the model before pruning")
            self.note_examples(judged)
            result["score"] = judged.score
            log.info("the model before pruning scores %.4f", judged.score)
        return result

    def make(self, name: str) -> None:
        super().make(name)
        self.courses.clear(name)

    @property
    def examples(self) -> int | None:
        """The number of examples that have scores, 0 if there is only one score; None if it is not known yet."""
        found = self.folder.units.get(EXAMPLES)
        return None if found is None else int(found["number"])

    def note_examples(self, judged: Judged) -> None:
        """Record the number of examples, if it is not known yet.

        Raises:
            ConfigError: if it is 0, and the strategy compares scores of examples.
        """
        if self.config.needs_examples:
            check_examples(len(judged.examples))
        self.folder.unit(EXAMPLES, lambda: {"number": len(judged.examples)})

    def level(self, name: str, method: Method, number: int, start: str) -> CustomLevel:
        config = self.config
        proposal = Proposal(
            method.rules,
            self.sparsities[number - 1],
            derived_seed(config.seed, "mask", number),
            config.allocation,
            method.candidates,
            structure=config.structure,
            scores=self.scorer,
            **config.scope,
        )
        early = self._training(config.early_steps, config.seed)
        return CustomLevel(name, number, self._compute, self.model, self.weights(start), proposal, early, config.choice)

    def train_winner(self, level: CustomLevel, winner: int, mask: MaskSet) -> Trained:
        config = self.config
        training = self._training(config.steps, derived_seed(config.seed, "level", level.number))
        training = replace(training, keep_best=config.keep_best)
        course = self.courses.load(level.name, WINNER, config.steps)
        if isinstance(self.executor, ByOthers):
            if not course.reached(config.steps):
                raise Waiting([Todo(level, WINNER, winner, mask, training, course, config.steps)])
        else:
            where = f"the winner of level {level.number}"
            keep = lambda course: self.courses.save(level.name, WINNER, course)  # noqa: E731
            course = training.advance(self.model, mask, course, config.steps, where, self.bar.advance, keep)
        self.model.load_state_dict(course.best or course.weights)
        losses = [float("nan")] * len(course.at)  # they are the user's
        counted_from = 0 if config.keep_best else config.steps
        return History([*course.at], [*course.scores], losses, config.steps, counted_from), None

    def remedy(self, name: str) -> str:
        return "start from finite weights" if name == START else "lower the learning rate of your training"

    def _training(self, total: int, seed: int) -> CustomTraining:
        train, evaluate = self.functions
        return CustomTraining(
            train,
            evaluate,
            total=total,
            every=self.config.evaluate_every,
            seed=seed,
            keep_best=False,
            examples=self.examples,
            told=self._told,
        )

    @cached_property
    def _compute(self) -> Compute:
        return Compute.find(str(next(self.model.parameters()).device))


@dataclass(frozen=True)
class CustomPlan(BasePlan):
    """The training steps of a search; evaluations take an unknown time."""

    config: CustomConfig

    @cached_property
    def units(self) -> dict[str, int]:
        config = self.config
        race = int(config.candidates * config.strategy.steps_fraction * config.early_steps)
        levels = level_units([config.method], len(config.levels))
        races = {selection_unit(level): race for level in levels if config.candidates > 1}
        return races | dict.fromkeys(levels, config.steps)

    def training(self, steps: int) -> int:
        return steps
