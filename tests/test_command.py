"""The command `randprune` sets how threads wait before PyTorch is imported, and never over the user's setting."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from randprune_lab import __main__ as command
from randprune_lab import cli


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, str(command.SPINS)),
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
    assert command.main() == 3
    assert seen == [expected]


def test_the_command_begins_before_torch_is_imported() -> None:
    (script,) = entry_points(group="console_scripts", name="randprune")
    assert script.value == "randprune_lab.__main__:main"
    code = "import sys, randprune_lab.__main__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
