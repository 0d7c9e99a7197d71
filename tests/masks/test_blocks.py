"""Blocks: a block is treated like a weight, so all laws of masks hold for blocks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from randprune_lab.errors import ScopeError
from randprune_lab.masks.rules import Magnitude, Voting
from randprune_lab.masks.sampler import MaskSampler
from randprune_lab.masks.structured import block_scores, spread_blocks


def weight(rows: int, columns: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).standard_normal((rows, columns)).astype(np.float32))


@pytest.mark.parametrize("block", [(1, 1), (4, 4), (1, 8), (6, 1), (12, 16)])
def test_a_spread_mask_keeps_whole_blocks_and_exactly_the_sparsity(block: tuple[int, int]) -> None:
    matrix = weight(12, 16)
    scores = block_scores({"w": matrix}, block)
    drawn = MaskSampler(scores, Voting(1e-2), 0.5).draw(0)
    mask = spread_blocks(drawn, block)["w"]
    assert mask.shape == matrix.shape
    assert int(mask.sum()) == drawn.kept * block[0] * block[1]
    for row in range(0, 12, block[0]):
        for column in range(0, 16, block[1]):
            part = slice(row, row + block[0]), slice(column, column + block[1])
            assert scores["w"][row // block[0], column // block[1]] == pytest.approx(float(matrix[part].abs().mean()))
            assert bool(mask[part].all()) or not bool(mask[part].any())


def test_magnitude_keeps_the_blocks_of_the_largest_mean() -> None:
    matrix = torch.tensor([[3.0, 3, 0, 0, 9, 0], [3, 3, 0, 0, 0, 0]])
    mask = spread_blocks(MaskSampler(block_scores({"w": matrix}, (2, 2)), Magnitude(), 2 / 3).draw(0), (2, 2))
    assert mask["w"].tolist() == [[True, True, False, False, False, False]] * 2


def test_blocks_of_a_model_are_those_of_its_prunable_weights() -> None:
    model = nn.Sequential(nn.ModuleList([nn.Linear(8, 8)]), nn.Linear(8, 8))
    assert [*block_scores(model, (4, 4))] == ["0.0.weight"]
    assert not any(part.requires_grad for part in block_scores(model, (4, 4)).values())


@pytest.mark.parametrize("block", [(5, 4), (4, 5), (0, 4), (4, -1)])
def test_a_block_that_does_not_fit_is_named(block: tuple[int, int]) -> None:
    with pytest.raises(
        ScopeError, match=rf"'w', of shape \(8, 12\), cannot be divided into blocks of {block[0]} x {block[1]}"
    ):
        block_scores({"w": weight(8, 12)}, block)


def test_a_weight_that_is_not_a_matrix_has_no_blocks() -> None:
    with pytest.raises(ScopeError, match="'w', of shape"):
        block_scores({"w": torch.ones(4)}, (1, 1))


def test_a_block_of_a_conv1d_has_outputs_and_inputs_as_that_of_a_linear_layer() -> None:
    from transformers.pytorch_utils import Conv1D

    layer = Conv1D(12, 8)
    layer.weight = nn.Parameter(weight(8, 12))
    model, name, block = nn.Sequential(nn.ModuleList([layer])), "0.0.weight", (1, 4)
    scores, as_linear = block_scores(model, block), block_scores({name: layer.weight.T}, block)
    assert torch.equal(scores[name], as_linear[name].T) and scores[name].shape == (2, 12)
    mask = spread_blocks(MaskSampler(scores, Magnitude(), 0.5).draw(0), block, model)
    groups = mask[name].T.reshape(12, 2, 4).sum(-1)
    assert set(groups.unique().tolist()) == {0, 4}
    mask.apply_(model)
