"""A guard for this folder: a sampler that never ends fails its test instead of stalling all tests."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

LIMIT_SECONDS = 300


class Stuck(BaseException):
    """Not an `Exception`, so that hypothesis reports it at once instead of trying to shrink it."""


@pytest.fixture(autouse=True)
def no_endless_loop() -> Iterator[None]:
    """Interrupt a test that runs for minutes where the platform can; the slowest takes a few seconds."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def interrupt(*_: object) -> None:
        raise Stuck(f"still running after {LIMIT_SECONDS} s: an endless loop?")

    previous = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
