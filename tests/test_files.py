"""Atomic writing: the old content or the new, never half of it, and nothing left behind."""

from __future__ import annotations

import json
import os
import platform
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

import randprune_lab as rp
from randprune_lab.errors import FileError
from randprune_lab.files import (
    atomic_path,
    give_usual_modes,
    given_path,
    one_file,
    reading,
    strict_json,
    write_json,
    write_tensors,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("second", ["stra\N{LATIN SMALL LETTER SHARP S}e", "STRASSE", "Stra\u1e9ee", "strasse"])
def test_names_are_one_file_whatever_their_case(second: str) -> None:
    assert one_file(["a", "Strasse", "b", second, "B"]) == ("Strasse", second)


def test_names_are_one_file_however_a_letter_is_written() -> None:
    assert one_file(["\u00e4", "a\u0308"]) == ("\u00e4", "a\u0308") and one_file(["\u00e4", "a", "b"]) is None


@pytest.mark.parametrize("path", ["", "a\0b", None, 5])
def test_a_path_must_be_one(path: Any) -> None:
    enter = atomic_path(path).__enter__
    for use in (lambda: given_path(path), enter, lambda: rp.export_run(path, "out"), lambda: rp.RunRecord.load(path)):
        with pytest.raises(FileError, match="a path must be a text that is not empty, got"):
            use()


def test_a_path_with_a_tilde_makes_no_folder_of_this_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    for use in (given_path, rp.MaskSet({}).save, rp.load_fast, lambda path: rp.run(rp.RunConfig(), path)):
        with pytest.raises(FileError, match=r"'~/x' begins with ~, which .* in a shell; write '/home/me/x'"):
            use("~/x")
    with pytest.raises(FileError, match="write '/home/me/x'"):
        rp.load_model("~/x", num_labels=2)
    with pytest.raises(FileError, match="write '/home/me/x'"):
        rp.RunConfig(data="~/x")
    assert not names(tmp_path) and given_path("~nobody-here/x") == Path("~nobody-here/x") != given_path("a~")


def test_the_working_directory_is_a_path() -> None:
    assert given_path(".") == given_path(Path()) == Path()


@pytest.mark.parametrize("kind", [str, Path])
def test_the_new_content_replaces_the_old_and_nothing_else_remains(tmp_path: Path, kind: type) -> None:
    for content in ("old", "new"):
        with atomic_path(kind(tmp_path / "a" / "b" / "file")) as temporary:
            temporary.write_text(content)
        assert (tmp_path / "a" / "b" / "file").read_text() == content
    assert names(tmp_path / "a" / "b") == ["file"]


def test_the_old_content_stays_until_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary != path and temporary.parent == path.parent  # so that the replacement is one step
    assert path.read_text() == "new"


@pytest.mark.parametrize("trouble", [KeyboardInterrupt, ValueError, SystemExit])
def test_whatever_interrupts_the_block_leaves_the_old_content(tmp_path: Path, trouble: type[BaseException]) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(trouble), atomic_path(path) as temporary:
        temporary.write_text("ne")
        raise trouble
    assert path.read_text() == "old" and names(tmp_path) == ["file"]


def test_a_kill_in_the_middle_leaves_the_old_content(tmp_path: Path) -> None:
    """Nothing runs after a kill, not even the clean-up: the target must not have been touched by then."""
    path = tmp_path / "file"
    path.write_text("old")
    program = f"""
import os
from randprune_lab.files import atomic_path

with atomic_path({str(path)!r}) as temporary:
    temporary.write_text("ne")
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 9
    assert path.read_text() == "old"


def test_errors_of_the_system_become_file_errors_that_name_the_target(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    for target in (tmp_path / "file" / "below", tmp_path / "folder", tmp_path / ("n" * 300)):
        with pytest.raises(FileError, match="cannot write ") as caught, atomic_path(target) as temporary:
            temporary.write_text("content")
        assert str(target) in str(caught.value)
    assert (tmp_path / "file").read_text() == "kept"
    assert names(tmp_path) == ["file", "folder"]


def test_a_block_that_writes_nothing_is_an_error_and_keeps_the_old_content(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(FileError), atomic_path(tmp_path / "file"):
        pass
    assert (tmp_path / "file").read_text() == "old"


def test_json_is_read_back_unchanged(tmp_path: Path) -> None:
    content = {"rule": "voting", "β": [1, 2.5, None, True], "nested": {"empty": {}}}
    write_json(tmp_path / "run" / "config.json", content)
    text = (tmp_path / "run" / "config.json").read_text(encoding="utf-8")
    assert json.loads(text) == content
    assert text.endswith("}\n") and '\n  "rule"' in text


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", [1])
    with pytest.raises(TypeError):
        write_json(tmp_path / "config.json", {"mask": object()})
    assert json.loads((tmp_path / "config.json").read_text()) == [1]
    assert names(tmp_path) == ["config.json"]


# --- modes ---


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
@pytest.mark.parametrize("write", [write_json, lambda path, content: write_tensors(path, {"w": np.ones(3)}, {})])
def test_a_file_has_the_mode_that_the_umask_gives(
    tmp_path: Path, umask: int, write: Callable[[Path, object], None]
) -> None:
    before = os.umask(umask)
    try:
        for _ in range(2):  # new, and replaced
            write(tmp_path / "file", 1)
            assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~umask
    finally:
        os.umask(before)


def test_all_files_of_a_folder_get_that_mode_and_links_do_not_lead_out(tmp_path: Path) -> None:
    (tmp_path / "outside").touch(0o600)
    for name in ("folder/a", "folder/deep/b"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch(0o600)
    (tmp_path / "folder" / "link").symlink_to(tmp_path / "outside")
    give_usual_modes(tmp_path / "folder")
    write_json(tmp_path / "usual", 1)
    usual = stat.S_IMODE((tmp_path / "usual").stat().st_mode)
    assert [stat.S_IMODE((tmp_path / "folder" / name).stat().st_mode) for name in ("a", "deep/b")] == [usual, usual]
    assert stat.S_IMODE((tmp_path / "outside").stat().st_mode) == 0o600


# --- what killed processes left ---


def test_what_killed_processes_left_of_a_file_is_removed_when_it_is_written_again(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    dead, host = int(done.stdout), platform.node()
    killed = f"""
import os
from randprune_lab.files import atomic_path
with atomic_path({str(tmp_path / "file")!r}) as temporary:
    temporary.write_text("ne")
    os._exit(9)
"""
    subprocess.run([sys.executable, "-c", killed], check=False)
    assert len(names(tmp_path)) == 1
    others = [
        f".other.{dead}.tmp",
        f".file.{os.getppid()}.tmp",
        f".file.{dead}@elsewhere.tmp",
        ".file.x.tmp",
        ".file.tmp",
    ]
    for name in (f".file.{dead}.tmp", f".file.{dead}@{host}.tmp", *others):
        (tmp_path / name).write_text("ne")
    write_json(tmp_path / "file", 1)
    assert names(tmp_path) == sorted(["file", *others])


# --- what is no plain file ---


def special(folder: Path) -> dict[str, Path]:
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    (folder / "real").write_text("kept")
    (folder / "loop").symlink_to("loop")
    (folder / "link").symlink_to("real")
    (folder / "dangling").symlink_to("nowhere")
    return {name: folder / name for name in ("pipe", "folder", "loop", "link", "dangling")} | {
        "device": Path("/dev/null")
    }


def test_links_pipes_folders_and_devices_are_not_replaced(tmp_path: Path) -> None:
    targets = special(tmp_path)
    before = {name: path.lstat().st_mode for name, path in targets.items()}
    for name, path in targets.items():
        with pytest.raises(FileError, match=f"cannot write {path}: it is ") as caught:
            write_json(path, 1)
        assert "a link; give the file itself" in str(caught.value) or name in ("pipe", "folder", "device")
    assert {name: path.lstat().st_mode for name, path in targets.items()} == before
    assert (tmp_path / "real").read_text() == "kept" and not (tmp_path / "nowhere").exists()


def test_reading_waits_for_no_pipe_and_names_what_is_no_file(tmp_path: Path) -> None:
    targets = special(tmp_path)
    messages = {
        "pipe": "not a plain file",
        "folder": "a folder",
        "device": "not a plain file",
        "dangling": "there is no",
    }
    for name, message in (messages | {"loop": "cannot read mask file"}).items():
        with pytest.raises(FileError, match=message) as caught, reading("mask file", targets[name]):
            raise AssertionError("the block must not run")
        assert str(targets[name]) in str(caught.value)
    with reading("mask file", targets["link"]):
        assert targets["link"].read_text() == "kept"


@pytest.mark.parametrize("name", ["", "a\0b", "\ud800"])
def test_names_that_no_file_can_have_are_refused(name: str) -> None:
    with pytest.raises(FileError, match="a path must be a text that is not empty"):
        write_json(name, 1)
    with pytest.raises(FileError, match="a path must be a text that is not empty"), reading("mask file", name):
        pass


# --- tensors and JSON ---


@pytest.mark.parametrize("library", [np, torch])
def test_tensors_and_metadata_are_written_in_one_order(tmp_path: Path, library: Any) -> None:
    tensors = {"b": library.ones((2, 3)), "a": library.zeros(1)}
    metadata = {name: f'{name} "quoted" \\ \t \x7f ü 🎉' for name in ("z", "format", "ü", "a\n", "\x01")}
    contents = set()
    for order in (1, -1) * 4:
        write_tensors(tmp_path / "file", dict([*tensors.items()][::order]), dict([*metadata.items()][::order]))
        contents.add((tmp_path / "file").read_bytes())
    assert len(contents) == 1
    with safe_open(str(tmp_path / "file"), framework="numpy") as file:
        assert file.metadata() == metadata
        assert {name: file.get_tensor(name).tolist() for name in file.keys()} == {  # noqa: SIM118
            name: tensor.tolist() for name, tensor in tensors.items()
        }


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 2}', '[{"b": {"a": 1, "a": 1}}]', "NaN", "[Infinity]", "-Infinity", "{", ""]
)
def test_json_that_no_program_writes_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        strict_json(text)
    assert strict_json('{"a": [1, 2.5, null], "b": {"a": "NaN"}}') == {"a": [1, 2.5, None], "b": {"a": "NaN"}}
