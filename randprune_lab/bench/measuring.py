"""The time and the memory that a piece of work takes, and where it was measured."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import torch


def clock(work: Callable[[], Any], repeats: int, device: torch.device | None = None) -> float:
    """The median time of several calls, in seconds; on a GPU, until its work is done.

    Args:
        device: where the work is done, by default on the CPU. On a GPU a first call, which loads kernels, is not timed.
    """
    on_gpu, times = device is not None and device.type == "cuda", []
    if on_gpu:
        work()
    for _ in range(repeats):
        if on_gpu:
            torch.cuda.synchronize(device)
        start = time.perf_counter()
        work()
        if on_gpu:
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return median(times)


@contextmanager
def peak_memory(device: torch.device | None = None) -> Iterator[list[float]]:
    """Measure peak memory: after the block, the yielded list has the largest increase of the bytes in use.

    Args:
        device: a GPU, whose allocated bytes count; by default the resident bytes of this process count (Linux; NaN
            on other systems).
    """
    status, result = Path("/proc/self/status"), [float("nan")]
    if device is not None and device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield result
        result[0] = torch.cuda.max_memory_allocated(device) - before
        return

    def read(field: str) -> int:
        line = next(line for line in status.read_text().splitlines() if line.startswith(field))
        return int(line.split()[1]) * 1024

    if not status.exists():
        yield result
        return
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)  # freed memory that the process still has would hide its reuse
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = read("VmRSS")
    yield result
    result[0] = read("VmHWM") - before


def place(row: dict[str, Any]) -> str:
    """Where the times of a row were measured: a GPU, or threads of the CPU."""
    return f"{row['threads']} threads" if row["device"] == "cpu" else row["device"]
