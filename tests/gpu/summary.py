"""The two files that a GPU day gives back: a summary as text, and an archive of all results."""

from __future__ import annotations

import contextlib
import tarfile
from collections.abc import Iterable
from pathlib import Path

from gpu.steps import Result

LIMIT = 16 * 2**20
"""The largest archive in bytes."""


class Summary:
    """The summary and the archive of a folder of results; both are written again after each step.

    Args:
        out: the folder that gets `summary.txt` and `gpu-day.tar.gz`.
        results: the folder with the results.
        limit: the largest archive in bytes.
    """

    def __init__(self, out: Path, results: Path, limit: int = LIMIT):
        self.text, self.archive = out / "summary.txt", out / "gpu-day.tar.gz"
        self.results, self.limit = results, limit
        self.facts: dict[str, str] = {}
        self.steps: list[Result] = []
        self.running = ""
        self.report = ""
        out.mkdir(parents=True, exist_ok=True)
        results.mkdir(parents=True, exist_ok=True)

    def add(self, result: Result) -> None:
        """Add the result of a step, and write both files."""
        self.steps.append(result)
        self.running = ""
        self.write()

    def write(self) -> None:
        """Write both files."""
        self._replace(self.text, str(self))
        self._replace(self.results / "summary.txt", str(self))
        if left := pack(self.results, self.archive, self.limit):
            self._replace(self.text, f"{self}\nToo large for the archive: {', '.join(left)}\n")

    def __str__(self) -> str:
        width = max((len(name) for name in self.facts), default=0)
        lines = ["Versions", *(f"  {name:<{width}}  {value}" for name, value in self.facts.items()), "", "Steps"]
        for step in self.steps:
            lines.append(f"  {step.name:<18} {step.outcome:<12} {step.seconds:6.1f} s")
            lines += [f"    {part}" for part in step.note.split("\n") if part]
        if self.running:
            lines.append(f"  {self.running:<18} running")
        return "\n".join([*lines, "", self.report]).rstrip() + "\n"

    @staticmethod
    def _replace(path: Path, text: str) -> None:
        temporary = path.with_name(f".{path.name}.part")
        temporary.write_text(text, "utf-8")
        temporary.replace(path)


def pack(folder: Path, archive: Path, limit: int = LIMIT) -> list[str]:
    """Write all files of a folder to an archive, and put it in place only when it is whole.

    Args:
        folder: the folder.
        archive: the archive, a tar file with gzip.
        limit: its largest size in bytes; the largest files are left out until it fits.

    Returns:
        The files that were left out.
    """
    files = sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    left: list[str] = []
    temporary = archive.with_name(f".{archive.name}.part")
    while True:
        _write(temporary, folder, sorted(files))
        if temporary.stat().st_size <= limit or not files:
            break
        left.append(str(files.pop().relative_to(folder)))
    temporary.replace(archive)
    return left


def _write(archive: Path, folder: Path, files: Iterable[Path]) -> None:
    with tarfile.open(archive, "w:gz", compresslevel=6) as tar:
        for path in files:
            # A log may grow while it is packed, and a temporary file may vanish.
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                info = tar.gettarinfo(arcname=str(Path("gpu-day") / path.relative_to(folder)), fileobj=file)
                tar.addfile(info, file)
