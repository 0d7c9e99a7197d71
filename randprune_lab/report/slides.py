"""Slides of an executed notebook: one HTML file that needs no network, with its figures and explorers.

The headings make the slides, so a lesson needs no marks. A section begins with a slide of its heading, its first
paragraph, and what is to be predicted. Each output of its code is a slide after that. All other text, and the code, are
the speaker's notes of the slide that they follow. The tags `slide`, `notes` and `skip` of a cell overrule this.
"""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import nbformat

from randprune_lab.errors import ConfigError, FileError, RunError, listed, unknown_name
from randprune_lab.files import atomic_path
from randprune_lab.notebook_file import read_notebook
from randprune_lab.report import notebook as read
from randprune_lab.report.build import PROFILES
from randprune_lab.report.page import CELLS, WIDGET_NOTE, PageExporter, presentable
from randprune_lab.report.passive import policy_with
from randprune_lab.report.plumbing import is_plumbing
from randprune_lab.report.runner import run_notebooks
from randprune_lab.report.style import CSS, PAGE_CSS
from randprune_lab.viz.page_parts import SCRIPT, STYLE

if TYPE_CHECKING:
    from nbformat import NotebookNode

log = logging.getLogger("randprune_lab")

SLIDE, NOTES, SKIP = "slide", "notes", "skip"
"""Tags of cells: all its text, or its code too, is shown; it is in the notes alone; it is left out."""
PREDICTION = "prediction"
"""The tag of a cell whose output belongs on the slide before it: a form to its question, the truth to its figure."""
LONGEST = 650
"""The most characters of text on a slide; a paragraph that begins in bold goes to another one then, with its list."""
MUCH, MOST = 420, 700
"""Numbers of characters from which letters are smaller."""
TRY = "**Try it"
"""The beginning of a paragraph that is shown together with the explorer after it."""
ASIDE = ("**[", "**Time**", "**Needs**", "**Beside it**", "**Exercises", "**In a class", "**Where to go next")
"""Beginnings of paragraphs that help a reader, and are only in the notes."""
OPENING = re.compile(r"\*\*|>|\$\$|\||!\[|###|```|[*-]\s|\d+\.\s")
"""The beginning of what a slide shows besides the first paragraph: bold text, quotations, formulas, tables, lists."""
POINT = re.compile(r"[*-]\s|\d+\.\s")
HEADING = re.compile(r"(#{1,2})\s+(.+)")
ANCHOR = re.compile(r'<a class="anchor-link".*?</a>', re.DOTALL)
LINK = re.compile(r'<a\b[^>]*\bhref="(?!https?:|mailto:)[^"]*"[^>]*>(.*?)</a>', re.DOTALL)
BARE = (
    '{%- extends "classic/base.html.j2" -%}{% block header %}{% endblock header %}'
    "{% block body_header %}{% endblock body_header %}{% block body_footer %}{% endblock body_footer %}"
    "{% block footer %}{% endblock footer %}"
)


def _source(name: str) -> str:
    return (Path(__file__).parent / name).read_text("utf-8")


STYLE_OF_SLIDES = _source("slides.css")
SCRIPT_OF_SLIDES = f"(() => {{\n{_source('slides.js')}}})();\n"


@dataclass
class Slide:
    """A slide before it is written.

    Args:
        where: the heading of its section.
        shown: what it shows, as cells.
        notes: what its speaker sees, as cells.
        heading: whether it begins a section, and shows its heading.
        waits: whether the next output belongs on it.
        coded: whether the code of its cells is shown.
    """

    where: str = ""
    shown: list[NotebookNode] = field(default_factory=list)
    notes: list[NotebookNode] = field(default_factory=list)
    heading: bool = False
    waits: bool = False
    coded: bool = False

    @property
    def drawn(self) -> bool:
        """Whether it shows an output."""
        return any(cell.cell_type == "code" for cell in self.shown)

    @property
    def length(self) -> int:
        """The characters of its text."""
        return sum(len(cell.source) for cell in self.shown if cell.cell_type == "markdown")


def write_slides(source: str, out: Path | None, *, report: Path, notebooks: Path, profile: str) -> tuple[Path, int]:
    """Write the slides of a lesson.

    Args:
        source: a notebook, or the beginning of a lesson's name, such as "06". A notebook that has not run is run first.
        out: the HTML file; None for one named after the lesson, in this folder.
        report: the folder of a report, whose notebooks have run.
        notebooks: the folder of the notebooks, for a lesson that the report does not have.
        profile: the profile that a notebook is run with.

    Returns:
        The file and the number of slides.

    Raises:
        ConfigError: if `out` does not end in .html, or several lessons begin with the name.
        UnknownNameError: if there is no such lesson or profile.
        FileError: if a file cannot be read or written.
        RunError: if the notebook fails.
    """
    path = find_notebook(source, [report, notebooks])
    out = out or Path(f"{path.stem}-slides.html")
    if out.suffix != ".html":
        raise ConfigError(f"--out must be a file that ends in .html, got {out.name!r}")
    if profile not in PROFILES:
        raise unknown_name("profile", profile, PROFILES)
    notebook = read_notebook(path)
    if not _has_run(notebook) and path.parent == report:  # it failed there, or is still running
        path = find_notebook(source, [notebooks])
        notebook = read_notebook(path)
    if not _has_run(notebook):
        notebook = _executed(path, profile)
    slides = slides_of(notebook)
    with atomic_path(out) as temporary:
        temporary.write_text(render_slides(slides, read.title(notebook, path.stem)), "utf-8")
    return out, len(slides)


def find_notebook(source: str, folders: Sequence[Path]) -> Path:
    """The notebook of a name: a file, or the only one in the first folder that has some that begin so.

    Raises:
        ConfigError: if there are several in that folder.
        UnknownNameError: if there is none.
        FileError: if there is no notebook at all.
    """
    if source.endswith(".ipynb"):
        return Path(source)
    known = {folder: sorted(folder.glob("*.ipynb")) for folder in folders}
    for paths in known.values():
        found = [path for path in paths if path.stem.startswith(source)]
        if len(found) > 1:
            raise ConfigError(f"{source!r} begins the names of {listed(path.stem for path in found)}; write more of it")
        if found:
            return found[0]
    if not any(known.values()):
        places = " and ".join(map(str, known))
        raise FileError(f"there are no notebooks in {places}; give their folder with --notebooks, or a notebook itself")
    raise unknown_name("lesson", source, {path.stem for paths in known.values() for path in paths})


def _has_run(notebook: NotebookNode) -> bool:
    """Whether all of its code has run without an error."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    failed = any(output.output_type == "error" for cell in code for output in cell.outputs)
    return not failed and all(cell.execution_count for cell in code)


def _executed(path: Path, profile: str) -> NotebookNode:
    """The notebook after it has run in a report of its own."""
    log.info("%s has not run; running it in the profile %s", path.name, profile)
    with TemporaryDirectory() as folder:
        (result,) = run_notebooks([path], Path(folder), {}, profile, PROFILES[profile])
        if result.failure:
            raise RunError(f"{path} failed in {result.failure}; its slides need a notebook that runs")
        return read_notebook(Path(folder) / path.name)


def slides_of(notebook: NotebookNode) -> list[Slide]:
    """The slides of a notebook that has run."""
    slides = [Slide()]
    for cell in presentable(notebook).cells:
        tags = cell.metadata.get("tags", [])
        if SKIP in tags:
            continue
        if cell.cell_type == "markdown":
            _add_text(slides, cell, tags)
        elif cell.cell_type == "code":
            _add_code(slides, cell, tags)
    return [slide for slide in slides if slide.shown]


def _add_text(slides: list[Slide], cell: NotebookNode, tags: Sequence[str]) -> None:
    first = False
    parts = [*blocks(cell.source)]
    for block, after in zip(parts, [*parts[1:], ""], strict=True):
        part = nbformat.v4.new_markdown_cell(block)
        part.attachments = cell.get("attachments", {})
        if heading := HEADING.match(block):
            slides.append(Slide(heading[2], [part], heading=True))
            first = True
            continue
        bold, now = block.startswith("**"), slides[-1]
        size = len(block) + (len(after) if POINT.match(after) else 0)
        shown = SLIDE in tags or (NOTES not in tags and not block.startswith(ASIDE) and (first or OPENING.match(block)))
        first = False
        if not shown:
            now.notes.append(part)
            continue
        if now.drawn or block.startswith(TRY) or (bold and now.length + size > LONGEST):
            slides.append(Slide(now.where))
        slides[-1].shown.append(part)
        slides[-1].waits = block.startswith(TRY)


def _add_code(slides: list[Slide], cell: NotebookNode, tags: Sequence[str]) -> None:
    if "key-figures" in tags:
        return
    code = copy.copy(cell)
    code.outputs = []
    cell.outputs = [output for output in cell.outputs if _is_seen(output)] if NOTES not in tags else []
    if cell.outputs or SLIDE in tags:
        if not slides[-1].waits and PREDICTION not in tags:
            slides.append(Slide(slides[-1].where))
        slides[-1].shown.append(cell)
        slides[-1].waits, slides[-1].coded = False, SLIDE in tags
    if not is_plumbing(cell) and SLIDE not in tags:
        slides[-1].notes.append(code)


def _is_seen(output: NotebookNode) -> bool:
    """Whether an output has something for an audience: no messages, and no note that a widget was here."""
    return output.get("name") != "stderr" and output.get("data", {}).get("text/html") != WIDGET_NOTE


def blocks(source: str) -> Iterator[str]:
    """The paragraphs, lists, formulas and code blocks of Markdown; a heading is one of its own."""
    kept: list[str] = []
    inside = ""
    for line in [*source.splitlines(), ""]:
        mark = next((each for each in ("```", "$$") if line.strip().startswith(each)), "")
        alone = not inside and (not line.strip() or HEADING.match(line))
        if alone and kept:
            yield "\n".join(kept)
            kept = []
        if alone and line.strip():
            yield line
        elif not alone:
            kept.append(line)
        if mark and (inside == mark or (not inside and line.count(mark) == 1)):
            inside = "" if inside else mark
    if kept:
        yield "\n".join(kept)


def render_slides(slides: Sequence[Slide], title: str) -> str:
    """The page of slides, as HTML."""
    write = _Writer(
        *(PageExporter({}, BARE + CELLS, **{f"exclude_{part}": True}) for part in ("input", "output", "raw"))
    )
    script = SCRIPT + SCRIPT_OF_SLIDES
    body = "".join(write.slide(slide, number, len(slides)) for number, slide in enumerate(slides, 1))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy_with(script)}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(title)}</title>\n'
        f"<style>{CSS}{PAGE_CSS}{STYLE}{STYLE_OF_SLIDES}</style>\n</head>\n<body>\n<main>\n{body}</main>\n"
        '<nav class="turn" aria-label="Slides"><button class="back" aria-label="Previous slide">&larr;</button>'
        '<span class="at" role="status"></span><button class="on" aria-label="Next slide">&rarr;</button>'
        '<button class="show-notes" title="key n">Notes</button></nav>\n'
        f'<div class="bar"><div class="done"></div></div>\n<script>{script}</script></body>\n</html>\n'
    )


@dataclass(frozen=True)
class _Writer:
    """Writes slides.

    Args:
        outputs: writes cells without their code.
        code: writes cells without their outputs.
        whole: writes both.
    """

    outputs: PageExporter
    code: PageExporter
    whole: PageExporter

    def slide(self, slide: Slide, number: int, of: int) -> str:
        where = "" if slide.heading or not slide.where else f'<p class="where">{self._inline(slide.where)}</p>'
        shown = self._cells(slide.shown, self.whole if slide.coded else self.outputs)
        notes = self._cells(slide.notes, self.code)
        notes = f'<aside class="notes"><h3>Notes</h3>{notes}</aside>' if notes else ""
        size = " most" if slide.length > MOST else " much" if slide.length > MUCH else ""
        return (
            f'<section class="slide{size}" aria-label="{number} of {of}">{where}<div class="body">{shown}{notes}</div>'
            "</section>\n"
        )

    def _cells(self, cells: Sequence[NotebookNode], exporter: PageExporter) -> str:
        """Cells as HTML without links that lead to other files."""
        if not cells:
            return ""
        html, _ = exporter.from_notebook_node(nbformat.v4.new_notebook(cells=list(cells)), resources={})
        return LINK.sub(r"\1", ANCHOR.sub("", html))

    def _inline(self, heading: str) -> str:
        return escape(re.sub(r"[*`]", "", heading))
