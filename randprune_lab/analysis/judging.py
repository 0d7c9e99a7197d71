"""Strategies of early evaluation, judged over pools whose candidates were all trained to the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from randprune_lab.analysis.pool_record import PoolRecord
from randprune_lab.analysis.replay import regret
from randprune_lab.search.strategies import PairedRace, Screened, Strategy, SuccessiveHalving, TrainAll
from randprune_lab.stats.intervals import mean_interval

DRAWN = 8
"""Candidates of a search: so many of a pool are drawn again and again."""

REPETITIONS = 1000
"""How often that is, unless said otherwise."""

LAST = 2
"""An early score is the mean of so many evaluations."""

COMPARED: dict[str, Strategy] = {
    "full": TrainAll(last=LAST),
    "full, log-loss": TrainAll(score="log-loss", last=LAST),
    "halving, 1/3 of the steps": SuccessiveHalving(score="log-loss", last=LAST, budget=1 / 3),
    "halving, 1/6 of the steps": SuccessiveHalving(score="log-loss", last=LAST, budget=1 / 6),
    "race": PairedRace(last=LAST),
    "pre-filtered to 2": Screened(keep=2, then=TrainAll(score="log-loss", last=LAST)),
    "pre-filtered to 1": Screened(keep=1),
}


def judge(pools: Sequence[PoolRecord], repetitions: int | None = None) -> list[dict[str, Any]]:
    """For each strategy the means over pools of one sparsity and way of drawing.

    The gain over a random candidate (`gained`) and over the winner of the strategy `full` (`over full`), the loss to
    the best candidate (`lost`), and the steps as a fraction of those of `full` (`share`). Intervals are over pools;
    strategies are compared pool by pool.

    Args:
        repetitions: how often candidates and examples are drawn from each pool; `REPETITIONS` by default.
    """
    often = repetitions or REPETITIONS
    means = {name: [_means(strategy, pool, often) for pool in pools] for name, strategy in COMPARED.items()}
    about = {"candidates from": pools[0].candidates_from, "sparsity": pools[0].sparsity, "pools": len(pools)}
    rows = []
    for name, found in means.items():
        values = {key: [each[key] for each in found] for key in ("lost", "gained", "share")}
        full = [each["gained"] for each in means["full"]]
        values["over full"] = list(np.subtract(values["gained"], full))
        over_pools = {key: asdict(mean_interval(each)) for key, each in values.items()}
        rows.append({**about, "strategy": name, **over_pools})
    return rows


def _means(strategy: Strategy, pool: PoolRecord, repetitions: int) -> dict[str, float]:
    drawn = {"candidates": DRAWN, "examples": pool.examples.shape[2] // 2, "repetitions": repetitions}
    found = regret(strategy, pool.replay, pool.final, **drawn)
    return {key: float(values.mean()) for key, values in vars(found).items()}
