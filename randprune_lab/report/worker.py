"""Runs one notebook in a separate process, because papermill changes the working folder of its whole process.

It is run as a file (`python -P worker.py`) and imports nothing from this package, because the package imports torch,
which takes seconds and hundreds of megabytes for each notebook.

stdin has the job as a line of JSON. It stays open while the report runs; when it closes, for any reason, the kernel is
killed and this process ends. stdout has the answer as a line of JSON.
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
    """Read the job, run the notebook, write the answer."""
    job = json.loads(sys.stdin.readline())
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the kernel's libraries print must not be part of the answer
    threading.Thread(target=_end_with_the_report, daemon=True).start()

    start = time.monotonic()
    error = _run(job)
    seconds = time.monotonic() - start
    answer.write(json.dumps({"seconds": seconds, "peak_memory": _peak_memory(), "error": error}) + "\n")
    answer.flush()


def _run(job: Mapping[str, Any]) -> dict[str, str] | None:
    """Execute the notebook; the result is the error that stopped it, or None."""
    # The kernel "python3" is this environment's, not one that the machine or the user has under the same name.
    os.environ.pop("JUPYTER_PATH", None)
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    os.environ["RANDPRUNE_FRAMES"] = job["positions"]  # nobody is there to move what is explored
    import papermill

    try:
        papermill.execute_notebook(
            job["notebook"],
            job["executed"],
            parameters=job["parameters"],
            kernel_name="python3",  # this environment's kernel, not the one that the notebook was saved with
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
    # papermill stores the error of a cell as text. Other errors, such as a time-out or a dead kernel, have long
    # messages, and their first line is enough.
    name = getattr(error, "ename", type(error).__name__)
    message = getattr(error, "evalue", None) or str(error).strip().partition("\n")[0]
    return {"name": name, "message": message}


def _peak_memory() -> int | None:
    """The peak memory of the notebook's processes in bytes; None where the system does not report it."""
    with suppress(ImportError):
        import resource

        # This covers child processes that have ended; the kernel has.
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        return int(peak) if sys.platform == "darwin" else int(peak) * 1024
    return None


def _end_with_the_report() -> None:
    while os.read(0, 1):  # not sys.stdin, whose lock would block the end of this process
        pass
    import psutil

    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            process.kill()
    time.sleep(SECONDS_TO_TIDY_UP)  # papermill notices that the kernel is gone, and removes its files
    os._exit(1)


if __name__ == "__main__":
    main()
