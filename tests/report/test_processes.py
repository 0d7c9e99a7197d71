"""Notebooks run at the same time, the report keeps their order, and no kernel outlives the report."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from randprune_lab.errors import ConfigError
from randprune_lab.report import processes, report
from randprune_lab.report.processes import Workers, jobs_that_fit

PATIENCE = 60  # seconds to wait for things that take less than one


def until(happened, what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, f"still waiting after {PATIENCE} s: {what}"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("notebooks", "cores", "gigabytes", "jobs"), [(9, 4, 64, 4), (9, 8, 3.5, 2), (2, 8, 64, 2), (9, 4, 0.3, 1)]
)
def test_jobs_are_limited_by_notebooks_cores_and_memory(monkeypatch, notebooks, cores, gigabytes, jobs):
    monkeypatch.setattr(processes, "cores", lambda: cores)
    monkeypatch.setattr(processes, "available_memory", lambda: int(gigabytes * 1e9))
    assert jobs_that_fit(notebooks) == jobs


@pytest.mark.parametrize("jobs", [0, -1, 1.5, True])
def test_jobs_below_one_are_refused(make_notebook, tmp_path, jobs):
    make_notebook(tmp_path / "notebooks" / "00_first.ipynb", [])
    with pytest.raises(ConfigError, match="jobs"):
        report("smoke", tmp_path / "out", notebooks=tmp_path / "notebooks", jobs=jobs)
    assert not (tmp_path / "out").exists()


def test_two_run_at_a_time_and_the_report_keeps_the_order_of_the_course(make_notebook, tmp_path, monkeypatch, capsys):
    """The first notebook waits for the second one, which ends first."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(processes, "cores", lambda: 6)
    wait = f"import os, time\nend = time.time() + {PATIENCE}\n"
    wait += "while not os.path.exists('../second'):\n    assert time.time() < end\n    time.sleep(0.05)"
    make_notebook(tmp_path / "notebooks" / "00_first.ipynb", [wait, "import time; time.sleep(2)"])
    threads = "from pathlib import Path\nimport os\nPath('../second').write_text(os.environ['OMP_NUM_THREADS'])"
    make_notebook(tmp_path / "notebooks" / "01_second.ipynb", [threads])
    summary = report("smoke", tmp_path / "out", notebooks=tmp_path / "notebooks", jobs=2)
    assert [(result.name, result.status) for result in summary.results] == [("00_first", "ok"), ("01_second", "ok")]
    lines = [line.split()[:2] for line in capsys.readouterr().out.splitlines()[:2]]
    assert lines == [["[1/2]", "01_second"], ["[2/2]", "00_first"]]
    assert (tmp_path / "out" / "work" / "second").read_text() == "3"  # half of the cores


def test_a_given_number_of_threads_is_not_changed(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert Workers(2)._environment["OMP_NUM_THREADS"] == "5"


@pytest.mark.skipif(os.name == "nt", reason="signals are those of POSIX")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_kernel_outlives_the_report(make_notebook, tmp_path, end):
    hang = "import os, time\nfrom pathlib import Path\nPath('pid').write_text(str(os.getpid()))\ntime.sleep(600)"
    make_notebook(tmp_path / "notebooks" / "00_a.ipynb", [hang])
    make_notebook(tmp_path / "notebooks" / "01_b.ipynb", [hang])
    make_notebook(tmp_path / "notebooks" / "02_waits.ipynb", [hang])
    options = ["--profile", "smoke", "--jobs", "2", "--out", tmp_path / "out", "--notebooks", tmp_path / "notebooks"]
    command = [sys.executable, "-m", "randprune_lab.cli", "report", *map(str, options)]
    # Background jobs of a shell ignore SIGINT, and their children would too.
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heard)
    files = [tmp_path / "out" / "work" / name / "pid" for name in ("00_a", "01_b")]
    until(lambda: all(file.exists() and file.read_text() for file in files), "both kernels to run")
    family = psutil.Process(started.pid).children(recursive=True)
    try:
        assert {int(file.read_text()) for file in files} <= {process.pid for process in family}
        started.send_signal(end)
        _, said = started.communicate(timeout=PATIENCE)
        if end != signal.SIGKILL:  # then it waits for its child processes
            assert (started.returncode, said) == (128 + end, "randprune: stopped\n")
            assert not any(map(_is_alive, family))
        until(lambda: not any(map(_is_alive, family)), "all processes to end")
    finally:
        started.kill()
        for process in filter(_is_alive, family):
            process.kill()
    assert not (tmp_path / "out" / "work" / "02_waits" / "pid").exists()


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def fake(path: Path, code: str) -> Path:
    path.write_text(code)
    return path


def test_a_worker_that_ends_without_an_answer_is_a_failure_with_its_last_words(monkeypatch, tmp_path):
    with Workers(1) as workers:
        monkeypatch.setattr(processes, "WORKER", fake(tmp_path / "raises.py", "raise ImportError('no papermill')"))
        assert workers.run({})["error"] == {
            "name": "WorkerError",
            "message": "the process that ran the notebook ended with code 1: ImportError: no papermill",
        }
        monkeypatch.setattr(processes, "WORKER", fake(tmp_path / "dies.py", "import os; os.kill(os.getpid(), 9)"))
        assert workers.run({})["error"]["message"].endswith(
            "code -9; if it was killed because memory ran out, run fewer notebooks at a time (--jobs 1)"
        )


def test_leaving_the_block_ends_running_jobs_and_no_job_can_start(monkeypatch, tmp_path):
    waits = "import sys, pathlib\npathlib.Path(sys.stdin.readline().strip()[1:-1]).touch()\nsys.stdin.read()"
    monkeypatch.setattr(processes, "WORKER", fake(tmp_path / "waits.py", waits))
    with Workers(1) as workers:
        thread = threading.Thread(target=workers.run, args=(str(tmp_path / "began"),), daemon=True)
        thread.start()
        until((tmp_path / "began").exists, "the worker to begin")
    thread.join(PATIENCE)
    assert not thread.is_alive()
    with pytest.raises(RuntimeError, match="has ended"):
        workers.run({})


def test_a_worker_that_does_not_end_is_killed(monkeypatch, tmp_path):
    monkeypatch.setattr(processes, "SECONDS_TO_END", 0.5)
    sleeps = "import sys, pathlib, time\npathlib.Path(sys.stdin.readline().strip()[1:-1]).touch()\ntime.sleep(600)"
    monkeypatch.setattr(processes, "WORKER", fake(tmp_path / "sleeps.py", sleeps))
    answers = []
    with Workers(1) as workers:
        thread = threading.Thread(target=lambda: answers.append(workers.run(str(tmp_path / "began"))), daemon=True)
        thread.start()
        until((tmp_path / "began").exists, "the worker to begin")
    thread.join(PATIENCE)
    assert "code -9" in answers[0]["error"]["message"]
