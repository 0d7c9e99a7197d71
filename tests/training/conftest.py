from __future__ import annotations

from dataclasses import dataclass

import pytest

from randprune_lab.models.load import load_model
from randprune_lab.tasks import Task, load_splits
from randprune_lab.training.data import Encoded, encode


@dataclass(frozen=True)
class Lab:
    """The tiny task, encoded for the tiny model."""

    task: Task
    train: Encoded
    validation: Encoded
    model_path: str

    def model(self, seed: int = 0):
        return load_model(self.model_path, task=self.task, seed=seed)[0]


@pytest.fixture(scope="session")
def lab(glue_dir, tiny_model) -> Lab:
    splits = load_splits("sst2", glue_dir=glue_dir)
    _, tokenizer = load_model(tiny_model, task=splits.task)
    encoded = (encode(rows, splits.task.text_fields, tokenizer, 32) for rows in (splits.train, splits.validation))
    return Lab(splits.task, *encoded, tiny_model)
