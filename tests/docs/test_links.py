"""Relative links lead to files that are there, and to headings of theirs; readers on GitHub rely on it too."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.pages import LESSONS, PAGES, name, prose

LINK = re.compile(r"!?\[[^]]*\]\(([^)\s]+)\)|<(?:a|img)\s[^>]*(?:href|src)=\"([^\"]+)\"")


def links(path: Path) -> list[str]:
    found = [one or other for one, other in LINK.findall(prose(path))]
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(path: Path) -> set[str]:
    """Of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(path), re.MULTILINE)
    shown = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in shown}


def fault(link: str, page: Path) -> str | None:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists():
        return f"{link}: no such file"
    if anchor and anchor not in anchors(target):
        return f"{link}: no such heading"
    return None


@pytest.mark.parametrize("page", PAGES + LESSONS, ids=name)
def test_links_lead_somewhere(page):
    assert [found for link in links(page) if (found := fault(link, page))] == []


def test_links_are_found_and_wrong_ones_noticed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# It's `so`\n[a](page.md#its-so) [b](gone.md) ![c](page.md#so) [d](https://e.org)\n```\n[f](g)\n```\n"
    )
    assert links(page) == ["page.md#its-so", "gone.md", "page.md#so"]
    assert [fault(link, page) for link in links(page)] == [
        None,
        "gone.md: no such file",
        "page.md#so: no such heading",
    ]
    assert sum(len(links(page)) for page in PAGES) > 50
