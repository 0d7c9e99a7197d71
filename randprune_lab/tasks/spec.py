"""The table of tasks: what is learned, into which labels or scores, how it is judged, where its data stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from randprune_lab.errors import unknown_name


@dataclass(frozen=True)
class GlueFiles:
    """Where a task stands in a folder of GLUE's TSV files."""

    folder: str
    columns: tuple[str, ...]  # the texts, then the label
    report: str = "dev.tsv"
    further_reports: tuple[str, ...] = ()  # in the order of the task's
    header: tuple[str, ...] | None = None  # the columns' names, where the files do not begin with them
    torn_rows: bool = (
        False  # line breaks inside texts tore rows of the official files: leave these out, as the hub does
    )


@dataclass(frozen=True)
class Task:
    """A task of one or two sentences: to classify them, or to give them a score (regression).

    >>> get_task("mrpc").text_fields
    ('sentence1', 'sentence2')
    >>> get_task("stsb").score_range
    (0.0, 5.0)
    """

    name: str
    description: str
    text_fields: tuple[str, ...]  # columns of the splits, and of the hub's data set
    labels: tuple[str, ...]  # in the order of their ids; none in regression
    metrics: tuple[str, ...]  # the first one is what scores and selections go by
    max_length: int  # in tokens, of the whole input
    score_range: tuple[float, float] | None = None  # in regression: the lowest and the highest score
    further_reports: tuple[str, ...] = ()  # report sets besides the first: reported, never selected on
    glue: GlueFiles | None = None  # in GLUE's folders; on the hub its configuration has the task's name

    @property
    def regression(self) -> bool:
        return self.score_range is not None

    @property
    def num_labels(self) -> int:
        """Outputs of the classification head: one a label, or the score alone."""
        return 1 if self.regression else len(self.labels)

    @property
    def primary_metric(self) -> str:
        return self.metrics[0]

    @property
    def report_sets(self) -> tuple[str, ...]:
        """All report sets; the first has no name of its own."""
        return ("", *self.further_reports)

    def to_dict(self) -> dict[str, Any]:
        """What a run records of its task; where the data stood is recorded as their source."""
        values = {name: value for name, value in asdict(self).items() if name != "glue"}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Task:
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        return cls(**fields)


def suffixed(name: str, report_set: str, mark: str = "_") -> str:
    """The name of something in one of the report sets; in the first it is `name` itself.

    >>> suffixed("accuracy", "mismatched"), suffixed("accuracy", "")
    ('accuracy_mismatched', 'accuracy')
    """
    return f"{name}{mark}{report_set}" if report_set else name


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
        name="cola",
        description="Is a sentence acceptable English? (GLUE)",
        text_fields=("sentence",),
        labels=("unacceptable", "acceptable"),
        metrics=("matthews",),
        max_length=64,
        glue=GlueFiles("CoLA", ("sentence", "label"), header=("source", "label", "mark", "sentence")),
    ),
    Task(
        name="sst2",
        description="Is a phrase of a film review positive? (GLUE)",
        text_fields=("sentence",),
        labels=("negative", "positive"),
        metrics=("accuracy",),
        max_length=64,
        glue=GlueFiles("SST-2", ("sentence", "label")),
    ),
    Task(
        name="mrpc",
        description="Do two sentences of the news say the same? (GLUE)",
        text_fields=("sentence1", "sentence2"),
        labels=("not_equivalent", "equivalent"),
        metrics=("accuracy", "f1"),
        max_length=128,
        glue=GlueFiles("MRPC", ("#1 String", "#2 String", "Quality")),
    ),
    Task(
        name="stsb",
        description="How similar are two sentences in meaning, from 0 to 5? (GLUE)",
        text_fields=("sentence1", "sentence2"),
        labels=(),
        metrics=("pearson", "spearman"),
        max_length=128,
        score_range=(0.0, 5.0),
        glue=GlueFiles("STS-B", ("sentence1", "sentence2", "score")),
    ),
    Task(
        name="qqp",
        description="Do two questions ask the same? (GLUE)",
        text_fields=("question1", "question2"),
        labels=("not_duplicate", "duplicate"),
        metrics=("accuracy", "f1"),
        max_length=128,
        glue=GlueFiles("QQP", ("question1", "question2", "is_duplicate"), torn_rows=True),
    ),
    Task(
        name="mnli",
        description="Does a premise entail a hypothesis, contradict it, or neither? (GLUE)",
        text_fields=("premise", "hypothesis"),
        labels=("entailment", "neutral", "contradiction"),
        metrics=("accuracy",),
        max_length=128,
        further_reports=("mismatched",),
        glue=GlueFiles(
            "MNLI",
            ("sentence1", "sentence2", "gold_label"),
            report="dev_matched.tsv",
            further_reports=("dev_mismatched.tsv",),
        ),
    ),
    Task(
        name="qnli",
        description="Does a sentence hold the answer to a question? (GLUE)",
        text_fields=("question", "sentence"),
        labels=("entailment", "not_entailment"),
        metrics=("accuracy",),
        max_length=128,
        glue=GlueFiles("QNLI", ("question", "sentence", "label")),
    ),
    Task(
        name="rte",
        description="Does a text entail a hypothesis? (GLUE)",
        text_fields=("sentence1", "sentence2"),
        labels=("entailment", "not_entailment"),
        metrics=("accuracy",),
        max_length=128,
        glue=GlueFiles("RTE", ("sentence1", "sentence2", "label")),
    ),
)

_MINI = {  # generated tasks in the likeness of GLUE's: the same fields, labels and metrics
    "cola": "Is a sentence well formed?",
    "sst2": "Does a sentence praise or blame?",
    "mrpc": "Do two sentences say the same?",
    "stsb": "In how many of five parts do two sentences agree?",
    "qqp": "Do two questions ask the same?",
    "mnli": "Does a hypothesis about all, some or none follow from a premise, contradict it, or neither?",
    "qnli": "Does a sentence hold the answer to a question?",
    "rte": "Does a sentence that says less follow from a text?",
}


def _mini(task: Task) -> Task:
    description = f"{_MINI[task.name]} (generated, offline)"
    return replace(task, name=f"mini-{task.name}", description=description, max_length=48, glue=None)


_MINI_TABLE = tuple(_mini(task) for task in _TABLE if task.name in _MINI)

TASKS: dict[str, Task] = {task.name: task for task in (*_TABLE, *_MINI_TABLE)}


def get_task(name: str) -> Task:
    """The task of that name; raises `UnknownNameError` with the nearest names if there is none."""
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    return TASKS[name]
