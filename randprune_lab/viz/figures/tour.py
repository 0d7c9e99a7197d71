"""Figures of the tour: the method as a sketch, a recorded lead, and a recorded search step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from torch import Tensor

from randprune_lab.analysis.task_record import Early, TaskRecord
from randprune_lab.search.units import DENSE
from randprune_lab.tasks.spec import task_title
from randprune_lab.viz.figures.results import lead
from randprune_lab.viz.style import (
    COLOURS,
    LABELS,
    QUIET,
    draw_dense,
    errorbars,
    headline,
    legend_below,
    method_look,
    new_figure,
    percent,
    place_axes,
    sparsity_ticks,
    subtitle,
    whole_ticks,
)

Stage = Literal["judge", "keep", "train"]
"""What has been done at a level: its candidates are judged, one of them is kept, it is trained."""
EARLY_PART = 0.3
"""The part of a training that is the early evaluation, in the sketch."""


def method_sketch(weights: Float[Tensor, "out in"], masks: Sequence[Bool[Tensor, "out in"]]) -> Figure:
    """A level of the search as a circle of four panels: draw, judge, keep, train, and back. The curves are made up.

    Args:
        weights: a small matrix.
        masks: three masks of it.
    """
    figure, axes = new_figure(height=4.6, nrows=2, ncols=2)
    (draw, judge), (train, keep) = axes
    draw.imshow(_weights_and_masks(weights, masks), interpolation="nearest")
    draw.set(xlabel="grey: size, blue: kept", ylabel="weights")
    steps = np.linspace(0, 1, 60)
    curves = [0.9 * (1 - np.exp(-rate * steps)) - low for rate, low in ((4.2, 0.1), (5.5, 0.0), (2.4, 0.14))]
    for place, (axis, end) in enumerate(((judge, EARLY_PART), (keep, EARLY_PART), (train, 1.0))):
        for number, curve in enumerate(curves):
            kept = number == 1
            if axis is train and not kept:
                continue
            look: dict[str, Any] = {"color": COLOURS["search"] if kept and place else QUIET}
            until = steps <= end
            axis.plot(steps[until], curve[until], lw=2.6 if kept and place else 1.4, **look)
            axis.plot(steps[until][-1], curve[until][-1], "o", ms=9 if kept and place else 6, **look)
        axis.set(xlim=(0, 1.08), ylim=(-0.2, 1.05), xlabel="training steps", ylabel="score")
    titles = ("1. draw masks", "2. judge each early", "3. keep the best", "4. train it to the end")
    for axis, title in zip((draw, judge, keep, train), titles, strict=True):
        axis.set(xticks=[], yticks=[])
        subtitle(axis, title)
    headline(figure, "A sketch of one level of the search. The next level begins at 1 again, with fewer weights.")
    place_axes(figure, left=0.35, bottom=0.4, top=0.85, right=0.2, wspace=0.42, hspace=0.55)
    _arrow(figure, (0.46, 0.66), (0.54, 0.66))
    _arrow(figure, (0.745, 0.485), (0.745, 0.445))
    _arrow(figure, (0.54, 0.24), (0.46, 0.24))
    _arrow(figure, (0.24, 0.445), (0.24, 0.485))
    return figure


def _weights_and_masks(
    weights: Float[Tensor, "out in"], masks: Sequence[Bool[Tensor, "out in"]]
) -> Float[np.ndarray, "height width colours"]:
    """The magnitudes in grey and three masks in colour, as one picture of two by two."""
    size = weights.abs().double().numpy()
    tiles = [np.repeat((1 - 0.85 * size / size.max())[..., None], 3, axis=2)]
    for mask in masks[:3]:
        tiles.append(np.where(mask.numpy()[..., None], to_rgb(COLOURS["search"]), (0.93, 0.93, 0.93)))
    gap = np.ones((2, tiles[0].shape[1], 3))
    columns = [np.concatenate([tiles[place], gap, tiles[place + 2]]) for place in (0, 1)]
    return np.concatenate([columns[0], np.ones((columns[0].shape[0], 2, 3)), columns[1]], axis=1)


def _arrow(figure: Figure, start: tuple[float, float], end: tuple[float, float]) -> None:
    look: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 16, "lw": 2, "color": COLOURS["dense"]}
    figure.add_artist(FancyArrowPatch(start, end, transform=figure.transFigure, shrinkA=0, shrinkB=0, **look))


def recorded_lead(run: TaskRecord, method: str, other: str, sparsity: float) -> Figure:
    """Test scores of two methods at each level of a recorded study, and their difference at one as the title.

    Args:
        method, other: the names of the methods; the difference is that of the first minus the second.
        sparsity: the level that the title is about.
    """
    figure, axis = new_figure(height=3.6)
    draw_dense(axis, run.score(DENSE))
    for shift, name in ((-0.05, method), (0.05, other)):
        _draw_scores(axis, run, name, shift, len(run.levels))
    axis.set(ylabel=f"{run.metric}, test set (points)", xlim=(-0.4, len(run.levels) - 0.6))
    sparsity_ticks(axis, run.levels)
    found = run.difference(method, other, sparsity)
    headline(axis, f"{task_title(run.task)} at {percent(sparsity)}: {lead(found, method, other)}")
    legend_below(figure)
    return figure


def _draw_scores(axis: Axes, run: TaskRecord, method: str, shift: float, levels: int) -> None:
    """Draw the test scores of a method at the first levels."""
    scores = [run.score(method, sparsity) for sparsity in run.levels[:levels]]
    errorbars(axis, np.arange(levels) + shift, scores, scale=100, ls="-", **method_look(method))


def search_step(run: TaskRecord, method: str, other: str, sparsity: float, stage: Stage) -> Figure:
    """A level of a recorded search at one of its stages: early scores above, test scores of all levels below.

    The axes fit all levels and stages.

    Args:
        method: the search.
        other: the method that its test scores are drawn with.
        sparsity: the level.
        stage: what has been done at this level. Levels before are done.
    """
    place = run.levels.index(sparsity)
    units, winner = run.early(method, sparsity), run.recipes[method][place]["candidate"]
    figure, (early, scores) = new_figure(height=5.6, nrows=2)
    for unit in units:
        chosen = unit["candidate"] == winner and stage != "judge"
        look: dict[str, Any] = {"color": COLOURS["search"] if chosen else QUIET, "zorder": 3 if chosen else 2}
        early.plot(unit["at"], 100 * np.array(unit["metric"]), "o-", ms=4, lw=2.6 if chosen else 1.2, **look)
    every = [unit for level in run.levels for unit in run.early(method, level)]
    low, high = (100 * end(value for unit in every for value in unit["metric"]) for end in (min, max))
    room = 0.05 * (high - low)
    early.set(ylim=(low - room, high + room), xlim=(0, 1.04 * max(unit["at"][-1] for unit in every)))
    early.set_ylabel(f"{run.metric}, validation\nset (points)")
    whole_ticks(early, "training steps with the mask")
    headline(early, f"{percent(sparsity)}: {_said(units, winner, stage)}")
    done = place + (stage == "train")
    draw_dense(scores, run.score(DENSE))
    for shift, name in ((-0.05, method), (0.05, other)):
        _draw_scores(scores, run, name, shift, done)
    found = [run.score(name, level) for name in (method, other) for level in run.levels] + [run.score(DENSE)]
    low, high = 100 * min(one.low for one in found), 100 * max(one.high for one in found)
    scores.set(ylim=(low - 4, high + 4), xlim=(-0.4, len(run.levels) - 0.6))
    sparsity_ticks(scores, run.levels)
    scores.set_ylabel(f"{run.metric}, test\nset (points)")
    subtitle(scores, _so_far(run, method, other, done))
    place_axes(figure, left=0.85, bottom=0.5 + legend_below(figure, scores), top=0.5, hspace=0.6)
    return figure


def _said(units: Sequence[Early], winner: int, stage: Stage) -> str:
    if stage == "judge":
        return f"{len(units)} masks, each trained for {units[0]['steps']} steps"
    if stage == "keep":
        return f"candidate {winner} has the best early score and is kept"
    return f"candidate {winner} is trained to the end"


def _so_far(run: TaskRecord, method: str, other: str, done: int) -> str:
    if not done:
        return "nothing is scored on the test set yet"
    found = run.difference(method, other, run.levels[done - 1])
    called = f"{LABELS.get(method, method)} minus {LABELS.get(other, other)}"
    return f"{called} at {percent(run.levels[done - 1])}: {found.in_points(signed=True)} points"
