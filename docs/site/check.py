"""Checks the built site: every link inside it leads somewhere, and no page asks another machine for anything.

`python docs/site/check.py FOLDER` prints what is wrong, one line each, and exits with 1 if anything is.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What a browser fetches without being asked, by element. A link that somebody clicks (`a`) is not among it.
FETCHED = {
    "script": ("src",),
    "img": ("src", "srcset"),
    "source": ("src", "srcset"),
    "link": ("href",),
    "iframe": ("src",),
    "embed": ("src",),
    "object": ("data",),
    "video": ("src", "poster"),
    "audio": ("src",),
}
IN_CSS = re.compile(r"""url\(\s*["']?(?P<url>[^"')]+)|@import\s+["'](?P<imported>[^"']+)""")


@dataclass
class Page(HTMLParser):
    """One page: its anchors, where it leads, and what it fetches."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        self.fetched += [given[name] for name in FETCHED.get(tag, ()) if name in given]
        self.fetched += urls_in_css(given.get("style", ""))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "style":
            self.fetched += urls_in_css(data)


def urls_in_css(text: str) -> list[str]:
    return [match["url"] or match["imported"] for match in IN_CSS.finditer(text)]


def read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text("utf-8"))
    return page


def faults(site: Path) -> Iterator[str]:
    """What is wrong with the site in this folder."""
    pages = {path: read(path) for path in sorted(site.rglob("*.html"))}
    if not pages:
        yield f"{site} has no pages"
    for path, page in pages.items():
        for url in page.links + page.fetched:
            if fault := _fault(url, path, pages, site):
                yield f"{path.relative_to(site)}: {fault}"
        yield from (f"{path.relative_to(site)}: fetches {url}" for url in page.fetched if _is_elsewhere(url))
    for path in sorted(site.rglob("*.css")):
        urls = urls_in_css(path.read_text("utf-8"))
        yield from (f"{path.relative_to(site)}: fetches {url}" for url in urls if _is_elsewhere(url))


def _is_elsewhere(url: str) -> bool:
    return url.startswith("//") or urlsplit(url).scheme not in ("", "data")


def _fault(url: str, path: Path, pages: dict[Path, Page], site: Path) -> str | None:
    """What is wrong with a link from one page to another or to a file, if anything is."""
    parts = urlsplit(url)
    if parts.scheme or parts.netloc:
        return None
    target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
    if not target.is_relative_to(site) or not target.is_file():
        return f"leads to {url}, which is not there"
    anchor = unquote(parts.fragment)
    if anchor and target in pages and anchor not in pages[target].anchors:
        return f"leads to {url}, but there is no such anchor"
    return None


def main(arguments: list[str]) -> int:
    site = Path(arguments[0]).resolve()
    found = list(faults(site))
    print(*found, sep="\n", end="\n" if found else "")
    print(f"{len(list(site.rglob('*.html')))} pages, {len(found)} faults")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
