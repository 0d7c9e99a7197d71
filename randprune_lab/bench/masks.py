"""The time to draw masks, compared with tensor operations that do the same or less."""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import prune

from randprune_lab.bench.figure import Figure, figure_line
from randprune_lab.bench.magnitude import ALL_AT_ONCE, ONE_BY_ONE
from randprune_lab.bench.measuring import clock, peak_memory, place
from randprune_lab.errors import ConfigError, check_range, unknown_name
from randprune_lab.masks.rules import Magnitude, Voting
from randprune_lab.masks.sampler import MaskSampler
from randprune_lab.masks.sparsity import keep_count
from randprune_lab.training.compute import device_name, find_device

RULE = Voting(sampling_ratio=1e-4, power=5)
SPARSITIES = (0.54, 0.9375, 0.99)
CANDIDATES = 8


TIMED = {
    "plan": "plan",
    "draw": "draw",
    "copy": "copying the masks of a draw",
    "rand": "torch.rand, a number per weight",
    "topk": "magnitude mask by torch.topk",
    "unsorted topk": "the same with sorted=False",
    "kthvalue": "the same by torch.kthvalue",
    "partition": "the same by np.partition",
    "l1_unstructured": "torch's l1_unstructured",
    "global_unstructured": "torch's global_unstructured",
    "magnitude": "MaskSampler of Magnitude, one mask",
    "random_unstructured": "torch's random_unstructured",
    "reference": "published procedure, one mask",
    "draw of a tenth": "draw, a tenth of the weights",
}
"""The measured times, and their names in the table."""

UNSORTED = ((0.99, 1.1), (0.9, 1.4))
"""Limits of plan + 8 draws over one mask by an unsorted `topk`, from a sparsity on; 1.5 below."""

OTHERS = {
    "partition": "np.partition",
    "topk": "torch.topk",
    "l1_unstructured": "l1_unstructured",
    "global_unstructured": "global_unstructured",
}


def _layers(n: int, *shapes: tuple[int, int]) -> dict[str, tuple[int, int]]:
    return {f"layer.{layer}.{i}": shape for layer in range(n) for i, shape in enumerate(shapes)}


SHAPES = {
    "bert-base": _layers(12, *[(768, 768)] * 4, (3072, 768), (768, 3072)),
    "gpt2": _layers(12, (768, 2304), (768, 768), (768, 3072), (3072, 768)),
    "one 4096x11008": {"weight": (4096, 11008)},
}


def bench_masks(
    shapes: str = "bert-base", sparsities: Sequence[float] = SPARSITIES, device: str = "cpu", repeats: int = 3
) -> list[dict[str, Any]]:
    """Measure times and sizes of masks for one set of shapes.

    Args:
        shapes: a name in `SHAPES`.
        sparsities: the sparsities to measure.
        device: where the weights are, such as `"cuda"`. The limits and targets of the ratios are those of a CPU.
        repeats: the number of measurements; the median counts.

    Returns:
        A row for each sparsity, with the measured seconds and the ratios of them.

    Raises:
        UnknownNameError: if there are no such shapes.
        ConfigError: if the device cannot be used here, or a sparsity removes or keeps nothing of a tensor.
    """
    if shapes not in SHAPES:
        raise unknown_name("shapes", shapes, SHAPES)
    smallest = min(map(math.prod, SHAPES[shapes].values()))
    for sparsity in sparsities:
        check_range("sparsity", sparsity, low=0, low_open=True, high=1, high_open=True)
        if not 0 < (kept := keep_count(smallest, sparsity)) < smallest:
            raise ConfigError(
                f"sparsity {sparsity} keeps {kept:,} of {smallest:,} weights in the smallest tensor of {shapes}, so "
                "there is no mask to draw; choose one that keeps some and removes some"
            )
    target = find_device(device)
    weights = {name: weight.to(target) for name, weight in heavy_tailed(SHAPES[shapes]).items()}
    return [_measure(shapes, weights, sparsity, repeats) for sparsity in sparsities]


def heavy_tailed(shapes: dict[str, tuple[int, int]], seed: int = 0) -> dict[str, Tensor]:
    """Weights from Student's t distribution with 4 degrees of freedom, similar to those of trained transformers."""
    generator = torch.Generator().manual_seed(seed)

    def draw(shape: tuple[int, int]) -> Tensor:
        normal, *squares = torch.randn((5, *shape), generator=generator)
        return normal / torch.stack(squares).square().mean(0).sqrt()

    return {name: draw(shape) for name, shape in shapes.items()}


def _measure(shapes: str, weights: dict[str, Tensor], sparsity: float, repeats: int) -> dict[str, Any]:
    size = sum(weight.numel() for weight in weights.values())
    device = next(iter(weights.values())).device
    on_device = partial(clock, device=device)

    def plan() -> MaskSampler:
        return MaskSampler(weights, RULE, sparsity)

    sampler = plan()
    small = MaskSampler(_one_tenth(weights), RULE, sparsity)
    mask = sampler.draw(0)
    candidates = count()
    seconds = {
        "plan": on_device(plan, repeats),
        "draw": on_device(lambda: sampler.draw(next(candidates)), 2 * repeats + 1),
        "copy": on_device(lambda: [part.clone() for part in mask.values()], 2 * repeats + 1),
        "rand": on_device(lambda: torch.rand(size, device=device), repeats),
        **_baselines(weights, sparsity, repeats),
        "magnitude": on_device(lambda: MaskSampler(weights, Magnitude(), sparsity).draw(0), repeats),
        "random_unstructured": _by_shape(weights, partial(_random_unstructured_seconds, sparsity)),
        "reference": _by_shape(weights, partial(_reference_seconds, sparsity)),
        "draw of a tenth": on_device(lambda: small.draw(next(candidates)), 2 * repeats + 1),
    }
    with peak_memory(device) as peak:
        plan().draw(0)
    figures = [
        *_against_magnitude(seconds, sparsity),
        Figure("draw / copying its masks", seconds["draw"] / seconds["copy"], 25, 8),
        Figure("draw / torch.rand, a number per weight", seconds["draw"] / seconds["rand"], 0.25, 0.08),
        Figure("published procedure / draw", seconds["reference"] / seconds["draw"], 1000, 10_000, at_most=False),
        Figure("random_unstructured / draw", seconds["random_unstructured"] / seconds["draw"], 20, 100, at_most=False),
        Figure("working memory of plan and draw, bytes per weight", (peak[0] - size) / size, 8, 2),
        Figure(
            "time per weight / that with a tenth of the weights",
            seconds["draw"] / (10 * seconds["draw of a tenth"]),
            1.2,
            1.0,
        ),
        Figure(
            "size of a saved mask set / N H(sparsity) bits",
            _saved_bytes(mask) * 8 / (size * entropy(sparsity)),
            1.3,
            1.05,
        ),
        Figure(
            "size of a saved recipe / N H(sparsity) bits",
            _saved_bytes(sampler.recipe(0)) * 8 / (size * entropy(sparsity)),
            1.3,
            1.05,
        ),
    ]
    return {
        "shapes": shapes,
        "weights": size,
        "sparsity": sparsity,
        "device": device_name(device) or device.type,
        "threads": torch.get_num_threads(),
        "seconds": seconds,
        "figures": [figure.to_dict() for figure in figures if not math.isnan(figure.value)],  # no memory outside Linux
    }


def _baselines(weights: dict[str, Tensor], sparsity: float, repeats: int) -> dict[str, float]:
    device = next(iter(weights.values())).device

    def one_by_one(way: Callable[[Tensor, float], Tensor]) -> list[Tensor]:
        return [way(weight, sparsity) for weight in weights.values()]

    ways = {name: way for name, way in ONE_BY_ONE.items() if name != "partition" or device.type == "cpu"}
    seconds = {name: clock(partial(one_by_one, way), repeats, device) for name, way in ways.items()}
    return seconds | {name: clock(partial(way, weights, sparsity), 1, device) for name, way in ALL_AT_ONCE.items()}


def _against_magnitude(seconds: dict[str, float], sparsity: float) -> list[Figure]:
    """The ratios to the times of magnitude masks by other tools."""
    work = seconds["plan"] + CANDIDATES * seconds["draw"]
    limit = next((limit for least, limit in UNSORTED if sparsity >= least), 1.5)
    figures = [
        Figure("plan + 8 draws / one magnitude mask by torch.topk", work / seconds["topk"], 1.0, 0.4),
        Figure("plan + 8 draws / the same with sorted=False", work / seconds["unsorted topk"], limit, 1.0),
        Figure("plan + 8 draws / the same by torch.kthvalue", work / seconds["kthvalue"], limit, 1.0),
    ]
    if "partition" in seconds:
        figures.append(Figure("plan + 8 draws / the same by np.partition", work / seconds["partition"], 2.6, 1.5))
    names = [name for name in ("partition", "topk", *ALL_AT_ONCE) if name in seconds]
    return figures + [
        Figure(f"MaskSampler of Magnitude / {OTHERS[name]}", seconds["magnitude"] / seconds[name], 1.5, 1.0)
        for name in names
    ]


def time_by_candidates(
    weight: Tensor, rule: Voting, sparsity: float, numbers: Sequence[int] = (1, 10, 100, 1000), budget: float = 1.0
) -> list[dict[str, Any]]:
    """The time to draw masks of one tensor by four methods, for several numbers of masks.

    The methods are `"reference"`, the rounds of `torch.multinomial` of the published procedure; `"multinomial"`, one
    such round per mask; `"topk"`, Gumbel noise and `torch.topk(sorted=False)`; and `"sampler"`, `MaskSampler` with its
    plan.

    Args:
        numbers: the numbers of masks.
        budget: times longer than this, in seconds, are extrapolated.

    Returns:
        A row for each method and number: method, candidates, seconds, and whether the time was measured.
    """
    n, k = weight.numel(), keep_count(weight.numel(), sparsity)
    log_p = rule.power * weight.abs().flatten().log()
    p = log_p.exp()

    def race() -> Tensor:
        return torch.topk(log_p - torch.rand(n).log_().neg_().log_(), k, sorted=False).indices

    def multinomial() -> Tensor:
        return torch.multinomial(p, k)

    def sampler() -> MaskSampler:
        return MaskSampler({"weight": weight}, rule, sparsity)

    draw, candidates = sampler().draw, count()
    methods = {  # the work, its repetitions per mask, and the seconds before the first mask
        "reference": (multinomial, rule.rounds(n, k), 0.0),
        "multinomial": (multinomial, 1, 0.0),
        "topk": (race, 1, 0.0),
        "sampler": (lambda: draw(next(candidates)), 1, clock(sampler, 3)),
    }
    return [
        {"method": method, **row}
        for method, (work, times, before) in methods.items()
        for row in _time_many(work, times, before, numbers, budget)
    ]


def _time_many(
    work: Callable[[], Any], times: int, before: float, numbers: Sequence[int], budget: float
) -> Iterator[dict[str, Any]]:
    each = clock(work, 3)
    for number in numbers:
        measured = each * number * times < budget
        if measured:
            each = clock(lambda: [work() for _ in range(number * times)], 1) / (number * times)  # noqa: B023
        yield {"candidates": number, "seconds": before + each * number * times, "measured": measured}


def _by_shape(weights: dict[str, Tensor], seconds: Callable[[Tensor], float]) -> float:
    """The seconds of slow work on all tensors; each shape is measured once."""
    counts = Counter(weight.shape for weight in weights.values())
    examples = {weight.shape: weight for weight in weights.values()}
    return sum(count * seconds(examples[shape]) for shape, count in counts.items())


def _random_unstructured_seconds(sparsity: float, weight: Tensor) -> float:
    module = torch.nn.Module()
    module.weight = torch.nn.Parameter(weight, requires_grad=False)
    return clock(partial(prune.random_unstructured, module, "weight", sparsity), 1, weight.device)


def _reference_seconds(sparsity: float, weight: Tensor) -> float:
    """The seconds of one round of the reference procedure, times the rounds of a candidate."""
    n, k = weight.numel(), keep_count(weight.numel(), sparsity)
    # torch.multinomial takes at most 2**24 categories; the time of a larger tensor is extrapolated from a part of it
    p = weight.abs().flatten()[: 2**24] ** RULE.power
    one_round = clock(partial(torch.multinomial, p, k * len(p) // n), 1, weight.device)
    return one_round * n / len(p) * RULE.rounds(n, k)


def _one_tenth(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """A tenth of the weights: the first rows of every tensor."""
    return {name: weight[: max(1, len(weight) // 10)] for name, weight in weights.items()}


def _saved_bytes(thing: Any) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "saved"
        thing.save(path)
        return path.stat().st_size


def entropy(sparsity: float) -> float:
    """The entropy of a mask with this sparsity: the least number of bits per weight that it can be stored in."""
    return float(-(sparsity * np.log2(sparsity) + (1 - sparsity) * np.log2(1 - sparsity)))


def describe(rows: list[dict[str, Any]]) -> str:
    """The measurements as a table for a terminal."""
    lines = []
    for row in rows:
        sparsity = f"sparsity {100 * row['sparsity']:g} %"
        lines.append(f"{row['shapes']}, {row['weights']:,} weights, {sparsity}, {place(row)}")
        lines += [f"  {TIMED[name]:<32} {seconds:>12.4f} s" for name, seconds in row["seconds"].items()]
        lines += [figure_line(figure) for figure in row["figures"]]
    return "\n".join(lines)
