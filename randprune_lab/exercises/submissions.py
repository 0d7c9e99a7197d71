"""The submissions of a class: which notebook of a student belongs to which exercises, and the answers in it."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from randprune_lab.errors import FileError, listed
from randprune_lab.exercises.source import Source, exercise_of, mark
from randprune_lab.notebook_file import cells_of
from randprune_lab.predictions import FILE
from randprune_lab.terminal import printable

log = logging.getLogger("randprune_lab")

LARGEST = 50 << 20  # bytes of a notebook

LONGEST = 300  # characters of a text in the table and in messages
HIDDEN = (".", "__MACOSX")  # beginnings of names that are left out; macOS adds the second one to ZIP files
LATE = " (late)"  # at the end of the name of a notebook that came after the deadline

Answers = dict[str, list[str]]  # the cells of a student, by exercise; those before the first exercise at ""
Submitted = dict[str, Answers | str]  # by the name of the source; a string says why there are no answers


def read_submissions(folder: Path, sources: Mapping[str, Source], others: Collection[str] = ()) -> dict[str, Submitted]:
    """The answers of each student to each notebook.

    Notebooks are recognized by the `grade_id` of each cell, or else by the beginning of their names. If a student
    has several for one source, one with its cells is used before one with its name alone, such as the lesson; of
    these one in time before a late one, and then the one with the source's name. Files that are not used are logged.

    Args:
        folder: a folder with one subfolder for each student.
        sources: the sources by name.
        others: names of notebooks that are not graded now, and not logged.

    Raises:
        FileError: if the folder cannot be read.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith(HIDDEN))
        students = [path for path in paths if path.is_dir()]
    except OSError as error:
        raise FileError(f"cannot read {folder}: {error.strerror}; give a folder with students' folders") from error
    _log_unused(folder, [path for path in paths if path not in students])
    return {student.name: _read_student(student, sources, others) for student in students}


def one_line(text: str) -> str:
    """The beginning of a text on one line, with escapes in place of control characters and invalid ones."""
    shown = printable(" ".join(text[: 4 * LONGEST].split()))
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 3]}..."


def _read_student(student: Path, sources: Mapping[str, Source], others: Collection[str]) -> Submitted:
    found: dict[str, dict[Path, Answers | str]] = {name: {} for name in sources}
    unused = []
    for path in sorted(files_in(student)):
        content = _read(path) if path.suffix.lower() == ".ipynb" else {}
        name = _recognize(path, content, sources)
        if name and path.suffix.lower() == ".ipynb":
            found[name][path] = content or f"{path.name} has no answers to these exercises"
        elif path.name != FILE and not path.stem.startswith(tuple(others)):
            unused.append(path)
    submitted: Submitted = {}
    for name, contents in found.items():
        ranks = {path: _rank(path, content, sources[name]) for path, content in contents.items()}
        used = [path for path, rank in ranks.items() if rank == max(ranks.values())]
        if used:
            several = f"submitted both {listed(str(path.relative_to(student)) for path in used)}; keep one"
            alike = all(contents[path] == contents[used[0]] for path in used)
            submitted[name] = contents[used[0]] if alike else several
            if isinstance(contents[used[0]], dict) and not ranks[used[0]][0]:
                log.warning(
                    "%s: %s has no cell of an exercise; is it the lesson?", one_line(student.name), used[0].name
                )
        unused += contents.keys() - used
    _log_unused(student, unused)
    return submitted


def files_in(folder: Path) -> Iterator[Path]:
    """Everything in a folder at any depth that is a file, or should be one. Hidden files are left out."""
    folders = [folder]
    while folders:
        try:
            entries = [*os.scandir(inside := folders.pop())]
        except OSError:
            yield inside
            continue
        for entry in entries:
            if not entry.name.startswith(HIDDEN):
                path, is_folder = inside / entry.name, entry.is_dir(follow_symlinks=False)
                folders += [path] * is_folder
                if not is_folder or path.suffix == ".ipynb":
                    yield path


def content_of(path: Path) -> bytes:
    """The bytes of a file that a student submitted.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is too large, or no plain file.
    """
    about = path.lstat()
    if not stat.S_ISREG(about.st_mode) or about.st_size > LARGEST:
        raise ValueError(f"expected a file of at most {LARGEST >> 20} MB, and no link; clear large outputs")
    return path.read_bytes()


def _recognize(path: Path, content: Answers | str, sources: Mapping[str, Source]) -> str | None:
    """The name of the source that a notebook answers, or is called like; None if there is none."""
    answered = set(content) if isinstance(content, dict) else set()

    def fit(name: str) -> tuple[int, int]:
        exercises = {exercise.name for exercise in sources[name].exercises}
        return len(exercises & answered), len(name) if path.stem.startswith(name) else 0

    best = max(sources, key=fit)
    return best if any(fit(best)) else None


def _rank(path: Path, content: Answers | str, source: Source) -> tuple[bool, ...]:
    """What decides between several notebooks of a student for one source: the first difference, True before False."""
    answers = content if isinstance(content, dict) else {}
    has_cells = any(exercise.name in answers for exercise in source.exercises)
    return has_cells, bool(answers), not path.stem.endswith(LATE), path.stem == source.name


def _read(path: Path) -> Answers | str:
    """The answers in a notebook, or the reason why it cannot be read."""
    answers: Answers = {}
    name = ""
    try:
        for cell in cells_of(content_of(path)):
            name = exercise_of(cell) or name
            if cell["cell_type"] == "code" and (mark(cell).get("solution") or not mark(cell)):
                answers.setdefault(name, []).append(cell["source"])
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        return f"cannot read notebook {path.name}: {reason}; save it again in JupyterLab, and hand in that file"
    return answers


def _log_unused(folder: Path, paths: Collection[Path]) -> None:
    if paths:
        notebooks_first = sorted(paths, key=lambda path: (path.suffix.lower() != ".ipynb", path))
        names = listed(str(path.relative_to(folder)) for path in notebooks_first)
        log.warning("%s: not looked at: %s", one_line(folder.name), names)
