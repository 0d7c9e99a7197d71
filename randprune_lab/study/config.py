"""The settings of a study: the tasks, seeds and methods that it compares."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import product
from pathlib import Path
from typing import Any

from randprune_lab.analysis.recorded import IN_STUDIES, RESULTS, TABLES, Primary, read_settings
from randprune_lab.errors import ConfigError, FileError, UnknownNameError, unknown_name
from randprune_lab.files import check_plain, folded, one_file
from randprune_lab.models.known import MODELS
from randprune_lab.search.config import DENSE_SETTINGS, RunConfig
from randprune_lab.search.method import check_name
from randprune_lab.tasks.spec import TASKS
from randprune_lab.typed import partial_of, typed

SHIPPED = Path(__file__).parent
CONTROLS = "controls"
"""The method name of the first unit of every task and seed: the dense model, and baselines that need no encoder."""
OWN = ("task", "seed", "baselines", "method")
"""Settings of a run that the grid sets. It has no baselines: in a study, they are methods."""
FACTORS = ("factors", "chosen")
"""The fields of a study whose methods are combinations of factors."""
PATHS = ("data", "test_data", "glue_dir")
"""Settings of a run that are paths of data."""


@dataclass(frozen=True)
class StudyConfig:
    """A grid of runs.

    Args:
        tasks: the names of the tasks; `randprune tasks` lists them. Or a mapping from names to settings, which become
            `task_settings`; with `data` among them, the name is that of custom data.
        seeds: the seeds of the runs. All runs with one seed come before those with the next.
        methods: the settings of each method by its name; they override `settings`.
        settings: the settings of every run; they override the defaults of `RunConfig` and `IN_STUDIES`.
        task_settings: the settings of single tasks; they override all others.
        baseline: the method that the others are compared with.
        contrasts: named differences between two methods, the first minus the second, for tables and figures.
        factors: for each factor, such as the criterion, the settings of each of its values by name. Each combination of
            values is a method, named after them: `{"mask": {"top": {...}, "random": {}}, "rate": {...}}` makes
            `top-1e-3` and others.
        chosen: the factor whose value is chosen on the validation set, such as the learning rate, before methods are
            compared, see `analysis.pairs`; without it, every combination is compared.
        primary: by name, the differences that the study is made to test, with their expected sizes; everything else
            that it shows is explored. They cannot be changed once the study has begun.

    Raises:
        ConfigError: if a setting is unknown, out of range, or contradicts another one.
    """

    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    methods: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    task_settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    baseline: str = "imp"
    contrasts: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    factors: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    chosen: str = ""
    primary: Mapping[str, Primary] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._take_values()
        self._check_methods()
        self._check_differences()
        for task in self.task_settings:
            if task not in self.tasks:
                raise unknown_name("task in task_settings", task, self.tasks)
        for settings in (self.settings, *self.methods.values(), *self.task_settings.values()):
            _check_settings(settings)
        self._check_runs()

    def _take_values(self) -> None:
        """Check the types of the values, and bring tasks, factors and methods into one form each."""
        for name, kind in self._types().items():
            value = typed(kind, getattr(self, name), name)
            object.__setattr__(self, name, (value or {}) if name == "settings" else _without_none(value))
        if isinstance(self.tasks, Mapping):
            given = {task: value for task, value in self.tasks.items() if value}
            if twice := [task for task in given if task in self.task_settings]:
                raise ConfigError(f"{twice[0]} has settings in tasks and in task_settings; give them in tasks alone")
            object.__setattr__(self, "tasks", tuple(self.tasks))
            object.__setattr__(self, "task_settings", {**self.task_settings, **given})
        object.__setattr__(self, "factors", {name: _without_none(values) for name, values in self.factors.items()})
        if taken := [name for name in self.factors if name in RESULTS]:
            raise ConfigError(
                f"{taken[0]!r} cannot be the name of a factor, because it is a column of results; give it another name"
            )
        if self.chosen and self.chosen not in self.factors:
            raise unknown_name("factor as chosen", self.chosen, self.factors)
        if self.chosen and len(self.factors) < 2:
            raise ConfigError(
                f"chosen {self.chosen!r} is the only factor, so that nothing is left to compare; give a second factor "
                "with the masks to compare, which may have a single value"
            )
        object.__setattr__(self, "methods", self._with_combinations())
        for name in ("tasks", "seeds", "methods"):
            values = list(getattr(self, name))
            if not values or len(set(map(repr, values))) < len(values):
                raise ConfigError(f"{name} must have at least one value, and each value once, got {values}")

    def _check_methods(self) -> None:
        for name in self.methods:
            check_name("a method", name)
            if folded(name) == CONTROLS:
                raise ConfigError(
                    f"a method must not be named {name!r}, as {CONTROLS!r} is the first unit of every task; choose "
                    "another name"
                )
        for kind, names in (("tasks", self.tasks), ("methods", self.methods)):
            if same := one_file(names):
                raise ConfigError(
                    f"{kind} {same[0]!r} and {same[1]!r} differ only in case, so that their runs would be in one "
                    "folder on macOS and Windows; give one of them another name"
                )
        if self.baseline not in self.methods:
            raise unknown_name("method as baseline", self.baseline, self.methods)
        if self.chosen and (both := [name for name in self.methods if self.compared.count(name) > 1]):
            raise ConfigError(f"{both[0]!r} is a method and also what is compared; give the method another name")

    def _check_differences(self) -> None:
        """Check the pairs of methods: the contrasts, and those that are written down before."""
        for pair in self.contrasts.values():
            for name in pair:
                if name not in self.methods:
                    raise unknown_name("method in contrasts", name, self.methods)
            if len(pair) != 2:
                raise ConfigError(f"a contrast must have two methods, the first minus the second, got {list(pair)}")
        if self.primary and len(self.seeds) < 2:
            raise ConfigError(
                "primary differences are tested over seeds, and none can be added later, so seeds must have two or "
                f"more, got {list(self.seeds)}"
            )
        for name, difference in self.primary.items():
            methods = [difference["first"], difference["second"]]
            for method in methods:
                if method not in self.compared:
                    raise unknown_name("method in primary", method, self.compared)
            if len({*methods}) < 2 or not math.isfinite(difference["expected"]):
                raise ConfigError(
                    f"primary {name!r} must have two methods and a number of expected points, got {difference}"
                )

    def _check_runs(self) -> None:
        """Check that the runs of all methods and tasks can be compared: their data, levels and dense models."""
        configs = [self.run_config(method, task, self.seeds[0]) for task in self.tasks for method in self.methods]
        for config in configs:
            if config.data is None and config.task not in TASKS:
                unknown = unknown_name("task", config.task, TASKS)
                raise UnknownNameError(f"{unknown}; for custom data, give {config.task}: {{data: FILE}} in tasks")
        if len({config.levels for config in configs}) > 1:
            raise ConfigError("all methods and tasks must have the same levels; give levels once, in settings")
        for name, difference in self.primary.items():
            if (sparsity := difference["sparsity"]) not in configs[0].levels:
                levels = ", ".join(f"{level:g}" for level in configs[0].levels)
                raise ConfigError(f"primary {name!r} has sparsity {sparsity:g}, which is no level; choose of {levels}")
        controls = {task: self.run_config(CONTROLS, task, self.seeds[0]) for task in self.tasks}
        for config in configs:
            _check_dense(config, controls[config.task])

    def _types(self) -> dict[str, Any]:
        """The type of each field; mappings without a value, as an empty key in YAML, are empty."""
        settings: Any = partial_of(RunConfig) | None
        by_name: Any = Mapping[str, settings]
        return {
            "tasks": by_name if isinstance(self.tasks, Mapping) else tuple[str, ...],
            "seeds": tuple[int, ...],
            "methods": by_name,
            "settings": settings,
            "task_settings": by_name | None,
            "baseline": str,
            "contrasts": Mapping[str, tuple[str, ...]] | None,
            "factors": Mapping[str, by_name] | None,
            "chosen": str,
            "primary": Mapping[str, Primary] | None,
        }

    @property
    def combinations(self) -> dict[str, dict[str, str]]:
        """The value of each factor, by its name, for each method that is a combination of values."""
        every = [values for values in product(*self.factors.values()) if values]
        named = {"-".join(values): dict(zip(self.factors, values, strict=True)) for values in every}
        if len(named) < len(every):
            raise ConfigError("factors: two combinations of values have the same name; use other names, without '-'")
        return named

    @property
    def compared(self) -> list[str]:
        """The methods that are compared: without the chosen factor, where there is one, and all as they are."""
        without = [
            "-".join(v for name, v in each.items() if name != self.chosen) for each in self.combinations.values()
        ]
        return [*dict.fromkeys(without if self.chosen else ()), *self.methods]

    def _with_combinations(self) -> dict[str, Mapping[str, Any]]:
        """The methods, and the combinations of the factors' values."""
        methods = dict(self.methods)
        for name, values in self.combinations.items():
            settings: dict[str, Any] = {}
            for factor, value in values.items():
                own = self.factors[factor][value]
                if twice := settings.keys() & own.keys():
                    raise ConfigError(
                        f"factors: {min(twice)} is set by {factor} and by another factor; a setting belongs to one"
                    )
                settings |= own
            if methods.setdefault(name, settings) != settings:
                raise ConfigError(f"method {name} is also a combination of the factors' values; give it another name")
        return methods

    @property
    def levels(self) -> tuple[float, ...]:
        """The sparsity of each level, the same for all runs."""
        return self.run_config(self.baseline, self.tasks[0], self.seeds[0]).levels

    def run_config(self, method: str, task: str, seed: int) -> RunConfig:
        """The settings of one run. The run of the controls prunes to the last level in one step, by magnitude."""
        by_method, by_task = self.methods.get(method, {}), self.task_settings.get(task, {})
        by_grid = {"task": task, "seed": seed, "baselines": (), "method": method}
        general = {**IN_STUDIES, **self.settings, **by_method}
        if "data" in by_task:  # beside tasks that read GLUE's folder
            general.pop("glue_dir", None)
        settings = {**general, **by_task, **by_grid}
        if method == CONTROLS:
            settings |= {"rule": "magnitude", "candidates": 1, "levels": self.levels[-1:]}
        return RunConfig(**settings)

    def to_dict(self) -> dict[str, Any]:
        """The study as plain JSON; without factors or primary differences, if it has none."""
        absent = {*(() if self.factors else FACTORS), *(() if self.primary else ("primary",))}
        return {name: value for name, value in asdict(self).items() if name not in absent}

    @classmethod
    def from_dict(cls, values: Any, source: str | Path) -> StudyConfig:
        """The study with the values from a file.

        Args:
            values: the content of the file.
            source: the file, for error messages.

        Raises:
            ConfigError: if the values are not those of a study.
        """
        known = [setting.name for setting in fields(cls)]
        if not isinstance(values, dict):
            raise ConfigError(f"{source} is not a study: it must be a mapping with {', '.join(known)}")
        for name in values:
            if name not in known:
                raise unknown_name(f"key in {source}", str(name), known)
        named = "factors" if values.get("factors") else "methods"
        if missing := [name for name in ("tasks", "seeds", named) if values.get(name) in (None, [], {})]:
            raise ConfigError(f"{source} lacks {' and '.join(missing)}; a study needs tasks, seeds and methods")
        try:
            return cls(**{name: value for name, value in values.items() if value is not None})
        except ConfigError as error:
            raise type(error)(f"{source}: {error}") from None

    @classmethod
    def load_json(cls, path: Path) -> StudyConfig:
        """The study in a file `study.json`.

        Raises:
            FileError: if the file is missing or damaged, or its format is another one.
        """
        values = {name: value for name, value in read_settings(path).items() if name != TABLES}
        return cls.from_dict(values, path).with_paths(os.path.normpath)

    @classmethod
    def load(cls, name: str | Path, **settings: Any) -> StudyConfig:
        """A study from a YAML file, or one of the built-in studies. Paths in the file are relative to its folder.

        So is a `model`, if there is such a folder beside the file.

        Args:
            name: a YAML file, or the name of a built-in study.
            settings: settings of every run that override those of the file, such as `glue_dir`.

        Raises:
            FileError: if there is no such file or study, or it cannot be read.
            ConfigError: if its values are not those of a study.
        """
        import yaml

        from randprune_lab.study.strict_yaml import read_yaml

        path = SHIPPED / f"{name}.yaml" if str(name) in built_in_studies() else Path(name)
        try:
            check_plain("study", path)
            values = read_yaml(path.read_text("utf-8"))
        except FileError:
            raise
        except OSError as error:
            raise FileError(
                f"cannot read study {path}: {error.strerror}; "
                f"give a YAML file, or one of {', '.join(built_in_studies())}"
            ) from error
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise FileError(f"study {path} is not valid YAML: {' '.join(str(error).split())}") from error

        def beside(name: str) -> str:
            return _absolute(path.parent / name)

        def model(name: str) -> str:
            return beside(name) if name and name not in MODELS and Path(beside(name)).is_dir() else name

        config = cls.from_dict(values, path).with_paths(beside).with_paths(model, ("model",))
        if isinstance(glue_dir := settings.get("glue_dir"), str):
            settings["glue_dir"] = _absolute(glue_dir)
        return replace(config, settings={**config.settings, **settings})

    def with_paths(self, change: Callable[[str], str], names: Sequence[str] = PATHS) -> StudyConfig:
        """The study with other paths.

        Args:
            change: returns the new path for each path.
            names: the settings that are paths, by default those of data.
        """

        def changed(settings: Mapping[str, Any]) -> dict[str, Any]:
            return {
                name: change(value) if name in names and isinstance(value, str) else value
                for name, value in settings.items()
            }

        return replace(
            self,
            settings=changed(self.settings),
            methods={name: changed(settings) for name, settings in self.methods.items()},
            factors={
                factor: {name: changed(settings) for name, settings in values.items()}
                for factor, values in self.factors.items()
            },
            task_settings={name: changed(settings) for name, settings in self.task_settings.items()},
        )


def built_in_studies() -> list[str]:
    """The names of the studies that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def _absolute(path: str | Path) -> str:
    """A path that is the same from any working folder; links stay as they are."""
    return os.path.normpath(Path(path).absolute())


def _without_none(value: Any) -> Any:
    """The value with empty mappings for none."""
    if value is None:
        return {}
    return {name: {} if part is None else part for name, part in value.items()} if isinstance(value, Mapping) else value


def _check_settings(settings: Mapping[str, Any]) -> None:
    for name in settings:
        if name in OWN:
            raise ConfigError(f"{name} is not a setting of a study's runs; the study's tasks, seeds and methods set it")


def _check_dense(config: RunConfig, controls: RunConfig) -> None:
    """Raise if the run of a method cannot start from the dense model of the controls."""
    for name in DENSE_SETTINGS:
        ours, theirs = getattr(config, name), getattr(controls, name)
        if ours != theirs:
            raise ConfigError(
                f"all methods start from the same data and dense model, but {config.method} has {name} {ours!r} and "
                f"the {CONTROLS} have {theirs!r}; give {name} in settings or in task_settings"
            )
