"""The run explorer: early scores of candidates, the selection among them, and test scores, level by level."""

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
from randprune_lab.analysis.results import differences, interval_kind, over_seeds
from randprune_lab.analysis.run_record import RunRecord
from randprune_lab.analysis.shipped import pool_records, recorded_results
from randprune_lab.errors import RandpruneError, RunError
from randprune_lab.search.units import DENSE
from randprune_lab.stats.confidence import assess_choice
from randprune_lab.stats.intervals import Interval, rank_correlation
from randprune_lab.stats.known import known
from randprune_lab.viz import figures
from randprune_lab.viz.panel import Panel, Shown, control, table, warning
from randprune_lab.viz.style import LABELS, percent

CONFIG = "config.json"  # a folder with this file is a run folder
VARIABLE = "RANDPRUNE_RUN"
"""The environment variable with a run folder, or a folder of run folders, to show beside the recorded results."""
LAST = 2
"""The number of evaluations that an early score is the mean of, as in the preset for lessons."""


class Source(ABC):
    """Recorded results that are shown position by position."""

    axis: ClassVar[str]  # the name of the positions, such as "level"

    @property
    @abstractmethod
    def name(self) -> str: ...

    @property
    @abstractmethod
    def positions(self) -> dict[str, Any]:
        """The positions, by the names that are shown."""

    @abstractmethod
    def show(self, position: Any) -> Shown: ...


@dataclass(eq=False)
class PoolSource(Source):
    """A pool of candidates that were all trained to the end; the positions are numbers of training steps."""

    pool: PoolRecord
    axis: ClassVar[str] = "training steps"

    @property
    def name(self) -> str:
        pool = self.pool
        return f"pool: {pool.task}, {percent(pool.sparsity)}, {pool.candidates_from}"

    @property
    def positions(self) -> dict[str, Any]:
        return {str(steps): steps for steps in self.pool.at[LAST:]}

    def show(self, position: int) -> Shown:
        pool, upto = self.pool, self.pool.at.index(position) + 1
        examples = pool.examples[:, max(0, upto - LAST) : upto].mean(axis=1)
        winner = int(examples.mean(axis=1).argmax())
        place = 1 + int((pool.final > pool.final[winner]).sum())
        rank = rank_correlation(examples.mean(axis=1), pool.final)
        rows = [
            ("selected at this step", f"candidate {winner}"),
            ("its rank after full training", f"{place} of {len(pool.final)}"),
            ("its final accuracy (points)", f"{100 * pool.final[winner]:.1f}"),
            ("mean final accuracy of all candidates (points)", f"{100 * pool.final.mean():.1f}"),
            (
                "rank correlation of early with final scores [95 %]",
                f"{rank.estimate:+.2f} [{rank.low:+.2f}, {rank.high:+.2f}]",
            ),
        ]
        names = [str(number) for number in range(len(pool.final))]
        pictures = [figures.early_trajectories(pool, position)]
        confidence, reason = known(lambda: assess_choice(examples, resamples=500))
        if confidence is not None:
            pictures.append(figures.chance_of_best(confidence, names))
        return Shown(pictures, _unsaid(reason) + table(rows))


@dataclass(eq=False)
class ResultsSource(Source):
    """The recorded results of a task; the positions are levels.

    Args:
        results: a DataFrame as `analysis.results_table` returns it.
        task: the task that is shown.
    """

    results: Any
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
            (
                LABELS.get(str(method), method),
                _score(over_seeds(each, "score", interval_kind(own))),
                _difference(found.get(str(method), {}).get(self.task)),
            )
            for method, each in own.groupby("method", sort=False)
        ]
        pictures = [figures.scores_by_level(self.results, self.task), figures.differences_by_task(found, position)]
        metric = f"{own.metric.iloc[0]} (points) [95 %]"
        return Shown(pictures, table(rows, ("method", metric, "difference from IMP (points) [95 %]")))


@dataclass(eq=False)
class RunSource(Source):
    """A run folder; the positions are levels."""

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
        confidence, reason = known(lambda: level.confidence)
        if confidence is not None:
            pictures.append(figures.chance_of_best(confidence, [str(number) for number in level.finalists]))
        missing += _unsaid(reason)
        if record.finished:
            pictures.append(figures.accuracy_by_sparsity(record))
        else:
            missing += warning(f"this run is not finished; continue with: randprune run --resume --out {record.path}")
        metric, ours = f"{record.task.primary_metric} (points) [95 %]", LABELS.get(record.config.method, "run")
        head = ("method", metric, f"{ours} minus this method (points) [95 %]")
        return Shown(pictures, missing + table(self._rows(position), head))

    def _rows(self, level: int) -> list[tuple[Any, ...]]:
        record, rows = self.record, list[tuple[Any, ...]]()
        ours = record.level(level).name
        names = {DENSE: DENSE} | {method: record.level(level, method).name for method in record.methods}
        for method, name in names.items():
            label = LABELS.get(method, method)
            if name not in record.scored:
                rows.append((label, "no test score yet", ""))
                continue
            compared = name not in (DENSE, ours) and ours in record.scored
            difference = record.difference(ours, name) if compared else None
            rows.append((label, _score(record.score(name)), _difference(difference)))
        return rows


class Sources:
    """All sources by name, and the problems of those that cannot be read.

    Args:
        own: a run folder, or a folder of run folders.
    """

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
    """The run folder itself, or the run folders in it.

    Raises:
        RunError: if there is neither.
    """
    place = Path(place)
    inside = sorted(path.parent for path in place.glob(f"*/{CONFIG}"))
    if not inside and not (place / CONFIG).is_file():
        raise RunError(f"{place} is not a run folder and contains none; give a folder that `randprune run --out` wrote")
    return [place] if (place / CONFIG).is_file() else inside


def run_explorer(own: str | Path | None = None) -> ipywidgets.VBox:
    """The explorer of the recorded results and, if there are any, of your own runs.

    Args:
        own: a run folder, or a folder of run folders; without it, the environment variable RANDPRUNE_RUN.
    """
    sources = Sources(own or os.environ.get(VARIABLE))
    if not sources.by_name:
        return ipywidgets.VBox([ipywidgets.HTML(sources.message)])
    first, *_ = names = list(sources.by_name)
    what = control(ipywidgets.Dropdown(description="results", options=names, value=first))
    where = control(ipywidgets.Dropdown(options=_options(sources.by_name[first])))

    def aim(source: Source) -> None:
        """Offer the source's positions, and select the first."""
        where.description = source.axis
        where.options = _options(source)

    def show(what: str, where: Any) -> Shown:
        source = sources.by_name[what]
        shown = source.show(where)
        return Shown(shown.pictures, sources.message + shown.numbers)

    # This is observed before the panel is, so that the panel draws a new source with one of its own positions.
    what.observe(lambda change: aim(sources.by_name[change["new"]]), names="value")
    aim(sources.by_name[first])
    question = "Which candidate led when, which was selected, and did it pay?"
    return Panel(question, {"what": what, "where": where}, show).widget


def _options(source: Source) -> list[tuple[str, Any]]:
    return list(source.positions.items())


def _levels(levels: Sequence[float]) -> dict[str, float]:
    return {percent(level): level for level in levels}


def _unsaid(reason: str) -> str:
    """Why the confidence in a choice is unknown; nothing if it is known."""
    return warning(f"how certain the choice is cannot be said, because {reason}") if reason else ""


def _score(score: Interval) -> str:
    """A score in points; nothing if there is none."""
    if score.estimate != score.estimate:
        return ""
    return score.in_points()


def _difference(difference: Interval | None) -> str:
    """A difference in points; nothing where nothing was compared."""
    if difference is None or difference.estimate != difference.estimate:
        return ""
    return difference.in_points(signed=True)
