"""What a study's pruned models lose, as a page with a table of all examples beside it."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from randprune_lab.analysis.forgetting import OTHER_BOTH, OTHER_DENSE
from randprune_lab.errors import ConfigError
from randprune_lab.exercises.grades import cell_text
from randprune_lab.files import atomic_path
from randprune_lab.forget.study import Forgotten
from randprune_lab.report.passive import POLICY
from randprune_lab.report.style import CSS, PAGE_CSS
from randprune_lab.tasks.spec import task_title
from randprune_lab.terminal import printable
from randprune_lab.viz import figures
from randprune_lab.viz.style import address, described, percent

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

LISTED = 10
"""The number of examples of a task that the page lists at most; the table beside it has all."""
OWN_CSS = """
.figure { display: block; margin: 1rem auto; width: min(100%, 46rem); background: #ffffff; border-radius: 8px; }
main { padding-bottom: 3rem; }
td.text { width: 70%; min-width: 16rem; text-align: left; overflow-wrap: anywhere; }
"""


def write_forgotten(found: Forgotten, out: Path) -> list[Path]:
    """Write the page, and beside it a CSV file of the same name with every example that was tested.

    Args:
        found: what the models of a study lose.
        out: a file that ends in .html; files that are there are replaced.

    Returns:
        The written files.

    Raises:
        ConfigError: if the file ends otherwise.
        FileError: if a file cannot be written.
    """
    check_out(out)
    contents = {out: page(found).encode()}
    if found.again is not None:
        table = with_texts(found).to_csv(index=False, float_format="%.6g")
        contents[out.with_suffix(".csv")] = table.encode()
    for path, content in contents.items():
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
    return list(contents)


def check_out(out: Path) -> None:
    """Raise `ConfigError` unless the file ends in .html."""
    if out.suffix != ".html":
        raise ConfigError(f"--out must be a file that ends in .html, got {out.name!r}")


def sentences(found: Forgotten) -> list[str]:
    """What was found, a sentence for each task."""
    return [_sentence(found, task) for task in dict.fromkeys(found.losses.task)]


def _sentence(found: Forgotten, task: str) -> str:
    rows = found.losses[found.losses.task == task]
    sparsest = rows[rows.sparsity == rows.sparsity.max()]
    said = [
        f"at {percent(sparsest.sparsity.iloc[0])}, {100 * sparsest.lost.mean():.0f} % of the correct answers are lost"
    ]
    shared = found.shared[(found.shared.task == task) & (found.shared.sparsity == sparsest.sparsity.iloc[0])]
    for relation, name in (
        (OTHER_BOTH, "another seed with another method loses the same ones"),
        (OTHER_DENSE, "the dense model of another seed answers them wrongly"),
    ):
        said += [f"{name} {each:.1f} times as often as by chance" for each in shared[shared.relation == relation].ratio]
    if found.again is not None and (again := found.again[found.again.task == task].again).size:
        said.append(f"{again.sum()} of {again.size} examples are lost again and again")
    return f"{task_title(task)}: {'; '.join(said)}"


def with_texts(found: Forgotten) -> pd.DataFrame:
    """The table of the examples, with the name of the label, and the texts of tasks whose data are at hand.

    No text is a formula in a spreadsheet.
    """
    assert found.again is not None
    rows = [
        (found.texts[row.task].labels[row.label], " | ".join(found.texts[row.task].texts[row.example]))
        if row.task in found.texts
        else (str(row.label), "")
        for row in found.again.itertuples()
    ]
    names, texts = zip(*rows, strict=True)
    table = found.again.copy()
    table["label"] = [cell_text(name) for name in names]
    table.insert(3, "text", [cell_text(text) for text in texts])
    return table


def page(found: Forgotten) -> str:
    """The page: one HTML file without requests or scripts."""
    title = f"What pruning forgets: {printable(found.name)}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        _paragraph(
            f"{len(found.methods)} methods ({', '.join(map(printable, found.methods))}), seeds "
            f"{', '.join(map(str, found.seeds))}. An example is lost at a level if the dense model answers it "
            "correctly, and the pruned model wrongly, at this level and at all sparser ones."
        ),
        "<h2>How much is lost</h2>",
        _table(_by_level(found), "Lost and gained examples by task and sparsity"),
        _paragraph(
            "Of the dense model's correct answers, the percentage that is lost, and the percentage that is wrong at "
            "this level but perhaps not at the next. The last column has the percentage of the dense model's wrong "
            "answers that the pruned model gets right: the pruned models are trained on, and part of what is lost is "
            "the change from one training to another. Means over seeds and methods."
        ),
        "<h2>Do different models lose the same?</h2>",
        _picture(figures.shared_losses(found.shared)),
        _paragraph(
            "Lines are means over tasks (geometric), small marks are tasks. Chance: each model loses the same number "
            "of examples of each label, but independently. The dense model of another seed never was pruned: the more "
            "of the lost examples it answers wrongly, too, the less they are lost by pruning alone."
        ),
        *_again(found),
        *_phenomena(found),
        _left_out(found),
    ]
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(title)}</title>\n'
        f"<style>{CSS}{PAGE_CSS}{OWN_CSS}</style>\n</head>\n<body><main>\n" + "\n".join(filter(None, parts)) + "\n"
        "</main></body>\n</html>\n"
    )


def _by_level(found: Forgotten) -> pd.DataFrame:
    means = 100 * found.losses.groupby(["task", "sparsity"], sort=False)[["lost", "wrong", "gained"]].mean()
    cells = (means.lost.map(_number) + " / " + means.wrong.map(_number)).unstack("sparsity", sort=False)
    last = cells.columns[-1]
    cells.columns = [f"lost / wrong at {percent(sparsity)}" for sparsity in cells]
    cells[f"gained at {percent(last)}"] = means.gained.xs(last, level="sparsity").map(_number)
    return cells.reset_index()


def _again(found: Forgotten) -> list[str]:
    if found.again is None:
        return []
    parts = [
        "<h2>Lost again and again</h2>",
        _paragraph(
            "Each seed is one repetition, with its own dense model. An example is listed if the seeds together lose it "
            "at more levels and with more methods than if each drew the same number of examples of its label at "
            f"random. Of the examples that are found, at most {percent(found.rate)} are found by chance, on average "
            "(Benjamini and Hochberg 1995). Only examples that all dense models answer correctly are tested. lost: the "
            "percentage of levels, over all models, at which it is lost; from: the sparsity from which it is, in the "
            "median of methods and seeds."
        ),
    ]
    table = with_texts(found)
    methods = [name for name in found.methods if name in table]
    for task in dict.fromkeys(table.task):
        rows = table[(table.task == task) & table.again]
        tested = int((table.task == task).sum())
        parts.append(f"<h3>{escape(printable(task_title(task)))}: {len(rows)} of {tested} examples</h3>")
        if rows.empty:
            continue
        shown = rows.head(LISTED)
        cells = {"example": shown.example, "text": shown.text} if shown.text.any() else {"example": shown.example}
        cells |= {"label": shown.label, "lost (%)": shown.lost.map(lambda value: f"{100 * value:.0f}")}
        cells |= {"from": shown[methods].median(axis=1).map(_sparsity)}
        parts.append(_table(shown[[]].assign(**cells), "Examples that are lost again and again"))
        if len(rows) > LISTED:
            parts.append(_paragraph(f"The {LISTED} that are lost most; the CSV file beside this page has all."))
    return parts


def _phenomena(found: Forgotten) -> list[str]:
    if found.phenomena is None:
        return []
    table = found.phenomena
    cells = {
        "task": table.task,
        "what occurs": table.phenomenon,
        "sparsity": table.sparsity.map(percent),
        "examples": table.examples.map(lambda value: f"{value:.0f}"),
        "lost with it (%)": table.having.map(lambda value: f"{100 * value:.1f}"),
        "lost without it (%)": table.lacking.map(lambda value: f"{100 * value:.1f}"),
        "difference (points) [95 %]": [
            f"{row.difference:+.1f}" + (f" [{row.low:+.1f}, {row.high:+.1f}]" if np.isfinite(row.low) else "")
            for row in table.itertuples()
        ],
        "p, corrected (Holm)": table.holm.map(lambda value: "" if np.isnan(value) else f"{value:.3f}"),
    }
    return [
        "<h2>What occurs in the lost examples</h2>",
        _picture(figures.phenomena_losses(table)),
        _paragraph(
            "Examples with and without something are compared within their label, among those that the dense model "
            "answers correctly; each value is a mean over methods. Intervals are for these tasks with other seeds "
            "(Student's t), each by itself; the title and the last column of the table are corrected for all rows."
        ),
        "<details><summary>All numbers of the figure</summary>"
        + _table(table[[]].assign(**cells), "What occurs in lost examples")
        + "</details>",
    ]


def _left_out(found: Forgotten) -> str:
    rows = "".join(f"<li>{escape(printable(line))}</li>" for line in found.left_out)
    return f"<h2>Left out</h2>\n<ul>{rows}</ul>" if rows else ""


def _number(value: float) -> str:
    return "none" if np.isnan(value) else f"{value:.1f}"


def _sparsity(value: float) -> str:
    return "" if np.isnan(value) else percent(value)


def _picture(figure: Figure) -> str:
    return f'<img class="figure" src="{address(figure)}" alt="{escape(described(figure))}">'


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _table(table: pd.DataFrame, name: str) -> str:
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in table)
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td{' class=text' if column == 'text' else ''}>{escape(printable(cell))}</td>"
            for column, cell in zip(table, cells, strict=True)
        )
        + "</tr>"
        for cells in table.itertuples(index=False)
    )
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(name)}"><table><thead><tr>{head}</tr>'
        f"</thead><tbody>{rows}</tbody></table></div>"
    )
