"""The command `randprune`: what must be set before PyTorch is imported, which takes seconds."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from randprune_lab.machine import keep_freed_memory

SPINS = 20_000
"""How often a thread of GNU OpenMP looks for work before it sleeps. Its default of 300,000 takes milliseconds, which
programs that share the cores then wait for each other; with 0, threads that go on at once have to be woken."""


def main() -> int:
    """Run the command line. Returns the exit code.

    A signal during the imports ends it at once. Threads wait as the user says, or sleep after `SPINS` looks for work.
    Memory that is freed is kept for what comes next, as each training step takes the same.
    """
    if not os.environ.keys() & {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}:
        os.environ["GOMP_SPINCOUNT"] = str(SPINS)
    if os.environ.get("PYTHONOPTIMIZE", "") > "1":  # removes docstrings, which transformers reads
        os.environ["PYTHONOPTIMIZE"] = "1"
        os.execv(sys.executable, sys.orig_argv)
    if sys.argv[1:2] == ["doctor"]:  # which also works where PyTorch does not
        from randprune_lab.doctor import main as doctor

        return doctor(sys.argv[2:])
    keep_freed_memory()
    before = {number: signal.signal(number, _end) for number in (signal.SIGINT, signal.SIGTERM)}
    from randprune_lab.cli import main as command

    for number, handler in before.items():
        signal.signal(number, handler)
    try:
        return command()
    finally:
        for number in before:  # what the interpreter still does is not worth a traceback
            signal.signal(number, _end)


def _end(number: int, frame: Any) -> None:
    """End at once, as nothing is done yet, or all is done."""
    os.write(2, b"randprune: stopped\n")
    os._exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
