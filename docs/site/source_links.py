"""Links to files that are no pages: to the source as the site shows it, or else to the repository."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import download_reference, pending_xref
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

REPOSITORY = "https://github.com/randprune-lab/randprune_lab/blob/HEAD"
EXERCISES = "notebooks/exercises/"
PAGES = {"randprune_lab/masks": "docs/reference/masks.html"}  # folders that have a page

BEFORE_VIEWCODE = 400


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_transform(SourceLinks)
    app.connect("html-collect-pages", _forget_modules_without_source, priority=BEFORE_VIEWCODE)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _forget_modules_without_source(app: Sphinx) -> list[Any]:
    """Of `builtins`, say, which the index of sources would name."""
    modules = getattr(app.env, "_viewcode_modules", {})
    for name in [name for name, entry in modules.items() if not entry]:
        del modules[name]
    return []


class SourceLinks(SphinxTransform):
    default_priority = 5  # before downloads are collected

    def apply(self, **_: Any) -> None:
        links = [*self.document.findall(download_reference), *self.document.findall(pending_xref)]
        for link in links:
            path = self._path(link)
            if path is not None:
                link.replace_self(nodes.reference("", "", *link.children, internal=False, refuri=self._address(path)))

    def _path(self, link: nodes.Element) -> str | None:
        """Where a Markdown link to a file or folder leads, from the repository's root; None for other links."""
        if link.get("reftype") != "myst":
            return None
        if link.get("refdomain") == "doc":  # a notebook, of which the exercises are no pages
            page = link["reftarget"]
            return f"{page}.ipynb" if page.startswith(EXERCISES) and page not in self.env.found_docs else None
        here = posixpath.dirname(self.env.docname)
        path = posixpath.normpath(posixpath.join(here, link["reftarget"]))
        return path if (Path(self.env.srcdir) / path).exists() else None

    def _address(self, path: str) -> str:
        page = PAGES.get(path)
        if path.startswith("randprune_lab/") and path.endswith(".py") and not path.endswith("/__init__.py"):
            page = f"_modules/{path.removesuffix('.py')}.html"  # by sphinx.ext.viewcode
        if page is None:
            return f"{REPOSITORY}/{path}"
        return posixpath.relpath(page, posixpath.dirname(self.env.docname) or ".")
