"""What the parsers of all commands share: wrong use in one line, and options that are made from `RunConfig`."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from randprune_lab.commands.printing import plain
from randprune_lab.errors import FileError
from randprune_lab.files import given_path
from randprune_lab.search.config import RunConfig, default_of
from randprune_lab.search.executors import EXECUTORS, IN_PROCESS
from randprune_lab.terminal import (
    say,
)

SETTINGS = dataclasses.fields(RunConfig)
INSTALL_LAB = "pip install 'randprune-lab[lab]', or in a clone pip install -e '.[lab]'"
"""What installs the packages of figures, lessons and reports."""


class Parser(argparse.ArgumentParser):
    """A parser that answers wrong use in one line, and takes no empty text: an empty path is the working directory."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.register("type", str, _text)
        self.register("type", Path, _path)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and exit."""
        say(f"{message}; {self.prog} --help lists what it takes")
        self.exit(2)


def _text(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def _path(text: str) -> Path:
    try:
        return given_path(text)
    except FileError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def command(commands: Any, name: str, run: Callable[[argparse.Namespace], int], help: str) -> argparse.ArgumentParser:
    sub: argparse.ArgumentParser = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
    sub.set_defaults(command=run, plugin=[])
    sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return sub


def add_plugin(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--plugin",
        type=Path,
        action="append",
        default=[],
        metavar="FILE.py",
        help="Python file that defines mask rules (classes that derive from rp.Rule), criteria (rp.Criterion), "
        "allocations (rp.Allocation) or strategies of your own; it is run, and recorded with its hash; repeatable",
    )


def add_executor(parser: argparse.ArgumentParser) -> None:
    where = parser.add_argument_group("Machines", "Where candidates are evaluated; equal machines give equal results.")
    where.add_argument(
        "--executor",
        choices=EXECUTORS,
        default=IN_PROCESS,
        help="in this process, or on Dask workers (default: in-process)",
    )
    where.add_argument(
        "--address",
        type=str,
        metavar="tcp://HOST:PORT",
        help="Dask scheduler to use (default: start workers on this machine)",
    )
    where.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="number of Dask workers to start on this machine (default: its cores divided by the threads of each)",
    )


def machines(options: argparse.Namespace) -> list[str]:
    """The options of `add_executor` that were given, as they are written."""
    given = {"--executor": options.executor, "--address": options.address, "--workers": options.workers}
    given = {name: value for name, value in given.items() if value is not None and value != IN_PROCESS}
    return [word for name, value in given.items() for word in (name, str(value))]


def add_fields(parser: argparse._ActionsContainer, names: Sequence[str]) -> None:
    """One option for each setting. An option that is not given leaves no trace: defaults stay in one place."""
    hints = typing.get_type_hints(RunConfig)
    for setting in SETTINGS:
        if setting.name not in names:
            continue
        default = default_of(setting)
        text = "none" if default in (None, (), {}) else plain(default)
        shown = "" if "without it" in setting.metadata["help"] else f" (default: {text})"
        parser.add_argument(
            f"--{setting.name.replace('_', '-')}",
            default=argparse.SUPPRESS,
            help=f"{setting.metadata['help']}{shown}".replace("%", "%%"),
            **_value_options(hints[setting.name]),
        )


def given_settings(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given, by name."""
    return {each.name: getattr(options, each.name) for each in SETTINGS if hasattr(options, each.name)}


def _value_options(hint: Any) -> dict[str, Any]:
    """How argparse reads a value of this type: `int | None`, `tuple[float, ...]`, `Literal[...]` or a plain type."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is bool:
        return {"action": argparse.BooleanOptionalAction}
    if origin is typing.Literal:
        return {"choices": arguments}
    if origin is tuple:
        return {**_value_options(arguments[0]), "nargs": "*", "action": _Tuple}
    if origin is Mapping:
        return {"nargs": "*", "action": _Settings, "metavar": "NAME=VALUE"}
    kind = next(kind for kind in arguments if kind is not type(None)) if origin is types.UnionType else hint
    return {"type": kind, "metavar": {int: "N", float: "X", str: "NAME"}[kind]}


class _Tuple(argparse.Action):
    """Stores several values as a tuple, as the frozen configuration has them."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        setattr(namespace, self.dest, tuple(values))


class _Settings(argparse.Action):
    """Stores `power=3 ratio=1e-4,3e-4` as a dict; several values, with commas between them, as a tuple."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        settings = {}
        for each in values:
            name, equals, text = each.partition("=")
            if not name or not equals:
                parser.error(f"argument {option_string}: must be NAME=VALUE, got {each!r}")
            parts = [_number(part) for part in text.split(",")]
            settings[name] = parts[0] if len(parts) == 1 else tuple(parts)
        setattr(namespace, self.dest, settings)


def _number(text: str) -> Any:
    """The number or truth value that a text is, or the text itself."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text
