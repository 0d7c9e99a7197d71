"""Collecting: a download of Canvas or Moodle becomes a folder with one subfolder for each student.

Canvas gives one file for each hand-in, `doeann_LATE_123_456_01_pruning.ipynb`, where 123 is the student's number.
Moodle gives such a file or a folder for each, `Ann Doe_789_assignsubmission_file_`, where 789 is another number in each
assignment. Both give them in a ZIP file. A ZIP file that was unpacked and packed again may have all of it in a folder.
"""

from __future__ import annotations

import logging
import re
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from randprune_lab.errors import FileError, RunError, listed
from randprune_lab.exercises.submissions import HIDDEN, LARGEST, LATE, one_line
from randprune_lab.files import atomic_path

log = logging.getLogger("randprune_lab")

CANVAS = re.compile(r"(?P<student>.+?)(?P<late>_LATE)?_(?P<number>\d+)_\d+_(?P<name>.+)")
MOODLE = re.compile(r"(?P<student>.+?)_(?P<number>\d+)_assignsubmission_file_?(?P<name>.*)")

NOTEBOOK = ".ipynb"
UTF_8 = 0x800  # the flag of a name in a ZIP file


def collect(download: str | Path, out: str | Path) -> dict[str, list[Path]]:
    """Copy the notebooks of a download, a ZIP file or the folder of one, to a subfolder of `out` for each student.

    A folder `out` that exists gets more of them, so that each assignment can be collected by itself. What Canvas calls
    late is called `01_pruning (late).ipynb`. Folders that a student submitted in Moodle are kept. Files that are not
    notebooks, and files whose student is not in their name or folder, are logged.

    Returns:
        The copies of each student.

    Raises:
        FileError: if the download cannot be read, has no notebook of a student, or has two with the same name.
        RunError: if a copy exists with other content. Nothing is written then.
    """
    found: dict[Path, bytes] = {}
    left = []
    contents = [
        (PurePosixPath(unicodedata.normalize("NFC", name)), content) for name, content in _files(Path(download))
    ]
    outer = _outer_folder([path for path, _ in contents])
    files = [(path, *whose(_inside(outer, path)), content) for path, content in contents]
    namesakes = Counter(student for student, _ in {(student, number) for _, student, number, *_ in files if number})
    for name, student, number, file, content in files:
        if student and content and _is_notebook(file.name):
            folder = f"{student}_{number}" if namesakes[student] > 1 else student
            path = Path(out, *map(_plain, (folder, *file.parts)))
            if path in found:
                raise FileError(f"{download}: several files would be {path}; collect each student's folder by itself")
            found[path] = content
        else:
            left.append(name)
    if left:
        log.warning("%s: not collected: %s", download, listed(one_line(str(path)) for path in left))
    if not found:
        raise FileError(f"{download} has no notebooks of students; give the ZIP file that Canvas or Moodle made")
    for path, content in found.items():
        if path.exists() and path.read_bytes() != content:
            raise RunError(f"{path} exists with other content; collect to an empty folder")
    students: dict[str, list[Path]] = {}
    for path, content in found.items():
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
        students.setdefault(path.relative_to(out).parts[0], []).append(path)
    return students


def _files(download: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file; links, and those that are too large or no notebooks, have none."""
    try:
        if download.is_dir():
            for path in sorted(path for path in download.rglob("*") if not path.is_dir()):
                plain = _is_notebook(path.name) and path.is_file() and not path.is_symlink()
                small = plain and path.stat().st_size <= LARGEST
                yield path.relative_to(download).as_posix(), path.read_bytes() if small else b""
            return
        with zipfile.ZipFile(download) as archive:
            for entry in archive.infolist():
                if not entry.is_dir():
                    small = _is_notebook(entry.filename) and entry.file_size <= LARGEST
                    yield _name(entry), archive.read(entry) if small else b""
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"cannot read {download}: {reason}; give a ZIP file or a folder") from error


def _name(entry: zipfile.ZipInfo) -> str:
    """The name of a file in a ZIP file. That of macOS is UTF-8 without the flag that says so."""
    try:
        return entry.filename if entry.flag_bits & UTF_8 else entry.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return entry.filename


def _is_notebook(name: str) -> bool:
    return name.lower().endswith(NOTEBOOK)


def _outer_folder(paths: Sequence[PurePosixPath]) -> PurePosixPath:
    """The folder in the download that has all students in it, or the download itself."""
    shown = [path for path in paths if path.parts and not _is_hidden(path)]
    first = {path.parts[0] for path in shown}
    students = {whose(PurePosixPath(*path.parts[1:]))[:2] for path in shown} - {("", "")}
    outer = len(first) == 1 and len(students) > 1 and not any(map(MOODLE.fullmatch, first))
    return PurePosixPath(*first if outer else ())


def _inside(outer: PurePosixPath, path: PurePosixPath) -> PurePosixPath:
    return path.relative_to(outer) if path.is_relative_to(outer) else path


def _is_hidden(path: PurePosixPath) -> bool:
    """Whether a file is nobody's: hidden, or outside of the download."""
    return path.is_absolute() or any(part.startswith(HIDDEN) for part in path.parts)


def whose(path: PurePosixPath) -> tuple[str, str, PurePosixPath]:
    """The student whose file in a download this is, a number that distinguishes namesakes, and its own name.

    The student is empty if the file is nobody's. The number is empty where none is needed.
    """
    name = PurePosixPath(path.name)
    if _is_hidden(path):
        return "", "", name
    for place, part in enumerate(path.parts, start=1):
        if found := MOODLE.fullmatch(part):
            return found["student"], found["number"], PurePosixPath(*path.parts[place:] or [found["name"]])
    if len(path.parts) == 1 and (found := CANVAS.fullmatch(path.name)):
        name = PurePosixPath(found["name"])
        late = PurePosixPath(f"{name.stem}{LATE}{name.suffix}")
        return f"{found['student']}_{found['number']}", "", late if found["late"] else name
    return (path.parts[0], "", name) if len(path.parts) > 1 else ("", "", name)


def _plain(name: str) -> str:
    """A name that no file system refuses and that stays in its folder."""
    return re.sub(r'[\x00-\x1f<>:"/\\\\|?*]', "-", one_line(name)).strip(". ") or "-"
