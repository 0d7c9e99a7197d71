"""The table of tasks: what is classified, into which labels, how it is judged, where its data stand."""

from __future__ import annotations

from dataclasses import dataclass

from randprune_lab.errors import unknown_name


@dataclass(frozen=True)
class Task:
    """A classification task of one or two sentences.

    >>> get_task("mrpc").text_fields
    ('sentence1', 'sentence2')
    """

    name: str
    description: str
    text_fields: tuple[str, ...]  # columns of the splits, and of the hub's data set
    labels: tuple[str, ...]  # in the order of their ids
    metrics: tuple[str, ...]  # the first one is what scores and selections go by
    max_length: int  # in tokens, of the whole input
    hub_config: str | None = None  # in the hub's GLUE data set
    glue_folder: str | None = None  # in a folder of GLUE's TSV files
    glue_columns: tuple[str, ...] = ()  # in the TSV files: the texts, then the label

    @property
    def num_labels(self) -> int:
        return len(self.labels)

    @property
    def primary_metric(self) -> str:
        return self.metrics[0]


_TABLE = (
    Task(
        name="rotten_tomatoes",
        description="Is a sentence of a film review positive? (offline, with pip)",
        text_fields=("text",),
        labels=("negative", "positive"),
        metrics=("accuracy",),
        max_length=64,
    ),
    Task(
        name="sst2",
        description="Is a phrase of a film review positive? (GLUE)",
        text_fields=("sentence",),
        labels=("negative", "positive"),
        metrics=("accuracy",),
        max_length=64,
        hub_config="sst2",
        glue_folder="SST-2",
        glue_columns=("sentence", "label"),
    ),
    Task(
        name="mrpc",
        description="Do two sentences of the news say the same? (GLUE)",
        text_fields=("sentence1", "sentence2"),
        labels=("not_equivalent", "equivalent"),
        metrics=("accuracy", "f1"),
        max_length=128,
        hub_config="mrpc",
        glue_folder="MRPC",
        glue_columns=("#1 String", "#2 String", "Quality"),
    ),
)

TASKS: dict[str, Task] = {task.name: task for task in _TABLE}


def get_task(name: str) -> Task:
    """The task of that name; raises `UnknownNameError` with the nearest names if there is none."""
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    return TASKS[name]
