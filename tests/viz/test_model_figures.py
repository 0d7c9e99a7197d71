"""Figures of a model: every weight is in a bar, and titles agree with the numbers."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification

from randprune_lab.errors import ScopeError
from randprune_lab.masks.scope import prunable
from randprune_lab.viz import figures
from randprune_lab.viz.widgets import choice, explore

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24, "vocab_size": 30}
FAMILIES = {
    "bert": SMALL | {"max_position_embeddings": 16},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 30, "n_positions": 16},
    "mixtral": SMALL | {"num_local_experts": 2, "num_key_value_heads": 2},
}
PATTERNS = {"default": {}, "first": {"include": ["*.0.*weight"]}, "rest": {"exclude": ["*.0.*"]}}


@pytest.fixture(scope="module")
def zoo() -> dict[str, nn.Module]:
    with torch.device("meta"):  # shapes without weights are enough
        return {
            name: AutoModelForSequenceClassification.from_config(AutoConfig.for_model(name, **values))
            for name, values in FAMILIES.items()
        }


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_bars_count_every_weight_and_every_prunable_one(zoo, family, pattern):
    model = zoo[family]
    axis = figures.scope(model, **PATTERNS[pattern]).axes[0]
    every, taken = (sum(bar.get_width() for bar in bars) for bars in axis.containers)
    chosen = prunable(model, **PATTERNS[pattern])
    assert every == sum(weight.numel() for weight in model.parameters())
    assert taken == sum(weight.numel() for weight in chosen.values())
    assert axis.get_title().startswith(f"{len(chosen)} tensors are prunable: {taken:,} of {every:,} weights")


@pytest.mark.parametrize(
    ("family", "parts"),
    [
        ("bert", ["embeddings", "encoder.layer.0", "encoder.layer.1", "pooler", "classifier"]),
        ("gpt2", ["wte", "wpe", "h.0", "h.1", "ln_f", "score"]),
    ],
)
def test_parts_are_beginnings_of_names(zoo, family, parts):
    assert [label.get_text() for label in figures.scope(zoo[family]).axes[0].get_yticklabels()] == parts


def test_a_model_without_prunable_weights_is_an_error_not_an_empty_picture():
    with pytest.raises(ScopeError, match="include"):
        figures.scope(nn.Linear(3, 4))


def test_the_explorer_draws_every_family_with_every_pattern(zoo):
    explorer = explore(
        "What?",
        lambda family, pattern: figures.scope(zoo[family], **PATTERNS[pattern]),
        family=choice("family", list(zoo)),
        pattern=choice("pattern", list(PATTERNS)),
    )
    places = list(itertools.product(range(len(zoo)), range(len(PATTERNS))))
    assert len({explorer.frame(place).src for place in places}) == len(places)


def test_space_is_compared_with_the_smallest_form():
    rows = [{"form": "as saved", "bytes": 12e6}, {"form": "gzip", "bytes": 6e6}, {"form": "packed", "bytes": 4e6}]
    axis = figures.storage(rows).axes[0]
    assert [bar.get_width() for bar in axis.patches] == [12, 6, 4]
    assert axis.get_title() == "Smallest form: packed, 3× smaller than as saved"


@pytest.mark.parametrize(
    ("ratios", "title", "marked"),
    [
        ((3.0, 1.5, 0.5), "On this machine, the sparse product is faster above 92 % sparsity", 92.5),
        ((3.0, 2.0, 1.5), "On this machine, the sparse product is slower at every measured sparsity", None),
        ((0.9, 0.5, 0.2), "On this machine, the sparse product is faster at every measured sparsity", None),
    ],
)
def test_the_title_says_where_the_sparse_product_is_faster(ratios, title, marked):
    rows = [{"sparsity": at, "dense": 2.0, "csr": 2.0 * r} for at, r in zip((0.5, 0.9, 0.95), ratios, strict=True)]
    axis = figures.product_times(rows).axes[0]
    dense, sparse, *lines = axis.lines
    assert axis.get_title() == title
    assert dense.get_ydata() == pytest.approx([2000.0] * 3) and sparse.get_ydata()[0] == pytest.approx(2000 * ratios[0])
    assert [line.get_xdata()[0] for line in lines] == ([] if marked is None else [pytest.approx(marked)])


def test_the_savings_of_a_whole_model_say_from_where_on_layers_are_sparse():
    rows = [
        {"sparsity": at, "layers": layers, "dense": 0.06, "sparse": 0.06 * part, "dense_memory": 9e7}
        | {"sparse_memory": 9e7 * part, "dense_file": 9e7, "sparse_file": 6e7}
        for at, layers, part in ((0.5, 0, 1.0), (0.9, 3, 0.5), (0.99, 3, 0.25))
    ]
    figure = figures.model_savings(rows)
    assert [line.get_xdata()[0] for line in figure.axes[0].lines[2:]] == [0.5]
    assert figure.get_suptitle().replace("\n", " ") == (
        "On this machine, rp.fast takes 0.25 of the dense time at 99 %, and 0.25 of the memory"
    )
