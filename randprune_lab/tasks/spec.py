"""The table of tasks: their texts, labels or scores, metrics, and where their data are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from randprune_lab.errors import unknown_name


@dataclass(frozen=True)
class GlueFiles:
    """Where a task's data are in a folder of GLUE's TSV files."""

    folder: str
    columns: tuple[str, ...]  # the texts, then the label
    test: str = "dev.tsv"
    further_tests: tuple[str, ...] = ()  # in the order of `Task.further_tests`
    header: tuple[str, ...] | None = None  # names of all columns, if the files have no header line
    torn_rows: bool = False  # skip rows that line breaks inside texts have split, as the hub does


@dataclass(frozen=True)
class Task:
    """A task on one or two texts: to classify them, or to predict a score (regression).

    >>> get_task("mrpc").text_fields
    ('sentence1', 'sentence2')
    >>> get_task("stsb").score_range
    (0.0, 5.0)
    """

    name: str
    description: str
    text_fields: tuple[str, ...]  # columns of the splits and of the data set on the hub
    labels: tuple[str, ...]  # in the order of their ids; none in regression
    metrics: tuple[str, ...]  # the first is the primary one: it scores models and selects masks
    max_length: int  # in tokens, of the whole input
    score_range: tuple[float, float] | None = None  # in regression: the lowest and the highest score
    further_tests: tuple[str, ...] = ()  # test sets besides the first: reported, never used to select
    glue: GlueFiles | None = None  # its files; on the hub, its configuration has the task's name

    @property
    def regression(self) -> bool:
        return self.score_range is not None

    @property
    def num_labels(self) -> int:
        """Number of outputs of the model's head: one for each label; 1 in regression, the score."""
        return 1 if self.regression else len(self.labels)

    @property
    def primary_metric(self) -> str:
        return self.metrics[0]

    @property
    def test_sets(self) -> tuple[str, ...]:
        """The names of all test sets; the first one's is empty."""
        return ("", *self.further_tests)

    def to_dict(self) -> dict[str, Any]:
        """The task as a run records it: without `glue`, because the source of the data is recorded separately."""
        values = {name: value for name, value in asdict(self).items() if name != "glue"}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Task:
        """The task from what `to_dict` returned."""
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        return cls(**fields)


def suffixed(name: str, test_set: str, mark: str = "_") -> str:
    """`name` with a suffix for one of the test sets; the first one has none.

    >>> suffixed("accuracy", "mismatched"), suffixed("accuracy", "")
    ('accuracy_mismatched', 'accuracy')
    """
    return f"{name}{mark}{test_set}" if test_set else name


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
        description="Do two news sentences mean the same? (GLUE)",
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
        description="Do two questions ask the same thing? (GLUE)",
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
        further_tests=("mismatched",),
        glue=GlueFiles(
            "MNLI",
            ("sentence1", "sentence2", "gold_label"),
            test="dev_matched.tsv",
            further_tests=("dev_mismatched.tsv",),
        ),
    ),
    Task(
        name="qnli",
        description="Does a sentence contain the answer to a question? (GLUE)",
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

_MINI = {  # generated tasks modelled on GLUE's: the same fields, labels and metrics
    "cola": "Is a sentence well formed?",
    "sst2": "Does a sentence praise or blame?",
    "mrpc": "Do two sentences mean the same?",
    "stsb": "In how many of five parts do two sentences agree?",
    "qqp": "Do two questions ask the same thing?",
    "mnli": "Does a hypothesis about all, some or none follow from a premise, contradict it, or neither?",
    "qnli": "Does a sentence contain the answer to a question?",
    "rte": "Does a less specific sentence follow from a text?",
}


def _mini(task: Task) -> Task:
    description = f"{_MINI[task.name]} (generated, offline)"
    return replace(task, name=f"mini-{task.name}", description=description, max_length=48, glue=None)


_MINI_TABLE = tuple(_mini(task) for task in _TABLE if task.name in _MINI)

TASKS: dict[str, Task] = {task.name: task for task in (*_TABLE, *_MINI_TABLE)}


def task_title(name: str) -> str:
    """A task's name as GLUE writes it; others have their own.

    >>> task_title("stsb"), task_title("mini-stsb")
    ('STS-B', 'mini-stsb')
    """
    known = TASKS.get(name)
    return known.glue.folder if known and known.glue else name


def get_task(name: str) -> Task:
    """The task with this name.

    Raises:
        UnknownNameError: if there is none; the message suggests the nearest names.
    """
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    return TASKS[name]
