"""The app as a page: one HTML file without requests, whose only script moves the explorers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from randprune_lab.analysis.shipped import pool_records, recorded_controls, recorded_results
from randprune_lab.app.masks import masks_part
from randprune_lab.app.part import Case, Part, Table
from randprune_lab.app.pools import pools_part
from randprune_lab.app.results import results_part
from randprune_lab.app.runs import run_records, runs_part
from randprune_lab.errors import ConfigError, FileError
from randprune_lab.files import atomic_path
from randprune_lab.progress import progress_bar
from randprune_lab.report.passive import policy_with
from randprune_lab.report.style import CSS
from randprune_lab.viz.page_parts import SCRIPT, STYLE, radios

TITLE = "Explore randomized pruning"
LEAD = (
    "Pruning usually keeps the largest weights. Randomized pruning draws many masks, judges each of them early, and "
    "keeps the best. Move the controls with a finger, the mouse or the arrow keys; Tab goes from one to the next."
)
OWN = (
    "Runs of your own are drawn here by the command that makes this page: <code>randprune app runs/first --out "
    "app.html</code>"
)
OWN_STYLE = (Path(__file__).parent / "page.css").read_text("utf-8")


@dataclass(frozen=True)
class AppPage:
    """The app's parts, in the order of the page.

    Args:
        parts: the parts.
    """

    parts: Sequence[Part]

    @property
    def pictures(self) -> int:
        """The number of positions of all explorers."""
        return sum(len(_positions(case)) for part in self.parts for case in part.cases)

    def html(self, drawn: Callable[[int], object]) -> str:
        """The page.

        Args:
            drawn: is told the number of pictures that were just drawn.
        """
        links = "".join(f'<li><a href="#{part.key}">{escape(part.title)}</a></li>' for part in self.parts)
        body = "".join(_part(part, drawn) for part in self.parts)
        most = max(len(part.cases) for part in self.parts)
        style = "\n".join((CSS, STYLE, OWN_STYLE, *_choices(most)))
        own = "" if any(part.key == "runs" for part in self.parts) else f"<p>{OWN}</p>"
        return (
            f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{policy_with(SCRIPT)}">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{TITLE}</title>\n'
            f"<style>{style}</style>\n</head>\n<body><main>\n"
            f"<header><h1>{TITLE}</h1><p>{LEAD}</p><nav><ul>{links}</ul></nav></header>\n"
            f"{body}<footer>{own}</footer>\n</main><script>{SCRIPT}</script></body>\n</html>\n"
        )


def write_app(runs: Sequence[Path], out: Path) -> AppPage:
    """Write the app.

    Args:
        runs: run folders, or folders of them, that are shown beside what is recorded.
        out: the HTML file to write; one that is there is replaced.

    Raises:
        ConfigError: if `out` does not end in .html.
        RunError: if a folder is no run, or a run is given twice.
        FileError: if a run is damaged, or the file cannot be written.
    """
    if out.suffix != ".html":
        raise ConfigError(f"--out must be a file that ends in .html, got {out.name!r}")
    records = run_records(runs)
    own = [runs_part(records)] if records else []
    page = AppPage((*own, masks_part(), *_recorded()))
    with atomic_path(out) as temporary, progress_bar(page.pictures) as progress:
        temporary.write_text(page.html(progress.advance), "utf-8")
    return page


def _recorded() -> Iterator[Part]:
    """The parts of what is recorded; where the data are not there, a part that says how to get them."""
    try:
        yield pools_part(pool_records())
        yield results_part(recorded_results(), recorded_controls())
    except FileError as error:
        about = f"Recorded candidates and results are not on this page: {error}. Then make the page again."
        yield Part("recorded", "Recorded results", about)


def _positions(case: Case) -> list[tuple[int, ...]]:
    return [*itertools.product(*(range(len(one.options)) for one in case.explorer.controls.values()))]


def _choices(most: int) -> Iterator[str]:
    """The rules that show the explorer that is chosen, and no other of its part."""
    for number in range(1, most + 1):
        yield (
            f".cases:has(> .choose .rp-option:nth-of-type({number}) > input:checked) > .case:nth-of-type({number}) "
            "{ display: grid; }"
        )


def _part(part: Part, drawn: Callable[[int], object]) -> str:
    cases = "".join(_case(case, drawn) for case in part.cases)
    options = radios([case.name for case in part.cases], 0, part.key)
    hidden = " hidden" if len(part.cases) < 2 else ""
    choose = f'<fieldset class="choose rp-control"{hidden}><legend>{escape(part.label)}</legend>{options}</fieldset>'
    inside = f'<div class="cases">{choose}{cases}</div>' if part.cases else ""
    return (
        f'<section class="part" id="{part.key}"><h2>{escape(part.title)}</h2><p class="about">{escape(part.about)}</p>'
        f"{inside}</section>\n"
    )


def _case(case: Case, drawn: Callable[[int], object]) -> str:
    hints = "".join(
        f"<li><b>{escape(control.label)}</b> {escape(case.hints[name])}</li>"
        for name, control in case.explorer.controls.items()
    )
    warning = f'<p class="note">{escape(case.warning)}</p>' if case.warning else ""
    for position in _positions(case):
        case.explorer.frame(position)  # which keeps it
        drawn(1)
    return (
        f'<section class="case"><div class="words">{warning}<h3>Try this</h3><ul>{hints}</ul></div>'
        f'<div class="instrument">{case.explorer.body()}</div>{_table(case.numbers)}</section>'
    )


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(str(cell))}</th>' for cell in table.head)
    rows = "".join(
        f'<tr><th scope="row">{escape(str(row[0]))}</th>'
        + "".join(f"<td>{escape(str(cell))}</td>" for cell in row[1:])
        + "</tr>"
        for row in table.rows
    )
    return (
        '<details class="numbers"><summary>The numbers of all pictures</summary><div class="wide scroll" tabindex="0" '
        f'role="region" aria-label="numbers"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
        "</details>"
    )
