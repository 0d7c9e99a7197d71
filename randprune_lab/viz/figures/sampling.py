"""Figures of mask rules: inclusion curves, drawn masks, and the time to draw them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from scipy.stats import binomtest
from torch import Tensor

from randprune_lab.errors import check_rows
from randprune_lab.masks.curve import InclusionCurve
from randprune_lab.masks.rules import Rule
from randprune_lab.masks.sampler import MaskSampler
from randprune_lab.viz.style import (
    COLOURS,
    FAINT,
    QUIET,
    RAMP,
    headline,
    legend_below,
    new_figure,
    percent,
    place_axes,
    subtitle,
)

SHOWN = 240
"""The number of weights in the strip of a candidate."""
SPAN = 1 / 4, 4
"""The ends of the axis of a curve, as multiples of the threshold."""


def inclusion_curves(curves: Mapping[str, InclusionCurve], title: str) -> Figure:
    """Inclusion probability against magnitude, for several rules on the same weights.

    Args:
        curves: by label; a label that begins with a rule's name has the rule's colour, others go from light to dark.
        title: what the figure shows, as a sentence.
    """
    figure, axis = new_figure(height=3.4)
    ramp = iter(RAMP)
    for label, curve in curves.items():
        rule = re.split(r"\W", label.lower())[0]
        colour = COLOURS.get(rule) or next(ramp, QUIET)
        _draw_curve(axis, curve, colour=colour, label=label)
    headline(axis, title)
    place_axes(figure, left=0.55, bottom=0.5 + legend_below(figure), top=0.45)
    return figure


def inclusion_check(weights: Float[Tensor, "*shape"], masks: Sequence[Tensor], curve: InclusionCurve) -> Figure:
    """An inclusion curve, and the fraction of weights that masks kept at each magnitude, with 95 % Wilson intervals.

    Args:
        weights: the weights that the masks were drawn for.
        masks: the drawn masks.
        curve: the inclusion curve of the rule that drew them.
    """
    scores = weights.detach().abs().double().flatten().cpu().numpy()
    kept = torch.stack([mask.flatten() for mask in masks]).sum(dim=0).cpu().numpy()
    threshold = _threshold(curve)
    edges = threshold * np.geomspace(1 / 2, 2, 25)
    figure, axis = new_figure()
    _draw_curve(axis, curve, colour=COLOURS["voting"], label="inclusion curve")
    middle, fractions, arms = [], [], []
    for low, high in itertools.pairwise(edges):
        inside = (scores >= low) & (scores < high)
        if not inside.any():
            continue
        drawn, tries = int(kept[inside].sum()), int(inside.sum()) * len(masks)
        interval = binomtest(drawn, tries).proportion_ci(method="wilson")
        middle.append(float(np.exp(np.log(scores[inside]).mean())) / threshold)
        fractions.append(drawn / tries)
        arms.append((fractions[-1] - interval.low, interval.high - fractions[-1]))
    spread = np.maximum(np.array(arms).T, 0.0)
    axis.errorbar(middle, fractions, spread, fmt="o", ms=4, capsize=2, color="black", label=f"{len(masks)} masks")
    off = float(np.abs(np.array(fractions) - _inclusion_at(curve, np.array(middle) * threshold)).max())
    headline(axis, f"Largest difference between masks and curve: {off:.3f}")
    legend_below(figure)
    return figure


METHODS = {
    "reference": ("published procedure", COLOURS["imp"]),
    "multinomial": ("one torch.multinomial per mask", COLOURS["gumbel"]),
    "topk": ("torch.topk of noisy scores", COLOURS["uniform"]),
    "sampler": ("MaskSampler", COLOURS["voting"]),
}


def time_by_candidates(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Time to draw masks against their number, for several methods; dashed where it is extrapolated.

    Args:
        rows: times as `bench.time_by_candidates` returns them.
    """
    check_rows(rows, "times")
    figure, axis = new_figure(height=3.6)
    for method, (label, colour) in METHODS.items():
        points = [(row["candidates"], row["seconds"], row["measured"]) for row in rows if row["method"] == method]
        numbers, seconds, measured = map(np.array, zip(*points, strict=True))
        axis.loglog(numbers, seconds, ls="--", marker="o", mfc="white", color=colour)
        axis.loglog(numbers[measured], seconds[measured], "o-", color=colour, label=label)
    most = max(row["candidates"] for row in rows)
    last = {row["method"]: row["seconds"] for row in rows if row["candidates"] == most}
    axis.set(xlabel="number of candidates", ylabel="time (s)")
    faster = last["reference"] / last["sampler"]
    for one in (axis.xaxis, axis.yaxis):
        one.set_major_formatter(lambda number, _: f"{number:,g}")  # not powers, whose exponents are small
        one.set_minor_formatter(NullFormatter())
    headline(axis, f"{most:,} candidates: {faster:,.0f} times faster than the published procedure")
    legend_below(figure)
    return figure


def sampling(weights: Float[Tensor, "out in"], rule: Rule, sparsity: float, *, candidates: int = 3) -> Figure:
    """One rule on one matrix: the weights that candidates keep, by magnitude, above the inclusion curve.

    A strip for each candidate has weights at evenly spread magnitudes, coloured where the candidate keeps them.

    Args:
        candidates: the number of candidates, a strip for each.
    """
    sampler = MaskSampler({"weights": weights}, rule, sparsity)
    curve, colour = sampler.curves["weights"], COLOURS.get(rule.name, QUIET)
    figure, (strips, axis) = new_figure(
        height=3.3 + 0.3 * candidates, nrows=2, sharex=True, height_ratios=[candidates, 5]
    )
    _draw_curve(axis, curve, colour=colour)
    edges = np.geomspace(*SPAN, SHOWN + 1)
    places, shown = _next_larger(weights, _threshold(curve) * np.sqrt(edges[1:] * edges[:-1]))
    look: dict[str, Any] = {"cmap": ListedColormap([FAINT, colour]), "vmin": 0, "vmax": 1, "rasterized": True}
    for candidate in range(candidates):
        kept = sampler.draw(candidate)["weights"].flatten().cpu().numpy()[places]
        strip = [candidate - 0.4, candidate + 0.4]
        strips.pcolormesh(edges, strip, np.where(shown, kept, np.nan)[None], **look)
    strips.set(yticks=range(candidates), ylabel="candidate", ylim=(candidates - 0.5, -0.5), xlabel="")
    overlap = 1 - curve.expected_hamming() / (2 * curve.k)
    headline(strips, f"{percent(sparsity)}: two candidates share {100 * overlap:.0f} % of their weights")
    subtitle(axis, "above: colour for a kept weight, grey for a removed one")
    place_axes(figure, left=0.55, bottom=0.5, top=0.3, hspace=0.25)
    return figure


def _next_larger(
    weights: Float[Tensor, "out in"], wanted: Float64[np.ndarray, " n"]
) -> tuple[Int[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """The place of the smallest weight that is not below each of some scores, and whether there is one."""
    scores = weights.detach().abs().double().flatten().cpu().numpy()
    order = np.argsort(scores, kind="stable")
    ranks = np.searchsorted(scores[order], wanted)
    return order[ranks.clip(max=len(scores) - 1)], ranks < len(scores)


def _draw_curve(axis: Axes, curve: InclusionCurve, *, colour: str, label: str | None = None) -> None:
    threshold = _threshold(curve)
    scores = threshold * np.geomspace(*SPAN, 400)
    axis.plot(scores / threshold, _inclusion_at(curve, scores), color=colour, lw=2, label=label)
    axis.axvline(1, color=QUIET, lw=0.8, ls=":")
    axis.set_xscale("log", base=2)
    axis.set_xticks([1 / 4, 1 / 2, 1, 2, 4], ["¼", "½", "1", "2", "4"])
    axis.set(xlabel="|weight| / threshold of the magnitude mask", ylabel="inclusion probability")
    axis.set(xlim=(SPAN[0] / 1.1, SPAN[1] * 1.1), ylim=(-0.03, 1.03))


def _inclusion_at(curve: InclusionCurve, scores: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """The inclusion probability at any scores, interpolated on a log scale."""
    if not len(curve.inclusion):
        return np.zeros(np.shape(scores))
    with np.errstate(divide="ignore"):
        inclusion = np.interp(np.log(scores), np.log(curve.histogram.scores), curve.inclusion)
    return np.where(np.asarray(scores) > 0, inclusion, 0.0)


def _threshold(curve: InclusionCurve) -> float:
    """The k-th largest score; if k is 0, the largest."""
    scores = curve.histogram.scores
    return float(scores[curve.magnitude > 0][0] if curve.k else scores[-1])
