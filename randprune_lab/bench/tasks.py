"""Scores on mini-GLUE: of the dense model and simpler ones, and of the pruned model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from randprune_lab.masks.rules import Magnitude, Rule, Voting
from randprune_lab.masks.sampler import MaskSampler
from randprune_lab.models.load import load_model
from randprune_lab.study.controls import linear_words, majority, without_blocks
from randprune_lab.tasks import Splits, load_splits
from randprune_lab.tasks.mini_glue import GENERATORS, MiniGlue
from randprune_lab.training.config import TrainingConfig
from randprune_lab.training.data import Encoded, encode
from randprune_lab.training.loop import train
from randprune_lab.training.scoring import predict, score

DENSE = TrainingConfig(epochs=8, learning_rate=1e-3, evaluate_every=10**6, vocabulary="whole")
SHORT = replace(DENSE, epochs=1, mask_gradients=False, compute="dense")
"""The training after pruning, as it was when the scores in docs/mini-glue.md were measured."""
SHORT_ROWS = 3000
SPARSITIES = (0.54, 0.83, 0.9375, 0.97, 0.99, 0.995)
CANDIDATES = 4
RULE = Voting(sampling_ratio=1e-4, power=5)


def bench_tasks(
    names: Sequence[str] = (), *, sparsities: Sequence[float] = SPARSITIES, train_size: int | None = None
) -> list[dict[str, Any]]:
    """Measure test scores on the tasks of mini-GLUE, for the dense model, simpler ones, and the pruned model.

    All scores are in the task's first metric. The model is pruned level by level, with the magnitude mask and several
    candidates, each trained for one epoch on `SHORT_ROWS` rows. A level starts from the weights that were trained with
    the magnitude mask of the level before.

    Args:
        names: the tasks; all by default.
        sparsities: the levels.
        train_size: the number of train rows; the task's default if it is None.

    Returns:
        A row for each task.

    Raises:
        UnknownNameError: if there is no such task.
    """
    size = {} if train_size is None else {"train": train_size}
    wanted = [MiniGlue(name, **size) for name in dict.fromkeys(names or GENERATORS)]  # all are checked before any runs
    return [_measure(load_splits(each), sparsities) for each in wanted]


def _measure(splits: Splits, sparsities: Sequence[float]) -> dict[str, Any]:
    task = splits.task
    model, tokenizer = load_model("tiny", task=task)
    learn, test = (encode(rows, task.text_fields, tokenizer, task.max_length) for rows in (splits.train, splits.test))
    bare = without_blocks(model)

    def learned(model: nn.Module) -> float:
        train(model, learn, DENSE, evaluate=lambda _: 0.0)
        return score(task, predict(model, test), test)[task.primary_metric]

    without = learned(bare)
    wall, cpu = time.perf_counter(), time.process_time()
    dense = learned(model)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "task": task.name,
        "metric": task.primary_metric,
        "train": len(learn),
        "majority": majority(task, splits.train, splits.test),
        "words": _words(splits, compared=False),
        "words, compared": _words(splits, compared=True),
        "without encoder": without,
        "dense": dense,
        "seconds": wall,
        "cpu seconds": cpu,
        "pruned": _pruned(model, splits, learn, test, sparsities),
    }


def _words(splits: Splits, *, compared: bool) -> float:
    return linear_words(splits.task, splits.train, splits.validation, splits.test, compared=compared)[1]


# --- pruned ---


def _pruned(
    model: nn.Module, splits: Splits, learn: Encoded, test: Encoded, sparsities: Sequence[float]
) -> list[dict[str, Any]]:
    short = learn.first(SHORT_ROWS)

    def scored(start: dict[str, Tensor], rule: Rule, sparsity: float, candidate: int) -> float:
        model.load_state_dict(start)
        mask = MaskSampler(model, rule, sparsity).draw(candidate)
        train(model, short, SHORT, evaluate=lambda _: 0.0, mask=mask)
        return score(splits.task, predict(model, test), test)[splits.task.primary_metric]

    levels = []
    for sparsity in sparsities:
        start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        candidates = [scored(start, RULE, sparsity, number) for number in range(CANDIDATES)]
        magnitude = scored(
            start, Magnitude(), sparsity, 0
        )  # drawn last, because the next level starts from its weights
        levels.append({"sparsity": sparsity, "magnitude": magnitude, "candidates": candidates})
    return levels


# --- tables ---

LEARNED = {
    "majority": "majority class",
    "words": "words",
    "words, compared": "words, compared",
    "without encoder": "without encoder",
    "dense": "dense",
}
"""The scores of all models, and the names of their columns."""


def describe(rows: list[dict[str, Any]]) -> str:
    """The scores of all models, and of the pruned models by level, as two Markdown tables."""
    head = ["task", "metric", *LEARNED.values(), "time to train dense", "CPU time of it"]
    learned = [
        [
            row["task"],
            row["metric"],
            *(f"{row[name]:.3f}" for name in LEARNED),
            *(f"{row[name]:.0f} s" for name in ("seconds", "cpu seconds")),
        ]
        for row in rows
    ]
    sparsities = [f"{each['sparsity']:.2%}" for each in rows[0]["pruned"]]
    pruned = [[row["task"], f"{row['dense']:.3f}", *map(_pruned_cell, row["pruned"])] for row in rows]
    return "\n\n".join(
        [
            f"Test scores from 0 to 1, with {rows[0]['train']:,} train rows; {torch.get_num_threads()} threads.",
            _table(head, learned),
            f"Pruned level by level: test scores of the magnitude mask (lowest to highest of {CANDIDATES} candidates).",
            _table(["task", "dense", *sparsities], pruned),
        ]
    )


def _pruned_cell(found: dict[str, Any]) -> str:
    return f"{found['magnitude']:.3f} ({min(found['candidates']):.3f} to {max(found['candidates']):.3f})"


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows))
