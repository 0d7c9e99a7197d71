"""What docstrings of this house leave to the reader of the source: links to names, and the help on settings."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

CLASS = re.compile(r"[A-Z]\w*[a-z]\w*(\.\w+)?")
VALUES = {"attribute", "data", "property"}
BEFORE_NAPOLEON, AFTER_NAPOLEON = 400, 600


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("missing-reference", _find)
    app.connect("autodoc-process-docstring", _keep, priority=BEFORE_NAPOLEON)
    app.connect("autodoc-process-docstring", _complete, priority=AFTER_NAPOLEON)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _find(app: Sphinx, env: BuildEnvironment, node: pending_xref, shown: nodes.Element) -> nodes.reference | None:
    """`MaskSet` leads to the one documented class, or member of a class, whose name ends so."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not CLASS.fullmatch(target):
        return None
    objects = env.domains.python_domain.objects
    found = [entry for name, entry in objects.items() if name.endswith(f".{target}") and not entry.aliased]
    if len(found) != 1:
        return None
    return make_refnode(app.builder, node["refdoc"], found[0].docname, found[0].node_id, shown, target)


_docstring: list[str] = []


def _keep(app: Sphinx, what: str, name: str, what_it_is: object, options: Any, lines: list[str]) -> None:
    _docstring[:] = lines


def _complete(app: Sphinx, what: str, name: str, what_it_is: object, options: Any, lines: list[str]) -> None:
    if what in VALUES:  # of which napoleon takes what stands before a colon for a type
        lines[:] = _docstring
    elif dataclasses.is_dataclass(what_it_is):
        helps = {field.name: field.metadata["help"] for field in dataclasses.fields(what_it_is) if field.metadata}
        escaped = {field: help.replace("|", r"\|") for field, help in helps.items()}  # |x| is a substitution in reST
        lines += [f":param {field}: {help}" for field, help in escaped.items()]
