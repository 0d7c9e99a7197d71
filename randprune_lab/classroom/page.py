"""The results of a class as a page, a picture or a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from randprune_lab.analysis.contrasts import IMP
from randprune_lab.analysis.gathered import Gathered
from randprune_lab.errors import ConfigError
from randprune_lab.exercises.grades import cell_text
from randprune_lab.files import atomic_path
from randprune_lab.report.passive import POLICY
from randprune_lab.report.style import CSS, PAGE_CSS
from randprune_lab.search.method import LONG
from randprune_lab.stats.intervals import Interval
from randprune_lab.terminal import printable
from randprune_lab.viz import figures
from randprune_lab.viz.style import LABELS, address, described, percent, png

ENDINGS = (".html", ".png", ".csv")
TITLE = "One experiment, many seeds"
SECONDS = 2
"""Seconds after which a page that is watched is loaded again."""
OWN_CSS = """
.forest { display: block; margin: 0 auto; width: min(100%, 46rem); background: #ffffff; border-radius: 8px; }
main { padding-bottom: 3rem; }
li { overflow-wrap: anywhere; }
"""


def write_gathered(gathered: Gathered, out: Path, *, watched: bool = False) -> None:
    """Write what was gathered; a file that is there is replaced.

    Args:
        gathered: the results of the class.
        out: a file that ends in .html (figure, numbers and what is left out), .png (the figure) or .csv (all numbers).
        watched: let the page load itself again every few seconds.

    Raises:
        ConfigError: if the file ends otherwise.
        FileError: if it cannot be written.
    """
    check_out(out)
    if out.suffix == ".html":
        content = page(gathered, watched=watched).encode()
    elif out.suffix == ".png":
        content = png(forest(gathered))
    else:
        content = _csv(gathered)
    with atomic_path(out) as temporary:
        temporary.write_bytes(content)


def check_out(out: Path) -> None:
    """Raise `ConfigError` unless the file has an ending that can be written."""
    if out.suffix not in ENDINGS:
        raise ConfigError(f"--out must be a file that ends in {', '.join(ENDINGS)}, got {out.name!r}")


def forest(gathered: Gathered) -> Figure:
    """The figure of what was gathered."""
    found = {seed: one.interval for seed, one in gathered.differences.items()}
    return figures.seeds_forest(found, gathered.over_seeds, title=verdict(gathered), names=_names(gathered))


def verdict(gathered: Gathered) -> str:
    """What the class has found, in a sentence."""
    (first, other), mean, seeds = _names(gathered), gathered.over_seeds, len(gathered.shares)
    where = f"{counted(seeds, 'seed')} at {percent(gathered.sparsity)}"
    if not np.isfinite(mean.low):
        return f"{where}: {first} minus {other}: {_points(mean)} points; more seeds give an interval"
    if mean.low <= 0 <= mean.high:
        return f"{where}: no clear difference. {first} minus {other}: {_points(mean)} points"
    return f"{where}: {first} is {'ahead of' if mean.estimate > 0 else 'behind'} {other}: {_points(mean)} points"


def caption(gathered: Gathered) -> str:
    """What the intervals are, and what the methods have in common."""
    share, steps = gathered.first, gathered.steps
    training = (
        f"The same training for both: {steps[0]:,} steps"
        if steps[0] == steps[1]
        else f"Not the same training: {steps[0]:,} steps and {steps[1]:,}"
    )
    return (
        f"Each row is one seed: other masks, other batches, another dense model. Its 95 % interval is over test "
        f"examples, paired (bootstrap): it does not know of other seeds. The last row is the mean over seeds; its 95 % "
        f"interval is over seeds (Student's t), on the same {share.examples:,} test examples of {share.task}. "
        f"{training}, without those of the dense model."
    )


def page(gathered: Gathered, *, watched: bool = False) -> str:
    """The page: one HTML file without requests or scripts."""
    figure = forest(gathered)
    again = f'<meta http-equiv="refresh" content="{SECONDS}">\n' if watched else ""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{again}'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{TITLE}</title>\n'
        f"<style>{CSS}{PAGE_CSS}{OWN_CSS}</style>\n</head>\n<body><main>\n<h1>{TITLE}</h1>\n"
        f'<img class="forest" src="{address(figure)}" alt="{escape(described(figure))}">\n'
        f"<p>{escape(caption(gathered))}</p>\n{_guesses(gathered)}{_left_out(gathered.left_out)}{_table(gathered)}"
        f"</main></body>\n</html>\n"
    )


def counted(number: int, name: str) -> str:
    """A number with its noun, such as "30 seeds"."""
    return f"{number:,} {name}{'s' if number != 1 else ''}"


def _names(gathered: Gathered) -> tuple[str, str]:
    """The two methods, the second with its training steps as a fraction of those of the first."""
    first, other, (ours, theirs) = gathered.first.method, gathered.other, gathered.steps
    known = LABELS["imp"] if other in (IMP, LONG) else LABELS.get(other, other)
    steps = "equal steps" if ours == theirs else f"{100 * theirs / ours:.0f} % of its steps"
    return LABELS.get(first, first), f"{known} with {steps}"


def _points(one: Interval) -> str:
    return one.in_points(signed=True) if np.isfinite(one.low) else f"{100 * one.estimate:+.1f}"


def _guesses(gathered: Gathered) -> str:
    """What was expected, and by how many: guesses that differ in capitals or spaces are one, as most wrote it."""
    spelled: dict[str, str] = {}
    count = Counter[str]()
    for text, number in gathered.guesses.most_common():
        count[spelled.setdefault(" ".join(text.casefold().split()), text)] += number
    rows = "".join(f"<li>{escape(printable(text))}: {number}</li>" for text, number in count.most_common())
    return f"<h2>What was expected</h2>\n<ul>{rows}</ul>\n" if rows else ""


def _left_out(lines: Sequence[str]) -> str:
    rows = "".join(f"<li>{escape(printable(line))}</li>" for line in lines)
    return f"<h2>Left out</h2>\n<ul>{rows}</ul>\n" if rows else ""


def _table(gathered: Gathered) -> str:
    names, guessed = _names(gathered), bool(gathered.guesses)
    titles = ["seed", *(f"{name} (points)" for name in names), "difference (points) [95 %]", *["guess"] * guessed]
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in titles)
    body = "".join(
        f'<tr><th scope="row">{row["seed"]}</th>'
        + "".join(f"<td>{escape(printable(cell))}</td>" for cell in row["cells"][: len(titles) - 1])
        + "</tr>"
        for row in _rows(gathered)
    )
    return (
        "<details><summary>All numbers of the figure</summary>"
        f'<div class="scroll" tabindex="0" role="group" aria-label="Table"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div></details>\n"
    )


def _rows(gathered: Gathered) -> Iterator[dict[str, Any]]:
    for share in gathered.shares.values():
        scores = [share.score(method, gathered.sparsity).score for method in (share.method, gathered.other)]
        difference = share.difference(gathered.other, gathered.sparsity).interval
        cells = [*(f"{100 * score:.1f}" for score in scores), _points(difference), share.guess or ""]
        yield {"seed": share.seed, "cells": cells}


def _csv(gathered: Gathered) -> bytes:
    """All levels and methods of the shares that are compared, a row for each. No text is a formula in a spreadsheet."""
    import pandas as pd

    rows = []
    for share in gathered.shares.values():
        for one in share.scores:
            about = {"seed": share.seed, "method": cell_text(one.method), "sparsity": one.sparsity, "steps": one.steps}
            found = next(
                (each for each in share.differences if (each.other, each.sparsity) == (one.method, one.sparsity)), None
            )
            ends = (found.estimate, found.low, found.high) if found else (None, None, None)
            names = (f"{share.method}_minus_this{end}" for end in ("", "_low", "_high"))
            guess = cell_text(share.guess or "")
            rows.append({**about, share.metric: one.score, **dict(zip(names, ends, strict=True)), "guess": guess})
    return pd.DataFrame(rows).to_csv(index=False, float_format="%.6f").encode()
