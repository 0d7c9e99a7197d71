"""Files: written whole or not at all, equal content as equal bytes, and errors that name the file."""

from __future__ import annotations

import errno
import json
import os
import platform
import re
import shutil
import stat
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from randprune_lab.errors import FileError, RandpruneError, WorkerError

REFUSED = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOLCK}
"""Errors of the system that another name does not avoid."""


def refused_by_machine(error: BaseException) -> bool:
    """Whether the machine refused the work: a full disk, no permission to write, no memory, a killed process.

    A folder or file that may not be read is the user's to choose, so this is no refusal.
    """
    cause = error if getattr(error, "errno", None) else error.__cause__
    if isinstance(cause, PermissionError):
        return str(error).startswith("cannot write") or not isinstance(error, FileError)
    if cause is not None and not isinstance(cause, OSError | MemoryError):  # of a library that does not say more
        return str(error).startswith("cannot write")
    return isinstance(error, WorkerError) or isinstance(cause, MemoryError) or getattr(cause, "errno", None) in REFUSED


def given_path(path: str | os.PathLike[str]) -> Path:
    """A path that a user gave. An empty one is a mistake, and would be the working directory.

    Raises:
        FileError: if it is empty, no path, or none that a system can have; if it begins with `~`, which only shells
            replace by the home folder: a folder of this name would be made.
    """
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else ""
    try:
        possible = text != "" and b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:  # it has half a character
        possible = False
    if not possible:
        raise FileError(f"a path must be a text that is not empty, got {path!r}; write . for the working directory")
    if (home := os.path.expanduser(text)) != text:  # noqa: PTH111  # Path.expanduser raises an error without a home
        raise FileError(f"{text!r} begins with ~, which is the home folder only in a shell; write {home!r}")
    return Path(text)


def folded(name: str) -> str:
    """The form in which names are compared where case, and the way to write an umlaut, make no difference."""
    return unicodedata.normalize("NFC", name).casefold()


def one_file(names: Iterable[str]) -> tuple[str, str] | None:
    """The first two names that are one file on systems that ignore case, such as macOS; None without any."""
    seen: dict[str, str] = {}
    for name in names:
        if (key := folded(name)) in seen:
            return seen[key], name
        seen[key] = name
    return None


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path to write to: the file there replaces `path` when the block ends without an error.

    A kill at any moment leaves the old content or the new, never half; what a killed process left of this file is
    removed. The new file has the mode that the umask gives, whatever library writes it.

    Raises:
        FileError: if the file cannot be written, or `path` is a link, a folder or a device.
    """
    path = given_path(path)
    temporary = None
    try:
        _check_target(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path)
        temporary = temporary_path(path)
        mode = _usual_mode(temporary)
        yield temporary
        temporary.chmod(mode)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except FileError:
        raise
    except (OSError, SafetensorError) as error:
        raise FileError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Turn what libraries raise while they write to a folder into a `FileError` that names it.

    Those in Rust, such as safetensors and tokenizers, have no errors of their own for a full disk.
    """
    try:
        yield
    except RandpruneError:
        raise
    except Exception as error:
        reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        raise FileError(f"cannot write {path}: {reason}") from error


def _check_target(path: Path) -> None:
    """Raise unless `path` is a plain file, or can become one: a replaced link or device would be lost."""
    if path.is_symlink():
        raise FileError(f"cannot write {path}: it is a link; give the file itself, {os.path.realpath(path)}")
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "not a plain file"
        raise FileError(f"cannot write {path}: it is {kind}; choose another name")


def _usual_mode(path: Path) -> int:
    """The mode that a new file at `path` has; some libraries make files that only their writer can read."""
    path.touch()
    mode = stat.S_IMODE(path.stat().st_mode)
    path.unlink()
    return mode


def temporary_path(path: Path) -> Path:
    """Where this process writes what becomes `path`; `remove_leftovers` knows the name."""
    return path.with_name(f".{path.name}.{os.getpid()}@{platform.node()}.tmp")


def give_usual_modes(folder: Path) -> None:
    """Give all files of a folder the mode that new files have there, also those of a library that makes others."""
    mode = _usual_mode(folder / f".{os.getpid()}@{platform.node()}.tmp")
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(mode)


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files and folders of `path` whose processes were killed on this machine."""
    name = re.compile(rf"\.{re.escape(path.name)}\.(\d+)(@{re.escape(platform.node())})?\.tmp")
    for entry in path.parent.iterdir():
        if (found := name.fullmatch(entry.name)) and not _runs(int(found[1])):
            with suppress(OSError):
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's process, or no number of a process
        pass
    return True


@contextmanager
def reading(what: str, path: str | Path, remedy: str = "write it again") -> Iterator[None]:
    """Turn errors of reading or parsing a file inside the block into a `FileError` that names the file.

    Args:
        what: the kind of file, for the message: "mask file".
        remedy: what to do about a damaged file.
    """
    try:
        check_plain(what, path)
        yield
    except FileNotFoundError:
        raise FileError(f"there is no {what} at {path}") from None
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"cannot read {what} {path}: {error.strerror or error}") from error
    except (
        SafetensorError,
        zlib.error,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        RuntimeError,
        OverflowError,
    ) as error:
        reason = " ".join(str(error).split())
        raise FileError(f"{what} {path} is damaged or truncated ({reason}); {remedy}") from error


def check_plain(what: str, path: str | Path) -> None:
    """Raise unless there is a plain file that can be read: a pipe would be waited for, without end.

    Raises:
        FileError: if it is something else, such as a folder.
        OSError: if it is missing, or cannot be read.
    """
    path = given_path(path)
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "not a plain file"
        raise FileError(f"cannot read {what} {path}: it is {kind}; give the file")
    with path.open("rb"):  # raises an error if this is not allowed
        pass


def strict_json(text: str | bytes) -> Any:
    """Parse JSON as it was written by a program.

    Raises:
        ValueError: if it is not JSON, has a name twice or a number such as NaN.
        RecursionError: if it is nested too deeply.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(found := dict(pairs)) < len(pairs):
            raise ValueError(f"a name is given twice among {', '.join(repr(name) for name, _ in pairs[:6])}")
        return found

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not a number of JSON")

    return json.loads(text, object_pairs_hook=unique, parse_constant=refuse)


def own_file(folder: Path, name: str) -> Path:
    """The path of a file in a folder that a program wrote, whether it is there or not.

    Args:
        folder: the folder.
        name: the file's place in it, such as `"masks/level-1.safetensors"`.

    Raises:
        FileError: if the file, or a folder that it is in, is a link, which may lead anywhere, or if it is not a plain
            file, such as a pipe, which may never end.
    """
    path = folder
    for part in Path(name).parts:
        path /= part
        if part == ".." or path.is_symlink():
            raise FileError(f"{path} leads out of {folder}; put the file itself there")
    if path.exists() and not path.is_file():
        raise FileError(f"{path} is not a plain file; remove it")
    return path


def check_format(path: str | Path, about: dict[str, Any], kind: str, number: int, remedy: str) -> None:
    """Remove `kind` and `format` from the metadata of a file, and check them.

    Args:
        about: the metadata, changed in place.
        kind, number: the expected kind and format.
        remedy: how to get a file of this kind, for the message.

    Raises:
        FileError: if the kind or the format is another one.
    """
    actual, version = str(about.pop("kind", "")), about.pop("format", 1)
    if not actual.startswith(kind.partition(" ")[0]) or (actual != kind and version == number):
        raise FileError(f"{path} is not a {kind.removeprefix('randprune ')}; {remedy}")
    if version != number:
        raise other_format(path, version, number, remedy)


def other_format(path: str | Path, version: Any, number: int, remedy: str) -> FileError:
    return FileError(f"{path} has format {version}, and this version of randprune_lab reads format {number}; {remedy}")


def write_json(path: str | Path, content: Any) -> None:
    """Write `content` as indented JSON, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_tensors(path: str | Path, tensors: Mapping[str, Any], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file, atomically.

    Args:
        tensors: PyTorch tensors by name, or NumPy arrays.
        metadata: texts by name. They are sorted, as safetensors itself writes them in a random order.

    Raises:
        FileError: if the file cannot be written.
        KeyError: if safetensors has no such type of tensor.
    """
    arrays = all(isinstance(tensor, np.ndarray) for tensor in tensors.values())
    library = import_module(f"safetensors.{'numpy' if arrays else 'torch'}")
    with atomic_path(path) as temporary:
        library.save_file(dict(tensors), temporary, dict(metadata))
        with temporary.open("r+b") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
            header["__metadata__"] = dict(sorted(metadata.items()))
            file.seek(8)
            file.write(json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode().ljust(length))
