"""The versions and the machine that a run was begun with."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from typing_extensions import TypedDict

from randprune_lab.files import own_file, reading, strict_json
from randprune_lab.typed import typed

ENVIRONMENT = "environment.json"


class Environment(TypedDict):
    """Versions and machine: what the last bits of a run depend on, besides its configuration."""

    python: str
    machine: str
    packages: dict[str, str]


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
    with reading("environment", file, "delete it; the run does not need it"):
        return typed(Environment, strict_json(file.read_bytes()), strict=True)
