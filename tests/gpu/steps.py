"""Runs a command in a process group of its own, which is killed at a deadline."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

POLL = 0.1
GRACE = 3.0
"""Seconds between the request to end and the kill."""


@dataclass(frozen=True)
class Result:
    """What became of a step.

    Args:
        name: the name of the step.
        outcome: "ok", "failed", "out of time" or "skipped".
        seconds: how long it ran.
        note: its last lines of output, or why it was skipped.
    """

    name: str
    outcome: str
    seconds: float = 0.0
    note: str = ""


def run_step(
    name: str,
    command: Sequence[str],
    log: Path,
    seconds: float,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    tick: Callable[[], None] | None = None,
    every: float = 15.0,
) -> Result:
    """Run a command for at most some seconds. Whatever it started is killed when it ends.

    Args:
        name: the name of the step.
        command: the command and its arguments.
        log: the file that its output is written to.
        seconds: its time.
        env: its environment variables; by default those of this process.
        cwd: its folder.
        tick: called while it runs; an exception in it is written to the log.
        every: seconds between two calls.

    Returns:
        The result; a command that cannot be started has failed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    start = last = time.monotonic()
    if seconds <= 0:
        return Result(name, "skipped", note="no time was left")
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=env,
                cwd=cwd,
                process_group=0,
            )
        except OSError as error:
            return Result(name, "failed", note=f"cannot start {command[0]}: {error.strerror}")
        try:
            while process.poll() is None and time.monotonic() - start < seconds:
                time.sleep(min(POLL, seconds))
                if tick is not None and time.monotonic() - last >= every:
                    try:
                        tick()
                    except Exception as error:  # the step is worth more than what is done beside it
                        output.write(f"\nbeside this step: {error!r}\n".encode())
                    last = time.monotonic()
            late = process.poll() is None
        finally:
            _kill_group(process)
    spent = time.monotonic() - start
    outcome = "out of time" if late else "ok" if process.returncode == 0 else "failed"
    ends = f"exit status {process.returncode}: " if outcome == "failed" else ""
    return Result(name, outcome, spent, ends + last_lines(log))


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and all of its group, first by request, then by force."""
    if process.poll() is None:
        _signal(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    _signal(process.pid, signal.SIGKILL)
    process.wait()


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def last_lines(log: Path, count: int = 4) -> str:
    """The last lines of a log that are not empty."""
    text = log.read_bytes()[-4000:].decode("utf-8", "replace") if log.is_file() else ""
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return "\n".join(line[:200] for line in lines[-count:])
