"""Writing files so that a kill at any moment leaves the old content or the new, never half of it."""

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
    """A temporary path to write to; what was written there replaces `path` when the block ends well.

    Raises `FileError` if the folder cannot be written to.
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
    """Errors of reading a safetensors file, and of making sense of it, as `FileError`s that name it.

    Args:
        what: the kind of file, as a reader would say it: "mask file".
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


def write_json(path: str | Path, content: Any) -> None:
    """Write `content` as indented JSON, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
