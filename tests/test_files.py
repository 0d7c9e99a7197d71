"""Atomic writing: the old content or the new, never half of it, and nothing left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from randprune_lab.errors import FileError
from randprune_lab.files import atomic_path, write_json


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


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
