"""The winner of a finished run, read back and held against what the run recorded of it."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from randprune_lab.errors import FileError
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.models import load_model
from randprune_lab.search.folder import Units, weights_sha256
from randprune_lab.tasks.spec import Task


def winning_mask(path: Path, units: Units) -> MaskSet:
    """The mask of the winner. Raises `FileError` if it cannot be read or is another one than was recorded."""
    name = units["model"]["weights"]
    file = path / "masks" / f"{name}.safetensors"
    mask = MaskSet.load(file)
    _check(f"mask file {file}", mask.sha256, units[name]["mask_sha256"])
    return mask


def winning_weights(path: Path, units: Units, task: Task) -> dict[str, Tensor]:
    """The weights that whoever loads the folder of the winner gets, by the names of a `state_dict`.

    They are loaded as a model: on disk some architectures have other names, or tied weights once only.

    Raises `FileError` if they cannot be loaded, or are others than were recorded.
    """
    folder = path / units["model"]["path"]
    model, _ = load_model(str(folder), task=task)
    weights = model.state_dict()
    _check(f"the model in {folder}", weights_sha256(weights), units[units["model"]["weights"]]["weights_sha256"])
    return weights


def _check(what: str, found: str, recorded: str) -> None:
    if found != recorded:
        raise FileError(f"{what} is not what the run recorded: its SHA-256 is {found}, expected {recorded}")
