"""What lies outside of the package: odd places for every path of every command, a full disk, and signals."""

from __future__ import annotations

import argparse
import errno
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from randprune_lab.cli import build_parser, main
from randprune_lab.errors import FileError
from randprune_lab.files import atomic_path, refused_by_machine

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
        (KeyboardInterrupt(), 130, "stopped"),
    ],
    ids=["full disk", "long name", "no permission", "no memory", "Ctrl-C"],
)
def test_each_kind_of_failure_has_its_exit_code(monkeypatch, capsys, error, code, message):
    def fail(names: object) -> None:
        raise error

    monkeypatch.setattr("randprune_lab.models.load.model_rows", fail)
    assert main(["models"]) == code
    said = capsys.readouterr().err
    assert said.startswith(f"randprune: {message}") and said.count("\n") == 1


def test_sigterm_stops_a_command_and_its_handler_is_put_back(monkeypatch, capsys):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("randprune_lab.models.load.model_rows", lambda names: signal.raise_signal(signal.SIGTERM))
    assert main(["models"]) == 143
    assert capsys.readouterr().err == "randprune: stopped\n"
    assert signal.getsignal(signal.SIGTERM) is before
