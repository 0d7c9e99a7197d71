"""Checks the saved winners of a study independently: transformers loads them, and they are scored again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from randprune_lab.analysis.run_record import RunRecord
from randprune_lab.errors import DataError, FileError, RunError
from randprune_lab.files import reading
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.scope import prunable
from randprune_lab.models.quiet import quiet
from randprune_lab.search.config import RunConfig
from randprune_lab.search.winner import MODEL_FOLDER, winning_mask
from randprune_lab.study.config import CONTROLS
from randprune_lab.study.grid import Grid, Unit
from randprune_lab.tasks import compute_metrics, load_splits
from randprune_lab.training.data import tokenize

if TYPE_CHECKING:
    import datasets
    import pandas as pd

    from randprune_lab.tasks.spec import Task

BATCH = 50
ROUNDING = 0.01
"""Of a score: another processor rounds differently, which may change single answers."""


def verify_winners(grid: Grid) -> pd.DataFrame:
    """Load the last winner of every finished unit with transformers, and score it on the raw test examples.

    Returns:
        A row for each unit.
        Columns: method, task, seed; sparsity, as in the settings; zeros, the fraction of zeros among the prunable
        weights in the saved file; recorded and again, the task's first metric in the record and now; finding, what is
        wrong, or empty: fewer zeros than the recorded mask removes, another score by more than `ROUNDING`, or files
        that cannot be loaded.

    Raises:
        RunError: if only controls are finished, or nothing.
        DataError: if the data are not available.
    """
    import pandas as pd

    rows = []
    for unit in grid.finished():
        if unit.method != CONTROLS:
            about = {**unit._asdict(), "sparsity": grid.run_config(unit).levels[-1]}
            try:
                winner = _load(grid, unit)
            except FileError as error:
                finding = f"cannot be loaded: {' '.join(str(error).split())}; {grid.again(unit)}"
                rows.append(about | {"finding": finding})
            else:
                rows.append(about | _verified(grid, unit, winner))
    if not rows:
        raise RunError(f"no method in {grid.path} is finished yet; go on with --resume")
    return pd.DataFrame(rows, columns=[*Unit._fields, "sparsity", "zeros", "recorded", "again", "finding"])


class _Winner(NamedTuple):
    mask: MaskSet
    weights: dict[str, np.ndarray]
    model: Any
    tokenizer: Any


def _load(grid: Grid, unit: Unit) -> _Winner:
    """The saved winner of a unit; raises `FileError` if a file of it is missing or damaged."""
    if (damage := grid.damage(unit)) is not None:
        raise damage
    folder = grid.folder(unit)
    saved = folder / MODEL_FOLDER
    with reading("model", saved / "model.safetensors"):
        weights, (model, tokenizer) = _saved(saved / "model.safetensors"), _plain(str(saved))
    return _Winner(winning_mask(folder, RunRecord.load(folder).units), weights, model, tokenizer)


def _verified(grid: Grid, unit: Unit, winner: _Winner) -> dict[str, Any]:
    config, record = grid.run_config(unit), RunRecord.load(grid.folder(unit))
    scope = [winner.weights[name] for name in prunable(winner.model, **config.scope)]
    task = record.task
    _, examples = read_test_set(config)
    columns, labels = examples.to_dict(), list(examples["label"])
    texts = [columns[field] for field in task.text_fields]
    answers = _answers(winner.model, winner.tokenizer, texts, config.max_length or task.max_length)
    predictions = answers[:, 0] if task.regression else answers.argmax(axis=1)
    zeros = sum(int((weight == 0).sum()) for weight in scope)
    recorded, again = record.score(record.last).estimate, compute_metrics(task, predictions, labels)
    findings = [
        "too few zeros" if zeros < winner.mask.size - winner.mask.kept else "",
        "another score" if not abs(again[task.primary_metric] - recorded) <= ROUNDING else "",
    ]
    return {
        "zeros": zeros / sum(weight.size for weight in scope),
        "recorded": recorded,
        "again": again[task.primary_metric],
        "finding": ", ".join(filter(None, findings)),
    }


def _saved(path: Any) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(path)


def _plain(folder: str) -> tuple[Any, Any]:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    import randprune_lab.models.mean_pooled_bert  # noqa: F401  an architecture that transformers does not have

    with quiet():
        model = AutoModelForSequenceClassification.from_pretrained(folder, use_safetensors=True)
    return model.eval(), AutoTokenizer.from_pretrained(folder)


def read_test_set(config: RunConfig) -> tuple[Task, datasets.Dataset]:
    """The task of a run and its test examples, read again from its data.

    Raises:
        DataError: if the data are not available, or have fewer test examples than the run.
    """
    data = config.custom_data or config.mini_glue or config.task
    splits = load_splits(data, glue_dir=config.glue_dir, train_size=config.train_size)
    size = config.test_size or len(splits.test)
    if size > len(splits.test):
        raise DataError(
            f"the data of {config.task} have {len(splits.test)} test examples, and the run has {size}; give the data "
            "of the run"
        )
    return splits.task, splits.test.select(range(size))


@torch.no_grad()
def _answers(model: Any, tokenizer: Any, texts: list[list[str]], length: int) -> np.ndarray:
    logits = []
    for start in range(0, len(texts[0]), BATCH):
        part = [field[start : start + BATCH] for field in texts]
        batch = tokenize(tokenizer, part, length, padding=True, return_tensors="pt")
        logits.append(model(**batch).logits.numpy())
    return np.concatenate(logits)
