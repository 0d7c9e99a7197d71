"""Atomic file writing, and errors of reading: a kill at any moment leaves the old content or the new, never half."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from randprune_lab.errors import FileError


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path to write to: the file there replaces `path` when the block ends without an error.

    Raises:
        FileError: if the file cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        raise FileError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def reading(what: str, path: str | Path) -> Iterator[None]:
    """Turn errors of reading or parsing a safetensors file inside the block into a `FileError` that names the file.

    Args:
        what: the kind of file, for the message: "mask file".
    """
    try:
        yield
    except FileNotFoundError:
        raise FileError(f"there is no {what} at {path}") from None
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"cannot read {what} {path}: {error.strerror or error}") from error
    except (SafetensorError, zlib.error, LookupError, ValueError, TypeError, RuntimeError) as error:
        raise FileError(f"{what} {path} is damaged or truncated ({error}); write it again") from error


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
        raise FileError(
            f"{path} has format {version}, and this version of randprune_lab reads format {number}; {remedy}"
        )


def write_json(path: str | Path, content: Any) -> None:
    """Write `content` as indented JSON, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
