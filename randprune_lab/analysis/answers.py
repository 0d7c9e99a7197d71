"""The recorded answers of a run's trained models to the test examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float32

from randprune_lab.errors import FileError
from randprune_lab.search.run_files import load_predictions, predictions_path
from randprune_lab.search.units import DENSE, file_name, score_unit
from randprune_lab.tasks.spec import Task
from randprune_lab.training.scoring import Labels, answers


def read_answers(path: Path, task: Task, name: str, test_set: str = "") -> tuple[Labels, Labels]:
    """The answers of the training `name` to the examples of a test set, and the true labels; see `read_logits`."""
    logits, labels = read_logits(path, task, name, test_set)
    return answers(task, logits), labels


def read_logits(
    path: Path, task: Task, name: str, test_set: str = ""
) -> tuple[Float32[np.ndarray, "n labels"], Labels]:
    """The logits of the training `name` for the examples of a test set, and the true labels.

    Args:
        path: the run folder.
        task: the task of the run.
        name: the name of the training.
        test_set: the name of the test set.

    Raises:
        FileError: if the predictions are missing or damaged, are not logits of the task, or have other labels than
            those of the dense model.
    """
    file, dense = (file_name(score_unit(each), test_set) for each in (name, DENSE))
    logits, labels = load_predictions(path, file)
    place = predictions_path(path, file)
    fits = np.isfinite(labels) if task.regression else (labels >= 0) & (labels < task.num_labels)
    if (labels.dtype.kind == "f") != task.regression or not fits.all():
        raise FileError(f"{place} has labels that task {task.name!r} does not have; start the run again")
    if logits.shape[1] != task.num_labels or not np.isfinite(logits).all():
        raise FileError(
            f"{place} must have {task.num_labels} finite logits for each example, the labels of task {task.name!r}; "
            "start the run again"
        )
    if name != DENSE and not np.array_equal(labels, load_predictions(path, dense)[1]):
        raise FileError(f"{place} has other labels than {predictions_path(path, dense)}; start the run again")
    return logits, labels
