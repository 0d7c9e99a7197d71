"""The command line, `randprune ...`.

Exit codes: 0 done; 1 failed, or refused by the machine (a full disk, no permission to write, no memory, a killed
process of a study or of Dask); 2 what the user can fix; 130 and 143 stopped by Ctrl-C and by SIGTERM.
"""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version

from randprune_lab.commands import INSTALL_LAB, PARSERS, WITH_PLUGINS, Parser, add_plugin, machines
from randprune_lab.errors import RandpruneError
from randprune_lab.files import refused_by_machine
from randprune_lab.plugins import load_plugin
from randprune_lab.search.recorded_config import resume_command
from randprune_lab.terminal import (
    LogFormatter,
    OutputError,
    Terminated,
    brief,
    say,
    say_lost,
    stoppable,
    terminal,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code."""
    try:
        with terminal(), stoppable():
            options = build_parser().parse_args(arguments)
            options.arguments = [*(sys.argv[1:] if arguments is None else arguments)]
            return _run_command(options)
    except OutputError as error:
        say_lost(error)
        return 1
    except KeyboardInterrupt as stop:  # before the command began, or when it had ended
        say("stopped")
        return _code_of(stop)


def _run_command(options: argparse.Namespace) -> int:
    _quiet_libraries()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogFormatter())
    if not options.debug:
        handler.addFilter(brief)
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("randprune_lab").setLevel(logging.INFO)
    try:
        for plugin in options.plugin:
            load_plugin(plugin)
        return options.command(options)
    except KeyboardInterrupt as stop:
        say(f"stopped{_how_to_go_on(options)}")
        return _code_of(stop)
    except OutputError:
        raise
    except Exception as error:
        if options.debug:
            raise
        message, code = _answer(error)
        say(message)
        return code


def _code_of(stop: KeyboardInterrupt) -> int:
    return 143 if isinstance(stop, Terminated) else 130


def _how_to_go_on(options: argparse.Namespace) -> str:
    """What continues a stopped run or study, if it has recorded anything."""
    if options.name == "run":
        with suppress(RandpruneError):  # nothing is recorded, or it is not the run that was asked for
            return f"; go on with: {resume_command(options.out, *machines(options))}"
    looks = options.name == "study" and (options.status or options.verify)
    if options.name == "study" and not looks and (options.out / "study.json").is_file():
        again = [*options.arguments, *([] if options.resume else ["--resume"])]
        return f"; go on with: randprune {shlex.join(map(str, again))}"
    return ""


def _answer(error: Exception) -> tuple[str, int]:
    """The line for an error, and the exit code."""
    if isinstance(error, RandpruneError):
        return str(error), 1 if refused_by_machine(error) else 2
    if isinstance(error, MemoryError):
        return "there is not enough memory; take a smaller model, or fewer processes (--jobs)", 1
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        code = 1 if refused_by_machine(error) else 2
        return f"cannot use {os.fsdecode(error.filename)}: {error.strerror} (--debug shows where)", code
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("randprune_lab"):
        return f"this needs the package {error.name!r}, which is not installed; run {INSTALL_LAB}", 2
    return f"{type(error).__name__}: {error} (--debug shows where)", 1


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands. Options of `run` are made from `RunConfig`."""
    parser = Parser(
        prog="randprune",
        description="Prune transformers with random masks: draw many masks, evaluate each early, keep the best.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('randprune-lab')}")
    commands = parser.add_subparsers(title="commands", dest="name", required=True, metavar="COMMAND")
    for add in WITH_PLUGINS:
        add_plugin(add(commands))
    for add in PARSERS:
        add(commands)
    return parser


def _quiet_libraries() -> None:
    """A command's output is its own: no library chatter, no progress bars of downloads."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")


if __name__ == "__main__":
    sys.exit(main())
