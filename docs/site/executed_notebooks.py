"""The course with its figures: a page shows the notebook as a report has executed it, if there is one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
from sphinx.application import Sphinx
from sphinx.util import logging

from randprune_lab.report.page import SHOWN, presentable, scrolling
from randprune_lab.report.plumbing import fold

FOLDER = "notebooks/"
WITHOUT_RESULTS = """
:::{{note}}
This page shows the notebook without results, because there was no report.
Run `make report`, then `make docs` again. {{download}}`Download the notebook <{name}.ipynb>`
:::"""
WITH_RESULTS = """
:::{{note}}
These are the results of `make report PROFILE={profile}`. The explorers answer in this page, without a kernel.
{{download}}`Download the notebook <{name}.ipynb>`
:::"""

logger = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_config_value("report_folder", "reports/classroom", "env")
    app.connect("source-read", _replace)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _replace(app: Sphinx, docname: str, content: list[str]) -> None:
    if not docname.startswith(FOLDER) or app.env.doc2path(docname, base=False).suffix != ".ipynb":
        return
    notebook, name = nbformat.reads(content[0], as_version=4), Path(docname).name
    report = Path(app.srcdir) / app.config.report_folder
    executed = report / f"{name}.ipynb"
    note = WITHOUT_RESULTS.format(name=name)
    if executed.is_file():
        notebook = _with_results(notebook, executed, docname)
        profile = json.loads((report / "summary.json").read_text("utf-8"))["profile"]
        note = WITH_RESULTS.format(name=name, profile=profile)
    notebook.cells[0].source += f"\n{note}"
    notebook = _with_folded_plumbing(notebook)
    content[0] = nbformat.writes(notebook)


def _with_folded_plumbing(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    notebook = fold(notebook)
    for cell in notebook.cells:
        if "folded" in cell.metadata:
            shown = cell.metadata.pop("folded")
            cell.metadata.tags = [*cell.metadata.tags, "hide-input"]
            closed = {"code_prompt_show": shown, "code_prompt_hide": shown}
            cell.metadata["mystnb"] = {**cell.metadata.get("mystnb", {}), **closed}
    return notebook


def _with_results(committed: nbformat.NotebookNode, path: Path, docname: str) -> nbformat.NotebookNode:
    executed = presentable(nbformat.read(path, as_version=4))
    if [cell.source for cell in executed.cells] != [cell.source for cell in committed.cells]:
        logger.warning(
            "%s was made from another version of this notebook; run `make report` again", path, location=docname
        )
    for cell in executed.cells:
        if cell.cell_type == "code":
            if any(output.output_type == "error" for output in cell.outputs):
                logger.warning("%s failed; fix it and run `make report` again", path, location=docname)
            for output in cell.outputs:
                if "data" in output:
                    output.data = {kind: content for kind, content in output.data.items() if kind in SHOWN}
                    if "text/html" in output.data:
                        output.data["text/html"] = scrolling(output.data["text/html"])
            said = [one.metadata["image/png"]["alt"] for one in cell.outputs if "image/png" in one.get("metadata", {})]
            cell.metadata["mystnb"] = {"image": {"alt": " ".join(said) or cell.metadata["alt"]}}
    return executed
