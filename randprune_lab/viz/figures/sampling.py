"""Figures of mask rules: inclusion curves, drawn masks, and the time to draw them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import binomtest
from torch import Tensor

from randprune_lab.masks.curve import InclusionCurve
from randprune_lab.masks.rules import Rule
from randprune_lab.masks.sampler import MaskSampler
from randprune_lab.viz.style import COLOURS, QUIET, RAMP, fix_layout, new_figure


def inclusion_curves(curves: Mapping[str, InclusionCurve], title: str) -> Figure:
    """Inclusion probability against magnitude, for several rules on the same weights.

    Args:
        curves: by label; a label that begins with a rule's name has the rule's colour, others go from light to dark.
        title: what the figure shows, as a sentence.
    """
    figure, axis = new_figure()
    ramp = iter(RAMP)
    for label, curve in curves.items():
        rule = re.split(r"\W", label.lower())[0]
        colour = COLOURS.get(rule) or next(ramp, QUIET)
        _draw_curve(axis, curve, colour=colour, label=label)
    axis.set_title(title)
    axis.legend(frameon=False, loc="upper left")
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
    axis.set_title(f"Largest difference between masks and curve: {off:.3f}")
    axis.legend(frameon=False, loc="upper left")
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
    figure, axis = new_figure()
    for method, (label, colour) in METHODS.items():
        points = [(row["candidates"], row["seconds"], row["measured"]) for row in rows if row["method"] == method]
        numbers, seconds, measured = map(np.array, zip(*points, strict=True))
        axis.loglog(numbers, seconds, ls="--", marker="o", mfc="white", color=colour)
        axis.loglog(numbers[measured], seconds[measured], "o-", color=colour, label=label)
    most = max(row["candidates"] for row in rows)
    last = {row["method"]: row["seconds"] for row in rows if row["candidates"] == most}
    axis.set(xlabel="number of candidates", ylabel="time (s)")
    faster = last["reference"] / last["sampler"]
    axis.set_title(f"{most:,} candidates: {faster:,.0f} times faster than the published procedure")
    axis.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def sampling(
    weights: Float[Tensor, "out in"], rule: Rule, sparsity: float, *, candidates: int = 3, corner: int = 12
) -> Figure:
    """One rule on one matrix: its inclusion curve, and the weights that candidates keep in the matrix's corner.

    Args:
        candidates: the number of candidates, a panel for each.
        corner: the number of rows and columns of the corner.
    """
    sampler = MaskSampler({"weights": weights}, rule, sparsity)
    curve = sampler.curves["weights"]
    figure, axes = new_figure(11, 3.2, ncols=1 + candidates, width_ratios=[2.1] + [1] * candidates)
    colour = COLOURS.get(rule.name, QUIET)
    _draw_curve(axes[0], curve, colour=colour)
    overlap = 1 - curve.expected_hamming() / (2 * curve.k)
    axes[0].set_title(f"Expected overlap of two candidates: {100 * overlap:.0f} %")
    for candidate, axis in enumerate(axes[1:]):
        _draw_corner(axis, weights, sampler.draw(candidate)["weights"], corner, colour)
        axis.set_title(f"candidate {candidate}", fontweight="normal", fontsize="medium")
    axes[1].set_ylabel(f"first {corner} outputs")
    fix_layout(figure, left=0.06, right=0.99, bottom=0.18, top=0.88, wspace=0.18)
    return figure


def _draw_curve(axis: Axes, curve: InclusionCurve, *, colour: str, label: str | None = None) -> None:
    threshold = _threshold(curve)
    scores = threshold * np.geomspace(1 / 4, 4, 400)
    axis.plot(scores / threshold, _inclusion_at(curve, scores), color=colour, lw=2, label=label)
    axis.axvline(1, color=QUIET, lw=0.8, ls=":")
    axis.set_xscale("log", base=2)
    axis.set_xticks([1 / 4, 1 / 2, 1, 2, 4], ["¼", "½", "1", "2", "4"])
    axis.set(xlabel="|weight| / threshold of the magnitude mask", ylabel="inclusion probability", ylim=(-0.03, 1.03))


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


def _draw_corner(
    axis: Axes, weights: Float[Tensor, "out in"], mask: Bool[Tensor, "out in"], corner: int, colour: str
) -> None:
    """Draw magnitudes as grey cells, and a frame in the rule's colour around each kept weight."""
    scores = weights[:corner, :corner].detach().abs().float().cpu().numpy()
    axis.imshow(scores, cmap="Greys", vmin=0, vmax=float(np.quantile(scores, 0.98)) or 1.0)
    rows, columns = torch.nonzero(mask[:corner, :corner], as_tuple=True)
    axis.plot(columns.tolist(), rows.tolist(), ls="", marker="s", ms=8, mfc="none", mec=colour, mew=2)
    axis.set(xticks=[], yticks=[], xlabel=f"first {corner} inputs")
