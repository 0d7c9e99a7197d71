"""The types of the results of a run's units, as the journal has them; `units.result_type` finds that of a unit."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from pydantic import AfterValidator, ConfigDict, Field, with_config
from typing_extensions import TypedDict

from randprune_lab.tasks.metrics import check_metric
from randprune_lab.tasks.spec import Task, suffixed
from randprune_lab.training.compute import Compute
from randprune_lab.typed import known_names, record_of

Count = Annotated[int, Field(ge=0, lt=2**63)]
"""A number of something, a position or a seed."""

Metric = Annotated[float, Field(allow_inf_nan=False)]
"""A task metric. Losses and early scores may also be NaN or infinite, where a training diverged."""


def _aligned(*names: str) -> AfterValidator:
    """Checks that those of some lists that are there have the same length, and at least one value."""

    def check(values: dict[str, Any]) -> dict[str, Any]:
        found = [name for name in names if name in values]
        if len({len(values[name]) for name in found}) > 1 or not values[names[0]]:
            raise ValueError(f"{' and '.join(found)} must have the same length, at least 1")
        return values

    return AfterValidator(check)


def _check_task(task: dict[str, Any]) -> dict[str, Any]:
    regression, classes = task["score_range"] is not None, len(task["labels"])
    if not task["metrics"] or not task["text_fields"] or regression == bool(classes):
        raise ValueError("a task must have a metric, a text, and either labels or a range of scores")
    for metric in task["metrics"]:
        check_metric(metric, task["name"], regression=regression, classes=classes or None)
    return task


@with_config(ConfigDict(extra="allow"))  # the number of rows of each role
class _Data(TypedDict):
    source: str
    fingerprint: str
    dropped_leaks: Count
    identical_leaks: Count
    found: dict[str, Count]
    labels: dict[str, dict[str, float]]
    warnings: list[str]
    task: Annotated[record_of(Task, ("glue",)), AfterValidator(_check_task)]  # type: ignore[valid-type]


def _check_rows(data: dict[str, Any]) -> dict[str, Any]:
    rows = {name: size for name, size in data.items() if name not in _Data.__annotations__}
    roles = ["train", "validation", *(suffixed("test", name) for name in ("", *data["task"]["further_tests"]))]
    if rows.keys() != {*roles} or not all(type(size) is int for size in rows.values()):
        raise ValueError(f"it must have the number of rows of {', '.join(roles)}, got {rows}")
    return data


@with_config(ConfigDict(extra="allow"))  # the settings of the rule
class RecordedRule(TypedDict):
    """What `Rule.to_dict` gave."""

    rule: str


@with_config(ConfigDict(extra="allow"))  # what only drawing the mask again needs, which checks it
class RecordedRecipe(TypedDict):
    """What `Proposal.recipe` gave."""

    rule: RecordedRule
    seed: Count
    candidate: Count


@known_names
class _Trained(TypedDict):
    score: Metric
    scores: list[Metric]
    steps: list[Count]
    losses: list[float]
    judged: NotRequired[list[float]]  # what the best was chosen by, if not by the score
    total_steps: Count
    weights_sha256: str
    scores_sha256: NotRequired[str]  # of the scores that the training summed up


@known_names
class Start(TypedDict):
    """The weights that a search with custom training starts from, and what they were evaluated to."""

    weights_sha256: str
    score: NotRequired[Metric]


@known_names
class Examples(TypedDict):
    """The number of examples whose scores an evaluation by a custom function returns; 0 if it returns one score."""

    number: Count


@known_names
class _TrainedWinner(_Trained):
    winner: Count
    sparsity: float
    mask: RecordedRecipe
    mask_sha256: str


@known_names
class _Evaluated(TypedDict):
    candidate: Count
    steps: Count
    total_steps: Count
    at: list[Count]
    metric: list[Metric]
    mask: RecordedRecipe


@known_names
class _Drop(TypedDict):
    candidate: Count
    why: str


@known_names
class _Round(TypedDict):
    steps: Count
    candidates: list[Count]
    scores: list[float]
    dropped: list[_Drop]


@known_names
class _Selection(TypedDict):
    winner: Count
    steps: Count
    ranking: list[Count]
    rounds: list[Annotated[_Round, _aligned("candidates", "scores")]]
    evaluations: Count


def _winner_of(least: int) -> AfterValidator:
    """Checks that the winner is a candidate of the last round that had at least this number of candidates."""

    def check(selection: dict[str, Any]) -> dict[str, Any]:
        finals = [round["candidates"] for round in selection["rounds"] if len(round["candidates"]) >= least]
        if not finals or selection["winner"] not in finals[-1] or selection["winner"] not in selection["ranking"]:
            raise ValueError(f"its winner, {selection['winner']}, is no candidate of its last round")
        return selection

    return AfterValidator(check)


@known_names
class Noise(TypedDict):
    """An early evaluation with another training seed."""

    mask: Count
    seed: Count
    score: float
    steps: Count


@known_names
class Allocated(TypedDict):
    """An evolved allocation, and the divergence from the dense model after each generation."""

    counts: dict[str, Count]
    history: list[float]
    evaluations: Count


@known_names
class Final(TypedDict):
    """The final model: its folder, and the name of the unit that trained it."""

    path: str
    weights: str


_HISTORY = _aligned("scores", "steps", "losses", "judged")

Ran = record_of(Compute, optional=("sparse_from",))
Data = Annotated[_Data, AfterValidator(_check_rows)]
Dense = Annotated[_Trained, _HISTORY]
Winner = Annotated[_TrainedWinner, _HISTORY]
Evaluated = Annotated[_Evaluated, _aligned("at", "metric")]
Raced = Annotated[_Selection, _winner_of(1)]  # a generation may have a single candidate
Selected = Annotated[_Selection, _winner_of(2)]
Scores = dict[str, Metric]
