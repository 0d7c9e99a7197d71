"""The commands in the documentation exist, and they accept the options and values shown."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest
from support.pages import LESSONS, PAGES, ROOT, blocks, name, text

from randprune_lab.cli import build_parser

PARSER = build_parser()
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
ENDS = {"do", "done", "#", "|", ">", "&&", ";"}
OTHERS = {"--no-deps", "--no-build", "--debug"}  # options of pip and repo2docker


def commands(path: Path, program: str) -> list[list[str]]:
    """Every call of a program on a page, as words; both in code blocks and in running text."""
    shown = [line for kind in ("", "bash", "sh") for block in blocks(path, kind) for line in joined(block)]
    shown += [line for line in joined(text(path)) if line.startswith("    ")]
    shown += [" ".join(span.split()) for span in SPAN.findall(text(path))]
    return [words(line) for line in map(str.strip, shown) if line.startswith(f"{program} ")]


def joined(block: str) -> list[str]:
    return re.sub(r"\\\n\s*", " ", block).splitlines()


def words(line: str) -> list[str]:
    # A shell variable is replaced by the words of a list: see levels in data/README.md.
    found = shlex.split(line.replace("$levels", "0.54 0.9"), comments=True)
    return found[: next((place for place, word in enumerate(found) if word in ENDS), None)]


def wrong(call: list[str]) -> str | None:
    """What is wrong with a call, or None. Required arguments may be missing, because a sentence may leave them out."""
    parser, rest = PARSER, [word for word in call[1:] if word != "--help"]
    while rest and (below := _commands(parser)) is not None:
        if rest[0].isupper():  # any command
            return None
        if rest[0].startswith("-"):
            break
        if rest[0] not in below:
            return f"no command {rest[0]}"
        parser, rest = below[rest[0]], rest[1:]
    for action in parser._actions:
        action.required = False
        if action.nargs is None and not action.option_strings:
            action.nargs = "?"
        elif action.nargs == "+" and not action.option_strings:
            action.nargs = "*"
    parser.exit_on_error = False
    try:
        _, left = parser.parse_known_args(_with_values(parser, rest))
    except SystemExit as end:  # with 0 after an option such as --version, which prints and exits
        return f"ends with {end.code}" if end.code else None
    except argparse.ArgumentError as error:
        return str(error)
    return f"not understood: {left}" if left else None


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser] | None:
    return next((action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)), None)


def _with_values(parser: argparse.ArgumentParser, rest: list[str]) -> list[str]:
    """If a call ends with an option without its value, add one of the values that it accepts."""
    action = parser._option_string_actions.get(rest[-1]) if rest else None
    if action is None or action.nargs == 0:
        return rest
    return [*rest, str(next(iter(action.choices or ["1"])))]


@pytest.mark.parametrize("page", PAGES + LESSONS, ids=name)
def test_calls_of_randprune_are_understood(page):
    assert {" ".join(call): found for call in commands(page, "randprune") if (found := wrong(call))} == {}


@pytest.mark.parametrize("page", PAGES + LESSONS, ids=name)
def test_options_in_running_text_exist(page):
    known = {option for parser in _all(PARSER) for option in parser._option_string_actions} | OTHERS
    named = {span.split()[0] for span in SPAN.findall(text(page)) if re.match(r"--[a-z]", span)}
    assert named - known == set()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_targets_of_make_exist(page):
    assert {call[1] for call in commands(page, "make")} <= set(TARGETS)


def _all(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    return [parser, *(found for below in (_commands(parser) or {}).values() for found in _all(below))]


@pytest.mark.parametrize(
    "call",
    ["randprune runn", "randprune run --levles 0.5", "randprune run --protocol none", "randprune bench mask",
     "randprune run --candidates many", "randprune exercises grade a b"],
)  # fmt: skip
def test_wrong_calls_are_noticed(call):
    assert wrong(words(call))


def test_calls_are_found():
    assert sum(len(commands(page, "randprune")) for page in PAGES) > 30
