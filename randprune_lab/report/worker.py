"""Runs one notebook in a process of its own: papermill changes the working folder, which is the whole process's.

Run as a file (`python -P worker.py`) that imports nothing of this package: the package would bring torch, seconds
and hundreds of megabytes for each notebook.

stdin: the job as a line of JSON. It stays open as long as the report lives; when it closes, whatever the reason,
the kernel is killed and this process ends. stdout: the answer, as a line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

SECONDS_TO_TIDY_UP = 2.0


def main() -> None:
    """Read the job, run the notebook, answer."""
    job = json.loads(sys.stdin.readline())
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever the kernel's libraries print is no answer
    threading.Thread(target=_end_with_the_report, daemon=True).start()

    start = time.monotonic()
    error = _run(job)
    seconds = time.monotonic() - start
    answer.write(json.dumps({"seconds": seconds, "peak_memory": _peak_memory(), "error": error}) + "\n")
    answer.flush()


def _run(job: Mapping[str, Any]) -> dict[str, str] | None:
    """Execute the notebook; what stopped it, if anything did."""
    import papermill

    try:
        papermill.execute_notebook(
            job["notebook"],
            job["executed"],
            parameters=job["parameters"],
            kernel_name="python3",  # the environment's own, whatever the notebook was saved with
            language="python",
            cwd=job["folder"],
            progress_bar=False,
            execution_timeout=job["cell_timeout"],
            extra_arguments=["--log-level=CRITICAL"],
        )
    except Exception as error:
        return _name_and_message(error)
    return None


def _name_and_message(error: Exception) -> dict[str, str]:
    # papermill carries the error of the cell as texts; anything else (a time-out, a kernel that died)
    # explains itself at length, its first line says it all.
    name = getattr(error, "ename", type(error).__name__)
    message = getattr(error, "evalue", None) or str(error).strip().partition("\n")[0]
    return {"name": name, "message": message}


def _peak_memory() -> int | None:
    """The most memory in bytes that a process of the notebook held; None where the system does not tell."""
    with suppress(ImportError):
        import resource

        # Of those that have ended: the kernel has.
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        return int(peak) if sys.platform == "darwin" else int(peak) * 1024
    return None


def _end_with_the_report() -> None:
    while os.read(0, 1):  # not by sys.stdin, whose lock would hang the end of this process
        pass
    import psutil

    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            process.kill()
    time.sleep(SECONDS_TO_TIDY_UP)  # papermill sees that the kernel is gone, and removes its files
    os._exit(1)


if __name__ == "__main__":
    main()
