"""Named things, such as mask rules and strategies, which register themselves when their class is defined."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator, Mapping
from dataclasses import Field, field, fields
from typing import Any, Generic, TypeVar

from randprune_lab.errors import ConfigError, UnknownNameError, unknown_name

T = TypeVar("T")


class Registry(Mapping[str, type[T]], Generic[T]):
    """Classes by name. Each class is a frozen dataclass whose fields are its settings.

    Args:
        kind: what error messages call such a class, such as "rule".
    """

    def __init__(self, kind: str):
        self.kind = kind
        self._classes: dict[str, type[T]] = {}

    def __getitem__(self, name: str) -> type[T]:
        if not isinstance(name, str) or name not in self._classes:
            raise self.unknown(name)
        return self._classes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    def __len__(self) -> int:
        return len(self._classes)

    def __contains__(self, name: object) -> bool:
        return name in self._classes

    def unknown(self, name: object) -> UnknownNameError:
        """The error for a name that is not registered."""
        return UnknownNameError(
            f"{unknown_name(self.kind, str(name), self._classes)}; define your own {self.kind} first, or load it with "
            "--plugin FILE.py"
        )

    def add(self, made: type[T]) -> None:
        """Register a class under its `name`. A class without a name is a base of others, and is not registered.

        A class that is defined again, as when a notebook's cell is run again, replaces the one before.

        Raises:
            ConfigError: if the name is no text, is inherited, or is that of a class of randprune_lab.
        """
        if "name" not in vars(made):
            if inherited := getattr(made, "name", None):
                raise ConfigError(
                    f"{self.kind} {made.__name__} has the name {inherited!r} of its base class; "
                    f"give it one of its own: name: ClassVar[str] = {made.__name__.lower()!r}"
                )
            return
        name = vars(made)["name"]
        if not isinstance(name, str) or not name:
            raise ConfigError(f"the name of {self.kind} {made.__name__} must be a text, got {name!r}")
        if name in self._classes and is_builtin(self._classes[name]) and not _same(self._classes[name], made):
            raise ConfigError(
                f"{self.kind} {made.__name__} cannot be named {name!r}: randprune_lab has a {self.kind} of that name; "
                "choose another name"
            )
        self._classes[name] = made

    def make(self, name: str, settings: Mapping[str, Any]) -> T:
        """The object of that name with these settings; raises `ConfigError` if it does not have one of them."""
        made = self[name]
        known = list(settings_of(made))
        if extra := sorted(set(settings) - set(known)):
            raise ConfigError(
                f"{self.kind} {name!r} has no setting {extra[0]!r}; its settings: {', '.join(known) or 'none'}"
            )
        return made(**settings)

    def describe(self, heading: str, without: Collection[str] = ()) -> str:
        """The names with their summaries and settings, a line or more for each, for a help text."""
        shown = {name: made for name, made in self.items() if name not in without}
        width = max(map(len, shown), default=0) + 2
        lines = [f"{name:<{width}}{_described(made)}" for name, made in shown.items()]
        return "\n".join([heading, *(textwrap.fill(line, 76, subsequent_indent=" " * width) for line in lines)])


def setting(default: Any, help: str) -> Any:
    """A field of a rule, allocation, criterion or strategy: its default, and what `--help` says of it."""
    return field(default=default, metadata={"help": help})


def settings_of(made: type[Any]) -> dict[str, Field[Any]]:
    """The settings of a class by name."""
    return {each.name: each for each in fields(made)}


def summary(made: type[Any]) -> str:
    """The first sentence of the docstring of a class, without its full stop."""
    text = " ".join((made.__doc__ or "").split())
    return text.partition(". ")[0].removesuffix(".")


def is_builtin(made: type[Any]) -> bool:
    """Whether a class is one of randprune_lab's own."""
    return made.__module__.partition(".")[0] == __name__.partition(".")[0]


def _same(first: type[Any], second: type[Any]) -> bool:
    return (first.__module__, first.__qualname__) == (second.__module__, second.__qualname__)


def _described(made: type[Any]) -> str:
    helps = {name: each.metadata.get("help") for name, each in settings_of(made).items()}
    settings = "; ".join(f"{name}: {help}" if help else name for name, help in helps.items())
    return summary(made) + (f" (settings: {settings})" if settings else "")
