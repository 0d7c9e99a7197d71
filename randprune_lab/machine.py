"""Resources of the machine that this process may use."""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path


def cores() -> int:
    """The number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The name of the processor, or its architecture if the system does not tell."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text("utf-8").splitlines() if information.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees, in blocks of up to 32 MiB, instead of giving it back at once.

    A training step takes and frees the same hundreds of megabytes each time; otherwise the system clears every page of
    them again. This holds until the process ends, and where the C library is glibc.

    Source: mallopt(3).
    """
    if platform.libc_ver()[0] == "glibc":
        trim_threshold, mmap_threshold = -1, -3
        library = ctypes.CDLL(None)
        library.mallopt(mmap_threshold, 32 * 2**20)
        library.mallopt(trim_threshold, 2**31 - 1)


def available_memory(limit: Path = Path("/sys/fs/cgroup/memory.max")) -> int:
    """The free memory in bytes, or the memory limit of the container, whichever is less.

    Args:
        limit: the file with the container's limit.
    """
    import psutil

    free = int(psutil.virtual_memory().available)  # of the machine; a container may be limited to less
    try:
        return min(free, int(limit.read_text("ascii")))
    except (OSError, ValueError):  # not in a container, or the limit is "max"
        return free
