"""Locks: changes of one folder follow one another, and neither a kill nor an error keeps the next one out."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from randprune_lab import locks
from randprune_lab.errors import FileError, LockedError
from randprune_lab.locks import LOCK, alone_in

pytest.importorskip("fcntl")

HOLDER = """
import os, signal, sys
from pathlib import Path
from randprune_lab.locks import alone_in

with alone_in(Path(sys.argv[1])):
    print("held", flush=True)
    signal.pause()
"""


def test_no_change_of_a_folder_is_lost(tmp_path: Path) -> None:
    number = tmp_path / "new" / "number"

    def add(_: int) -> None:
        with alone_in(number.parent):
            before = int(number.read_text()) if number.exists() else 0
            time.sleep(0.01)
            number.write_text(str(before + 1))

    with ThreadPoolExecutor(8) as pool:
        assert len([*pool.map(add, range(16))]) == 16
    assert number.read_text() == "16" and [*number.parent.iterdir()] == [number]


def test_another_process_is_waited_for_until_it_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        with monkeypatch.context() as patch, pytest.raises(LockedError, match="another process is working in"):
            patch.setattr(locks, "PATIENT", 2)
            alone_in(tmp_path).__enter__()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]
    with alone_in(tmp_path):
        pass
    assert not [*tmp_path.iterdir()]


def test_an_error_ends_a_lock(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), alone_in(tmp_path):
        _ = 1 / 0
    with alone_in(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match=r"cannot write .*file: File exists; choose another folder"):
        alone_in(tmp_path / "file").__enter__()
