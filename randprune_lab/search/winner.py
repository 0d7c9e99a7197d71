"""The winner of a finished run: reads its mask and weights, and checks them against the record."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from randprune_lab.errors import FileError
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.models.load import load_model
from randprune_lab.search.folder import mask_path, weights_sha256
from randprune_lab.search.units import MODEL, Units
from randprune_lab.tasks.spec import Task


def winning_mask(path: Path, units: Units) -> MaskSet:
    """The mask of the winner.

    Raises:
        FileError: if it cannot be read, or differs from the recorded mask.
    """
    name = units[MODEL]["weights"]
    file = mask_path(path, name)
    mask = MaskSet.load(file)
    _check(f"mask file {file}", mask.sha256, units[name]["mask_sha256"])
    return mask


def winning_weights(path: Path, units: Units, task: Task) -> dict[str, Tensor]:
    """The weights of the winner, as a model that is loaded from its folder has them in its `state_dict`.

    They are read by loading the model, because the file of some architectures has other names, or stores tied weights
    only once.

    Raises:
        FileError: if they cannot be loaded, or differ from the recorded weights.
    """
    folder = path / units[MODEL]["path"]
    model, _ = load_model(str(folder), task=task)
    weights = model.state_dict()
    _check(f"the model in {folder}", weights_sha256(weights), units[units[MODEL]["weights"]]["weights_sha256"])
    return weights


def _check(what: str, sha256: str, recorded: str) -> None:
    if sha256 != recorded:
        raise FileError(f"{what} is not what the run recorded: its SHA-256 is {sha256}, expected {recorded}")
