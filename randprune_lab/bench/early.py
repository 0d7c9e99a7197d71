"""Which strategy finds the better mask for how many steps, judged over pools that were trained to the end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from randprune_lab.analysis.judging import LAST, judge
from randprune_lab.analysis.pool_record import PoolRecord
from randprune_lab.bench.pools import KINDS, LEARNERS, Setting, train_pools
from randprune_lab.stats.intervals import Interval, mean_interval
from randprune_lab.stats.variance import variance_split

TASKS = ("mini-sst2", "mini-mnli", "rotten_tomatoes")
SEEDS = (0, 1)

COLUMNS = {"gained": "gain over a random one", "over full": "gain over full", "lost": "loss to the best"}
"""Of the table of strategies, in points."""


def bench_early(tasks: Sequence[str] = (), out: Path | None = None) -> dict[str, Any]:
    """What strategies win and spend, how much of an early score is mask or seed, and whether learning pays.

    The truth about a candidate is its score on the test set after a whole training of the level. Strategies see
    the recorded early evaluations alone, of 8 of the candidates and half of the validation examples at a time.

    Args:
        tasks: whose first metric is accuracy; without any, those of `TASKS`.
        out: where the pools are written as they are trained; those that are there are not trained again.
    """
    folder = Path("bench-early") if out is None else out
    folder.mkdir(parents=True, exist_ok=True)
    settings = [setting for task, seed in product(tasks or TASKS, SEEDS) for setting in train_pools(folder, task, seed)]
    pools = [PoolRecord.load(setting.file(folder)) for setting in settings]
    sparsities = sorted({setting.sparsity for setting in settings})
    return {
        "pools": [_of_pool(pool) for pool in pools],
        "strategies": [
            row
            for kind, sparsity in product(KINDS, sparsities)
            for row in judge([p for p in pools if (p.candidates_from, p.sparsity) == (kind, sparsity)])
        ],
        "learning": [
            row
            for sparsity in sparsities
            for row in _of_learning(folder, [setting for setting in settings if setting.sparsity == sparsity])
        ],
    }


def _of_pool(pool: PoolRecord) -> dict[str, Any]:
    """What a pool is like: how far apart its candidates end, and what their early scores say of it."""
    early, final = pool.early(LAST), pool.final
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
        "mask share": asdict(variance_split(pool.noise).share) if pool.noise.size else None,
    }


def _of_learning(folder: Path, settings: Sequence[Setting]) -> list[dict[str, Any]]:
    """Final scores less that of the plain pool's winner, all at the steps of as many early evaluations."""
    gains: dict[str, list[float]] = {}
    for plain in (setting for setting in settings if setting.kind == "voting"):
        pools = {kind: PoolRecord.load(replace(plain, kind=kind).file(folder)) for kind in KINDS}
        ends = {f"{kind}, winner": pool.final[int(pool.early(LAST).argmax())] for kind, pool in pools.items()}
        ends |= {f"{kind}, any candidate": pool.final.mean() for kind, pool in pools.items()}
        learned = json.loads(plain.learned_file(folder).read_text("utf-8"))
        ends |= {f"learned {name}, winner": learned[name]["final"] for name in LEARNERS}
        for name, value in ends.items():
            gains.setdefault(name, []).append(float(value - ends["voting, winner"]))
    sparsity = settings[0].sparsity
    return [
        {"sparsity": sparsity, "search": name, "gained": asdict(mean_interval(values)), "searches": len(values)}
        for name, values in gains.items()
        if name != "voting, winner"
    ]


def describe(found: dict[str, Any]) -> str:
    """The figures as tables for a terminal. Points are hundredths of the metric; intervals are 95 %, over pools."""
    lines = [f"{'pool':<62} {'final scores':>22} {'correlation':>12}  share of the mask in an early score"]
    for row in found["pools"]:
        name = f"{row['task']}, seed {row['seed']}, {row['sparsity']:.2%}, {row['candidates from']}"
        share = row["mask share"]
        split = "" if share is None else f"{share['estimate']:.2f} [{share['low']:.2f}, {share['high']:.2f}]"
        scores = f"{row['lowest']:.3f} {row['mean']:.3f} {row['highest']:.3f}"
        correlation = "-" if row["correlation"] is None else f"{row['correlation']:.2f}"
        lines.append(f"{name:<62} {scores:>22} {correlation:>12}  {split}")
    about = None
    for row in found["strategies"]:
        if about != (about := (row["candidates from"], row["sparsity"], row["pools"])):
            lines += ["", f"{about[0]}, sparsity {about[1]:.2%}, {about[2]} pools"]
            lines.append(f"  {'strategy':<28} {'steps':>6}" + "".join(f"{title:>26}" for title in COLUMNS.values()))
        figures = "".join(f"{_points(row[key]):>26}" for key in COLUMNS)
        lines.append(f"  {row['strategy']:<28} {row['share']['estimate']:>6.0%}{figures}")
    lines += ["", "points more than the winner of the plain pool, at as many early evaluations"]
    for row in found["learning"]:
        lines.append(f"  {row['sparsity']:>7.2%}  {row['search']:<34} {_points(row['gained']):>26}")
    return "\n".join(lines)


def _points(interval: dict[str, float]) -> str:
    shown = Interval(**{end: 100 * value for end, value in interval.items()})
    return f"{shown.estimate:+.2f} [{shown.low:+.2f}, {shown.high:+.2f}]"
