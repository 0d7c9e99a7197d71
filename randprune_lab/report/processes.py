"""Processes that run notebooks at the same time, and that end when the report ends, for any reason."""

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

from randprune_lab.machine import available_memory, cores

MEMORY_EACH = 1_500_000_000  # bytes; most lessons need half a gigabyte, those that train up to 1.7 GB
SECONDS_TO_END = 20.0
WORKER = Path(__file__).with_name("worker.py")


def jobs_that_fit(notebooks: int) -> int:
    """The number of notebooks to run at a time: limited by cores and free memory, and at least 1."""
    return max(1, min(notebooks, cores(), available_memory() // MEMORY_EACH))


class Workers:
    """Runs each job in a separate process; at the end of the `with` block, all processes that still run are ended.

    Args:
        jobs: the number of jobs that run at a time. The cores are divided equally between them, unless the environment
            already sets the number of threads.
    """

    def __init__(self, jobs: int) -> None:
        threads = {"OMP_NUM_THREADS": str(max(1, cores() // jobs)), "OMP_WAIT_POLICY": "PASSIVE"}
        self._environment = threads | dict(os.environ)
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
                process.kill()  # its kernel notices, and ends too

    def run(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Run one job to its end, in the caller's thread.

        Returns:
            The worker's answer. If the worker ended without one, an answer with the error.
        """
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
            process = self._start(job, log)
            assert process.stdout is not None
            with process.stdout:
                answer = process.stdout.readline()  # empty if the worker ends without an answer
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
                start_new_session=True,  # Ctrl-C reaches the report only, which then ends its workers
            )
            self._running.add(process)
            assert process.stdin is not None
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            return process


def _close(process: subprocess.Popen[str]) -> None:
    """Make a worker end by closing its stdin, which also happens if this process is killed."""
    assert process.stdin is not None
    process.stdin.close()


def _no_answer(code: int, log: IO[str]) -> dict[str, Any]:
    log.seek(0)
    last = next((line.strip() for line in reversed(log.readlines()) if line.strip()), "")
    message = f"the process that ran the notebook ended with code {code}{': ' if last else ''}{last}"
    if code < 0:
        message += "; if it was killed because memory ran out, run fewer notebooks at a time (--jobs 1)"
    return {"seconds": 0.0, "peak_memory": None, "error": {"name": "WorkerError", "message": message}}
