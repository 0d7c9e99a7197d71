"""The folder of a run: its configuration, its results so far, and the weights and masks that it needs to continue.

    config.json         the configuration           journal.jsonl      one line for each finished unit of work
    environment.json    versions and machine        checkpoints/       weights after each training
    masks/              the chosen masks            predictions/       logits and labels, no text
    model/              the final model, as `save_pretrained` writes it

A unit of work first writes its files, each atomically, and then its line in the journal. So every file that the journal
names is complete.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from randprune_lab.errors import FileError, LockedError, RunError
from randprune_lab.files import atomic_path, write_json
from randprune_lab.plugins import loaded_plugins, plugins_of
from randprune_lab.search.config import DENSE_SETTINGS, RunConfig
from randprune_lab.search.units import DATA, DENSE, Units

LOCK = ".lock"
FORMAT = 2
"""The format number of a run folder."""


def read_config(path: Path) -> RunConfig:
    """The configuration of the run in a folder.

    Raises:
        RunError: if the folder has no configuration, its format is another one, or the run used a plugin that is not
            loaded.
        FileError: if the configuration is damaged.
    """
    try:
        values = json.loads((path / "config.json").read_text("utf-8"))
        version, plugins = values.pop("format", 1), values.pop("plugins", [])
        if version != FORMAT:
            raise RunError(
                f"{path} has format {version}, and this version of randprune_lab reads format {FORMAT}; start the run "
                "again in another folder, or use the version that wrote it"
            )
        _check_plugins(path, plugins)
        return RunConfig.from_dict(values)
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(
            f"{path} holds no run: it has no config.json; start one with `randprune run --out {path}`"
        ) from None
    except (ValueError, TypeError, AttributeError) as error:
        raise FileError(f"{path / 'config.json'} is damaged: {error}") from error


def read_journal(path: Path) -> Units:
    """The results of the finished units by name.

    An incomplete last line, which a killed process may leave, is ignored.

    Raises:
        FileError: if another line is damaged.
    """
    try:
        lines = (path / "journal.jsonl").read_text("utf-8").split("\n")
    except FileNotFoundError:
        return {}
    units: Units = {}
    for number, line in enumerate(lines[:-1], start=1):  # the text after the last line break is incomplete
        try:
            entry = json.loads(line)
            units[entry["unit"]] = entry["result"]
        except (ValueError, KeyError, TypeError) as error:
            raise FileError(f"{path / 'journal.jsonl'}, line {number}, is damaged: {error}") from error
    return units


def check_usable(path: Path, *, resume: bool, overwrite: bool) -> bool:
    """Whether a run folder already exists.

    Raises:
        RunError: if the folder exists and neither `resume` nor `overwrite` is given, both are given, or it is not a run
            folder.
    """
    if resume and overwrite:
        raise RunError("resume and overwrite exclude each other; resume the run, or overwrite it")
    # Hidden files do not count: another process writes a lock and temporary files before its config.json.
    used = path.exists() and (not path.is_dir() or any(not entry.name.startswith(".") for entry in path.iterdir()))
    if used and not (resume or overwrite):
        raise RunError(f"{path} exists already; go on with --resume, replace it with --overwrite, or choose another")
    if used and not (path / "config.json").is_file():
        raise RunError(f"{path} is not a run folder: it has no config.json; choose another folder")
    return used


def in_use(path: Path) -> bool:
    """Whether a process is working in a run folder."""
    try:
        with (path / LOCK).open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


class RunFolder:
    """An open run folder: each unit of work is done once, and its result is recorded."""

    def __init__(self, path: Path, units: Units, lock: IO[str]):
        self.path = path
        self.units = units
        self._lock = lock

    @classmethod
    def open(cls, path: str | Path, config: RunConfig, *, resume: bool = False, overwrite: bool = False) -> RunFolder:
        """Create a run folder, or open one to continue its run.

        Raises:
            RunError: if the folder exists and neither `resume` nor `overwrite` is given, if it is not a run folder, or
                if its run has another configuration.
            LockedError: if another process is working in it.
            FileError: if it cannot be written.
        """
        path = Path(path)
        used = check_usable(path, resume=resume, overwrite=overwrite)
        try:
            path.mkdir(parents=True, exist_ok=True)
            lock = (path / LOCK).open("w")
        except OSError as error:
            raise FileError(f"cannot write the run folder {path}: {error.strerror}; choose another --out") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise LockedError(f"another process is working in {path}; wait for it, or choose another folder") from None
        if used and overwrite:
            _empty(path)
        elif used:
            _check_same(read_config(path), config, path)
        plugins = [plugin.to_dict() for plugin in plugins_of(*config.classes)]
        write_json(path / "config.json", {"format": FORMAT, "plugins": plugins, **config.to_dict()})
        write_json(path / "environment.json", environment())
        units = read_journal(path)
        _cut_torn_line(path / "journal.jsonl")
        return cls(path, units, lock)

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.close()

    def unit(self, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The result of a unit of work. If the journal does not have it, the work is done and recorded."""
        if name not in self.units:
            self.add(name, work())
        return self.units[name]

    def add(self, name: str, result: dict[str, Any]) -> None:
        """Append the result of a unit of work to the journal. The files of the unit must be written before.

        Raises:
            FileError: if the journal cannot be written.
        """
        line = json.dumps({"unit": name, "result": result}) + "\n"
        file = self.path / "journal.jsonl"
        try:
            with file.open("a", encoding="utf-8") as journal:
                journal.write(line)
                journal.flush()
                os.fsync(journal.fileno())
        except OSError as error:
            raise FileError(
                f"cannot write {file}: {error.strerror}; free some disk space, then go on with --resume"
            ) from error
        self.units[name] = result

    def forget(self, name: str) -> None:
        """Forget a unit, so that it is recomputed, with the same result."""
        self.units.pop(name, None)

    def save_weights(self, name: str, weights: Mapping[str, Tensor]) -> None:
        """Write a checkpoint. A tensor with several names is stored once for each name."""
        from safetensors.torch import save_file

        tensors = {key: tensor.detach().cpu().clone().contiguous() for key, tensor in weights.items()}
        with atomic_path(self.checkpoint(name)) as temporary:
            save_file(tensors, temporary)

    def load_weights(self, name: str) -> dict[str, Tensor]:
        """Read a checkpoint.

        Raises:
            FileError: if the file is missing or damaged, or has other weights than were recorded.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = self.checkpoint(name)
        try:
            weights = load_file(path)
        except (OSError, SafetensorError) as error:
            raise FileError(f"checkpoint {path} is missing or damaged ({error})") from error
        if weights_sha256(weights) != self.units[name]["weights_sha256"]:
            raise FileError(f"checkpoint {path} is damaged: its weights differ from the recorded ones")
        return weights

    def checkpoint(self, name: str) -> Path:
        """The file of the weights that were trained under `name`."""
        return self.path / "checkpoints" / f"{name}.safetensors"

    def mask_path(self, name: str) -> Path:
        """The file of the mask that `name` was trained with."""
        return mask_path(self.path, name)

    def save_predictions(self, name: str, logits: np.ndarray, labels: np.ndarray) -> None:
        """Write a model's logits for the examples of a split, and the true labels."""
        self.save_arrays(name, {"logits": logits, "labels": labels})

    def save_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Write arrays with a value for each example of a split."""
        from safetensors.numpy import save_file

        with atomic_path(self.path / "predictions" / f"{name}.safetensors") as temporary:
            save_file(dict(arrays), temporary)


def take_dense(folder: RunFolder, config: RunConfig, source: Path) -> None:
    """Copy the dense model of another run. Does nothing if this run has a dense model already.

    Args:
        folder: the folder of this run.
        config: the configuration of this run.
        source: the folder of the other run.

    Raises:
        RunError: if the other run has other settings for its dense model, or has not trained it yet.
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
    with atomic_path(folder.checkpoint(DENSE)) as temporary:
        shutil.copyfile(source / "checkpoints" / "dense.safetensors", temporary)
    folder.unit(DATA, lambda: units[DATA])
    folder.add(DENSE, units[DENSE])


def mask_path(path: Path, name: str) -> Path:
    """The file of the mask that `name` was trained with, in the run folder `path`."""
    return path / "masks" / f"{name}.safetensors"


def load_predictions(path: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The logits and labels that a run recorded under `name`.

    Raises:
        FileError: if they are missing or damaged.
    """
    arrays = load_arrays(path, name)
    return arrays["logits"], arrays["labels"]


def load_arrays(path: Path, name: str) -> dict[str, np.ndarray]:
    """The arrays that a run recorded under `name`.

    Raises:
        FileError: if they are missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    file = path / "predictions" / f"{name}.safetensors"
    try:
        return load_file(file)
    except (FileNotFoundError, SafetensorError) as error:
        raise FileError(f"predictions {file} are missing or damaged ({error})") from error


def environment() -> dict[str, Any]:
    """Versions and machine: what the numbers of a run may depend on, besides its configuration."""

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


def _check_plugins(path: Path, recorded: list[dict[str, str]]) -> None:
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


def _check_same(recorded: RunConfig, asked: RunConfig, path: Path) -> None:
    old, new = recorded.to_dict(), asked.to_dict()
    for name in old:
        if old[name] != new[name]:
            raise RunError(
                f"cannot resume {path}: {name} was {old[name]!r} and is now {new[name]!r}; "
                f"resume with the old value, or choose another folder"
            )


def _empty(path: Path) -> None:
    for entry in path.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != LOCK:
            entry.unlink()


def _cut_torn_line(journal: Path) -> None:
    if journal.exists():
        content = journal.read_bytes()
        end = content.rfind(b"\n") + 1
        if end < len(content):
            os.truncate(journal, end)


def weights_sha256(weights: Mapping[str, Tensor]) -> str:
    """The fingerprint of a model's weights: their names, types, shapes and bits."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
