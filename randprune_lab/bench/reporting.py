"""How much too good a result is by how it was reported: pools of candidates of GLUE tasks, with all their answers."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from torch import nn

from randprune_lab.analysis.answer_record import AnswerRecord
from randprune_lab.analysis.reporting import SIZES, WAYS, inflation_by_size, inflation_table, reported_gains
from randprune_lab.bench.levels import MagnitudeLevels, drawn, train_early
from randprune_lab.errors import ConfigError, DataError
from randprune_lab.search.config import RunConfig
from randprune_lab.search.level import Level, derived_seed
from randprune_lab.search.loaded import Loaded
from randprune_lab.study.config import StudyConfig
from randprune_lab.tasks import load_splits
from randprune_lab.tasks.corpus import Row
from randprune_lab.tasks.spec import get_task
from randprune_lab.tasks.splits import text_key
from randprune_lab.training.data import Encoded
from randprune_lab.training.scoring import answers, log_likelihood, predict

log = logging.getLogger("randprune_lab")

TASKS = ("qnli", "mnli", "qqp")
SEEDS = (0, 1, 2)
SPARSITIES = (0.9375, 0.99)

MASKS, RESTARTS = 16, 8
"""The numbers of random masks, and of trainings of the magnitude mask with different seeds, in a pool."""

EARLY_EVERY = 20
"""The number of steps between two evaluations of an early evaluation, as in `laptop`."""

TESTS = 5000
"""The number of test examples: rows of the test set, and where it has fewer, train rows that nothing else uses."""

NOW: dict[str, Any] = {
    "train_rows": "seed",
    "checkpoint": "log-loss",
    "mask_gradients": True,
    "vocabulary": "used",
    "compute": "auto",
    "validation_size": 1000,
    "candidates": MASKS,
    "evaluate_every": 63,  # six checkpoints in 375 steps
}
"""Settings that differ from those of the study `laptop`: the defaults of new studies, a larger validation set, and
fewer checkpoints of full trainings."""


@dataclass
class Looks:
    """What evaluations of a training found: accuracy and mean log-likelihood on the validation set, correct answers."""

    validation: list[tuple[float, float]] = field(default_factory=list)
    right: list[Bool[np.ndarray, " tests"]] = field(default_factory=list)


@dataclass(frozen=True)
class Setting:
    """The settings of one pool: its task, the seed of all that is drawn, and its level."""

    task: str
    seed: int
    sparsity: float

    def file(self, folder: Path) -> Path:
        """The file of the pool's record."""
        return folder / f"{self.task}-seed-{self.seed}-{self.sparsity:g}.safetensors"


def bench_reporting(
    tasks: Sequence[str] = (), out: Path | None = None, glue_dir: str | None = None
) -> list[dict[str, Any]]:
    """Train pools of candidates, and compare what is reported of them in several ways with the truth.

    Each pool has 16 random masks of the published rule and 8 trainings of the magnitude mask with different seeds. All
    are trained early and to the end, with the settings of the search in the study `laptop` and the defaults of new
    studies. All pools of one seed come before those of the next.

    Args:
        tasks: GLUE tasks that `laptop` has; `TASKS` by default. What is compared is the accuracy.
        out: the folder that the records are written to, each when its pool is finished; pools that it already has are
            not trained again. "bench-reporting" by default.
        glue_dir: a folder of GLUE's TSV files; without it, GLUE comes from the hub.

    Returns:
        The rows of `analysis.reporting.inflation_by_size`.

    Raises:
        ConfigError: if the answers of a task are scores, which have no accuracy.
    """
    chosen = [*dict.fromkeys(tasks or TASKS)]
    for task in chosen:
        if get_task(task).regression:
            raise ConfigError(f"the answers of {task} are scores, which have no accuracy; choose a task with classes")
    folder = Path("bench-reporting") if out is None else out
    folder.mkdir(parents=True, exist_ok=True)
    settings = [one for seed, task in product(SEEDS, chosen) for one in _train(folder, task, seed, glue_dir)]
    records = [AnswerRecord.load(one.file(folder)) for one in settings]
    return inflation_by_size(reported_gains(records, [*SIZES.values()])).to_dict("records")


def describe(rows: list[dict[str, Any]]) -> str:
    """The results as tables for a terminal, in points."""
    import pandas as pd

    summary = pd.DataFrame(rows)
    lines = ["Reported minus true accuracy, in points, with 95 % intervals over tasks, by number of reported examples"]
    for kind, what in (("masks", "8 random masks"), ("restarts", "8 restarts of the magnitude mask")):
        table = inflation_table(summary, kind).rename(index=WAYS)
        lines += ["", f"{what}:", table.to_string()]
    return "\n".join(lines)


def _train(folder: Path, task: str, seed: int, glue_dir: str | None) -> Iterator[Setting]:
    """Train the pools of a task and seed that `folder` does not have yet, and write them to it."""
    start: tuple[MagnitudeLevels, Encoded] | None = None
    for sparsity in SPARSITIES:
        setting = Setting(task, seed, sparsity)
        if not (file := setting.file(folder)).exists():
            if start is None:
                levels = MagnitudeLevels(pool_config(task, seed, glue_dir))
                start = levels, _tests(levels.loaded)
            log.info("%s, seed %d, %g: %d candidates", task, seed, sparsity, MASKS + RESTARTS)
            _Pool(*start, sparsity).record().save(file)
        yield setting


def pool_config(task: str, seed: int, glue_dir: str | None = None) -> RunConfig:
    """The settings of the pools of a task and seed: those of the search in `laptop`, and `NOW`."""
    given = {} if glue_dir is None else {"glue_dir": glue_dir}
    return replace(StudyConfig.load("laptop", **given).run_config("search", task, seed), **NOW)


class _Pool:
    """The candidates of a level: each is trained early and to the end, and its answers are kept."""

    def __init__(self, levels: MagnitudeLevels, tests: Encoded, sparsity: float):
        self.levels, self.tests = levels, tests
        self.level = levels.level(sparsity, evaluate_every=EARLY_EVERY)
        self.early_at = _evaluated(self.level.total_steps, EARLY_EVERY)

    def record(self) -> AnswerRecord:
        """The record of the pool, after it was trained."""
        level, config = self.level, self.levels.config
        magnitude = drawn(level, rule="magnitude", candidates=1)
        trained = [self._trained(level, candidate) for candidate in range(MASKS)]
        trained += [self._trained(magnitude, 0, restart) for restart in range(RESTARTS)]
        early, full = zip(*trained, strict=True)
        steps = level.total_steps // config.early_epochs * config.epochs
        return AnswerRecord(
            task=config.task,
            sparsity=config.levels[level.number - 1],
            seed=config.seed,
            model=config.model,
            learning_rate=config.learning_rate,
            masks=MASKS,
            early_at=self.early_at[-config.early_last :],
            at=_evaluated(steps, config.evaluate_every),
            early_validation=np.array([looks.validation for looks in early], dtype=np.float32),
            validation=np.array([looks.validation for looks in full], dtype=np.float32),
            early=np.array([looks.right for looks in early]),
            right=np.array([looks.right for looks in full]),
        )

    def _trained(self, level: Level, candidate: int, restart: int | None = None) -> tuple[Looks, Looks]:
        """What a candidate answers at its last early evaluations, and at each checkpoint of its full training."""
        early_seed, seed = level.training.seed, None
        if restart is not None:
            parts = self.levels.config.seed, level.number, restart
            early_seed, seed = (derived_seed(*parts, when) for when in ("early restart", "restart"))
        early, full = Looks(), Looks()
        unseen = iter(self.early_at[: -level.config.early_last])

        def look(model: nn.Module) -> None:
            if next(unseen, None) is None:
                self._answer(model, early)

        train_early(level, candidate, early_seed, look)
        mask = level.start_with(candidate)
        self.levels.train_to_the_end(level.number, mask, lambda model: self._answer(model, full), seed)
        return early, full

    def _answer(self, model: nn.Module, looks: Looks) -> None:
        task, rows = self.level.task, self.level.scoring
        logits = predict(model, rows)
        accuracy = np.mean(answers(task, logits) == rows.labels)
        looks.validation.append((float(accuracy), float(log_likelihood(logits, rows.labels).mean())))
        looks.right.append(np.asarray(answers(task, predict(model, self.tests)) == self.tests.labels))


def _evaluated(steps: int, every: int) -> tuple[int, ...]:
    """The steps of a training after which it is evaluated."""
    return *range(every, steps, every), steps


def _tests(loaded: Loaded) -> Encoded:
    """The test examples: the test set's first, and if there are too few, train rows with texts that are not used."""
    from datasets import concatenate_datasets

    config, rows = loaded.config, loaded.splits.test
    if missing := max(0, TESTS - len(rows)):
        every = load_splits(config.mini_glue or config.task, glue_dir=config.glue_dir).train
        used = {_key(row, loaded) for row in loaded.splits.train}
        others = [place for place, row in enumerate(every) if _key(row, loaded) not in used]
        if len(others) < missing:
            raise DataError(
                f"{config.task} has {len(rows) + len(others)} rows that are not trained on, and {TESTS} are needed as "
                "test examples; choose another task"
            )
        rows = concatenate_datasets([rows, every.select(others[:missing])])
    return loaded.encode(rows.select(range(TESTS)))


def _key(row: Any, loaded: Loaded) -> str:
    return text_key(Row(tuple(row[name] for name in loaded.task.text_fields), row["label"]))
