"""The command `randprune` sets how threads wait before PyTorch is imported, and never over the user's setting."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import randprune
from randprune_lab import cli

ROOT = Path(randprune.__file__).parent


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, str(randprune.SPINS)),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "passive"}, None),  # a number of spins would overrule it
    ],
    ids=["unset", "spins", "policy"],
)
def test_the_command_sets_the_spins_that_the_user_did_not_set(
    monkeypatch: pytest.MonkeyPatch, own: dict[str, str], expected: str | None
) -> None:
    environment = {name: value for name, value in os.environ.items() if "OMP_" not in name} | own
    monkeypatch.setattr(os, "environ", environment)
    seen = []
    monkeypatch.setattr(cli, "main", lambda: seen.append(environment.get("GOMP_SPINCOUNT")) or 3)
    assert randprune.main() == 3
    assert seen == [expected]


def test_the_command_begins_before_torch_is_imported() -> None:
    if (project := ROOT / "pyproject.toml").exists():  # not next to an installed package
        assert tomllib.loads(project.read_text("utf-8"))["project"]["scripts"] == {"randprune": "randprune:main"}
    code = "import sys, randprune; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
