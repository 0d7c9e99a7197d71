"""Steps end at their deadlines with all their processes, and one that fails does not stop the next."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from gpu.steps import run_step


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def alive(process: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.fixture
def log(tmp_path, monkeypatch) -> Path:
    """A log; on the clock of the steps an hour has passed when something is written to it, however slow the machine."""
    log = tmp_path / "log"
    clock = SimpleNamespace(monotonic=lambda: 3600.0 if log.exists() and log.read_bytes() else 0.0, sleep=time.sleep)
    monkeypatch.setattr("gpu.steps.time", clock)
    return log


def test_a_step_is_killed_at_its_deadline_with_its_children(log):
    child = "import time; time.sleep(600)"
    code = f"import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', {child!r}])"
    result = run_step("sleeps", python(f"{code}; print(p.pid, flush=True); time.sleep(600)"), log, 60)
    assert result.outcome == "out of time" and result.seconds == 3600
    process = int(result.note)
    end = time.monotonic() + 60
    while alive(process) and time.monotonic() < end:
        time.sleep(0.05)
    assert not alive(process)


def test_a_step_that_ignores_the_request_to_end_is_killed(log, monkeypatch):
    monkeypatch.setattr("gpu.steps.GRACE", 0.3)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True)"
    result = run_step("deaf", python(f"{code}; time.sleep(600)"), log, 60)
    assert (result.outcome, result.note) == ("out of time", "deaf")


def test_a_child_does_not_outlive_a_step_that_has_finished(tmp_path):
    code = "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    result = run_step("leaves", python(f"{code}; print(p.pid)"), tmp_path / "log", 600)
    end = time.monotonic() + 60
    while alive(int(result.note)) and time.monotonic() < end:
        time.sleep(0.05)
    assert result.outcome == "ok" and not alive(int(result.note))


def test_failures_are_reported(tmp_path):
    result = run_step("fails", python("raise SystemExit('no such thing')"), tmp_path / "log", 600)
    assert (result.outcome, result.note) == ("failed", "exit status 1: no such thing")
    result = run_step("none", [str(tmp_path / "no-program")], tmp_path / "log", 600)
    assert result.outcome == "failed" and "cannot start" in result.note
    assert run_step("late", python(""), tmp_path / "log", 0).outcome == "skipped"


def test_work_beside_a_step_may_fail(tmp_path):
    def tick() -> None:
        raise OSError("disk full")

    result = run_step("long", python("import time; time.sleep(0.5)"), tmp_path / "log", 600, tick=tick, every=0.1)
    assert result.outcome == "ok" and "disk full" in (tmp_path / "log").read_text()


def test_a_step_gets_its_environment_and_folder(tmp_path):
    code = "import os; print(os.environ['WORD'], os.getcwd())"
    env = {**os.environ, "WORD": "yes"}
    assert run_step("env", python(code), tmp_path / "log", 600, env=env, cwd=tmp_path).note == f"yes {tmp_path}"
