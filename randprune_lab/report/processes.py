"""Processes that run notebooks side by side, and that end with the report, whatever ends it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from randprune_lab.machine import cores

MEMORY_EACH = 1_500_000_000  # bytes; most lessons hold half a gigabyte, those that train up to 1.7 GB
SECONDS_TO_END = 20.0
WORKER = Path(__file__).with_name("worker.py")


def jobs_that_fit(notebooks: int) -> int:
    """How many notebooks to run at a time: as many as cores and free memory allow, and at least 1."""
    return max(1, min(notebooks, cores(), available_memory() // MEMORY_EACH))


def available_memory(limit: Path = Path("/sys/fs/cgroup/memory.max")) -> int:
    """Free memory in bytes, or the limit of the container that this runs in, if that is less."""
    import psutil

    free = int(psutil.virtual_memory().available)  # of the machine, whatever a container may use of it
    try:
        return min(free, int(limit.read_text("ascii")))
    except (OSError, ValueError):  # no container, or one with the limit "max"
        return free


class Workers:
    """Runs jobs in processes of their own; leaving the block ends all that still run.

    Args:
        jobs: how many run at a time. Each is given its share of the cores, unless the environment already says
            how many threads there are to be.
    """

    def __init__(self, jobs: int) -> None:
        share = {"OMP_NUM_THREADS": str(max(1, cores() // jobs)), "OMP_WAIT_POLICY": "PASSIVE"}
        self._environment = share | dict(os.environ)
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            _close(process)
        for process in running:
            try:
                process.wait(SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                process.kill()  # its kernel sees that, and ends too

    def run(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Run one job to its end, in a thread of the caller's; the worker's answer."""
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
            process = self._start(job, log)
            assert process.stdout is not None
            with process.stdout:
                answer = process.stdout.readline()  # or nothing, if the worker ends without
            _close(process)
            code = process.wait()
            with self._lock:
                self._running.discard(process)
            return json.loads(answer) if answer else _no_answer(code, log)

    def _start(self, job: Mapping[str, Any], log: IO[str]) -> subprocess.Popen[str]:
        with self._lock:
            if self._stopped:
                raise RuntimeError("the report has ended")
            process = subprocess.Popen(
                [sys.executable, "-P", str(WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._environment,
                encoding="utf-8",
                start_new_session=True,  # Ctrl-C is for the report, which then ends its workers
            )
            self._running.add(process)
            assert process.stdin is not None
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            return process


def _close(process: subprocess.Popen[str]) -> None:
    """Tell a worker that it is to end: by its stdin, as it would also see if we were killed."""
    assert process.stdin is not None
    process.stdin.close()


def _no_answer(code: int, log: IO[str]) -> dict[str, Any]:
    log.seek(0)
    last = next((line.strip() for line in reversed(log.readlines()) if line.strip()), "")
    message = f"the process that ran the notebook ended with code {code}{': ' if last else ''}{last}"
    if code < 0:
        message += "; if it was killed for want of memory, run fewer at a time (--jobs 1)"
    return {"seconds": 0.0, "peak_memory": None, "error": {"name": "WorkerError", "message": message}}
