"""Blocks: a block is treated like a weight, so all laws of masks hold for blocks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from randprune_lab.errors import ScopeError
from randprune_lab.masks.rules import Magnitude, Voting
from randprune_lab.masks.sampler import MaskSampler


def weight(rows: int, columns: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).standard_normal((rows, columns)).astype(np.float32))


@pytest.mark.parametrize("block", [(1, 1), (4, 4), (1, 8), (6, 1), (12, 16)])
def test_a_spread_mask_keeps_whole_blocks_and_exactly_the_sparsity(block: tuple[int, int]) -> None:
    matrix = weight(12, 16)
    sampler = MaskSampler({"w": matrix}, Voting(1e-2), 0.5, structure=block)
    mask, blocks = sampler.draw(0)["w"], 192 // (block[0] * block[1])
    assert mask.shape == matrix.shape
    assert int(mask.sum()) == sampler.kept == (blocks - round(0.5 * blocks)) * block[0] * block[1]
    for row in range(0, 12, block[0]):
        for column in range(0, 16, block[1]):
            part = slice(row, row + block[0]), slice(column, column + block[1])
            assert bool(mask[part].all()) or not bool(mask[part].any())


def test_magnitude_keeps_the_blocks_of_the_largest_mean() -> None:
    matrix = torch.tensor([[3.0, 3, 0, 0, 9, 0], [3, 3, 0, 0, 0, 0]])
    mask = MaskSampler({"w": matrix}, Magnitude(), 2 / 3, structure=(2, 2)).draw(0)
    assert mask["w"].tolist() == [[True, True, False, False, False, False]] * 2


def test_blocks_of_a_model_are_those_of_its_prunable_weights() -> None:
    model = nn.Sequential(nn.ModuleList([nn.Linear(8, 8)]), nn.Linear(8, 8))
    assert [*MaskSampler(model, Magnitude(), 0.5, structure=(4, 4)).draw(0)] == ["0.0.weight"]


@pytest.mark.parametrize("block", [(5, 4), (4, 5)])
def test_a_block_that_does_not_fit_is_named(block: tuple[int, int]) -> None:
    with pytest.raises(
        ScopeError, match=rf"'w', of shape \(8, 12\), cannot be divided into blocks of {block[0]} x {block[1]}"
    ):
        MaskSampler({"w": weight(8, 12)}, Magnitude(), 0.5, structure=block)


def test_a_weight_that_is_not_a_matrix_has_no_blocks() -> None:
    with pytest.raises(ScopeError, match="'w', of shape"):
        MaskSampler({"w": torch.ones(4)}, Magnitude(), 0.5, structure=(1, 1))


def test_a_block_of_a_conv1d_has_outputs_and_inputs_as_that_of_a_linear_layer() -> None:
    from transformers.pytorch_utils import Conv1D

    layer = Conv1D(12, 8)
    layer.weight = nn.Parameter(weight(8, 12))
    model, name, block = nn.Sequential(nn.ModuleList([layer])), "0.0.weight", (1, 4)
    mask, as_linear = (
        MaskSampler(target, Magnitude(), 0.5, structure=block).draw(0) for target in (model, {name: layer.weight.T})
    )
    assert torch.equal(mask[name], as_linear[name].T)
    groups = mask[name].T.reshape(12, 2, 4).sum(-1)
    assert set(groups.unique().tolist()) == {0, 4}
    mask.apply_(model)
