"""Figures of an iterative run: the steps of each level, the masks, levels compared with one step, and equal steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from randprune_lab.analysis.levels import difference_at_the_end, overlap_fraction, revived, total_steps, training_steps
from randprune_lab.analysis.run_record import RunRecord
from randprune_lab.errors import MaskError, RunError, listed
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.stats.intervals import Interval
from randprune_lab.viz.figures.results import draw_chance
from randprune_lab.viz.style import (
    COLOURS,
    LABELS,
    QUIET,
    errorbars,
    headline,
    legend_below,
    method_colour,
    method_look,
    new_figure,
    percent,
    place_axes,
    short_name,
    sparsity_ticks,
    subtitle,
    whole_ticks,
)

COLUMNS = 3
"""The most pictures of a mask side by side."""
NAMED = 12
"""The most matrices whose names are all written."""


def schedule(record: RunRecord) -> Figure:
    """The fraction of the prunable weights that each level keeps, and the training steps of each method."""
    levels, rows = np.array(record.config.levels), training_steps(record)
    figure, (kept, steps) = new_figure(
        height=3.3 + 0.42 * len(record.methods), nrows=2, height_ratios=[2.1, 0.7 + 0.42 * len(record.methods)]
    )
    places = np.arange(len(levels) + 1)
    left = 100 * np.append(1.0, 1 - levels)
    kept.step(places, left, where="post", color=QUIET, lw=1)
    kept.plot(places, left, "o", color="black")
    for place, height in zip(places, left, strict=True):
        kept.annotate(f"{height:.4g} %", (place, height), xytext=(4, 6), textcoords="offset points")
    kept.set(yscale="log", xlabel="level (0: dense)", ylabel="weights kept (%)", xticks=places)
    kept.set_ylim(left[-1] / 1.6, 200)
    kept.yaxis.set_major_formatter("{x:g}")
    kept.margins(x=0.1)
    headline(kept, f"{len(levels)} level{'s' * (len(levels) > 1)}: {1 / (1 - levels[-1]):.3g}× fewer prunable weights")
    for row_of_bars, method in enumerate(record.methods):
        _draw_steps(steps, row_of_bars, [row for row in rows if row["method"] == method])
    steps.set_yticks(range(len(record.methods)), [LABELS.get(method, method) for method in record.methods])
    steps.invert_yaxis()
    steps.set(ylabel="method")
    whole_ticks(steps, "training steps (hatched: candidates)")
    winner, candidates = (
        sum(row[part] for row in rows if row["method"] == record.config.method) for part in ("winner", "candidates")
    )
    name = LABELS.get(record.config.method, record.config.method)
    headline(steps, f"{name}: {(winner + candidates) / winner:.3g}× the winner's steps")
    return figure


def _draw_steps(axis: Axes, place: int, rows: Sequence[dict[str, Any]]) -> None:
    """Draw the steps of one method in their order: at each level the candidates, then the winner."""
    done, colour = 0, method_colour(rows[0]["method"])
    for row in rows:
        axis.barh(place, row["candidates"], left=done, color=colour, alpha=0.35, hatch="//", edgecolor="white")
        done += row["candidates"]
        axis.barh(place, row["winner"], left=done, color=colour, edgecolor="white")
        done += row["winner"]
        axis.text(done - row["winner"] / 2, place, row["level"], color="white", ha="center", va="center")


def levels_against_one_shot(record: RunRecord, at_once: RunRecord) -> Figure:
    """Test scores of each method after many levels and after a single one, with 95 % intervals.

    Args:
        record: a run with several levels.
        at_once: a run with one level, of the same sparsity as the last level of `record`.

    Raises:
        RunError: if the two runs were not scored on the same test examples.
    """
    methods = [method for method in record.methods if method in at_once.methods]
    sparsity = at_once.config.levels[-1]
    figure, axis = new_figure(height=3.6)
    dense = record.score("dense")
    axis.axhline(100 * dense.estimate, color=COLOURS["dense"], lw=1.2, ls="--", label=LABELS["dense"])
    runs = {"in one step": at_once, f"in {len(record.config.levels)} levels": record}
    for shift, method in zip(np.linspace(-0.06, 0.06, len(methods)), methods, strict=True):
        scores = [run.score(run.level(len(run.config.levels), method).name) for run in runs.values()]
        errorbars(axis, np.arange(len(runs)) + shift, scores, scale=100, ls="-", **method_look(method))
    axis.set_xticks(range(len(runs)), list(runs))
    axis.margins(x=0.3)
    axis.set(xlabel=f"pruning to {percent(sparsity)}", ylabel=f"{record.task.primary_metric}, test set (points)")
    headline(axis, _verdict_on_levels(record, at_once, methods[-1]))
    legend_below(figure)
    return figure


def _verdict_on_levels(record: RunRecord, at_once: RunRecord, method: str) -> str:
    found, name = difference_at_the_end(record, method, at_once, method), LABELS.get(method, method)
    points = 100 * found.estimate
    if found.low <= 0 <= found.high:
        return f"{name}: no clear difference between levels and one step ({points:+.1f} points)"
    return (
        f"{name}: levels are significantly {'better' if points > 0 else 'worse'} than one step ({points:+.1f} points)"
    )


def surviving(masks: Sequence[MaskSet], tensor: str, *, method: str = "search") -> Figure:
    """One matrix level by level, with a dot in the method's colour for each kept weight.

    Args:
        masks: the mask of each level, in order.
        tensor: the name of the matrix.
        method: the method that the masks come from, for the colour.
    """
    columns = min(COLUMNS, len(masks))
    rows = -(-len(masks) // columns)
    figure, axes = new_figure(height=0.6 + 1.95 * rows, nrows=rows, ncols=columns, squeeze=False)
    for unused in axes.flat[len(masks) :]:
        unused.remove()
    for axis, mask in zip(axes.flat, masks, strict=False):
        _draw_pixels(axis, _matrix(mask, tensor).astype(int), ["white", method_colour(method)])
        sparsity = percent(1 - _matrix(mask, tensor).mean())
        subtitle(axis, f"sparsity {sparsity}")
    axes[0, 0].set_ylabel("outputs")
    back = max(revived(masks), default=0.0)
    message = "removed weights stay removed"
    if back:
        message = f"up to {100 * back:.1f} % of a level's kept weights were removed at the level before"
    headline(figure, f"{short_name(tensor)}: {message}")
    return figure


def masks_compared(first: MaskSet, second: MaskSet, tensor: str, *, names: Sequence[str] = ("search", "imp")) -> Figure:
    """Two masks of one matrix, weight by weight, and their overlap in every matrix.

    Args:
        tensor: the name of the matrix.
        names: the methods that the masks come from, for colours and labels.
    """
    one, two = _matrix(first, tensor), _matrix(second, tensor)
    figure, (picture, overlaps) = new_figure(height=6.4, nrows=2, height_ratios=[1.5, 1])
    colours = ["white", *map(method_colour, names), QUIET]
    _draw_pixels(picture, one.astype(int) + 2 * two, colours)
    largest = [max(_matrix(first, name).shape[side] for name in first) for side in (0, 1)]
    picture.set(ylabel="outputs", xlim=(-0.5, largest[1] - 0.5), ylim=(largest[0] - 0.5, -0.5))  # the same for all
    kept = [f"kept by {LABELS.get(name, name)} only" for name in names]
    for label, colour in zip((*kept, "by both"), colours[1:], strict=True):
        picture.plot([], [], "s", color=colour, label=label)
    below = legend_below(figure)
    headline(picture, f"{short_name(tensor)}: {(one & ~two).sum():,} of {one.sum():,} kept weights differ")
    every = [overlap_fraction(MaskSet({name: first[name]}), MaskSet({name: second[name]})) for name in first]
    places = np.arange(len(every))
    chosen = places == list(first).index(tensor)
    overlaps.barh(places, every, color=np.where(chosen, "black", QUIET))
    overlaps.axvline(second.kept / second.size, color="black", lw=1, ls=":")
    overlaps.set_yticks(places if len(every) <= NAMED else places[chosen], _ticks(first, chosen))
    overlaps.invert_yaxis()
    overlaps.set(xlim=(0, 1), xlabel="overlap: fraction of kept weights in both\n(dotted: by chance)", ylabel="matrix")
    whole = 100 * overlap_fraction(first, second)
    subtitle(overlaps, f"At {percent(first.sparsity)}, the overlap is {whole:.1f} %")
    place_axes(figure, left=1.6, bottom=0.65 + below, top=0.5, hspace=0.3)
    return figure


def _ticks(mask: MaskSet, chosen: np.ndarray) -> list[str]:
    return [short_name(name) for name, one in zip(mask, chosen, strict=True) if len(mask) <= NAMED or one]


def _matrix(mask: MaskSet, tensor: str) -> np.ndarray:
    if tensor not in mask:
        raise MaskError(f"the mask has no tensor {tensor!r}; its tensors are {listed(mask)}")
    found = mask[tensor].cpu().numpy()
    return found.reshape(len(found), -1)


def _draw_pixels(axis: Axes, cells: np.ndarray, colours: Sequence[str]) -> None:
    colormap = ListedColormap(list(colours))
    axis.imshow(cells, cmap=colormap, vmin=-0.5, vmax=len(colours) - 0.5, interpolation="nearest")
    axis.set(xticks=[], yticks=[], xlabel="inputs")
    for spine in axis.spines.values():
        spine.set(visible=True, color=QUIET, linewidth=0.6)


def equal_steps(record: RunRecord, longer: RunRecord) -> Figure:
    """Test scores against sparsity: a search, its IMP, and IMP with the search's training steps.

    The title is the paired difference at the last level between the search and the longer IMP.

    Args:
        record: a run of a search, with the baseline `imp`.
        longer: a run of IMP at the same levels, on the same examples, with the steps of the search.

    Raises:
        RunError: if the levels, the test examples or the total steps of the two runs differ, or a level is not done.
    """
    search, method = record.config.method, longer.config.method
    steps, others = total_steps(record), total_steps(longer)
    if record.config.levels != longer.config.levels:
        raise RunError(f"{longer.path} has other levels than {record.path}; run both with the same levels")
    if others[method] != steps[search]:
        raise RunError(
            f"{method} took {others[method]:,} training steps and the search {steps[search]:,}; "
            f"set epochs so that both take the same number"
        )
    lines = (
        (record, search, "search", {"color": COLOURS["search"]}),
        (record, "imp", "IMP", {"color": COLOURS["imp"], "ls": "--", "mfc": "white"}),
        (longer, method, "IMP", {"color": COLOURS["imp"]}),
    )
    figure, axis = new_figure(height=3.8)
    draw_chance(axis, record)
    places = range(len(record.config.levels))
    for run, name, label, look in lines:
        intervals = [run.score(run.level(place + 1, name).name) for place in places]
        took = (steps if run is record else others)[name]
        shown: dict[str, Any] = {"ls": "-", "label": f"{label}, {took:,} steps", **look}
        errorbars(axis, list(places), intervals, scale=100, **shown)
    sparsity_ticks(axis, record.config.levels)
    axis.set(xlabel="sparsity of the encoder (%)", ylabel=f"{record.task.primary_metric}, test set (points)")
    found = difference_at_the_end(record, search, longer, method)
    headline(axis, f"At {percent(record.config.levels[-1])} and equal steps:\n{_verdict_at_equal_steps(found)}")
    legend_below(figure)
    return figure


def _verdict_at_equal_steps(found: Interval) -> str:
    points = found.in_points(signed=True)
    if found.low <= 0 <= found.high:
        return f"search minus IMP {points}, no clear difference"
    return f"the search is {'ahead' if found.estimate > 0 else 'behind'}, {points} points"
