"""Finds a Chromium that starts, or installs one: `python tests/browser/chromium.py` prints its path."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """The path of the first Chromium that starts, in PATH or installed by Playwright; None if there is none."""
    return next((path for path in _candidates() if _starts(path)), None)


def install() -> str | None:
    """Try to install Chromium with Playwright, or else with apt.

    Returns:
        The path of the Chromium, or None.
    """
    root = [] if os.name == "nt" or os.geteuid() == 0 else ["sudo", "-n"]
    apt = [*root, "apt-get"]
    ways = (
        [[sys.executable, "-m", "playwright", "install", "chromium"]],
        [[*apt, "update"], [*apt, "install", "--yes", "--no-install-recommends", "chromium"]],
    )
    return next((path for commands in ways if all(map(_done, commands)) and (path := find())), None)


def _done(command: list[str]) -> bool:
    print("+", *command, file=sys.stderr, flush=True)
    return bool(shutil.which(command[0])) and subprocess.run(command, stdout=sys.stderr).returncode == 0


def _candidates() -> Iterator[str]:
    from playwright.sync_api import sync_playwright

    yield from filter(None, map(shutil.which, NAMES))
    with sync_playwright() as playwright:
        installed = playwright.chromium.executable_path
    if Path(installed).exists():
        yield installed


def _starts(path: str) -> bool:
    try:  # a Chromium without its libraries exists, but does not start
        return subprocess.run([path, "--version"], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


if __name__ == "__main__":
    found = find() or install()
    if found is None:
        sys.exit(
            "no Chromium for the browser tests: none of "
            + ", ".join(NAMES)
            + " in PATH starts, and neither Playwright nor apt could install one; install Chromium, and try again"
        )
    print(found)
