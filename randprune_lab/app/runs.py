"""The app's part about your own runs: candidates and scores, level by level, drawn from the records of the runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from randprune_lab.analysis.run_record import RunRecord
from randprune_lab.app.part import Case, Part, Table
from randprune_lab.errors import RunError
from randprune_lab.search.recorded_config import CONFIG, resume_command
from randprune_lab.search.units import DENSE
from randprune_lab.terminal import printable
from randprune_lab.viz import figures
from randprune_lab.viz.controls import choice
from randprune_lab.viz.explorer import Explorer
from randprune_lab.viz.style import LABELS, percent

ABOUT = (
    "Above, the early scores of the candidates at a level; the selected one is blue. Below, the test scores of all "
    "methods with 95 % intervals; the shaded one is this level."
)
HINTS = {
    "level": "Go from the first level to the last. Did the selected candidate lead from the start? Where do the "
    "methods begin to differ, and by more than their intervals?"
}


def run_records(places: Sequence[Path]) -> list[RunRecord]:
    """The records of runs.

    Args:
        places: run folders, or folders of run folders.

    Raises:
        RunError: if there is no run in a place, or the same run is given twice.
        FileError: if a file of a run is damaged.
    """
    folders = [folder for place in places for folder in _folders(place)]
    for folder in folders:
        if sum(folder.resolve() == other.resolve() for other in folders) > 1:
            raise RunError(f"{folder} is given twice; give each run once")
    return [RunRecord.load(folder) for folder in folders]


def _folders(place: Path) -> list[Path]:
    if (place / CONFIG).is_file():
        return [place]
    inside = sorted(path.parent for path in place.glob(f"*/{CONFIG}"))
    if not inside:
        raise RunError(f"{place} is not a run folder and contains none; give a folder that `randprune run --out` wrote")
    return inside


def runs_part(records: Sequence[RunRecord]) -> Part:
    """The part about runs: an explorer for each."""
    names = [record.path.name for record in records]
    cases = tuple(
        _case(record, name if names.count(name) == 1 else str(record.path))
        for record, name in zip(records, names, strict=True)
    )
    title = "Your run" if len(cases) == 1 else "Your runs"
    return Part("runs", title, ABOUT, "run", cases)


def _case(record: RunRecord, name: str) -> Case:
    levels = {percent(sparsity): number for number, sparsity in enumerate(record.config.levels, start=1)}
    controls = {"number": choice("level", levels, len(levels))}
    shown = printable(name)
    explorer = Explorer(f"{shown}: who was selected, and did it pay?", partial(figures.run_level, record), controls)
    again = f"It is not finished; go on with: {resume_command(record.path)}"
    missing = [] if record.finished else [again]
    about = f"Task {record.task.name}, model {record.config.model}, seed {record.config.seed}."
    warning = printable(" ".join([about, *missing, *record.warnings]))
    return Case(shown, explorer, {"number": HINTS["level"]}, _numbers(record), warning)


def _numbers(record: RunRecord) -> Table:
    own = LABELS.get(record.config.method, record.config.method)
    metric = f"{record.task.primary_metric}, test set (points) [95 %]"
    head = ("method", "sparsity", metric, f"{own} − this method (points) [95 %]", "training steps of the winner")
    return Table(head, list(_rows(record)))


def _rows(record: RunRecord) -> Iterator[tuple[Any, ...]]:
    if DENSE in record.scored:
        yield LABELS[DENSE], percent(0), record.score(DENSE).in_points(), "", ""
    for number, sparsity in enumerate(record.config.levels, start=1):
        ours = record.level(number).name
        for method in record.methods:
            level = record.level(number, method)
            label = LABELS.get(method, method)
            if level.name not in record.scored:
                yield label, percent(sparsity), "not scored yet", "", ""
                continue
            compared = level.name != ours and ours in record.scored
            difference = record.difference(ours, level.name).in_points(signed=True) if compared else ""
            yield label, percent(sparsity), record.score(level.name).in_points(), difference, level.steps
