"""The units of a study, the most informative first, and their progress."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from randprune_lab.analysis.recorded import FILE, TABLES, read_settings, write_settings
from randprune_lab.analysis.run_record import RunRecord
from randprune_lab.errors import FileError, RunError
from randprune_lab.files import given_path
from randprune_lab.search.config import SCORE_SETTINGS, RunConfig
from randprune_lab.search.journal import JOURNAL, in_use, read_journal
from randprune_lab.search.recorded_config import CONFIG
from randprune_lab.search.units import DENSE, MODEL, Units, levels_done
from randprune_lab.study.config import CONTROLS, FACTORS, StudyConfig
from randprune_lab.study.controls import BARE

State = Literal["done", "recorded", "running", "begun", "waiting", "damaged"]


class Unit(NamedTuple):
    """One run of a study: a method, or the controls, on a task with a seed."""

    method: str
    task: str
    seed: int

    def __str__(self) -> str:
        return f"{self.method} {self.task} seed {self.seed}"


@dataclass(frozen=True)
class Progress:
    """The progress of a unit.

    Args:
        state: done; recorded (elsewhere); running (in some process); begun (and stopped); waiting; or damaged.
        levels: the number of trained levels.
        of: the number of all levels.
    """

    state: State
    levels: int
    of: int

    @property
    def open(self) -> bool:
        """Whether the unit is still to be done."""
        return self.state not in ("done", "recorded")


@dataclass(frozen=True)
class Grid:
    """A study and its folder, where `study.json` has its settings.

    Args:
        config: the settings of the study.
        path: the folder.
        recorded: units that need not be done, because their results are recorded elsewhere.
    """

    config: StudyConfig
    path: Path
    recorded: frozenset[Unit] = frozenset()
    _done: dict[Unit, tuple[int, int] | None] = field(default_factory=dict, init=False, repr=False, compare=False)
    """When the journals of units that are done were last changed, and their sizes: they are not read again."""

    @classmethod
    def open(cls, config: StudyConfig, path: str | Path, *, resume: bool = False) -> Grid:
        """Begin a study in a new folder, or continue one. Any number of processes may do so at the same time.

        A study may grow: tasks, seeds and methods may be added at the end, and so may values of factors.

        Args:
            config: the settings of the study.
            path: the folder.
            resume: continue the study in the folder.

        Raises:
            RunError: if the folder exists and `resume` is not given, or it has another study.
            FileError: if the folder cannot be written, or its `study.json` is damaged.
        """
        path = given_path(path)
        recorded = cls.check(config, path, resume=resume)
        if recorded is None or recorded.to_dict() != config.to_dict():
            write_settings(path / FILE, config.to_dict(), {})
        return cls(config, path)

    @classmethod
    def check(cls, config: StudyConfig, path: Path, *, resume: bool) -> StudyConfig | None:
        """The settings of the study that a folder has; None if there is none yet. Raises as `open` does."""
        if (path / FILE).is_file() and resume:
            recorded = cls.load(path).config
            check_grown(recorded, config, path)
            return recorded
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            hint = "go on with --resume, or choose" if (path / FILE).is_file() else "it holds no study; choose"
            raise RunError(f"{path} exists already; {hint} another folder")
        return None

    @classmethod
    def load(cls, path: str | Path, *, recorded: frozenset[Unit] = frozenset()) -> Grid:
        """The study in a folder.

        Raises:
            RunError: if the folder holds no study.
            FileError: if its `study.json` is damaged.
        """
        path = given_path(path)
        file = path / FILE
        if not file.is_file():
            raise RunError(f"{path} holds no study: it has no {FILE}; start one with `randprune study`")
        if read_settings(file)[TABLES]:
            raise RunError(f"{path} holds the record of a study, which no study can work in; give it as --record")
        return cls(StudyConfig.load_json(file), path, recorded)

    @cached_property
    def units(self) -> list[Unit]:
        """All units, seed by seed: first the controls of all tasks, then all methods of one task after the other.

        So what is done at any time can be compared.
        """
        tasks, methods = self.config.tasks, self.config.methods
        return [
            unit
            for seed in self.config.seeds
            for unit in (
                *(Unit(CONTROLS, task, seed) for task in tasks),
                *(Unit(method, task, seed) for task in tasks for method in methods),
            )
        ]

    def run_config(self, unit: Unit) -> RunConfig:
        """The settings of the run of a unit."""
        return self._run_configs[unit]

    @cached_property
    def _run_configs(self) -> dict[Unit, RunConfig]:
        return {unit: self.config.run_config(*unit) for unit in self.units}

    def folder(self, unit: Unit) -> Path:
        """The run folder of a unit."""
        return self.path / "runs" / f"{unit.task}-seed-{unit.seed}" / unit.method

    def controls_of(self, unit: Unit) -> Unit:
        """The controls unit, which trains the dense model of a unit."""
        return unit._replace(method=CONTROLS)

    def dense_of(self, unit: Unit) -> Path | None:
        """The folder that has the dense model of a unit; None for controls.

        It is that of the controls. If scores are summed up over its training, it is that of another method of the same
        task and seed that has summed them up already, if there is one.
        """
        if unit.method == CONTROLS:
            return None
        config = self.run_config(unit)
        for method in self.config.methods if config.accumulated else ():
            other = unit._replace(method=method)
            same = all(getattr(self.run_config(other), name) == getattr(config, name) for name in SCORE_SETTINGS)
            if same and "scores_sha256" in self.journal(other).get(DENSE, {}):
                return self.folder(other)
        return self.folder(self.controls_of(unit))

    def journal(self, unit: Unit) -> dict[str, Any]:
        """The results of the run of a unit, by the names of the run's units; none if its journal is damaged."""
        return self._read(unit)[0]

    def damage(self, unit: Unit) -> FileError | None:
        """What is wrong with the journal of a unit, or with what tables read of one that is done; None if nothing is.

        Only work on the unit itself raises it.
        """
        done, damage = self._read(unit)
        if _last(unit) not in done:
            return damage
        try:
            self._record(unit)
        except FileError as error:
            return error
        except RunError:  # as a plugin that is not given: who needs the unit raises it
            return None
        return None

    def _record(self, unit: Unit) -> RunRecord:
        """The run of a unit that is done; raises `FileError` if something that tables read of it is damaged."""
        if not (file := self.folder(unit) / CONFIG).exists():
            raise FileError(f"{file} is missing")
        record = RunRecord.load(self.folder(unit))
        for name in (*record.trained, *([BARE] if unit.method == CONTROLS else ())):
            record.answers(name)
        return record

    def again(self, unit: Unit) -> str:
        """How a damaged unit is done again."""
        return f"delete {self.folder(unit)}, then --resume does {unit} again"

    def _read(self, unit: Unit) -> tuple[Units, FileError | None]:
        try:
            return read_journal(self.folder(unit)), None
        except FileError as error:
            return {}, error

    def progress(self, unit: Unit) -> Progress:
        """The progress of a unit."""
        levels, stamp = len(self.run_config(unit).levels), _stamp(self.folder(unit) / JOURNAL)
        if stamp is not None and self._done.get(unit) == stamp:
            return Progress("done", levels, levels)
        done, damage = self._read(unit)
        state: State = "waiting"
        if _last(unit) in done:
            state, self._done[unit] = "done", stamp
        elif self._recorded(unit):
            state = "recorded"
        elif damage is not None:
            state = "damaged"
        elif self.folder(unit).exists():
            state = "running" if in_use(self.folder(unit)) else "begun"
        return Progress(state, levels_done(done, unit.method), levels)

    def states(self) -> dict[Unit, Progress]:
        """The progress of all units."""
        return {unit: self.progress(unit) for unit in self.units}

    def is_done(self, unit: Unit, journal: dict[str, Any]) -> bool:
        """Whether nothing of a unit with this journal is left to do."""
        return _last(unit) in journal or self._recorded(unit)

    def _recorded(self, unit: Unit) -> bool:
        """Whether a unit is recorded. Controls are, if all units that start from their dense model are."""
        methods = self.config.methods if unit.method == CONTROLS else [unit.method]
        return all(unit._replace(method=method) in self.recorded for method in methods)

    def finished(self) -> Iterator[Unit]:
        """The units that are done in this folder."""
        return (unit for unit in self.units if self.progress(unit).state == "done")

    def records(self) -> dict[Unit, RunRecord]:
        """The runs of the units that are done in this folder, without damaged ones."""
        found = {}
        for unit in self.finished():
            with suppress(FileError):
                found[unit] = self._record(unit)
        return found

    @property
    def has_results(self) -> bool:
        """Whether a unit other than controls is done in this folder."""
        return any(unit.method != CONTROLS for unit in self.finished())


def _last(unit: Unit) -> str:
    """The entry of a unit's journal that is written last."""
    return CONTROLS if unit.method == CONTROLS else MODEL


def _stamp(file: Path) -> tuple[int, int] | None:
    """When a file was last changed, and its size; None if it cannot be found."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def planned_steps(config: RunConfig, rows: int) -> int:
    """The largest number of training steps of a run with `rows` train rows, without those of the dense model."""
    batches = -(-rows // config.batch_size)
    early = config.candidates * config.early_epochs * batches if config.candidates > 1 else 0
    return len(config.levels) * (int(early * config.strategy().steps_fraction) + config.epochs * batches)


def check_same_study(grid: Grid, asked: StudyConfig) -> None:
    """Raise `RunError` unless the study in a folder is `asked`, or `asked` with something added at the end.

    A folder of GLUE that is not given is that of the study.
    """
    glue_dir = {name: value for name, value in grid.config.settings.items() if name == "glue_dir"}
    check_grown(grid.config, replace(asked, settings={**glue_dir, **asked.settings}), grid.path)


def check_grown(recorded: StudyConfig, asked: StudyConfig, path: Path) -> None:
    """Raise `RunError` unless a study has everything that it had before, unchanged and in the same order.

    A new value of a factor makes methods that come between those that the study had.
    """
    old, new = recorded.to_dict(), asked.to_dict()
    if old.get("primary") != new.get("primary"):
        raise RunError(
            f"{path} has another study: primary was {old.get('primary') or 'not given'} and is now "
            f"{new.get('primary') or 'not given'}; it is written down before a study and cannot change; choose another "
            "folder"
        )
    if old.get("primary") and any(old.get(name) != new.get(name) for name in ("tasks", "seeds", *FACTORS)):
        raise RunError(
            f"{path} has another study, with other tasks, seeds or factors: it has primary differences, which are "
            "judged once, when all that it began with is done; choose another folder"
        )
    for name in old.keys() - {"contrasts", *FACTORS}:  # factors only make methods
        if isinstance(old[name], tuple):
            same = new[name][: len(old[name])] == old[name]
        elif name == "methods":
            kept = [each for each in new[name].items() if each[0] in old[name] or each[0] not in asked.combinations]
            same = kept[: len(old[name])] == list(old[name].items())
        elif name == "task_settings":  # those of new tasks are new
            same = {task: settings for task, settings in new[name].items() if task in old["tasks"]} == old[name]
        else:
            same = new[name] == old[name]
        if not same:
            raise RunError(
                f"{path} has another study: {name} were {old[name]!r} and are now {new[name]!r}; "
                "a study may only grow at the end; choose another folder"
            )
