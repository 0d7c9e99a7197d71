"""The files of weights, masks and predictions in the folder of a run: where they are, and what is in them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor

from randprune_lab.errors import FileError, RunError
from randprune_lab.files import own_file, reading
from randprune_lab.sealed import check_arrays, read_arrays
from randprune_lab.search.recorded_config import FORMAT

PREDICTIONS = "randprune predictions file"


def checkpoint_path(path: Path, name: str) -> Path:
    """The file of the weights that were trained under `name`, in the run folder `path`."""
    return own_file(path, f"checkpoints/{name}.safetensors")


def scores_path(path: Path, name: str) -> Path:
    """The file of the scores that the training of `name` summed up, in the run folder `path`."""
    return own_file(path, f"checkpoints/{name}-scores.safetensors")


def mask_path(path: Path, name: str) -> Path:
    """The file of the mask that `name` was trained with, in the run folder `path`."""
    return own_file(path, f"masks/{name}.safetensors")


def predictions_path(path: Path, name: str) -> Path:
    """The file of the arrays that a run recorded under `name`, in the run folder `path`."""
    return own_file(path, f"predictions/{name}.safetensors")


def load_tensors(path: Path, sha256: str) -> dict[str, Tensor]:
    """Read a checkpoint; raises as `RunFolder.load_weights` does.

    Args:
        path: its file.
        sha256: that of the recorded weights.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if path.exists() and not os.access(path, os.R_OK):
        raise RunError(f"cannot read checkpoint {path}: permission denied; ask its owner for the right to read it")
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise FileError(f"checkpoint {path} is missing or damaged ({error})") from error
    if weights_sha256(weights) != sha256:
        raise FileError(f"checkpoint {path} is damaged: its weights differ from the recorded ones")
    return weights


def load_predictions(path: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The logits and labels that a run recorded under `name`.

    Raises:
        FileError: if they are missing or damaged, or not of the same examples, at least one.
    """
    arrays = _load(path, name, _PREDICTED)
    return arrays["logits"], arrays["labels"]


def load_evaluations(path: Path, name: str, *, labelled: bool = True) -> dict[str, np.ndarray]:
    """The arrays of the early evaluation that was recorded under `name`.

    Args:
        labelled: whether logits and labels were recorded too, as in a run.

    Returns:
        `logits` (n, labels), `labels` (n) and `examples` (evaluations, n); without labels, only the last one, where n
        is 0 if examples have no scores of their own.

    Raises:
        FileError: if they are missing or damaged, or not of the same examples, at least one.
    """
    return _load(path, name, _EVALUATED if labelled else _SCORED)


_PREDICTED = {
    "logits": Float32[np.ndarray, "n labels"],
    "labels": Int64[np.ndarray, " n"] | Float32[np.ndarray, " n"],
}
_SCORED = {"examples": Float64[np.ndarray, "evaluations n"]}
_EVALUATED = {**_PREDICTED, **_SCORED}


def _load(path: Path, name: str, types: Mapping[str, Any]) -> dict[str, np.ndarray]:
    file = predictions_path(path, name)
    arrays, _ = read_arrays(file, PREDICTIONS, FORMAT, "start the run again in another folder")
    with reading(PREDICTIONS.removeprefix("randprune "), file):
        check_arrays(arrays, types)
        if "labels" in types and not len(arrays["labels"]):
            raise ValueError("it has no examples")
    return arrays


def weights_sha256(weights: Mapping[str, Tensor]) -> str:
    """The fingerprint of a model's weights: their names, types, shapes and bits."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
