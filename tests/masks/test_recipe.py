"""A saved recipe draws the same mask again, and only from the same weights."""

import json

import pytest
import torch

import randprune_lab as rp
from randprune_lab.errors import FileError, MaskError
from randprune_lab.masks.recipe import Recipe

RULES = [rp.Magnitude(), rp.Uniform(), rp.GumbelTopK(temperature=0.3), rp.Voting(sampling_ratio=3e-3, power=4)]


def weights(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(n, 100, generator=generator) for name, n in (("a", 60), ("b", 80), ("small", 5))}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize("allocation", ["layerwise", "global", "erk", {"a": 350, "small": 300}])
def test_a_saved_recipe_rebuilds_the_mask_bit_for_bit(rule, allocation, tmp_path):
    sampler = rp.MaskSampler(weights(), rule, 0.9, seed=5, allocation=allocation, exclude=["b"])
    sampler.recipe(candidate=7).save(tmp_path / "recipe.json")
    recipe = Recipe.load(tmp_path / "recipe.json")
    assert rp.MaskSampler.from_recipe(weights(), recipe).draw(recipe.candidate) == sampler.draw(7)


def test_a_recipe_is_small():
    assert len(json.dumps(rp.MaskSampler(weights(), rp.Voting(), 0.9).recipe(0).to_dict())) < 400


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.name != "uniform"], ids=lambda rule: rule.name)
def test_other_weights_are_refused_with_both_fingerprints(rule):
    recipe = rp.MaskSampler(weights(), rule, 0.9).recipe(0)
    other = rp.MaskSampler(weights(1), rule, 0.9).fingerprint
    with pytest.raises(MaskError, match=rf"{recipe.fingerprint}.*{other}") as error:
        rp.MaskSampler.from_recipe(weights(1), recipe)
    assert recipe.fingerprint != other and "load the weights" in str(error.value)


def test_a_rule_that_ignores_the_weights_accepts_any():
    recipe = rp.MaskSampler(weights(), rp.Uniform(), 0.9).recipe(2)
    masks = [rp.MaskSampler.from_recipe(weights(seed), recipe).draw(2) for seed in (0, 1)]
    assert masks[0] == masks[1]


def test_one_small_weight_changed_across_the_threshold_changes_the_fingerprint():
    before = weights()
    sampler = rp.MaskSampler(before, rp.Voting(), 0.9)
    after = {name: tensor.clone() for name, tensor in before.items()}
    after["a"].view(-1)[int(after["a"].abs().argmin())] = 10.0
    assert rp.MaskSampler(after, rp.Voting(), 0.9).fingerprint != sampler.fingerprint


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"rule": 3}'])
def test_a_damaged_recipe_is_named(tmp_path, content):
    (tmp_path / "recipe.json").write_text(content)
    with pytest.raises(FileError, match=r"recipe\.json is damaged"):
        Recipe.load(tmp_path / "recipe.json")
    with pytest.raises(FileError, match=r"cannot read recipe .*missing\.json"):
        Recipe.load(tmp_path / "missing.json")
