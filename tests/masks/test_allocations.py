"""Laws of allocations: exact counts with zeros, stacks and Conv1D; rows; outliers; budgets; recipes without plugins."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from support.exact_laws import check_law, successive_law
from torch import Tensor, nn

from randprune_lab.errors import ConfigError, RandpruneError, ScopeError, WeightError
from randprune_lab.masks import ALLOCATIONS, Allocation, MaskSampler, MaskSet, Recipe, tensor_counts
from randprune_lab.masks.allocations import Around, Owl, Row, Sensitive
from randprune_lab.masks.curve import Histogram
from randprune_lab.masks.rows import row_counts
from randprune_lab.masks.rules import GumbelTopK, Magnitude, Rule, Uniform, Voting
from randprune_lab.masks.sparsity import keep_count

SPARSITIES = (0.0, 0.3, 0.54, 0.9, 0.9375, 0.99)
EVERY = [
    "layerwise",
    "global",
    "erk",
    "row",
    "owl",
    "around",
    Row("owl"),
    Row("global"),
    Around("global"),
    Around("owl"),
]


@pytest.fixture(autouse=True)
def own_allocations(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers is gone after it."""
    monkeypatch.setattr(ALLOCATIONS, "_classes", dict(ALLOCATIONS._classes))
    yield


def weights(*, zeros: float = 0.0) -> dict[str, Tensor]:
    """A matrix, a small one, a stack of experts and a heavy-tailed matrix."""
    rng = np.random.default_rng(0)
    shapes = {"q": (40, 30), "small": (6, 5), "experts": (3, 20, 12), "heavy": (30, 50)}
    found = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    found["heavy"] = rng.standard_t(2, shapes["heavy"])
    for values in found.values():
        values[rng.random(values.shape) < zeros] = 0
    return {name: torch.from_numpy(values.astype(np.float32)) for name, values in found.items()}


def shapes_of(target: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(weight.shape) for name, weight in target.items()}


def conv1d() -> nn.Module:
    """Two blocks of GPT-2's linear layer, whose weight has a row for each input."""
    from transformers.pytorch_utils import Conv1D

    model, generator = nn.Module(), torch.Generator().manual_seed(0)
    model.blocks = nn.ModuleList([Conv1D(12, 8), Conv1D(8, 16)])
    for weight in (block.weight for block in model.blocks):
        weight.data = torch.randn(weight.shape, generator=generator)
    return model


def counts(mask: MaskSet) -> dict[str, int]:
    return {name: int(part.sum()) for name, part in mask.items()}


def again(sampler: MaskSampler, target: Any) -> MaskSampler:
    recipe = Recipe.from_dict(json.loads(json.dumps(sampler.recipe(1).to_dict())))
    return MaskSampler.from_recipe(target, recipe)


# --- exact counts ---


@pytest.mark.parametrize("allocation", EVERY, ids=str)
@pytest.mark.parametrize("zeros", [0.0, 0.4])
@pytest.mark.parametrize("rule", [Magnitude(), Voting(sampling_ratio=0.01)], ids=["magnitude", "voting"])
def test_counts_are_exact_and_zeros_stay_pruned(allocation: Any, zeros: float, rule: Rule) -> None:
    """With zeros, a smaller sparsity than theirs is one error."""
    target = weights(zeros=zeros)
    sizes = {name: weight.numel() for name, weight in target.items()}
    alive = {name: int(weight.count_nonzero()) for name, weight in target.items()}
    total = sum(sizes.values())
    for sparsity in SPARSITIES:
        each = {name: keep_count(size, sparsity) for name, size in sizes.items()}
        by_name = allocation in ("layerwise", "row")
        wanted = sum(each.values()) if by_name else keep_count(total, sparsity)
        if wanted > sum(alive.values()) or (by_name and any(each[name] > alive[name] for name in each)):
            with pytest.raises(WeightError, match="cannot keep"):
                MaskSampler(target, rule, sparsity, allocation=allocation)
            continue
        try:
            sampler = MaskSampler(target, rule, sparsity, allocation=allocation)
        except WeightError as error:
            assert allocation == "erk" and "cannot keep" in str(error)  # it does not look at the weights
            continue
        mask = sampler.draw(1)
        assert mask.kept == sampler.kept == wanted
        assert all(not bool(part[target[name] == 0].any()) for name, part in mask.items())
        if by_name:
            assert counts(mask) == each
        assert again(sampler, target).draw(1) == mask


@pytest.mark.parametrize("allocation", ["owl", "around", "global"])
def test_counts_by_tensor_need_no_sampler(allocation: str) -> None:
    target = weights()
    scores = {name: weight.abs() for name, weight in target.items()}
    found = tensor_counts(shapes_of(target), 0.9, allocation, scores)
    assert found == counts(MaskSampler(target, Magnitude(), 0.9, allocation=allocation).draw(0))


def test_erk_keeps_no_more_of_a_tensor_than_was_left_of_it_when_the_sparsity_rises() -> None:
    """Largest remainders alone would give a tensor one more weight where the total falls."""
    model = nn.ModuleList(nn.Linear(inputs, outputs) for outputs, inputs in ((8, 300), (8, 10), (64, 24), (32, 64)))
    for sparsity in np.linspace(0.88, 0.9, 41):
        mask = MaskSampler(model, Magnitude(), float(sparsity), allocation="erk", include=["*.weight"]).draw(0)
        assert mask.kept == keep_count(mask.size, float(sparsity))
        mask.apply_(model)


# --- rows ---


@pytest.mark.parametrize("rule", [Magnitude(), Uniform(), GumbelTopK(), Voting(sampling_ratio=0.05)], ids=str)
@pytest.mark.parametrize("sparsity", [0.3, 0.9, 0.99])
def test_every_output_keeps_the_same_number_up_to_one(rule: Rule, sparsity: float) -> None:
    target, model = weights(), conv1d()
    mask = MaskSampler(target, rule, sparsity, allocation="row").draw(3)
    of_rows = [part.reshape(-1, part.shape[-1]) for part in mask.values()]
    turned = MaskSampler(model, rule, sparsity, allocation="row").draw(3)
    for rows in (*of_rows, *(part.T for part in turned.values())):
        per_row = rows.sum(dim=1)
        assert int(per_row.max() - per_row.min()) <= 1
        assert int(per_row.sum()) == keep_count(rows.numel(), sparsity)
    turned.apply_(model)


def test_rows_of_magnitudes_are_the_largest_of_each_row() -> None:
    target = weights()
    mask = MaskSampler(target, Magnitude(), 0.9, allocation="row").draw(0)
    for name, weight in target.items():
        for row, kept in zip(weight.flatten(0, -2), mask[name].flatten(0, -2), strict=True):
            assert set(kept.nonzero().flatten().tolist()) == set(row.abs().topk(int(kept.sum())).indices.tolist())


def test_rows_of_experts_and_of_a_transposed_convolution_are_outputs_though_inputs_come_first() -> None:
    class Experts(nn.Module):
        is_transposed = True

        def __init__(self) -> None:
            super().__init__()
            self.down_proj = nn.Parameter(torch.randn(3, 10, 7, generator=torch.Generator().manual_seed(0)))

    experts = nn.ModuleList([nn.ModuleDict({"experts": Experts()})])
    name = "0.experts.down_proj"
    mask = MaskSampler(experts, Voting(sampling_ratio=0.1), 0.5, allocation="row").draw(0)[name]
    turned = {name: experts.get_parameter(name).mT}
    assert torch.equal(mask.mT, MaskSampler(turned, Voting(sampling_ratio=0.1), 0.5, allocation="row").draw(0)[name])
    assert (mask.sum(dim=1) == 5).all()
    chosen = {"include": ["0.weight"], "types": ["convolution"]}
    kernel, grouped = (nn.Sequential(nn.ConvTranspose2d(4, 6, 3, groups=groups)) for groups in (1, 2))
    mask = MaskSampler(kernel, Uniform(), 0.5, allocation="row", **chosen).draw(0)["0.weight"]
    assert (mask.sum(dim=(0, 2, 3)) == 18).all()
    MaskSampler(grouped, Uniform(), 0.5, **chosen)
    with pytest.raises(ScopeError, match=r"'0.weight' belongs to a transposed convolution in 2 groups"):
        MaskSampler(grouped, Uniform(), 0.5, allocation="row", **chosen)


def test_channels_of_a_convolution_are_rows() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Linear(4, 2))
    mask = MaskSampler(model, Uniform(), 0.8, allocation="row", include=["0.weight"], types=["convolution"]).draw(0)
    assert {int(part.sum()) for part in mask["0.weight"]} <= {5, 6}


def test_rows_follow_the_exact_law_of_successive_sampling() -> None:
    """2,000 independent rows of the same four weights in one draw; false alarm 1e-6, as in `check_law`."""
    four = np.array([1.0, 1.2, 0.9, 1.4])
    tiled = {"w": torch.from_numpy(np.tile(four, (2000, 1)))}
    mask = MaskSampler(tiled, GumbelTopK(0.5), 0.5, allocation="row").draw(0)["w"]
    check_law([tuple(row.nonzero()[0].tolist()) for row in mask.numpy()], successive_law(four**2, 2))


def test_a_rule_without_votes_draws_rows_by_its_curve() -> None:
    """Frequencies over 4,000 equal rows are within 6 standard errors, and 0.01 for Pareto sampling, of the curve."""

    @dataclass(frozen=True)
    class Half(Rule):
        name: ClassVar[str] = "half"

        def inclusion(self, histogram: Histogram, k: int) -> np.ndarray:
            return (Magnitude().inclusion(histogram, k) + Uniform().inclusion(histogram, k)) / 2

    row = np.linspace(1, 2, 10)
    sampler = MaskSampler({"w": torch.from_numpy(np.tile(row, (4000, 1)))}, Half(), 0.6, allocation="row")
    q = Half().curve(Histogram.from_scores(row), 4).inclusion
    frequency = sampler.draw(0)["w"].double().mean(dim=0).numpy()
    assert np.abs(frequency - q).max() < 6 * 0.5 / np.sqrt(4000) + 0.01
    assert sampler.expected_hamming().overall == pytest.approx(4000 * np.sum(2 * q * (1 - q)))
    assert sampler.undecided == 40_000


def test_the_rows_that_keep_one_more_are_spread_evenly() -> None:
    more = np.flatnonzero(row_counts(np.full(100, 9), 240) == 3)
    assert len(more) == 40 and set(np.diff(more)) == {2, 3}


def test_rows_with_few_weights_keep_these_and_the_others_share_the_rest() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        nonzero = rng.integers(0, 9, size=rng.integers(1, 8))
        k = int(rng.integers(0, nonzero.sum() + 1))
        found = row_counts(nonzero, k)
        assert found.sum() == k and (found <= nonzero).all()
        free = found[found < nonzero]
        assert not len(free) or found.max() - free.min() <= 1


def test_signed_scores_enter_rows_by_their_rank_in_the_row() -> None:
    target = {"w": weights()["q"]}
    signed = {"w": torch.randn(40, 30, generator=torch.Generator().manual_seed(1))}
    mask = MaskSampler(target, Magnitude(), 0.9, scores=signed, signed=True, allocation="row").draw(0)["w"]
    assert all(bool(scores[kept].min() >= scores[~kept].max()) for scores, kept in zip(signed["w"], mask, strict=True))


def test_a_mask_of_rows_is_named_by_seed_candidate_and_weights() -> None:
    target = weights()
    sampler = MaskSampler(target, Voting(), 0.9, allocation="row", seed=2)
    assert sampler.draw(0) == MaskSampler(target, Voting(), 0.9, allocation="row", seed=2).draw(0)
    assert sampler.draw(0) != sampler.draw(1)
    assert sampler.draw(0) != MaskSampler(target, Voting(), 0.9, allocation="row", seed=3).draw(0)
    other = {name: 1.5 * weight for name, weight in target.items()}
    assert sampler.fingerprint != MaskSampler(other, Voting(), 0.9, allocation="row", seed=2).fingerprint


# --- outliers, and random allocations ---


@pytest.mark.parametrize("sparsity", [0.7, 0.95])
def test_owl_is_the_papers_formula_with_an_exact_total(sparsity: float) -> None:
    target, m, lam = weights(), 5.0, 0.08
    ratios = []
    for weight in target.values():
        values = [abs(value) for value in weight.flatten().tolist()]
        mean = sum(values) / len(values)
        ratios.append(sum(value > m * mean for value in values) / len(values))
    span = min(lam, (1 - sparsity) / 2)
    scaled = [(ratio - min(ratios)) / (max(ratios) - min(ratios)) * 2 * span for ratio in ratios]
    sizes = [weight.numel() for weight in target.values()]
    mean = sum(s * n for s, n in zip(scaled, sizes, strict=True)) / sum(sizes)
    wanted = [(1 - sparsity + s - mean) * n for s, n in zip(scaled, sizes, strict=True)]
    found = counts(MaskSampler(target, Magnitude(), sparsity, allocation=Owl(m, lam)).draw(0))
    assert sum(found.values()) == keep_count(sum(sizes), sparsity)
    assert np.abs(np.array([*found.values()]) - wanted).max() < 1.5  # rounding, of the total too


def test_a_random_allocation_has_its_spread_and_its_middle() -> None:
    """The log-odds of 300 allocations: mean and deviation within 5 standard errors of the middle and the spread."""
    shapes = dict.fromkeys("abcdefgh", (200, 200))
    drawn = [tensor_counts(shapes, 0.8, Around(spread=0.5, seed=seed)) for seed in range(300)]
    density = np.array([[*each.values()] for each in drawn]) / 40_000
    odds = np.log(density / (1 - density))
    odds -= odds.mean(axis=1, keepdims=True)  # the exact total moves all tensors alike
    assert np.abs(odds.mean(axis=0)).max() < 5 * 0.5 / np.sqrt(300)
    assert odds.std() == pytest.approx(0.5 * np.sqrt(7 / 8), rel=5 / np.sqrt(2 * 300 * 8))
    assert tensor_counts(shapes, 0.8, Around("erk", spread=0.0)) == tensor_counts(shapes, 0.8, "erk")


# --- allocations of your own ---


def test_masks_of_an_allocation_of_your_own_are_rebuilt_without_it() -> None:
    @dataclass(frozen=True)
    class OneDense(Allocation):
        dense: str = "small"
        name: ClassVar[str] = "one-dense"

        def counts(self, shapes: Any, sparsity: Any, scores: Any, kernels: Any = ()) -> dict[str, int]:
            sizes = {name: int(np.prod(shape)) for name, shape in shapes.items()}
            rest = keep_count(sum(sizes.values()), sparsity) - sizes[self.dense]
            return {name: sizes[name] if name == self.dense else rest if name == "q" else 0 for name in shapes}

    target = weights()
    for allocation in ("one-dense", OneDense("small"), Row(OneDense())):
        sampler = MaskSampler(target, Voting(), 0.9, allocation=allocation)
        mask = sampler.draw(1)
        assert counts(mask)["small"] == 30 and counts(mask)["heavy"] == 0
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ALLOCATIONS, "_classes", {n: c for n, c in ALLOCATIONS.items() if n != "one-dense"})
            assert again(sampler, target).draw(1) == mask


@pytest.mark.parametrize("compared", ["tensor", "row", "all"])
@pytest.mark.parametrize("by_shape", [False, True])
def test_a_mask_of_your_own_allocation_is_rebuilt_whatever_it_compares(compared: str, by_shape: bool) -> None:
    @dataclass(frozen=True)
    class First(Allocation):
        extra: int = 1
        name: ClassVar[str] = "first"

        def counts(self, shapes: Any, sparsity: Any, scores: Any, kernels: Any = ()) -> dict[str, int]:
            found = tensor_counts(shapes, sparsity, "erk")
            return found | {"q": found["q"] + self.extra, "heavy": found["heavy"] - self.extra}

    First.compared, First.by_shape = compared, by_shape  # type: ignore[assignment]
    for rule in (Magnitude(), Voting(sampling_ratio=0.1)):
        sampler = MaskSampler(weights(), rule, 0.9, allocation=First(extra=7))
        assert again(sampler, weights()).draw(3) == sampler.draw(3)


def test_an_allocation_compares_what_is_known() -> None:
    with pytest.raises(ConfigError, match="compared of allocation Columns must be one of tensor, row, all, got 'col"):

        class Columns(Allocation):
            compared = "column"  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("sparsity", "rise", "message"),
    [
        (0.5, float("nan"), "the loss of 'q' at sparsity 0.5 rises by nan in the scan; leave such rows out"),
        (0.5, float("inf"), "the loss of 'q' at sparsity 0.5 rises by inf in the scan; leave such rows out"),
        (50.0, 0.1, "sparsity of 'q' in the scan must be in .0, 1., got 50"),
        (-0.5, 0.1, "sparsity of 'q' in the scan must be in .0, 1., got -0.5"),
    ],
)
def test_a_scan_without_numbers_is_refused(sparsity: float, rise: float, message: str) -> None:
    """Their order is undefined, and counts would follow from it."""
    with pytest.raises(ConfigError, match=message):
        Sensitive([("q", sparsity, rise)])


def test_counts_of_your_own_allocation_that_do_not_match_are_refused() -> None:
    @dataclass(frozen=True)
    class Wrong(Allocation):
        name: ClassVar[str] = "wrong"

        def counts(self, shapes: Any, sparsity: Any, scores: Any, kernels: Any = ()) -> dict[str, int]:
            return dict.fromkeys(shapes, 1)

    with pytest.raises(ConfigError, match=r"allocation must have a count for each of .* and 345 in total"):
        MaskSampler(weights(), Uniform(), 0.9, allocation="wrong")


@pytest.mark.parametrize(
    ("allocation", "error", "message"),
    [
        (Row, ConfigError, "allocation must be one of .* or an Allocation, got"),
        ({"row": "layer"}, ConfigError, "unknown allocation 'layer'"),
        ({"row": "row"}, ConfigError, "base of allocation 'row' must not be 'row'"),
        ("counts", ConfigError, "allocation must have a count for each of"),
        ({"q": 345}, ConfigError, "allocation must have a count for each of"),
    ],
    ids=["class", "unknown base", "row of rows", "no counts", "some counts"],
)
def test_what_is_no_allocation_is_named(allocation: Any, error: type[RandpruneError], message: str) -> None:
    with pytest.raises(error, match=message):
        MaskSampler(weights(), Uniform(), 0.9, allocation=allocation)


@pytest.mark.parametrize("allocation", ["owl", "global", "row", "around"])
def test_weights_that_are_not_finite_are_named_before_they_are_divided(allocation: str) -> None:
    sick = weights()
    sick["q"][0, 0] = float("nan")
    with pytest.raises(WeightError, match="1 of the weights of 'q' are NaN or infinite"):
        MaskSampler(sick, Voting(), 0.9, allocation=allocation)


@pytest.mark.parametrize("settings", [{"m": 0.0}, {"lam": -0.1}, {"lam": 2.0}], ids=str)
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="must be in"):
        Owl(**settings)
