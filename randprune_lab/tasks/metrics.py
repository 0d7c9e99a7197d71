"""Offline metrics: computed by scikit-learn and SciPy, with the interface of `evaluate`.

If all predictions or all references are the same, some textbook formulas divide zero by zero. Here the result is 0:
for F1 and Matthews as in scikit-learn, and for both correlations, where SciPy returns NaN. So a constant prediction,
which carries no information, ranks below every prediction with a positive score.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import ArrayLike

from randprune_lab.errors import ConfigError, DataError, unknown_name
from randprune_lab.tasks.spec import Task

if TYPE_CHECKING:
    import evaluate

Ids = Int64[np.ndarray, " n"]
Scores = Float64[np.ndarray, " n"]


def compute_metrics(task: Task, predictions: ArrayLike, references: ArrayLike) -> dict[str, float]:
    """The task's metrics by name, the primary one first.

    Args:
        predictions: a label id or, in regression, a score for each row; a list, an array or a tensor.
        references: the true label ids or scores.

    Raises:
        DataError: if these are not label ids of the task or finite scores, their numbers differ, or there are none.
    """
    predicted, true = (
        _scores(name, values) if task.regression else _ids(name, values, task.num_labels)
        for name, values in (("predictions", predictions), ("references", references))
    )
    if len(predicted) != len(true) or len(true) == 0:
        raise DataError(
            f"task {task.name!r}: {len(predicted)} predictions for {len(true)} references; "
            "give one prediction for each reference, and at least one"
        )
    return {name: METRICS[name](predicted, true) for name in task.metrics}


def check_metric(metric: str, name: str, *, regression: bool, classes: int | None = None) -> None:
    """Raise `ConfigError` unless a metric is known and fits the labels of a task.

    Args:
        name: what the error calls the task.
        regression: whether the labels are scores.
        classes: the number of classes, if it is known already.
    """
    if metric not in METRICS:
        raise unknown_name("metric", metric, METRICS)
    fitting = [each for each in METRICS if (each in CORRELATIONS) == regression]
    if classes not in (None, 2):
        fitting.remove("f1")  # of one of two classes
    if metric not in fitting:
        labels = "scores" if regression else "classes" if classes is None else f"{classes} classes"
        raise ConfigError(f"metric {metric!r} does not fit {name!r}, which has {labels}; choose {', '.join(fitting)}")


def judged_by(task: Task, metric: str | None) -> Task:
    """The task with another primary metric, before its other ones; None leaves it as it is.

    Raises:
        ConfigError: if there is no such metric, or it does not fit the task's labels.

    >>> from randprune_lab.tasks import get_task
    >>> judged_by(get_task("mrpc"), "f1").metrics
    ('f1', 'accuracy')
    """
    if metric is None:
        return task
    check_metric(metric, task.name, regression=task.regression, classes=len(task.labels) or None)
    return replace(task, metrics=(metric, *(each for each in task.metrics if each != metric)))


def constant_answer(task: Task, answers: np.ndarray, labels: np.ndarray, examples: str) -> str | None:
    """A sentence on a dense model that answers the same for all examples although their labels differ; else None.

    Scores are the same if they differ by at most a hundredth of the range of the labels.

    Args:
        answers: a label id or, in regression, a score for each example.
        labels: the true label ids or scores.
        examples: what the sentence calls the examples, such as "test".
    """
    if np.ptp(labels) == 0 or np.ptp(answers) > (np.ptp(labels) / 100 if task.regression else 0):
        return None
    if task.regression:
        answer = f"{np.mean(answers):.4g}"
    else:
        counts = np.bincount(labels, minlength=task.num_labels)
        answer = repr(task.labels[answers[0]]) + (
            ", their commonest label" if counts[answers[0]] == counts.max() else ""
        )
    return (
        f"the dense model answers the same for all {len(answers)} {examples} examples ({answer}), so masks cannot be "
        "compared; give it more data, more epochs (--dense-epochs) or another learning rate (--dense-learning-rate)"
    )


def make_metric(task: Task) -> evaluate.Metric:
    """An `evaluate.Metric` with the task's metrics; it needs neither the hub nor a cache on disk."""
    import datasets
    import evaluate

    class TaskMetric(evaluate.Metric):
        def _info(self) -> evaluate.MetricInfo:
            value = datasets.Value("float64" if task.regression else "int64")  # integers would cut off fractions
            return evaluate.MetricInfo(
                description=task.description,
                citation="",
                features=datasets.Features({"predictions": value, "references": value}),
            )

        def _compute(self, predictions: list[float], references: list[float]) -> dict[str, float]:
            return compute_metrics(task, predictions, references)

    # `evaluate` makes the folder even if nothing uses it. Without a seed it reads numpy's global random state.
    with TemporaryDirectory() as folder:
        return TaskMetric(cache_dir=folder, keep_in_memory=True, seed=0)


def _ids(name: str, values: ArrayLike, labels: int) -> Ids:
    ids = _array(name, values)
    if ids.ndim != 1 or not (np.issubdtype(ids.dtype, np.integer) or ids.size == 0):
        raise DataError(
            f"{name} must be label ids, one integer per row, got {ids.dtype} of shape {ids.shape}; "
            "for logits, give argmax(axis=1)"
        )
    if (wrong := ids[(ids < 0) | (ids >= labels)]).size:
        raise DataError(
            f"{name} must be label ids from 0 to {labels - 1}, but {len(wrong)} of {len(ids)} are not, such as "
            f"{wrong[0]}; leave out rows without a label"
        )
    return ids.astype(np.int64)


def _scores(name: str, values: ArrayLike) -> Scores:
    scores = _array(name, values)
    if scores.ndim != 1 or not (scores.dtype.kind in "iuf" or scores.size == 0):
        raise DataError(
            f"{name} must be scores, one number per row, got {scores.dtype} of shape {scores.shape}; "
            "for logits, give [:, 0]"
        )
    with np.errstate(over="ignore"):  # beyond 64 bits: infinite
        scores = scores.astype(np.float64)
    if not np.isfinite(scores).all():
        raise DataError(
            f"{name} must be finite, but {np.count_nonzero(~np.isfinite(scores))} of {len(scores)} are not; "
            "if a model predicted them, its training diverged: lower the learning rate"
        )
    return scores


def _array(name: str, values: Any) -> np.ndarray:
    """The values as an array: also those of a tensor that has a gradient, is on a GPU, or has a type of its own."""
    try:
        return np.asarray([*map(_plain, values)] if isinstance(values, list | tuple) else _plain(values))
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{name} must be a list, an array or a tensor of numbers, one per row ({reason})") from None


def _plain(value: Any) -> Any:
    """A tensor on the CPU, without a gradient and in a type that numpy knows; other values as they are."""
    if not hasattr(value, "detach"):
        return value
    value = value.detach().cpu()
    return value.double() if value.is_floating_point() else value


# --- one metric from predictions and references ---


def _accuracy(predictions: Ids, references: Ids) -> float:
    return float((predictions == references).mean())


def _f1(predictions: Ids, references: Ids) -> float:
    """F1 of the label with id 1."""
    from sklearn.metrics import f1_score

    return float(f1_score(references, predictions, zero_division=0.0))


def _macro_f1(predictions: Ids, references: Ids) -> float:
    """The mean F1 over all labels that occur in the predictions or the references."""
    from sklearn.metrics import f1_score

    return float(f1_score(references, predictions, average="macro", zero_division=0.0))


def _matthews(predictions: Ids, references: Ids) -> float:
    from sklearn.metrics import matthews_corrcoef

    return 0.0 if _constant(predictions, references) else float(matthews_corrcoef(references, predictions))


def _pearson(predictions: Scores, references: Scores) -> float:
    from scipy.stats import pearsonr

    if _constant(predictions, references):
        return 0.0
    with warnings.catch_warnings():  # SciPy warns if scores hardly differ
        warnings.simplefilter("ignore")
        return _finite(pearsonr(predictions, references).statistic)


def _spearman(predictions: Scores, references: Scores) -> float:
    from scipy.stats import spearmanr

    return 0.0 if _constant(predictions, references) else _finite(spearmanr(predictions, references).statistic)


def _constant(*arrays: Any) -> bool:
    return any((array == array[0]).all() for array in arrays)


def _finite(correlation: Any) -> float:
    """0 for NaN: scores whose squared differences are below the smallest float count as constant."""
    return float(correlation) if np.isfinite(correlation) else 0.0


METRICS: dict[str, Callable[[Any, Any], float]] = {
    "accuracy": _accuracy,
    "f1": _f1,
    "macro_f1": _macro_f1,
    "matthews": _matthews,
    "pearson": _pearson,
    "spearman": _spearman,
}
CORRELATIONS = ("pearson", "spearman")
"""The metrics of scores; the others are those of classes."""
EVALUATE_NAMES = {"matthews_correlation": "matthews", "pearsonr": "pearson", "spearmanr": "spearman"}
"""What `evaluate` calls some of the metrics."""
