"""Figures of early evaluation: early scores, their noise, and how well they predict final scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from randprune_lab.analysis.pool_record import PoolRecord
from randprune_lab.analysis.run_record import RunRecord
from randprune_lab.analysis.standing import LAST
from randprune_lab.analysis.task_record import TaskRecord
from randprune_lab.errors import RunError, check_rows
from randprune_lab.stats.intervals import rank_correlation
from randprune_lab.stats.known import known
from randprune_lab.stats.variance import VarianceSplit, variance_split
from randprune_lab.viz.style import (
    COLOURS,
    DEPTH,
    QUIET,
    headline,
    legend_below,
    new_figure,
    percent,
    place_axes,
    subtitle,
    whole_ticks,
)

Units = Sequence[Mapping[str, Any]]
"""The early evaluations of the candidates of a level."""


def early_scores(record: RunRecord, level: int) -> Figure:
    """Scores of all candidates of a level during their early evaluation; the selected one is highlighted.

    Scores are minus the mean of the candidates, on axes that fit every level of the run.

    Raises:
        RunError: if the run has no early evaluations at this level, or has not finished them.
    """
    found = record.level(level)
    if not found.candidates:
        raise RunError(f"{record.path} has no early evaluations at level {level}; see `randprune show {record.path}`")
    if not found.selection:
        raise RunError(f"{record.path} has not finished the early evaluations of level {level}; continue with --resume")
    levels = [record.level(number + 1).candidates for number in range(len(record.config.levels))]
    return _early_scores(
        found.candidates, found.selection["winner"], found.sparsity, record.task.primary_metric, levels
    )


def recorded_early_scores(
    runs: TaskRecord, method: str, sparsity: float, *, axes_for: Iterable[TaskRecord] = ()
) -> Figure:
    """Like `early_scores`, for a method of a recorded study.

    Args:
        axes_for: records of other tasks that the axes fit too, so that pictures of all of them can be compared.

    Raises:
        RunError: if the method has only one candidate.
    """
    units = runs.early(method, sparsity)
    if not units:
        raise RunError(
            f"method {method!r} has one candidate and no early evaluations; choose a method with several candidates"
        )
    winner = runs.recipes[method][runs.levels.index(sparsity)]["candidate"]
    levels = [one.early(method, level) for one in (runs, *axes_for) for level in one.levels]
    return _early_scores(units, winner, sparsity, runs.metric, levels)


def early_by_rate(records: Mapping[float, RunRecord]) -> Figure:
    """Validation scores of all candidates during the early evaluation, one panel for each learning rate, on one scale.

    Args:
        records: runs by the learning rate of their early evaluation, in multiples of the rate of the training.
    """
    figure, axes = new_figure(height=0.9 + 1.3 * len(records), nrows=len(records), sharex=True, sharey=True)
    metric = next(iter(records.values())).task.primary_metric
    for axis, (rate, record) in zip(np.atleast_1d(axes), records.items(), strict=True):
        lines = [100 * np.array(unit["metric"]) for unit in record.level(1).candidates]
        for unit, line in zip(record.level(1).candidates, lines, strict=True):
            axis.plot(unit["at"], line, marker="o", ms=3, lw=1.2, color=COLOURS["search"])
        end = np.mean([line[-1] for line in lines])
        subtitle(axis, f"{rate:g} × the rate of the training: mean at the end {end:.1f}")
        axis.set_ylabel("points")
    whole_ticks(np.atleast_1d(axes)[-1], "training steps with the mask")
    headline(figure, f"{metric.capitalize()} of the same masks, on the way at {len(records)} learning rates")
    return figure


def _early_scores(units: Units, winner: int, sparsity: float, metric: str, levels: Sequence[Units]) -> Figure:
    scale, name, unit_of_score = (
        (100, f"mean {metric}", "points") if _by_metric(units) else (1, "log-likelihood", "nats")
    )
    finalists = _finalists(units)
    scores = {one["candidate"]: scale * score for one, score in zip(finalists, _apart(finalists), strict=True)}
    figure, (axis, summary) = new_figure(height=4.8, nrows=2, height_ratios=[1.15, 1])
    for unit, line in zip(units, _trajectories(units), strict=True):
        chosen = unit["candidate"] == winner
        look: dict[str, Any] = {
            "color": COLOURS["search"] if chosen else QUIET,
            "zorder": 3 if chosen else 2,
        }
        axis.plot(unit["at"], 100 * line, marker="o", ms=4, lw=2.4 if chosen else 1.2, **look)
        if unit["candidate"] in scores:
            summary.plot(unit["candidate"], scores[unit["candidate"]], "o", ms=9 if chosen else 6, **look)
    ends = [*scores.values()]
    spread = f"{max(ends) - min(ends):.{1 if scale == 100 else 3}f} {unit_of_score}"
    compared = "early scores" if len(finalists) == len(units) else f"the last {len(finalists)} early scores"
    headline(axis, f"{len(units)} masks at {percent(sparsity)}: {compared} differ by {spread}")
    axis.set(ylabel=f"{metric},\npoints from mean", ylim=_fitting(100 * _widest(levels, _trajectories)))
    steps = [step for each in levels for unit in each for step in unit["at"]]
    room = 0.04 * (max(steps) - min(steps)) or 1.0
    axis.set_xlim(min(steps) - room, max(steps) + room)
    whole_ticks(axis, "training steps with the mask (validation set)")
    summary.set(xlabel="candidate", xticks=[unit["candidate"] for unit in finalists])
    most = max(max(unit["candidate"] for unit in each) for each in levels if each)
    summary.set(xlim=(-0.5, most + 0.5), ylim=_fitting(scale * _widest(levels, lambda each: _apart(_finalists(each)))))
    summary.set_ylabel(f"{name},\n{unit_of_score} from mean")
    subtitle(summary, f"selected: {winner}")
    place_axes(figure, left=0.9, bottom=0.45, top=0.5, hspace=0.6)
    return figure


def _finalists(units: Units) -> Units:
    """Scores of earlier rounds are not comparable, and a candidate that diverged has none."""
    furthest = max(unit["steps"] for unit in units)
    return [unit for unit in units if unit["steps"] == furthest and unit["score"] is not None]


def _apart(units: Units) -> np.ndarray:
    """The early scores minus their mean."""
    scores = np.array([unit["score"] for unit in units])
    return scores - scores.mean()


def _trajectories(units: Units) -> list[np.ndarray]:
    """The evaluations of each candidate minus the mean of all candidates that were evaluated at the same step."""
    at: dict[int, list[float]] = {step: [] for unit in units for step in unit["at"]}
    for unit in units:
        for step, score in zip(unit["at"], unit["metric"], strict=True):
            at[step].append(score)
    return [np.array(unit["metric"]) - [np.mean(at[step]) for step in unit["at"]] for unit in units]


def _widest(levels: Sequence[Units], lines: Callable[[Units], Iterable[Any]]) -> float:
    """The largest distance from the mean at any level."""
    return max((float(np.abs(line).max()) for each in levels if each for line in lines(each)), default=0.0)


def _fitting(distance: float) -> tuple[float, float]:
    """Limits that leave some room around the largest distance from zero."""
    return -1.1 * distance or -1.0, 1.1 * distance or 1.0


def _by_metric(units: Units) -> bool:
    """Whether scores are means of the metric's evaluations; if not, they are log-likelihoods."""
    ends = [(min(unit["metric"]), unit["score"], max(unit["metric"])) for unit in units if unit["score"] is not None]
    return all(low - 1e-9 <= score <= high + 1e-9 for low, score, high in ends)


def rank_changes(pool: PoolRecord, steps: int | None = None) -> Figure:
    """The rank of each candidate by its early score, joined to its final rank; the three best and worst are marked.

    Args:
        steps: early scores up to these training steps; without it, up to the last.
    """
    figure, axis = new_figure(height=4.6)
    known = len(pool.at) if steps is None else sum(at <= steps for at in pool.at)
    now, end = places(pool.early(LAST, steps)), places(pool.final)
    few = min(3, len(end) // 2)
    groups = {
        f"the {few} that end best": (end <= few, {"color": DEPTH(1.0), "marker": "^", "lw": 2.4, "ms": 7}),
        f"the {few} that end worst": (end > len(end) - few, {"color": DEPTH(0.0), "marker": "v", "lw": 2.4, "ms": 7}),
    }
    middle = (end > few) & (end <= len(end) - few)
    groups |= {"others": (middle, {"color": QUIET, "marker": "o", "lw": 0.9, "ms": 4})}
    for name, (chosen, look) in groups.items():
        for number, candidate in enumerate(np.flatnonzero(chosen)):
            axis.plot([0, 1], [now[candidate], end[candidate]], **look, label=name if number == 0 else None)
    axis.set_xticks([0, 1], [f"after {pool.at[known - 1]} steps", "in the end"])
    ranks = sorted({1, *range(4, len(end), 4), len(end)})
    axis.set(xlim=(-0.12, 1.12), ylim=(len(end) + 0.6, 0.4), yticks=ranks, ylabel="rank among the candidates (1: best)")
    axis.set_xlabel("order of the candidates")
    found = pool.agreement(LAST, steps).as_correlation()
    headline(axis, f"After {pool.at[known - 1]} steps: rank correlation {found} with the final order")
    legend_below(figure)
    place_axes(figure, left=0.55, bottom=0.5 + 2 * 0.19 + 0.1, top=0.5)
    return figure


def places(scores: np.ndarray) -> np.ndarray:
    """The place of each score, 1 for the highest; of equal ones, the first comes first."""
    return 1 + (-scores).argsort(kind="stable").argsort(kind="stable")


def early_against_final(pools: Sequence[PoolRecord]) -> Figure:
    """Final scores of the candidates against their early scores, a panel for each pool.

    The panels have different ranges of the same length on the y axis.
    """
    check_rows(pools, "pools")
    figure, axes = new_figure(height=1.95 * len(pools) + 0.2, nrows=len(pools), squeeze=False)
    span = 1.1 * max(100 * float(np.ptp(pool.final)) for pool in pools)
    for axis, pool in zip(axes[:, 0], pools, strict=True):
        axis.plot(pool.early(LAST), 100 * pool.final, "o", ms=5, color=COLOURS["search"], alpha=0.8)
        middle = 50 * float(pool.final.max() + pool.final.min())
        axis.set(xlabel="early log-likelihood (nats)", ylabel="final accuracy\n(points)")
        axis.set_ylim(middle - span / 2, middle + span / 2)
        axis.locator_params(axis="x", nbins=6)
        found = pool.agreement(LAST).as_correlation()
        headline(axis, f"{pool.candidates_from}, {percent(pool.sparsity)}: rank correlation {found}")
    return figure


def noise_floor(pools: Sequence[PoolRecord]) -> Figure:
    """Early scores of the same masks with several training seeds each, and the mask's fraction of their variance."""
    pools = [pool for pool in pools if pool.noise.size]
    check_rows(pools, "pools in which masks have several training seeds")
    figure, axes = new_figure(height=1.9 * len(pools) + 0.2, nrows=len(pools), squeeze=False)
    for axis, pool in zip(axes[:, 0], pools, strict=True):
        split, _ = known(partial(variance_split, pool.noise))
        for mask, scores in enumerate(pool.noise):
            axis.plot([mask] * len(scores), scores, "o", color=COLOURS["search"], alpha=0.7)
            axis.plot([mask - 0.25, mask + 0.25], [scores.mean()] * 2, color="black", lw=2)
        axis.set(xlabel="mask", ylabel="early log-\nlikelihood (nats)", xticks=range(len(pool.noise)))
        headline(axis, f"{percent(pool.sparsity)}: {_due_to_the_mask(split)}")
    return figure


def _due_to_the_mask(split: VarianceSplit | None) -> str:
    if split is None:
        return "the mask's fraction of the variance is unknown"
    estimate, low, high = (
        f"{100 * min(max(one, 0.0), 1.0):.0f}" for one in (split.share.estimate, split.share.low, split.share.high)
    )
    return f"{estimate} % of the variance is due to the mask [{low}, {high}]"


def correlation_by_steps(pool: PoolRecord) -> Figure:
    """Rank correlation of early scores with final scores, by training steps; early scores by log-loss and by metric."""
    figure, axis = new_figure(height=3.6)
    scores = {"log-loss": pool.examples.mean(axis=2), "task metric": pool.correct.mean(axis=2)}
    best = {}
    for (name, values), colour in zip(scores.items(), (COLOURS["search"], COLOURS["imp"]), strict=True):
        found = [rank_correlation(values[:, i], pool.final) for i in range(len(pool.at))]
        middle = np.array([one.estimate for one in found])
        axis.plot(pool.at, middle, "o-", color=colour, label=name)
        axis.fill_between(pool.at, [one.low for one in found], [one.high for one in found], color=colour, alpha=0.12)
        best[name] = middle[-1]
    axis.axhline(0, color=QUIET, lw=0.8, ls=":")
    whole_ticks(axis, "training steps with the mask (0: not trained)")
    axis.set(ylabel="rank correlation with final scores", ylim=(-1.02, 1.02))
    end = f"{best['log-loss']:+.2f} by log-loss, {best['task metric']:+.2f} by the task metric"
    headline(axis, f"After {pool.at[-1]} steps: {end}")
    legend_below(figure)
    return figure
