import json

import pytest
import torch

import randprune_lab as rl
from randprune_lab.errors import FileError, MaskError
from randprune_lab.masks.recipe import Recipe

RULES = [rl.Magnitude(), rl.Uniform(), rl.GumbelTopK(temperature=0.3), rl.Voting(sampling_ratio=3e-3, power=4)]


def weights(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(n, 100, generator=generator) for name, n in (("a", 60), ("b", 80), ("small", 5))}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize("group", ["tensor", "global", "erk", {"a": 350, "small": 300}])
def test_a_saved_recipe_rebuilds_the_mask_bit_for_bit(rule, group, tmp_path):
    sampler = rl.MaskSampler(weights(), rule, 0.9, seed=5, group=group, exclude=["b"])
    sampler.recipe(candidate=7).save(tmp_path / "recipe.json")
    recipe = Recipe.load(tmp_path / "recipe.json")
    assert rl.MaskSampler.from_recipe(weights(), recipe).draw(recipe.candidate) == sampler.draw(7)


def test_a_recipe_is_small():
    assert len(json.dumps(rl.MaskSampler(weights(), rl.Voting(), 0.9).recipe(0).to_dict())) < 400


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.name != "uniform"], ids=lambda rule: rule.name)
def test_other_weights_are_refused_with_both_fingerprints(rule):
    recipe = rl.MaskSampler(weights(), rule, 0.9).recipe(0)
    other = rl.MaskSampler(weights(1), rule, 0.9).fingerprint
    with pytest.raises(MaskError, match=rf"{recipe.fingerprint}.*{other}") as error:
        rl.MaskSampler.from_recipe(weights(1), recipe)
    assert recipe.fingerprint != other and "load the weights" in str(error.value)


def test_a_rule_that_ignores_the_weights_accepts_any():
    recipe = rl.MaskSampler(weights(), rl.Uniform(), 0.9).recipe(2)
    masks = [rl.MaskSampler.from_recipe(weights(seed), recipe).draw(2) for seed in (0, 1)]
    assert masks[0] == masks[1]


def test_one_small_weight_changed_across_the_border_changes_the_fingerprint():
    before = weights()
    sampler = rl.MaskSampler(before, rl.Voting(), 0.9)
    after = {name: tensor.clone() for name, tensor in before.items()}
    after["a"].view(-1)[int(after["a"].abs().argmin())] = 10.0
    assert rl.MaskSampler(after, rl.Voting(), 0.9).fingerprint != sampler.fingerprint


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"rule": 3}'])
def test_a_damaged_recipe_is_named(tmp_path, content):
    (tmp_path / "recipe.json").write_text(content)
    with pytest.raises(FileError, match=r"recipe\.json is damaged"):
        Recipe.load(tmp_path / "recipe.json")
    with pytest.raises(FileError, match=r"cannot read recipe .*missing\.json"):
        Recipe.load(tmp_path / "missing.json")
