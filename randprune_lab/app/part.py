"""A part of the app: explorers of one subject, of which one is seen at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from randprune_lab.viz.explorer import Explorer


@dataclass(frozen=True)
class Table:
    """Numbers as text.

    Args:
        head: the headings of the columns.
        rows: the cells; the first of a row is its heading.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Case:
    """An explorer, and what helps to read it.

    Args:
        name: what it is called among the explorers of its part.
        explorer: the explorer.
        hints: what to try, by the name of the control.
        numbers: the numbers of all its pictures.
        warning: what is missing, if anything is.
    """

    name: str
    explorer: Explorer
    hints: Mapping[str, str]
    numbers: Table
    warning: str = ""


@dataclass(frozen=True)
class Part:
    """A part of the app.

    Args:
        key: a word for its address in the page.
        title: its heading.
        about: what it shows, and what the words in it mean.
        label: what the explorers differ in.
        cases: the explorers; where there are none, `about` says why.
    """

    key: str
    title: str
    about: str
    label: str = ""
    cases: Sequence[Case] = field(default_factory=tuple)
