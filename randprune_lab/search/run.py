"""The whole search: train the dense model; then, level by level, draw, evaluate early, select and train."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from torch import nn

from randprune_lab.criteria import Record
from randprune_lab.errors import FileError, RunError
from randprune_lab.files import given_path
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.scope import prunable
from randprune_lab.models.quiet import quiet
from randprune_lab.progress import progress_bar
from randprune_lab.search.config import RunConfig
from randprune_lab.search.drawing import described_criterion, proposal_of
from randprune_lab.search.evolved import with_allocation
from randprune_lab.search.executors import Executor, InProcess
from randprune_lab.search.folder import RunFolder, take_dense
from randprune_lab.search.level import Level, derived_seed, evaluation_steps
from randprune_lab.search.levels import LevelSearch, Trained
from randprune_lab.search.loaded import Loaded
from randprune_lab.search.method import Method
from randprune_lab.search.plan import Plan
from randprune_lab.search.recorded_config import check_usable
from randprune_lab.search.units import (
    COMPUTE,
    DATA,
    DENSE,
    MODEL,
    file_name,
    level_unit,
    score_unit,
    selection_unit,
)
from randprune_lab.search.winner import MODEL_FOLDER, winning_mask, winning_model
from randprune_lab.tasks.metrics import constant_answer
from randprune_lab.tasks.spec import suffixed
from randprune_lab.training.compute import Compute
from randprune_lab.training.data import Encoded
from randprune_lab.training.distillation import Teacher
from randprune_lab.training.loop import Evaluate, train
from randprune_lab.training.scoring import answers, predict, score

log = logging.getLogger("randprune_lab")

SPARSE_BEFORE = {"sparse_from": 0.85}
"""What the journals of older runs, which do not have it, leave out of `Compute`."""


def run(
    config: RunConfig,
    out: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    executor: Executor | None = None,
    dense_of: str | Path | None = None,
) -> Path:
    """Run a whole search, and record it in the folder `out`.

    A run can be stopped at any moment. With `resume=True` it continues to the same masks and scores.

    Args:
        config: the settings of the run.
        out: the folder of the run.
        resume: continue the run in `out`.
        overwrite: replace the run in `out`.
        progress: show one progress bar for the whole run; without a terminal or a notebook, a log message now and then.
        executor: evaluates the candidates, by default in this process; it does not change the results.
        dense_of: the folder of a run with the same dense model, which is copied from there instead of trained again.

    Returns:
        The folder.

    Raises:
        RunError: if `out` exists and neither `resume` nor `overwrite` is given, if it has another run, or if the dense
            model of `dense_of` has other settings.
        ConfigError, DataError, FileError: if the task, the data or the model cannot be found or used.
    """
    check_usable(given_path(out), resume=resume, overwrite=overwrite)
    search = Search(config, progress, executor)  # finds the task, data and model before the folder is made
    with RunFolder.open(out, config, resume=resume, overwrite=overwrite) as folder:
        if dense_of is not None:
            take_dense(folder, config, Path(dense_of))
        search.run(folder)
    return folder.path


class Search(Loaded, LevelSearch[Level]):
    """A running search: its configuration, loaded, and the run folder.

    Args:
        config: the settings of the run.
        progress: show a progress bar.
        executor: evaluates the candidates, by default in this process.

    Raises:
        ConfigError, DataError, FileError: if the task, the data or the model cannot be found or used.
    """

    first = DENSE

    def __init__(self, config: RunConfig, progress: bool, executor: Executor | None = None):
        super().__init__(config)
        self.progress, self.executor = progress, executor or InProcess()
        config.check_budget(len(self.train))

    def run(self, folder: RunFolder) -> None:
        """Do all units of work that are not done yet, in their order."""
        self.folder = folder
        self._check_data()
        for method in self.methods if not (self.config.candidate_seeds or self.config.learn == "allocation") else ():
            if method.repetition:
                log.warning(method.repetition)
        self._check_compute()
        self._forget_damaged()
        log.info("criterion: %s", described_criterion(self.config))
        self.plan = Plan(self.config, len(self.train), len(self.validation), sum(map(len, self.tests.values())))
        left = self.plan.left(folder.units)
        all_steps = sum(self.plan.units.values())
        with self.compute.active(), progress_bar(all_steps, all_steps - left, shown=self.progress) as self.bar:
            self.make_all()
            for name in [DENSE, *self.levels]:
                self.folder.unit(score_unit(name), partial(self._test, name))
                self.bar.left(self.plan.left(folder.units))
            self.folder.unit(MODEL, self._save_model)

    # --- units of work ---

    def begin(self) -> dict[str, Any]:
        log.info("dense: fine-tuning on %d examples", len(self.train))
        self.model.load_state_dict(self._initial)
        history = train(
            self.model,
            self.train,
            self.config.dense_training(),
            evaluate=self._counted(self.scores_on(self.validation), self.validation),
            record=(record := self._record()),
            advance=self.bar.advance,
        )
        log.info("dense: %s %.4f on the validation set", self.task.primary_metric, history.scores[history.best])
        said = answers(self.task, predict(self.model, self.validation))
        if warning := constant_answer(self.task, said, self.validation.labels, "validation"):
            log.warning(warning)
        return self.save_trained(DENSE, history, record.scores if record else None)

    def level(self, name: str, method: Method, number: int, start: str) -> Level:
        level = Level(
            name=name,
            number=number,
            config=replace(
                self.config, epochs=method.epochs, keep_early=self.config.keep_early and method.candidates > 1
            ),
            compute=self.compute,
            task=self.task,
            model=self.model,
            start=self.weights(start),
            train=self.train,
            scoring=self._scoring(number),
            teacher=self.teacher,
            proposal=proposal_of(
                self.config,
                method,
                number,
                derived_seed(self.config.seed, "mask", number),
                self.train,
                self.scores(start) if self.config.accumulated else None,
            ),
        )
        return with_allocation(level, self.folder)

    def train_winner(self, level: Level, winner: int, mask: MaskSet) -> Trained:
        config = level.config.level_training(derived_seed(self.config.seed, "level", level.number))
        record = self._record() if level.number < len(self.config.levels) else None
        if level.config.keep_early and (steps := self._early_steps(level)):
            level.advance(winner, None, steps, self.bar.advance)  # gives the same bits as when it was evaluated
        history = train(
            self.model,
            self.train,
            replace(config, compute=self.compute.layers),
            evaluate=self._counted(self.scores_on(level.scoring), level.scoring),
            mask=mask,
            teacher=self.teacher,
            record=record,
            advance=self.bar.advance,
        )
        return history, record.scores if record else None

    def _early_steps(self, level: Level) -> int:
        """The training steps that the winner of a level had when it was chosen."""
        return int(self.folder.units[selection_unit(level.name)]["rounds"][-1]["steps"])

    def remedy(self, name: str) -> str:
        setting = "dense_learning_rate" if name == DENSE else "learning_rate"
        return f"lower {setting} (--{setting.replace('_', '-')}) from {getattr(self.config, setting):g}"

    def _save_model(self) -> dict[str, Any]:
        """Write the model of the last winner with `save_pretrained`."""
        name = level_unit(self.config.method, len(self.config.levels))
        self.model.load_state_dict(self.weights(name))
        with quiet():
            self.folder.save_model(self.model, self.tokenizer)
        return {"path": MODEL_FOLDER, "weights": name}

    def _test(self, name: str) -> dict[str, Any]:
        """Score trained weights on all test sets. Metrics of further test sets end in the name of the set."""
        self.model.load_state_dict(self.weights(name))
        metrics: dict[str, float] = {}
        for test_set, rows in self.tests.items():
            logits = predict(self.model, rows)
            self.bar.advance(evaluation_steps(len(rows), self.config.batch_size))
            self.folder.save_predictions(file_name(score_unit(name), test_set), logits, rows.labels)
            scores = score(self.task, logits, rows)
            metrics |= {suffixed(metric, test_set): value for metric, value in scores.items()}
        log.info(
            "%s on the test set: %s",
            name,
            ", ".join(f"{key} {value:.4f}" for key, value in metrics.items()),
        )
        return metrics

    # --- parts ---

    @property
    def methods(self) -> list[Method]:
        return self.config.methods()

    @property
    def sparsities(self) -> tuple[float, ...]:
        return self.config.levels

    def _record(self) -> Record | None:
        """Sums up the scores of a training, for a criterion that is accumulated."""
        criterion = self.config.accumulated
        return Record(criterion, prunable(self.model, **self.config.scope)) if criterion else None

    @cached_property
    def teacher(self) -> Teacher:
        """The trained dense model."""
        model = self.fresh_model()
        model.load_state_dict(self.weights(DENSE))
        return Teacher(model, self.train)

    def _scoring(self, level: int) -> Encoded:
        """The rows that decide at a level: the validation set; at the last level of select-on-test, the test set."""
        on_test = self.config.protocol == "select-on-test" and level == len(self.config.levels)
        return self.tests[""] if on_test else self.validation

    def _forget_damaged(self) -> None:
        """Forget a damaged mask or model of a finished run's winner, so that it is made again for export."""
        units = {**self.folder.units}
        if MODEL not in units or units[MODEL]["weights"] not in units:
            return
        checks: dict[str, Callable[[], object]] = {
            units[MODEL]["weights"]: lambda: winning_mask(self.folder.path, units),
            MODEL: lambda: winning_model(self.folder.path, units, self.task),
        }
        for name, check in checks.items():
            try:
                check()
            except FileError as error:
                log.warning("%s; it is made again", error)
                self.folder.forget(name)

    def _check_data(self) -> None:
        """Record the data, or raise `RunError` if the recorded data was different."""
        splits = self.splits
        for warning in (warnings := self.label_warnings()):
            log.warning(warning)
        data = {
            "source": splits.source,
            "fingerprint": splits.fingerprint,
            "dropped_leaks": splits.dropped_leaks,
            "identical_leaks": splits.identical_leaks,
            "found": dict(splits.found),
            **{role: len(rows) for role, rows in self.used.items()},
            "labels": splits.label_counts(),
            "warnings": warnings,
            "task": self.task.to_dict(),
        }
        recorded = self.folder.unit(DATA, lambda: data)
        if recorded["fingerprint"] != splits.fingerprint:
            raise RunError(
                f"cannot resume {self.folder.path}: the data from {splits.source} has changed "
                f"(fingerprint {splits.fingerprint[:12]}, was {recorded['fingerprint'][:12]}); "
                "restore the data, or choose another folder"
            )

    def _check_compute(self) -> None:
        """Record what the device, threads and precision became; a resumed run continues with the recorded threads.

        Raises:
            RunError: if the run was computed on another device.
        """
        recorded = Compute(**SPARSE_BEFORE | self.folder.unit(COMPUTE, lambda: asdict(self.compute)))
        if (recorded.device, recorded.processor) != (self.compute.device, self.compute.processor):
            raise RunError(
                f"cannot resume {self.folder.path}: it was computed on {recorded}; here device {self.config.device!r} "
                f"is {self.compute.device}, which gives other bits; resume it on such a device, or choose another "
                "folder"
            )
        if recorded.threads != self.compute.threads:
            log.info("threads: %d, as when the run was begun", recorded.threads)
        if recorded.layers == "auto" and (begun := recorded.sparse_from) != (now := self.compute.sparse_from):
            path = self.folder.path
            log.warning("%s was begun with sparse layers from %g (now %g) on: last bits may differ", path, begun, now)
        self.compute = recorded

    def _counted(self, evaluate: Evaluate, rows: Encoded) -> Evaluate:
        """The same evaluation on these rows, which the bar counts."""

        def counted(model: nn.Module) -> float | tuple[float, float]:
            value = evaluate(model)
            self.bar.advance(evaluation_steps(len(rows), self.config.batch_size))
            return value

        return counted
