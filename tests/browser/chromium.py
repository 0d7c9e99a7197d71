"""Finds a Chromium that starts, or gets one: `python tests/browser/chromium.py` prints its path."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """The first Chromium that starts: of the PATH, or the one that Playwright has brought."""
    return next((path for path in _candidates() if _starts(path)), None)


def install() -> str | None:
    """Try to get one, by Playwright or else by apt; its path."""
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
        brought = playwright.chromium.executable_path
    if Path(brought).exists():
        yield brought


def _starts(path: str) -> bool:
    try:  # a Chromium without its libraries is there, but of no use
        return subprocess.run([path, "--version"], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


if __name__ == "__main__":
    found = find() or install()
    if found is None:
        sys.exit(
            "No Chromium for the browser tests: none of "
            + ", ".join(NAMES)
            + " is in PATH and starts, and neither Playwright nor apt could bring one. Install Chromium, and try again."
        )
    print(found)
