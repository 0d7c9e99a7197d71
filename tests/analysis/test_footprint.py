"""Bytes and times of sparse weights, and the sparsity at which they break even."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import randprune_lab as rp
from randprune_lab.analysis import footprint
from randprune_lab.analysis.footprint import PACKED, break_even, measure_models, measure_products, measure_storage
from randprune_lab.errors import ConfigError, FileError


@pytest.fixture(scope="module")
def winner(finished) -> tuple[Path, rp.MaskSet]:
    return finished / "model", rp.MaskSet.load(finished / "masks" / "search-level-2.safetensors")


def sizes(folder: Path, mask: rp.MaskSet) -> dict[str, int]:
    return {row["form"]: row["bytes"] for row in measure_storage(folder, mask)}


def test_the_packed_form_has_the_masks_and_four_bytes_for_each_kept_weight(winner, tmp_path):
    folder, mask = winner
    measured = sizes(folder, mask)
    file = folder / "model.safetensors"
    mask.save(tmp_path / "mask.safetensors")
    from safetensors.torch import load_file

    weights = sum(weight.numel() for weight in load_file(file).values())
    masks = (tmp_path / "mask.safetensors").stat().st_size
    assert measured["as saved"] == file.stat().st_size > 4 * weights
    assert measured[PACKED] == masks + 4 * (weights - mask.size + mask.kept)


def test_zeros_make_only_the_compressed_file_smaller(winner, finished, tmp_path):
    folder, mask = winner
    (tmp_path / "model.safetensors").write_bytes((finished / "checkpoints" / "dense.safetensors").read_bytes())
    dense, sparse = sizes(tmp_path, mask), sizes(folder, mask)
    assert sparse["gzip"] < 0.7 * dense["gzip"]
    assert sparse["as saved"] == pytest.approx(dense["as saved"], rel=0.02)


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(FileError, match=r"holds no \.safetensors file"):
        measure_storage(tmp_path, rp.MaskSet({}))


def test_both_forms_multiply_the_same_matrix_with_the_right_number_of_weights(monkeypatch):
    calls = []
    monkeypatch.setattr(footprint, "_seconds", lambda matrix, inputs, repeats: calls.append((matrix, inputs)) or 1.0)
    matrix = torch.randn(20, 30, generator=torch.Generator().manual_seed(0))
    rows = measure_products(matrix, (0.5, 0.9), columns=7)
    assert [row["sparsity"] for row in rows] == [0.5, 0.9]
    for (dense, inputs), (sparse, _), kept in zip(calls[::2], calls[1::2], (300, 60), strict=True):
        assert sparse.layout == torch.sparse_csr and torch.equal(sparse.to_dense(), dense)
        assert inputs.shape == (30, 7)
        assert torch.equal(dense != 0, rp.MaskSampler({"w": matrix}, rp.Magnitude(), 1 - kept / 600).draw(0)["w"])


def test_times_are_positive_seconds():
    rows = measure_products(torch.randn(16, 16, generator=torch.Generator().manual_seed(0)), (0.5,), repeats=2)
    assert set(rows[0]) == {"sparsity", "dense", "csr"} and 0 < rows[0]["dense"] < 60 and 0 < rows[0]["csr"] < 60


@pytest.mark.parametrize("wrong", [{"sparsities": (1.0,)}, {"sparsities": (0.5,), "repeats": 0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError):
        measure_products(torch.ones(4, 4), **wrong)


@pytest.mark.parametrize(
    ("ratios", "even"),
    [
        ({0.5: 3.0, 0.9: 1.5, 0.95: 0.5}, 0.925),  # half-way between the ratios 1.5 and 0.5
        ({0.95: 0.5, 0.5: 3.0, 0.9: 1.5}, 0.925),  # in any order
        ({0.5: 3.0, 0.9: 1.0}, 0.9),
        ({0.5: 0.8, 0.9: 1.2, 0.95: 0.8}, 0.925),  # faster once, then slower again
        ({0.5: 0.9, 0.9: 0.5}, 0.5),
        ({0.5: 3.0, 0.9: 1.1}, None),
    ],
)
def test_above_the_break_even_the_ratio_stays_below_one(ratios, even):
    rows = [{"sparsity": sparsity, "dense": 2.0, "csr": 2.0 * ratio} for sparsity, ratio in ratios.items()]
    assert break_even(rows) == (even if even is None else pytest.approx(even))


def test_a_whole_model_has_sparse_layers_where_they_pay_and_is_left_as_it_is():
    from transformers import BertConfig, BertForSequenceClassification

    model = BertForSequenceClassification(
        BertConfig(vocab_size=50, hidden_size=384, num_hidden_layers=1, num_attention_heads=12, intermediate_size=1536)
    )
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    low, *_, high = measure_models(model, (0.5, 0.9, 0.99), texts=2, tokens=3, repeats=1)
    assert [row["layers"] for row in (low, *_, high)] == [0, 6, 6]
    size = 4 * sum(weight.numel() for weight in model.parameters())
    assert low["dense_memory"] == high["dense_memory"] == low["sparse_memory"] >= size
    assert high["sparse_memory"] < 0.5 * size and high["sparse_file"] < low["sparse_file"] < size
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("wrong", [{"texts": 0}, {"tokens": 0}, {"repeats": 0}, {"sparsities": (1.0,)}], ids=str)
def test_a_measurement_of_a_model_needs_a_batch_and_something_to_prune(wrong):
    with pytest.raises(ConfigError):
        measure_models(
            SimpleNamespace(get_input_embeddings=lambda: torch.nn.Embedding(3, 2)), **({"sparsities": (0.5,)} | wrong)
        )
