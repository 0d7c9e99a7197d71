"""Which files of a student are graded: any notebook with the cells of a source; no file ends the reading of others."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import nbformat
import pytest

from randprune_lab.exercises import read_sources
from randprune_lab.exercises.submissions import read_submissions

NAME = "01_numbers"


@pytest.fixture
def read(sources, tmp_path, caplog):
    """A function that reads the folder `all`. It returns what is submitted, and the lines of the log."""

    def read(**options: Any) -> tuple[Any, list[str]]:
        caplog.clear()
        known = {source.name: source for source in read_sources(sources)}
        return read_submissions(tmp_path / "all", known, **options), caplog.messages

    return read


@pytest.fixture
def bob(tmp_path) -> Path:
    """The folder of a student. There is another student, with a submission."""
    for student in ("ann", "bob"):
        (tmp_path / "all" / student).mkdir(parents=True)
    return tmp_path / "all" / "bob"


@pytest.fixture
def good(numbers, bob) -> str:
    """The text of a notebook, which the other student submitted."""
    text = nbformat.writes(numbers)
    (bob.parent / "ann" / f"{NAME}.ipynb").write_text(text, encoding="utf-8")
    return text


def cell(**changes: Any) -> str:
    own = {
        "cell_type": "code",
        "metadata": {"nbgrader": {"grade_id": "one", "solution": True}},
        "source": "def one(): 1",
    }
    return json.dumps({"cells": [own | changes]})


BROKEN = {
    "null": "null",
    "list": "[]",
    "number": "42",
    "text": '"x"',
    "empty": "",
    "no cells": "{}",
    "null cells": '{"cells": null}',
    "cell of null": '{"cells": [null]}',
    "cells as an object": '{"cells": {"a": 1}}',
    "no cell type": '{"cells": [{"source": ""}]}',
    "a number as source": cell(source=7),
    "numbers as source": cell(source=[7]),
    "null as source": cell(source=None),
    "deep": "[" * 100_000,
    "deep object": '{"cells":' * 5000,
    "digits": '{"cells": ' + "1" * 5000 + "}",
    "half": cell()[:100],
    "merge conflict": "<<<<<<< HEAD\n{}\n",
    "invalid UTF-8": b'{"cells": "\xff"}',
    "UTF-16": "{}".encode("utf-16"),
    "NUL": b"\0" * 10,
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_notebook_fails_alone_with_a_reason(read, bob, good, content):
    (bob / f"{NAME}.ipynb").write_bytes(content if isinstance(content, bytes) else content.encode())
    submitted, _ = read()
    assert submitted["bob"][NAME].startswith(f"cannot read notebook {NAME}.ipynb: ")
    assert submitted["bob"][NAME].endswith("; save it again in JupyterLab, and hand in that file")
    assert set(submitted["ann"][NAME]) == {"one", "two", "three"}


def loop(path: Path) -> None:
    path.symlink_to(path)


def link(path: Path) -> None:
    path.symlink_to(path.parents[1] / "ann" / path.name)


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, loop, link, huge])
def test_what_is_not_a_plain_file_fails_alone_with_a_reason(read, bob, good, make):
    make(bob / f"{NAME}.ipynb")
    submitted, _ = read()
    assert submitted["bob"][NAME].startswith("cannot read notebook") and isinstance(submitted["ann"][NAME], dict)


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read all files")
def test_an_unreadable_file_or_folder_is_named(read, bob, good):
    for name in (f"{NAME}.ipynb", "folder"):
        (bob / name).mkdir(mode=0) if name == "folder" else (bob / name).touch(mode=0)
    submitted, lines = read()
    assert "Permission denied" in submitted["bob"][NAME] and lines == ["bob: not looked at: 'folder'"]


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata": None},
        {"metadata": {"nbgrader": None, "tags": None}},
        {"metadata": {"nbgrader": {"grade_id": None}}},
        {"metadata": {"nbgrader": {"grade_id": 5, "solution": True}}},
        {"metadata": {"nbgrader": {"grade_id": ["one"], "solution": True}}},
        {"metadata": {"nbgrader": [1]}},
        {"outputs": 5, "execution_count": "x", "id": None},
    ],
)
def test_a_cell_with_strange_metadata_does_not_spoil_the_others(read, bob, changes):
    cells = json.loads(cell())["cells"] + json.loads(cell(**changes))["cells"]
    (bob / f"{NAME}.ipynb").write_text(json.dumps({"cells": cells}))
    submitted, _ = read()
    assert submitted["bob"][NAME]["one"][0] == "def one(): 1"


@pytest.mark.parametrize("name", [f"{NAME} (1).ipynb", f"{NAME}-Copy1.ipynb", "mine.ipynb", "MINE.IPYNB", "x/ü.ipynb"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["", "with a byte order mark"])
def test_a_notebook_is_known_by_its_cells(read, bob, good, name, start):
    (bob / name).parent.mkdir(exist_ok=True)
    (bob / name).write_bytes(start + good.encode())
    submitted, lines = read()
    assert submitted["bob"] == submitted["ann"] and lines == []


def test_of_several_the_one_with_the_name_is_used_and_the_others_are_named(read, bob, good):
    for name in (NAME, f"{NAME} (1)", "old/mine"):
        (bob / name).parent.mkdir(exist_ok=True)
        (bob / f"{name}.ipynb").write_text(good)
    submitted, lines = read()
    assert submitted["bob"] == submitted["ann"]
    assert lines == [f"bob: not looked at: '{NAME} (1).ipynb', 'old/mine.ipynb'"]


@pytest.mark.parametrize("name", [f"{NAME}-1", f"mine/{NAME}", "mine"])
def test_a_lesson_of_the_same_name_does_not_replace_the_exercises(read, bob, good, name):
    (bob / f"{NAME}.ipynb").write_text(cell(metadata={}))
    submitted, lines = read()
    assert list(submitted["bob"][NAME]) == [""]
    assert lines == [f"bob: {NAME}.ipynb has no cell of an exercise; is it the lesson?"]
    (bob / name).parent.mkdir(exist_ok=True)
    (bob / f"{name}.ipynb").write_text(good)
    submitted, lines = read()
    assert submitted["bob"] == submitted["ann"] and lines == [f"bob: not looked at: '{NAME}.ipynb'"]


@pytest.mark.parametrize("late", [f"{NAME} (late)", f"{NAME}-2 (late)"])
@pytest.mark.parametrize("in_time", [NAME, f"{NAME}-1", "mine"])
def test_of_two_the_one_in_time_is_used_and_a_late_one_alone_too(read, bob, good, in_time, late):
    (bob / f"{late}.ipynb").write_text(cell())
    assert list(read()[0]["bob"][NAME]) == ["one"]
    (bob / f"{in_time}.ipynb").write_text(good)
    submitted, lines = read()
    assert submitted["bob"] == submitted["ann"] and lines == [f"bob: not looked at: '{late}.ipynb'"]


def test_what_macos_adds_to_a_zip_file_is_no_student(read, bob, good):
    for folder in (bob.parent / "__MACOSX", bob / "__MACOSX"):
        folder.mkdir()
        (folder / f"{NAME}.ipynb").write_text(good)
    submitted, lines = read()
    assert submitted.keys() == {"ann", "bob"} and submitted["bob"] == {} and lines == []


def test_none_is_used_if_two_have_the_name_and_other_answers(read, bob, good):
    for folder, content in {"a": good, "b": cell()}.items():
        (bob / folder).mkdir()
        (bob / folder / f"{NAME}.ipynb").write_text(content)
    submitted, _ = read()
    assert submitted["bob"][NAME] == f"submitted both 'a/{NAME}.ipynb', 'b/{NAME}.ipynb'; keep one"


def test_copies_with_equal_answers_are_one(read, bob, good):
    for folder, content in {"a": good, "b": json.dumps(json.loads(good), indent=4)}.items():
        (bob / folder).mkdir()
        (bob / folder / f"{NAME}.ipynb").write_text(content)
    submitted, lines = read()
    assert submitted["bob"] == submitted["ann"] and lines == []


def test_a_broken_one_does_not_replace_a_good_one(read, bob, good):
    (bob / f"{NAME}.ipynb").write_text("null")
    (bob / f"{NAME} (1).ipynb").write_text(good)
    submitted, lines = read()
    assert submitted["bob"] == submitted["ann"] and lines == [f"bob: not looked at: '{NAME}.ipynb'"]


def test_a_notebook_of_this_name_without_answers_says_so(read, bob):
    (bob / f"{NAME}.ipynb").write_text(json.dumps({"cells": []}))
    assert read()[0]["bob"] == {NAME: f"{NAME}.ipynb has no answers to these exercises"}


def test_all_other_files_are_named_except_hidden_ones_and_those_not_graded_now(read, bob, good):
    for name in ("essay.ipynb", "a.zip", ".hidden", "02_more.ipynb", f"{NAME}.py"):
        (bob / name).write_text(cell(metadata={}))
    (bob / ".ipynb_checkpoints").mkdir()
    (bob / ".ipynb_checkpoints" / f"{NAME}.ipynb").write_text(good)
    (bob.parent / "loose.ipynb").write_text(good)
    os.close(os.open(os.fsencode(bob) + b"/\xff\x1b", os.O_CREAT))
    submitted, lines = read(others=["02_more"])
    assert submitted["bob"] == {}
    assert lines == [
        "all: not looked at: 'loose.ipynb'",
        rf"bob: not looked at: 'essay.ipynb', '{NAME}.py', 'a.zip', '\udcff\x1b'",
    ]
