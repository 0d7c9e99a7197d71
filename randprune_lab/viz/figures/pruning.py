"""Figures of magnitude pruning: what goes, what stays, from which layers, and what it does to accuracy."""

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
from randprune_lab.viz.style import COLOURS, QUIET, RAMP, errorbars, fix_layout, new_figure, short_name

NUMBERS_UP_TO = 12  # columns of a matrix whose numbers are written out


def kept_numbers(weights: Float[Tensor, "out in"], masks: Mapping[str, Bool[Tensor, "out in"]]) -> Figure:
    """A small matrix seen whole, and what each mask keeps of it; the border is in the title of each panel.

    Numbers are in units of 0.1, rounded, where the matrix has at most 12 columns.
    """
    figure, axes = new_figure(3.1 * (1 + len(masks)), 3.6, ncols=1 + len(masks))
    whole = torch.ones_like(weights, dtype=torch.bool)
    for axis, (label, mask) in zip(axes, {"all weights": whole, **masks}.items(), strict=True):
        _draw_numbers(axis, weights, mask)
        border = float(weights[mask].abs().min()) if mask.any() else float("nan")
        rest = "" if label == "all weights" else f"\n{int(mask.sum())} kept, |w| ≥ {border:.2f}"
        axis.set_title(f"{label}{rest}", fontsize="medium", fontweight="normal")
        axis.set_xlabel("input")
    axes[0].set_ylabel("output")
    return figure


def magnitude_pruning(weights: Float[Tensor, "out in"], sparsity: float) -> Figure:
    """Magnitudes of a matrix with the border of a sparsity, and the kept weights as a picture.

    The title says how much of the matrix's energy, the sum of squared weights, the kept ones hold.
    """
    magnitudes = weights.detach().abs()
    mask = MaskSampler({"w": weights.detach()}, Magnitude(), sparsity).draw(0)["w"]
    kept, removed = magnitudes[mask].numpy(), magnitudes[~mask].numpy()
    energy = [float(np.square(part, dtype=np.float64).sum()) for part in (kept, removed)]
    border, largest = float(kept.min()), float(kept.max())
    width = border / max(1, round(80 * border / largest))  # so that the border lies between two bars
    edges = np.arange(0, largest + width, width)
    figure, (axis, picture) = new_figure(9, 3.6, ncols=2, width_ratios=[1.35, 1])
    for label, part, colour in (("removed", removed, QUIET), ("kept", kept, COLOURS["magnitude"])):
        axis.stairs(np.histogram(part, edges)[0], edges, fill=True, color=colour, label=label)
    axis.axvline(border, color="black", lw=1, ls="--", label="border")
    axis.set(xlabel="|weight|", ylabel="weights", yscale="log", ylim=(0.7, None))
    axis.minorticks_off()
    axis.yaxis.set_major_formatter("{x:,.0f}")  # powers would be typeset, at every redraw
    axis.set_title(f"{mask.double().mean():.1%} of the weights hold {energy[0] / sum(energy):.0%} of the energy")
    axis.legend(frameon=False, loc="upper right")
    picture.imshow(
        mask.numpy(), cmap=ListedColormap(["white", COLOURS["magnitude"]]), vmin=0, vmax=1, interpolation="nearest"
    )
    picture.set(xlabel="input", ylabel="output")
    picture.set_title("kept weights", fontweight="normal")
    fix_layout(figure, left=0.11, right=0.98, bottom=0.17, top=0.9, wspace=0.22)
    return figure


def sparsity_by_tensor(masks: Mapping[str, MaskSet]) -> Figure:
    """Sparsity of every tensor, in the model's order, under several ways to share out the weights that are kept."""
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
    axis.set_title(f"{widest}: from {spreads[widest][1]:.1f} % to {spreads[widest][2]:.1f} % sparse, by tensor")
    axis.set_xticks(range(len(names)), map(short_name, names), rotation=90, fontsize=7)
    axis.set(xlabel="tensor, from the first layer to the last", ylabel="sparsity (%)")
    axis.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def one_shot(
    sparsities: Sequence[float], results: Mapping[str, Sequence[Interval]], dense: Interval, metric: str
) -> Figure:
    """A score against the sparsity of one-shot magnitude pruning, with and without training after it.

    Args:
        results: 95 % intervals of the score at each sparsity, first as pruned, then after training.
    """
    figure, axis = new_figure(7.5, 3.8)
    axis.axhspan(dense.low, dense.high, color=COLOURS["dense"], alpha=0.12, lw=0)
    axis.axhline(dense.estimate, color=COLOURS["dense"], lw=1.2, ls="--", label="dense")
    looks: list[dict[str, Any]] = [{"fmt": "o:", "mfc": "white"}, {"fmt": "o-"}]
    places = np.arange(len(sparsities))
    for look, (label, intervals) in zip(looks, results.items(), strict=True):
        errorbars(axis, places, intervals, color=COLOURS["magnitude"], label=label, **look)
    axis.set_xticks(places, [f"{100 * sparsity:.4g} %" for sparsity in sparsities])
    axis.set(xlabel="sparsity of the encoder", ylabel=f"{metric}, test set")
    before, after = results.values()
    axis.set_title(_won_back(sparsities, before, after, dense))
    axis.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _won_back(
    sparsities: Sequence[float], untrained: Sequence[Interval], trained: Sequence[Interval], dense: Interval
) -> str:
    """What training wins back where it wins most, if the intervals there lie apart."""
    gains = [after.estimate - before.estimate for before, after in zip(untrained, trained, strict=True)]
    most = int(np.argmax(gains))
    if trained[most].low <= untrained[most].high:
        return "Training after pruning brings no clear gain"
    lost = dense.estimate - untrained[most].estimate
    return f"At {100 * sparsities[most]:.4g} %, training wins back {gains[most]:.2f} of the {lost:.2f} lost"


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
