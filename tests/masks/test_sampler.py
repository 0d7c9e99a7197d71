"""MaskSampler: exact counts, masks named by integers, the distribution of the curve, and errors with a remedy."""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor, nn

from randprune_lab.errors import ConfigError, RandpruneError, ScopeError, WeightError
from randprune_lab.masks.allocations import keep_counts
from randprune_lab.masks.counter_rng import random_bits, salts
from randprune_lab.masks.curve import BUCKETINGS, Histogram, InclusionCurve
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.plan import _grid
from randprune_lab.masks.reference import vote
from randprune_lab.masks.rules import GumbelTopK, Magnitude, Rule, Uniform, Voting
from randprune_lab.masks.sampler import REFERENCE_BELOW, MaskSampler

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

FALSE_ALARM = 1e-6
"""The probability that a correct sampler would have failed one statistical test; seeds are fixed, so nothing varies."""

ALLOCATIONS = ("layerwise", "global", "erk")

RULES: list[Rule] = [Magnitude(), Uniform(), GumbelTopK(), Voting(sampling_ratio=2e-3)]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def heavy_tailed(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_t(5, shape).astype(np.float32))


def flat(weights: dict[str, Tensor]) -> Tensor:
    return torch.cat([weight.reshape(-1) for weight in weights.values()])


def groups_of(names: list[str], allocation: str) -> dict[str, list[str]]:
    return {"global": names} if allocation == "global" else {name: [name] for name in names}


def top(weights: dict[str, Tensor], k: int) -> dict[str, Tensor]:
    """The k largest magnitudes, equal ones by tensor order and then by index: the definition, by a stable sort."""
    order = np.argsort(-flat(weights).abs().double().numpy(), kind="stable")
    kept = torch.zeros(len(order), dtype=torch.bool)
    kept[order[:k]] = True
    parts = kept.split([weight.numel() for weight in weights.values()])
    return {name: part.view(weights[name].shape) for name, part in zip(weights, parts, strict=True)}


# --- exact counts, always ---


@dataclass(frozen=True)
class Case:
    weights: dict[str, Tensor]
    rule: Rule
    sparsity: float
    allocation: str
    reference_below: int


SHAPES = [(1,), (7,), (0, 3), (5, 4), (4, 1, 3), (2, 3, 2, 5), (40, 30)]
VALUES: dict[str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "wide": lambda rng, shape: 10.0 ** rng.uniform(-4, 4, shape),
    "ties": lambda rng, shape: rng.integers(-3, 4, shape),
    "close": lambda rng, shape: 1 + rng.integers(0, 50, shape) * 2.0**-20,  # one bucket, yet an order
    "equal": lambda rng, shape: np.full(shape, -0.7),
    "sparse": lambda rng, shape: rng.standard_normal(shape) * (rng.random(shape) < 0.2),
    "zero": lambda rng, shape: np.zeros(shape),
}


@st.composite
def cases(draw: st.DrawFn, dtypes: tuple[torch.dtype, ...], rules: st.SearchStrategy[Rule]) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dtype = draw(st.sampled_from(dtypes))
    weights = {}
    for name in ["b", "a", "c"][: draw(st.integers(1, 3))]:
        values = VALUES[draw(st.sampled_from(sorted(VALUES)))](rng, draw(st.sampled_from(SHAPES)))
        weights[name] = torch.from_numpy(values).to(dtype)
    return Case(
        weights,
        draw(rules),
        draw(st.one_of(st.floats(0, 1, exclude_max=True), st.sampled_from([0.0, 0.5, 0.9, 1 - 1e-9]))),
        draw(st.sampled_from(ALLOCATIONS)),
        draw(st.sampled_from([0, REFERENCE_BELOW])),
    )


random_rules = st.one_of(
    st.just(Uniform()),
    st.builds(GumbelTopK, temperature=st.sampled_from([1e-3, 0.2, 5.0, 1e6])),
    st.builds(Voting, sampling_ratio=st.sampled_from([1e-4, 0.02]), power=st.sampled_from([0.0, 1.0, 5.0, 60.0])),
)


def check_counts(case: Case) -> None:
    shapes = {name: tuple(weight.shape) for name, weight in case.weights.items()}
    groups = groups_of(list(case.weights), case.allocation)
    nonzero = {group: sum(int(case.weights[name].count_nonzero()) for name in groups[group]) for group in groups}
    options = {"allocation": case.allocation, "reference_below": case.reference_below}
    total = sum(keep_counts(shapes, case.sparsity, case.allocation).values())
    if case.allocation == "erk" and total > sum(nonzero.values()):
        with pytest.raises(WeightError, match=f"cannot keep {total:,} weights: only {sum(nonzero.values()):,} are not"):
            MaskSampler(case.weights, case.rule, case.sparsity, **options)
        return
    keep = keep_counts(shapes, case.sparsity, case.allocation, scores=case.weights)
    assert sum(keep.values()) == total
    if short := [group for group in groups if keep[group] > nonzero[group]]:
        with pytest.raises(WeightError, match=f"cannot keep {keep[short[0]]:,} weights of '{short[0]}'"):
            MaskSampler(case.weights, case.rule, case.sparsity, **options)
        return
    sampler = MaskSampler(case.weights, case.rule, case.sparsity, **options)
    assert sampler.size == sum(weight.numel() for weight in case.weights.values())
    assert sampler.kept == sum(keep.values())
    for candidate in (0, 1):
        mask = sampler.draw(candidate)
        assert {name: tuple(mask[name].shape) for name in mask} == shapes
        for group, names in groups.items():
            assert sum(int(mask[name].sum()) for name in names) == keep[group]
            if case.rule.deterministic:
                expected = top({name: case.weights[name] for name in names}, keep[group])
                assert all(torch.equal(mask[name], expected[name]) for name in names)
        for name, weight in case.weights.items():
            assert not bool(mask[name][weight == 0].any())


small_floats = (torch.float16, torch.bfloat16, torch.float32)


@given(case=cases(small_floats, random_rules))
@settings(max_examples=120)
def test_every_mask_keeps_exactly_the_promised_number_and_no_zero(case: Case) -> None:
    check_counts(case)


@given(case=cases(small_floats, st.just(Magnitude())))
@settings(max_examples=100)
def test_magnitude_keeps_the_largest_with_ties_by_tensor_and_index(case: Case) -> None:
    check_counts(case)


@given(case=cases((torch.float64,), st.one_of(random_rules, st.just(Magnitude()))))
@settings(max_examples=6)
def test_float64_weights_obey_the_same_laws(case: Case) -> None:
    """Fewer examples, since the float64 histogram has 8 million buckets."""
    check_counts(case)


@pytest.mark.parametrize("rule", [*RULES, GumbelTopK(1e-12), GumbelTopK(1e12), Voting(1e6, power=1e12)])
@pytest.mark.parametrize("n", [1, 2, 3, 100, 2000])
@pytest.mark.parametrize("sparsity", [0.01, 0.5, 0.9])
def test_the_count_is_exact_if_almost_no_or_almost_all_weights_are_undecided(
    rule: Rule, n: int, sparsity: float
) -> None:
    for weights in (normal(n), torch.full((n,), 0.3), torch.arange(n) * 1e-3 + 1.0):
        sampler = MaskSampler({"w": weights}, rule, sparsity, reference_below=0)
        assert {sampler.draw(candidate).kept for candidate in range(5)} == {n - round(sparsity * n)}


@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.03, 0.01, 0.003, 0.001])
def test_the_count_is_exact_from_much_randomness_to_none(temperature: float) -> None:
    for n in (10, 100, 1000):
        sampler = MaskSampler({"w": normal(n)}, GumbelTopK(temperature), 0.5, reference_below=0)
        assert {sampler.draw(candidate).kept for candidate in range(5)} == {n // 2}


def test_tiny_inclusion_probabilities_are_not_rounded_to_0_where_they_are_needed_to_reach_k() -> None:
    for k, q in [(1, 2.0**-26), (2**26 - 1, 1 - 2.0**-26)]:
        curve = InclusionCurve(Histogram(np.array([7]), np.array([0.5]), np.array([2**26]), zeros=0), np.array([q]), k)
        (inclusion,) = _grid(curve)
        assert 0 < inclusion < 2**25 and inclusion % 2 == 0


@pytest.mark.parametrize("ratio", [1.0, 100.0, 1e4])
def test_the_count_is_exact_for_any_number_of_rounds(ratio: float) -> None:
    sampler = MaskSampler({"w": normal(5000)}, Voting(sampling_ratio=ratio), 0.5)
    assert {sampler.draw(candidate).kept for candidate in range(3)} == {2500}


def test_every_mask_keeps_weights_with_inclusion_probability_1_and_none_with_0() -> None:
    """The probabilities are read from the curve at each weight's magnitude."""
    weights = heavy_tailed(20_000)
    sampler = MaskSampler({"w": weights}, Voting(sampling_ratio=3e-3), 0.9)
    q = inclusion(sampler, "w", weights)
    assert (q > 1 - 1e-9).sum() > 100 and (q < 1e-9).sum() > 5000
    for candidate in range(10):
        mask = sampler.draw(candidate)["w"].numpy()
        assert mask[q > 1 - 1e-9].all() and not mask[q < 1e-9].any()


# --- a mask is named by integers ---


def model_weights() -> dict[str, Tensor]:
    """Two tensors that are large enough for Pareto sampling, and one that is drawn by the reference procedure."""
    return {
        "b": heavy_tailed(90, 80, seed=1),
        "a": heavy_tailed(100, 60, seed=2),
        "c": heavy_tailed(30, 40, seed=3),
    }


every_rule_and_allocation = pytest.mark.parametrize(
    ("rule", "allocation"), [(rule, allocation) for rule in RULES for allocation in ALLOCATIONS], ids=str
)


def drawn(weights: dict[str, Tensor], rule: Rule, allocation: str, seed: int = 5, candidate: int = 3) -> MaskSet:
    return MaskSampler(weights, rule, 0.8, seed=seed, allocation=allocation).draw(candidate)


@every_rule_and_allocation
def test_the_same_integers_give_the_same_bits(rule: Rule, allocation: str) -> None:
    sampler = MaskSampler(model_weights(), rule, 0.8, seed=5, allocation=allocation)
    first = sampler.draw(3)
    sampler.draw(4)
    assert sampler.draw(3) == first == drawn(model_weights(), rule, allocation)


@every_rule_and_allocation
def test_other_candidates_and_seeds_give_other_masks_unless_the_rule_is_deterministic(
    rule: Rule, allocation: str
) -> None:
    first = drawn(model_weights(), rule, allocation)
    for other in (
        drawn(model_weights(), rule, allocation, candidate=4),
        drawn(model_weights(), rule, allocation, seed=6),
        drawn(model_weights(), rule, allocation, seed=3, candidate=5),
    ):
        assert all(torch.equal(first[name], other[name]) == rule.deterministic for name in first)


@every_rule_and_allocation
def test_the_global_generators_are_neither_read_nor_advanced(rule: Rule, allocation: str) -> None:
    def states() -> tuple[bytes, str, str]:
        return torch.get_rng_state().numpy().tobytes(), repr(np.random.get_state()), repr(random.getstate())  # noqa: NPY002

    masks = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        before = states()
        masks.append(drawn(model_weights(), rule, allocation))
        assert states() == before
    assert masks[0] == masks[1]


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_number_of_threads_does_not_matter(rule: Rule, threads: Callable[[int], None]) -> None:
    weights = {"w": heavy_tailed(300, 400)}
    masks = []
    for number in (1, 2):
        threads(number)
        masks.append(drawn(weights, rule, "layerwise"))
    assert masks[0] == masks[1]


@every_rule_and_allocation
def test_the_layout_in_memory_does_not_matter(rule: Rule, allocation: str) -> None:
    plain = model_weights()
    wide = {name: torch.stack([weight, torch.full_like(weight, 9.0)], dim=2) for name, weight in plain.items()}
    layouts = [
        {name: weight.t().contiguous().t() for name, weight in plain.items()},
        {name: weight[:, :, 0] for name, weight in wide.items()},
    ]
    for layout in layouts:
        assert not any(weight.is_contiguous() for weight in layout.values())
        assert drawn(layout, rule, allocation) == drawn(plain, rule, allocation)


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("chunk", [40, 1000, 2**22])
def test_the_chunk_size_does_not_matter(rule: Rule, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = {name: weight.half() for name, weight in model_weights().items()}
    expected = drawn(weights, rule, "global")
    for where in ("plan.CHUNK", "plan.COUNT_CHUNK", "pareto.CHUNK"):
        monkeypatch.setattr(f"randprune_lab.masks.{where}", chunk)
    assert drawn(weights, rule, "global") == expected


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_mask_of_a_tensor_does_not_depend_on_other_tensors_or_their_order(rule: Rule) -> None:
    weights = model_weights()
    whole = drawn(weights, rule, "layerwise")
    assert drawn({name: weights[name] for name in reversed(weights)}, rule, "layerwise") == whole
    for name, weight in weights.items():
        assert torch.equal(drawn({name: weight}, rule, "layerwise")[name], whole[name])


@pytest.mark.parametrize("rule", RULES[1:], ids=str)
def test_tensors_with_equal_weights_and_other_names_get_other_masks(rule: Rule) -> None:
    for weight in (model_weights()["b"], model_weights()["c"]):
        mask = drawn({"x": weight, "y": weight.clone()}, rule, "layerwise")
        assert not torch.equal(mask["x"], mask["y"])


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_sign_of_the_weights_and_a_power_of_two_do_not_matter(rule: Rule) -> None:
    weights = model_weights()
    expected = drawn(weights, rule, "global")
    assert drawn({name: -8.0 * weight for name, weight in weights.items()}, rule, "global") == expected


@pytest.mark.parametrize("rule", [GumbelTopK(), Voting(sampling_ratio=2e-3)], ids=str)
@pytest.mark.parametrize("factor", [0.1, 3.0, 1.2345])
def test_another_factor_matters_no_more_than_the_width_of_a_bucket(rule: Rule, factor: float) -> None:
    """log(score) changes by 1/1024 at most, and an inclusion probability by that times the slope of the curve."""
    weights = heavy_tailed(20_000)
    before, after = (MaskSampler({"w": w}, rule, 0.9) for w in (weights, factor * weights))
    change = np.abs(inclusion(after, "w", factor * weights) - inclusion(before, "w", weights))
    rounds = rule.votes(20_000, 2000).rounds
    assert change.max() < 5 * np.sqrt(rounds) / 1024
    assert after.expected_hamming().overall == pytest.approx(before.expected_hamming().overall, rel=2e-3)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_permuting_the_weights_permutes_the_inclusion_probabilities(rule: Rule) -> None:
    weights = heavy_tailed(6000)
    order = torch.randperm(6000, generator=torch.Generator().manual_seed(0))
    before, after = (MaskSampler({"w": w}, rule, 0.9) for w in (weights, weights[order]))
    assert np.array_equal(inclusion(after, "w", weights[order]), inclusion(before, "w", weights)[order.numpy()])


@pytest.mark.parametrize("n", [300, 20_000])
def test_voting_in_one_round_and_gumbel_top_k_draw_the_same_masks(n: int) -> None:
    voting, gumbel = (
        MaskSampler({"w": heavy_tailed(n)}, rule, 0.9)
        for rule in (Voting(sampling_ratio=1e-9, power=4.0), GumbelTopK(0.25))
    )
    assert all(voting.draw(candidate) == gumbel.draw(candidate) for candidate in range(5))


def test_small_groups_are_drawn_by_the_reference_procedure_and_others_are_not() -> None:
    weights = {"small": normal(20, 10, seed=1), "large": normal(1000, seed=2)}
    rule = Voting(sampling_ratio=0.05)
    sampler = MaskSampler(weights, rule, 0.7, seed=2, reference_below=1000)
    for name, by_reference in (("small", True), ("large", False)):
        scores = weights[name].flatten().abs().double().numpy()
        k = len(scores) - round(0.7 * len(scores))
        votes = rule.votes(len(scores), k)
        for candidate in range(3):
            expected = vote(scores, k, votes, seed=2, candidate=candidate, group=name)
            assert np.array_equal(sampler.draw(candidate)[name].flatten().numpy(), expected) == by_reference


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_training_after_planning_changes_no_mask(rule: Rule) -> None:
    weights = model_weights()
    sampler = MaskSampler(weights, rule, 0.8)
    first = sampler.draw(0)
    for weight in weights.values():
        weight.zero_()
    assert sampler.draw(0) == first


@every_rule_and_allocation
def test_masks_share_no_memory(rule: Rule, allocation: str) -> None:
    """Neither the next draw nor writing to a mask changes another mask."""
    sampler = MaskSampler(model_weights(), rule, 0.8, allocation=allocation)
    mask = sampler.draw(0)
    copy = MaskSet({name: part.clone() for name, part in mask.items()})
    sampler.draw(1)
    assert mask == copy
    for part in mask.values():
        part.zero_()
    assert sampler.draw(0) == copy


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_drawing_leaves_weights_and_gradients_alone(rule: Rule) -> None:
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32), 1, enable_nested_tensor=False)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    mask = MaskSampler(model, rule, 0.5).draw(0)
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert not any(part.requires_grad for part in mask.values())


PINNED = {
    "uniform, tensor": "61b366bad75c80992b3cabd0d96b4f69df8d2f87d7879df8516a3da91aea4b48",
    "gumbel, tensor": "b8dff15a25c3fb575f276fc2b027e482942a7a3c86b368d816ef2cd4c0ddebb1",
    "voting, global": "a4456e8d1706ab071fd9572a4c7079597dc6378c180dc82bd927328be5070cfd",
    "voting, erk, reference": "1d7af31d84bcd428fadc11d9a7eb3abf29c72c078bdd2690fa4ba81f9ec33295",
    "magnitude, global": "4e43517105972112ccb777ae53f191b536d6a152bb8215b9e6a7dbd6b2595a7c",
}


def pinned_masks() -> dict[str, str]:
    def integers(n: int, factor: int) -> Tensor:
        return ((torch.arange(n) * factor) % 1009 - 504).float()

    large = {"one": integers(6000, 7919).view(60, 100), "two": integers(9000, 104_729).view(100, 90)}
    small = {"one": integers(400, 7919).view(20, 20), "two": integers(300, 104_729).view(10, 30)}
    return {
        "uniform, tensor": MaskSampler(large, Uniform(), 0.75, seed=1).draw(2).sha256,
        "gumbel, tensor": MaskSampler(large, GumbelTopK(0.5), 0.9, seed=1).draw(2).sha256,
        "voting, global": MaskSampler(large, Voting(2e-3), 0.9, seed=1, allocation="global").draw(2).sha256,
        "voting, erk, reference": MaskSampler(small, Voting(2e-2), 0.9, seed=1, allocation="erk").draw(2).sha256,
        "magnitude, global": MaskSampler(large, Magnitude(), 0.9, allocation="global").draw(0).sha256,
    }


def test_masks_of_earlier_versions_can_be_drawn_again() -> None:
    """Runs record a mask by its integers, so these hashes must never change."""
    assert pinned_masks() == PINNED


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@every_rule_and_allocation
def test_cuda_draws_the_same_masks(rule: Rule, allocation: str) -> None:
    weights = model_weights()
    on_device = drawn({name: weight.cuda() for name, weight in weights.items()}, rule, allocation)
    assert all(mask.is_cuda for mask in on_device.values())
    assert on_device.to("cpu") == drawn(weights, rule, allocation)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_waits_no_more_often_for_many_tensors_than_for_few() -> None:
    def waits(tensors: int) -> int:
        weights = {f"w{i}": heavy_tailed(100, 100, seed=i).cuda() for i in range(tensors)}
        sampler = MaskSampler(weights, Voting(2e-3), 0.9, reference_below=0)
        sampler.draw(0)
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                sampler.draw(1)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        return len(caught)

    assert waits(30) == waits(3) > 0


# --- the distribution ---


def inclusion(sampler: MaskSampler, group: str, weights: Tensor) -> np.ndarray:
    """The inclusion probability of each weight, read from the curve of its group."""
    curve = sampler.curves[group]
    buckets = BUCKETINGS[weights.dtype].bucket(weights.reshape(-1)).numpy()
    return curve.inclusion[np.searchsorted(curve.histogram.buckets, buckets)]


@dataclass(frozen=True)
class Drawn:
    """Many candidates of two tensors in one group, as one matrix of candidates by weights."""

    sampler: MaskSampler
    weights: dict[str, Tensor]
    masks: np.ndarray

    @cached_property
    def q(self) -> np.ndarray:
        return inclusion(self.sampler, "global", flat(self.weights))

    @cached_property
    def kept(self) -> np.ndarray:
        return self.masks.sum(axis=0)

    @cached_property
    def parts(self) -> dict[str, slice]:
        """The columns of each tensor in the matrix."""
        sizes = [weight.numel() for weight in self.weights.values()]
        ends = np.cumsum(sizes).tolist()
        return dict(
            zip(
                self.weights,
                (slice(end - size, end) for size, end in zip(sizes, ends, strict=True)),
                strict=True,
            )
        )


CANDIDATES = 200
SETTINGS: list[tuple[Rule, float]] = [
    (Uniform(), 0.9),
    (GumbelTopK(0.2), 0.5),
    (GumbelTopK(1.0), 0.9),
    (Voting(sampling_ratio=1e-9), 0.9),
    (Voting(sampling_ratio=8e-4), 0.6),
    (Voting(sampling_ratio=3e-3), 0.9375),
]


@pytest.fixture(scope="module", params=SETTINGS, ids=str)
def many(request: pytest.FixtureRequest) -> Drawn:
    rule, sparsity = request.param
    weights = {"a": heavy_tailed(120, 100, seed=1), "b": heavy_tailed(80, 100, seed=2) / 2}
    sampler = MaskSampler(weights, rule, sparsity, seed=1, allocation="global", reference_below=0)
    masks = np.stack([flat(dict(sampler.draw(candidate))).numpy() for candidate in range(CANDIDATES)])
    return Drawn(sampler, weights, masks)


def check_bins(drawn: Drawn, order: np.ndarray, n_bins: int = 40) -> None:
    """Weights in this order, in bins, are kept as often as the curve says, within a z-limit shared by all bins.

    The spread is that of independent weights. The fixed number of kept weights makes the true spread smaller.
    """
    limit = stats.norm.isf(FALSE_ALARM / 2 / n_bins / len(SETTINGS))
    for part in np.array_split(order, n_bins):
        q = drawn.q[part]
        spread = np.sqrt(CANDIDATES * np.sum(q * (1 - q)))
        assert abs(drawn.kept[part].sum() - CANDIDATES * q.sum()) <= limit * spread + 1e-5 * CANDIDATES * len(part)


def test_inclusion_follows_the_curve_over_all_scores(many: Drawn) -> None:
    check_bins(many, np.argsort(flat(many.weights).abs().numpy()))


def test_inclusion_follows_the_curve_at_all_places(many: Drawn) -> None:
    check_bins(many, np.arange(len(many.q)))


def test_inclusion_follows_the_curve_for_every_weight(many: Drawn) -> None:
    """The sum of squared z-scores is too large if weights miss their probabilities or candidates are dependent."""
    chance = CANDIDATES * many.q * (1 - many.q) > 5
    q = many.q[chance]
    variance = CANDIDATES * q * (1 - q)
    squares = (many.kept[chance] - CANDIDATES * q) ** 2 / variance
    # A binomial's squared z-score has mean 1 and variance 2 + (1 - 6 q (1 - q)) / variance.
    z = np.sum(squares - 1) / np.sqrt(np.sum(2 + (1 - 6 * q * (1 - q)) / variance))
    assert chance.sum() > 300
    assert abs(z) < stats.norm.isf(FALSE_ALARM / 2 / len(SETTINGS))


def hamming_limits(q: np.ndarray, candidates: int) -> float:
    """The standard error of the mean distance over all pairs, for weights that are kept independently."""
    values, counts = np.unique(q.round(3), return_counts=True)
    kept = np.arange(candidates + 1)[:, None]
    distance = 2 * kept * (candidates - kept) / (candidates * (candidates - 1))
    chance = stats.binom.pmf(kept, candidates, values)
    variance = (chance * distance**2).sum(axis=0) - (chance * distance).sum(axis=0) ** 2
    return float(np.sqrt(np.sum(counts * variance)))


Z = stats.norm.isf(FALSE_ALARM / 2 / len(SETTINGS) / 3)
CLOSED_FORM_ERROR = 3e-3
"""The closed forms ignore that the weights of one mask compete for k places; the error is below this at N = 20,000."""


def test_pairs_of_candidates_are_as_far_apart_as_expected(many: Drawn) -> None:
    expected = many.sampler.expected_hamming()
    assert expected.overall == pytest.approx(sum(expected.per_tensor.values()))
    distance = 2 * many.kept * (CANDIDATES - many.kept) / (CANDIDATES * (CANDIDATES - 1))
    error = hamming_limits(many.q, CANDIDATES)
    assert abs(distance.sum() - expected.overall) <= Z * error + CLOSED_FORM_ERROR * expected.overall
    for name, part in many.parts.items():
        error = hamming_limits(many.q[part], CANDIDATES)
        assert abs(distance[part].sum() - expected.per_tensor[name]) <= (
            Z * error + CLOSED_FORM_ERROR * expected.per_tensor[name]
        )


def test_candidates_are_as_far_from_magnitude_as_expected(many: Drawn) -> None:
    expected = many.sampler.expected_distance_to_magnitude()
    assert expected.overall == pytest.approx(sum(expected.per_tensor.values()))
    best = MaskSampler(many.weights, Magnitude(), many.sampler.sparsity, allocation="global").draw(0)
    distance = (many.masks ^ flat(dict(best)).numpy()).mean(axis=0)
    for q, measured, limit in [
        (many.q, distance, expected.overall),
        *((many.q[part], distance[part], expected.per_tensor[name]) for name, part in many.parts.items()),
    ]:
        error = np.sqrt(np.sum(q * (1 - q)) / CANDIDATES)
        assert abs(measured.sum() - limit) <= Z * error + CLOSED_FORM_ERROR * limit


def test_neighbouring_candidates_are_no_closer_than_others(many: Drawn) -> None:
    for lag in (1, 2, 64):
        distance = (many.masks[lag:] ^ many.masks[:-lag]).sum(axis=1)
        expected = many.sampler.expected_hamming().overall
        # Distances of a chain of pairs are hardly correlated; the variance of a distance is about its mean.
        error = np.sqrt(expected / len(distance))
        assert abs(distance.mean() - expected) <= 1.5 * Z * error + CLOSED_FORM_ERROR * expected


def uniforms(seed: int, candidate: int, tensor: str, n: int) -> np.ndarray:
    """The definition: eight weights share 64 bits, a byte each; each weight has 16 more bits; all numbers are odd."""
    word, byte = np.divmod(np.arange(n), 8)
    salt = salts(torch.arange(-(-n // 8)), seed, tensor)[torch.from_numpy(word)]
    first = random_bits(salt, seed, candidate).numpy() >> (8 * byte) & 255
    rest = random_bits(salt + torch.from_numpy(byte), seed, candidate, purpose="rest").numpy()
    return (first << 17) + (rest & (2**17 - 1) | 1)


@pytest.mark.parametrize("rule", RULES[1:], ids=str)
@pytest.mark.parametrize(("n", "candidates"), [(6, 100), (60, 100), (600, 100), (6000, 30), (60_000, 4)])
@pytest.mark.parametrize("window", [None, 1e-9])
def test_a_mask_is_the_k_smallest_pareto_keys(
    rule: Rule, n: int, candidates: int, window: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The definition, by a full sort of `[u / (1 - u)] / [q / (1 - q)]`; too narrow a window must not change it."""
    if window:
        monkeypatch.setattr("randprune_lab.masks.pareto.WINDOW", window)
    weights = heavy_tailed(n, seed=n)
    sampler = MaskSampler({"w": weights}, rule, 0.7, seed=4, reference_below=0)
    one = 2**25
    q = 2 * np.round(inclusion(sampler, "w", weights) * one / 2)
    undecided = np.flatnonzero((q > 0) & (q < one))
    for candidate in range(candidates):
        u = uniforms(4, candidate, "w", len(undecided))
        u = np.where(q[undecided] > one / 2, one - u, u)  # for a likely weight, u decides whether it is removed
        keys = np.where(q == one, 0.0, np.inf)
        keys[undecided] = (u / (one - u)) * ((one - q[undecided]) / q[undecided])
        expected = np.zeros(n, dtype=bool)
        expected[np.argsort(keys, kind="stable")[: sampler.kept]] = True
        assert np.array_equal(expected, sampler.draw(candidate)["w"].numpy())


def test_uniform_draws_every_subset_with_equal_probability() -> None:
    """All 20 ways to keep 3 of 6: a law of whole masks, not only of single weights. False alarm FALSE_ALARM."""
    sampler = MaskSampler({"w": torch.tensor([1.0, 2, 3, 4, 50, 600])}, Uniform(), 0.5)
    subsets = {subset: number for number, subset in enumerate(combinations(range(6), 3))}
    draws = 2000
    drawn = [subsets[tuple(sampler.draw(c)["w"].nonzero().flatten().tolist())] for c in range(draws)]
    observed = np.bincount(drawn, minlength=20)
    statistic = np.sum((observed - draws / 20) ** 2) / (draws / 20)
    assert stats.chi2(19).ppf(FALSE_ALARM / 2) < statistic < stats.chi2(19).isf(FALSE_ALARM / 2)


# --- errors ---


@pytest.mark.parametrize(
    ("sparsity", "shown"), [(1.0, "1.0"), (1.2, "1.2"), (-0.1, "-0.1"), (float("nan"), "nan"), (2, "2")]
)
def test_sparsity_out_of_range(sparsity: float, shown: str) -> None:
    with pytest.raises(ConfigError) as caught:
        MaskSampler({"w": normal(4)}, Uniform(), sparsity)
    assert str(caught.value) == f"sparsity must be in [0, 1), got {shown}"


@pytest.mark.parametrize("number", [np.float16, np.float32, np.float64, torch.tensor])
def test_numbers_of_other_libraries_are_pythons(number: Callable[[float], Any]) -> None:
    """A recipe, which is JSON, has the same number, and so the same masks: `N * 0.9` would overflow in float16."""
    weights, value = {"w": normal(100_000)}, float(number(0.9))
    sampler = MaskSampler(weights, Voting(number(0.001)), number(0.9), seed=np.int64(3), reference_below=np.int64(10))
    again = MaskSampler(weights, Voting(float(number(0.001))), value, seed=3, reference_below=10)
    assert sampler.draw(np.int64(2)) == again.draw(2) and sampler.kept == 100_000 - round(value * 100_000)
    assert json.loads(json.dumps(sampler.recipe(np.int64(2)).to_dict())) == again.recipe(2).to_dict()


@pytest.mark.parametrize("sparsity", [torch.tensor([0.9, 0.8]), np.array([0.9]), "0.9", None, 1j])
def test_a_sparsity_that_is_no_number_is_refused(sparsity: Any) -> None:
    with pytest.raises(ConfigError, match="sparsity must be a number, got"):
        MaskSampler({"w": normal(4)}, Uniform(), sparsity)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"rule": "voting"}, "rule must be a rule such as Voting"),
        ({"rule": Voting}, "rule must be a rule such as Voting"),
        ({"reference_below": 1.5}, "reference_below must be a whole number"),
        ({"allocation": {"w": 2.0}}, "allocation must have a count"),
    ],
)
def test_settings_of_another_kind_are_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MaskSampler({"w": normal(4)}, **{"rule": Uniform(), "sparsity": 0.5} | setting)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_named(dtype: torch.dtype, broken: float) -> None:
    sick = normal(10).to(dtype)
    sick[3:5] = broken
    with pytest.raises(WeightError, match="2 of the weights of 'sick' are NaN or infinite"):
        MaskSampler({"sound": normal(10).to(dtype), "sick": sick}, Uniform(), 0.5, allocation="global")


@pytest.mark.parametrize("dtype", [torch.int64, torch.int8, torch.bool, torch.complex64])
def test_weights_that_are_not_floating_point_are_named(dtype: torch.dtype) -> None:
    with pytest.raises(WeightError, match=f"weights of 'counts' are {dtype}"):
        MaskSampler({"sound": normal(4), "counts": torch.ones(4, dtype=dtype)}, Uniform(), 0.5)


def test_a_global_group_of_two_dtypes_is_refused_and_single_tensors_are_not() -> None:
    weights = {"half": normal(10).half(), "single": normal(10, seed=1)}
    with pytest.raises(WeightError, match=r"one dtype, got \['torch.float16', 'torch.float32'\]"):
        MaskSampler(weights, Uniform(), 0.5, allocation="global")
    assert MaskSampler(weights, Uniform(), 0.5).draw(0).kept == 10


@pytest.mark.parametrize("signed", [False, True], ids=["scores", "signed"])
def test_scores_have_one_global_threshold_whatever_the_dtypes_of_the_weights(signed: bool) -> None:
    weights = {"half": normal(40).half(), "single": normal(60, seed=1)}
    scores = {name: weight.float() if signed else weight.float().abs() for name, weight in weights.items()}
    mask = MaskSampler(weights, Magnitude(), 0.7, allocation="global", scores=scores, signed=signed).draw(0)
    kept, removed = (torch.cat([scores[name][part == side] for name, part in mask.items()]) for side in (True, False))
    assert len(kept) == 30 and kept.min() > removed.max()


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_too_few_nonzero_weights_name_the_tensor_k_and_the_count(rule: Rule) -> None:
    weights = torch.cat([normal(30), torch.zeros(70)])
    with pytest.raises(WeightError, match="cannot keep 50 weights of 'pruned': only 30 of 100 are not zero"):
        MaskSampler({"sound": normal(100), "pruned": weights}, rule, 0.5)
    assert MaskSampler({"pruned": weights}, rule, 0.7).draw(0).kept == 30


def test_the_sparsity_that_the_error_advises_works() -> None:
    weights = torch.ones(3_000_000, dtype=torch.float16)
    weights[:1_000_000] = 0
    with pytest.raises(WeightError, match="ask for a sparsity of at least") as caught:
        MaskSampler({"w": weights}, Uniform(), 0.1)
    advised = float(str(caught.value).rsplit(" ", 1)[1])
    assert 1_990_000 <= MaskSampler({"w": weights}, Uniform(), advised).kept <= 2_000_000


@pytest.mark.parametrize("allocation", ["layerwise", "row", "global", "erk"])
def test_weights_that_are_all_zero_are_to_stay_dense(allocation: str) -> None:
    with pytest.raises(WeightError, match=r"cannot keep 50 .*stay pruned; leave them dense with exclude=\[...\]"):
        MaskSampler({"zero": torch.zeros(10, 10)}, Uniform(), 0.5, allocation=allocation)


def test_a_sparsity_that_rounds_to_one_is_not_advised() -> None:
    with pytest.raises(WeightError, match="only 1 of 2,000,000 are not zero, and pruned weights stay pruned; leave"):
        MaskSampler({"w": torch.eye(1, 2_000_000)}, Uniform(), 0.5)


@pytest.mark.parametrize("value", [-1, 1.5, 2**63, True, "0", None])
def test_seeds_and_candidates_are_integers_from_0(value: object) -> None:
    with pytest.raises(ConfigError, match=r"seed must be a whole number"):
        MaskSampler({"w": normal(4)}, Uniform(), 0.5, seed=value)  # type: ignore[arg-type]
    sampler = MaskSampler({"w": normal(4)}, Uniform(), 0.5)
    with pytest.raises(ConfigError, match=r"candidate must be a whole number"):
        sampler.draw(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("start", [0, 5, np.int64(2**63 - 3)])
def test_many_candidates_are_drawn_one_after_the_other(start: int) -> None:
    sampler = MaskSampler({"w": normal(100)}, Uniform(), 0.5)
    assert [*sampler.draw_many(3, start=start)] == [sampler.draw(int(start) + place) for place in range(3)]
    assert [*sampler.draw_many(0, start=start)] == []
    assert next(sampler.draw_many(10**15, start=start)) == sampler.draw(start)


def test_numbers_of_many_candidates_are_refused_at_once() -> None:
    sampler = MaskSampler({"w": normal(100)}, Uniform(), 0.5)
    for n, start, message in [(-1, 0, "n must be"), (2.0, 0, "n must be"), (2, -1, "start must be"), (2, "0", "start")]:
        with pytest.raises(ConfigError, match=message):
            sampler.draw_many(n, start=start)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sparsity", "allocation", "end"),
    [
        (0.9, "layerwise", "130 of 1,300 kept, sparsity 90.0000%, allocation layerwise, seed 3)"),
        (0.9, "erk", "130 of 1,300 kept, sparsity 90.0000%, allocation erk, seed 3)"),
        (0.9, {"v": 30, "w": 100}, "130 of 1,300 kept, sparsity 90.0000%, allocation counts, seed 3)"),
        ({"v": 0.5, "*": 0.9}, "layerwise", "250 of 1,300 kept, sparsity 80.7692%, allocation layerwise, seed 3)"),
    ],
)
def test_a_sampler_is_shown_in_one_line(sparsity: Any, allocation: Any, end: str) -> None:
    sampler = MaskSampler(
        {"v": normal(300), "w": normal(1000)}, GumbelTopK(0.5), sparsity, seed=3, allocation=allocation
    )
    assert repr(sampler) == f"MaskSampler(GumbelTopK(temperature=0.5), 2 tensors, {end}"


def test_integers_of_numpy_are_integers() -> None:
    sampler, same = (MaskSampler({"w": normal(100)}, Uniform(), 0.5, seed=seed) for seed in (7, np.int64(7)))  # type: ignore[arg-type]
    assert sampler.draw(3) == same.draw(np.int32(3))  # type: ignore[arg-type]


def test_the_largest_seed_and_candidate_work() -> None:
    assert MaskSampler({"w": normal(4)}, Uniform(), 0.5, seed=2**63 - 1).draw(2**63 - 1).kept == 2


def test_the_error_for_an_unknown_allocation_has_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="unknown allocation 'layer'; did you mean 'layerwise'"):
        MaskSampler({"w": normal(4)}, Uniform(), 0.5, allocation="layer")


def test_nothing_to_prune_is_an_error() -> None:
    with pytest.raises(ScopeError, match="nothing to prune"):
        MaskSampler(nn.Linear(3, 3), Uniform(), 0.5)


def test_every_error_has_the_same_base_class() -> None:
    """One `except` catches them all."""
    for target, sparsity in [({"w": normal(4)}, 2.0), ({"w": torch.zeros(4)}, 0.5), ({}, 0.5)]:
        with pytest.raises(RandpruneError):
            MaskSampler(target, Uniform(), sparsity)
