"""Figures of magnitude pruning: the kept weights, their allocation to layers, and the effect on scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.rules import Magnitude
from randprune_lab.masks.sampler import MaskSampler
from randprune_lab.stats.intervals import Interval
from randprune_lab.viz.style import (
    COLOURS,
    QUIET,
    draw_dense,
    errorbars,
    headline,
    kind_of,
    legend_below,
    new_figure,
    percent,
    place_axes,
    subtitle,
)

NUMBERS_UP_TO = 12  # columns: the numbers of wider matrices are not written


def kept_numbers(weights: Float[Tensor, "out in"], masks: Mapping[str, Bool[Tensor, "out in"]]) -> Figure:
    """A small matrix, and the weights of it that each mask keeps; the title of each panel has the threshold.

    Numbers are in units of 0.1, rounded; they are written where the matrix has at most 12 columns.
    """
    panels = {"all weights": torch.ones_like(weights, dtype=torch.bool), **masks}
    figure, axes = new_figure(height=0.1 + len(panels) * (0.55 + 0.17 * len(weights)), nrows=len(panels))
    for axis, (label, mask) in zip(axes, panels.items(), strict=True):
        _draw_numbers(axis, weights, mask)
        threshold = float(weights[mask].abs().min()) if mask.any() else float("nan")
        rest = "" if label == "all weights" else f": {int(mask.sum())} kept, |w| ≥ {threshold:.2f}"
        subtitle(axis, f"{label}{rest}")
        axis.set(xlabel="input", ylabel="output")
    return figure


def magnitude_pruning(weights: Float[Tensor, "out in"], sparsity: float) -> Figure:
    """A histogram of a matrix's magnitudes with the threshold of a sparsity, and a picture of the kept weights.

    The title has the kept weights' fraction of the matrix's energy, the sum of its squared weights.
    """
    magnitudes = weights.detach().abs()
    mask = MaskSampler({"w": weights.detach()}, Magnitude(), sparsity).draw(0)["w"]
    kept, removed = magnitudes[mask].numpy(), magnitudes[~mask].numpy()
    energy = [float(np.square(part, dtype=np.float64).sum()) for part in (kept, removed)]
    threshold, largest = float(kept.min()), float(kept.max())
    width = threshold / max(1, round(80 * threshold / largest))  # so that the threshold lies between two bars
    edges = np.arange(0, largest + width, width)
    figure, (axis, picture) = new_figure(height=5.6, nrows=2, height_ratios=[1, 1.4])
    for label, part, colour in (("removed", removed, QUIET), ("kept", kept, COLOURS["magnitude"])):
        axis.stairs(np.histogram(part, edges)[0], edges, fill=True, color=colour, label=label)
    axis.axvline(threshold, color="black", lw=1, ls="--", label="threshold")
    # The limits do not depend on the sparsity.
    axis.set(xlabel="|weight|", ylabel="number of weights", yscale="log", xlim=(0, 1.02 * largest))
    axis.set_ylim(0.7, 10 ** np.ceil(np.log10(weights.numel() / 10)))
    axis.minorticks_off()
    axis.yaxis.set_major_formatter("{x:,.0f}")  # powers of ten would be typeset at every redraw
    fractions = 100 * float(mask.double().mean()), 100 * energy[0] / sum(energy)
    headline(axis, "{:.1f} % of the weights have {:.0f} % of the energy".format(*fractions))
    axis.legend(frameon=False, loc="upper right")
    picture.imshow(
        mask.numpy(), cmap=ListedColormap(["white", COLOURS["magnitude"]]), vmin=0, vmax=1, interpolation="nearest"
    )
    picture.set(xlabel="input", ylabel="output")
    subtitle(picture, "kept weights")
    place_axes(figure, left=0.9, bottom=0.45, top=0.3, hspace=0.38)
    return figure


def sparsity_by_tensor(masks: Mapping[str, MaskSet]) -> Figure:
    """The sparsity of every tensor under several allocations: a heat map for each, a column for each layer.

    Args:
        masks: masks by the name of their allocation.
    """
    names = list(next(iter(masks.values())))
    rows, columns = (list(dict.fromkeys(map(part, names))) for part in (kind_of, _depth))
    figure, axes = new_figure(
        height=0.5 + len(masks) * (0.55 + 0.19 * len(rows)), nrows=len(masks), squeeze=False, sharex=True
    )
    spreads = {}
    for axis, (label, mask) in zip(axes[:, 0], masks.items(), strict=True):
        table = np.full((len(rows), len(columns)), np.nan)
        for name in names:
            place = rows.index(kind_of(name)), columns.index(_depth(name))
            table[place] = 100 * (1 - float(mask[name].double().mean()))
        low, high = np.nanmin(table), np.nanmax(table)
        spreads[label] = high - low, low, high
        axis.imshow(table, cmap="Blues", vmin=50, vmax=100, aspect="auto")
        for (row, column), value in np.ndenumerate(table):
            if len(columns) <= NUMBERS_UP_TO and not np.isnan(value):
                text = f"{value:.{1 if len(columns) <= NUMBERS_UP_TO // 2 else 0}f}"
                axis.text(column, row, text, ha="center", va="center", color="white" if value > 75 else "black")
        subtitle(axis, f"{label}: sparsity of each tensor (%)")
        axis.set_xticks(range(len(columns)), columns)
        axis.set_yticks(range(len(rows)), rows)
        axis.set(xlabel="layer", ylabel="tensor")
        axis.label_outer()
    widest = max(spreads, key=lambda label: spreads[label][0])
    message = f"{widest}: sparsities of {spreads[widest][1]:.1f} to {spreads[widest][2]:.1f} %, by tensor"
    headline(figure, message)
    return figure


def _depth(tensor: str) -> str:
    """The number of a tensor's layer, if its name has one."""
    return next((word for word in tensor.split(".") if word.isdigit()), "")


def one_shot(
    sparsities: Sequence[float], results: Mapping[str, Sequence[Interval]], dense: Interval, metric: str
) -> Figure:
    """Scores against sparsity for one-shot magnitude pruning, without and with training after it.

    Args:
        results: 95 % intervals of the score at each sparsity, by label: first as pruned, then after training.
        dense: the score of the dense model.
        metric: the name of the score.
    """
    figure, axis = new_figure(height=3.8)
    draw_dense(axis, dense)
    looks: list[dict[str, Any]] = [{"ls": ":", "mfc": "white"}, {"ls": "-"}]
    places = -np.log2(1 - np.array(sparsities))  # a step to the right halves the kept weights
    for look, (label, intervals) in zip(looks, results.items(), strict=True):
        errorbars(axis, places, intervals, scale=100, color=COLOURS["magnitude"], label=label, **look)
    before, after = results.values()
    ends = [[100 * one.estimate for one in intervals] for intervals in (before, after)]
    gained = np.greater(ends[1], ends[0])
    axis.fill_between(places, *ends, where=gained, color=COLOURS["magnitude"], alpha=0.15, lw=0, label="recovered")
    axis.set_xticks(places, [f"{100 * sparsity:.4g}" for sparsity in sparsities])
    axis.set(xlabel="sparsity of the encoder (%), by weights kept", ylabel=f"{metric}, test set (points)")
    headline(axis, _recovered(sparsities, before, after, dense))
    legend_below(figure)
    return figure


def _recovered(
    sparsities: Sequence[float], untrained: Sequence[Interval], trained: Sequence[Interval], dense: Interval
) -> str:
    """The title: what training recovers where it recovers most, if the two intervals there do not overlap."""
    gains = [after.estimate - before.estimate for before, after in zip(untrained, trained, strict=True)]
    most = int(np.argmax(gains))
    if trained[most].low <= untrained[most].high:
        return "No clear gain from training after pruning"
    where, gained = percent(sparsities[most]), f"{100 * gains[most]:.1f}"
    lost = dense.estimate - untrained[most].estimate
    if gains[most] > lost:
        return f"At {where}, training after pruning gains {gained} points, and ends above the dense model"
    return f"At {where}, training recovers {gained} of the {100 * lost:.1f} points lost"


def _draw_numbers(axis: Axes, weights: Float[Tensor, "out in"], mask: Bool[Tensor, "out in"]) -> None:
    magnitudes = weights.detach().abs().numpy()
    shown = np.ma.masked_where(~mask.numpy(), magnitudes)
    axis.imshow(shown, cmap="Oranges", vmin=0, vmax=float(magnitudes.max()), aspect="auto")
    axis.set(xticks=[], yticks=[])
    if weights.shape[1] > NUMBERS_UP_TO:
        return
    for (row, column), kept in np.ndenumerate(mask.numpy()):
        if kept:
            dark = magnitudes[row, column] > 0.6 * magnitudes.max()
            number = str(round(10 * float(weights[row, column])))
            axis.text(column, row, number, ha="center", va="center", color="white" if dark else "black")
