"""Structures: whole units, exact counts, laws of draws and distances, and one clear error for each fault."""

from __future__ import annotations

import json
from functools import cache
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from support.small_transformers import ARCHITECTURES, SIZES, transformer
from torch import Tensor, nn

from randprune_lab.errors import ConfigError, ScopeError, WeightError
from randprune_lab.masks import group_law
from randprune_lab.masks.gradual import GradualMasks
from randprune_lab.masks.group_law import inclusion, one_round
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.recipe import Recipe
from randprune_lab.masks.rules import GumbelTopK, Magnitude, Rule, Uniform, Votes, Voting
from randprune_lab.masks.sampler import MaskSampler
from randprune_lab.masks.structures import find_structure
from randprune_lab.search.proposals import LearnedAllocation, Proposal, redraw

STRUCTURES: tuple[Any, ...] = ("2:4", "1:4", (4, 2), "heads", "neurons")
RULES = [Magnitude(), Uniform(), GumbelTopK(0.5), Voting(), Voting(sampling_ratio=0.5, power=2)]


@cache
def model(name: str = "bert") -> nn.Module:
    return transformer(name)


def sampler(structure: Any, rule: Rule, target: Any = None, sparsity: Any = 0.5, **settings: Any) -> MaskSampler:
    implied = isinstance(structure, str) and ":" in structure
    target = model() if target is None else target
    return MaskSampler(target, rule, None if implied else sparsity, structure=structure, **settings)


def units(mask: MaskSet, name: str) -> dict[str, Tensor]:
    """Which heads of a mask are kept, by layer, read off by hand; an error if a head is kept in part."""
    found = {}
    for key, part in mask.items():
        flat = part.T if name == "gpt2" else part  # outputs x inputs
        if any(word in key for word in ("o_proj", "output.dense", "c_proj", ".o.")):
            lanes = [flat.T]
        else:
            lanes = list(flat.chunk(3)) if "c_attn" in key else [flat]
        for lane in lanes:
            heads = lane.reshape(2 if name == "llama" else 4, -1)
            assert bool((heads.all(dim=1) == heads.any(dim=1)).all()), key
            layer = key.rpartition(".")[0].rpartition(".")[0].removesuffix(".self").removesuffix(".output")
            assert torch.equal(found.setdefault(layer, heads.all(dim=1)), heads.all(dim=1)), key
    return found


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("name", ["bert", "gpt2", "llama", "t5"])
def test_every_attention_keeps_whole_heads_and_exactly_their_number(name: str, rule: Rule) -> None:
    """In Llama two queries share a key and a value, so there are two units."""
    drawn = sampler("heads", rule, model(name))
    for candidate in range(3):
        mask = drawn.draw(candidate)
        found = units(mask, name)
        assert len(found) == (6 if name == "t5" else 2)
        assert {int(kept.sum()) for kept in found.values()} == {1 if name == "llama" else 2}
        assert mask.kept == drawn.kept and mask.size == drawn.size


def test_a_fused_linear_layer_has_the_query_key_and_value_of_a_head_side_by_side() -> None:
    """GPT-BigCode names this layer as GPT-2 does its Conv1D, which has all queries first."""
    from transformers import GPTBigCodeConfig, GPTBigCodeModel

    sizes = {"n_embd": 16, "n_head": 4, "n_layer": 1, "vocab_size": 8, "n_positions": 8}
    tokens = {"bos_token_id": 1, "eos_token_id": 1}
    big_code = GPTBigCodeModel(GPTBigCodeConfig(**sizes, **tokens, multi_query=False))
    mask = sampler("heads", Uniform(), big_code).draw(0)
    before, after = mask["h.0.attn.c_attn.weight"].view(4, 12, 16), mask["h.0.attn.c_proj.weight"].T.view(4, 4, 16)
    assert torch.equal(before.all(dim=(1, 2)), before.any(dim=(1, 2)))
    assert torch.equal(before.all(dim=(1, 2)), after.all(dim=(1, 2))) and int(before.sum()) == 2 * 12 * 16


def test_heads_of_phi_3_are_whole_in_the_matrix_of_queries_keys_and_values() -> None:
    from transformers import Phi3Config, Phi3Model

    phi = Phi3Model(Phi3Config(**SIZES, num_key_value_heads=4, pad_token_id=0))
    mask = sampler("heads", Voting(), phi).draw(0)
    every, after = (
        mask["layers.0.self_attn.qkv_proj.weight"].view(3, 4, 4 * 16),
        mask["layers.0.self_attn.o_proj.weight"],
    )
    assert torch.equal(every.all(dim=2), every.any(dim=2)) and bool((every == every[0]).all())
    assert torch.equal(every[0].all(dim=1), after.T.reshape(4, -1).all(dim=1)) and int(every.sum()) == 3 * 2 * 64


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("sparsity", [0.25, 0.9])
def test_every_feed_forward_block_keeps_whole_neurons_and_exactly_their_number(name: str, sparsity: float) -> None:
    drawn = sampler("neurons", Voting(), model(name), sparsity)
    mask = drawn.draw(0)
    assert mask.kept == drawn.kept
    for key, part in mask.items():
        assert {len({*map(bool, line)}) for line in (part if part[0].all() or not part[0].any() else part.T)} == {1}
        lines = part.all(dim=1) if bool((part.all(dim=1) == part.any(dim=1)).all()) else part.all(dim=0)
        assert int(lines.sum()) == (12 - round(12 * sparsity)) * (len(lines) // 12), key


def test_the_units_with_the_largest_mean_magnitude_are_kept() -> None:
    weights = dict(model().named_parameters())
    mask = sampler("heads", Magnitude()).draw(0)
    for layer in ("0", "1"):
        at = f"bert.encoder.layer.{layer}.attention."
        means = np.zeros(4)
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            weight = weights[f"{at}{part}.weight"].detach().abs()
            means += (weight.T if "output" in part else weight).reshape(4, -1).sum(dim=1).numpy()
        kept = units(mask, "bert")[at.removesuffix(".")]
        assert {*kept.nonzero().flatten().tolist()} == {*means.argsort()[2:].tolist()}


@pytest.mark.parametrize("structure", STRUCTURES, ids=str)
def test_without_randomness_a_mask_is_the_deterministic_one(structure: Any) -> None:
    largest = sampler(structure, Magnitude()).draw(0)
    for rule in (GumbelTopK(1e-6), Voting(power=1e5)):
        assert sampler(structure, rule).draw(7).sha256 == largest.sha256
    assert sampler(structure, Magnitude()).expected_hamming().overall == 0


@pytest.mark.parametrize("rule", [Uniform(), GumbelTopK(0.2), Voting(sampling_ratio=0.3, power=1)], ids=str)
@pytest.mark.parametrize("structure", ["2:4", (4, 2), "heads", "neurons"], ids=str)
def test_expected_distances_are_the_means_over_many_draws(structure: Any, rule: Rule) -> None:
    """False alarm below 1e-5: five standard errors of the distances, and what 256 draws leave open."""
    one_layer = {"include": ["*layer.0.*"], "exclude": ["*bias", "*Norm*"]}
    drawn, largest = (sampler(structure, each, **one_layer) for each in (rule, Magnitude()))
    masks, largest = [*drawn.draw_many(80)], largest.draw(0)
    pairs = np.array([one.hamming(other) for one, other in zip(masks[::2], masks[1::2], strict=True)])
    far = np.array([mask.hamming(largest) for mask in masks])
    for found, expected in (
        (pairs, drawn.expected_hamming()),
        (far, drawn.expected_distance_to_magnitude()),
    ):
        error = 5 * found.std(ddof=1) / np.sqrt(len(found))
        assert abs(found.mean() - expected.overall) < error + 0.02 * expected.overall
        assert {*expected.per_tensor} == {*masks[0]}
        assert sum(expected.per_tensor.values()) == pytest.approx(expected.overall)


@pytest.mark.parametrize("k", [0, 1, 2, 3, 4])
def test_the_law_of_a_small_group_is_that_of_all_orders(k: int) -> None:
    scores = np.array([[0.5, 0.0, 2.0, 1.0, 0.7], [3.0, 1.0, 1.0, 1e-70, 2.0]])
    expected = np.zeros((2, 5))
    for row, rates in enumerate(scores**2):
        for order in permutations(np.flatnonzero(rates), min(k, 4)):
            left, probability = rates.sum(), 1.0
            for place in order:
                probability, left = probability * rates[place] / max(left, 1e-300), left - rates[place]
            expected[row, [*order]] += probability
    found = one_round(scores, k, 2.0)
    assert np.allclose(found, expected, atol=1e-9) and np.allclose(found.sum(axis=1), k)


def test_laws_that_cannot_be_summed_are_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    """False alarm below 1e-6: five standard errors of a frequency in 256 draws."""
    scores = np.array([[1.0, 2.0, 3.0, 4.0]])
    exact = inclusion(scores, 2, Votes(rounds=1, power=1.0))
    monkeypatch.setattr(group_law, "SUBSETS", 1)
    assert np.abs(inclusion(scores, 2, Votes(rounds=1, power=1.0)) - exact).max() < 5 * 0.5 / 16
    assert inclusion(scores, 2, Votes(rounds=9, power=1.0)).sum() == 2


@pytest.mark.parametrize("rule", [Magnitude(), Voting(sampling_ratio=0.5)], ids=str)
@pytest.mark.parametrize("structure", STRUCTURES, ids=str)
def test_a_recipe_rebuilds_the_mask_and_seed_and_candidate_name_it(structure: Any, rule: Rule) -> None:
    drawn = sampler(structure, rule, seed=3)
    recipe = Recipe.from_dict(json.loads(json.dumps(drawn.recipe(4).to_dict())))
    assert recipe.structure == str(find_structure(structure)) and "structure" in repr(drawn)
    assert MaskSampler.from_recipe(model(), recipe).draw(4) == drawn.draw(4)
    if not rule.deterministic:
        assert drawn.draw(4) != drawn.draw(5) and drawn.draw(4) != sampler(structure, rule, seed=2).draw(4)
    assert "structure" not in MaskSampler(model(), rule, 0.5).recipe(0).to_dict()


@pytest.mark.parametrize("rule", [Magnitude(), Voting()], ids=str)
@pytest.mark.parametrize("structure", STRUCTURES, ids=str)
def test_scores_rank_units_by_their_means_and_signed_ones_by_ranks(structure: Any, rule: Rule) -> None:
    names = MaskSampler(model(), rule, 0.5).shapes
    weights = {name: dict(model().named_parameters())[name].detach() for name in names}
    magnitudes = {name: weight.abs() for name, weight in weights.items()}
    plain = sampler(structure, rule)
    assert sampler(structure, rule, scores=magnitudes).draw(1) == plain.draw(1)
    moved = {name: 3 * score - 5 for name, score in magnitudes.items()}
    signed, ranked = (sampler(structure, rule, scores=some, signed=True) for some in (moved, magnitudes))
    assert signed.draw(1) == ranked.draw(1) and signed.kept == plain.kept
    if rule.deterministic:
        assert signed.draw(1) == plain.draw(1)
    with pytest.raises(WeightError, match="negative"):
        sampler(structure, rule, scores=moved)


@pytest.mark.parametrize("structure", [(4, 2), "heads", "neurons"], ids=str)
def test_units_that_were_removed_stay_removed(structure: Any) -> None:
    pruned = transformer("bert")
    first = sampler(structure, Voting(), pruned, 0.25).draw(0)
    first.apply_(pruned)
    scores = {
        name: torch.rand_like(dict(pruned.named_parameters())[name])
        for name in MaskSampler(pruned, Magnitude(), 0.9).shapes
    }
    for more in (sampler(structure, Uniform(), pruned, 0.5), sampler(structure, Uniform(), pruned, 0.5, scores=scores)):
        assert (more.draw(1) & first) == more.draw(1)
    with pytest.raises(WeightError, match="cannot keep"):
        sampler(structure, Voting(), pruned, 0.0)


@pytest.mark.parametrize("structure", ["heads", "neurons"])
def test_units_of_all_layers_compete_with_a_global_allocation_and_can_be_counted(structure: str) -> None:
    number = {"heads": 4, "neurons": 12}[structure]
    drawn = sampler(structure, Voting(), allocation="global")
    assert drawn.draw(0).kept == drawn.kept == drawn.size // 2
    layers = [*sampler(structure, Voting())._units]
    counts = dict(zip(layers, (number - 1, 1), strict=True))
    counted = sampler(structure, Uniform(), allocation=counts)
    assert counted.draw(0).kept == counted.kept == drawn.kept
    recipe = counted.recipe(0)
    assert recipe.allocation == counts and MaskSampler.from_recipe(model(), recipe).draw(0) == counted.draw(0)


def test_units_of_different_sizes_cannot_compete() -> None:
    blocks = nn.ModuleList([nn.Module(), nn.Module()])
    for width, block in zip((4, 8), blocks, strict=True):
        block.fc1, block.fc2 = nn.Linear(width, 6), nn.Linear(6, width)
    target = nn.Module()
    target.blocks = blocks
    assert sampler("neurons", Voting(), target).draw(0).kept == sampler("neurons", Voting(), target).kept == 72
    with pytest.raises(
        ConfigError, match=r"allocation 'global' needs units with one number of weights, got \('blocks.0'"
    ):
        sampler("neurons", Voting(), target, allocation="global")


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"structure": "2;4"}, ConfigError, "structure must be 'n:m' such as '2:4', .* got '2;4'"),
        ({"structure": (4, 2, 1)}, ConfigError, "structure must be"),
        ({"structure": (4, 2.5)}, ConfigError, "structure must be"),
        ({"structure": 4}, ConfigError, "structure must be"),
        ({"structure": (0, 4)}, ConfigError, "outputs of a block must be a whole number at least 1, got 0"),
        ({"structure": "5:4"}, ConfigError, "from 1 to m of every m weights, such as '2:4', got '5:4'"),
        ({"structure": "0:4"}, ConfigError, "from 1 to m"),
        ({"structure": "2:4", "sparsity": 0.6}, ConfigError, "sparsity must be 0.5 with structure '2:4', .* got 0.6"),
        ({"structure": "2:4", "sparsity": {"*": 0.5}}, ConfigError, "sparsity must be 0.5 with structure '2:4'"),
        ({"structure": "2:4", "allocation": "global"}, ConfigError, "must be 'layerwise' .* got 'global'; leave"),
        ({"structure": "heads", "sparsity": None}, ConfigError, "sparsity must be a number, got None"),
        (
            {"structure": "heads", "allocation": "erk"},
            ConfigError,
            "allocation must not be 'erk' with structure",
        ),
        (
            {"structure": (2, 2), "allocation": "evolved"},
            ConfigError,
            "allocation must not be 'evolved' with structure",
        ),
        ({"structure": "heads", "target": {"w": torch.ones(4, 4)}}, ConfigError, "'heads' is found in a model"),
        ({"structure": "heads", "exclude": ["*query*"]}, ScopeError, "'.*query.weight' stays dense; include all"),
        ({"structure": "heads", "exclude": ["*attention*"]}, ScopeError, "has no heads among the weights to prune"),
        (
            {"structure": (3, 1)},
            ScopeError,
            "query.weight', .* cannot be divided into blocks of 3 x 1",
        ),
        ({"structure": "5:10", "exclude": []}, ScopeError, "the 16 inputs of '.*query.weight', .* into groups of 10"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], error: type[Exception], message: str) -> None:
    given = {
        "target": model(),
        "rule": Voting(),
        "sparsity": None if ":" in str(settings["structure"]) else 0.5,
    } | settings
    with pytest.raises(error, match=message):
        MaskSampler(**given)


@pytest.mark.parametrize("structure", [(4, 2), "heads", "neurons"], ids=str)
def test_gradual_pruning_keeps_the_structure(structure: Any) -> None:
    given = sampler(structure, Voting())
    settings = GradualMasks(given, start=0, end=10, every=2)
    assert settings.sampler(model(), 0.25).draw(0) == sampler(structure, Voting(), sparsity=0.25).draw(0)
    with pytest.raises(ConfigError, match=f"regrow brings back single weights, .* structure '{given.structure}'"):
        GradualMasks(given, start=0, end=10, every=2, regrow="set")
    with pytest.raises(ConfigError, match="structure '2:4' has one sparsity, and the schedule changes it"):
        GradualMasks(sampler("2:4", Voting()), start=0, end=10, every=2)
    assert GradualMasks(sampler("2:4", Voting()), start=0, end=10, every=2, schedule="constant").final == 0.5


def test_heads_of_unknown_width_are_refused_by_name() -> None:
    odd = transformer("bert")
    for layer in odd.bert.encoder.layer:
        del layer.attention.self.attention_head_size
    with pytest.raises(ScopeError, match=r"number of heads of 'bert.encoder.layer.0.attention' does not follow"):
        sampler("heads", Voting(), odd)


@pytest.mark.parametrize(
    ("made", "structure"),
    [
        *((Proposal, structure) for structure in ("2:4", "4x2", "heads", "neurons")),
        *((LearnedAllocation, structure) for structure in ("4x2", "heads", "neurons")),  # 2:4 fixes every count
    ],
)
def test_candidates_of_a_search_are_drawn_again_from_their_recipes(made: type[Proposal], structure: str) -> None:
    proposal = made((Voting(), Uniform()), 0.5, seed=1, size=2, structure=structure)
    sizes = {proposal.draw(model(), candidate).kept for candidate in range(4)} if made is Proposal else set()
    assert len(sizes) <= 1
    for candidate in (0, 1):
        recipe = json.loads(json.dumps(proposal.recipe(model(), candidate)))
        assert recipe["structure"] == structure
        assert redraw(model(), recipe) == proposal.draw(model(), candidate)
