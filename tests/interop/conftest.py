"""A small classifier, its masks, and rows to train it on."""

from __future__ import annotations

import pytest
import torch

import randprune_lab as rl


@pytest.fixture
def model(tiny_model) -> torch.nn.Module:
    return rl.load_model(tiny_model, task=2)[0]


@pytest.fixture
def mask(model) -> rl.MaskSet:
    return rl.MaskSampler(model, rl.Uniform(), sparsity=0.9, seed=1).draw(candidate=0)


@pytest.fixture
def rows() -> list[dict[str, torch.Tensor]]:
    """Twelve inputs of six tokens each, and labels."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(5, 20, (12, 6), generator=generator)
    return [{"input_ids": row, "labels": torch.tensor(number % 2)} for number, row in enumerate(tokens)]
