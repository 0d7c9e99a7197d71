"""A saved recipe draws the same mask again, and only from the same weights."""

import contextlib
import json
import os

import pytest
import torch
from hypothesis import given, settings
from support.mutations import changed

import randprune_lab as rp
from randprune_lab.errors import ConfigError, FileError, MaskError
from randprune_lab.masks.recipe import Recipe, with_check

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


def test_a_recipe_has_the_patterns_of_a_sparsity_in_their_order(tmp_path):
    """Also if a program sorts the keys of its JSON; the first pattern that matches counts."""
    by_pattern = {"small": 0.5, "*": 0.9, "[ab]": 0.7}
    sampler = rp.MaskSampler(weights(), rp.Voting(), by_pattern)
    recipe = sampler.recipe(3)
    assert recipe.sparsity == by_pattern and [*recipe.sparsity] == [*by_pattern]
    (tmp_path / "recipe.json").write_text(json.dumps(recipe.to_dict(), sort_keys=True))
    loaded = Recipe.load(tmp_path / "recipe.json")
    assert loaded == recipe and [*loaded.sparsity] == [*by_pattern]
    assert rp.MaskSampler.from_recipe(weights(), loaded).draw(3) == sampler.draw(3)


def test_a_recipe_is_small():
    assert len(json.dumps(rp.MaskSampler(weights(), rp.Voting(), 0.9).recipe(0).to_dict())) < 400


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.name != "uniform"], ids=lambda rule: rule.name)
def test_other_weights_are_refused_with_both_fingerprints(rule):
    recipe = rp.MaskSampler(weights(), rule, 0.9).recipe(0)
    other = rp.MaskSampler(weights(1), rule, 0.9).fingerprint
    with pytest.raises(MaskError, match=rf"{recipe.fingerprint}.*{other}") as error:
        rp.MaskSampler.from_recipe(weights(1), recipe)
    assert recipe.fingerprint != other and "load the weights" in str(error.value)


@pytest.mark.parametrize("wrong", [None, "recipe.json", {}, 3, rp.Uniform()], ids=str)
def test_what_is_no_recipe_is_refused(wrong):
    with pytest.raises(ConfigError, match=r"recipe must be a Recipe, got .*; Recipe\.from_dict makes one from a dict"):
        rp.MaskSampler.from_recipe(weights(), wrong)


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


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"rule": 3}', "NaN", "[" * 5000, '{"seed": 1, "seed": 2}', b"\xff"], ids=range(9)
)
def test_a_damaged_recipe_is_named(tmp_path, content):
    (tmp_path / "recipe.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(FileError, match=r"recipe\.json is damaged") as caught:
        Recipe.load(tmp_path / "recipe.json")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_recipe_is_named(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, message in {"missing": "there is no recipe at", "pipe": "not a plain file", ".": "is a folder"}.items():
        with pytest.raises(FileError, match=message):
            Recipe.load(tmp_path / path)


def test_a_changed_bit_anywhere_is_refused(tmp_path):
    """Also in the seed, the candidate or the sparsity, from which another mask would be drawn."""
    rp.MaskSampler(weights(), rp.Voting(), 0.9, seed=5, exclude=["b"]).recipe(7).save(tmp_path / "recipe")
    content = (tmp_path / "recipe").read_bytes()
    recipe, path = Recipe.load(tmp_path / "recipe"), tmp_path / "changed"
    path.write_bytes(content)
    for place, byte in enumerate(content[:-1]):
        with path.open("r+b") as file:  # much faster than a new file
            file.write(content[:place] + bytes([byte ^ 2 ** (place % 4)]) + content[place + 1 :])
        with contextlib.suppress(FileError):
            assert Recipe.load(path) == recipe  # one white space was replaced by another
    with pytest.raises(FileError, match="the recipe is damaged: its fields do not match its check"):
        Recipe.from_dict(json.loads(content) | {"seed": 6})


def test_the_check_does_not_depend_on_the_order_of_the_fields():
    recipe = rp.MaskSampler(weights(), rp.Voting(), 0.9, allocation={"a": 350, "b": 800, "small": 300}).recipe(7)
    assert Recipe.from_dict(dict(reversed(recipe.to_dict().items()))) == recipe


@pytest.mark.parametrize("format", [None, 1, 2, 4, "3", [3]])
def test_a_recipe_of_another_format_is_refused(format):
    recipe = rp.MaskSampler(weights(), rp.Voting(), 0.9).recipe(0).to_dict() | {"format": format}
    if format is None:
        del recipe["format"]
    with pytest.raises(FileError, match=r"has format .*, and this version of randprune_lab reads format 3; draw"):
        Recipe.from_dict(recipe)


@pytest.mark.parametrize(
    "change",
    [
        {"rule": []},
        {"rule": {"rule": 5}},
        {"include": 5},
        {"include": "a"},
        {"exclude": None},
        {"seed": -1},
        {"seed": 1.5},
        {"candidate": None},
        {"sparsity": "0.9"},
        {"sparsity": 1},
        {"sparsity": [0.9]},
        {"sparsity": [["*", 1.5]]},
        {"sparsity": [["*", 0.9, 0.8]]},
        {"sparsity": [["*"], ["a"]]},
        {"sparsity": [[5, 0.9]]},
        {"allocation": []},
        {"reference_below": "x"},
        {"fingerprint": 5},
        {"more": 1},
    ],
    ids=str,
)
def test_a_field_of_another_kind_is_refused_even_if_the_check_fits(change):
    recipe = rp.MaskSampler(weights(), rp.Voting(), 0.9).recipe(0).to_dict()
    with pytest.raises(FileError, match=f"the recipe is damaged: .*{next(iter(change))}"):
        Recipe.from_dict(with_check(recipe | change))


RECIPE = rp.MaskSampler(weights(), rp.Voting(), {"small": 0.5, "*": 0.9}, include=["*"]).recipe(7).to_dict()


@settings(max_examples=60)
@given(content=changed(RECIPE))
def test_a_recipe_with_another_value_is_refused_or_a_recipe(content):
    """Also if the check fits: a program may have written it."""
    try:
        recipe = Recipe.from_dict(with_check(content) if isinstance(content, dict) else content)
    except FileError as error:
        assert "\n" not in str(error)
    else:
        assert Recipe.from_dict(recipe.to_dict()) == recipe


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"include": ["a", 5]}, "include.1 must be a text, got 5"),
        ({"allocation": {"a": "x"}}, "allocation.a must be a whole number, got 'x'"),
        ({"rule": {"rule": 5}}, "rule.rule must be a text, got 5"),
        ({"seed": "3"}, "seed must be a whole number, got '3'"),
    ],
    ids=["include", "allocation", "rule", "seed"],
)
def test_an_error_names_the_place_the_value_and_what_was_expected(change, message):
    with pytest.raises(FileError) as caught:
        Recipe.from_dict(with_check(RECIPE | change), "recipe x.json")
    assert str(caught.value) == f"recipe x.json is damaged: {message}"
