"""What the widgets of a page share: one style, one script, and how a notebook runs without a reader."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path

HEADLESS = "RANDPRUNE_FRAMES"
"""Set where a notebook runs without a reader: to the most positions of a control that are drawn, or to "all"."""
UNTRUSTED = (
    "The controls need a script, which runs in a trusted notebook. In JupyterLab, the command is Trust Notebook."
)
"""What a reader sees where the script of a page may not run."""


def source(*names: str) -> str:
    """The text of files beside this one, joined."""
    return "".join((Path(__file__).parent / name).read_text("utf-8") for name in names)


def _alone(*names: str) -> str:
    return f"(() => {{\n{source(*names)}}})();\n"


STYLE = source("explorer.css", "predict.css")
SCRIPT = _alone("keys.js", "explorer.js", "explorer_page.js") + _alone("keys.js", "predict.js", "predict_page.js")
"""What makes the explorers of a page move, and keeps the predictions of its reader."""


def radios(names: Iterable[str], chosen: int, group: str) -> str:
    """Radio buttons, one for each name, of which the one at `chosen` is checked."""
    return "".join(
        f'<label class="rp-option"><input type="radio" name="{escape(group)}"'
        f"{' checked' if place == chosen else ''}>{escape(name)}</label>"
        for place, name in enumerate(names)
    )


def whole_page(markup: str) -> str:
    """Markup as HTML that needs nothing else: style, markup and script."""
    return f"<style>\n{STYLE}</style>\n{markup}\n<script>\n{SCRIPT}</script>"


def bundle_of(shown: object) -> tuple[dict[str, object], dict[str, object]]:
    """The data and the metadata of what a widget shows in a notebook."""
    return shown if isinstance(shown, tuple) else (shown if isinstance(shown, dict) else {}, {})
