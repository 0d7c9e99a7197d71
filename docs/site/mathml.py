"""Formulas as MathML, as in the report: browsers draw it themselves."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from randprune_lab.report.page import mathml, scrolling


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def _block(translator: Any, node: nodes.math_block) -> None:
    translator.body.append(scrolling(mathml(node.astext(), "block")))
    raise nodes.SkipNode
