"""The command `randprune`: sets how threads wait, which PyTorch reads when it is imported, and starts the lab."""

import os

SPINS = 20_000
"""How often a thread of GNU OpenMP looks for work before it sleeps. Its default of 300,000 takes milliseconds, which
programs that share the cores then wait for each other; with 0, threads that go on at once have to be woken."""


def main() -> int:
    """Run one command, with `GOMP_SPINCOUNT` set unless the user says how threads wait. Returns the exit code."""
    if not os.environ.keys() & {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}:
        os.environ["GOMP_SPINCOUNT"] = str(SPINS)
    from randprune_lab import cli

    return cli.main()
