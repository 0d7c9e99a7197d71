"""What a process takes from its machine."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from randprune_lab.machine import available_memory, cores

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


def test_memory_is_what_the_container_has_left(tmp_path: Path) -> None:
    assert available_memory(tmp_path) > 2_000_000  # of the machine, because there are no such files
    (tmp_path / "memory.current").write_text("1500000\n")
    (tmp_path / "memory.stat").write_text("anon 1100000\ninactive_file 300000\nactive_file 100000\n")
    for limit, left in (("2000000", 800_000), ("1000000", 0)):  # cached files give way
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        assert available_memory(tmp_path) == left
    (tmp_path / "memory.max").write_text("max\n")
    assert available_memory(tmp_path) > 2_000_000


def test_cores_are_at_most_the_quota_of_the_container(tmp_path: Path) -> None:
    allowed = cores(tmp_path)  # of the machine, because there is no such file
    for quota, number in (
        ("20000 100000", 1),
        ("100000 100000", 1),
        (f"{10**9} 100000", allowed),
        ("max 100000", allowed),
    ):
        (tmp_path / "cpu.max").write_text(f"{quota}\n")
        assert cores(tmp_path) == number
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert cores(tmp_path) == min(2, allowed)
