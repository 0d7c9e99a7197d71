"""The Python packages that the steps need: which are missing or too old, and their installation from carried wheels."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]
FURTHER = {
    "dill": "datasets",
    "multiprocess": "datasets",
    "pyarrow": "datasets",
    "xxhash": "datasets",
    "psutil": "accelerate",
    "wadler-lindig": "jaxtyping",
    "pytest": "the CUDA tests",
    "hypothesis": "the CUDA tests",
    "sortedcontainers": "hypothesis",
}
"""Packages that are not in `pyproject.toml`'s dependencies, and what needs them."""

FIXED = ("torch", "nvidia", "triton")
"""Packages that belong to the machine's CUDA; they are never installed."""


def needed() -> dict[str, str]:
    """The needed packages, each with its lowest version, or "" for any."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    wanted = (requirement.partition(">=") for requirement in tomllib.loads(text)["project"]["dependencies"])
    return {name: version for name, _, version in wanted} | dict.fromkeys(FURTHER, "")


def installed(site: Path | None = None) -> dict[str, str]:
    """The version of each needed package that Python finds.

    Args:
        site: a folder that is searched before all others.
    """
    path = [*([str(site)] if site else []), *sys.path]
    found = {name: next(iter(metadata.distributions(name=name, path=path)), None) for name in needed()}
    return {name: package.version for name, package in found.items() if package is not None}


def missing(has: Mapping[str, str] | None = None) -> dict[str, str]:
    """The needed packages that cannot be used, each with the reason.

    Args:
        has: the version of each package that is there; by default those that this Python finds.
    """
    has = installed() if has is None else has
    reasons = {}
    for name, lowest in needed().items():
        if name not in has:
            reasons[name] = f"missing, needed by {FURTHER[name]}" if name in FURTHER else "missing"
        elif lowest and _numbers(has[name]) < _numbers(lowest):
            reasons[name] = f"version {has[name]} is below {lowest}"
    return reasons


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version.partition("+")[0])[:3]]


def carried(wheels: Path) -> dict[str, Path]:
    """The wheels in a folder by the name of their package."""
    return {path.name.partition("-")[0].lower().replace("_", "-"): path for path in sorted(wheels.glob("*.whl"))}


def install_command(names: list[str], wheels: Path, site: Path) -> list[str]:
    """The command that installs carried packages, without their dependencies, in a folder of their own."""
    assert not any(name.startswith(FIXED) for name in names)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]
    return [*pip, "--no-compile", "--upgrade", "--find-links", str(wheels), "--target", str(site), *names]


def announce_package(site: Path) -> None:
    """Let Python know the version of randprune-lab, which is used from the checkout and not installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    folder = site / f"randprune_lab-{project['version']}.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    fields = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (folder / "METADATA").write_text(fields, "utf-8")
