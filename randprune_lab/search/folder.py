"""The folder of a run: its configuration, its results so far, and the weights and masks that it needs to continue.

    config.json         the configuration           journal.jsonl      one line for each finished unit of work
    environment.json    versions and machine        checkpoints/       weights after each training
    masks/              the chosen masks            predictions/       logits and labels, no text
    model/              the final model, as `save_pretrained` writes it

A unit of work first writes its files, each atomically, and then its line in the journal. So every file that the journal
names is complete.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from torch import Tensor

from randprune_lab.errors import FileError, RunError
from randprune_lab.files import atomic_path, give_usual_modes, own_file, write_json, writing
from randprune_lab.plugins import plugins_of
from randprune_lab.sealed import write_arrays, write_sealed
from randprune_lab.search.config import DENSE_SETTINGS, SCORE_SETTINGS, RunConfig
from randprune_lab.search.environment import ENVIRONMENT, environment, read_environment
from randprune_lab.search.journal import JOURNAL, Journal, read_journal
from randprune_lab.search.recorded_config import CONFIG, FORMAT, Settings, check_same, check_usable, read_config
from randprune_lab.search.run_files import (
    PREDICTIONS,
    checkpoint_path,
    load_tensors,
    mask_path,
    predictions_path,
    scores_path,
)
from randprune_lab.search.units import DATA, DENSE, Units

log = logging.getLogger("randprune_lab")

FOLDERS = {
    "checkpoints": ["*.safetensors"],
    "masks": ["*.safetensors"],
    "predictions": ["*.safetensors"],
    "model": ["*.safetensors", "*.json", "vocab.txt", "merges.txt", "*.model", "*.jinja", "mean_pooled_bert.py"],
}
"""The folders of a run folder, and the files that a run writes there."""


class RunFolder:
    """An open run folder: each unit of work is done once, and its result is recorded."""

    def __init__(self, path: Path, journal: Journal):
        self.path = path
        self.units = journal.units()
        self._journal = journal

    @classmethod
    def open(cls, path: str | Path, config: Settings, *, resume: bool = False, overwrite: bool = False) -> RunFolder:
        """Create a run folder, or open one to continue its run.

        Raises:
            RunError: if the folder exists and neither `resume` nor `overwrite` is given, if it is not a run folder, if
                its run has another configuration, or if its journal is lost.
            LockedError: if another process is working in it.
            FileError: if it cannot be written, or a file of it is damaged or a link.
        """
        path = Path(path)
        if ".." in path.parts:
            path = path.resolve()  # mkdir would make a missing folder before it
        used = check_usable(path, resume=resume, overwrite=overwrite, kind=config.kind)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"cannot write the run folder {path}: {error.strerror}; choose another --out") from error
        journal = Journal(path)
        try:
            if used and overwrite:
                journal.clear()
                _empty(path)
            elif used:
                check_same(path, config)
            folder = cls(path, journal)
            folder._begin(config)
        except BaseException:
            journal.close()
            raise
        return folder

    def _begin(self, config: Settings) -> None:
        if not self.units and any(map(_entries, (self.path / name for name in FOLDERS))):
            raise RunError(
                f"cannot resume {self.path}: {JOURNAL} is lost or empty, but results of its run are there; put the "
                "journal back, or begin again with --overwrite"
            )
        for name in (".", *FOLDERS):
            _remove_temporary(self.path / name)
        plugins = [plugin.to_dict() for plugin in plugins_of(*config.classes)]
        write_sealed(self.file(CONFIG), FORMAT, {"kind": config.kind, "plugins": plugins, **config.to_dict()})
        begun, here = read_environment(self.path), environment()
        if begun is None:
            write_json(self.file(ENVIRONMENT), here)
            return
        before, now = (each["packages"] | {"python": each["python"]} for each in (begun, here))
        if changed := [f"{name} {before.get(name)} (now {now[name]})" for name in now if before.get(name) != now[name]]:
            log.warning("%s was begun with %s: last bits may differ", self.path, ", ".join(changed))

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *error: object) -> None:
        self._journal.close()

    def unit(self, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The result of a unit of work. If the journal does not have it, the work is done and recorded."""
        if name not in self.units:
            self.add(name, work())
        return self.units[name]

    def add(self, name: str, result: dict[str, Any]) -> None:
        """Append the result of a unit of work to the journal. The files of the unit must be written before.

        Raises:
            FileError: if the journal cannot be written.
            RunError: if the journal was deleted meanwhile.
        """
        self._journal.add(name, result)
        self.units[name] = result

    def forget(self, name: str) -> None:
        """Forget a unit, so that it is recomputed, with the same result."""
        self.units.pop(name, None)

    def save_weights(self, name: str, weights: Mapping[str, Tensor]) -> None:
        """Write a checkpoint. A tensor with several names is stored once for each name."""
        self._save(self.checkpoint(name), weights)

    def save_scores(self, name: str, scores: Mapping[str, Tensor]) -> None:
        """Write the importance scores that the training of `name` summed up."""
        self._save(self.scores(name), scores)

    def load_weights(self, name: str) -> dict[str, Tensor]:
        """Read a checkpoint.

        Raises:
            FileError: if the file is missing or damaged, or has other weights than were recorded.
            RunError: if this user may not read it; so it is not taken for a damaged one and made again.
        """
        return load_tensors(self.checkpoint(name), self.units[name]["weights_sha256"])

    def load_scores(self, name: str) -> dict[str, Tensor]:
        """Read the scores that the training of `name` summed up; raises as `load_weights` does, also without any."""
        if "scores_sha256" not in self.units[name]:
            raise FileError(f"the training of {name} summed up no scores")
        return load_tensors(self.scores(name), self.units[name]["scores_sha256"])

    @staticmethod
    def _save(path: Path, weights: Mapping[str, Tensor]) -> None:
        from safetensors.torch import save_file

        tensors = {key: tensor.detach().cpu().clone().contiguous() for key, tensor in weights.items()}
        with atomic_path(path) as temporary:
            save_file(tensors, temporary)

    def checkpoint(self, name: str) -> Path:
        """The file of the weights that were trained under `name`."""
        return checkpoint_path(self._held(), name)

    def scores(self, name: str) -> Path:
        """The file of the scores that the training of `name` summed up."""
        return scores_path(self._held(), name)

    def mask_path(self, name: str) -> Path:
        """The file of the mask that `name` was trained with."""
        return mask_path(self._held(), name)

    def save_predictions(self, name: str, logits: np.ndarray, labels: np.ndarray) -> None:
        """Write a model's logits for the examples of a split, and the true labels."""
        self.save_arrays(name, {"logits": logits, "labels": labels})

    def save_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Write arrays with a value for each example of a split."""
        write_arrays(predictions_path(self._held(), name), PREDICTIONS, FORMAT, arrays, {})

    def save_model(self, model: Any, tokenizer: Any) -> None:
        """Write a model and its tokenizer with `save_pretrained` to `model/`. Files of an earlier one are replaced.

        Raises:
            FileError: if they cannot be written.
        """
        place = self.file("model/config.json").parent
        ending = f".{os.getpid()}.tmp"
        with writing(place), TemporaryDirectory(dir=self.path, prefix=".model.", suffix=ending) as written:
            place.mkdir(exist_ok=True)
            model.save_pretrained(written)
            tokenizer.save_pretrained(written)
            give_usual_modes(Path(written))
            for file in sorted(Path(written).iterdir()):
                file.replace(place / file.name)

    def file(self, name: str) -> Path:
        """The path of a file of this folder, to be read or written.

        Raises:
            FileError: if it is no file of this folder, see `own_file`.
            RunError: if the journal was deleted meanwhile, so that the folder may be another process's by now.
        """
        return own_file(self._held(), name)

    def _held(self) -> Path:
        """The path of this folder, whose journal must still be there."""
        self._journal.check_held()
        return self.path


def take_dense(folder: RunFolder, config: RunConfig, source: Path) -> None:
    """Copy the dense model of another run. Does nothing if this run has a dense model already.

    Args:
        folder: the folder of this run.
        config: the configuration of this run.
        source: the folder of the other run.

    Raises:
        RunError: if the other run has other settings for its dense model, has not trained it yet, or lost its file.
    """
    other = read_config(source)
    for name in DENSE_SETTINGS:
        old, new = getattr(other, name), getattr(config, name)
        if old != new:
            raise RunError(
                f"cannot use the dense model of {source}: its {name} is {old!r}, here it is {new!r}; "
                f"give both runs the same {name}"
            )
    units = units_with_dense(source)
    if DENSE in folder.units:
        return
    if not checkpoint_path(source, DENSE).is_file():
        raise RunError(f"the file of the dense model of {source} is missing; delete that folder, so that it runs again")
    with atomic_path(folder.checkpoint(DENSE)) as temporary:
        shutil.copyfile(checkpoint_path(source, DENSE), temporary)
    dense = {name: value for name, value in units[DENSE].items() if name != "scores_sha256"}
    if dense != units[DENSE] and all(getattr(other, name) == getattr(config, name) for name in SCORE_SETTINGS):
        dense = units[DENSE]
        with atomic_path(folder.scores(DENSE)) as temporary:
            shutil.copyfile(scores_path(source, DENSE), temporary)
    folder.unit(DATA, lambda: units[DATA])
    folder.add(DENSE, dense)


def units_with_dense(path: Path) -> Units:
    """The units of the run in a folder; raises `RunError` if it has not trained its dense model yet."""
    if DENSE not in (units := read_journal(path)):
        raise RunError(f"{path} has no dense model yet; finish that run first, with --resume")
    return units


def _empty(path: Path) -> None:
    """Delete what a run wrote. Files that it does not write stay, and so do the folders that have such files."""
    for name in FOLDERS:
        for entry in _entries(path / name):
            entry.unlink()
        with suppress(OSError):  # it is missing, or not empty
            (path / name).rmdir()
    for name in (ENVIRONMENT, CONFIG):  # the marker last, so that the rest is known as a run's if this is stopped
        (path / name).unlink(missing_ok=True)


def _remove_temporary(folder: Path) -> None:
    """Remove what a killed process left half written; no other process is working in the run folder."""
    for entry in folder.glob(".*.tmp"):
        if not re.fullmatch(r"\..+\.\d+(@.+)?\.tmp", entry.name):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _entries(folder: Path) -> list[Path]:
    """The files that a run wrote to one of its folders."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    return [entry for pattern in FOLDERS[folder.name] for entry in folder.glob(pattern) if entry.is_file()]
