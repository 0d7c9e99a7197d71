"""Pools of candidates that are all trained to the end, and searches that learn: the data of `bench early`."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from randprune_lab.analysis.pool_record import PoolRecord
from randprune_lab.bench.levels import PATH, MagnitudeLevels, drawn, train_early
from randprune_lab.sealed import write_sealed
from randprune_lab.search.config import RunConfig
from randprune_lab.search.executors import InProcess
from randprune_lab.search.folder import RunFolder
from randprune_lab.search.generations import Generations
from randprune_lab.search.level import Level
from randprune_lab.search.presets import PRESETS
from randprune_lab.search.units import selection_unit
from randprune_lab.tasks import load_splits
from randprune_lab.training.scoring import answers, log_likelihood, predict

log = logging.getLogger("randprune_lab")

SPARSITIES = (0.54, 0.9375, 0.99)

FORMAT = 2
"""The format number of the files about searches that learn."""

CANDIDATES = 16
GENERATIONS = 4
"""The number of generations of a search that learns."""

LOOKS = 16
"""The number of evaluations of a candidate during its early evaluation."""

NOISE_MASKS, NOISE_SEEDS = 6, 3
"""The numbers of masks, and of training seeds for each, that split the variance of early scores."""

TEST = 4000
"""The number of test rows of a generated task: with fewer, the noise of the true scores would hide the gains."""

KINDS: dict[str, dict[str, Any]] = {
    "voting": {},
    "random allocation": {"learn": "allocation"},
}
"""How the candidates of a pool are drawn: by the published rule, also with a separate random allocation for each."""

LEARNERS: dict[str, dict[str, Any]] = {
    "allocation": {"learn": "allocation", "generations": GENERATIONS},
    "inclusion": {"learn": "inclusion", "generations": GENERATIONS},
}

REAL_TEXT: dict[str, Any] = {"model": "tiny-minilm", "train_size": 1600, "dense_epochs": 5}
"""Settings for tasks with real text that differ from the preset `lesson`."""


@dataclass(frozen=True)
class Setting:
    """The settings of one pool.

    Args:
        task: the name of the task.
        seed: the seed of the whole search.
        sparsity: the level.
        kind: how candidates are drawn, a name in `KINDS`.
    """

    task: str
    seed: int
    sparsity: float
    kind: str

    def file(self, folder: Path) -> Path:
        """The file of the pool."""
        name = f"{self.task}-seed-{self.seed}-{self.sparsity:g}-{self.kind.replace(' ', '-')}"
        return folder / f"{name}.safetensors"

    def learned_file(self, folder: Path) -> Path:
        """The file of the searches that learn, on the same task, seed and level."""
        return folder / f"{self.task}-seed-{self.seed}-{self.sparsity:g}-learned.json"


def train_pools(folder: Path, task: str, seed: int) -> Iterator[Setting]:
    """Train the pools of a task and seed that `folder` does not have yet, and write them to it.

    Yields:
        The settings of each pool, when its file exists.
    """
    search = None
    for sparsity in SPARSITIES:
        settings = [Setting(task, seed, sparsity, kind) for kind in KINDS]
        files = [*(one.file(folder) for one in settings), settings[0].learned_file(folder)]
        if not all(file.exists() for file in files):
            search = search or _Pools(task, seed)
            level = search.level(sparsity)
            for setting in settings:
                if not setting.file(folder).exists():
                    log.info("%s, seed %d, %g: %s", task, seed, sparsity, setting.kind)
                    search.pool(level, setting.kind).save(setting.file(folder))
            if not files[-1].exists():
                log.info("%s, seed %d, %g: searches that learn", task, seed, sparsity)
                write_sealed(files[-1], FORMAT, {name: search.learned(level, **how) for name, how in LEARNERS.items()})
        yield from settings


class _Pools:
    """The pools of a task and seed, at the levels after one dense model."""

    def __init__(self, task: str, seed: int):
        preset = PRESETS["lesson"] | {"task": task, "seed": seed, "levels": PATH, "candidates": CANDIDATES}
        recorded: dict[str, Any] = {"mask_gradients": False, "vocabulary": "whole", "compute": "dense"}
        config = RunConfig(**preset, **recorded, checkpoint="last", early_score="log-loss")
        self.config = config if config.mini_glue else replace(config, **REAL_TEXT)
        self.levels = MagnitudeLevels(self.config)
        loaded = self.levels.loaded
        if generated := self.config.mini_glue:
            loaded.tests = {"": loaded.encode(load_splits(replace(generated, test=TEST)).tests[""])}
        self.test = loaded.tests[""]
        self.steps = self.config.early_epochs * -(-len(loaded.train) // self.config.batch_size)

    def level(self, sparsity: float) -> Level:
        """The level with this sparsity, whose early evaluations are looked at more often than its trainings."""
        return self.levels.level(sparsity, evaluate_every=max(1, self.steps // LOOKS))

    def pool(self, level: Level, kind: str) -> PoolRecord:
        """A pool whose candidates were all trained, in an early evaluation and to the end."""
        level = drawn(level, **KINDS[kind])
        examples, correct, right = [], [], []
        for candidate in range(CANDIDATES):
            untrained = self._judge(level, candidate)
            found = [untrained, *_early(level, candidate, level.training.seed)]
            examples.append(np.stack([one for one, _ in found]))
            correct.append(np.stack([right for _, right in found]))
            right.append(self._ends(level, candidate))
        every = level.training.evaluate_every
        return PoolRecord(
            task=self.config.task,
            sparsity=self.config.levels[level.number - 1],
            seed=self.config.seed,
            candidates_from=kind,
            at=(0, *range(every, level.total_steps, every), level.total_steps),
            examples=np.stack(examples),
            correct=np.stack(correct),
            final=np.mean(right, axis=1),
            right=np.array(right),
            noise=_noise(level) if kind == "voting" else np.zeros((0, 0)),
        )

    def learned(self, level: Level, **how: Any) -> dict[str, Any]:
        """The result of a search that learns, with the number of early evaluations of a pool."""
        level = drawn(level, **how)
        with (
            tempfile.TemporaryDirectory() as place,
            RunFolder.open(Path(place) / "run", level.config) as folder,
            InProcess() as executor,
        ):
            level, winner = Generations(level, folder, executor).run(CANDIDATES)
            selection = folder.units[selection_unit(level.name)]
        last = selection["rounds"][-1]
        return {
            "winner": winner,
            "final": float(self._ends(level, winner).mean()),
            "steps": selection["steps"],
            "early": dict(zip(map(str, last["candidates"]), last["scores"], strict=True)),
            "elites": level.proposal.elites,
        }

    def _ends(self, level: Level, candidate: int) -> Bool[np.ndarray, " tests"]:
        """Which test examples a candidate answers correctly after the full training of the level."""
        self.levels.train_to_the_end(level.number, level.start_with(candidate))
        return np.asarray(answers(level.task, predict(level.model, self.test)) == self.test.labels)

    def _judge(self, level: Level, candidate: int) -> tuple[np.ndarray, np.ndarray]:
        level.start_with(candidate).apply_(level.model)
        return _answered(level)


def _noise(level: Level) -> np.ndarray:
    """Early scores of some masks, each with its own training seeds, so that masks do not share the noise of a seed."""
    seeds = level.training.seed + 1 + np.arange(NOISE_MASKS * NOISE_SEEDS).reshape(NOISE_MASKS, NOISE_SEEDS)
    last = level.config.early_last
    return np.array(
        [
            [np.mean([one.mean() for one, _ in _early(level, mask, int(seed))[-last:]]) for seed in seeds[mask]]
            for mask in range(NOISE_MASKS)
        ]
    )


def _early(level: Level, candidate: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Log-likelihoods and correctness at every evaluation of a full early evaluation with this seed."""
    found: list[tuple[np.ndarray, np.ndarray]] = []
    train_early(level, candidate, seed, lambda model: found.append(_answered(level)))
    return found


def _answered(level: Level) -> tuple[np.ndarray, np.ndarray]:
    """The log-likelihood of the right answer, and whether the model gave it, for each validation example."""
    logits = predict(level.model, level.scoring)
    right = answers(level.task, logits) == level.scoring.labels
    return log_likelihood(logits, level.scoring.labels), np.asarray(right)
