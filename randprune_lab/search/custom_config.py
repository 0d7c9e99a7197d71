"""The settings of a search with training functions of the user, as its folder records them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from randprune_lab.criteria import Criterion, Custom, make_criterion
from randprune_lab.errors import ConfigError, check_count
from randprune_lab.masks.allocations import Allocation, as_allocation
from randprune_lab.masks.rules import Rule, make_rule
from randprune_lab.masks.structures import find_structure
from randprune_lab.search.base_level import Choice
from randprune_lab.search.method import check_levels
from randprune_lab.search.selection import Score
from randprune_lab.search.strategies import Strategy, make_strategy


@dataclass(frozen=True)
class CustomConfig:
    """The settings of a `MaskSearch`, which has their meaning. Functions are not among them.

    Raises:
        ConfigError: if a setting is out of range, or contradicts another one.
    """

    kind: ClassVar[str] = "randprune mask search"
    method: ClassVar[str] = "search"

    levels: tuple[float, ...]
    candidates: int
    rules: tuple[Rule, ...]
    criterion: Criterion
    allocation: Any
    strategy: Strategy
    seed: int
    steps: int
    early_steps: int
    evaluate_every: int | None
    keep_best: bool
    include: tuple[str, ...] | None
    exclude: tuple[str, ...]
    types: tuple[Any, ...] | None
    structure: str | None = None

    def __post_init__(self) -> None:
        check_levels(self.levels)
        for level in self.levels:
            find_structure(self.structure).sparsity(level, as_allocation(self.allocation))
        for name in ("candidates", "steps", "early_steps"):
            check_count(name, getattr(self, name))
        if self.evaluate_every is not None:
            check_count("evaluate_every", self.evaluate_every)
        check_count("seed", self.seed, low=0, high=2**62)
        _ = self.needs_examples  # this checks the settings of the strategy

    @property
    def scope(self) -> dict[str, Any]:
        """What chooses the weights to prune, as `prunable` takes it."""
        return {"include": self.include, "exclude": self.exclude, "types": self.types}

    @property
    def choice(self) -> Choice:
        """How the candidates of a level are compared."""
        score: Score = getattr(self.strategy, "score", "metric")
        return Choice(self.strategy, self.evaluate_every or 1, score, getattr(self.strategy, "last", 1))

    @property
    def needs_examples(self) -> bool:
        """Whether the strategy compares scores of examples."""
        if self.candidates == 1:
            return False
        stages = self.strategy.stages(self.candidates, self.early_steps, self.choice.every)
        return any(stage.needs_examples for stage in stages)

    @property
    def classes(self) -> tuple[type[Any], ...]:
        """The classes of the rules, the strategy, the criterion and the allocation."""
        return (*map(type, self.rules), *map(type, (self.strategy, self.criterion, as_allocation(self.allocation))))

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain JSON."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: _plain(value) for name, value in values.items()}


def as_levels(levels: Any) -> tuple[float, ...]:
    """The sparsities of the levels.

    Raises:
        ConfigError: if they are no list.
    """
    if isinstance(levels, str) or not hasattr(levels, "__iter__"):
        raise ConfigError(f"levels must be a list of sparsities, got {levels!r}")
    return tuple(levels)


def as_rules(rule: str | Rule | Sequence[Rule]) -> tuple[Rule, ...]:
    """The rules that candidates use cyclically.

    Raises:
        ConfigError: if there is none, or something else is given.
    """
    rules = tuple(rule) if isinstance(rule, list | tuple) else (rule,)
    made = tuple(make_rule(each) if isinstance(each, str) else each for each in rules)
    if not made or not all(isinstance(each, Rule) for each in made):
        raise ConfigError(f"rule must be a rule such as rp.Voting(1e-3), or a list of rules, got {rule!r}")
    return made


def as_criterion(criterion: Any) -> Criterion:
    """The criterion, which may be given by its name, or as scores or a function as `Custom` takes them.

    Raises:
        ConfigError: if it is something else.
    """
    if isinstance(criterion, str):
        return make_criterion(criterion)
    return criterion if isinstance(criterion, Criterion) else Custom(criterion)


def as_strategy(strategy: str | Strategy) -> Strategy:
    """The strategy, which may be given by its name.

    Raises:
        ConfigError: if it is something else.
    """
    found = make_strategy(strategy) if isinstance(strategy, str) else strategy
    if not isinstance(found, Strategy):
        raise ConfigError(f"strategy must be a name such as 'halving', or a strategy, got {strategy!r}")
    return found


def _plain(value: Any) -> Any:
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, Allocation):
        return {"allocation": value.name, **{each.name: _plain(getattr(value, each.name)) for each in fields(value)}}
    if isinstance(value, type):
        return value.__qualname__
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value
