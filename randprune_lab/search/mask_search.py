"""`MaskSearch`: the search around a training loop of your own."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from randprune_lab.criteria import Batch, Criterion, Loss, MagnitudeScore, model_loss
from randprune_lab.criteria.custom import Function
from randprune_lab.criteria.passes import batch_list
from randprune_lab.errors import ConfigError, RunError
from randprune_lab.files import given_path
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.rules import Rule
from randprune_lab.masks.scope import prunable
from randprune_lab.masks.structures import Named, find_structure
from randprune_lab.progress import progress_bar
from randprune_lab.search.custom_config import CustomConfig, as_criterion, as_levels, as_rules, as_strategy
from randprune_lab.search.custom_result import LevelResult, read_results
from randprune_lab.search.custom_search import ByOthers, CustomSearch, InFolder, Todo, Waiting
from randprune_lab.search.custom_training import Judge, Train, check_functions, check_obeyed, check_weights
from randprune_lab.search.executors import Executor
from randprune_lab.search.folder import RunFolder
from randprune_lab.search.judged import Judged
from randprune_lab.search.scorer import Scorer
from randprune_lab.search.strategies import Strategy
from randprune_lab.search.training_job import TrainingJob

log = logging.getLogger("randprune_lab")


class MaskSearch(AbstractContextManager["MaskSearch"]):
    """Searches for masks of any model, with your own training and evaluation.

    At each level, candidates are drawn from the weights of the level before, trained for `early_steps` and compared;
    the winner is trained for `steps`. `run` does all of it, `ask` and `tell` one training at a time. The folder has
    all results: made again with the same arguments, a search that was stopped continues.

    Args:
        model: any module. It gets the weights of each step, and at the end those of the last winner.
        train: `train(model, mask, start, stop, total, seed, state)` trains the model, in training mode, from step
            `start` to `stop` of `total`, and enforces the mask after every step. It returns what it needs to go on:
            tensors, numbers and texts in dicts, lists and tuples, as an optimizer's `state_dict()`. It is given back as
            `state`, maybe with its tensors on the CPU; at the start it is None. If nothing is returned, a candidate
            that goes on is trained again from the level's start. PyTorch's random numbers have a seed that depends on
            `seed` and `start`.
        evaluate: `evaluate(model)`, called in evaluation mode without gradients, returns a score, or an array of the
            scores of examples, or a pair of both; higher is better. The strategy "race" needs scores of examples.
        levels: the sparsity of each level, in increasing order.
        folder: where results are kept.
        steps: the training steps of a winner.
        early_steps: the training steps of an early evaluation; by default, a quarter of `steps`.
        evaluate_every: the number of training steps between two evaluations; without it, there is one wherever a
            training stops.
        candidates: the number of masks at each level.
        rule: a rule, or a list of rules that the candidates use cyclically.
        criterion: the importance score: a name such as "fisher", a `Criterion`, or what `Custom` takes, such as a
            function of model and batches that returns scores by weight.
        batches: what a criterion runs the model on, as for `criteria.scores`.
        loss: the loss of such a batch; by default what the model itself returns as `.loss`.
        structure, allocation, include, exclude, types: see `MaskSampler`.
        strategy: how candidates are compared: a name, or a strategy such as `SuccessiveHalving(budget=0.5)`.
        seed: the seed of masks and trainings.
        keep_best: whether a winner ends with the weights of its best evaluation, instead of the last ones.

    Raises:
        ConfigError: if a setting is out of range or of a wrong kind.
        ScopeError: if there is nothing to prune.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        train: Train | None = None,
        evaluate: Judge | None = None,
        levels: Sequence[float],
        folder: str | Path,
        steps: int,
        early_steps: int | None = None,
        evaluate_every: int | None = None,
        candidates: int = 8,
        rule: str | Rule | Sequence[Rule] = "voting",
        criterion: str | Criterion | Mapping[str, Tensor] | Function = "magnitude",
        batches: Iterable[Batch] = (),
        loss: Loss = model_loss,
        structure: Named = None,
        allocation: Any = "layerwise",
        strategy: str | Strategy = "full",
        seed: int = 0,
        keep_best: bool = True,
        include: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        types: Sequence[type[nn.Module] | str] | None = None,
    ):
        if not isinstance(model, nn.Module):
            raise ConfigError(f"model must be a torch.nn.Module, got {model!r}")
        check_weights(model)
        check_functions(train=train, evaluate=evaluate)
        config = CustomConfig(
            levels=as_levels(levels),
            candidates=candidates,
            rules=as_rules(rule),
            criterion=as_criterion(criterion),
            allocation=allocation,
            strategy=as_strategy(strategy),
            seed=seed,
            steps=steps,
            early_steps=max(1, steps // 4) if early_steps is None else early_steps,
            evaluate_every=evaluate_every,
            keep_best=keep_best,
            include=None if include is None else tuple(include),
            exclude=tuple(exclude),
            types=None if types is None else tuple(types),
            structure=None if structure is None else str(find_structure(structure)),
        )
        # This finds what does not fit before the work begins.
        find_structure(config.structure).layout(model, prunable(model, **config.scope))
        self.model, self.path = model, given_path(folder)
        by_size = config.criterion.name == MagnitudeScore.name
        scorer = None if by_size else Scorer(config.criterion, batch_list(batches), config.scope, loss=loss)
        self._search = CustomSearch(model, config, scorer, train, evaluate)
        self._folder: RunFolder | None = None
        self._todo: list[Todo] = []
        self._asked: dict[int, tuple[TrainingJob, Todo]] = {}

    def run(self, *, executor: Executor | None = None, progress: bool = True) -> MaskSet:
        """Do the whole search, or what is left of it.

        Args:
            executor: evaluates the candidates, by default in this process, where the states of stopped trainings are
                kept in the folder.
            progress: show a progress bar.

        Returns:
            The mask of the last winner. The model has its weights.

        Raises:
            ConfigError: if there is no function for the training or the evaluation.
            RunError: if the folder has something else, or a training went wrong.
        """
        for name, function in zip(("train", "evaluate"), self._search.functions, strict=True):
            if function is None:
                raise ConfigError(f"run() needs {name}; give it to MaskSearch, or use ask() and tell()")
        for method in self._search.methods:
            if method.repetition:
                log.warning(method.repetition)
        with self:
            folder = self._open()
            self._search.folder = folder
            plan = self._search.plan
            total, left = sum(plan.units.values()), plan.left(folder.units)
            with progress_bar(total, total - left, shown=progress) as bar:
                self._search.go_on(folder, executor or InFolder(self._search.courses), bar)
        return self.mask

    def ask(self) -> TrainingJob | None:
        """The next training to do. Several can be asked for before the first one is told.

        Returns:
            The training; None if the search is finished. Then the model has the weights of the last winner.

        Raises:
            RunError: if the search can only go on when trainings that were asked for are told.
        """
        if not self._todo and not self._asked:
            self._find_todo()
            if not self._todo:
                self.close()
                return None
        if not self._todo:
            raise RunError(f"{len(self._asked)} trainings of this round were asked for; tell their scores first")
        todo = self._todo.pop(0)
        job = TrainingJob.of(todo)
        self._asked[id(job)] = job, todo
        return job

    def tell(self, job: TrainingJob, scores: Any, state: Any = None, *, model: nn.Module | None = None) -> None:
        """Tell the result of a training that was asked for.

        Args:
            job: the training.
            scores: what `evaluate` would return: a score, scores of examples, or a pair of both.
            state: what the training needs to go on; without it, it begins again if it goes on.
            model: the trained model, by default that of the search.

        Raises:
            RunError: if the training was not asked for, or a score cannot be used.
            ConfigError: if the state cannot be stored, or the strategy needs scores of examples and there are none.
            MaskError: if the model does not obey the mask.
        """
        if id(job) not in self._asked:
            raise RunError("this training was not asked for, or is told already; tell what ask() returned, once")
        todo = self._asked[id(job)][1]
        trained = self.model if model is None else model
        where = f"for candidate {job.candidate} of level {job.level} after {job.stop} steps"
        judged = Judged.of(scores, where)
        judged.check_same_examples(self._search.examples, where)
        check_obeyed(job.mask, trained, where.removeprefix("for "))
        course = todo.training.went_on(todo.course, job.stop, judged, trained, state)
        self._search.note_examples(judged)
        self._search.courses.save(todo.level.name, todo.key, course)
        del self._asked[id(job)]

    def result(self) -> list[LevelResult]:
        """What was found at the levels that are done.

        Raises:
            FileError: if a file of the folder is damaged.
        """
        return read_results(self.path, self._search.config)

    @property
    def best(self) -> LevelResult:
        """What was found at the last level that is done.

        Raises:
            RunError: if no level is done yet.
        """
        if not (found := self.result()):
            raise RunError(f"{self.path} has no finished level yet; go on with run(), or with ask() and tell()")
        return found[-1]

    @property
    def mask(self) -> MaskSet:
        """The mask of the last level that is done; see `best`."""
        return self.best.mask

    def close(self) -> None:
        """Let other processes work in the folder."""
        if self._folder is not None:
            self._folder.__exit__()
        self._folder = None
        self._todo, self._asked = [], {}

    def __exit__(self, *error: object) -> None:
        self.close()

    def _open(self) -> RunFolder:
        if self._folder is None:
            self._folder = RunFolder.open(self.path, self._search.config, resume=True)
        return self._folder

    def _find_todo(self) -> None:
        """Go on as far as possible without training, and note what must be trained."""
        search, folder = self._search, self._open()
        search.folder = folder
        try:
            with progress_bar(1, shown=False) as bar:
                search.go_on(folder, ByOthers(search.courses), bar)
        except Waiting as waiting:
            self._todo = [*waiting.todo]
