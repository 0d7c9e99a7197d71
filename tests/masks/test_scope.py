"""The prunable weights of real architectures and plain modules, and the number of kept weights in each group."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrize, prune

from randprune_lab.errors import ConfigError, MaskError, ScopeError, WeightError
from randprune_lab.interop import mask_from_zeros
from randprune_lab.masks.rules import Uniform
from randprune_lab.masks.sampler import MaskSampler
from randprune_lab.masks.scope import ALLOCATIONS, Allocation, block_matrices, keep_count, keep_counts, prunable
from randprune_lab.masks.structured import block_scores, draw_n_of_m

law = settings(deadline=None, derandomize=True, max_examples=150)

LAYERS = 2
BERT_BLOCK = {
    "attention.self.query.weight",
    "attention.self.key.weight",
    "attention.self.value.weight",
    "attention.output.dense.weight",
    "intermediate.dense.weight",
    "output.dense.weight",
}
BLOCKS: dict[str, tuple[str, set[str]]] = {
    "Bert": ("bert.encoder.layer", BERT_BLOCK),
    "Roberta": ("roberta.encoder.layer", BERT_BLOCK),
    "Electra": ("electra.encoder.layer", BERT_BLOCK),
    "DistilBert": (
        "distilbert.transformer.layer",
        {f"attention.{x}_lin.weight" for x in ("q", "k", "v", "out")} | {"ffn.lin1.weight", "ffn.lin2.weight"},
    ),
    "GPT2": (
        "transformer.h",
        {"attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight"},
    ),
}


def tiny(architecture: str, head: str = "ForSequenceClassification") -> nn.Module:
    import transformers

    sizes: dict[str, Any] = {"vocab_size": 40}
    if architecture == "GPT2":
        sizes |= {"n_embd": 16, "n_layer": LAYERS, "n_head": 2, "n_positions": 12, "bos_token_id": 0, "eos_token_id": 0}
    elif architecture == "DistilBert":
        sizes |= {"dim": 16, "n_layers": LAYERS, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 12}
    else:
        sizes |= {"hidden_size": 16, "num_hidden_layers": LAYERS, "num_attention_heads": 2}
        sizes |= {"intermediate_size": 32, "max_position_embeddings": 12}
        sizes |= {"embedding_size": 8} if architecture == "Electra" else {}
    config = getattr(transformers, f"{architecture}Config")(**sizes)
    return getattr(transformers, f"{architecture}{head}")(config)


@pytest.mark.parametrize("architecture", BLOCKS)
def test_the_default_scope_is_every_matrix_of_the_blocks(architecture: str) -> None:
    model = tiny(architecture)
    prefix, block = BLOCKS[architecture]
    found = prunable(model)
    assert set(found) == {f"{prefix}.{layer}.{name}" for layer in range(LAYERS) for name in block}
    parameters = dict(model.named_parameters())
    assert all(tensor is parameters[name] for name, tensor in found.items())
    assert list(found) == [name for name in parameters if name in found]
    unwanted = re.compile("embed|norm|ln_|bias|pooler|classifier|score|wte|wpe", re.IGNORECASE)
    assert not [name for name in found if unwanted.search(name)]


def test_a_tied_embedding_is_not_in_the_default_scope_and_is_counted_once() -> None:
    model = tiny("GPT2", "LMHeadModel")
    assert model.lm_head.weight is model.transformer.wte.weight
    assert not [name for name in prunable(model) if "wte" in name or "lm_head" in name]
    everything = prunable(model, include=["*"])
    assert len({id(tensor) for tensor in everything.values()}) == len(everything)


class Shared(nn.Module):
    """Two blocks with one matrix in common, and a head tied to an embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(6, 4)
        self.blocks = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))
        self.blocks[1].weight = self.blocks[0].weight
        self.blocks.append(nn.Linear(4, 6, bias=False))
        self.blocks[2].weight = self.embedding.weight


def test_tied_weights_are_counted_once_and_weights_of_an_embedding_are_left_out() -> None:
    assert list(prunable(Shared())) == ["blocks.0.weight"]


def test_a_plain_transformer_encoder_needs_no_patterns() -> None:
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32), LAYERS, enable_nested_tensor=False)
    block = {"self_attn.in_proj_weight", "self_attn.out_proj.weight", "linear1.weight", "linear2.weight"}
    expected = {f"layers.{layer}.{name}" for layer in range(LAYERS) for name in block}
    assert set(prunable(encoder)) == block_matrices(encoder) == expected


def test_a_bare_module_list_is_a_stack_of_blocks() -> None:
    assert set(prunable(nn.ModuleList([nn.Linear(3, 3), nn.Embedding(3, 3)]))) == {"0.weight"}


def test_all_tensors_of_a_dict_are_prunable_in_any_shape() -> None:
    tensors = {"b": torch.ones(3), "a": torch.ones(2, 2, 2), "c": torch.ones(())}
    found = prunable(tensors)
    assert list(found) == ["b", "a", "c"] and all(found[name] is tensors[name] for name in tensors)


def test_patterns_include_and_exclude() -> None:
    model = tiny("Bert")
    queries = {f"bert.encoder.layer.{layer}.attention.self.query.weight" for layer in range(LAYERS)}
    assert set(prunable(model, include=["*.query.weight"])) == queries
    assert set(prunable(model, include=["*.query.weight", "classifier.*"])) == queries | {
        "classifier.weight",
        "classifier.bias",
    }
    assert set(prunable(model, exclude=["*.query.weight"])) == set(prunable(model)) - queries
    assert set(prunable(model, include=["*.layer.0.*"], exclude=["*LayerNorm*", "*.bias"])) == {
        f"bert.encoder.layer.0.{name}" for name in BERT_BLOCK
    }
    assert list(prunable({"x": torch.ones(1), "y": torch.ones(1)}, exclude=["x"])) == ["y"]


def test_patterns_are_case_sensitive() -> None:
    with pytest.raises(ScopeError):
        prunable(tiny("Bert"), include=["*layernorm*"])


@pytest.mark.parametrize("option", ["include", "exclude"])
def test_a_pattern_that_matches_nothing_is_named_with_near_names(option: str) -> None:
    with pytest.raises(ScopeError, match=r"pattern 'clasifier\.weight' matches no parameter.*'classifier\.weight'"):
        prunable(tiny("Bert"), **{option: ["clasifier.weight"]})
    with pytest.raises(ScopeError, match="pattern 'zzz' matches no parameter; names look like 'first'"):
        prunable({"first": torch.ones(1)}, **{option: ["zzz"]})


def test_one_pattern_of_several_that_matches_nothing_is_an_error_too() -> None:
    with pytest.raises(ScopeError, match=r"pattern '\*\.queri\.\*' matches no parameter"):
        prunable(tiny("Bert"), include=["*.query.weight", "*.queri.*"])


@pytest.mark.parametrize("option", ["include", "exclude"])
def test_a_string_in_place_of_a_list_is_caught(option: str) -> None:
    with pytest.raises(ConfigError, match=r"patterns must be a list of strings, got the string 'w'; write \['w'\]"):
        prunable({"w": torch.ones(1)}, **{option: "w"})  # type: ignore[arg-type]


def test_the_error_for_an_empty_scope_has_the_names_of_the_matrices() -> None:
    message = r"nothing to prune in Sequential: no matrix inside repeated blocks.*include=.*'0\.weight'"
    with pytest.raises(ScopeError, match=message):
        prunable(nn.Sequential(nn.Linear(3, 3), nn.ReLU()))
    with pytest.raises(ScopeError, match="nothing to prune"):
        prunable({})
    with pytest.raises(ScopeError, match="nothing to prune"):
        prunable({"w": torch.ones(1)}, exclude=["*"])


class Experts(nn.Module):
    """Two blocks with a matrix, a bias and, as in mixtures of experts, a stack of matrices."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))
        for block in self.blocks:
            block.experts = nn.Parameter(torch.ones(3, 4, 4))


def test_stacked_matrices_that_stay_dense_are_named_with_patterns_that_include_them() -> None:
    with pytest.warns(UserWarning) as caught:
        assert set(prunable(Experts())) == {"blocks.0.weight", "blocks.1.weight"}
    (message,) = (str(warning.message) for warning in caught)
    assert "75 % of the weights in the blocks of Experts stay dense" in message
    assert "'blocks.0.experts', 'blocks.1.experts', the first of shape (3, 4, 4)" in message
    (patterns,) = re.findall(r"include=(\[.*?\])", message)
    every = prunable(Experts(), include=ast.literal_eval(patterns))
    assert set(every) == {f"blocks.{block}.{name}" for block in range(2) for name in ("weight", "experts")}


@pytest.mark.filterwarnings("error")
def test_there_is_no_warning_if_patterns_name_the_stacks() -> None:
    assert set(prunable(Experts(), exclude=["*.experts"])) == {"blocks.0.weight", "blocks.1.weight"}
    assert len(prunable(Experts(), include=["*.experts"])) == 2
    for architecture in BLOCKS:
        prunable(tiny(architecture))


def test_stacked_matrices_are_pruned_as_exactly_as_others() -> None:
    from randprune_lab import MaskSampler, Voting

    model = Experts()
    for block in model.blocks:
        nn.init.normal_(block.experts, generator=torch.Generator().manual_seed(0))
    masks = MaskSampler(model, Voting(), 0.75, include=["*.experts"]).draw(0)
    assert [int(mask.sum()) for mask in masks.values()] == [12, 12]


# --- the number of weights to keep ---

sparsities = st.one_of(st.floats(0, 1, exclude_max=True), st.sampled_from([0.0, 0.5, 0.9375, 1 - 1e-12]))
dimensions = st.sampled_from([1, 2, 3, 5, 16, 64, 768])
matrices = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=4),
    st.lists(dimensions, min_size=1, max_size=3).map(tuple),
    min_size=1,
    max_size=8,
)


def size(shape: tuple[int, ...]) -> int:
    return torch.Size(shape).numel()


@given(n=st.integers(0, 10**9), sparsity=sparsities)
@law
def test_the_number_of_removed_weights_is_that_of_torch(n: int, sparsity: float) -> None:
    assert n - keep_count(n, sparsity) == round(sparsity * n)
    assert 0 <= keep_count(n, sparsity) <= n


@given(shapes=matrices, sparsity=sparsities)
@law
def test_each_allocation_keeps_the_promised_total(shapes: dict[str, tuple[int, ...]], sparsity: float) -> None:
    total = sum(map(size, shapes.values()))
    assert keep_counts(shapes, sparsity, "layerwise") == {n: keep_count(size(s), sparsity) for n, s in shapes.items()}
    assert keep_counts(shapes, sparsity, "global") == {"global": keep_count(total, sparsity)}
    erk = keep_counts(shapes, sparsity, "erk")
    assert list(erk) == list(shapes)
    assert sum(erk.values()) == keep_count(total, sparsity)
    assert all(0 <= erk[name] <= size(shape) for name, shape in shapes.items())


@given(shapes=matrices, sparsity=sparsities)
@law
def test_erk_densities_are_proportional_to_their_factor_up_to_full_tensors_and_rounding(
    shapes: dict[str, tuple[int, ...]], sparsity: float
) -> None:
    """Tensors that are not full have the same scale; at this scale, a full one would keep more than all its weights."""
    kept = keep_counts(shapes, sparsity, "erk")
    factor = {name: sum(shape) for name, shape in shapes.items()}  # density × size
    # Counts are rounded by less than one, so the scale of a tensor is known up to 1 / factor.
    lowest = max((kept[n] - 1) / factor[n] for n in shapes)
    partial = [n for n in shapes if kept[n] < size(shapes[n])]
    highest = min(((kept[n] + 1) / factor[n] for n in partial), default=float("inf"))
    full_lowest = (
        max((size(shapes[n]) - 1) / factor[n] for n in shapes if n not in partial) if len(partial) < len(shapes) else 0
    )
    assert max(lowest, full_lowest) <= highest * (1 + 1e-9)


@given(shapes=matrices, sparsity=sparsities)
@law
def test_erk_keeps_a_larger_fraction_of_tensors_with_a_larger_factor(
    shapes: dict[str, tuple[int, ...]], sparsity: float
) -> None:
    kept = keep_counts(shapes, sparsity, "erk")
    by_factor = sorted(shapes, key=lambda name: sum(shapes[name]) / size(shapes[name]))
    for sparse, dense in pairwise(by_factor):
        rounding = 1 / size(shapes[sparse]) + 1 / size(shapes[dense])
        assert kept[sparse] / size(shapes[sparse]) <= kept[dense] / size(shapes[dense]) + rounding + 1e-9


def test_erk_by_hand() -> None:
    """The factors are 20 / 100 and 110 / 1000. At scale 2, they keep 40 + 220 of 1,100 weights."""
    assert keep_counts({"a": (10, 10), "b": (10, 100)}, 1 - 260 / 1100, "erk") == {"a": 40, "b": 220}
    # At scale 5 the small tensor is full, and the large one keeps the rest.
    assert keep_counts({"a": (10, 10), "b": (10, 100)}, 1 - 800 / 1100, "erk") == {"a": 100, "b": 700}


@pytest.mark.parametrize("allocation", ALLOCATIONS)
@pytest.mark.parametrize(
    "shapes",
    [
        {"scalar": ()},
        {"matrix": (10, 10), "scalar": ()},
        {"matrix": (10, 10), "empty": (0,), "scalar": ()},
        {"empty": (0,)},
        {"empty": (0, 5), "matrix": (3, 4)},
    ],
    ids=str,
)
@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.99])
def test_scalars_and_empty_tensors_are_counted_like_others(
    allocation: Allocation, shapes: dict[str, tuple[int, ...]], sparsity: float
) -> None:
    kept = keep_counts(shapes, sparsity, allocation)
    if allocation != "layerwise":
        assert sum(kept.values()) == keep_count(sum(map(size, shapes.values())), sparsity)
    if allocation != "global":
        assert all(0 <= kept[name] <= size(shape) for name, shape in shapes.items())


@pytest.mark.parametrize("allocation", ALLOCATIONS)
@pytest.mark.parametrize("sparsity", [1.0, 1.2, -0.1, float("nan")])
def test_sparsity_out_of_range(allocation: Allocation, sparsity: float) -> None:
    with pytest.raises(ConfigError) as caught:
        keep_counts({"w": (2, 2)}, sparsity, allocation)
    assert str(caught.value) == f"sparsity must be in [0, 1), got {sparsity}"


def test_an_unknown_allocation() -> None:
    with pytest.raises(
        ConfigError, match="allocation must be one of layerwise, global, erk, or a dict of counts, got 'layer'"
    ):
        keep_counts({"w": (2, 2)}, 0.5, "layer")  # type: ignore[arg-type]


def test_given_counts_are_not_changed() -> None:
    counts = {"a": 30, "b": 70}
    assert keep_counts({"a": (10, 10), "b": (10, 10)}, 0.5, counts) == counts


@pytest.mark.parametrize(
    "counts", [{"a": 100}, {"a": 40, "b": 70}, {"a": -10, "b": 110}, {"a": 40, "b": 60, "c": 0}, {"a": 110, "b": -10}]
)
def test_counts_that_do_not_match_are_refused_with_the_total(counts: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="for each of 'a', 'b', from 0 to the tensor's size and 100 in total, got"):
        keep_counts({"a": (10, 10), "b": (10, 10)}, 0.5, counts)


# --- weights that cannot be read ---

READERS: dict[str, Callable[[Any], object]] = {
    "sampler": lambda target: MaskSampler(target, Uniform(), 0.5),
    "n_of_m": lambda target: draw_n_of_m(target, Uniform(), 2, 4, candidate=0),
    "blocks": lambda target: block_scores(target, (2, 2)),
    "zeros": mask_from_zeros,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"w": torch.ones(4, 4, device="meta")}, "weight 'w' is on the meta device"),
        ({"w": torch.eye(4).to_sparse()}, "weight 'w' is stored as torch.sparse_coo"),
        ({"w": np.ones((4, 4))}, "'w' is a ndarray"),
        ({"model": {"w": torch.ones(4, 4)}}, "'model' is a dict; give that dict itself"),
        ({"w": None}, "'w' is a NoneType"),
        ({3: torch.ones(4, 4)}, "but 3 is a Tensor"),
        ([torch.ones(4, 4)], "got a list"),
        (torch.ones(4, 4), "got a Tensor"),
    ],
)
def test_weights_that_are_no_tensors_or_have_no_values_are_named(reader: str, target: Any, message: str) -> None:
    with pytest.raises(WeightError, match=message):
        READERS[reader](target)


@pytest.mark.parametrize("reader", ["sampler", "n_of_m", "blocks"])
@pytest.mark.parametrize("dtype", [torch.complex128, torch.int64, torch.bool])
def test_weights_that_are_not_floating_point_are_named(reader: str, dtype: torch.dtype) -> None:
    with pytest.raises(WeightError, match=f"weights of 'w' are {dtype}"):
        READERS[reader]({"w": torch.ones(4, 4, dtype=dtype)})


def test_shapes_are_enough_to_list_what_is_prunable() -> None:
    with torch.device("meta"):
        assert set(prunable(tiny("Bert"))) == {
            f"bert.encoder.layer.{i}.{name}" for i in range(LAYERS) for name in BERT_BLOCK
        }


def pruned(model: nn.Module) -> nn.Module:
    prune.l1_unstructured(model.blocks[0], "weight", amount=0.5)
    return model


def parametrized(model: nn.Module) -> nn.Module:
    parametrize.register_parametrization(model.blocks[0], "weight", nn.Tanh())
    return model


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("wrap", [pruned, parametrized])
@pytest.mark.parametrize(
    "given", [lambda model: model, lambda model: model.state_dict(), lambda model: dict(model.named_parameters())]
)
def test_the_hidden_weights_of_pytorchs_tools_are_refused(
    reader: str, wrap: Callable[[nn.Module], nn.Module], given: Callable[[nn.Module], Any]
) -> None:
    """Zeros of the masks are not in them, so pruned weights would come back."""
    model = nn.Module()
    model.blocks = nn.ModuleList([nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)])
    nn.init.zeros_(model.blocks[1].weight[0])
    with pytest.raises(MaskError, match=r"'blocks\.0\..*' is not the weight that its layer uses.*make_permanent"):
        READERS[reader](given(wrap(model)))
    names = prunable(model, exclude=["blocks.0.*"])
    assert [*names] == ["blocks.1.weight"]


def test_names_that_only_look_like_those_of_pytorchs_tools_are_prunable() -> None:
    assert [*prunable({"map_orig": torch.ones(2, 2), "parametrizations": torch.ones(2, 2)})] == [
        "map_orig",
        "parametrizations",
    ]


@pytest.mark.parametrize("patterns", ["*", 5, [5], [None]])
def test_patterns_of_another_kind_are_refused(patterns: Any) -> None:
    for chosen in ({"include": patterns}, {"exclude": patterns}):
        with pytest.raises(ConfigError, match="patterns must be a list of strings, got"):
            prunable({"w": torch.ones(2, 2)}, **chosen)


@pytest.mark.parametrize("number", [torch.tensor, np.int64, np.uint8])
def test_counts_may_be_numbers_of_other_libraries(number: Callable[[int], Any]) -> None:
    counts = keep_counts({"a": (4, 4)}, 0.5, {"a": number(8)})
    assert counts == {"a": 8} and type(counts["a"]) is int
