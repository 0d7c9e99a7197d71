"""The prunable weights of real architectures and plain modules, and the number of kept weights in each group."""

from __future__ import annotations

import re
from collections.abc import Callable
from inspect import isfunction, signature
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrize, prune, remove_spectral_norm, remove_weight_norm, spectral_norm, weight_norm

import randprune_lab
from randprune_lab.errors import ConfigError, MaskError, ScopeError, WeightError
from randprune_lab.interop import make_permanent, mask_from_zeros, to_parametrize
from randprune_lab.masks.allocations import keep_counts
from randprune_lab.masks.choice import scope
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.rules import Uniform
from randprune_lab.masks.sampler import MaskSampler
from randprune_lab.masks.scope import prunable
from randprune_lab.masks.sparsity import keep_count
from randprune_lab.viz import figures

law = settings(max_examples=150)

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
    assert set(prunable(encoder)) == expected


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
    message = r"nothing to prune in Sequential: no layer of the chosen kinds.*include=.*types=.*'0\.weight'"
    with pytest.raises(ScopeError, match=message):
        prunable(nn.Sequential(nn.Linear(3, 3), nn.ReLU()))
    with pytest.raises(ScopeError, match="nothing to prune"):
        prunable({})
    with pytest.raises(ScopeError, match="nothing to prune"):
        prunable({"w": torch.ones(1)}, exclude=["*"])


# --- kinds of layers ---


class Experts(nn.Module):
    """Two blocks with a matrix, a bias and, as in mixtures of experts, a stack of matrices."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))
        for block in self.blocks:
            block.experts = nn.Parameter(torch.ones(3, 4, 4))


class Parts(nn.Module):
    """A block with one module for each name."""

    def __init__(self, **parts: nn.Module | nn.Parameter) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Module()])
        for name, part in parts.items():
            setattr(self.blocks[0], name, part)


def holder(name: str, **parameters: tuple[int, ...]) -> nn.Module:
    """A module of a class of this name with parameters of these shapes."""
    module = type(name, (nn.Module,), {})()
    for own, shape in parameters.items():
        setattr(module, own, nn.Parameter(torch.ones(shape)))
    return module


LINEAR = {"l": nn.Linear(3, 4)}
KINDS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "linear": (LINEAR, {"l.weight"}),
    "a linear layer of another library": ({"l": holder("QuantLinear", weight=(4, 3), scale=(4, 1))}, {"l.weight"}),
    "attention": (
        {"a": nn.MultiheadAttention(4, 2, kdim=3, vdim=5, add_bias_kv=True)},
        {f"a.{name}" for name in ("q_proj_weight", "k_proj_weight", "v_proj_weight", "out_proj.weight")},
    ),
    "recurrent": (
        {"r": nn.LSTM(3, 4, proj_size=2), "c": nn.GRUCell(3, 4)},
        {"r.weight_ih_l0", "r.weight_hh_l0", "r.weight_hr_l0", "c.weight_ih", "c.weight_hh"},
    ),
    "stacked experts": (
        {"e": holder("MyExperts", gate_up_proj=(3, 4, 8), down_proj=(3, 8, 4), gate_up_proj_bias=(3, 8), b=(3, 1, 4))},
        {"e.gate_up_proj", "e.down_proj"},
    ),
    "a router by its class": (LINEAR | {"gate": holder("MyTopKRouter", weight=(3, 4))}, {"l.weight"}),
    "a router that is a linear layer beside its experts": (
        {"gate": nn.Linear(4, 3), "shared_gate": nn.Linear(4, 1), "experts": nn.ModuleList([nn.Linear(4, 4)] * 3)},
        {"experts.0.weight"},
    ),
    "a router beside stacked experts": (
        {"gate": nn.Linear(4, 3), "project": nn.Linear(4, 4), "experts": holder("E", w1=(3, 4, 8))},
        {"project.weight", "experts.w1"},
    ),
    "parts of a router": (LINEAR | {"router": nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3))}, {"l.weight"}),
    "tables, gates and scales of a class of its own": (
        LINEAR
        | {
            "a": holder(
                "Attention", relative_position_bias_table=(9, 2), rel_pos_h=(9, 4), A_log=(8, 4), pos_bias_u=(2, 4)
            ),
            "table": nn.EmbeddingBag(3, 4),
            "gate": holder("MyForgetGate", weight=(4, 4)),
        },
        {"l.weight"},
    ),
    "convolutions": (LINEAR | {"c": nn.Conv1d(3, 4, 2), "t": nn.ConvTranspose2d(3, 4, 2)}, {"l.weight"}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_default_goes_by_the_kind_of_layer(kind: str) -> None:
    parts, expected = KINDS[kind]
    assert set(prunable(Parts(**parts))) == {f"blocks.0.{name}" for name in expected}


def test_without_blocks_it_is_the_whole_model_but_its_last_layer() -> None:
    network = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    assert [*prunable(network)] == ["0.weight", "2.weight"]
    language = nn.ModuleDict({"table": nn.Embedding(9, 4), "rnn": nn.LSTM(4, 4), "head": nn.Linear(4, 9)})
    assert [*prunable(language)] == ["rnn.weight_ih_l0", "rnn.weight_hh_l0"]
    language["head"].weight = language["table"].weight  # the last layer all the same
    assert [*prunable(language)] == ["rnn.weight_ih_l0", "rnn.weight_hh_l0"]
    assert [*prunable(nn.GRU(4, 4))] == ["weight_ih_l0", "weight_hh_l0"]
    images = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Linear(4, 8), nn.Linear(8, 2))
    assert [*prunable(images)] == ["2.weight"]
    assert [*prunable(images, types=[nn.Conv2d])] == ["0.weight", "1.weight"]
    assert [*prunable(images, types=["convolution"])] == ["0.weight", "1.weight"]
    for types in ([nn.Conv2d, nn.Linear], ["convolution", nn.Linear], ["linear", "convolution"]):
        assert [*prunable(images, types=types)] == ["0.weight", "1.weight", "2.weight"]
    assert [*prunable(nn.ModuleDict({"blocks": nn.ModuleList([nn.Conv2d(3, 3, 3)]), "net": network}))] == [
        "net.0.weight",
        "net.2.weight",
    ]


def test_types_and_patterns_choose_together() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 8), nn.Linear(8, 2))
    assert [*prunable(model, include=["*"], types=[nn.Linear])] == ["2.weight", "3.weight"]
    assert [*prunable(model, exclude=["2.*"], types=(nn.Linear, nn.Conv2d))] == ["0.weight"]
    sampler = MaskSampler(model, Uniform(), 0.5, types=[nn.Conv2d])
    recipe = sampler.recipe(3)
    assert MaskSampler.from_recipe(model, recipe).draw(3) == sampler.draw(3)


@pytest.mark.parametrize("place", [randprune_lab, figures])
def test_every_function_that_chooses_weights_by_name_also_chooses_them_by_type(place: Any) -> None:
    functions = filter(isfunction, (getattr(place, name) for name in place.__all__))
    choosing = [each for each in functions if "include" in signature(each).parameters]
    assert choosing and all({"exclude", "types"} <= signature(each).parameters.keys() for each in choosing)


def test_a_name_that_could_be_a_pattern_is_a_name_in_a_recipe() -> None:
    model = nn.ModuleDict({"a[1]": nn.Linear(4, 8), "b": nn.Linear(4, 8)})
    sampler = MaskSampler(model, Uniform(), 0.5, types=["linear"])
    assert MaskSampler.from_recipe(model, sampler.recipe(3)).draw(3) == sampler.draw(3)


@pytest.mark.parametrize("types", [nn.Linear, ["Linear"], ["table"], "linear", [], 5])
def test_types_of_another_kind_are_refused(types: Any) -> None:
    with pytest.raises(ConfigError, match=r"types must be a list of classes of layers, or of .*\[torch\.nn\.Linear\]"):
        prunable(nn.Sequential(nn.Linear(3, 3)), types=types)
    with pytest.raises(ConfigError, match="types chooses layers of a model"):
        prunable({"w": torch.ones(2, 2)}, types=[nn.Linear])


def test_a_weight_goes_by_one_of_its_names() -> None:
    model = tiny("GPT2", "LMHeadModel")
    message = r"'lm_head\.\*' matches only 'lm_head\.weight', which is the same weight as 'transformer\.wte\.weight'"
    with pytest.raises(ScopeError, match=message):
        prunable(model, include=["lm_head.*"])
    assert prunable(model, exclude=["lm_head.*"]).keys() == prunable(model).keys()
    reverse = nn.ModuleList([nn.Linear(3, 5, bias=False), nn.Embedding(5, 3), nn.Linear(3, 3)])
    reverse[1].weight = reverse[0].weight
    assert [*prunable(reverse)] == ["2.weight"]  # a table, wherever else it is used


def test_much_that_stays_dense_in_the_blocks_is_named() -> None:
    model = Parts(**LINEAR, c=nn.Conv1d(3, 4, 2))
    with pytest.warns(
        UserWarning, match=r"55 % of the weights in the blocks of Parts stay dense.*blocks\.0\.c\.weight"
    ):
        prunable(model)


class Tagger(nn.Module):
    """A recurrent network with a list of heads, which is the only list of layers."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.lstm, self.mix = nn.LSTM(4, hidden), nn.Linear(hidden, hidden)
        self.heads = nn.ModuleList([nn.Linear(hidden, 5), nn.Linear(hidden, 3)])


def test_most_of_the_layers_outside_of_lists_are_named() -> None:
    with pytest.warns(
        UserWarning, match=r"only the layers in lists .* of Tagger are pruned, with 64 weights; 448 w.*lstm"
    ):
        prunable(Tagger(8))
    assert len(prunable(Tagger(8), include=["lstm.weight_*", "mix.*"])) == 4


def test_a_tied_weight_of_a_state_dict_is_pruned_once() -> None:
    """Under both names, each with a mask of its own, it would keep what both keep."""
    weight, other = torch.ones(4, 4), torch.ones(4, 4)
    weights = {"first": weight, "second": weight, "rows": weight[:2], "other": other, "meta": other.to("meta")}
    assert [*prunable(weights)] == ["first", "rows", "other", "meta"]
    assert [*prunable(weights, include=["second"])] == ["second"]


@pytest.mark.filterwarnings("error")
class Autoencoder(nn.Module):
    """Two parameters that are views of one tensor."""

    def __init__(self, *views: torch.Tensor) -> None:
        super().__init__()
        self.encode, self.decode, self.head = (nn.Linear(8, 8) for _ in range(3))
        self.encode.weight, self.decode.weight = map(nn.Parameter, views)


@pytest.mark.parametrize("shared", [lambda w: (w[:8], w[:8].T), lambda w: (w[:8], w[4:12]), lambda w: (w[:8], w[:8])])
def test_two_parameters_in_the_same_memory_are_refused(shared: Callable) -> None:
    """Each mask would remove weights that the other keeps, so that more than asked would be removed."""
    model = Autoencoder(*shared(torch.randn(16, 8)))
    with pytest.raises(WeightError, match=r"'(en|de)code\.weight' and '(en|de)code\.weight' share memory"):
        MaskSampler(model, Uniform(), 0.5)
    mask = MaskSampler(model, Uniform(), 0.5, exclude=["decode.*"]).draw(0)
    mask.apply_(model)
    assert mask_from_zeros(model, exclude=["decode.*"]) == mask


@pytest.mark.parametrize(
    "apart", [lambda w: (w[:8], w[8:]), lambda w: (w[:, :8], w[:, 8:]), lambda w: (w[::2], w[1::2])]
)
def test_parameters_beside_each_other_in_memory_are_pruned_each(apart: Callable) -> None:
    """As in one buffer for all gradients, or one matrix for queries and keys."""
    model = Autoencoder(*apart(torch.randn(16, 16)))
    mask = MaskSampler(model, Uniform(), 0.5).draw(0)
    mask.apply_(model)
    assert mask_from_zeros(model) == mask and mask.sparsity == 0.5


def test_there_is_no_warning_if_the_user_says_so_or_if_it_is_little() -> None:
    model = Parts(**LINEAR, c=nn.Conv1d(3, 4, 2))
    prunable(model, exclude=["*.c.weight"])
    prunable(model, types=[nn.Linear])
    prunable(model, include=["*.l.weight"])
    prunable(Parts(l=nn.Linear(30, 4), c=nn.Conv1d(3, 3, 1)))
    for architecture in BLOCKS:
        prunable(tiny(architecture))


def test_biases_and_norms_among_the_chosen_weights_are_named() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    for target in (model, {name: weight.data for name, weight in model.named_parameters()}):
        with pytest.warns(UserWarning, match=r"1 of the 2 chosen weights are biases or belong to norms: '1\.weight'"):
            prunable(target, include=["*.weight"])


def test_stacked_matrices_are_pruned_as_exactly_as_others() -> None:
    from randprune_lab import MaskSampler, Voting

    model = Experts()
    for block in model.blocks:
        nn.init.normal_(block.experts, generator=torch.Generator().manual_seed(0))
    masks = MaskSampler(model, Voting(), 0.75, exclude=["*.weight"]).draw(0)
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


def erk_factor(shape: tuple[int, ...]) -> int:
    """Density × size; three dimensions are a stack of matrices."""
    return shape[0] * sum(shape[1:]) if len(shape) == 3 else sum(shape)


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
    factor = {name: erk_factor(shape) for name, shape in shapes.items()}
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
    by_factor = sorted(shapes, key=lambda name: erk_factor(shapes[name]) / size(shapes[name]))
    for sparse, dense in pairwise(by_factor):
        rounding = 1 / size(shapes[sparse]) + 1 / size(shapes[dense])
        assert kept[sparse] / size(shapes[sparse]) <= kept[dense] / size(shapes[dense]) + rounding + 1e-9


def test_erk_by_hand() -> None:
    """The factors are 20 / 100 and 110 / 1000. At scale 2, they keep 40 + 220 of 1,100 weights."""
    assert keep_counts({"a": (10, 10), "b": (10, 100)}, 1 - 260 / 1100, "erk") == {"a": 40, "b": 220}
    # At scale 5 the small tensor is full, and the large one keeps the rest.
    assert keep_counts({"a": (10, 10), "b": (10, 100)}, 1 - 800 / 1100, "erk") == {"a": 100, "b": 700}


def test_erk_takes_a_stack_for_its_matrices_and_a_convolution_for_one_tensor() -> None:
    flat = {"q": (16, 16)} | {f"e{i}": (12, 6) for i in range(8)}
    stacked = {"q": (16, 16), "e": (8, 12, 6)}
    kept, expected = keep_counts(stacked, 0.8, "erk"), keep_counts(flat, 0.8, "erk")
    assert abs(kept["q"] - expected["q"]) <= 1 and kept["e"] == sum(expected.values()) - kept["q"]
    model = nn.Sequential(nn.Linear(16, 16), nn.Conv1d(12, 8, 6), nn.Linear(16, 2))
    sampler = MaskSampler(model, Uniform(), 0.8, allocation="erk", types=[nn.Linear, nn.Conv1d])
    linear, convolution = (int(mask.sum()) for mask in sampler.draw(0).values())
    assert linear / convolution == pytest.approx(sum((16, 16)) / sum((8, 12, 6)), rel=0.02)


@pytest.mark.parametrize("allocation", ["layerwise", "global", "erk", "row", "around"])
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
    allocation: str, shapes: dict[str, tuple[int, ...]], sparsity: float
) -> None:
    kept = keep_counts(shapes, sparsity, allocation)
    if allocation not in ("layerwise", "row"):
        assert sum(kept.values()) == keep_count(sum(map(size, shapes.values())), sparsity)
    if allocation != "global":
        assert all(0 <= kept[name] <= size(shape) for name, shape in shapes.items())


@pytest.mark.parametrize("allocation", ["layerwise", "global", "erk", "row", "around"])
@pytest.mark.parametrize("sparsity", [1.0, 1.2, -0.1, float("nan")])
def test_sparsity_out_of_range(allocation: str, sparsity: float) -> None:
    with pytest.raises(ConfigError) as caught:
        keep_counts({"w": (2, 2)}, sparsity, allocation)
    assert str(caught.value) == f"sparsity must be in [0, 1), got {sparsity}"


def test_an_unknown_allocation() -> None:
    with pytest.raises(ConfigError, match="unknown allocation 'layer'; did you mean 'layerwise'"):
        keep_counts({"w": (2, 2)}, 0.5, "layer")
    with pytest.raises(ConfigError, match=r"allocation must be one of .*layerwise.*, or an Allocation, got 3"):
        keep_counts({"w": (2, 2)}, 0.5, 3)  # type: ignore[arg-type]


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
    "n_of_m": lambda target: MaskSampler(target, Uniform(), None, structure="2:4"),
    "blocks": lambda target: MaskSampler(target, Uniform(), 0.5, structure=(2, 2)),
    "zeros": mask_from_zeros,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"w": torch.ones(4, 4, device="meta")}, "weight 'w' is on the meta device"),
        ({"w": torch.eye(4).to_sparse()}, "weight 'w' is stored as torch.sparse_coo"),
        ({"w": torch.nested.nested_tensor([torch.ones(4), torch.ones(4)])}, "weight 'w' is a nested tensor"),
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


@pytest.mark.parametrize("reader", [*READERS, "scope", "apply"])
def test_a_lazy_layer_is_named_before_its_first_batch(reader: str) -> None:
    """Only the other layers would be pruned."""
    read = READERS | {"scope": scope, "apply": MaskSet({"1.weight": torch.eye(8) > 0}).apply_}
    model = nn.Sequential(nn.Linear(8, 8), nn.LazyLinear(8), nn.Linear(8, 2))
    with pytest.raises((WeightError, MaskError), match=r"'1\.weight' of Sequential belongs to a lazy layer .* a batch"):
        read[reader](model)
    model(torch.ones(1, 8))
    assert [*prunable(model)] == ["0.weight", "1.weight"] and scope(model).prunable == 128


def test_shapes_are_enough_to_list_what_is_prunable() -> None:
    with torch.device("meta"):
        assert set(prunable(tiny("Bert"))) == {
            f"bert.encoder.layer.{i}.{name}" for i in range(LAYERS) for name in BERT_BLOCK
        }


def pruned(model: nn.Module) -> nn.Module:
    prune.l1_unstructured(model.blocks[0], "weight", amount=0.5)
    return model


def masked(model: nn.Module) -> nn.Module:
    to_parametrize(model, {"blocks.0.weight": torch.eye(4) > 0})
    return model


def parametrized(model: nn.Module) -> nn.Module:
    parametrize.register_parametrization(model.blocks[0], "weight", nn.Tanh())
    return model


def normed(model: nn.Module) -> nn.Module:
    spectral_norm(model.blocks[0])
    return model


def weight_normed(model: nn.Module) -> nn.Module:
    weight_norm(model.blocks[0])
    return model


def two_blocks() -> nn.Module:
    model = nn.Module()
    model.blocks = nn.ModuleList([nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)])
    nn.init.zeros_(model.blocks[1].weight[0])
    return model


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("wrap", [pruned, masked, parametrized, normed])
@pytest.mark.parametrize(
    "given", [lambda model: model, lambda model: model.state_dict(), lambda model: dict(model.named_parameters())]
)
def test_the_hidden_weights_of_pytorchs_tools_are_refused(
    reader: str, wrap: Callable[[nn.Module], nn.Module], given: Callable[[nn.Module], Any]
) -> None:
    """Zeros of the masks are not in them, so pruned weights would come back."""
    model = wrap(two_blocks())
    with pytest.raises(MaskError, match=r"'blocks\.0\..*' is not the weight that its layer uses"):
        READERS[reader](given(model))
    names = prunable(model, exclude=["blocks.0.*"])
    assert [*names] == ["blocks.1.weight"]


@pytest.mark.parametrize("given", [lambda model: model, lambda model: model.state_dict()])
@pytest.mark.parametrize(
    ("wrap", "tool", "undo"),
    [
        (pruned, "torch.nn.utils.prune", make_permanent),
        (masked, "to_parametrize", make_permanent),
        (parametrized, "torch.nn.utils.parametrize", parametrize.remove_parametrizations),
        (normed, "torch.nn.utils.spectral_norm", remove_spectral_norm),
    ],
)
def test_the_advice_for_a_hidden_weight_works(
    wrap: Callable[[nn.Module], nn.Module], tool: str, undo: Callable, given: Callable[[nn.Module], Any]
) -> None:
    model = wrap(two_blocks())
    with pytest.raises(MaskError, match=re.escape(f"uses: {tool} computes that from it; ")) as caught:
        prunable(given(model))
    shown, values = ("model", [model]) if undo is make_permanent else ("layer, 'weight'", [model.blocks[0], "weight"])
    assert f"{undo.__name__}({shown})" in str(caught.value)
    undo(*values)
    assert [*prunable(model)] == ["blocks.0.weight", "blocks.1.weight"]


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
@pytest.mark.parametrize(
    ("layer", "weight"),
    [(nn.Linear(4, 4), "weight"), (nn.LSTM(4, 4), "weight_hh_l0"), (nn.Conv1d(4, 4, 1), "weight")],
    ids=["linear", "lstm", "convolution"],
)
def test_both_parts_of_a_normed_weight_are_refused(layer: nn.Module, weight: str) -> None:
    """A mask of the gains removes whole outputs, and that of the directions ranks them by something else."""
    model = nn.Sequential(nn.Linear(4, 4), weight_norm(layer, weight), nn.Linear(4, 2))
    for part in "gv":
        advice = rf"'1\.{weight}_{part}' is not .* with remove_weight_norm\(layer, '{weight}'\)"
        with pytest.raises(MaskError, match=advice):
            prunable(model, exclude=[f"1.{weight}_{'v' if part == 'g' else 'g'}"], types=[nn.Linear, type(layer)])
    chosen = prunable(model, exclude=["1.*_[gv]"], types=[nn.Linear, type(layer)])
    assert "0.weight" in chosen and not [name for name in chosen if name.startswith(f"1.{weight}")]
    remove_weight_norm(layer, weight)
    assert f"1.{weight}" in prunable(model, types=[nn.Linear, type(layer)])


def test_what_parametrizes_a_weight_is_no_stack_of_blocks() -> None:
    """Else all layers but the parametrized one would be outside of the blocks."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2))
    parametrize.register_parametrization(model[1], "weight", nn.Tanh())
    assert [*prunable(model, exclude=["1.*"])] == ["0.weight", "2.weight"]


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
