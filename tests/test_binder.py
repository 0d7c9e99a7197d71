"""The Binder image fits its base image, has only what it needs, and opens the tour."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
BINDER = ROOT / "binder"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

# The packages of repo2docker 2026.4.0 for Python 3.11, before the requirements are installed.
BASE = {
    "ipykernel": "7.0.1",
    "ipywidgets": "8.1.7",
    "jupyterlab": "4.4.9",
    "nbclient": "0.10.2",
    "nbconvert": "7.16.6",
    "nbformat": "5.10.4",
    "psutil": "7.1.0",
}


def lines(name: str) -> list[str]:
    text = (BINDER / name).read_text("utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_only_one_package_of_the_base_image_is_replaced():
    """nbconvert 7.16 makes no page with the mistune that is current, and may meet it outside this image."""
    bounds = {Requirement(line).name: Requirement(line).specifier for line in PROJECT["optional-dependencies"]["lab"]}
    assert set(BASE) <= set(bounds)
    assert [name for name, version in BASE.items() if version not in bounds[name]] == ["nbconvert"]


def test_python_is_one_that_the_package_accepts():
    (runtime,) = lines("runtime.txt")
    assert runtime.removeprefix("python-") in SpecifierSet(PROJECT["requires-python"])


def test_the_image_has_only_the_locked_torch_for_cpus_and_the_extra_lab():
    *index, torch, package = lines("requirements.txt")
    assert all(line.startswith("--extra-index-url ") for line in index)
    (locked,) = re.findall(r"^torch==\S+$", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE)
    assert torch == f"{locked}+cpu"
    assert package == "-e .[lab]"
    wanted = {Requirement(line).name for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["lab"]}
    assert not wanted & {"dask", "distributed", "nbgrader", "otter-grader", "pytest", "playwright"}


@pytest.mark.skipif(os.name == "nt", reason="the image runs Linux")
def test_post_build_installs_model_and_texts_and_makes_the_tour_the_first_page(tmp_path):
    """The script runs with a pip and a Python that only record their arguments."""
    for name in ("pip", "python"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@" >> "$HOME/called"\n')
        (tmp_path / name).chmod(0o755)
    environment = {"HOME": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run([BINDER / "postBuild"], cwd=ROOT, env=environment, check=True)
    install, *_ = (tmp_path / "called").read_text().splitlines()
    assert install.startswith("pip install ") and "--no-cache-dir" in install
    assert (ROOT / install.split()[-1]).is_file()
    settings = json.loads((tmp_path / ".jupyter" / "jupyter_server_config.json").read_text())
    for application in ("LabApp", "JupyterNotebookApp"):
        address = settings[application]["default_url"]
        assert (ROOT / address.removeprefix("/lab/tree/")).is_file()


def test_the_documented_address_opens_a_notebook_that_exists():
    opened = re.findall(r"labpath=(\S+)|lab/tree/([^`\s]+)", (BINDER / "README.md").read_text("utf-8"))
    assert opened and all((ROOT / (one or other)).is_file() for one, other in opened)
