"""Feedback: a page for each student with the points, what is wrong, and the answer beside a hint.

A page is one HTML file that loads nothing and runs no script. Everything of a student is text in it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from randprune_lab.errors import FileError, listed
from randprune_lab.exercises.grades import SEVERAL, Grade, book_points, by_student, cell_text, maxima
from randprune_lab.exercises.source import SOURCES, TEXT, Source, grade_id, read_sources
from randprune_lab.exercises.submissions import Answers, Submitted, one_line, read_submissions
from randprune_lab.files import atomic_path, one_file
from randprune_lab.terminal import printable

log = logging.getLogger("randprune_lab")

LONGEST_ANSWER = 4000  # characters
NO_NAME = re.compile(r"[^\w.@ -]")
CODE, AS_CODE = re.compile(r"`([^`]+)`"), r"<code>\1</code>"
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Feedback: {student}</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; color: #1c1c1c; background: #fff; max-width: 60rem; margin: 0 auto;
  padding: 1rem; overflow-wrap: anywhere; }}
h1, h2, h3 {{ line-height: 1.25; }}
h2 {{ margin-top: 2.5rem; border-bottom: 1px solid #ccc; }}
section {{ border-left: .4rem solid; padding: .1rem 0 .1rem 1rem; margin: 1.2rem 0; }}
.all {{ border-color: #1a7f37; }} .some {{ border-color: #b35900; }} .none {{ border-color: #b3261e; }}
h3 {{ margin: .3rem 0; display: flex; gap: 1rem; justify-content: space-between; font-size: 1.05rem; }}
h3 span {{ white-space: nowrap; }}
.sides {{ display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); }}
.sides h4 {{ margin: .5rem 0 .2rem; }}
pre {{ background: #f3f3f3; padding: .6rem; margin: 0; white-space: pre-wrap; font-size: .85rem; }}
.sides p {{ margin: .2rem 0 .6rem; }}
code {{ background: #f3f3f3; }} ul {{ margin: .3rem 0; padding-left: 1.2rem; }}
@media print {{ section {{ break-inside: avoid; }} }}
</style>
<h1>Feedback for {student}</h1>
<p><strong>{points:g} of {out_of:g} points</strong></p>
{notebooks}
</html>
"""


def write_feedback(
    out: str | Path, grades: Sequence[Grade], folder: str | Path, sources: str | Path = SOURCES
) -> dict[str, Path]:
    """Write a page for each student of the grades. Students without a folder are logged: their pages have no answers.

    Args:
        out: the folder of the pages.
        grades: the rows, which a teacher may have corrected; points of a page are theirs.
        folder: the folder of the submissions, for the answers.

    Returns:
        The page of each student.

    Raises:
        FileError: if the folder cannot be read, or two students would have the same page.
    """
    known = {source.name: source for source in read_sources(sources)}
    submitted = {cell_text(one_line(name)): found for name, found in read_submissions(Path(folder), known).items()}
    pages: dict[str, Path] = {}
    for student in by_student(grades):
        pages[student] = Path(out) / f"{NO_NAME.sub('-', student).strip('. ') or '-'}.html"
    if same := one_file(path.name for path in pages.values()):
        raise FileError(
            f"{out}: several students would have the same page, such as {same[0]!r}; rename their folders and rows"
        )
    if unknown := pages.keys() - submitted:
        log.warning("%s: no folder of %s, so their pages have no answers", folder, listed(sorted(unknown)))
    for student, own in by_student(grades).items():
        with atomic_path(pages[student]) as temporary:
            temporary.write_text(page(own, submitted.get(student, {}), known), "utf-8")
    return pages


def page(own: Sequence[Grade], submitted: Submitted, sources: Mapping[str, Source]) -> str:
    """The page of one student, as HTML."""
    books, points = maxima(own), book_points(own)
    parts = []
    for book, out_of in books.items():
        parts.append(f"<h2>{_shown(book)}: {points[book]:g} of {out_of:g} points</h2>")
        found = submitted.get(book, {})
        for grade in own:
            if grade.notebook == book:
                parts.append(_exercise(grade, {} if isinstance(found, str) else found, sources.get(book)))
    return PAGE.format(
        student=_shown(own[0].student),
        points=round(sum(points.values()), 2),
        out_of=sum(books.values()),
        notebooks="\n".join(parts),
    )


def _exercise(grade: Grade, answers: Answers, source: Source | None) -> str:
    right = grade.points >= grade.out_of
    kind, mark = ("all", "✓") if right else ("some", "◐") if grade.points else ("none", "✗")
    head = f"<h3>{mark} {_shown(grade.title)}<span>{grade.points:g} of {grade.out_of:g}</span></h3>"
    reasons = "".join(f"<li>{_shown(reason)}</li>" for reason in grade.failed.split(SEVERAL) if reason)
    answer = "\n\n".join(answers.get(grade.exercise, []))
    shown = printable(answer[:LONGEST_ANSWER], lines=True) + ("\n..." if len(answer) > LONGEST_ANSWER else "")
    sides = [f"<div><h4>Your answer</h4><pre tabindex='0'>{_shown(shown)}</pre></div>"] if answer.strip() else []
    if hint := _hint(source, grade.exercise):
        sides.append(f"<div><h4>Hint</h4>{hint}</div>")
    about = f"<div class='sides'>{''.join(sides)}</div>" if sides and not right else ""
    return f"<section class='{kind}'>{head}{f'<ul>{reasons}</ul>' if reasons else ''}{about}</section>"


def _hint(source: Source | None, exercise: str) -> str:
    """The hint of an exercise as HTML; empty if there is none."""
    cells = source.notebook.cells if source else []
    text = next((cell.source for cell in cells if grade_id(cell) == exercise + TEXT), "")
    found = re.search(r"<summary>Hint</summary>(.*?)</details>", text, re.DOTALL)
    paragraphs = _shown(found[1].strip()).split("\n\n") if found else []
    return "".join(f"<p>{CODE.sub(AS_CODE, part)}</p>" for part in paragraphs)


def _shown(text: str) -> str:
    return escape(printable(text, lines=True))
