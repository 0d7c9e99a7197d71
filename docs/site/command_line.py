"""The directive `command-line`: the help of every command, as the parser itself writes it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from randprune_lab.cli import build_parser

COLUMNS = "88"


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class CommandLine(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        with patch.dict(os.environ, COLUMNS=COLUMNS):
            return [self._section(parser) for parser in _commands(build_parser())]

    def _section(self, parser: argparse.ArgumentParser) -> nodes.section:
        title, text = parser.prog, parser.format_help()
        shown = nodes.literal_block(text, text, language="text")
        return nodes.section("", nodes.title(title, title), shown, ids=[nodes.make_id(title)], names=[title])


def _commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Every command below `parser`, those of commands that have commands of their own among them."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield command
                yield from _commands(command)
