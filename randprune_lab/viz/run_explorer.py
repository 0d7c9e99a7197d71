"""The run explorer: candidates on their way, the choice among them, and what came out of it, level by level."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import ipywidgets
from matplotlib.figure import Figure

from randprune_lab.analysis.pool_record import PoolRecord
from randprune_lab.analysis.results import differences, over_seeds
from randprune_lab.analysis.run_record import RunRecord
from randprune_lab.analysis.shipped import pool_records, recorded_results
from randprune_lab.errors import RandpruneError, RunError
from randprune_lab.search.units import DENSE
from randprune_lab.stats.confidence import assess_choice
from randprune_lab.stats.intervals import Interval, rank_correlation
from randprune_lab.viz import figures
from randprune_lab.viz.panel import Panel, Shown, control, table, warning

CONFIG = "config.json"  # what makes a folder a run
VARIABLE = "RANDPRUNE_RUN"
"""Names a run folder, or a folder of run folders, to look at beside what is recorded."""
LAST = 2
"""An early score is the mean of so many evaluations, as in the preset for lessons."""


class Source(ABC):
    """Something recorded, to be looked at position by position."""

    axis: ClassVar[str]  # what the positions are

    @property
    @abstractmethod
    def name(self) -> str: ...

    @property
    @abstractmethod
    def positions(self) -> dict[str, Any]:
        """The positions by the names that they are shown with."""

    @abstractmethod
    def show(self, position: Any) -> Shown: ...


@dataclass(eq=False)
class PoolSource(Source):
    """A pool of candidates that were all trained to the end, after so many training steps."""

    pool: PoolRecord
    axis: ClassVar[str] = "training steps"

    @property
    def name(self) -> str:
        pool = self.pool
        return f"pool: {pool.task}, {pool.sparsity:.2%}, {pool.candidates_from}"

    @property
    def positions(self) -> dict[str, Any]:
        return {str(steps): steps for steps in self.pool.at[LAST:]}

    def show(self, position: int) -> Shown:
        pool, upto = self.pool, self.pool.at.index(position) + 1
        examples = pool.examples[:, max(0, upto - LAST) : upto].mean(axis=1)
        sure = assess_choice(examples, resamples=500)
        place = 1 + int((pool.final > pool.final[sure.winner]).sum())
        rank = rank_correlation(examples.mean(axis=1), pool.final)
        rows = [
            ("chosen after so many steps", f"candidate {sure.winner} of {len(pool.final)}"),
            ("its place after a whole training", f"{place} of {len(pool.final)}"),
            ("its accuracy in the end", f"{pool.final[sure.winner]:.2%}, the mean of all {pool.final.mean():.2%}"),
            ("rank correlation, early with final", f"{rank.estimate:+.2f} [{rank.low:+.2f}, {rank.high:+.2f}]"),
        ]
        names = [str(number) for number in range(len(pool.final))]
        return Shown([figures.early_trajectories(pool, position), figures.chance_of_best(sure, names)], table(rows))


@dataclass(eq=False)
class ResultsSource(Source):
    """The recorded results of a task, level by level."""

    results: Any  # a DataFrame, as `results_table` makes it
    task: str
    axis: ClassVar[str] = "level"

    @property
    def name(self) -> str:
        return f"results: {self.task}"

    @property
    def positions(self) -> dict[str, Any]:
        return _levels(sorted(set(self.results.sparsity) - {0.0}))

    def show(self, position: float) -> Shown:
        own = self.results[(self.results.task == self.task) & (self.results.sparsity == position)]
        found = differences(self.results, position)
        rows = [
            (method, _interval(over_seeds(each, "score")), _points(found.get(str(method), {}).get(self.task)))
            for method, each in own.groupby("method", sort=False)
        ]
        pictures = [figures.scores_by_level(self.results, self.task), figures.differences_by_task(found, position)]
        return Shown(
            pictures, table(rows, ("method", f"{own.metric.iloc[0]} [95 %]", "difference from IMP (points) [95 %]"))
        )


@dataclass(eq=False)
class RunSource(Source):
    """A run folder, level by level."""

    record: RunRecord
    axis: ClassVar[str] = "level"

    @property
    def name(self) -> str:
        return f"run: {self.record.path.name}"

    @property
    def positions(self) -> dict[str, Any]:
        return {name: level for level, name in enumerate(_levels(self.record.config.levels), start=1)}

    def show(self, position: int) -> Shown:
        record, pictures, missing = self.record, list[Figure](), ""
        level = record.level(position)
        if level.candidates:
            pictures.append(figures.early_scores(record, position))
        if level.confidence is not None:
            pictures.append(figures.chance_of_best(level.confidence, [str(number) for number in level.finalists]))
        if record.finished:
            pictures.append(figures.accuracy_by_sparsity(record))
        else:
            missing = warning(f"This run is not finished; go on with: randprune run --resume --out {record.path}")
        return Shown(
            pictures,
            missing
            + table(self._rows(position), ("method", self._metric, f"{record.config.method} minus it (points) [95 %]")),
        )

    @property
    def _metric(self) -> str:
        return f"{self.record.task.primary_metric} [95 %]"

    def _rows(self, level: int) -> list[tuple[Any, ...]]:
        record, rows = self.record, list[tuple[Any, ...]]()
        ours = record.level(level).name
        names = {DENSE: DENSE} | {method: record.level(level, method).name for method in record.methods}
        for method, name in names.items():
            if name not in record.scored:
                rows.append((method, "no test score yet", ""))
                continue
            compared = name not in (DENSE, ours) and ours in record.scored
            difference = record.difference(ours, name) if compared else None
            rows.append((method, _interval(record.score(name)), _points(difference)))
        return rows


class Sources:
    """Everything that can be looked at, by name, and what could not be had."""

    def __init__(self, own: str | Path | None) -> None:
        self.problems: list[str] = []
        found = [*self._own(own), *self._shipped()]
        self.by_name: Mapping[str, Source] = {source.name: source for source in found}

    def _own(self, place: str | Path | None) -> Sequence[Source]:
        try:
            return [RunSource(RunRecord.load(folder)) for folder in run_folders(place)] if place else []
        except RandpruneError as error:
            self.problems.append(f"{VARIABLE}: {error}")
            return []

    def _shipped(self) -> Sequence[Source]:
        try:
            table = recorded_results()
            return [*map(PoolSource, pool_records()), *(ResultsSource(table, task) for task in table.task.unique())]
        except RandpruneError as error:
            self.problems.append(str(error))
            return []

    @cached_property
    def message(self) -> str:
        return "".join(map(warning, self.problems))


def run_folders(place: str | Path) -> list[Path]:
    """The run folder itself, or those in it. Raises `RunError` if there is neither."""
    place = Path(place)
    inside = sorted(path.parent for path in place.glob(f"*/{CONFIG}"))
    if not inside and not (place / CONFIG).is_file():
        raise RunError(f"{place} is no run folder and holds none; give one that `randprune run --out` wrote")
    return [place] if (place / CONFIG).is_file() else inside


def run_explorer(own: str | Path | None = None) -> ipywidgets.VBox:
    """What is recorded and, if there are some, runs of one's own: trajectories, the choice, and scores by level.

    Args:
        own: a run folder or a folder of them; without it the environment variable RANDPRUNE_RUN.
    """
    sources = Sources(own or os.environ.get(VARIABLE))
    if not sources.by_name:
        return ipywidgets.VBox([ipywidgets.HTML(sources.message)])
    first, *_ = names = list(sources.by_name)
    what = control(ipywidgets.Dropdown(description="what", options=names, value=first))
    where = control(ipywidgets.Dropdown(options=_options(sources.by_name[first])))

    def aim(source: Source) -> None:
        """Offer the source's positions, beginning at the first."""
        where.description = source.axis
        where.options = _options(source)

    def show(what: str, where: Any) -> Shown:
        source = sources.by_name[what]
        shown = source.show(where)
        return Shown(shown.pictures, sources.message + shown.numbers)

    # Before the panel listens: the positions are those of the source when all is drawn.
    what.observe(lambda change: aim(sources.by_name[change["new"]]), names="value")
    aim(sources.by_name[first])
    question = "Who was ahead when, who was chosen, and was it worth it?"
    return Panel(question, {"what": what, "where": where}, show).widget


def _options(source: Source) -> list[tuple[str, Any]]:
    return list(source.positions.items())


def _levels(levels: Sequence[float]) -> dict[str, float]:
    return {f"{100 * level:.4g} %": level for level in levels}


def _interval(found: Interval | None) -> str:
    """In three digits; nothing where nothing was compared."""
    if found is None or found.estimate != found.estimate:
        return ""
    return f"{found.estimate:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _points(found: Interval | None) -> str:
    """A difference in points; nothing where nothing was compared."""
    if found is None or found.estimate != found.estimate:
        return ""
    return f"{100 * found.estimate:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"
