"""What a gain is worth, by how it was reported: the same trained candidates, reported in several ways.

A result is reported on some test examples. If these also chose what is reported, the result is too good: the winner's
curse. How much too good is seen on other test examples, which chose nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float64, Int64

from randprune_lab.analysis.answer_record import AnswerRecord
from randprune_lab.errors import ConfigError, check_range
from randprune_lab.stats.intervals import Interval
from randprune_lab.stats.tasks import over_tasks

if TYPE_CHECKING:
    import pandas as pd

WAYS = {
    "honest": "honest: other examples choose",
    "accuracy": "accuracy: the same, checkpoint by accuracy",
    "mask": "mask: chosen early on the reported examples",
    "checkpoint": "checkpoint: chosen on the reported examples",
    "best of 8": "best of 8: full trainings, on the reported examples",
    "everything": "everything: best of 8 and its checkpoint",
}
"""The ways of choosing what is reported.

In all of them 8 candidates take part: random masks, or restarts of one mask. What the reported examples do not choose,
the validation set does: the candidate, by the mean accuracy of its early evaluations, and the checkpoint, by the
log-likelihood. Reported examples choose by accuracy, so "accuracy" has that criterion without these examples.
"""

HONEST = ("honest", "accuracy")
"""The ways in which the reported examples choose nothing."""

SIZES = {"RTE": 277, "MRPC": 408, "SST-2": 872, "CoLA": 1043, "STS-B": 1500, "": 2500}
"""The numbers of reported examples: those of GLUE's smaller dev sets, and one for which the records still suffice."""

DRAWN = 8
"""The number of candidates that take part."""

REPETITIONS = 200
"""The number of draws of candidates and reported examples from each record."""

Choice = Int64[np.ndarray, " repetitions"]
Scores = Float64[np.ndarray, "repetitions candidates checkpoints"]


def reported_gains(
    records: Sequence[AnswerRecord],
    sizes: Sequence[int] = tuple(SIZES.values()),
    *,
    repetitions: int = REPETITIONS,
    seed: int = 0,
) -> pd.DataFrame:
    """How much too good each of `WAYS` is, for each record, kind of candidates and number of reported examples.

    The reported examples are drawn from the test examples of a record, and the truth is the accuracy on all others. The
    mean difference of the two over all candidates and checkpoints, which nothing has chosen, is 0 on average over
    draws. It is subtracted, so that a few draws suffice.

    Args:
        records: the records.
        sizes: numbers of reported examples.
        repetitions, seed: the number of draws of examples and candidates, and their seed.

    Returns:
        A row for each record, kind ("masks" or "restarts"), size and way.
        Columns: task, sparsity, seed, kind, size, way; inflation, the reported accuracy minus the true one; gain, the
        true accuracy minus the mean of the restarts of the magnitude mask, whose checkpoints the validation set
        chooses; both are means over draws, from 0 to 1.

    Raises:
        ConfigError: if a size is not below the number of test examples of a record, or a record has no restarts.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for record in records:
        if "restarts" not in record.groups:
            raise ConfigError(f"the record of {record.task}, seed {record.seed} has no restarts; take another record")
        tests = record.right.shape[2]
        orders = _shuffled(range(tests), repetitions, np.random.default_rng([seed, record.seed]))
        for size in sizes:
            check_range("size", size, low=1, high=tests, high_open=True)
            rows += _rows(record, orders[:, :size], np.random.default_rng([seed, size]))
    return pd.DataFrame(rows)


def inflation_by_size(table: pd.DataFrame, column: str = "inflation") -> pd.DataFrame:
    """The mean of a column of `reported_gains` over tasks, with its interval for other tasks.

    The levels of a task and seed share train rows, examples and dense model, so their mean is one value. The interval
    is that of `stats.tasks.over_tasks`, whose standard error is at least that of the seeds.

    Returns:
        A row for each kind, way and size.
        Columns: kind, way, size, estimate, low, high, and records, the number of records of each.
    """
    import pandas as pd

    rows = []
    for (kind, way, size), own in table.groupby(["kind", "way", "size"], sort=False):
        means = own.groupby(["task", "seed"], sort=False)[column].mean()
        values = {str(task): each.tolist() for task, each in means.groupby(level="task", sort=False)}
        about = {"kind": kind, "way": way, "size": size}
        rows.append({**about, **dataclasses.asdict(over_tasks(values)), "records": len(own)})
    return pd.DataFrame(rows)


def inflation_table(summary: pd.DataFrame, kind: str = "masks") -> pd.DataFrame:
    """The rows of `inflation_by_size` of one kind as text, in points: a row for each way, a column for each size."""
    own = summary[summary.kind == kind]
    cells = [Interval(row.estimate, row.low, row.high).in_points(signed=True) for row in own.itertuples()]
    wide = own.assign(cell=cells).pivot(index="way", columns="size", values="cell")
    return wide.loc[[way for way in WAYS if way in wide.index]].rename_axis(columns=None)


def shown_and_true(
    right: Bool[np.ndarray, "candidates evaluations tests"], reported: Int64[np.ndarray, "repetitions n"]
) -> tuple[Scores, Scores]:
    """The accuracies on the reported examples, and on all others.

    Args:
        right: whether each answer is correct.
        reported: in each row, the places of the reported examples.
    """
    tests, size = right.shape[2], reported.shape[1]
    chosen = np.zeros((len(reported), tests), dtype=np.float32)
    np.put_along_axis(chosen, reported, 1, axis=1)
    counts = (chosen @ right.reshape(-1, tests).astype(np.float32).T).astype(np.float64)
    counts = counts.reshape(-1, *right.shape[:2])
    return counts / size, (right.sum(axis=2) - counts) / (tests - size)


def _rows(
    record: AnswerRecord, reported: Int64[np.ndarray, "repetitions n"], random: np.random.Generator
) -> Iterator[dict[str, Any]]:
    """The rows of a record for one number of reported examples."""
    early = shown_and_true(record.early, reported)[0].mean(axis=2)
    shown, true = shown_and_true(record.right, reported)
    last = np.nan_to_num(record.validation[:, :, 1], nan=-np.inf).argmax(axis=1)
    restarts = np.array(record.groups["restarts"])
    baseline = true[:, restarts, last[restarts]].mean(axis=1)
    about = {name: getattr(record, name) for name in ("task", "sparsity", "seed")}
    for kind, group in record.groups.items():
        luck = (shown - true)[:, group].mean(axis=(1, 2))
        drawn = _shuffled(group, len(reported), random)[:, :DRAWN]
        for way, (candidate, checkpoint) in _choices(record, drawn, early, shown, last).items():
            place = np.arange(len(reported)), candidate, checkpoint
            inflation, gain = shown[place] - true[place] - luck, true[place] - baseline
            what = {"kind": kind, "size": reported.shape[1], "way": way}
            yield {**about, **what, "inflation": float(inflation.mean()), "gain": float(gain.mean())}


def _choices(
    record: AnswerRecord,
    drawn: Int64[np.ndarray, "repetitions drawn"],
    early: Float64[np.ndarray, "repetitions candidates"],
    shown: Scores,
    last: Int64[np.ndarray, " candidates"],
) -> dict[str, tuple[Choice, Choice]]:
    """The candidate and the checkpoint that each way chooses."""
    every = np.arange(len(drawn))
    accurate = record.validation[:, :, 0].argmax(axis=1)
    held_out = record.early_validation[:, :, 0].mean(axis=1)
    honest = _best(drawn, np.broadcast_to(held_out, early.shape))
    by_mask = _best(drawn, early)
    trained = _best(drawn, shown[:, np.arange(len(last)), last])
    best = _best(drawn, shown.max(axis=2))
    return {
        "honest": (honest, last[honest]),
        "accuracy": (honest, accurate[honest]),
        "mask": (by_mask, last[by_mask]),
        "checkpoint": (honest, shown[every, honest].argmax(axis=1)),
        "best of 8": (trained, last[trained]),
        "everything": (best, shown[every, best].argmax(axis=1)),
    }


def _best(drawn: Int64[np.ndarray, "repetitions drawn"], scores: np.ndarray) -> Choice:
    """The drawn candidate with the best score; they are in random order, so that a tie favours none."""
    return drawn[np.arange(len(drawn)), np.take_along_axis(scores, drawn, axis=1).argmax(axis=1)]


def _shuffled(
    numbers: range, repetitions: int, random: np.random.Generator
) -> Int64[np.ndarray, "repetitions numbers"]:
    return random.permuted(np.tile(np.array(numbers), (repetitions, 1)), axis=1)
