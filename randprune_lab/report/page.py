"""The page of one executed notebook: a single HTML file that needs no network, whatever it shows.

The only script that a browser runs on it moves the explorers. Formulas become MathML, which browsers display by
themselves. Other widgets need a kernel, so a note replaces them. Links to other notebooks, and to the documents that a
report has, lead to their pages. Links to other files of the repository become plain text, because a report is a
separate folder.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context
from latex2mathml.converter import convert as latex_to_mathml
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from traitlets.config import Config

from randprune_lab.report.around import Around, bar, contents, foot
from randprune_lab.report.notebook import described
from randprune_lab.report.passive import passive, policy_with
from randprune_lab.report.plumbing import fold
from randprune_lab.report.results import NotebookResult
from randprune_lab.report.style import CSS, PAGE_CSS
from randprune_lab.viz.page_parts import SCRIPT, STYLE

# Tags of cells that papermill adds: an error, which the failed cell shows too, and parameters, which the page names.
PAPERMILL = ("papermill-error-cell-tag", "injected-parameters")

WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
WIDGET_NOTE = '<p class="widget-note">In the notebook, this figure is interactive.</p>'

# The preferred form of an output comes first; scripts are left out.
SHOWN = ["text/html", "text/markdown", "image/svg+xml", "text/latex", "image/png", "image/jpeg", "text/plain"]

# A relative link to a file of the repository that is not in the report, such as ../docs/glossary.md.
OUTSIDE = re.compile(r"(?![a-z][a-z0-9+.-]*:|#|[^/#]+\.html(#|$))", re.IGNORECASE)

# Two commands that the converter does not know, and replacements that it does.
LATEX_SYNONYMS = {"{aligned}": "{align*}", r"\operatorname*": r"\operatorname"}

SECTION = 2  # the level of the headings in the contents
PLACE_OF_CONTENTS = "<!-- contents -->"  # cells have no comments
BOX = '<div class="scroll" tabindex="0" role="group" aria-label="{}">'
ANCHOR = re.compile(r'(?<= id=")[^"]*|(?<= href="#)[^"]*')  # in lower case, as GitHub and the site have it
FORMULA = re.compile(r'<math\b[^>]*\bdisplay="block".*?</math>', re.DOTALL)

CELLS = """
{% block input_group %}
{%- if cell.metadata.folded %}
<details class="plumbing"><summary>{{ cell.metadata.folded | escape_html }}</summary>{{ super() }}</details>
{%- else %}{{ super() }}{% endif %}
{% endblock input_group %}
{% block in_prompt %}
<div class="prompt" id="cell-{{ cell.execution_count | e }}">{{ (cell.execution_count or "") | e }}</div>
{% endblock in_prompt %}
{% block empty_in_prompt %}{% endblock empty_in_prompt %}
{% block output_area_prompt %}{% endblock output_area_prompt %}
{% block data_html %}
<div class="output_html rendered_html output_subarea">{{ output.data["text/html"] | clean_html }}</div>
{% endblock data_html %}
{% block data_latex %}{{ output.data["text/latex"] | markdown2html | clean_html }}{% endblock data_latex %}
"""
"""How cells are written; a page puts its own blocks around it."""

TEMPLATE = (
    """
{%- extends "classic/base.html.j2" -%}
{% block header %}<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{ resources.policy }}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ resources.result.title | escape_html }}</title>
<style>{{ resources.css }}</style>
</head>
{% endblock header %}
{% block body_header %}<body>
{{ resources.bar }}
<main>
{%- if resources.result.failure %}
<p class="failure">Stopped in <a href="#cell-{{ resources.result.failure.cell }}">cell
{{ resources.result.failure.cell }}</a>: {{ resources.result.failure.reason | escape_html }}</p>
{%- endif %}
{%- if resources.result.parameters.get("profile") == "smoke" %}
<p class="short">These are the numbers of the profile <code>smoke</code>, which tries in seconds that everything runs.
Most of its trainings are too short to learn; the text describes the profile <code>classroom</code>.</p>
{%- endif %}
{% endblock body_header %}
{% block any_cell %}{{ super() }}{% if loop.first %}{{ resources.place_of_contents }}{% endif %}{% endblock any_cell %}
{% block body_footer %}</main>{{ resources.foot }}
<script>{{ resources.script }}</script></body>{% endblock body_footer %}
{% block footer %}</html>{% endblock footer %}
"""
    + CELLS
)


def render_page(notebook: NotebookNode, result: NotebookResult, around: Around = Around()) -> str:  # noqa: B008
    """The page of an executed notebook, as HTML."""
    resources = {
        "result": result,
        "bar": bar(result, around),
        "foot": foot(around),
        "place_of_contents": PLACE_OF_CONTENTS,
        "css": CSS + PAGE_CSS + STYLE,
        "script": SCRIPT,
        "policy": policy_with(SCRIPT),
    }
    exporter = PageExporter(around.files)
    html, _ = exporter.from_notebook_node(fold(presentable(notebook)), resources=resources)
    return str(html).replace(PLACE_OF_CONTENTS, contents(exporter.headings), 1)


def presentable(notebook: NotebookNode) -> NotebookNode:
    """A copy of the notebook without papermill's own cells and progress bars, and with a note for each widget.

    Settings of single outputs, such as the size of a picture, are left out, but not what a picture shows in words.
    """
    notebook = copy.deepcopy(notebook)
    models = notebook.metadata.get("widgets", {}).get(WIDGET_STATE, {}).get("state", {})
    notebook.cells = [
        cell for cell in notebook.cells if not any(tag in cell.metadata.get("tags", []) for tag in PAPERMILL)
    ]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.metadata.setdefault("alt", f"Figure of cell {cell.execution_count}")
            cell.outputs = [_shown(output) for output in cell.outputs if not _is_progress(output, models)]
    return notebook


def _shown(output: NotebookNode) -> NotebookNode:
    if "data" in output:
        said = described(output)
        output.metadata = NotebookNode({"image/png": {"alt": said}} if said else {})
        if WIDGET_VIEW in output.data:
            output.data = {"text/html": WIDGET_NOTE}
    return output


def _is_progress(output: NotebookNode, models: Mapping[str, Any]) -> bool:
    """Whether an output is a progress bar, which has no information after the run."""
    view = output.get("data", {}).get(WIDGET_VIEW)
    return view is not None and any("Progress" in name for name in _model_names(view["model_id"], models))


def _model_names(model_id: str, models: Mapping[str, Any]) -> Iterator[str]:
    model = models.get(model_id, {})
    yield model.get("model_name", "")
    for child in model.get("state", {}).get("children", []):
        yield from _model_names(child.removeprefix("IPY_MODEL_"), models)


class PageExporter(HTMLExporter):
    """Writes the cells of a notebook as passive HTML.

    Args:
        files: the files that a page can lead to, by the address that a notebook has for them.
        template: what is written around the cells, which ends with `CELLS`.
        traits: traits of nbconvert's exporters, such as `exclude_input`.
    """

    def __init__(self, files: Mapping[str, str], template: str = TEMPLATE, **traits: Any) -> None:
        super().__init__(raw_template=template, **traits)
        self.files = files
        self.headings: list[tuple[str, str]] = []

    @property
    def default_config(self) -> Config:
        config = Config(super().default_config)
        config.NbConvertBase.display_data_priority = SHOWN
        config.CoalesceStreamsPreprocessor.enabled = True  # keeps the last state of a text progress bar
        config.HTMLExporter.sanitize_html = True  # by the filter clean_html
        return config

    def default_filters(self) -> Iterator[tuple[str, Any]]:
        yield from super().default_filters()
        yield "clean_html", lambda html: scrolling(passive(html))

    @pass_context
    def markdown2html(self, context: Context, source: str) -> str:
        renderer = _Renderer(self.files, context["cell"].get("attachments", {}))
        html = MarkdownWithMath(renderer=renderer).render(source)
        self.headings += renderer.headings
        return html


class _Renderer(IPythonRenderer):
    """Markdown to HTML that needs no other files: formulas as MathML, no remote pictures, no dead links."""

    def __init__(self, files: Mapping[str, str], attachments: Mapping[str, Any]) -> None:
        super().__init__(escape=False, attachments=dict(attachments))
        self.files = files
        self.headings: list[tuple[str, str]] = []

    def heading(self, text: str, level: int, **attrs: Any) -> str:
        html = ANCHOR.sub(lambda anchor: anchor[0].lower(), super().heading(text, level, **attrs))
        if level == SECTION and (anchor := re.match(r'<h2[^>]* id="([^"]*)"', html)):
            self.headings.append((anchor[1], text))
        return html

    def inline_math(self, body: str) -> str:
        return mathml(body, "inline")

    def block_math(self, body: str) -> str:
        return mathml(body, "block")

    def latex_environment(self, name: str, body: str) -> str:
        return mathml(rf"\begin{{{name}}}{body}\end{{{name}}}", "block")

    def image(self, text: str, url: str, title: str | None = None) -> str:
        missing = url.startswith("attachment:") and url.removeprefix("attachment:") not in self.attachments
        if "://" in url or missing:  # a remote picture, such as a badge, is replaced by its text
            return escape(text)
        return super().image(text, url, title)

    def link(self, text: str, url: str, title: str | None = None) -> str:
        address, mark, anchor = url.partition("#")
        page = self.files.get(address) or re.sub(r"^([^/:]+)\.ipynb$", r"\1.html", address)  # a page of this report
        if OUTSIDE.match(page + mark):
            return text
        is_here = ":" not in page
        return super().link(text, page + mark + (anchor.lower() if is_here else anchor), title)


def scrolling(html: str) -> str:
    """HTML in which what may be wider than a phone scrolls by itself, with fingers, mouse and keyboard."""
    html = html.replace("<table", f"{BOX.format('Table')}<table").replace("</table>", "</table></div>")
    return FORMULA.sub(lambda formula: f"{BOX.format('Formula')}{formula[0]}</div>", html)


def mathml(latex: str, display: str) -> str:
    """A formula as MathML, or as its source if it cannot be converted."""
    for spelling, known in LATEX_SYNONYMS.items():
        latex = latex.replace(spelling, known)
    try:
        return latex_to_mathml(latex, display=display)
    except Exception:  # the converter raises many types; then the reader sees the source
        return f"<code>{escape(latex)}</code>"
