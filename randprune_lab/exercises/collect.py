"""Collecting: a download of Canvas or Moodle becomes a folder with one subfolder for each student.

Canvas gives one file for each hand-in, `doeann_LATE_123_456_01_pruning.ipynb`, where 123 is the student's number.
Moodle gives such a file or a folder for each, `Ann Doe_789_assignsubmission_file_`, where 789 is another number in each
assignment. Both give them in a ZIP file.
"""

from __future__ import annotations

import logging
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from randprune_lab.errors import FileError, RunError, listed
from randprune_lab.exercises.submissions import LARGEST, one_line
from randprune_lab.files import atomic_path

log = logging.getLogger("randprune_lab")

CANVAS = re.compile(r"(?P<student>.+?)(?P<late>_LATE)?_(?P<number>\d+)_\d+_(?P<name>.+)")
MOODLE = re.compile(r"(?P<student>.+?)_(?P<number>\d+)_assignsubmission_file_?(?P<name>.*)")

NOTEBOOK = ".ipynb"
HIDDEN = (".", "/", "__MACOSX")  # also `..`, which leads out of the download


def collect(download: str | Path, out: str | Path) -> dict[str, list[Path]]:
    """Copy the notebooks of a download, a ZIP file or the folder of one, to a subfolder of `out` for each student.

    A folder `out` that exists gets more of them, so that each assignment can be collected by itself. What Canvas calls
    late is called `01_pruning (late).ipynb`. Files that are not notebooks, and files whose student is not in their name
    or folder, are logged.

    Returns:
        The copies of each student.

    Raises:
        FileError: if the download cannot be read, has no notebook of a student, or has two with the same name.
        RunError: if a copy exists with other content. Nothing is written then.
    """
    found: dict[Path, bytes] = {}
    left = []
    files = {name: (*_whose(PurePosixPath(name)), content) for name, content in _files(Path(download))}
    namesakes = Counter(
        student for student, _ in {(student, number) for student, number, *_ in files.values() if number}
    )
    for name, (student, number, file, content) in files.items():
        if student and content and file.endswith(NOTEBOOK):
            folder = f"{student}_{number}" if namesakes[student] > 1 else student
            path = Path(out) / _plain(folder) / _plain(file)
            if path in found:
                raise FileError(f"{download}: several files would be {path}; collect each student's folder by itself")
            found[path] = content
        else:
            left.append(name)
    if left:
        log.warning("%s: not collected: %s", download, listed(map(one_line, left)))
    if not found:
        raise FileError(f"{download} has no notebooks of students; give the ZIP file that Canvas or Moodle made")
    for path, content in found.items():
        if path.exists() and path.read_bytes() != content:
            raise RunError(f"{path} exists with other content; collect to an empty folder")
    students: dict[str, list[Path]] = {}
    for path, content in found.items():
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
        students.setdefault(path.parent.name, []).append(path)
    return students


def _files(download: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file; links, and those that are too large or no notebooks, have none."""
    try:
        if download.is_dir():
            for path in sorted(path for path in download.rglob("*") if not path.is_dir()):
                plain = path.name.endswith(NOTEBOOK) and path.is_file() and not path.is_symlink()
                small = plain and path.stat().st_size <= LARGEST
                yield path.relative_to(download).as_posix(), path.read_bytes() if small else b""
            return
        with zipfile.ZipFile(download) as archive:
            for entry in archive.infolist():
                if not entry.is_dir():
                    small = entry.filename.endswith(NOTEBOOK) and entry.file_size <= LARGEST
                    yield entry.filename, archive.read(entry) if small else b""
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"cannot read {download}: {reason}; give a ZIP file or a folder") from error


def _whose(path: PurePosixPath) -> tuple[str, str, str]:
    """The student whose file this is, a number that distinguishes namesakes, and what the file was called.

    The student is empty if the file is nobody's. The number is empty where none is needed.
    """
    if any(part.startswith(HIDDEN) for part in path.parts):
        return "", "", path.name
    for part in path.parts:
        if found := MOODLE.fullmatch(part):
            return found["student"], found["number"], path.name if part != path.name else found["name"]
    if len(path.parts) == 1 and (found := CANVAS.fullmatch(path.name)):
        name = PurePosixPath(found["name"])
        return (
            f"{found['student']}_{found['number']}",
            "",
            f"{name.stem} (late){name.suffix}" if found["late"] else name.name,
        )
    return (path.parts[0], "", path.name) if len(path.parts) > 1 else ("", "", path.name)


def _plain(name: str) -> str:
    """A name that no file system refuses and that stays in its folder."""
    return re.sub(r'[\x00-\x1f<>:"/\\\\|?*]', "-", one_line(name)).strip(". ") or "-"
