"""What surrounds a lesson on its page: the bar above it, its contents, and the ways to the lessons beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from randprune_lab.report.passive import passive
from randprune_lab.report.results import NotebookResult, format_duration


@dataclass(frozen=True)
class Link:
    """A page of the report, and what it is called."""

    page: str
    title: str


@dataclass(frozen=True)
class Around:
    """What a page of a report can lead to.

    Args:
        previous, next: the pages beside it; None if there is none.
        files: the files of the report, by the address that a notebook has for them in the repository.
    """

    previous: Link | None = None
    next: Link | None = None
    files: Mapping[str, str] = field(default_factory=dict)


def bar(result: NotebookResult, around: Around) -> str:
    """The navigation above a page: to the index and the pages beside it, and how the notebook was run."""
    beside = "".join(
        f'<a rel="{rel}" href="{escape(link.page)}" title="{escape(link.title)}">{text}</a>'
        for rel, link, text in (
            ("prev", around.previous, "&lsaquo; Previous"),
            ("next", around.next, "Next &rsaquo;"),
        )
        if link
    )
    return (
        '<nav class="top" aria-label="Report"><a href="index.html">&larr; All notebooks</a>'
        f"{beside}{_run(result) if result.status != 'not run' else ''}</nav>"
    )


def contents(headings: Sequence[tuple[str, str]]) -> str:
    """The sections of a lesson as links, from the anchors and the HTML of their headings."""
    items = (f'<li><a href="#{anchor}">{_plain(text)}</a></li>' for anchor, text in headings)
    rows = "".join(items)
    return f'<nav class="contents" aria-label="Contents"><p>On this page</p><ol>{rows}</ol></nav>' if rows else ""


def foot(around: Around) -> str:
    """The navigation below a page: the lessons beside it, with their titles."""
    beside = (("prev", "Previous", around.previous), ("next", "Next", around.next))
    links = "".join(
        f'<a rel="{rel}" href="{escape(link.page)}"><small>{name}</small>{escape(link.title)}</a>'
        for rel, name, link in beside
        if link
    )
    return f'<nav class="beside" aria-label="Previous and next">{links}</nav>' if links else ""


def _run(result: NotebookResult) -> str:
    parameters = "".join(f"<span>{escape(f'{name} = {value!r}')}</span>" for name, value in result.parameters.items())
    return (
        f'<span class="run"><span class="badge {result.status}">{result.status}</span>{parameters}'
        f"<span>{format_duration(result.seconds)}</span></span>"
        f'<a href="{escape(result.name)}.ipynb" download>Download</a>'
    )


def _plain(heading: str) -> str:
    return passive(re.sub(r"<[^>]*>", "", heading))
