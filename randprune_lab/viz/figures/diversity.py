"""Figures of how much candidates differ: from each other, from the magnitude mask, by layer and by rule."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Float64, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from randprune_lab.analysis.diversity import planar_map
from randprune_lab.viz.style import (
    COLOURS,
    QUIET,
    RAMP,
    headline,
    legend_below,
    new_figure,
    percent,
    place_axes,
    short_name,
    subtitle,
)


def overlap_map(shared: Float[np.ndarray, "n n"], labels: Sequence[str]) -> Figure:
    """Heat map of the overlap of every pair of masks, with the mean of every pair of rules.

    Args:
        shared: the overlap of each pair, from 0 to 1: the fraction of one mask's kept weights that the other keeps too.
        labels: the rule of each mask; the masks of a rule are next to each other.
    """
    figure, axis = new_figure(height=4.6)
    axis.imshow(shared, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    starts = [0, *(i for i in range(1, len(labels)) if labels[i] != labels[i - 1]), len(labels)]
    groups = [slice(*ends) for ends in itertools.pairwise(starts)]
    middles = [(group.start + group.stop - 1) / 2 for group in groups]
    for start in starts[1:-1]:
        axis.axhline(start - 0.5, color="white", lw=1.5)
        axis.axvline(start - 0.5, color="white", lw=1.5)
    for row, column in itertools.combinations_with_replacement(range(len(groups)), 2):  # the map is symmetric
        block = shared[groups[row], groups[column]]
        _write_mean(axis, block, middles[column], middles[row], own=row == column)
    names = [labels[group.start] for group in groups]
    axis.set_xticks(middles, names, rotation=30, ha="right")
    axis.set_yticks(middles, names)
    axis.set(xlabel="mask (written: the mean of two rules)", ylabel="mask")
    off = shared[~np.eye(len(shared), dtype=bool)]
    headline(axis, f"Overlap of two masks: {100 * off.min():.0f} to {100 * off.max():.0f} % of the kept weights")
    return figure


def _write_mean(axis: Axes, block: Float[np.ndarray, "m n"], x: float, y: float, *, own: bool) -> None:
    """Write the mean of a block, without the overlap of a mask with itself."""
    values = block[~np.eye(len(block), dtype=bool)] if own else block
    if values.size:
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5}
        axis.text(x, y, f"{100 * values.mean():.0f} %", ha="center", va="center", bbox=box)


def candidate_map(hamming: Int[np.ndarray, "n n"], labels: Sequence[str]) -> Figure:
    """A map of masks around the first one, above the true distances within each group and those on the map.

    Args:
        hamming: distances of all pairs, in weights; the first mask is the magnitude mask.
        labels: the group of each mask; a group named after a rule has the rule's colour, others go from light to dark.
    """
    plane = planar_map(hamming)
    figure, (axis, check) = new_figure(height=6.0, nrows=2, height_ratios=[1.3, 1])
    colours = _colours(labels)
    for label, colour in colours.items():
        x, y = plane.points[[one == label for one in labels]].T
        centre = label == labels[0]  # drawn as a ring, so that no candidate is hidden
        name = label if centre else f"{label}, {len(x)} masks"
        axis.plot(x, y, "o", ms=13 if centre else 5, color=colour, mfc="none" if centre else colour, mew=2, label=name)
    axis.set(xlabel="first direction (√weights)", ylabel="second direction (√weights)")
    axis.set_aspect("equal", adjustable="datalim")
    headline(axis, f"The map shows {100 * plane.fraction:.0f} % of the masks' variance")
    groups = [label for label in colours if labels.count(label) > 1]
    for row, label in enumerate(groups):
        own = np.flatnonzero([one == label for one in labels])
        first, second = own[np.array(np.triu_indices(len(own), 1))]
        drawn = np.linalg.norm(plane.points[first] - plane.points[second], axis=1)
        least = 0.015 * np.sqrt(hamming.max())  # so that a range of hardly any length is seen
        ends = [drawn.min(), max(drawn.max(), drawn.min() + least)]
        check.plot(ends, [row + 0.2] * 2, color=QUIET, lw=6, alpha=0.5, solid_capstyle="butt")
        true = np.sqrt(hamming[first, second])
        check.plot(true, [row - 0.15] * len(true), "|", ms=16, mew=1.5, color=colours[label])
    check.plot([], [], color=QUIET, lw=6, alpha=0.5, label="distances on the map, from least to largest")
    check.plot([], [], "|", ms=12, mew=1.5, color="black", label="true distances of all pairs")
    check.set_yticks(range(len(groups)), groups)
    check.set(ylim=(len(groups) - 0.4, -0.6), xlim=(-0.02 * np.sqrt(hamming.max()), 1.08 * np.sqrt(hamming.max())))
    check.set(xlabel="distance of two masks (√weights)", ylabel="pairs within")
    subtitle(check, "true distances are alike, those on the map are not")
    handles, names = (
        above + below for above, below in zip(*(one.get_legend_handles_labels() for one in (axis, check)), strict=True)
    )
    figure.legend(handles, names, loc="outside lower left", frameon=False)
    return figure


def distance_by_tensor(
    expected: Mapping[str, float], measured: Mapping[str, Float[np.ndarray, " pairs"]], kept: Mapping[str, int]
) -> Figure:
    """Hamming distance of two candidates in each tensor, as a percentage of 2k: expected and measured.

    Args:
        expected: the closed form for each tensor, in weights.
        measured: the distances of several independent pairs in each tensor, in weights; mean and range are drawn.
        kept: k, the number of weights that a candidate keeps in each tensor.
    """
    names = list(expected)
    figure, axis = new_figure(height=1.4 + 0.18 * len(names))
    scale = np.array([50 / kept[name] for name in names])
    found = np.array([measured[name] for name in names]) * scale[:, None]
    computed = np.array([expected[name] for name in names]) * scale
    places = np.arange(len(names))
    axis.plot(computed, places, "|", ms=9, mew=2, color="black", label="expected", zorder=3)
    middle = found.mean(axis=1)
    arms = [middle - found.min(axis=1), found.max(axis=1) - middle]
    label = f"{found.shape[1]} pairs: mean and range"
    axis.errorbar(middle, places, xerr=arms, fmt="o", ms=4, capsize=2, color=COLOURS["voting"], label=label)
    axis.set_yticks(places, map(short_name, names))
    axis.invert_yaxis()
    axis.set(xlabel="distance (% of 2k)", ylabel="tensor", xlim=(0, None))
    off = float(np.abs(middle / computed - 1).max())
    headline(axis, f"Measured means are within {100 * off:.1f} % of the expected distances")
    legend_below(figure)
    return figure


def distance_grid(
    apart: Mapping[tuple[float, float], Float64[np.ndarray, " tensors"]],
    tensors: Sequence[str],
    sparsity: float,
    sampling_ratio: float,
) -> Figure:
    """Hamming distance of two candidates for a grid of settings, and in each tensor at one of these settings.

    Args:
        apart: for each (sparsity, sampling ratio), the distance in each tensor and then that in all tensors together,
            as fractions of 2k.
        tensors: the names of the tensors.
        sparsity, sampling_ratio: the setting that is drawn tensor by tensor.
    """
    sparsities, ratios = (sorted({key[i] for key in apart}) for i in (0, 1))
    table = 100 * np.array([[apart[s, r][-1] for r in ratios] for s in sparsities])
    figure, (axis, bars) = new_figure(
        height=3.8 + 0.18 * len(tensors), nrows=2, height_ratios=[2.0, 0.2 + 0.18 * len(tensors)]
    )
    axis.imshow(table, cmap="Blues", vmin=0, vmax=100, aspect="auto", origin="lower")
    for (row, column), value in np.ndenumerate(table):
        axis.text(column, row, f"{value:.0f}", ha="center", va="center", color="white" if value > 55 else "black")
    axis.plot(ratios.index(sampling_ratio), sparsities.index(sparsity), "s", ms=21, mfc="none", mec="black", mew=2)
    axis.set_xticks(range(len(ratios)), [f"{ratio:.0e}" for ratio in ratios])
    axis.set_yticks(range(len(sparsities)), [f"{100 * one:.4g}" for one in sparsities])
    axis.set(xlabel="sampling ratio", ylabel="sparsity (%)")
    subtitle(axis, "distance of two candidates (% of 2k)")
    here = 100 * apart[sparsity, sampling_ratio]
    bars.barh(range(len(tensors)), here[:-1], color=COLOURS["voting"])
    bars.set_yticks(range(len(tensors)), [*map(short_name, tensors)])
    bars.invert_yaxis()
    bars.axvline(here[-1], color="black", lw=1, ls="--")
    bars.set(xlabel="distance (% of 2k)", ylabel="tensor", xlim=(0, 100))
    subtitle(bars, f"{here[-1]:.1f} % of 2k at {percent(sparsity)}, ratio {sampling_ratio:.0e}")
    place_axes(figure, left=1.55, bottom=0.45, top=0.3, right=0.2, hspace=0.42)
    return figure


def coverage_by_candidates(
    numbers: Sequence[int],
    expected: Mapping[str, Float[np.ndarray, " m"]],
    measured: Mapping[str, Float[np.ndarray, " m"]],
    at: int = 8,
) -> Figure:
    """Coverage: the fraction of the undecided weights that some of n candidates keep and others remove.

    Args:
        numbers: the numbers of candidates, n.
        expected: the expected coverage for each number, by label; colours go from light to dark.
        measured: the coverage counted in drawn candidates, by label; labels may be missing.
        at: the number of candidates that the title is about.
    """
    figure, axis = new_figure(height=3.9)
    for colour, (label, coverage) in zip(RAMP, expected.items(), strict=False):
        axis.plot(numbers, 100 * coverage, color=colour, lw=2, label=label)
        if label in measured:
            axis.plot(numbers, 100 * measured[label], "o", ms=5, color=colour)
    where = list(numbers).index(at)
    covered = [100 * coverage[where] for coverage in expected.values()]
    low, high = min(covered), max(covered)
    headline(axis, f"{at} candidates cover {low:.0f} to {high:.0f} % of the undecided weights")
    axis.axvline(at, color=QUIET, lw=0.8, ls=":")
    axis.set_xscale("log", base=2)
    axis.set_xticks(numbers, map(str, numbers))
    axis.set(xlabel="number of candidates", ylabel="coverage of the undecided weights (%)", ylim=(0, 100))
    legend_below(figure)
    return figure


def _colours(labels: Sequence[str]) -> dict[str, str]:
    ramp = iter(RAMP)
    return {label: COLOURS.get(label.split(" ")[0].lower()) or next(ramp, QUIET) for label in dict.fromkeys(labels)}
