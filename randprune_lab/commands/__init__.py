"""The commands of `randprune`: their options, and what they do."""

from randprune_lab.commands import inventory, pages, runs, teaching
from randprune_lab.commands.options import INSTALL_LAB, Parser, add_plugin, machines

PARSERS = (*inventory.PARSERS, *pages.PARSERS, *teaching.PARSERS)
WITH_PLUGINS = runs.PARSERS
"""What adds the commands that take plugins."""

__all__ = ["INSTALL_LAB", "PARSERS", "WITH_PLUGINS", "Parser", "add_plugin", "machines"]
