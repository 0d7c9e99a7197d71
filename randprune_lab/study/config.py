"""What a study compares: tasks, seeds, and methods, each of which is the settings of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from randprune_lab.errors import ConfigError, FileError, unknown_name
from randprune_lab.search.config import RunConfig, check_method_name

SHIPPED = Path(__file__).parent
CONTROLS = "controls"
"""The first unit of every task and seed: the dense model, and what can be had without masks worth the name."""
OWN = ("task", "seed", "baselines", "method")
"""Settings that the grid makes, or does not use: what are a run's baselines are methods here."""
FORMAT = 2
"""The number of the format of `study.json`."""


@dataclass(frozen=True)
class StudyConfig:
    """A grid of runs.

    Args:
        tasks: as `randprune tasks` names them.
        seeds: each of the first, over all tasks, comes before any of the next.
        settings: of every run, on top of the defaults of `RunConfig`.
        methods: the settings of each method by its name, on top of those.
        task_settings: settings of single tasks, on top of all others.
        baseline: the method that the others are compared with.
        contrasts: named differences between two methods, the first minus the second, for tables and figures.
    """

    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    methods: Mapping[str, Mapping[str, Any]]
    settings: Mapping[str, Any] = field(default_factory=dict)
    task_settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    baseline: str = "imp"
    contrasts: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("tasks", "seeds", "methods"):
            values = list(getattr(self, name))
            if not values or len(set(values)) < len(values):
                raise ConfigError(f"{name} must name at least one, and each once, got {values}")
        if CONTROLS in self.methods:
            raise ConfigError(f"a method cannot be called {CONTROLS!r}, as the first unit of every task is")
        for name in self.methods:
            check_method_name(name)
        if self.baseline not in self.methods:
            raise unknown_name("method as baseline", self.baseline, self.methods)
        for pair in self.contrasts.values():
            for name in pair:
                if name not in self.methods:
                    raise unknown_name("method in contrasts", name, self.methods)
            if len(pair) != 2:
                raise ConfigError(f"a contrast must be two methods, the first minus the second, got {list(pair)}")
        for task in self.task_settings:
            if task not in self.tasks:
                raise unknown_name("task in task_settings", task, self.tasks)
        for settings in (self.settings, *self.methods.values(), *self.task_settings.values()):
            _check_settings(settings)
        configs = [self.run_config(method, task, self.seeds[0]) for task in self.tasks for method in self.methods]
        if len({config.levels for config in configs}) > 1:
            raise ConfigError("all methods and tasks must have the same levels; give them once, in settings")

    @property
    def levels(self) -> tuple[float, ...]:
        return self.run_config(self.baseline, self.tasks[0], self.seeds[0]).levels

    def run_config(self, method: str, task: str, seed: int) -> RunConfig:
        """The settings of one run; of the controls, those of the magnitude mask at the last level, at once."""
        own = self.methods.get(method, {})
        known = {"task": task, "seed": seed, "baselines": (), "method": method}
        settings = _tuples({**self.settings, **own, **self.task_settings.get(task, {}), **known})
        if method == CONTROLS:
            settings |= {"rule": "magnitude", "candidates": 1, "levels": self.levels[-1:]}
        return RunConfig(**settings)

    def to_dict(self) -> dict[str, Any]:
        """The study as plain JSON."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, values: Any, source: str | Path) -> StudyConfig:
        """The study that a YAML or JSON file has; raises `ConfigError` that names the file if it has none."""
        known = [each.name for each in fields(cls)]
        if not isinstance(values, dict):
            raise ConfigError(f"{source} is not a study: it must be a mapping with {', '.join(known)}")
        for name in values:
            if name not in known:
                raise unknown_name(f"key in {source}", str(name), known)
        if missing := [name for name in ("tasks", "seeds", "methods") if not values.get(name)]:
            raise ConfigError(f"{source} lacks {' and '.join(missing)}")
        methods = {name: settings or {} for name, settings in values["methods"].items()}
        contrasts = {name: tuple(pair) for name, pair in (values.get("contrasts") or {}).items()}
        lists = {name: tuple(values[name]) for name in ("tasks", "seeds")}
        return cls(**{**values, **lists, "methods": methods, "contrasts": contrasts})

    @classmethod
    def load_json(cls, path: Path) -> StudyConfig:
        """The study of a `study.json`.

        Raises:
            FileNotFoundError: if there is no such file.
            FileError: if it is damaged, or of another format.
        """
        text = path.read_text("utf-8")
        try:
            values = json.loads(text)
        except ValueError as error:
            raise FileError(f"{path} is damaged: {error}") from error
        if isinstance(values, dict) and (found := values.pop("format", 1)) != FORMAT:
            raise FileError(
                f"{path} has format {found}, and this version of randprune_lab reads format {FORMAT}; start the study "
                "again in another folder, or use the version that wrote it"
            )
        return cls.from_dict(values, path)

    @classmethod
    def load(cls, name: str | Path, **settings: Any) -> StudyConfig:
        """A study from a YAML file, or one of those that ship, by its name.

        Args:
            settings: of every run, on top of what the file says, such as `glue_dir`.

        Raises:
            FileError: if there is no such file and no such study, or it cannot be read.
            ConfigError: if it says what cannot be.
        """
        import yaml

        path = SHIPPED / f"{name}.yaml" if str(name) in built_in_studies() else Path(name)
        try:
            values = yaml.safe_load(path.read_text("utf-8"))
        except OSError as error:
            raise FileError(
                f"cannot read study {path}: {error.strerror}; "
                f"give a YAML file, or one of {', '.join(built_in_studies())}"
            ) from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise FileError(f"study {path} is no YAML: {' '.join(str(error).split())}") from error
        if isinstance(values, dict):
            values["settings"] = {**(values.get("settings") or {}), **settings}
        return cls.from_dict(values, path)


def built_in_studies() -> list[str]:
    """Names of the studies that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def _check_settings(settings: Mapping[str, Any]) -> None:
    known = [each.name for each in fields(RunConfig)]
    for name in settings:
        if name in OWN:
            raise ConfigError(f"{name} is not a setting of a study's runs; tasks, seeds and methods say it")
        if name not in known:
            raise unknown_name("setting", name, known)


def _tuples(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
