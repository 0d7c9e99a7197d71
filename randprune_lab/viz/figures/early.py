"""Figures of early evaluation: what was known of the candidates, and when."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from randprune_lab.analysis.record import RunRecord
from randprune_lab.errors import RunError
from randprune_lab.viz.style import COLOURS, QUIET, new_figure


def early_scores(record: RunRecord, level: int) -> Figure:
    """Scores of all candidates of a level during their early evaluation; the chosen one stands out.

    Raises `RunError` if the run has evaluated none at this level.
    """
    units = record.candidates(level)
    if not units:
        raise RunError(f"{record.path} has no early evaluations at level {level}; see `randprune show {record.path}`")
    if any(unit["score"] is None for unit in units):
        raise RunError(f"{record.path} has not finished the early evaluations of level {level}; go on with --resume")
    winner = record.units[f"randomized-level-{level}/selection"]["winner"]
    furthest = max(unit["steps"] for unit in units)
    scores = [
        unit["score"] for unit in units if unit["steps"] == furthest
    ]  # those of earlier rounds say something else
    figure, (axis, summary) = new_figure(9, 3.6, ncols=2, width_ratios=[2.2, 1])
    for unit in units:
        chosen = unit["candidate"] == winner
        look: dict[str, Any] = {
            "color": COLOURS["randomized"] if chosen else QUIET,
            "zorder": 3 if chosen else 2,
        }
        axis.plot(unit["at"], unit["metric"], marker="o", ms=4, lw=2.4 if chosen else 1.2, **look)
        if unit["steps"] == furthest:
            summary.plot(unit["candidate"], unit["score"], "o", ms=9 if chosen else 6, **look)
    sparsity, spread = record.config.levels[level - 1], max(scores) - min(scores)
    axis.set_title(f"{len(units)} masks at {sparsity:.0%}: early scores differ by {spread:.3f}")
    axis.set(xlabel="training steps with the mask", ylabel=record.task.primary_metric)
    summary.set(
        xlabel="candidate",
        xticks=[unit["candidate"] for unit in units if unit["steps"] == furthest],
        ylabel="score that decides",
    )
    summary.set_title(f"{winner} is kept", fontweight="normal")
    return figure
