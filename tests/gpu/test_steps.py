"""Steps end at their deadlines with all their processes, and one that fails does not stop the next."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from gpu.steps import run_step


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def alive(process: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


def test_a_step_is_killed_at_its_deadline_with_its_children(tmp_path):
    child = "import time; time.sleep(60)"
    code = f"import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', {child!r}])"
    code += "; print(p.pid, flush=True); time.sleep(60)"
    begin = time.monotonic()
    result = run_step("sleeps", python(code), tmp_path / "log", 1.0)
    assert result.outcome == "out of time" and time.monotonic() - begin < 10
    process = int(result.note)
    end = time.monotonic() + 5
    while alive(process) and time.monotonic() < end:
        time.sleep(0.05)
    assert not alive(process)


def test_a_step_that_ignores_the_request_to_end_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("gpu.steps.GRACE", 0.3)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True)"
    result = run_step("deaf", python(f"{code}; time.sleep(60)"), tmp_path / "log", 1.0)
    assert (result.outcome, result.note) == ("out of time", "deaf") and result.seconds < 10


def test_a_child_does_not_outlive_a_step_that_has_finished(tmp_path):
    code = "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    result = run_step("leaves", python(f"{code}; print(p.pid)"), tmp_path / "log", 20)
    end = time.monotonic() + 5
    while alive(int(result.note)) and time.monotonic() < end:
        time.sleep(0.05)
    assert result.outcome == "ok" and not alive(int(result.note))


def test_failures_are_reported(tmp_path):
    result = run_step("fails", python("raise SystemExit('no such thing')"), tmp_path / "log", 20)
    assert (result.outcome, result.note) == ("failed", "exit status 1: no such thing")
    result = run_step("none", [str(tmp_path / "no-program")], tmp_path / "log", 20)
    assert result.outcome == "failed" and "cannot start" in result.note
    assert run_step("late", python(""), tmp_path / "log", 0).outcome == "skipped"


def test_work_beside_a_step_may_fail(tmp_path):
    def tick() -> None:
        raise OSError("disk full")

    result = run_step("long", python("import time; time.sleep(0.5)"), tmp_path / "log", 20, tick=tick, every=0.1)
    assert result.outcome == "ok" and "disk full" in (tmp_path / "log").read_text()


def test_a_step_gets_its_environment_and_folder(tmp_path):
    code = "import os; print(os.environ['WORD'], os.getcwd())"
    env = {**os.environ, "WORD": "yes"}
    assert run_step("env", python(code), tmp_path / "log", 20, env=env, cwd=tmp_path).note == f"yes {tmp_path}"
