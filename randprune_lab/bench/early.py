"""Gain and cost of early-evaluation strategies, judged on pools whose candidates were all trained to the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from randprune_lab.analysis.judging import judge
from randprune_lab.analysis.pool_record import PoolRecord
from randprune_lab.analysis.standing import LAST
from randprune_lab.bench.pools import FORMAT, KINDS, LEARNERS, Setting, train_pools
from randprune_lab.errors import ConfigError
from randprune_lab.sealed import read_sealed
from randprune_lab.stats.intervals import Interval, mean_interval
from randprune_lab.stats.known import known
from randprune_lab.stats.variance import variance_split
from randprune_lab.tasks.spec import get_task

TASKS = ("mini-sst2", "mini-mnli", "rotten_tomatoes")
SEEDS = (0, 1)

COLUMNS = {"gained": "gain over random", "over full": "minus full", "lost": "loss to the best"}
"""The columns of the table of strategies, in points."""


def bench_early(tasks: Sequence[str] = (), out: Path | None = None) -> dict[str, Any]:
    """Measure gain and cost of strategies, the mask's fraction of the variance of early scores, and learning searches.

    The true score of a candidate is its test score after the full training of the level. Strategies see only the
    recorded early evaluations, for 8 of the candidates and half of the validation examples at a time.

    Args:
        tasks: tasks whose first metric is accuracy; `TASKS` by default.
        out: the folder that the pools are written to; pools that it already has are not trained again.

    Returns:
        Rows about the pools, the strategies, and the searches that learn.

    Raises:
        UnknownNameError: if there is no such task.
        ConfigError: if a task has another first metric.
    """
    chosen = [*dict.fromkeys(tasks or TASKS)]
    for task in chosen:
        if (metric := get_task(task).primary_metric) != "accuracy":
            raise ConfigError(f"the pools compare accuracies, and {task} is judged by {metric}; choose another task")
    folder = Path("bench-early") if out is None else out
    folder.mkdir(parents=True, exist_ok=True)
    settings = [setting for task, seed in product(chosen, SEEDS) for setting in train_pools(folder, task, seed)]
    pools = [PoolRecord.load(setting.file(folder)) for setting in settings]
    sparsities = sorted({setting.sparsity for setting in settings})
    return {
        "pools": [_describe_pool(pool) for pool in pools],
        "strategies": [
            row
            for kind, sparsity in product(KINDS, sparsities)
            for row in judge([p for p in pools if (p.candidates_from, p.sparsity) == (kind, sparsity)])
        ],
        "learning": [
            row
            for sparsity in sparsities
            for row in _compare_learning(folder, [setting for setting in settings if setting.sparsity == sparsity])
        ],
    }


def _describe_pool(pool: PoolRecord) -> dict[str, Any]:
    """A row about a pool: the range of its final scores, and how well early scores predict them."""
    early, final = pool.early(LAST), pool.final
    split, _ = known(lambda: variance_split(pool.noise))
    vary = np.ptp(early) > 0 and np.ptp(final) > 0
    return {
        "task": pool.task,
        "seed": pool.seed,
        "sparsity": pool.sparsity,
        "candidates from": pool.candidates_from,
        "steps": pool.at[-1],
        "lowest": float(final.min()),
        "mean": float(final.mean()),
        "highest": float(final.max()),
        "correlation": float(np.corrcoef(early, final)[0, 1]) if vary else None,
        "mask fraction": split and asdict(split.share),
    }


def _compare_learning(folder: Path, settings: Sequence[Setting]) -> list[dict[str, Any]]:
    """Final scores minus that of the winner of the voting pool; all have the same number of early evaluations."""
    gains: dict[str, list[float]] = {}
    for plain in (setting for setting in settings if setting.kind == "voting"):
        pools = {kind: PoolRecord.load(replace(plain, kind=kind).file(folder)) for kind in KINDS}
        ends = {f"{kind}, winner": pool.final[int(pool.early(LAST).argmax())] for kind, pool in pools.items()}
        ends |= {f"{kind}, any candidate": pool.final.mean() for kind, pool in pools.items()}
        remedy = "`randprune bench early --out` writes such files"
        learned = read_sealed("record of searches", plain.learned_file(folder), FORMAT, remedy)
        ends |= {f"learned {name}, winner": learned[name]["final"] for name in LEARNERS}
        for name, value in ends.items():
            gains.setdefault(name, []).append(float(value - ends["voting, winner"]))
    sparsity = settings[0].sparsity
    return [
        {"sparsity": sparsity, "search": name, "difference": asdict(mean_interval(values)), "searches": len(values)}
        for name, values in gains.items()
        if name != "voting, winner"
    ]


def describe(found: dict[str, Any]) -> str:
    """The results as tables for a terminal, with scores and differences in points and 95 % intervals over pools."""
    lines = [
        "Pools: final scores in points, correlation of early with final scores,",
        "and fraction of the variance of early scores that is due to the mask [95 %]",
        f"{'pool':<62} {'lowest, mean, highest':>22} {'correlation':>12}  due to the mask",
    ]
    for row in found["pools"]:
        name = f"{row['task']}, seed {row['seed']}, {100 * row['sparsity']:g} %, {row['candidates from']}"
        mask = row["mask fraction"]
        split = "" if mask is None else f"{mask['estimate']:.2f} [{mask['low']:.2f}, {mask['high']:.2f}]"
        scores = ", ".join(f"{100 * row[key]:.1f}" for key in ("lowest", "mean", "highest"))
        correlation = "-" if row["correlation"] is None else f"{row['correlation']:.2f}"
        lines.append(f"{name:<62} {scores:>22} {correlation:>12}  {split}")
    about = None
    for row in found["strategies"]:
        if about != (about := (row["candidates from"], row["sparsity"], row["pools"])):
            lines += ["", f"Strategies: {about[0]}, sparsity {100 * about[1]:g} %, {about[2]} pools, points [95 %]"]
            lines.append(f"  {'strategy':<28} {'steps':>6}" + "".join(f"{title:>26}" for title in COLUMNS.values()))
        figures = "".join(f"{_points(row[key]):>26}" for key in COLUMNS)
        lines.append(f"  {row['strategy']:<28} {row['share']['estimate']:>6.0%}{figures}")
    lines += [
        "",
        "  steps: as a fraction of those of full; gain over random: winner minus mean of the candidates;",
        "  minus full: winner minus winner of full; loss to the best: best candidate minus winner",
        "",
        "Searches that learn, with the same number of early evaluations:",
        "final score minus that of the winner of the voting pool, in points [95 %]",
    ]
    for row in found["learning"]:
        lines.append(f"  {100 * row['sparsity']:>6g} %  {row['search']:<34} {_points(row['difference']):>26}")
    return "\n".join(lines)


def _points(interval: dict[str, float]) -> str:
    return Interval(**interval).in_points(signed=True)
