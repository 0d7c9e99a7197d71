"""Masks that are redrawn: exact counts, nested without regrowth, and the right weights back with it."""

from __future__ import annotations

import copy
from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

import randprune_lab as rp
from randprune_lab.errors import ConfigError, FileError, MaskError, WeightError
from randprune_lab.masks.gradients import GradientMasks
from randprune_lab.masks.gradual import GradualMasks
from randprune_lab.masks.recipe import Recipe, with_check
from randprune_lab.masks.redraws import GradualTraining, visible
from randprune_lab.masks.regrow import Regrowth, grown


def network(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(24, 20), nn.ReLU(), nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 2))


SIZES = {"0.weight": 480, "2.weight": 600}


class Loop:
    """A training of a small network, one step at a time, with gradual pruning."""

    def __init__(self, sampler=None, start=2, end=14, every=3, *, gradients=False, frozen=(), **settings):
        self.model = network()
        for name in frozen:
            self.model.get_parameter(name).requires_grad_(False)
        learned = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(learned, lr=0.01)
        made = sampler or rp.MaskSampler(self.model, rp.Magnitude(), 0.9)
        others = {"model": self.model, "optimizer": self.optimizer, "gradients": gradients}
        self.pruning = rp.GradualPruning(made, start, end, every, **others, **settings)
        self.step, self.masks, self.gradients = 0, [], {}

    def run(self, until: int) -> Loop:
        while self.step < until:
            self.step += 1
            x = torch.randn(16, 24, generator=torch.Generator().manual_seed(self.step))
            twin = copy.deepcopy(self.model)  # without hooks
            (loss := nn.functional.cross_entropy(twin(x), (x[:, 0] > 0).long())).backward()
            self.gradients = {name: twin.get_parameter(name).grad for name in SIZES}
            loss = nn.functional.cross_entropy(self.model(x), (x[:, 0] > 0).long())
            loss.backward()
            self.optimizer.step()
            self.updated = {name: weight.detach().clone() for name, weight in self.prunable().items()}
            self.pruning.step(self.step)
            self.optimizer.zero_grad()
            if len(self.pruning.history) > len(self.masks):
                self.masks.append(self.pruning.mask)
            assert all(not weight[~self.pruning.mask[name]].any() for name, weight in self.removed())
        return self

    def prunable(self) -> dict[str, nn.Parameter]:
        return {name: self.model.get_parameter(name) for name in SIZES}

    def removed(self):
        return [(name, weight.detach()) for name, weight in self.prunable().items() if name in self.pruning.mask]

    def memory(self, name: str) -> list[torch.Tensor]:
        state = self.optimizer.state[self.model.get_parameter(name)]
        return [state["exp_avg"], state["exp_avg_sq"]]


def cubic(step: int, final: float, begin: float = 0.0, start: int = 2, end: int = 14) -> float:
    return final + (begin - final) * (1 - (step - start) / (end - start)) ** 3


SAMPLERS = {
    "magnitude": lambda: rp.MaskSampler(network(), rp.Magnitude(), 0.9),
    "voting, global": lambda: rp.MaskSampler(network(), rp.Voting(1e-2), 0.9, allocation="global", seed=3),
    "uniform, erk": lambda: rp.MaskSampler(network(), rp.Uniform(), 0.9, allocation="erk"),
    "by pattern": lambda: rp.MaskSampler(network(), rp.Magnitude(), {"0.*": 0.9, "*": 0.9}),
    "function": lambda: lambda model, sparsity: rp.MaskSampler(model, rp.GumbelTopK(0.2), sparsity, seed=1),
}


@pytest.mark.parametrize("regrow", [None, "set", "rigl"])
@pytest.mark.parametrize("name", SAMPLERS)
def test_counts_are_exact_and_masks_nested_unless_weights_regrow(name, regrow):
    final = {"final": 0.9} if name == "function" else {}
    loop = Loop(SAMPLERS[name](), regrow=regrow, begin=0.1, **final).run(20)
    assert [redraw.step for redraw in loop.pruning.history] == [2, 5, 8, 11, 14]
    for redraw, mask in zip(loop.pruning.history, loop.masks, strict=True):
        sparsity = cubic(redraw.step, 0.9, begin=0.1)
        groups = {"all": 1080} if name in ("voting, global", "uniform, erk") else SIZES
        assert mask.kept == sum(size - round(sparsity * size) for size in groups.values())
        assert redraw == (redraw.step, mask.sparsity, mask.sha256)
        if groups is SIZES:
            assert {name: int(kept.sum()) for name, kept in mask.items()} == {
                name: size - round(sparsity * size) for name, size in SIZES.items()
            }
    nested = [(small & ~large).kept == 0 for large, small in zip(loop.masks, loop.masks[1:], strict=False)]
    assert all(nested[:-1]) is (regrow is None) and nested[-1], "nothing regrows at the end"
    assert loop.pruning.mask == loop.masks[-1] and loop.pruning.sparsity == pytest.approx(0.9, abs=1e-3)


def test_two_trainings_draw_the_same_masks_and_other_seeds_others():
    def history(seed: int, regrow=None):
        sampler = rp.MaskSampler(network(), rp.GumbelTopK(0.2), 0.9, seed=seed)
        torch.manual_seed(seed)  # the global random state has no effect
        return Loop(sampler, regrow=regrow).run(14).pruning.history

    for regrow in (None, "set", "rigl"):
        assert history(1, regrow) == history(1, regrow) != history(2, regrow)


def test_a_mask_and_its_recipe_are_those_of_a_sampler_of_the_weights_of_that_moment():
    loop = Loop().run(5)
    before = loop.pruning.mask
    loop.run(8)
    weights = {name: loop.updated[name] * before[name] for name in SIZES}
    expected = rp.MaskSampler(weights, rp.Magnitude(), cubic(8, 0.9))
    assert loop.pruning.mask == expected.draw(0) and loop.pruning.recipe == expected.recipe(0)
    recipe = Recipe.from_dict(loop.pruning.recipe.to_dict())
    assert rp.MaskSampler.from_recipe(weights, recipe).draw(0) == loop.pruning.mask


def test_scores_that_the_sampler_was_given_stay_and_a_function_can_compute_others():
    generator = torch.Generator().manual_seed(0)
    scores = {name: torch.randn(weight.shape, generator=generator) for name, weight in Loop().prunable().items()}
    fixed = Loop(rp.MaskSampler(network(), rp.Magnitude(), 0.9, scores=scores, signed=True)).run(14)

    def taylor(model, sparsity):
        weights = {name: model.get_parameter(name) for name in SIZES}
        batch = torch.randn(16, 24, generator=torch.Generator().manual_seed(9))
        gradients = torch.autograd.grad(model(batch).square().sum(), [*weights.values()])
        found = {name: (w * g).abs().detach() for (name, w), g in zip(weights.items(), gradients, strict=True)}
        return rp.MaskSampler(model, rp.Magnitude(), sparsity, scores=found)

    grown = Loop(taylor, final=0.9, regrow="rigl", begin=0.5).run(14)
    for name, size in SIZES.items():
        kept = fixed.pruning.mask[name]
        assert torch.equal(
            kept.flatten().nonzero().flatten(), scores[name].flatten().topk(kept.sum()).indices.sort()[0]
        )
        assert int(kept.sum()) == int(grown.pruning.mask[name].sum()) == size - round(0.9 * size)


def test_while_nothing_is_removed_there_is_no_mask_and_no_recipe():
    pruning = Loop(begin=1e-5, schedule=lambda progress: float(progress == 1), start=0, end=2, every=1).run(1).pruning
    assert not pruning.mask and pruning.recipe is None and pruning.history == []


# --- regrowth ---


@pytest.mark.parametrize("gradients", [False, True], ids=["gradients of all", "masked gradients"])
def test_rigl_brings_back_the_largest_gradients(gradients):
    """The oracle: drop the smallest of the kept weights, then add the largest gradients of the step to the rest."""
    loop = Loop(regrow="rigl", fraction=0.4, gradients=gradients, begin=0.5).run(7)
    old = loop.pruning.mask
    loop.run(8)
    fraction = 0.4 / 2 * (1 + torch.cos(torch.tensor(torch.pi * (8 - 2) / 12)).item())
    for name, size in SIZES.items():
        k, new = size - round(cubic(8, 0.9, begin=0.5) * size), loop.pruning.mask[name].flatten()
        back = round(fraction * k)
        magnitude = torch.where(old[name], loop.updated[name].abs(), 0).flatten()
        survivors = torch.zeros(size, dtype=torch.bool).index_fill_(0, magnitude.topk(k - back).indices, True)
        free = torch.where(survivors, -1.0, loop.gradients[name].abs().flatten())
        expected = survivors.index_fill(0, free.topk(back).indices, True)
        assert torch.equal(new, expected) and int(new.sum()) == k
        assert (new & ~old[name].flatten()).any(), "some were removed before"


@pytest.mark.parametrize("regrow", ["set", "rigl"])
def test_what_regrows_begins_at_zero_and_the_optimizer_has_forgotten_it(regrow):
    loop = Loop(regrow=regrow, begin=0.5).run(7)
    old = loop.pruning.mask
    loop.run(8)
    for name, weight in loop.prunable().items():
        back, gone = loop.pruning.mask[name] & ~old[name], old[name] & ~loop.pruning.mask[name]
        stay = loop.pruning.mask[name] & old[name]
        assert back.any() and gone.any() and not weight.detach()[back].any()
        for memory in loop.memory(name):
            assert not memory[back | gone].any() and memory[stay].any()
    loop.run(9)
    moved = [weight.detach()[loop.pruning.mask[name] & ~old[name]].any() for name, weight in loop.prunable().items()]
    assert all(moved), "what regrew is trained"


def test_set_brings_back_each_removed_weight_with_the_same_probability():
    """Chi-square over 400 seeds; false alarm below 1e-4 for seeds that are fixed."""
    from scipy.stats import chisquare

    mask = rp.MaskSet({"w": torch.arange(20) < 8})
    counts: Counter[int] = Counter()
    for seed in range(400):
        keys = Regrowth("set").keys(None, seed, 0, step=3)
        new = grown(mask, {"w": 11}, keys)["w"]
        assert int(new.sum()) == 11 and new[:8].all()
        counts.update(new[8:].nonzero().flatten().tolist())
    assert len(counts) == 12 and chisquare([*counts.values()]).pvalue > 1e-4
    one, other = (grown(mask, {"w": 11}, Regrowth("set").keys(None, 0, 0, step)) for step in (3, 4))
    assert one != other, "each redraw has random numbers of its own"


def test_of_equal_gradients_the_first_come_back():
    mask = rp.MaskSet({"w": torch.tensor([True, False, False, False, False, False])})
    gradients = {"w": torch.tensor([9.0, 1.0, -2.0, 1.0, -1.0, 2.0])}
    for number, expected in [(1, [0]), (2, [0, 2]), (3, [0, 2, 5]), (4, [0, 1, 2, 5]), (6, [0, 1, 2, 3, 4, 5])]:
        new = grown(mask, {"w": number}, Regrowth("rigl").keys(gradients, 0, 0, 1))
        assert new["w"].nonzero().flatten().tolist() == expected


def test_the_fraction_falls_along_a_cosine():
    regrowth = Regrowth("rigl", 0.3)
    assert [regrowth.fraction_at(x) for x in (0, 1 / 3, 0.5, 1)] == pytest.approx([0.3, 0.225, 0.15, 0])


def test_regrown_weights_whose_gradient_is_zero_are_replaced_first_not_refused():
    """Weights at dead inputs stay at zero; then there are fewer non-zero weights than are kept."""
    loop = Loop(regrow="set", fraction=0.9, begin=0.9, start=1, every=1)
    with torch.no_grad():
        loop.model[0].weight.mul_(0.01)
        loop.model[0].bias.fill_(-5.0)  # no unit is active, so no weight has a gradient
    for group in loop.optimizer.param_groups:
        group["weight_decay"] = 0.0
    loop.run(3)
    kept = loop.pruning.mask["2.weight"]
    assert int(loop.model[2].weight[kept].count_nonzero()) < int(kept.sum()) == 60
    loop.run(14)
    assert int(loop.pruning.mask["2.weight"].sum()) == 60


def test_a_recipe_of_a_regrown_mask_names_it_and_is_never_rebuilt():
    loop = Loop(regrow="rigl", begin=0.5).run(8)
    recipe = loop.pruning.recipe
    assert recipe.regrowth == {"kind": "rigl", "step": 8}
    assert Recipe.from_dict(recipe.to_dict()) == recipe and recipe.to_dict()["regrowth"] == recipe.regrowth
    with pytest.raises(MaskError, match=r"the mask was regrown \(rigl\) after step 8, .* cannot be drawn from weights"):
        rp.MaskSampler.from_recipe(loop.model, recipe)
    plain = rp.MaskSampler(loop.model, rp.Magnitude(), 0.99).recipe(0)
    assert "regrowth" not in plain.to_dict(), "recipes without it are the same bytes as before"
    with pytest.raises(FileError, match="regrowth"):
        Recipe.from_dict(with_check({**recipe.to_dict(), "regrowth": 3}))


# --- gradients ---


def test_gradients_are_collected_before_they_are_masked_over_all_backward_passes():
    model, kept = nn.Linear(3, 2), torch.tensor([[True, False, False]] * 2)
    x = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    expected = sum(torch.autograd.grad(model(part).square().sum(), model.weight)[0] for part in x)
    hooks = GradientMasks(rp.MaskSet({"weight": kept}), model, collect=True)
    for part in x:
        model(part).square().sum().backward()
    assert torch.allclose(hooks.dense["weight"], expected)
    assert torch.allclose(model.weight.grad, expected * kept)


def test_gradients_are_summed_over_processes(monkeypatch):
    """Hooks see the gradients of their own process, and masks must be the same in all; the other one is made up."""
    model, kept = nn.Linear(3, 2), torch.tensor([[True, False, False]] * 2)
    hooks = GradientMasks(rp.MaskSet({"weight": kept}), model, collect=True)
    model(torch.ones(3)).sum().backward()
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor: tensor.add_(10.0))
    for _ in range(2):  # to read them changes nothing
        assert torch.equal(hooks.dense["weight"], torch.full((2, 3), 11.0))


# --- refusals ---


def test_a_sampler_of_another_model_is_refused():
    other = rp.MaskSampler(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2)), rp.Magnitude(), 0.9)
    with pytest.raises(MaskError, match="the sampler has 1 tensors that are not those of Sequential, which has 2"):
        Loop(other)


def test_a_function_must_return_what_was_asked_for():
    for wrong in (lambda model, sparsity: None, lambda model, sparsity: rp.MaskSampler(model, rp.Magnitude(), 0.5)):
        with pytest.raises(ConfigError, match=r"must return a MaskSampler with sparsity 0\.9, got"):
            Loop(wrong, final=0.9)


def test_a_function_whose_tensors_change_is_refused():
    """The weights that the mask before removed would come back."""

    def sampler(model, sparsity):
        return rp.MaskSampler(model, rp.Magnitude(), sparsity, include=["0.weight" if sparsity < 0.5 else "2.weight"])

    with pytest.raises(MaskError, match=r"the mask has '0\.weight', and the sampler '2\.weight'; make the sampler for"):
        Loop(sampler, 1, 9, 2, final=0.9, schedule="linear").run(9)


def test_whole_numbers_of_other_libraries_are_steps():
    numbers = np.int64(2), np.int32(14), np.uint8(3)
    assert Loop(None, *numbers).run(14).masks == Loop().run(14).masks


def test_frozen_weights_have_no_gradients_to_regrow_by():
    with pytest.raises(ConfigError, match=r"needs gradients, and '2\.weight' is frozen; thaw it"):
        Loop(regrow="rigl", frozen=("2.weight",))
    Loop(regrow="set", frozen=("2.weight",))
    training = GradualTraining(
        GradualMasks(rp.MaskSampler(network(), rp.Magnitude(), 0.9), 0, 9, 3, schedule="constant", regrow="rigl"),
        network(),
        9,
    )
    training.redraw(0)
    with pytest.raises(ConfigError, match=r"needs the gradient of '0\.weight', which had none"):
        training.redraw(3)
    infinite = {name: torch.full(kept.shape, torch.inf) for name, kept in training.mask.items()}
    with pytest.raises(WeightError, match="is not finite"):
        training.redraw(3, infinite)


def test_own_loops_are_checked():
    model = network()
    sampler = rp.MaskSampler(model, rp.Magnitude(), 0.9)
    with pytest.raises(ConfigError, match=r"give it: optimizer=\.\.\."):
        rp.GradualPruning(sampler, 0, 9, 3, regrow="set", model=model)
    with pytest.raises(ConfigError, match=r"start 0\.1 is a fraction of the training, whose number of steps is not"):
        rp.GradualPruning(sampler, 0.1, 0.9, 3, model=model)
    with pytest.raises(ConfigError, match="end must be at most 8, the number of steps of the training, got 9"):
        rp.GradualPruning(sampler, 0, 9, 3, model=model, steps=8)
    pruning = rp.GradualPruning(sampler, 0.0, 1.0, 3, model=model, steps=9)
    for step in (2, 0, 1):
        if step != 1:
            with pytest.raises(ConfigError, match=rf"with 1 now, got {step}; to continue a training, load its state"):
                pruning.step(step)
        else:
            pruning.step(step)
    with pytest.raises(MaskError, match="come from its schedule"):
        pruning.mask = {}
    without = rp.GradualPruning(sampler, 0, 9, 3)
    for attempt in (lambda: without.step(1), without.state_dict, lambda: without.load_state_dict({})):
        with pytest.raises(MaskError, match=r"GradualPruning\(\.\.\., model=model\)"):
            attempt()
    assert without.history == [] and without.recipe is None and without.sparsity == 0 and not without.mask


def test_masks_by_rows_follow_a_schedule_and_do_not_regrow():
    def sampler() -> rp.MaskSampler:
        return rp.MaskSampler(network(), rp.Magnitude(), 0.9, allocation="row")

    with pytest.raises(ConfigError, match="the sampler has an allocation by rows; leave regrow out"):
        Loop(sampler(), regrow="set")
    for mask in Loop(sampler()).run(14).masks:
        rows = mask["0.weight"].sum(1)
        assert int(rows.max() - rows.min()) <= 1


def test_in_half_precision_what_regrew_comes_after_the_smallest_weights():
    model = nn.Sequential(nn.Linear(4, 1, bias=False)).to(torch.float16)
    model[0].weight.data[:] = torch.tensor([[0.0, 3e-5, 5e-5, 1.0]])  # two of them below the smallest normal number
    with visible(model, rp.MaskSet({"0.weight": torch.ones(1, 4, dtype=torch.bool)})):
        kept = rp.MaskSampler(model, rp.Magnitude(), 0.5, include=["0.weight"]).draw(0)["0.weight"]
    assert kept.tolist() == [[False, False, True, True]] and model[0].weight[0, 0] == 0
