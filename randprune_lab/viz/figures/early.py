"""Figures of early evaluation: early scores, their noise, and how well they predict final scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from randprune_lab.analysis.pool_record import PoolRecord
from randprune_lab.analysis.run_record import RunRecord
from randprune_lab.analysis.task_record import TaskRecord
from randprune_lab.errors import RunError
from randprune_lab.stats.intervals import rank_correlation
from randprune_lab.stats.known import known
from randprune_lab.stats.variance import VarianceSplit, variance_split
from randprune_lab.viz.style import COLOURS, QUIET, fix_layout, new_figure, percent


def early_scores(record: RunRecord, level: int) -> Figure:
    """Scores of all candidates of a level during their early evaluation; the selected one is highlighted.

    Raises:
        RunError: if the run has no early evaluations at this level, or has not finished them.
    """
    found = record.level(level)
    units = found.candidates
    if not units:
        raise RunError(f"{record.path} has no early evaluations at level {level}; see `randprune show {record.path}`")
    if not found.selection:
        raise RunError(f"{record.path} has not finished the early evaluations of level {level}; continue with --resume")
    return _early_scores(units, found.selection["winner"], found.sparsity, record.task.primary_metric)


def recorded_early_scores(runs: TaskRecord, method: str, sparsity: float) -> Figure:
    """Like `early_scores`, for a method of a recorded study.

    Raises:
        RunError: if the method has only one candidate.
    """
    units = runs.early(method, sparsity)
    if not units:
        raise RunError(
            f"method {method!r} has one candidate and no early evaluations; choose a method with several candidates"
        )
    winner = runs.recipes[method][runs.levels.index(sparsity)]["candidate"]
    return _early_scores(units, winner, sparsity, runs.metric)


def _early_scores(units: Sequence[Mapping[str, Any]], winner: int, sparsity: float, metric: str) -> Figure:
    furthest = max(unit["steps"] for unit in units)
    # Scores of earlier rounds are not comparable, and a candidate that diverged has none.
    finalists = [unit for unit in units if unit["steps"] == furthest and unit["score"] is not None]
    scale, name, unit_of_score = (
        (100, f"mean {metric}", "points") if _by_metric(units) else (1, "log-likelihood", "nats")
    )
    scores = [scale * unit["score"] for unit in finalists]
    figure, (axis, summary) = new_figure(9, 3.6, ncols=2, width_ratios=[2.2, 1])
    for unit in units:
        chosen = unit["candidate"] == winner
        look: dict[str, Any] = {
            "color": COLOURS["search"] if chosen else QUIET,
            "zorder": 3 if chosen else 2,
        }
        axis.plot(unit["at"], 100 * np.array(unit["metric"]), marker="o", ms=4, lw=2.4 if chosen else 1.2, **look)
        if unit in finalists:
            summary.plot(unit["candidate"], scale * unit["score"], "o", ms=9 if chosen else 6, **look)
    spread = f"{max(scores) - min(scores):.{1 if scale == 100 else 3}f} {unit_of_score}"
    compared = "early scores" if len(finalists) == len(units) else f"the last {len(finalists)} early scores"
    axis.set_title(f"{len(units)} masks at {percent(sparsity)}: {compared} differ by {spread}")
    axis.set(xlabel="training steps with the mask", ylabel=f"{metric}, validation set (points)")
    summary.set(xlabel="candidate", xticks=[unit["candidate"] for unit in finalists])
    summary.set(ylabel=f"early score: {name} ({unit_of_score})")
    summary.set_title(f"selected: {winner}", fontweight="normal")
    return figure


def _by_metric(units: Sequence[Mapping[str, Any]]) -> bool:
    """Whether scores are means of the metric's evaluations; if not, they are log-likelihoods."""
    ends = [(min(unit["metric"]), unit["score"], max(unit["metric"])) for unit in units if unit["score"] is not None]
    return all(low - 1e-9 <= score <= high + 1e-9 for low, score, high in ends)


def early_trajectories(pool: PoolRecord, steps: int | None = None) -> Figure:
    """Early scores of a pool's candidates during training, minus their mean, beside the noise of the training seed.

    Args:
        steps: later evaluations are drawn faintly; without it, none are.
    """
    figure, (axis, scale) = new_figure(7.5, 3.8, ncols=2, width_ratios=[40, 1])
    known = len(pool.at) if steps is None else sum(at <= steps for at in pool.at)
    scores = pool.examples.mean(axis=2)
    apart = scores - scores.mean(axis=0)
    order = pool.final.argsort().argsort() / max(1, len(pool.final) - 1)
    shades = mpl.colormaps["viridis"]
    for line, rank in zip(apart, order, strict=True):
        axis.plot(pool.at, line, color=shades(rank), lw=1, alpha=0.25)
        axis.plot(pool.at[:known], line[:known], color=shades(rank), lw=1.6, marker="o", ms=3)
    if pool.noise.shape[1:] > (1,):
        seed = float(pool.noise.std(axis=1, ddof=1).mean())
        axis.axhspan(-seed, seed, color=QUIET, alpha=0.25, lw=0, label="± 1 standard deviation over training seeds")
        axis.legend(frameon=False, loc="upper left", fontsize="small")
    axis.set(xlabel="training steps with the mask", ylabel="log-likelihood minus pool mean (nats)")
    bar = figure.colorbar(mpl.cm.ScalarMappable(cmap=shades), cax=scale, label="final rank")
    bar.set_ticks([0, 1], labels=["last", "first"])
    scale.set(title=" ", xlabel=" ")
    rank = rank_correlation(apart[:, known - 1], pool.final)
    axis.set_title(f"After {pool.at[known - 1]} steps: rank correlation {rank.estimate:+.2f} with final scores")
    fix_layout(figure, left=0.12, right=0.91, bottom=0.15, top=0.9, wspace=0.06)
    return figure


def early_against_final(pools: Sequence[PoolRecord], last: int = 2) -> Figure:
    """Final scores of the candidates against their early scores, a panel for each pool.

    Args:
        last: the number of evaluations that an early score is the mean of.
    """
    figure, axes = new_figure(3.0 * len(pools) + 0.6, 3.4, ncols=len(pools), squeeze=False)
    for axis, pool in zip(axes[0], pools, strict=True):
        early, rank = pool.early(last), rank_correlation(pool.early(last), pool.final)
        axis.plot(early, 100 * pool.final, "o", ms=5, color=COLOURS["search"], alpha=0.8)
        axis.set(xlabel="early log-likelihood (nats)", ylabel="final accuracy (points)")
        axis.set_title(
            f"{pool.candidates_from}, {percent(pool.sparsity)}\nrank correlation {rank.estimate:+.2f} "
            f"[{rank.low:+.2f}, {rank.high:+.2f}]",
            fontsize="small",
            fontweight="normal",
        )
    return figure


def noise_floor(pools: Sequence[PoolRecord]) -> Figure:
    """Early scores of the same masks with several training seeds each, and the mask's fraction of their variance."""
    pools = [pool for pool in pools if pool.noise.size]
    figure, axes = new_figure(3.4 * len(pools) + 0.4, 3.4, ncols=len(pools), squeeze=False)
    for axis, pool in zip(axes[0], pools, strict=True):
        split, _ = known(partial(variance_split, pool.noise))
        for mask, scores in enumerate(pool.noise):
            axis.plot([mask] * len(scores), scores, "o", color=COLOURS["search"], alpha=0.7)
            axis.plot([mask - 0.25, mask + 0.25], [scores.mean()] * 2, color="black", lw=2)
        axis.set(xlabel="mask", ylabel="early log-likelihood (nats)", xticks=range(len(pool.noise)))
        axis.set_title(f"{percent(pool.sparsity)}: {_due_to_the_mask(split)}", fontsize="small", fontweight="normal")
    return figure


def _due_to_the_mask(split: VarianceSplit | None) -> str:
    if split is None:
        return "the fraction of the variance\nthat is due to the mask is unknown"
    low, high = (f"{100 * min(max(end, 0.0), 1.0):.0f}" for end in (split.share.low, split.share.high))
    return f"{low} to {high} % of the variance\nis due to the mask (95 % interval)"


def correlation_by_steps(pool: PoolRecord) -> Figure:
    """Rank correlation of early scores with final scores, by training steps; early scores by log-loss and by metric."""
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
    axis.set(xlabel="training steps with the mask (0: not trained)", ylabel="rank correlation with final scores")
    axis.set_ylim(-1.02, 1.02)
    end = f"{best['log-loss']:+.2f} by log-loss, {best['task metric']:+.2f} by the task metric"
    axis.set_title(f"After {pool.at[-1]} steps: {end}")
    axis.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
