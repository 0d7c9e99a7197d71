"""Compares strategies of early evaluation over pools whose candidates were all trained to the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from randprune_lab.analysis.pool_record import PoolRecord
from randprune_lab.analysis.replay import regret
from randprune_lab.analysis.standing import LAST
from randprune_lab.search.strategies import PairedRace, Screened, Strategy, SuccessiveHalving, TrainAll
from randprune_lab.stats.intervals import mean_interval

DRAWN = 8
"""The number of candidates that are drawn from a pool for each repetition."""

REPETITIONS = 1000
"""The default number of repetitions."""

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
    """Compare the strategies `COMPARED` over pools.

    Args:
        pools: pools of one sparsity, whose masks were drawn in the same way.
        repetitions: the number of draws of candidates and examples from each pool; by default `REPETITIONS`.

    Returns:
        A row for each strategy, with means over pools and their intervals.
        `lost` is the best final score minus that of the winner, see `Regret`. `gained` is the final score of the winner
        minus the mean of the pool. `over full` is the final score of the winner minus that of the strategy `full`, pool
        by pool. `share` is the number of steps as a fraction of that of `full`.
    """
    draws = repetitions or REPETITIONS
    means = {name: [_means(strategy, pool, draws) for pool in pools] for name, strategy in COMPARED.items()}
    about = {"candidates from": pools[0].candidates_from, "sparsity": pools[0].sparsity, "pools": len(pools)}
    rows = []
    for name, by_pool in means.items():
        values = {key: [pool[key] for pool in by_pool] for key in ("lost", "gained", "share")}
        full = [pool["gained"] for pool in means["full"]]
        values["over full"] = list(np.subtract(values["gained"], full))
        intervals = {key: asdict(mean_interval(column)) for key, column in values.items()}
        rows.append({**about, "strategy": name, **intervals})
    return rows


def _means(strategy: Strategy, pool: PoolRecord, repetitions: int) -> dict[str, float]:
    drawn = {"candidates": DRAWN, "examples": pool.examples.shape[2] // 2, "repetitions": repetitions}
    regrets = regret(strategy, pool.replay, pool.truth, **drawn)
    return {key: float(values.mean()) for key, values in vars(regrets).items()}
