"""The metrics are scikit-learn's, without a hub, a cache or a warning."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from randprune_lab.errors import ConfigError, DataError
from randprune_lab.tasks import TASKS, Task, compute_metrics, get_task
from randprune_lab.tasks.metrics import constant_answer, judged_by, make_metric

MRPC = get_task("mrpc")


COLA, STSB = get_task("cola"), get_task("stsb")
EVERY = Task("every", "", ("text",), ("a", "b", "c"), ("accuracy", "macro_f1", "matthews"), 64)  # three classes

REFERENCE = {
    "accuracy": accuracy_score,
    "f1": f1_score,
    "macro_f1": lambda *ids: f1_score(*ids, average="macro"),
    "matthews": matthews_corrcoef,
    "pearson": lambda *scores: pearsonr(*scores).statistic,
    "spearman": lambda *scores: spearmanr(*scores).statistic,
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("task", [*TASKS.values(), EVERY], ids=[*TASKS, "every"])
def test_figures_equal_those_of_scikit_learn_and_scipy(task: Task, seed: int) -> None:
    random = np.random.default_rng(seed)
    if task.regression:
        predictions, references = random.normal(size=(2, 100)).round(1)  # with ties
    else:
        predictions, references = random.integers(0, task.num_labels, size=(2, 100))
    expected = {name: pytest.approx(REFERENCE[name](references, predictions), rel=1e-12) for name in task.metrics}
    assert compute_metrics(task, predictions, references) == expected


def test_scores_are_neither_truncated_nor_rounded() -> None:
    predictions, references = [0.1, 0.2, 0.4 + 1e-9], [0.1, 0.2, 0.4]
    figures = compute_metrics(STSB, predictions, references)
    assert figures["pearson"] == pytest.approx(pearsonr(predictions, references).statistic, rel=1e-15)
    assert figures["spearman"] == 1.0


CONSTANT = ([0.5] * 4, [0.1, 2.0, 3.0, 5.0], [1e-200, 0.0, 0.0, 1e-200], [1.0, 1.0, 1.0, 1.0 + 1e-15], [0.25])


@pytest.mark.parametrize("predictions", CONSTANT)
@pytest.mark.parametrize("references", CONSTANT)
def test_a_correlation_is_a_number_even_if_scores_do_not_differ(
    predictions: list[float], references: list[float]
) -> None:
    """It is 0 if either side is constant, and there is no warning."""
    size = min(len(predictions), len(references))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures = compute_metrics(STSB, predictions[:size], references[:size])
    assert all(-1 <= value <= 1 for value in figures.values())
    if len(set(predictions[:size])) == 1 or len(set(references[:size])) == 1:
        assert set(figures.values()) == {0.0}


@pytest.mark.parametrize("task", [COLA, MRPC, EVERY], ids=lambda task: task.name)
@pytest.mark.parametrize("references", [[0, 0, 0], [1, 1, 1], [0, 1, 1], [1]])
@pytest.mark.parametrize("prediction", [0, 1])
def test_one_class_predicted_is_a_number_without_a_warning(task: Task, prediction: int, references: list[int]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures = compute_metrics(task, [prediction] * len(references), references)
    assert all(0 <= value <= 1 for value in figures.values())
    assert figures.get("matthews", 0.0) == 0.0


def test_a_constant_prediction_ranks_below_a_weakly_correlated_one() -> None:
    references = [0.0, 1.0, 2.0, 3.0]
    constant, weak = (compute_metrics(STSB, scores, references)["pearson"] for scores in ([1.5] * 4, [1, 0, 2, 1]))
    assert constant == 0.0 < weak


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())
def test_a_task_has_its_metrics_in_order(task) -> None:
    assert list(compute_metrics(task, [0, 1], [0, 1])) == list(task.metrics)


def scalars(values: list[float]) -> list[torch.Tensor]:
    return [torch.tensor(value) for value in values]


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor, scalars, np.uint64, np.int8])
def test_ids_may_be_lists_arrays_or_tensors(kind) -> None:
    # 2 of 4 right; 1 true positive, 1 false positive, 1 false negative
    assert compute_metrics(MRPC, kind([0, 1, 1, 0]), kind([0, 1, 0, 1])) == {"accuracy": 0.5, "f1": 0.5}


FLOATS = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.int64]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_scores_may_be_tensors_of_any_type_with_a_gradient(dtype: torch.dtype) -> None:
    scores = torch.tensor([1.0, 2.0, 3.0]).to(dtype).requires_grad_(dtype.is_floating_point)
    for values in (scores, list(scores)):
        assert compute_metrics(STSB, values, [2, 4, 6]) == {"pearson": pytest.approx(1), "spearman": 1.0}


def test_batches_add_up_and_leave_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import evaluate

    monkeypatch.setattr(evaluate.config, "HF_METRICS_CACHE", tmp_path)
    metric = make_metric(MRPC)
    for _ in range(2):
        metric.add_batch(predictions=[0, 1], references=[0, 0])
        metric.add_batch(predictions=[1], references=[1])
        assert metric.compute() == compute_metrics(MRPC, [0, 1, 1], [0, 0, 1])
    assert list(tmp_path.iterdir()) == []


def test_a_metric_of_evaluate_checks_the_same() -> None:
    with pytest.raises(DataError, match="references must be label ids from 0 to 1, but 1 of 2 are not"):
        make_metric(MRPC).compute(predictions=[0, 1], references=[0, -1])


def test_the_global_random_state_is_not_changed() -> None:
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    compute_metrics(MRPC, [0, 1], [0, 1])
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        ([0, 1], [0], "task 'mrpc': 2 predictions for 1 references"),
        ([], [], "task 'mrpc': 0 predictions for 0 references"),
        ([0.2, 0.8], [0, 1], "predictions must be label ids, one integer per row, got float64"),
        ([[0.2, 0.8]], [0], r"predictions must be label ids.*shape \(1, 2\); for logits, give argmax"),
        ([0, 1], [0.0, 1.0], "references must be label ids"),
        (
            [0, 1, 1],
            [-1, -1, -1],
            "references must be label ids from 0 to 1, but 3 of 3 are not, such as -1; leave out",
        ),
        ([0, 1, 1], [-100, 1, 0], "references must be label ids from 0 to 1, but 1 of 3 are not, such as -100"),
        ([0, 2], [0, 1], "predictions must be label ids from 0 to 1, but 1 of 2 are not, such as 2"),
        (
            np.uint64([0, 2**64 - 1]),
            [0, 1],
            "predictions must be label ids from 0 to 1, .* such as 18446744073709551615",
        ),
        ([0, 10**30], [0, 1], "predictions must be label ids, .* got object"),
        ([True, False], [0, 1], "predictions must be label ids, .* got bool"),
        ([0, None], [0, 1], "predictions must be label ids, .* got object"),
        ([[0], [0, 1]], [0, 1], "predictions must be a list, an array or a tensor of numbers, one per row"),
        (torch.zeros(2, device="meta"), [0, 1], "predictions must be a list, an array or a tensor of numbers"),
        (7, 7, r"predictions must be label ids.* shape \(\)"),
    ],
)
def test_ids_that_do_not_match_are_an_error(predictions: list, references: list, message: str) -> None:
    with pytest.raises(DataError, match=message):
        compute_metrics(MRPC, predictions, references)


@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        ([0.2, float("nan"), 1.0], [0, 1, 2], "predictions must be finite, but 1 of 3 are not; .*training diverged"),
        ([0.2, 0.3], [0.1, float("inf")], "references must be finite"),
        ([[0.2], [0.8]], [0, 1], r"predictions must be scores, one number per row.*shape \(2, 1\); for logits, give"),
        (["a"], [1.0], "predictions must be scores"),
        ([1 + 2j], [1.0], "predictions must be scores, .* got complex128"),
        (np.longdouble(["1e999"]), [1.0], "predictions must be finite"),
        (torch.tensor([torch.nan], dtype=torch.bfloat16), [1.0], "predictions must be finite, but 1 of 1 are not"),
        ([0.1], [1.0, 2.0], "task 'stsb': 1 predictions for 2 references"),
    ],
)
def test_scores_that_do_not_match_are_an_error(predictions: list, references: list, message: str) -> None:
    with pytest.raises(DataError, match=message):
        compute_metrics(STSB, predictions, references)


# --- another primary metric ---


@pytest.mark.parametrize(
    ("task", "metric", "metrics"),
    [
        (MRPC, None, ("accuracy", "f1")),
        (MRPC, "accuracy", ("accuracy", "f1")),
        (MRPC, "f1", ("f1", "accuracy")),
        (MRPC, "macro_f1", ("macro_f1", "accuracy", "f1")),
        (STSB, "spearman", ("spearman", "pearson")),
        (EVERY, "matthews", ("matthews", "accuracy", "macro_f1")),
    ],
)
def test_a_chosen_metric_comes_before_the_others(task: Task, metric: str | None, metrics: tuple[str, ...]) -> None:
    judged = judged_by(task, metric)
    assert (judged.metrics, judged.primary_metric) == (metrics, metrics[0])
    assert list(compute_metrics(judged, [0, 1], [0, 1])) == list(metrics)


@pytest.mark.parametrize(
    ("task", "metric", "message"),
    [
        (MRPC, "f2", "unknown metric 'f2'; did you mean 'f1'"),
        (MRPC, "pearson", "metric 'pearson' does not fit 'mrpc', which has 2 classes; choose accuracy, f1, macro_f1"),
        (STSB, "matthews", "metric 'matthews' does not fit 'stsb', which has scores; choose pearson, spearman$"),
        (EVERY, "f1", "metric 'f1' does not fit 'every', which has 3 classes; choose accuracy, macro_f1, matthews$"),
    ],
)
def test_a_metric_that_does_not_fit_the_labels_is_refused(task: Task, metric: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        judged_by(task, metric)


# --- a model that has learnt nothing ---


@pytest.mark.parametrize(
    ("task", "answers", "labels", "said"),
    [
        (MRPC, [1, 1, 1], [1, 0, 1], r"the same for all 3 test examples \('equivalent', their commonest label\)"),
        (MRPC, [0, 0, 0], [1, 0, 1], r"the same for all 3 test examples \('not_equivalent'\)"),
        (STSB, [2.5, 2.51, 2.5], [0, 5, 1], r"the same for all 3 test examples \(2.503\)"),
        (MRPC, [1, 1, 0], [1, 0, 1], None),
        (MRPC, [1, 1, 1], [1, 1, 1], None),  # all right
        (STSB, [2.5, 2.6, 2.5], [0, 5, 1], None),
        (STSB, [2.5], [2.5], None),
    ],
)
def test_the_same_answer_to_all_examples_is_noticed(task: Task, answers: list, labels: list, said: str | None) -> None:
    sentence = constant_answer(task, np.array(answers), np.array(labels), "test")
    assert (sentence is None) if said is None else re.search(said, sentence)
