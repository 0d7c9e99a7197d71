"""What Sphinx and the theme leave out for readers with a keyboard or a screen reader.

Headings get their level, tables scroll with the keyboard, and the parameters of a signature are no list of definitions.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

AFTER_THE_THEME = 900
CHANGES = {
    'role="heading"': 'role="heading" aria-level="2"',
    '<div class="table-wrapper': '<div tabindex="0" role="group" aria-label="Table" class="scroll table-wrapper',
}
PARAMETERS = re.compile(r'<dl>\n((?:<dd><em class="sig-param">.*</dd>\n)+)</dl>')
PARTS = ("body", "furo_navigation_tree")


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("html-page-context", _complete, priority=AFTER_THE_THEME)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _complete(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: nodes.document | None) -> None:
    for part in PARTS:
        if part in context:
            for before, after in CHANGES.items():
                context[part] = context[part].replace(before, after)
            context[part] = PARAMETERS.sub(_lines, context[part])


def _lines(parameters: re.Match[str]) -> str:
    return parameters[1].replace("<dd>", '<span class="sig-line">').replace("</dd>", "</span>")
