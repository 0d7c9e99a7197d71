"""The folder of a run: its configuration, its results so far, and the weights and masks that it needs to continue.

    config.json         the configuration           journal.jsonl      one line for each finished unit of work
    environment.json    versions and machine        checkpoints/       weights after each training
    masks/              the chosen masks            predictions/       logits and labels, no text
    model/              the final model, as `save_pretrained` writes it

A unit of work first writes its files, each atomically, and then its line in the journal. So every file that the journal
names is complete.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor
from typing_extensions import TypedDict

from randprune_lab.errors import FileError, RunError
from randprune_lab.files import atomic_path, give_usual_modes, own_file, reading, strict_json, write_json
from randprune_lab.plugins import loaded_plugins, plugins_of
from randprune_lab.sealed import check_arrays, read_arrays, unsealed, write_arrays, write_sealed
from randprune_lab.search.config import DENSE_SETTINGS, SCORE_SETTINGS, RunConfig
from randprune_lab.search.journal import JOURNAL, Journal, read_journal
from randprune_lab.search.units import DATA, DENSE
from randprune_lab.typed import partial_of, typed

log = logging.getLogger("randprune_lab")

CONFIG, ENVIRONMENT = "config.json", "environment.json"
KIND = RunConfig.kind
KINDS = {KIND: "a run", "randprune mask search": "a search with training functions of your own (rp.MaskSearch)"}
"""The markers of folders in their `config.json`, and what such a folder has."""
FORMAT = 3
"""The format number of a run folder."""
AS_BEFORE = {
    "mask_gradients": False,
    "vocabulary": "whole",
    "compute": "dense",
    "train_rows": "first",
    "checkpoint": "metric",
}
"""How runs trained before there were these settings, which their configurations lack."""
PREDICTIONS = "randprune predictions file"
FOLDERS = {
    "checkpoints": ["*.safetensors"],
    "masks": ["*.safetensors"],
    "predictions": ["*.safetensors"],
    "model": ["*.safetensors", "*.json", "vocab.txt", "merges.txt", "*.model", "*.jinja", "mean_pooled_bert.py"],
}
"""The folders of a run folder, and the files that a run writes there."""


class _Plugin(TypedDict):
    file: str
    sha256: str


class Environment(TypedDict):
    """Versions and machine: what the last bits of a run depend on, besides its configuration."""

    python: str
    machine: str
    packages: dict[str, str]


class Settings(Protocol):
    """The settings that a folder records."""

    @property
    def kind(self) -> str:
        """The marker of such a folder."""

    @property
    def classes(self) -> tuple[type[Any], ...]:
        """The classes that plugins may have defined."""

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain JSON."""


def read_config(path: Path) -> RunConfig:
    """The configuration of the run in a folder.

    Raises:
        RunError: if the folder holds no run, or the run used a plugin that is not loaded.
        FileError: if the configuration is damaged, or of another format.
    """
    with _reading_config(path):
        values = AS_BEFORE | _read_settings(path, KIND)
        return RunConfig.from_dict(typed(partial_of(RunConfig, strict=True), values, strict=True))


def _recorded(path: Path, config: Settings) -> dict[str, Any]:
    """The settings in a folder of the kind of these settings."""
    if config.kind == KIND:
        return read_config(path).to_dict()
    with _reading_config(path):
        return _read_settings(path, config.kind)


@contextmanager
def _reading_config(path: Path) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise FileError(f"{path / CONFIG} is damaged: {error}") from error


def _read_settings(path: Path, kind: str) -> dict[str, Any]:
    """The settings in a folder of a kind, as they were written."""
    remedy = "start the run again in another folder, or use the version that wrote it"
    values = unsealed(path / CONFIG, _sealed_config(path, kind), FORMAT, remedy)
    del values["kind"]
    _check_plugins(path, typed(list[_Plugin], values.pop("plugins", None), "plugins", strict=True))
    return values


def _sealed_config(path: Path, kind: str) -> dict[str, Any]:
    """The content of a run's `config.json`; the marker in it tells it from those of models and other programs."""
    file = own_file(path, CONFIG)
    try:
        values = strict_json(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        start = f"start one with `randprune run --out {path}`"
        raise RunError(f"{path} holds no run: it has no {CONFIG}; {start}") from None
    except OSError as error:
        raise FileError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise FileError(f"{file} is damaged: {error}; choose another folder") from error
    found = values.get("kind") if isinstance(values, dict) else None
    if isinstance(found, str) and found != kind and found in KINDS:
        raise RunError(f"{path} has {KINDS[found]}, not {KINDS[kind]}; choose another folder")
    if found != kind:
        raise RunError(f"{path} is not a run folder: its {CONFIG} is not that of a run; choose another folder")
    return values


def check_usable(path: Path, *, resume: bool, overwrite: bool, kind: str = KIND) -> bool:
    """Whether a run folder already exists.

    Raises:
        RunError: if the folder exists and neither `resume` nor `overwrite` is given, both are given, or it is not a run
            folder.
        FileError: if its configuration is damaged.
    """
    if resume and overwrite:
        raise RunError("resume and overwrite exclude each other; resume the run, or overwrite it")
    # An empty journal and hidden files do not count: another process makes them before its config.json.
    used = path.exists() and (not path.is_dir() or any(map(_counts, path.iterdir())))
    if used and not (resume or overwrite):
        raise RunError(f"{path} exists already; go on with --resume, replace it with --overwrite, or choose another")
    if used and not (path / CONFIG).is_file():
        raise RunError(f"{path} is not a run folder: it has no {CONFIG}; choose another folder")
    if used:
        _sealed_config(path, kind)
    return used


def _counts(entry: Path) -> bool:
    return not entry.name.startswith(".") and not (entry.name == JOURNAL and entry.stat().st_size == 0)


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
                _check_same(_recorded(path, config), config.to_dict(), path)
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
        return self.file(f"checkpoints/{name}.safetensors")

    def scores(self, name: str) -> Path:
        """The file of the scores that the training of `name` summed up."""
        return self.file(f"checkpoints/{name}-scores.safetensors")

    def mask_path(self, name: str) -> Path:
        """The file of the mask that `name` was trained with."""
        return self.file(f"masks/{name}.safetensors")

    def save_predictions(self, name: str, logits: np.ndarray, labels: np.ndarray) -> None:
        """Write a model's logits for the examples of a split, and the true labels."""
        self.save_arrays(name, {"logits": logits, "labels": labels})

    def save_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Write arrays with a value for each example of a split."""
        write_arrays(self.file(f"predictions/{name}.safetensors"), PREDICTIONS, FORMAT, arrays, {})

    def save_model(self, model: Any, tokenizer: Any) -> None:
        """Write a model and its tokenizer with `save_pretrained` to `model/`. Files of an earlier one are replaced."""
        place = self.file("model/config.json").parent
        place.mkdir(exist_ok=True)
        with TemporaryDirectory(dir=self.path, prefix=".model.", suffix=f".{os.getpid()}.tmp") as written:
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
        self._journal.check_held()
        return own_file(self.path, name)


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
    units = read_journal(source)
    if DENSE not in units:
        raise RunError(f"{source} has no dense model yet; finish that run first, with --resume")
    if DENSE in folder.units:
        return
    if not own_file(source, f"checkpoints/{DENSE}.safetensors").is_file():
        raise RunError(f"the file of the dense model of {source} is missing; delete that folder, so that it runs again")
    with atomic_path(folder.checkpoint(DENSE)) as temporary:
        shutil.copyfile(own_file(source, f"checkpoints/{DENSE}.safetensors"), temporary)
    dense = {name: value for name, value in units[DENSE].items() if name != "scores_sha256"}
    if dense != units[DENSE] and all(getattr(other, name) == getattr(config, name) for name in SCORE_SETTINGS):
        dense = units[DENSE]
        with atomic_path(folder.scores(DENSE)) as temporary:
            shutil.copyfile(own_file(source, f"checkpoints/{DENSE}-scores.safetensors"), temporary)
    folder.unit(DATA, lambda: units[DATA])
    folder.add(DENSE, dense)


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


def mask_path(path: Path, name: str) -> Path:
    """The file of the mask that `name` was trained with, in the run folder `path`."""
    return own_file(path, f"masks/{name}.safetensors")


def predictions_path(path: Path, name: str) -> Path:
    """The file of the arrays that a run recorded under `name`, in the run folder `path`."""
    return own_file(path, f"predictions/{name}.safetensors")


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


def environment() -> Environment:
    """The versions that this process uses, and its machine."""

    def installed(package: str) -> str:
        try:
            return version(package)
        except PackageNotFoundError:
            return "not installed"

    packages = (
        "randprune-lab",
        "torch",
        "transformers",
        "accelerate",
        "datasets",
        "evaluate",
        "numpy",
        "scipy",
    )
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "packages": {package: installed(package) for package in packages},
    }


def read_environment(path: Path) -> Environment | None:
    """Versions and machine that the run in a folder was begun with; None if it was stopped before they were written.

    Raises:
        FileError: if the file is damaged.
    """
    file = own_file(path, ENVIRONMENT)
    if not file.exists():
        return None
    with reading("environment", file):
        return typed(Environment, strict_json(file.read_bytes()), strict=True)


def _check_plugins(path: Path, recorded: list[_Plugin]) -> None:
    """Raise `RunError` unless all plugins of a run are loaded and unchanged."""
    loaded = {plugin.path.name: plugin.sha256 for plugin in loaded_plugins()}
    for plugin in recorded:
        name, sha256 = plugin["file"], plugin["sha256"]
        if name not in loaded:
            raise RunError(f"{path} used the plugin {name} (SHA-256 {sha256[:12]}); give it with --plugin {name}")
        if loaded[name] != sha256:
            raise RunError(
                f"{path} used the plugin {name} with SHA-256 {sha256[:12]}, but the given one has {loaded[name][:12]}; "
                "give the file as it was, or choose another folder"
            )


def _check_same(old: dict[str, Any], new: dict[str, Any], path: Path) -> None:
    for name in new:
        if old.get(name) != new[name]:
            raise RunError(
                f"cannot resume {path}: {name} was {old.get(name)!r} and is now {new[name]!r}; "
                f"resume with the old value, or choose another folder"
            )


def _empty(path: Path) -> None:
    """Delete what a run wrote. Files that it does not write stay, and so do the folders that have such files."""
    for name in (CONFIG, ENVIRONMENT):
        (path / name).unlink(missing_ok=True)
    for name in FOLDERS:
        for entry in _entries(path / name):
            entry.unlink()
        with suppress(OSError):  # it is missing, or not empty
            (path / name).rmdir()


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


def weights_sha256(weights: Mapping[str, Tensor]) -> str:
    """The fingerprint of a model's weights: their names, types, shapes and bits."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
