"""GLUE from a folder of its TSV files, in the layout that GLUE distributes."""

from __future__ import annotations

from pathlib import Path

from randprune_lab.tasks.corpus import Corpus, Row, make_rows
from randprune_lab.tasks.spec import Task
from randprune_lab.tasks.tables import read_tsv


def read_glue_folder(task: Task, glue_dir: Path) -> Corpus:
    """The train and dev files of a task; the test files, which have no labels, are not read.

    Raises:
        DataError: if a file is missing or damaged, or a row cannot be parsed.
    """
    assert task.glue is not None
    folder = glue_dir / task.glue.folder
    found: dict[str, int] = {}
    train, test, *further = (
        _read_file(task, folder / file, found) for file in ("train.tsv", task.glue.test, *task.glue.further_tests)
    )
    named = dict(zip(task.further_tests, further, strict=True))
    return Corpus(f"GLUE folder {folder}", train, test, named, found)


def _read_file(task: Task, path: Path, found: dict[str, int]) -> list[Row]:
    """The rows of a file; their number is added to `found`."""
    assert task.glue is not None
    torn: list[str] = []
    table = read_tsv(path, task.glue.columns, header=task.glue.header, torn=torn if task.glue.torn_rows else None)
    rows = make_rows(task, str(path), table)
    found[path.stem] = len(rows)
    if torn:
        found[f"{path.stem} (torn lines)"] = len(torn)
    return rows
