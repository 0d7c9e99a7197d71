"""Laws of proposal distributions: exact counts, the right probabilities, and recipes that rebuild the masks."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from torch import nn

import randprune_lab as rp
from randprune_lab.errors import FileError, MaskError, RunError, WeightError
from randprune_lab.masks.sparsity import keep_count
from randprune_lab.search.proposals import LearnedAllocation, LearnedInclusion, Proposal, allocate, blend, redraw

RULES = (rp.Voting(sampling_ratio=1e-2), rp.GumbelTopK())


class Blocks(nn.Module):
    def __init__(self, seed: int = 0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.blocks = nn.ModuleList(nn.Linear(size, 80, bias=False) for size in (60, 100, 140))
        for block in self.blocks:
            block.weight.data = torch.randn(block.weight.shape, generator=generator)


MODEL = Blocks()
WEIGHTS = dict(MODEL.named_parameters())
TOTAL = sum(weight.numel() for weight in WEIGHTS.values())


def counts(mask: rp.MaskSet) -> dict[str, int]:
    return {name: int(kept.sum()) for name, kept in mask.items()}


@pytest.mark.parametrize("kind", [Proposal, LearnedAllocation, LearnedInclusion])
@pytest.mark.parametrize("sparsity", [0.54, 0.99])
def test_every_candidate_has_exactly_its_sparsity_and_a_recipe_that_rebuilds_it(kind, sparsity):
    proposal = kind(RULES, sparsity, seed=3, size=4, elites=((1, 2), (4, 7)))
    for candidate in (0, 3, 4, 7, 8, 11):
        mask = proposal.draw(MODEL, candidate)
        by_tensor = sum(keep_count(weight.numel(), sparsity) for weight in WEIGHTS.values())
        assert mask.kept == (keep_count(TOTAL, sparsity) if kind is LearnedAllocation else by_tensor)
        recipe = json.loads(json.dumps(proposal.recipe(MODEL, candidate)))
        assert redraw(MODEL, recipe) == mask
        assert recipe["candidate"] == candidate and recipe["rule"] == RULES[candidate % 2].to_dict()
        with pytest.raises(MaskError):
            redraw(Blocks(seed=1), recipe)


@pytest.mark.parametrize(
    "change", [{"rate": 0.25}, {"elite": []}, {"seed": 4}, {"candidate": 6}, {"format": 2}], ids=str
)
def test_a_changed_recipe_is_refused(change):
    """Also in what learning adds to it, and in the recipe of an elite."""
    recipe = LearnedInclusion(RULES, 0.9, seed=3, size=4, elites=((1, 2),)).recipe(MODEL, 5)
    redraw(MODEL, recipe)
    with pytest.raises(FileError, match="the recipe "):
        redraw(MODEL, recipe | change)
    if "rate" not in change and "elite" not in change:
        with pytest.raises(FileError, match="the recipe is damaged"):
            redraw(MODEL, recipe | {"elite": [recipe["elite"][0] | change]})


@pytest.mark.parametrize("kind", [Proposal, LearnedAllocation, LearnedInclusion])
def test_patterns_choose_the_pruned_weights_and_are_in_the_recipe(kind):
    proposal = kind(RULES, 0.9, seed=3, size=4, elites=((1, 2),), include=["blocks.*"], exclude=["blocks.1.*"])
    mask = proposal.draw(MODEL, 5)
    assert set(mask) == {"blocks.0.weight", "blocks.2.weight"}
    assert redraw(MODEL, json.loads(json.dumps(proposal.recipe(MODEL, 5)))) == mask


@pytest.mark.parametrize("kind", [LearnedAllocation, LearnedInclusion])
def test_a_candidate_learns_only_from_earlier_generations(kind):
    learned = {number: kind(RULES, 0.9, seed=3, size=4, elites=((1, 2), (4, 7))[:number]) for number in range(3)}
    assert learned[0].draw(MODEL, 3) == learned[2].draw(MODEL, 3)
    assert learned[1].draw(MODEL, 5) == learned[2].draw(MODEL, 5)
    other = kind(RULES, 0.9, seed=3, size=4, elites=((0, 3), (4, 7)))
    assert other.draw(MODEL, 5) != learned[2].draw(MODEL, 5)
    with pytest.raises(
        RunError, match="candidate 8 belongs to generation 2, which needs the elites of 2 generations, got 1"
    ):
        learned[1].draw(MODEL, 8)


def test_without_learning_the_masks_are_those_of_the_sampler():
    mask = Proposal(RULES, 0.9, seed=3, size=2, elites=((1,),)).draw(MODEL, 3)
    assert mask == rp.MaskSampler(MODEL, RULES[1], 0.9, seed=3).draw(3)
    first = LearnedInclusion(RULES, 0.9, seed=3, size=4).draw(MODEL, 3)
    assert first == mask


@pytest.mark.parametrize("kind", [Proposal, LearnedAllocation, LearnedInclusion])
@pytest.mark.parametrize("allocation", ["layerwise", "global", "row"])
def test_the_incumbent_is_the_deterministic_mask_and_changes_no_other_candidate(kind, allocation):
    plain = kind(RULES, 0.9, seed=3, allocation=allocation, size=4)
    proposal = dataclasses.replace(plain, incumbent=True)
    assert proposal.draw(MODEL, 0) == rp.MaskSampler(MODEL, rp.Magnitude(), 0.9, allocation=allocation).draw(0)
    assert redraw(MODEL, json.loads(json.dumps(proposal.recipe(MODEL, 0)))) == proposal.draw(MODEL, 0)
    assert all(proposal.draw(MODEL, c) == plain.draw(MODEL, c) for c in (1, 2, 3))
    learned = dataclasses.replace(proposal, elites=((0,),), rate=1.0)
    if kind is LearnedAllocation and allocation == "global":  # all of the next generation have its counts
        middle = counts(proposal.draw(MODEL, 0))
        assert all(counts(learned.draw(MODEL, c)) == middle for c in (4, 5))


@pytest.mark.parametrize("allocation", ["erk", "row", "global", "owl"])
def test_allocations_are_learned_around_any(allocation):
    """Without spread, all candidates have its counts; rows are still compared within themselves."""
    middle = counts(rp.MaskSampler(MODEL, rp.Magnitude(), 0.9, allocation=allocation).draw(0))
    mask = LearnedAllocation(RULES, 0.9, seed=3, allocation=allocation, spread=0.0, size=4).draw(MODEL, 1)
    assert all(abs(counts(mask)[name] - middle[name]) <= 1 for name in middle)
    if allocation == "row":
        per_row = mask["blocks.0.weight"].sum(dim=1)
        assert int(per_row.max() - per_row.min()) <= 1


def test_without_spread_and_elites_all_tensors_lose_the_same_fraction():
    mask = LearnedAllocation(RULES, 0.9, seed=3, spread=0.0, size=4).draw(MODEL, 1)
    assert counts(mask) == counts(rp.MaskSampler(MODEL, RULES[1], 0.9, seed=3).draw(1))


def test_allocations_have_the_right_spread_and_then_move_to_the_elite():
    """The log-odds of 400 candidates have the expected means and deviations, within 5 standard errors."""
    proposal = LearnedAllocation(RULES, 0.9, seed=3, spread=0.5, size=1000, elites=((5, 6, 7),), rate=0.5)
    first = np.stack([proposal._offsets(candidate, 3) for candidate in range(400)])
    later = np.stack([proposal._offsets(candidate, 3) for candidate in range(1000, 1400)])
    elite = first[5:8]
    assert abs(first.mean(axis=0)).max() < 5 * 0.5 / 20
    assert abs(first.std(axis=0) / 0.5 - 1).max() < 5 / np.sqrt(800)
    spread = 0.5 * 0.5 + 0.5 * elite.std(axis=0)
    assert (abs(later.mean(axis=0) - elite.mean(axis=0) / 2) / spread).max() < 5 / 20
    assert abs(later.std(axis=0) / spread - 1).max() < 5 / np.sqrt(800)
    assert abs(np.corrcoef(first.T) - np.eye(3)).max() < 5 / 20


def test_a_tensor_keeps_at_most_its_nonzero_weights_and_the_total_is_exact():
    pruned = {name: weight.detach().clone() for name, weight in WEIGHTS.items()}
    first = next(iter(pruned))
    pruned[first].view(-1)[100:] = 0
    offsets = np.array([9.0, 0.0, 0.0])
    kept = allocate(pruned, 0.9, offsets)
    assert kept[first] == 100 and sum(kept.values()) == keep_count(TOTAL, 0.9)
    alive = {name: int(weight.count_nonzero()) for name, weight in pruned.items()}
    assert allocate(pruned, 1 - sum(alive.values()) / TOTAL, offsets) == alive
    with pytest.raises(WeightError, match="cannot keep 24,000 weights: only 19,300 are not zero"):
        allocate(pruned, 0.0, offsets)


def test_an_allocation_has_the_given_log_odds():
    kept = allocate(WEIGHTS, 0.8, np.array([1.0, 0.0, -1.0]))
    fractions = np.array([kept[name] / weight.numel() for name, weight in WEIGHTS.items()])
    odds = np.log(fractions / (1 - fractions))
    assert np.diff(odds) == pytest.approx([-1, -1], abs=2e-3)  # counts are whole


def test_a_blend_keeps_each_weight_with_the_right_probability():
    """In 4,000 blends, all frequencies are within 6 standard errors. False alarms: about 1 in 100,000."""
    sampler = rp.MaskSampler({"w": WEIGHTS["blocks.0.weight"]}, rp.GumbelTopK(temperature=1.0), 0.7, seed=1)
    fresh, *elite = (sampler.draw(candidate) for candidate in range(4))
    drawn = [blend(fresh, elite, 0.6, seed=2, candidate=candidate) for candidate in range(4000)]
    assert {mask.kept for mask in drawn} == {sampler.kept}
    frequency = torch.stack([mask["w"] for mask in drawn]).double().mean(dim=0)
    expected = 0.4 * fresh["w"] + 0.6 * torch.stack([mask["w"] for mask in elite]).double().mean(dim=0)
    assert torch.equal(frequency[expected == 0], expected[expected == 0]) and frequency[expected > 1 - 1e-9].min() == 1
    error = torch.sqrt((expected * (1 - expected)).clamp(min=0) / 4000)
    assert (abs(frequency - expected) <= 6 * error + 0.004).all()  # Pareto sampling is approximate, up to 0.004


@pytest.mark.parametrize(("rate", "is_fresh"), [(0.0, True), (1.0, False)])
def test_a_blend_with_rate_0_or_1_is_one_of_its_masks(rate, is_fresh):
    sampler = rp.MaskSampler(WEIGHTS, rp.GumbelTopK(), 0.9, seed=1)
    fresh, only = sampler.draw(0), sampler.draw(1)
    assert blend(fresh, [only], rate, seed=2, candidate=5) == (fresh if is_fresh else only)


def test_masks_learned_from_one_mask_are_closer_to_it():
    plain = LearnedInclusion(RULES[:1], 0.9, seed=3, size=4)
    learned = dataclasses.replace(plain, elites=((2,),), rate=0.5)
    elite = plain.draw(MODEL, 2)
    before = np.mean([plain.draw(MODEL, c).hamming(elite) for c in (0, 1, 3)])
    after = np.mean([learned.draw(MODEL, c).hamming(elite) for c in (4, 5, 6, 7)])
    assert after == pytest.approx(before / 2, rel=0.15)
