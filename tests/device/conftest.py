"""Placing models on the simulated device, and the tiny model and task that are trained there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from randprune_lab.models.load import load_model
from randprune_lab.tasks import Task, load_splits
from randprune_lab.training.data import Encoded, encode


@pytest.fixture(autouse=True)
def attention_in_parts() -> Iterator[None]:
    """The same attention on both devices, so that trained weights have the same bits: PyTorch fuses it on the CPU."""
    with sdpa_kernel(SDPBackend.MATH):
        yield


@dataclass(frozen=True)
class Lab:
    """The tiny task, encoded for the tiny model."""

    task: Task
    train: Encoded
    validation: Encoded
    path: str

    def model(self, device: torch.device, seed: int = 0) -> nn.Module:
        return load_model(self.path, task=self.task, seed=seed)[0].to(device)


@pytest.fixture(scope="session")
def tiny_lab(glue_dir, tiny_model) -> Lab:
    splits = load_splits("sst2", glue_dir=glue_dir)
    tokenizer = load_model(tiny_model, task=splits.task)[1]
    encoded = (encode(rows, splits.task.text_fields, tokenizer, 32) for rows in (splits.train, splits.validation))
    return Lab(splits.task, *encoded, tiny_model)
