"""Resources of the machine that this process may use."""

from __future__ import annotations

import ctypes
import math
import os
import platform
from pathlib import Path

CONTAINER = Path("/sys/fs/cgroup")
"""Where a container has its limits. Source: the Linux kernel's documentation of control groups, version 2."""


def cores(container: Path = CONTAINER) -> int:
    """The number of CPU cores that this process may use, or the share of them that its container may, rounded up.

    Args:
        container: the folder with the container's limits.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = map(int, (container / "cpu.max").read_text("ascii").split())
    except (OSError, ValueError):  # not in a container, or the quota is "max"
        return allowed
    return max(1, min(allowed, math.ceil(quota / period)))


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


def available_memory(container: Path = CONTAINER) -> int:
    """The free memory in bytes: of the machine, or of its container if that has less.

    Args:
        container: the folder with the container's limits.
    """
    import psutil

    free = int(psutil.virtual_memory().available)
    try:
        limit, used = (int((container / name).read_text("ascii")) for name in ("memory.max", "memory.current"))
        lines = (container / "memory.stat").read_text("ascii").splitlines()
        cached = sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    except (OSError, ValueError):  # not in a container, or the limit is "max"
        return free
    return max(0, min(free, limit - used + cached))
