"""The winner of a finished run: reads its mask and weights, and checks them against the record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from randprune_lab.errors import FileError
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.models.load import load_model
from randprune_lab.search.run_files import mask_path, weights_sha256
from randprune_lab.search.units import MODEL, Units
from randprune_lab.tasks.spec import Task

if TYPE_CHECKING:
    import transformers

MODEL_FOLDER = "model"
"""The folder of the final model in a run folder, whatever the journal says."""


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


def winning_model(
    path: Path, units: Units, task: Task
) -> tuple[transformers.PreTrainedModel, transformers.PreTrainedTokenizerBase]:
    """The model of the winner and its tokenizer, from the folder of the model.

    Raises:
        FileError: if they cannot be loaded, or the weights differ from the recorded ones.
    """
    folder = path / MODEL_FOLDER
    model, tokenizer = load_model(str(folder), task=task)
    # These are the weights of the loaded model, because the file of some architectures has other names, or stores tied
    # weights only once.
    sha256 = weights_sha256(model.state_dict())
    _check(f"the model in {folder}", sha256, units[units[MODEL]["weights"]]["weights_sha256"])
    return model, tokenizer


def _check(what: str, sha256: str, recorded: str) -> None:
    if sha256 != recorded:
        raise FileError(f"{what} is not what the run recorded: its SHA-256 is {sha256}, expected {recorded}")
