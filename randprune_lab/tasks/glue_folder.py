"""GLUE from a folder of its TSV files, in the layout that GLUE distributes."""

from __future__ import annotations

from pathlib import Path

from randprune_lab.tasks.corpus import Corpus, Row, make_rows
from randprune_lab.tasks.spec import Task
from randprune_lab.tasks.tables import read_tsv

TRAIN = "train.tsv"


def read_glue_folder(task: Task, glue_dir: Path) -> Corpus:
    """The train and dev files of a task; the test files, which have no labels, are not looked at."""
    assert task.glue is not None
    folder = glue_dir / task.glue.folder
    train, report, *further = (
        _read_file(task, folder / file) for file in (TRAIN, task.glue.report, *task.glue.further_reports)
    )
    named = dict(zip(task.further_reports, further, strict=True))
    files = zip((TRAIN, task.glue.report, *task.glue.further_reports), (train, report, *further), strict=True)
    found = {file.removesuffix(".tsv"): len(rows) for file, rows in files}
    return Corpus(f"GLUE folder {folder}", train, report, named, found)


def _read_file(task: Task, path: Path) -> list[Row]:
    assert task.glue is not None
    table = read_tsv(path, task.glue.columns, header=task.glue.header)
    return make_rows(task, str(path), ((f"{path}, line {line}", tuple(fields)) for line, fields in table))
