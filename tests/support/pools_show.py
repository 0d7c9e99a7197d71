"""What the page of results says of the recorded pools of `randprune bench reporting`, made from their record."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from randprune_lab.analysis import AnswerRecord, inflation_by_size, inflation_table, reported_gains
from randprune_lab.analysis.reporting import HONEST
from randprune_lab.bench.reporting import SEEDS, SPARSITIES, TASKS
from randprune_lab.stats.intervals import Interval
from randprune_lab.viz.figures.reporting import CHOSEN, SHOWN
from support.pages import markdown_table

PICTURE = "inflation.png"
"""The figure of all recorded pools, beside the page: `figures.inflation_by_size`."""
NO_VERDICT = (
    "Over few tasks with one seed each, an interval is too narrow where the values happen to be close: there is no "
    "verdict before each task has two seeds."
)
SIZES = (277, 408, 872, 1500)
ASKED = 408
KINDS = {"masks": "random masks", "restarts": "restarts of the magnitude mask"}


def pools_show(records: Sequence[AnswerRecord]) -> str:
    """The text below the heading, from the records that there are."""
    gains = reported_gains(records, SIZES)
    every = len(TASKS) * len(SEEDS) * len(SPARSITIES)
    seeds = gains.groupby("task").seed.nunique()
    units = ", ".join(f"{task.upper()} {number} {'seeds' if number > 1 else 'seed'}" for task, number in seeds.items())
    few = ", so this is preliminary" if len(records) < every else ""
    lines = [f"The record has {len(records)} of the {every} pools{few} ({units})."]
    lines += ["", f"![Reported minus true accuracy in points, by number of reported examples and way]({PICTURE})"]
    summary = inflation_by_size(gains)
    for kind, what in KINDS.items():
        lines += ["", f"Reported minus true accuracy, 8 {what}:", ""]
        head = ["way", *(f"{size:,} examples (points)" for size in SIZES)]
        lines += markdown_table(head, inflation_table(summary, kind))
    asked = summary[(summary["size"] == ASKED) & (summary.kind == "masks") & ~summary.way.isin(HONEST)]
    lines += ["", *(_verdict(asked, gains) if seeds.min() > 1 else [NO_VERDICT])]
    lines += [
        "",
        f"Difference from the mean true accuracy of the restarts with honest checkpoints, with {ASKED} reported "
        "examples. Restarts of one mask show what choosing alone seems to gain, without other masks:",
        "",
    ]
    own = gains[gains["size"] == ASKED].assign(reported=lambda rows: rows.inflation + rows.gain)
    columns = {
        f"{KINDS[kind]}, {name} (points)": inflation_table(inflation_by_size(own, column), kind)[ASKED]
        for kind in KINDS
        for name, column in (("reported", "reported"), ("true", "gain"))
    }
    lines += markdown_table(["way", *columns], pd.DataFrame(columns))
    really = columns[f"{KINDS['masks']}, true (points)"]["honest"]
    return "\n".join(
        [
            *lines,
            "",
            f"Truly, the mask chosen honestly among 8, minus restarts of the magnitude mask, is {really} points.",
        ]
    )


def _verdict(rows: pd.DataFrame, gains: pd.DataFrame) -> list[str]:
    clear, unclear = (
        ", ".join(CHOSEN[way] for way in part.way) for part in (rows[rows.low >= SHOWN], rows[~(rows.low >= SHOWN)])
    )
    said = [f"clearly too good: {clear}"] if clear else []
    said += [f"no clear effect of {unclear}"] if unclear else []
    return [f"With {ASKED} reported examples and random masks: {'; '.join(said)}.", choice_of_the_mask(gains)]


def choice_of_the_mask(gains: pd.DataFrame) -> str:
    """What the early choice of the mask on the reported examples adds to the honest way."""
    own = gains[(gains["size"] == ASKED) & (gains.kind == "masks")].set_index(["task", "sparsity", "seed"])
    of = {way: own[own.way == way] for way in ("mask", "honest")}
    added = of["mask"].assign(added=of["mask"].inflation - of["honest"].inflation).reset_index()
    (mask,) = inflation_by_size(added, "added").itertuples()
    found = Interval(mask.estimate, mask.low, mask.high).in_points(signed=True)
    clear = "" if mask.low >= SHOWN else "not clearly more than nothing, and "
    bound = f"{clear}less than half a point" if mask.high < 0.005 else "half a point is not excluded"
    return f"The choice of the mask adds {found} points to the honest way: {bound}."
