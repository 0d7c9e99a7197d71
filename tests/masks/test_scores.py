"""Scores that are given: the same masks as magnitudes give if they are magnitudes, and one error for each fault."""

from __future__ import annotations

import json

import pytest
import torch

import randprune_lab as rp
from randprune_lab.errors import ConfigError, MaskError, WeightError
from randprune_lab.masks.recipe import Recipe

RULES = [rp.Magnitude(), rp.Uniform(), rp.GumbelTopK(temperature=0.3), rp.Voting(sampling_ratio=3e-3, power=4)]
SHAPES = {"a": (60, 100), "b": (80, 100), "small": (5, 100)}


def tensors(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}


def pruned(seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights of which a third is zero already."""
    return {name: torch.where(mask.abs() < 0.43, 0.0, mask) for name, mask in tensors(seed).items()}


def values(seed: int = 1) -> dict[str, torch.Tensor]:
    return {name: score.abs() for name, score in tensors(seed).items()}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize("allocation", ["layerwise", "global"])
def test_magnitudes_that_are_given_are_the_magnitudes_of_the_weights(rule, allocation):
    weights = pruned()
    given = {name: weight.abs() for name, weight in weights.items()}
    ours, plain = (
        rp.MaskSampler(weights, rule, 0.9, scores=scores, seed=3, allocation=allocation) for scores in (given, None)
    )
    assert ours.draw(5) == plain.draw(5) and ours.fingerprint == plain.fingerprint


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize("signed", [False, True], ids=["plain", "signed"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_a_zero_weight_is_never_kept_and_a_zero_score_comes_last(rule, signed, dtype):
    weights, scores = pruned(), {name: score.to(dtype) for name, score in values().items()}
    scores["a"][:30] = 0.0
    alive = {name: weight != 0 for name, weight in weights.items()}
    mask = rp.MaskSampler(weights, rule, 0.4, scores=scores, signed=signed).draw(1)
    assert all(not mask[name][~alive[name]].any() for name in weights)
    own, alone = ({"a": part["a"]} for part in (weights, scores))
    every = rp.MaskSampler(own, rule, 1 - int(alive["a"].sum()) / 6000, scores=alone, signed=signed).draw(1)
    assert torch.equal(every["a"], alive["a"])
    if rule.deterministic:
        kept = rp.MaskSampler(own, rule, 0.7, scores=alone, signed=signed).draw(0)["a"]
        assert kept[30:].sum() == 1800 and not kept[:30].any()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize("allocation", ["layerwise", "global"])
def test_signed_scores_enter_by_their_ranks(rule, allocation):
    weights, signed = pruned(), tensors(2)
    same = {name: 1e-3 * score.double().exp() - 5 for name, score in signed.items()}
    first, second = (
        rp.MaskSampler(weights, rule, 0.9, scores=scores, signed=True, allocation=allocation)
        for scores in (signed, same)
    )
    assert first.draw(4) == second.draw(4) and first.fingerprint == second.fingerprint
    kept = rp.MaskSampler(weights, rp.Magnitude(), 0.9, scores=signed, signed=True, allocation=allocation).draw(0)
    shifted = {name: score + 10 for name, score in signed.items()}
    assert kept == rp.MaskSampler(weights, rp.Magnitude(), 0.9, scores=shifted, allocation=allocation).draw(0)


def test_equal_signed_scores_have_equal_ranks():
    weights, scores = {"w": torch.tensor([1.0, 1, 1, 0, 1])}, {"w": torch.tensor([-2.0, 3, -2, 9, 0])}
    curve = rp.MaskSampler(weights, rp.Magnitude(), 0.4, scores=scores, signed=True).curves["w"]
    assert curve.histogram.counts.tolist() == [2, 1, 1] and curve.histogram.zeros == 1
    assert curve.histogram.scores.round().tolist() == [2, 3, 4]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize("signed", [False, True], ids=["plain", "signed"])
def test_a_recipe_rebuilds_the_mask_with_the_same_scores_alone(rule, signed):
    weights, scores = pruned(), tensors(3) if signed else values()
    sampler = rp.MaskSampler(weights, rule, 0.9, scores=scores, signed=signed, seed=2)
    recipe = Recipe.from_dict(json.loads(json.dumps(sampler.recipe(7).to_dict())))
    assert recipe == sampler.recipe(7) and recipe.criterion == {"criterion": "custom", "signed": signed}
    assert rp.MaskSampler.from_recipe(weights, recipe, scores).draw(7) == sampler.draw(7)
    with pytest.raises(ConfigError, match=r"made with scores of criterion 'custom'; give them too: from_recipe\("):
        rp.MaskSampler.from_recipe(weights, recipe)
    if rule.name != "uniform":
        with pytest.raises(MaskError, match=recipe.fingerprint):
            rp.MaskSampler.from_recipe(weights, recipe, values(4))


def test_a_recipe_of_magnitudes_has_no_criterion():
    assert "criterion" not in rp.MaskSampler(pruned(), rp.Voting(), 0.9).recipe(0).to_dict()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([1.0], "scores must be a dict of tensors by the weights' names, got a list"),
        ({"b": None}, "scores of 'b' must be a floating-point tensor, got NoneType; convert them first"),
        ({"b": torch.ones(80, 100, dtype=torch.int64)}, "scores of 'b' must be .*, got torch.int64; convert"),
        ({"b": torch.ones(100, 80)}, r"scores of 'b' have shape \(100, 80\), its weights \(80, 100\); give one"),
        ({"b": torch.full((80, 100), torch.nan)}, "8,000 of the scores of 'b' are NaN or infinite; fix what"),
        ({"b": torch.full((80, 100), torch.inf)}, "8,000 of the scores of 'b' are NaN or infinite; fix what"),
        (
            {"b": torch.full((80, 100), -1.0)},
            "8,000 of the scores of 'b' are negative; to use their ranks, give signed",
        ),
        ({"c": torch.ones(3)}, "scores have 'c', which the sampler does not prune; leave it out, or include it"),
    ],
    ids=["list", "none", "integers", "shape", "nan", "infinite", "negative", "more"],
)
def test_scores_that_do_not_fit_are_refused(wrong, message):
    scores = values() | wrong if isinstance(wrong, dict) else wrong
    with pytest.raises(WeightError, match=message):
        rp.MaskSampler(pruned(), rp.Voting(), 0.9, scores=scores)
    if "negative" not in message:
        with pytest.raises(WeightError, match=message):
            rp.MaskSampler(pruned(), rp.Voting(), 0.9, scores=scores, signed=True)


def test_a_score_that_is_missing_is_named():
    scores = values()
    del scores["small"]
    with pytest.raises(WeightError, match=r"scores lack 'small'; give a tensor for each pruned weight"):
        rp.MaskSampler(pruned(), rp.Voting(), 0.9, scores=scores)
    assert rp.MaskSampler(pruned(), rp.Voting(), 0.9, scores=scores, exclude=["small"]).kept == 1400


def test_weights_that_are_not_finite_are_refused_whatever_their_scores():
    weights = pruned()
    weights["a"][3, 4] = torch.nan
    with pytest.raises(WeightError, match=r"1 of the weights of 'a' are NaN or infinite; fix the model first"):
        rp.MaskSampler(weights, rp.Voting(), 0.9, scores=values())
