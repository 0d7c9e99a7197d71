"""A small classifier, its masks, and rows to train it on."""

from __future__ import annotations

import pytest
import torch

import randprune_lab as rp


@pytest.fixture
def model(tiny_model) -> torch.nn.Module:
    return rp.load_model(tiny_model, num_labels=2)[0]


@pytest.fixture
def mask(model) -> rp.MaskSet:
    return rp.MaskSampler(model, rp.Uniform(), sparsity=0.9, seed=1).draw(candidate=0)


@pytest.fixture
def rows() -> list[dict[str, torch.Tensor]]:
    """Twelve inputs of six tokens each, and labels."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(5, 20, (12, 6), generator=generator)
    return [{"input_ids": row, "labels": torch.tensor(number % 2)} for number, row in enumerate(tokens)]
