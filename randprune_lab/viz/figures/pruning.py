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
from randprune_lab.viz.style import COLOURS, QUIET, RAMP, errorbars, fix_layout, new_figure, percent, short_name

NUMBERS_UP_TO = 12  # columns: the numbers of wider matrices are not written


def kept_numbers(weights: Float[Tensor, "out in"], masks: Mapping[str, Bool[Tensor, "out in"]]) -> Figure:
    """A small matrix, and the weights of it that each mask keeps; the title of each panel has the threshold.

    Numbers are in units of 0.1, rounded; they are written where the matrix has at most 12 columns.
    """
    figure, axes = new_figure(3.1 * (1 + len(masks)), 3.6, ncols=1 + len(masks))
    whole = torch.ones_like(weights, dtype=torch.bool)
    for axis, (label, mask) in zip(axes, {"all weights": whole, **masks}.items(), strict=True):
        _draw_numbers(axis, weights, mask)
        threshold = float(weights[mask].abs().min()) if mask.any() else float("nan")
        rest = "" if label == "all weights" else f"\n{int(mask.sum())} kept, |w| ≥ {threshold:.2f}"
        axis.set_title(f"{label}{rest}", fontsize="medium", fontweight="normal")
        axis.set_xlabel("input")
    axes[0].set_ylabel("output")
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
    figure, (axis, picture) = new_figure(9, 3.6, ncols=2, width_ratios=[1.35, 1])
    for label, part, colour in (("removed", removed, QUIET), ("kept", kept, COLOURS["magnitude"])):
        axis.stairs(np.histogram(part, edges)[0], edges, fill=True, color=colour, label=label)
    axis.axvline(threshold, color="black", lw=1, ls="--", label="threshold")
    axis.set(xlabel="|weight|", ylabel="number of weights", yscale="log", ylim=(0.7, None))
    axis.minorticks_off()
    axis.yaxis.set_major_formatter("{x:,.0f}")  # powers of ten would be typeset at every redraw
    fractions = 100 * float(mask.double().mean()), 100 * energy[0] / sum(energy)
    axis.set_title("{:.1f} % of the weights have {:.0f} % of the energy".format(*fractions))
    axis.legend(frameon=False, loc="upper right")
    picture.imshow(
        mask.numpy(), cmap=ListedColormap(["white", COLOURS["magnitude"]]), vmin=0, vmax=1, interpolation="nearest"
    )
    picture.set(xlabel="input", ylabel="output")
    picture.set_title("kept weights", fontweight="normal")
    fix_layout(figure, left=0.11, right=0.98, bottom=0.17, top=0.9, wspace=0.22)
    return figure


def sparsity_by_tensor(masks: Mapping[str, MaskSet]) -> Figure:
    """The sparsity of every tensor, in the model's order, under several allocations.

    Args:
        masks: masks by the name of their allocation.
    """
    figure, axis = new_figure(9.5, 4.2)
    names = list(next(iter(masks.values())))
    looks = [{"color": QUIET, "marker": ""}, {"color": COLOURS["magnitude"], "marker": "o"}]
    looks += [{"color": RAMP[2], "marker": "s"}, {"color": RAMP[0], "marker": "^"}]
    spreads = {}
    for look, (label, mask) in zip(looks, masks.items(), strict=False):
        sparsities = [100 * (1 - float(mask[name].double().mean())) for name in names]
        spreads[label] = max(sparsities) - min(sparsities), min(sparsities), max(sparsities)
        axis.plot(range(len(names)), sparsities, ms=4, lw=1.2, label=label, **look)
    widest = max(spreads, key=lambda label: spreads[label][0])
    axis.set_title(f"{widest}: sparsities of {spreads[widest][1]:.1f} to {spreads[widest][2]:.1f} %, by tensor")
    axis.set_xticks(range(len(names)), map(short_name, names), rotation=90, fontsize=7)
    axis.set(xlabel="tensor, from the first layer to the last", ylabel="sparsity (%)")
    axis.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def one_shot(
    sparsities: Sequence[float], results: Mapping[str, Sequence[Interval]], dense: Interval, metric: str
) -> Figure:
    """Scores against sparsity for one-shot magnitude pruning, without and with training after it.

    Args:
        results: 95 % intervals of the score at each sparsity, by label: first as pruned, then after training.
        dense: the score of the dense model.
        metric: the name of the score.
    """
    figure, axis = new_figure(7.5, 3.8)
    axis.axhspan(100 * dense.low, 100 * dense.high, color=COLOURS["dense"], alpha=0.12, lw=0)
    axis.axhline(100 * dense.estimate, color=COLOURS["dense"], lw=1.2, ls="--", label="dense")
    looks: list[dict[str, Any]] = [{"fmt": "o:", "mfc": "white"}, {"fmt": "o-"}]
    places = np.arange(len(sparsities))
    for look, (label, intervals) in zip(looks, results.items(), strict=True):
        errorbars(axis, places, intervals, scale=100, color=COLOURS["magnitude"], label=label, **look)
    axis.set_xticks(places, map(percent, sparsities))
    axis.set(xlabel="sparsity of the encoder", ylabel=f"{metric}, test set (points)")
    before, after = results.values()
    axis.set_title(_recovered(sparsities, before, after, dense))
    axis.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _recovered(
    sparsities: Sequence[float], untrained: Sequence[Interval], trained: Sequence[Interval], dense: Interval
) -> str:
    """The title: what training recovers where it recovers most, if the two intervals there do not overlap."""
    gains = [after.estimate - before.estimate for before, after in zip(untrained, trained, strict=True)]
    most = int(np.argmax(gains))
    if trained[most].low <= untrained[most].high:
        return "No clear gain from training after pruning"
    lost = dense.estimate - untrained[most].estimate
    return (
        f"At {percent(sparsities[most])}, training recovers {100 * gains[most]:.1f} of the {100 * lost:.1f} points lost"
    )


def _draw_numbers(axis: Axes, weights: Float[Tensor, "out in"], mask: Bool[Tensor, "out in"]) -> None:
    magnitudes = weights.detach().abs().numpy()
    shown = np.ma.masked_where(~mask.numpy(), magnitudes)
    axis.imshow(shown, cmap="Oranges", vmin=0, vmax=float(magnitudes.max()))
    axis.set(xticks=[], yticks=[])
    if weights.shape[1] > NUMBERS_UP_TO:
        return
    for (row, column), kept in np.ndenumerate(mask.numpy()):
        if kept:
            dark = magnitudes[row, column] > 0.6 * magnitudes.max()
            number = str(round(10 * float(weights[row, column])))
            axis.text(column, row, number, ha="center", va="center", fontsize=7, color="white" if dark else "black")
