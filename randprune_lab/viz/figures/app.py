"""Figures of the classroom app: small enough to read on a phone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from randprune_lab.analysis.results import interval_kind, over_seeds
from randprune_lab.masks.rules import Rule
from randprune_lab.masks.sampler import MaskSampler
from randprune_lab.viz.figures.sampling import _draw_corner
from randprune_lab.viz.style import COLOURS, LABELS, QUIET, errorbars, fix_layout, method_colour, new_figure, percent

if TYPE_CHECKING:
    import pandas as pd


def corners(
    weights: Float[Tensor, "out in"], rule: Rule, sparsity: float, *, candidates: int = 3, corner: int = 12
) -> Figure:
    """The corner of a matrix in grey magnitudes; frames mark the weights that each of several candidates keeps.

    Args:
        candidates: the number of candidates, a panel for each.
        corner: the number of rows and columns of the corner.
    """
    sampler = MaskSampler({"weights": weights}, rule, sparsity)
    masks = [sampler.draw(candidate)["weights"] for candidate in range(candidates)]
    figure, axes = new_figure(6.0, 2.7, ncols=candidates)
    for number, (axis, mask) in enumerate(zip(axes, masks, strict=True)):
        _draw_corner(axis, weights, mask, corner, COLOURS.get(rule.name, QUIET))
        axis.set_title(f"candidate {number}", fontweight="normal", fontsize="medium")
    axes[0].set_ylabel(f"first {corner} outputs")
    parts = [mask[:corner, :corner] for mask in masks]
    every = int(np.logical_and.reduce(parts).sum())
    some = int(np.logical_or.reduce(parts).sum())
    title = f"Of {corner * corner} weights, {some} are kept at least once and {every} by all {candidates} masks"
    figure.suptitle(title, fontsize="medium")
    fix_layout(figure, left=0.06, right=0.99, bottom=0.08, top=0.82, wspace=0.1)
    return figure


def scores_by_level(table: pd.DataFrame, task: str) -> Figure:
    """Scores of all methods on a task at each level, with 95 % intervals over test examples or over seeds.

    Args:
        table: results as `analysis.results_table` returns them.
    """
    rows = table[table.task == task]
    metric, pruned = rows.metric.iloc[0], rows[rows.sparsity > 0]
    kind = interval_kind(rows)
    dense = over_seeds(rows[rows.sparsity == 0], "score", kind)
    levels = sorted(pruned.sparsity.unique())
    figure, axis = new_figure(7.0, 3.8)
    axis.axhspan(100 * dense.low, 100 * dense.high, color=COLOURS["dense"], alpha=0.12, lw=0)
    axis.axhline(100 * dense.estimate, color=COLOURS["dense"], lw=1.2, ls="--", label=LABELS["dense"])
    methods = list(dict.fromkeys(pruned.method))
    for shift, method in zip(np.linspace(-0.15, 0.15, len(methods)), methods, strict=True):
        by_level = pruned[pruned.method == method].groupby("sparsity")
        own = {level: over_seeds(each, "score", kind) for level, each in by_level}
        places = np.array([levels.index(level) for level in own]) + shift
        look: dict[str, Any] = {"fmt": "o-", "ms": 4, "color": method_colour(method)}
        errorbars(axis, places, [*own.values()], scale=100, label=LABELS.get(method, method), **look)
    axis.set_xticks(range(len(levels)), [f"{100 * level:.4g}" for level in levels])
    axis.set(xlabel="sparsity (%)", ylabel=f"{metric}, test set (points)")
    best = 100 * pruned[pruned.sparsity == levels[-1]].groupby("method").score.mean().max()
    axis.set_title(f"{task}: {100 * dense.estimate:.1f} points dense, at best {best:.1f} at {percent(levels[-1])}")
    axis.legend(frameon=False, fontsize="small", loc="lower left")
    return figure
