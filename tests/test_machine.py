"""What a process takes from its machine."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
from randprune_lab.machine import keep_freed_memory

def pages() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    del [bytearray(8 * 2**20) for _ in range(10)][:]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

pages()
first = pages()
keep_freed_memory()
pages()
print(first, pages())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such setting")
def test_freed_memory_is_used_again_without_new_pages() -> None:
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert before > 10_000 and after < 1_000
