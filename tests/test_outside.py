"""What lies outside of the package: odd places for every path of every command, a full disk, and signals."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from pathlib import Path

import pytest

from randprune_lab.cli import build_parser, main
from randprune_lab.errors import FileError, WorkerError
from randprune_lab.files import atomic_path, refused_by_machine
from randprune_lab.search.journal import Journal, in_use, journal_line, read_journal
from randprune_lab.study.config import StudyConfig
from randprune_lab.study.run import run_study

READ = ("show", "results", "export", "tasks --data", "exercises grade", "study")
"""Commands that read a place."""
KINDS = ("missing", "long", "deep", "pipe", "device", "loop", "dangling", "below a file", "bad UTF-8", "brackets")


def odd_place(kind: str, folder: Path) -> Path:
    path = folder / "odd.csv"
    if kind == "long":
        return folder / ("n" * 300)
    if kind == "deep":
        return folder.joinpath(*["n" * 100] * 60)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        return Path("/dev/null")
    elif kind == "loop":
        path.symlink_to("odd.csv")
    elif kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "below a file":
        path.touch()
        return path / "below"
    elif kind == "bad UTF-8":
        path.write_bytes(b"\xff\xfe[")
    elif kind == "brackets":
        path.write_text("[" * 100_000)
    return path


def words(command: str, path: Path, out: Path) -> list[str]:
    after = [] if command.startswith(("show", "tasks")) else ["--out", str(out)]
    return [*command.split(), str(path), *after]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", READ)
def test_an_odd_place_is_refused_in_one_line(command, kind, tmp_path, capsys):
    path = odd_place(kind, tmp_path)
    assert main(words(command, path, tmp_path / "out")) == 2
    said = capsys.readouterr().err
    assert said.startswith("randprune: ") and said.count("\n") == 1 and "Error:" not in said
    assert path.name in said and not (tmp_path / "out").exists()


TEXTS = {
    "data": "run --data",
    "test data": "run --data rows.csv --test-data",
    "GLUE": "run --task sst2 --glue-dir",
    "model": "run --preset lesson --train-size 64 --validation-size 32 --test-size 32 --model",
}
"""Options that are texts and may name a place."""


@pytest.mark.parametrize("kind", ["NUL", "half an emoji", "long", "folder", "file", "pipe"])
@pytest.mark.parametrize("option", TEXTS)
def test_a_text_that_names_no_usable_place_is_refused_in_one_line(option, kind, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("text,label\ngood,1\nbad,0\n")
    if kind == "folder":
        Path("folder").mkdir()
    names = {"NUL": "a\0b", "half an emoji": "half \ud83d", "folder": "folder", "file": "rows.csv"}
    place = names.get(kind) or str(odd_place(kind, tmp_path))
    assert main([*TEXTS[option].split(), place, "--out", "out"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("randprune: ") and said.count("\n") == 1 and not Path("out").exists()


def paths(parser: argparse.ArgumentParser, *before: str) -> Iterator[tuple[str, ...]]:
    """Every argument and option of all commands whose value is a path."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, sub in action.choices.items():
                yield from paths(sub, *before, name)
        elif action.type is Path:
            yield (*before, *action.option_strings[-1:])


@pytest.mark.parametrize("command", [*paths(build_parser())], ids=" ".join)
@pytest.mark.parametrize("name", ["a\0b", "half \ud83d", ""], ids=["NUL", "half an emoji", "empty"])
def test_every_path_must_be_possible(command, name, capsys):
    with pytest.raises(SystemExit, match="2"):
        main([*command, name])
    said = capsys.readouterr().err
    assert said.startswith("randprune: ") and said.count("\n") == 1 and "a path must be" in said


@pytest.mark.parametrize(
    ("number", "refused"),
    [(errno.ENOSPC, True), (errno.EACCES, True), (errno.EROFS, True), (errno.ENAMETOOLONG, False)],
    ids=["full disk", "no permission", "read-only", "long name"],
)
def test_what_the_machine_refuses_is_told_from_a_wrong_name(number, refused, tmp_path):
    with pytest.raises(FileError) as caught, atomic_path(tmp_path / "file"):
        raise OSError(number, os.strerror(number))
    assert refused_by_machine(caught.value) == refused


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a/file"), 1, "cannot use a/file: No space left on device"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "a"), 2, "cannot use a: File name too long"),
        (PermissionError(errno.EACCES, "Permission denied", "a"), 1, "cannot use a: Permission denied"),
        (MemoryError(), 1, "there is not enough memory"),
        (WorkerError("a process of the study ended"), 1, "a process of the study ended"),
        (KeyboardInterrupt(), 130, "stopped"),
    ],
    ids=["full disk", "long name", "no permission", "no memory", "killed process", "Ctrl-C"],
)
def test_each_kind_of_failure_has_its_exit_code(monkeypatch, capsys, error, code, message):
    def fail(names: object) -> None:
        raise error

    monkeypatch.setattr("randprune_lab.models.listing.model_rows", fail)
    assert main(["models"]) == code
    said = capsys.readouterr().err
    assert said.startswith(f"randprune: {message}") and said.count("\n") == 1


def test_sigterm_stops_a_command_and_its_handler_is_put_back(monkeypatch, capsys):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("randprune_lab.models.listing.model_rows", lambda names: signal.raise_signal(signal.SIGTERM))
    assert main(["models"]) == 143
    assert capsys.readouterr().err == "randprune: stopped\n"
    assert signal.getsignal(signal.SIGTERM) is before


STOPPED = """
import importlib.abc, os, signal, sys

class Stop(importlib.abc.MetaPathFinder):  # comes before all that takes seconds to import
    def find_spec(self, name, *_):
        if name == "randprune_lab.cli":
            assert "torch" not in sys.modules
            signal.raise_signal(NUMBER)

sys.meta_path.insert(0, Stop())
from randprune_lab.__main__ import main
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_command_that_is_still_being_imported_ends_at_once(number):
    command = [sys.executable, "-c", STOPPED.replace("NUMBER", str(int(number)))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, done.stdout) == (128 + number, "randprune: stopped\n", "")


OPTIMIZED = """
import sys
from types import SimpleNamespace
from randprune_lab.__main__ import main
sys.modules["randprune_lab.cli"] = SimpleNamespace(main=lambda: print(sys.flags.optimize))
main()
"""


@pytest.mark.parametrize("level", ["", "1", "2"])
def test_a_command_keeps_the_docstrings_that_transformers_reads(level):
    command, environment = [sys.executable, "-c", OPTIMIZED], {**os.environ, "PYTHONOPTIMIZE": level}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == ("1\n" if level else "0\n")


def test_a_stop_before_a_command_begins_is_told_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr("randprune_lab.cli.build_parser", lambda: signal.raise_signal(signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
    try:
        assert main(["models"]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err == "randprune: stopped\n"


def test_without_locks_a_run_can_be_read_but_not_written(monkeypatch, tmp_path):
    units = {"test/dense": {"accuracy": 0.5}}
    (tmp_path / "journal.jsonl").write_text(journal_line("test/dense", units["test/dense"]))
    monkeypatch.setitem(sys.modules, "fcntl", None)  # as on Windows
    assert read_journal(tmp_path) == units and not in_use(tmp_path)
    with pytest.raises(FileError, match=r"journal\.jsonl: this system has no such locks"):
        Journal(tmp_path)
    assert read_journal(tmp_path) == units


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP], ids=["no locks", "not supported"])
def test_on_a_file_system_without_locks_a_run_can_be_read_but_not_written(monkeypatch, tmp_path, capsys, number):
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    (tmp_path / "journal.jsonl").write_text(journal_line("test/dense", {"accuracy": 0.5}))
    assert read_journal(tmp_path) == {"test/dense": {"accuracy": 0.5}} and not in_use(tmp_path)
    with pytest.raises(FileError, match=rf"{os.strerror(number)}; choose a folder on a file system with locks"):
        Journal(tmp_path)
    settings = "--preset lesson --train-size 64 --validation-size 32 --test-size 32"
    assert main(["run", *settings.split(), "--out", str(tmp_path / "run")]) == (1 if number == errno.ENOLCK else 2)
    said = capsys.readouterr().err
    assert said.startswith("randprune: cannot lock") and said.count("\n") == 1


# --- processes of a study ---


class Process:
    """A child process that notes whether it was killed."""

    killed = False

    def kill(self) -> None:
        self.killed = True


class Pool(nullcontext):
    """A pool whose work ends with an error."""

    def __init__(self, error: BaseException):
        super().__init__(self)
        self.error = error

    def submit(self, *work: object) -> Future:
        done: Future = Future()
        done.set_exception(self.error)
        return done


@pytest.fixture
def study(monkeypatch, tmp_path):
    """Runs a study in two processes whose work ends with an error; returns the user's process and the study's."""

    def run(error: BaseException) -> tuple[Process, Process]:
        other, own = Process(), Process()
        seen = iter([[other], [other, own]])
        monkeypatch.setattr("randprune_lab.study.run.ProcessPoolExecutor", lambda *settings, **more: Pool(error))
        monkeypatch.setattr("randprune_lab.study.run.active_children", lambda: next(seen))
        grid = StudyConfig(("mini-sst2",), (0,), {"imp": {"rule": "magnitude", "candidates": 1}})
        with pytest.raises((type(error), WorkerError)) as caught:
            run_study(grid, tmp_path / "study", jobs=2)
        caught.match("stop" if isinstance(error, KeyboardInterrupt) else "nothing that was finished is lost")
        return other, own

    return run


def test_an_interrupted_study_ends_its_processes_and_no_others(study):
    other, own = study(KeyboardInterrupt("stop"))
    assert own.killed and not other.killed


def test_a_killed_process_of_a_study_is_told_in_one_sentence(study):
    other, own = study(BrokenProcessPool())
    assert not (own.killed or other.killed)
