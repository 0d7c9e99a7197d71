"""Rules and strategies of your own: found by name, kept in recipes, replaced by a second definition, never ours."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch

import randprune_lab as rp
from randprune_lab.analysis import describe_run
from randprune_lab.errors import ConfigError, UnknownNameError
from randprune_lab.masks import RULES, Histogram, Recipe
from randprune_lab.registry import Registry, setting, settings_of
from randprune_lab.search import STRATEGIES, TrainAll, make_strategy
from randprune_lab.search.selection import Drop


@pytest.fixture(autouse=True)
def registries_as_before():
    """What a test registers is gone after it."""
    before = [(registry, dict(registry)) for registry in (RULES, STRATEGIES)]
    yield
    for registry, classes in before:
        registry._classes.clear()
        registry._classes.update(classes)


def define_softened(blend: float = 0.5) -> type[rp.Rule]:
    """As a notebook's cell does: the class is made anew each time."""

    @dataclass(frozen=True)
    class Softened(rp.Rule):
        """Mix the magnitude mask with a uniform one."""

        share: float = setting(blend, "fraction of the uniform mask")
        name: ClassVar[str] = "softened"

        def inclusion(self, histogram: Histogram, k: int) -> np.ndarray:
            step, flat = (rule.inclusion(histogram, k) for rule in (rp.Magnitude(), rp.Uniform()))
            return (1 - self.share) * step + self.share * flat

    return Softened


def define_first() -> None:
    @dataclass(frozen=True, kw_only=True)
    class FirstHalf(TrainAll):
        """Train the first candidates only."""

        keep: int = 1
        name: ClassVar[str] = "first"

        def stages(self, candidates, total_steps, every):
            first, *_ = super().stages(candidates, total_steps, every)
            dropped = dataclasses.replace(
                first, drop=lambda ranked: [Drop(each.candidate, "not among the first") for each in ranked[self.keep :]]
            )
            return [dropped]


# --- rules ---


def test_a_rule_of_your_own_comes_back_from_its_recipe_and_draws_the_same_mask(tmp_path):
    define_softened()
    weights = {"w": torch.randn(100, 80, generator=torch.Generator().manual_seed(0))}
    sampler = rp.MaskSampler(weights, rp.make_rule("softened", share=0.2), sparsity=0.9)
    sampler.recipe(3).save(tmp_path / "recipe.json")
    recipe = Recipe.load(tmp_path / "recipe.json")
    assert recipe.rule == {"rule": "softened", "share": 0.2}
    assert rp.MaskSampler.from_recipe(weights, recipe).draw(3) == sampler.draw(3)


def test_a_search_takes_a_rule_of_your_own_by_its_name_and_settings(config, tmp_path):
    define_softened()
    asked = dataclasses.replace(
        config, rule="softened", rule_settings={"share": (0.1, 0.3)}, levels=(0.5,), baselines=(), candidates=3
    )
    assert [rule.share for rule in asked.methods()[0].rules] == [0.1, 0.3]
    assert rp.RunConfig.from_dict(json.loads(json.dumps(asked.to_dict()))) == asked
    record = rp.RunRecord.load(rp.run(asked, tmp_path / "run", progress=False))
    rules = [unit["mask"]["rule"] for unit in record.level(1).candidates]
    assert rules == [{"rule": "softened", "share": share} for share in (0.1, 0.3, 0.1)]
    assert "softened, share 0.1" in describe_run(record)


def test_a_class_that_is_defined_again_replaces_the_one_before():
    define_softened(0.1)
    again = define_softened(0.2)
    assert RULES["softened"] is again and rp.make_rule("softened").share == 0.2


def test_a_built_in_name_is_refused_and_kept():
    with pytest.raises(ConfigError, match="rule Mine cannot be named 'voting': randprune_lab has a rule of that name"):

        @dataclass(frozen=True)
        class Mine(rp.Rule):
            name: ClassVar[str] = "voting"

            def inclusion(self, histogram, k):
                raise NotImplementedError

    assert RULES["voting"] is rp.Voting


def test_a_class_that_inherits_its_name_is_refused_since_its_recipes_would_make_another():
    with pytest.raises(ConfigError, match="rule Mine has the name 'voting' of its base class; give it one of its own"):

        class Mine(rp.Voting):
            pass


@pytest.mark.parametrize("wrong", ["", 3, None])
def test_a_name_must_be_a_text(wrong):
    registry: Registry[object] = Registry("thing")
    with pytest.raises(ConfigError, match=r"the name of thing Mine must be a text, got"):
        registry.add(type("Mine", (), {"name": wrong}))
    assert len(registry) == 0


def test_an_unknown_rule_says_how_one_of_your_own_gets_known():
    with pytest.raises(UnknownNameError, match=r"unknown rule 'mine'; .*define your own rule first, or load it with"):
        rp.RunConfig(rule="mine")
    for wrong in (None, 3, ["voting"], {"rule": "voting"}, rp.Voting):
        with pytest.raises(UnknownNameError, match="unknown rule"):
            rp.make_rule(wrong)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rule": "voting", "rule_settings": {"power": 3}}, "rule_settings has 'power', which is a setting of its own"),
        (
            {"rule": "softened", "rule_settings": {"shape": 3}},
            "rule 'softened' has no setting 'shape'",
        ),
        ({"rule": "softened", "rule_settings": {"share": ()}}, "share must have at least one value, got none"),
        ({"early_settings": {"budget": 0.5}}, "strategy 'full' has no setting 'budget'"),
        (
            {"early_settings": {"last": 3}},
            "early_settings has 'last', which is a setting of its own; give early_last instead",
        ),
        (
            {"early_strategy": "race", "early_settings": {"score": "log-loss"}},
            "early_settings has 'score', which is a setting of its own; give early_score instead",
        ),
    ],
)
def test_wrong_settings_are_named(settings, message):
    define_softened()
    with pytest.raises(ConfigError, match=message):
        rp.RunConfig(**settings)


def test_the_help_of_a_rule_is_made_of_its_own_fields():
    define_softened()
    text = " ".join(RULES.describe("Rules:").split())
    assert "softened Mix the magnitude mask with a uniform one (settings: share: fraction of the uniform mask)" in text
    assert list(settings_of(RULES["softened"])) == ["share"]


# --- strategies ---


def test_a_search_takes_a_strategy_of_your_own(config, tmp_path):
    define_first()
    asked = dataclasses.replace(
        config, early_strategy="first", early_settings={"keep": 1}, early_last=2, levels=(0.5,), baselines=()
    )
    assert asked.strategy() == make_strategy("first", keep=1, last=2, score="metric")
    record = rp.RunRecord.load(rp.run(asked, tmp_path / "run", progress=False))
    assert record.level(1).done
