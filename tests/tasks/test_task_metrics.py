"""The metrics are scikit-learn's, without a hub, a cache or a warning."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

from randprune_lab.errors import DataError
from randprune_lab.tasks import TASKS, compute_metrics, get_task
from randprune_lab.tasks.metrics import make_metric

MRPC = get_task("mrpc")


@pytest.mark.parametrize("seed", range(5))
def test_figures_equal_those_of_scikit_learn(seed: int) -> None:
    predictions, references = np.random.default_rng(seed).integers(0, 2, size=(2, 100))
    expected = {
        "accuracy": accuracy_score(references, predictions),
        "f1": f1_score(references, predictions),
    }
    assert compute_metrics(MRPC, predictions, references) == expected


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())
def test_a_task_gets_its_own_metrics_in_its_order(task) -> None:
    assert list(compute_metrics(task, [0, 1], [0, 1])) == list(task.metrics)


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor, lambda ids: np.array(ids, dtype=np.int8)])
def test_ids_come_as_lists_arrays_or_tensors(kind) -> None:
    # 2 of 4 right; 1 true positive, 1 false positive, 1 false negative
    assert compute_metrics(MRPC, kind([0, 1, 1, 0]), kind([0, 1, 0, 1])) == {"accuracy": 0.5, "f1": 0.5}


@pytest.mark.parametrize("references", [[1, 1, 0], [0, 0, 0]])
def test_f1_without_a_positive_prediction_is_zero_without_a_warning(references: list[int]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compute_metrics(MRPC, [0, 0, 0], references)["f1"] == 0.0


def test_batches_add_up_and_leave_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import evaluate

    monkeypatch.setattr(evaluate.config, "HF_METRICS_CACHE", tmp_path)
    metric = make_metric(MRPC)
    for _ in range(2):
        metric.add_batch(predictions=[0, 1], references=[0, 0])
        metric.add_batch(predictions=[1], references=[1])
        assert metric.compute() == compute_metrics(MRPC, [0, 1, 1], [0, 0, 1])
    assert list(tmp_path.iterdir()) == []


def test_the_global_random_state_is_left_alone() -> None:
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    compute_metrics(MRPC, [0, 1], [0, 1])
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        ([0, 1], [0], "task 'mrpc': 2 predictions for 1 references"),
        ([], [], "task 'mrpc': 0 predictions for 0 references"),
        ([0.2, 0.8], [0, 1], "predictions must be label ids, one integer a row, got float64"),
        ([[0.2, 0.8]], [0], r"predictions must be label ids.*shape \(1, 2\); of logits take argmax"),
        ([0, 1], [0.0, 1.0], "references must be label ids"),
    ],
)
def test_what_are_not_matching_ids_is_an_error(predictions: list, references: list, message: str) -> None:
    with pytest.raises(DataError, match=message):
        compute_metrics(MRPC, predictions, references)
