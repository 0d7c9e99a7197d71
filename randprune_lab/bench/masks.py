"""How fast masks are drawn, against the tensor operations that anyone would otherwise use."""

from __future__ import annotations

import ctypes
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import prune

from randprune_lab.bench.figure import Figure, figure_line
from randprune_lab.errors import unknown_name
from randprune_lab.masks.rules import Voting
from randprune_lab.masks.sampler import MaskSampler
from randprune_lab.masks.scope import keep_count

RULE = Voting(sampling_ratio=1e-4, power=5)
SPARSITIES = (0.54, 0.9375, 0.99)
CANDIDATES = 8


def _layers(n: int, *shapes: tuple[int, int]) -> dict[str, tuple[int, int]]:
    return {f"layer.{layer}.{i}": shape for layer in range(n) for i, shape in enumerate(shapes)}


SHAPES = {
    "bert-base": _layers(12, *[(768, 768)] * 4, (3072, 768), (768, 3072)),
    "gpt2": _layers(12, (768, 2304), (768, 768), (768, 3072), (3072, 768)),
    "one 4096x11008": {"weight": (4096, 11008)},
}


def bench_masks(
    shapes: str = "bert-base", sparsities: tuple[float, ...] = SPARSITIES, repeats: int = 3
) -> list[dict[str, Any]]:
    """Measure one set of shapes at several sparsities; a dict of figures and seconds for each.

    Raises `UnknownNameError` if there are no such shapes.
    """
    if shapes not in SHAPES:
        raise unknown_name("shapes", shapes, SHAPES)
    weights = heavy_tailed(SHAPES[shapes])
    return [_measure(shapes, weights, sparsity, repeats) for sparsity in sparsities]


def heavy_tailed(shapes: dict[str, tuple[int, int]], seed: int = 0) -> dict[str, Tensor]:
    """Weights from Student's t with 4 degrees of freedom, near to those of trained transformers."""
    generator = torch.Generator().manual_seed(seed)

    def draw(shape: tuple[int, int]) -> Tensor:
        normal, *squares = torch.randn((5, *shape), generator=generator)
        return normal / torch.stack(squares).square().mean(0).sqrt()

    return {name: draw(shape) for name, shape in shapes.items()}


def _measure(shapes: str, weights: dict[str, Tensor], sparsity: float, repeats: int) -> dict[str, Any]:
    size = sum(weight.numel() for weight in weights.values())

    def plan() -> MaskSampler:
        return MaskSampler(weights, RULE, sparsity)

    sampler = plan()
    small = MaskSampler(_one_tenth(weights), RULE, sparsity)
    mask = sampler.draw(0)
    candidates = count()
    seconds = {
        "plan": clock(plan, repeats),
        "draw": clock(lambda: sampler.draw(next(candidates)), 2 * repeats + 1),
        "clone": clock(lambda: [part.clone() for part in mask.values()], 2 * repeats + 1),
        "rand": clock(lambda: torch.rand(size), repeats),
        "topk": clock(lambda: [magnitude(weight, sparsity) for weight in weights.values()], repeats),
        "random_unstructured": _by_shape(weights, partial(_random_unstructured_seconds, sparsity)),
        "literal": _by_shape(weights, partial(_literal_seconds, sparsity)),
        "draw of a tenth": clock(lambda: small.draw(next(candidates)), 2 * repeats + 1),
    }
    with peak_memory() as peak:
        plan().draw(0)
    figures = [
        Figure(
            "plan + 8 candidates / one topk magnitude mask",
            (seconds["plan"] + CANDIDATES * seconds["draw"]) / seconds["topk"],
            1.0,
            0.4,
        ),
        Figure("draw / clone of its masks", seconds["draw"] / seconds["clone"], 25, 8),
        Figure("draw / torch.rand of as many numbers", seconds["draw"] / seconds["rand"], 0.25, 0.08),
        Figure("literal candidate / draw", seconds["literal"] / seconds["draw"], 1000, 10_000, at_most=False),
        Figure("random_unstructured / draw", seconds["random_unstructured"] / seconds["draw"], 20, 100, at_most=False),
        Figure("peak extra bytes per weight", (peak[0] - size) / size, 8, 2),
        Figure(
            "time per weight, 10 x the weights",
            seconds["draw"] / (10 * seconds["draw of a tenth"]),
            1.2,
            1.0,
        ),
        Figure("saved mask set / N H(sparsity) bits", _saved_bytes(mask) * 8 / (size * entropy(sparsity)), 1.3, 1.05),
        Figure(
            "saved recipe / N H(sparsity) bits",
            _saved_bytes(sampler.recipe(0)) * 8 / (size * entropy(sparsity)),
            1.3,
            1.05,
        ),
    ]
    return {
        "shapes": shapes,
        "weights": size,
        "sparsity": sparsity,
        "threads": torch.get_num_threads(),
        "seconds": seconds,
        "figures": [figure.to_dict() for figure in figures],
    }


def time_by_candidates(
    weight: Tensor, rule: Voting, sparsity: float, numbers: Sequence[int] = (1, 10, 100, 1000), budget: float = 1.0
) -> list[dict[str, Any]]:
    """Seconds to draw so many masks of one tensor, by four methods; rows of method, candidates, seconds, measured.

    Methods: `"literal"`, the rounds of `torch.multinomial` that the published procedure takes; `"multinomial"`, a
    single such round a mask; `"topk"`, Gumbel noise and `torch.topk`; `"sampler"`, `MaskSampler`, its planning
    included. What would take longer than `budget` seconds is extrapolated, and not `measured`.
    """
    n, k = weight.numel(), keep_count(weight.numel(), sparsity)
    log_p = rule.power * weight.abs().flatten().log()
    p = log_p.exp()

    def race() -> Tensor:
        return torch.topk(log_p - torch.rand(n).log_().neg_().log_(), k).indices

    def multinomial() -> Tensor:
        return torch.multinomial(p, k)

    def sampler() -> MaskSampler:
        return MaskSampler({"weight": weight}, rule, sparsity)

    draw, candidates = sampler().draw, count()
    one_by_one = {  # what is done, how often for a mask, and the seconds before the first
        "literal": (multinomial, rule.rounds(n, k), 0.0),
        "multinomial": (multinomial, 1, 0.0),
        "topk": (race, 1, 0.0),
        "sampler": (lambda: draw(next(candidates)), 1, clock(sampler, 3)),
    }
    return [
        {"method": method, **row}
        for method, (work, times, before) in one_by_one.items()
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


def clock(work: Callable[[], Any], repeats: int) -> float:
    """Median seconds of several calls."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return median(times)


def magnitude(weight: Tensor, sparsity: float) -> Tensor:
    """A magnitude mask as one writes it down: the indices of the k largest, set in a boolean mask."""
    mask = torch.zeros(weight.numel(), dtype=torch.bool)
    mask[torch.topk(weight.abs().flatten(), keep_count(weight.numel(), sparsity)).indices] = True
    return mask.view(weight.shape)


def _by_shape(weights: dict[str, Tensor], seconds: Callable[[Tensor], float]) -> float:
    """Seconds for all tensors of what is slow: measured once for each shape."""
    counts = Counter(weight.shape for weight in weights.values())
    examples = {weight.shape: weight for weight in weights.values()}
    return sum(count * seconds(examples[shape]) for shape, count in counts.items())


def _random_unstructured_seconds(sparsity: float, weight: Tensor) -> float:
    module = torch.nn.Module()
    module.weight = torch.nn.Parameter(weight, requires_grad=False)
    return clock(partial(prune.random_unstructured, module, "weight", sparsity), 1)


def _literal_seconds(sparsity: float, weight: Tensor) -> float:
    """One round of the literal procedure, times the rounds that a candidate needs."""
    n, k = weight.numel(), keep_count(weight.numel(), sparsity)
    # torch.multinomial takes at most 2**24 categories: of a larger tensor a part, as if time were proportional
    p = weight.abs().flatten()[: 2**24] ** RULE.power
    one_round = clock(partial(torch.multinomial, p, k * len(p) // n), 1)
    return one_round * n / len(p) * RULE.rounds(n, k)


def _one_tenth(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """A tenth of the weights: of every tensor the first rows."""
    return {name: weight[: max(1, len(weight) // 10)] for name, weight in weights.items()}


def _saved_bytes(thing: Any) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "saved"
        thing.save(path)
        return path.stat().st_size


def entropy(sparsity: float) -> float:
    """Bits per weight that a mask of this sparsity cannot do without."""
    return float(-(sparsity * np.log2(sparsity) + (1 - sparsity) * np.log2(1 - sparsity)))


@contextmanager
def peak_memory() -> Iterator[list[float]]:
    """Gives a list whose one entry is, after the block, the bytes by which resident memory rose at most (Linux)."""
    status, result = Path("/proc/self/status"), [float("nan")]

    def read(field: str) -> int:
        line = next(line for line in status.read_text().splitlines() if line.startswith(field))
        return int(line.split()[1]) * 1024

    if not status.exists():
        yield result
        return
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)  # memory that was freed but not given back would hide what is used again
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = read("VmRSS")
    yield result
    result[0] = read("VmHWM") - before


def describe(rows: list[dict[str, Any]]) -> str:
    """The figures as a table for a terminal."""
    lines = []
    for row in rows:
        lines.append(
            f"{row['shapes']}, {row['weights']:,} weights, sparsity {row['sparsity']:.2%}, {row['threads']} threads"
        )
        lines += [f"  {name:<32} {seconds:>12.4f} s" for name, seconds in row["seconds"].items()]
        lines += [figure_line(figure) for figure in row["figures"]]
    return "\n".join(lines)
