"""Figures of early evaluation: what was known of the candidates, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from randprune_lab.analysis.pool_record import PoolRecord
from randprune_lab.analysis.run_record import RunRecord
from randprune_lab.analysis.task_record import TaskRecord
from randprune_lab.errors import RunError
from randprune_lab.stats.intervals import rank_correlation
from randprune_lab.stats.variance import variance_split
from randprune_lab.viz.style import COLOURS, QUIET, fix_layout, new_figure


def early_scores(record: RunRecord, level: int) -> Figure:
    """Scores of all candidates of a level during their early evaluation; the chosen one stands out.

    Raises `RunError` if the run has evaluated none at this level.
    """
    found = record.level(level)
    units = found.candidates
    if not units:
        raise RunError(f"{record.path} has no early evaluations at level {level}; see `randprune show {record.path}`")
    if any(unit["score"] is None for unit in units):
        raise RunError(f"{record.path} has not finished the early evaluations of level {level}; go on with --resume")
    return _early_scores(units, found.selection["winner"], found.sparsity, record.task.primary_metric)


def recorded_early_scores(runs: TaskRecord, method: str, sparsity: float) -> Figure:
    """As `early_scores`, for a method of a recorded study.

    Raises `RunError` if it had but one candidate.
    """
    units = runs.early(method, sparsity)
    if not units:
        raise RunError(f"{method} had one candidate and no early evaluations; choose a method that selects")
    winner = runs.recipes[method][runs.levels.index(sparsity)]["candidate"]
    return _early_scores(units, winner, sparsity, runs.metric)


def _early_scores(units: Sequence[Mapping[str, Any]], winner: int, sparsity: float, metric: str) -> Figure:
    furthest = max(unit["steps"] for unit in units)
    scores = [
        unit["score"] for unit in units if unit["steps"] == furthest
    ]  # those of earlier rounds say something else
    figure, (axis, summary) = new_figure(9, 3.6, ncols=2, width_ratios=[2.2, 1])
    for unit in units:
        chosen = unit["candidate"] == winner
        look: dict[str, Any] = {
            "color": COLOURS["search"] if chosen else QUIET,
            "zorder": 3 if chosen else 2,
        }
        axis.plot(unit["at"], unit["metric"], marker="o", ms=4, lw=2.4 if chosen else 1.2, **look)
        if unit["steps"] == furthest:
            summary.plot(unit["candidate"], unit["score"], "o", ms=9 if chosen else 6, **look)
    spread = max(scores) - min(scores)
    axis.set_title(f"{len(units)} masks at {100 * sparsity:.4g} %: early scores differ by {spread:.3f}")
    axis.set(xlabel="training steps with the mask", ylabel=metric)
    summary.set(
        xlabel="candidate",
        xticks=[unit["candidate"] for unit in units if unit["steps"] == furthest],
        ylabel="score that decides",
    )
    summary.set_title(f"{winner} is kept", fontweight="normal")
    return figure


def early_trajectories(pool: PoolRecord, steps: int | None = None) -> Figure:
    """Scores of a pool's candidates during training, minus their mean, and the range that training seeds alone cause.

    Args:
        steps: what is known after so many training steps; later is drawn faintly. Without it all.
    """
    figure, (axis, scale) = new_figure(7.5, 3.8, ncols=2, width_ratios=[40, 1])
    known = len(pool.at) if steps is None else sum(at <= steps for at in pool.at)
    scores = pool.examples.mean(axis=2)
    apart = scores - scores.mean(axis=0)
    order = pool.final.argsort().argsort() / (len(pool.final) - 1)
    shades = mpl.colormaps["viridis"]
    for line, rank in zip(apart, order, strict=True):
        axis.plot(pool.at, line, color=shades(rank), lw=1, alpha=0.25)
        axis.plot(pool.at[:known], line[:known], color=shades(rank), lw=1.6, marker="o", ms=3)
    if pool.noise.size:
        seed = float(pool.noise.std(axis=1, ddof=1).mean())
        axis.axhspan(-seed, seed, color=QUIET, alpha=0.25, lw=0, label="± one training seed")
        axis.legend(frameon=False, loc="upper left", fontsize="small")
    axis.set(xlabel="training steps with the mask", ylabel="log-likelihood minus the mean")
    bar = figure.colorbar(mpl.cm.ScalarMappable(cmap=shades), cax=scale, label="rank in the end")
    bar.set_ticks([0, 1], labels=["last", "first"])
    scale.set(title=" ", xlabel=" ")
    rank = rank_correlation(apart[:, known - 1], pool.final)
    axis.set_title(f"After {pool.at[known - 1]} steps: rank correlation {rank.estimate:+.2f} with the end")
    fix_layout(figure, left=0.12, right=0.91, bottom=0.15, top=0.9, wspace=0.06)
    return figure


def early_against_final(pools: Sequence[PoolRecord], last: int = 2) -> Figure:
    """How candidates scored early against how they ended, a panel for each pool."""
    figure, axes = new_figure(3.0 * len(pools) + 0.6, 3.4, ncols=len(pools), squeeze=False)
    for axis, pool in zip(axes[0], pools, strict=True):
        early, rank = pool.early(last), rank_correlation(pool.early(last), pool.final)
        axis.plot(early, 100 * pool.final, "o", ms=5, color=COLOURS["search"], alpha=0.8)
        axis.set(xlabel="early log-likelihood", ylabel="final accuracy (%)")
        axis.set_title(
            f"{pool.candidates_from}, {pool.sparsity:.4g}\nrank correlation {rank.estimate:+.2f} "
            f"[{rank.low:+.2f}, {rank.high:+.2f}]",
            fontsize="small",
            fontweight="normal",
        )
    return figure


def noise_floor(pools: Sequence[PoolRecord]) -> Figure:
    """Early scores of the same masks with several training seeds each, and how much of their variance is the mask."""
    pools = [pool for pool in pools if pool.noise.size]
    figure, axes = new_figure(3.4 * len(pools) + 0.4, 3.4, ncols=len(pools), squeeze=False)
    for axis, pool in zip(axes[0], pools, strict=True):
        share = variance_split(pool.noise).share
        for mask, scores in enumerate(pool.noise):
            axis.plot([mask] * len(scores), scores, "o", color=COLOURS["search"], alpha=0.7)
            axis.plot([mask - 0.25, mask + 0.25], [scores.mean()] * 2, color="black", lw=2)
        axis.set(xlabel="mask", ylabel="early log-likelihood", xticks=range(len(pool.noise)))
        low, high = (f"{100 * min(max(end, 0.0), 1.0):.0f}" for end in (share.low, share.high))
        axis.set_title(
            f"{pool.sparsity:.4g}: {low} to {high} % of the variance is the mask", fontsize="small", fontweight="normal"
        )
    return figure


def correlation_by_steps(pool: PoolRecord) -> Figure:
    """Rank correlation of early and final scores by the steps spent, for both scores."""
    figure, axis = new_figure(7.0, 3.6)
    scores = {"log-loss": pool.examples.mean(axis=2), "task metric": pool.correct.mean(axis=2)}
    best = {}
    for (name, values), colour in zip(scores.items(), (COLOURS["search"], COLOURS["imp"]), strict=True):
        found = [rank_correlation(values[:, i], pool.final) for i in range(len(pool.at))]
        middle = np.array([one.estimate for one in found])
        axis.plot(pool.at, middle, "o-", color=colour, label=name)
        axis.fill_between(pool.at, [one.low for one in found], [one.high for one in found], color=colour, alpha=0.12)
        best[name] = middle[-1]
    axis.axhline(0, color=QUIET, lw=0.8, ls=":")
    axis.set(xlabel="training steps with the mask (0: not trained)", ylabel="rank correlation with the end")
    axis.set_ylim(-1.02, 1.02)
    axis.set_title(f"In the end {best['log-loss']:+.2f} by log-loss, {best['task metric']:+.2f} by the metric")
    axis.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
