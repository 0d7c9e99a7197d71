"""What the theme leaves out for readers with a keyboard or a screen reader: levels of headings, tables that scroll."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

AFTER_THE_THEME = 900
CHANGES = {
    'role="heading"': 'role="heading" aria-level="2"',
    '<div class="table-wrapper': '<div tabindex="0" role="group" aria-label="Table" class="scroll table-wrapper',
}
PARTS = ("body", "furo_navigation_tree")


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("html-page-context", _complete, priority=AFTER_THE_THEME)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _complete(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: nodes.document | None) -> None:
    for part in PARTS:
        for before, after in CHANGES.items():
            if part in context:
                context[part] = context[part].replace(before, after)
