"""What the page of results says of the studies of MiniLM, made from their records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from randprune_lab.analysis import TaskRecord
from randprune_lab.stats.intervals import Interval
from randprune_lab.stats.tasks import fixed_tasks
from randprune_lab.study import StudyConfig
from randprune_lab.tasks.spec import task_title
from support.pages import markdown_table

PICTURE = "minilm.png"
"""The figure of the learning curves, beside the page: `figures.scores_by_steps` with `LINES`."""
LINES = {
    "IMP": ("imp-short", "imp", "imp-long"),
    "Fisher mask": ("fisher-short", "fisher", "fisher-long"),
}
AFTERWARDS = {
    "Fisher, 3 epochs, minus IMP, 33 epochs": ("fisher-short", "imp-long"),
    "published search, 11 epochs, minus random mask, 3 epochs": ("search", "one-mask"),
    "Fisher minus random mask, 3 epochs": ("fisher-short", "one-mask"),
    "IMP, 11 epochs minus 3": ("imp", "imp-short"),
    "IMP, 11 epochs minus 33": ("imp", "imp-long"),
    "Fisher, 11 epochs minus 3": ("fisher", "fisher-short"),
}
"""Comparisons that the results asked for."""


def minilm_shows(records: Sequence[TaskRecord], controls: pd.DataFrame) -> str:
    """The text below the heading, from the record of each task and seed, and its controls.

    A task's first seed has all methods; what other seeds have of them is beside it in the differences alone.
    """
    parts = [f"![Score against the training steps of a level, at each sparsity]({PICTURE})"]
    for task in dict.fromkeys(record.task for record in records):
        seeds = [record for record in records if record.task == task]
        own = controls[controls.task == task].rename(columns={"without-encoder": "without_encoder"})
        parts += [_task(seeds[0], next(own[own.seed == seeds[0].seed].itertuples())), _differences(seeds, own)]
    return "\n\n".join(parts)


def _differences(records: Sequence[TaskRecord], controls: pd.DataFrame) -> str:
    """The differences of the pairs that a task has, seed by seed if it has several; of three seeds also the mean."""
    levels, rows, several = records[0].levels, {}, len(records) > 1
    for name, pair in (StudyConfig.load("minilm").contrasts | AFTERWARDS).items():
        have = [record for record in records if {*pair} <= {*record.methods}]
        found = {record.seed: [record.difference(*pair, level) for level in levels] for record in have}
        for seed, each in found.items():
            rows[f"{name}, seed {seed}" if several else name] = [*map(_bold_if_clear, each)]
        if len(have) > 2:
            by_level = zip(*found.values(), strict=True)
            means = [fixed_tasks({"": [each.estimate for each in of_level]}) for of_level in by_level]
            rows[f"{name}, mean, for other seeds"] = [*map(_bold_if_clear, means)]
    head = [f"at {100 * level:g} % (points)" for level in levels]
    lines = markdown_table(["difference", *head], pd.DataFrame(rows, index=head).T)
    if several:
        others = [own for own in controls.itertuples() if own.seed != records[0].seed]
        lines = [
            f"{task_title(records[0].task)}, all differences, seed by seed: another seed has other train rows and "
            "another dense model.",
            *(f"With seed {own.seed}, {_dense(own)}." for own in others),
            "",
            *lines,
        ]
    return "\n".join(lines)


def _dense(own: Any) -> str:
    """The scores of the dense model and of its controls, and what its encoder is worth."""
    encoder = Interval(own.encoder, own.encoder_low, own.encoder_high).in_points(signed=True)
    most_frequent = f", and the most frequent label {100 * own.majority:.1f}" if own.metric == "accuracy" else ""
    return (
        f"the dense model has {100 * own.dense:.1f} points and without its encoder {100 * own.without_encoder:.1f} "
        f"(a difference of {encoder}); a linear model of words has {100 * own.words:.1f}{most_frequent}"
    )


def _task(record: TaskRecord, controls: Any) -> str:
    config = StudyConfig.load("minilm")
    done = [method for method in config.methods if method in record.methods]
    missing = [method for method in config.methods if method not in record.methods]
    lines = [
        f"{_named(record)}: {_dense(controls)}. "
        "Brackets are 95 % intervals over test examples, and differences whose interval leaves out zero are **bold**. "
        "They are paired, so that they are clearer than the bars of the "
        "figure, which belong to single scores, as does the grey area.",
    ]
    if missing:
        lines += ["", f"Not recorded yet: {', '.join(f'`{method}`' for method in missing)}."]
    head = [f"at {100 * level:g} % (points)" for level in record.levels]
    scores = {
        f"`{method}` | {_epochs(config, method)} | {_cost(record, method)}": [
            f"{100 * record.score(method, level).estimate:.1f}" for level in record.levels
        ]
        for method in done
    }
    lines += [
        "",
        *markdown_table(
            ["method", "epochs a level", "steps a level", "evaluations a level", *head],
            pd.DataFrame(scores, index=head).T,
        ),
    ]
    return "\n".join(lines)


def _bold_if_clear(found: Interval) -> str:
    cell = found.in_points(signed=True)
    return f"**{cell}**" if round(100 * found.low, 1) > 0 or round(100 * found.high, 1) < 0 else cell


def _cost(record: TaskRecord, method: str) -> str:
    """The training steps and the evaluations on the validation set of a level, those of the candidates included."""
    ((steps, looks),) = {(each["steps"] + each["early_steps"], each["looks"]) for each in record.courses[method]}
    return f"{steps:,} | {looks}"


def _epochs(config: StudyConfig, method: str) -> int:
    """The epochs of a level, those of the candidates included."""
    run = config.run_config(method, config.tasks[0], config.seeds[0])
    return run.epochs + (run.candidates * run.early_epochs if run.candidates > 1 else 0)


def gradual_shows(records: Sequence[TaskRecord]) -> str:
    """The table of `minilm-gradual` for each task and seed: a row for each level."""
    return "\n\n".join("\n".join([f"{_named(record)}:", "", *_by_level(record)]) for record in records)


def _named(record: TaskRecord) -> str:
    return f"{task_title(record.task)}, seed {record.seed}, {len(record.labels)} test examples"


def _by_level(record: TaskRecord) -> list[str]:
    config = StudyConfig.load("minilm-gradual")
    rows = {
        f"{100 * level:g} %": [
            str(number * _epochs(config, "imp")),
            *(f"{100 * record.score(method, level).estimate:.1f}" for method in ("imp", "fisher")),
            _bold_if_clear(record.difference("fisher", "imp", level)),
        ]
        for number, level in enumerate(record.levels, start=1)
    }
    head = ["epochs so far", "IMP", "Fisher mask, one threshold", "Fisher mask minus IMP"]
    return markdown_table(["sparsity", *head], pd.DataFrame(rows, index=head).T)


def tuning_shows(results: pd.DataFrame) -> list[str]:
    """The table of mean validation scores of `minilm-tuning`: a row for each kind of mask, a column for each rate."""
    config = StudyConfig.load("minilm-tuning")
    means = results[results.sparsity > 0].groupby("method").validation.mean()
    names = {"imp": "IMP", "fisher": "Fisher scores, one threshold", "random": "one random mask"}
    rates = sorted(config.factors["rate"], key=float)
    rows = {}
    for mask, name in names.items():
        scores = [means[f"{mask}-{rate}"] for rate in rates]
        rows[name] = [f"**{100 * score:.2f}**" if score == max(scores) else f"{100 * score:.2f}" for score in scores]
    return markdown_table(["learning rate", *rates], pd.DataFrame(rows, index=rates).T)
