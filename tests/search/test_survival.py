"""A search that is killed or runs out of disk space at any moment can be resumed, with the same result."""

from __future__ import annotations

import dataclasses
import errno
import itertools
import json
import os
import random
import resource
import signal
import sys
from pathlib import Path

import pytest
from support.forked import forked

import randprune_lab as rp
from randprune_lab.errors import FileError
from randprune_lab.search.folder import RunFolder
from randprune_lab.search.journal import read_journal
from randprune_lab.search.run import run
from randprune_lab.training.loop import Training

KILLS = 20


def search(config: rp.RunConfig, path: Path, fatal: int, largest_file: int | None = None) -> None:
    """Run the search in a child process that kills itself at moment number `fatal`; an error is written to a file.

    A moment is a training step, or an opening, renaming or removal of a file in the run folder.
    """
    import torch

    torch.set_num_threads(1)
    count = itertools.count(1)

    def moment() -> None:
        if next(count) == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(event: str, arguments: tuple) -> None:
        if event in ("open", "os.rename", "os.remove", "os.truncate") and str(path) in str(arguments[0]):
            moment()

    def step(*arguments: object) -> float:
        moment()
        return plain(*arguments)

    plain, Training._train = Training._train, step  # type: ignore[method-assign]
    sys.addaudithook(audit)
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    try:
        run(config, path, resume=path.exists(), progress=False)
    except FileError as error:
        Path(f"{path}.error").write_text(str(error))
        os._exit(3)
    Path(f"{path}.moments").write_text(str(next(count) - 1))


@pytest.fixture(scope="module")
def small(config):
    return dataclasses.replace(config, candidates=2, baselines=("imp",), dense_epochs=2)


@pytest.fixture(scope="module")
def whole(small, tmp_path_factory) -> tuple[Path, int]:
    """The folder of the same search without interruption, and its number of moments."""
    path = tmp_path_factory.mktemp("survival") / "whole"
    assert forked(search, small, path, 0) == 0
    return path, int(Path(f"{path}.moments").read_text())


def results(path: Path) -> str:
    summary = rp.RunRecord.load(path).summary()
    return json.dumps({key: value for key, value in summary.items() if key != "run"}, sort_keys=True)


def test_a_search_killed_at_20_random_moments_has_the_same_bits(small, whole, tmp_path):
    uninterrupted, moments = whole
    choose = random.Random(0)
    kills = 0
    while forked(search, small, tmp_path / "run", choose.randint(1, max(2, moments // 6)) if kills < KILLS else 0) != 0:
        kills += 1
        assert kills <= KILLS
    assert kills >= 6  # a search needs at least 6 processes, even if all live as long as possible
    assert results(tmp_path / "run") == results(uninterrupted)
    for name in ("masks", "checkpoints", "predictions", "model"):
        files = sorted(file.name for file in (uninterrupted / name).iterdir())
        written = {file.name: file for file in (tmp_path / "run" / name).iterdir() if not file.name.endswith(".tmp")}
        assert sorted(written) == files
        assert all(written[file].read_bytes() == (uninterrupted / name / file).read_bytes() for file in files)


def test_a_search_without_disk_space_reports_it_and_can_be_resumed(small, whole, tmp_path):
    uninterrupted, _ = whole
    assert forked(search, small, tmp_path / "run", 0, 2_000) == 3
    assert f"cannot write {tmp_path / 'run'}" in Path(f"{tmp_path / 'run'}.error").read_text()
    assert forked(search, small, tmp_path / "run", 0) == 0
    assert results(tmp_path / "run") == results(uninterrupted)


def test_a_journal_that_cannot_be_written_is_named_in_the_error(small, tmp_path, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with RunFolder.open(tmp_path / "run", small) as folder:
        folder.add("first", {})
        with monkeypatch.context() as patch, pytest.raises(FileError, match=r"cannot write .*journal.jsonl.*--resume"):
            patch.setattr(os, "fsync", full)
            folder.add("second", {})
        assert list(folder.units) == ["first"]
        folder.add("third", {})
    assert list(read_journal(tmp_path / "run")) == ["first", "third"]
