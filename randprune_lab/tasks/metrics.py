"""Offline metrics: scikit-learn's figures behind the interface of `evaluate`."""

from __future__ import annotations

from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int64
from numpy.typing import ArrayLike

from randprune_lab.errors import DataError
from randprune_lab.tasks.spec import Task

if TYPE_CHECKING:
    import evaluate


Ids = Int64[np.ndarray, " n"]


def compute_metrics(task: Task, predictions: ArrayLike, references: ArrayLike) -> dict[str, float]:
    """The task's metrics by name, the primary one first.

    Args:
        predictions: a label id for each row; a list, an array or a tensor.
        references: the true label ids.

    Raises:
        DataError: if these are not ids, not equally many, or none.
    """
    predicted, true = _ids("predictions", predictions), _ids("references", references)
    if len(predicted) != len(true) or len(true) == 0:
        raise DataError(
            f"task {task.name!r}: {len(predicted)} predictions for {len(true)} references; "
            "give one for each, and at least one"
        )
    metrics: dict[str, float] = make_metric(task).compute(predictions=predicted, references=true)
    return metrics


def make_metric(task: Task) -> evaluate.Metric:
    """An `evaluate.Metric` of the task's metrics that needs neither the hub nor a cache on disk."""
    import datasets
    import evaluate

    class TaskMetric(evaluate.Metric):
        def _info(self) -> evaluate.MetricInfo:
            ids = datasets.Value("int64")
            return evaluate.MetricInfo(
                description=task.description,
                citation="",
                features=datasets.Features({"predictions": ids, "references": ids}),
                format="numpy",
            )

        def _compute(self, predictions: Ids, references: Ids) -> dict[str, float]:
            return {name: _METRICS[name](predictions, references) for name in task.metrics}

    # The folder is made when the metric is, whether it is used or not; the seed is read from numpy otherwise.
    with TemporaryDirectory() as folder:
        return TaskMetric(cache_dir=folder, keep_in_memory=True, seed=0)


def _ids(name: str, values: ArrayLike) -> Ids:
    ids = np.asarray(values)
    if ids.ndim != 1 or not (np.issubdtype(ids.dtype, np.integer) or ids.size == 0):
        raise DataError(
            f"{name} must be label ids, one integer a row, got {ids.dtype} of shape {ids.shape}; "
            "of logits take argmax(axis=1)"
        )
    return ids.astype(np.int64)


def _accuracy(predictions: Ids, references: Ids) -> float:
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(references, predictions))


def _f1(predictions: Ids, references: Ids) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(references, predictions, zero_division=0.0))


_METRICS = {"accuracy": _accuracy, "f1": _f1}
