"""The configuration in the folder of a run: reads it, and checks that the run can be continued with it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from typing_extensions import TypedDict

from randprune_lab.errors import FileError, RunError
from randprune_lab.files import own_file, strict_json
from randprune_lab.plugins import loaded_plugins, plugins_of
from randprune_lab.sealed import unsealed
from randprune_lab.search.config import RunConfig
from randprune_lab.search.journal import JOURNAL
from randprune_lab.typed import partial_of, typed

CONFIG = "config.json"


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


class _Plugin(TypedDict):
    file: str
    sha256: str


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


def resume_command(path: Path, *more: str) -> str:
    """The command line that continues the run in a folder, with the plugins that it uses and further options.

    Raises:
        RunError, FileError: see `read_config`.
    """
    used = plugins_of(*read_config(path).classes)
    plugins = [word for plugin in used for word in ("--plugin", str(plugin.path))]
    return shlex.join(["randprune", "run", *plugins, *more, "--resume", "--out", str(path)])


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
        if (path / "study.json").is_file() and (path / "runs").is_dir():
            raise RunError(
                f"{path} is a study; give one of {path}/runs/*/*, or use `randprune study --out {path} --status`"
            ) from None
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


def check_same(path: Path, config: Settings) -> None:
    """Raise `RunError` unless a folder has these settings."""
    old, new = _recorded(path, config), config.to_dict()
    for name in new:
        if old.get(name) != new[name]:
            raise RunError(
                f"cannot resume {path}: {name} was {old.get(name)!r} and is now {new[name]!r}; "
                f"resume with the old value, or choose another folder"
            )
