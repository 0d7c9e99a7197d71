"""What a study's pruned models lose, as a page with a table of all examples beside it."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from randprune_lab.analysis.forgetting import OTHER_BOTH
from randprune_lab.analysis.recorded import FILE
from randprune_lab.errors import ConfigError
from randprune_lab.exercises.grades import cell_text
from randprune_lab.files import atomic_path
from randprune_lab.forget.study import Forgotten
from randprune_lab.report.passive import POLICY
from randprune_lab.report.style import CSS, PAGE_CSS
from randprune_lab.study.table import TABLES
from randprune_lab.tasks.spec import task_title
from randprune_lab.terminal import printable
from randprune_lab.viz import figures
from randprune_lab.viz.style import address, described, percent

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TITLE = "What pruning forgets"
LISTED = 10
"""The number of examples of a task that the page lists at most; the table beside it has all."""
OWN_CSS = """
.figure { display: block; margin: 1rem auto; width: min(100%, 46rem); background: #ffffff; border-radius: 8px; }
main { padding-bottom: 3rem; }
th.text, td.text { width: 70%; min-width: 16rem; text-align: left; overflow-wrap: anywhere; }
"""


def write_forgotten(found: Forgotten, out: Path) -> list[Path]:
    """Write the page, and beside it a CSV file of the same name with every example that was tested.

    Args:
        found: what the models of a study lose.
        out: a file that ends in .html; files that are there are replaced.

    Returns:
        The written files.

    Raises:
        ConfigError: if the file ends otherwise, or the CSV file would replace a table of a study.
        FileError: if a file cannot be written.
    """
    check_out(out)
    contents = {out: page(found).encode()}
    if found.consistently is not None:
        table = with_texts(found).to_csv(index=False, float_format="%.6g")
        contents[out.with_suffix(".csv")] = table.encode()
    for path, content in contents.items():
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
    return list(contents)


def check_out(out: Path) -> None:
    """Raise `ConfigError` unless the file ends in .html, and the table beside it replaces none of a study."""
    if out.suffix != ".html":
        raise ConfigError(f"--out must be a file that ends in .html, got {out.name!r}")
    if out.stem in TABLES and (out.parent / FILE).is_file():
        raise ConfigError(
            f"--out {out} would replace {out.with_suffix('.csv').name} of the study there; choose another name, such "
            "as forgotten.html"
        )


def summary(found: Forgotten) -> pd.DataFrame:
    """What was found, a row of text for each task."""
    import pandas as pd

    rows = []
    for task in dict.fromkeys(found.losses.task):
        wrong = 100 * found.losses[found.losses.task == task].groupby("sparsity").wrong.mean()
        last = wrong.index[-1]
        row = {"task": task_title(task)}
        row |= {
            f"wrong at {percent(level)} (%)": f"{wrong[level]:.0f}" for level in dict.fromkeys((wrong.index[0], last))
        }
        shared = found.shared[(found.shared.task == task) & (found.shared.relation == OTHER_BOTH)]
        for each in shared[shared.sparsity == last].itertuples():
            row["also wrong in another seed and method (%)"] = f"{100 * each.shared:.0f}"
            row["by chance (%)"] = f"{100 * each.chance:.0f}"
        if found.consistently is not None and task in set(found.consistently.task):
            own = found.consistently.consistently[found.consistently.task == task]
            row["consistently lost"] = f"{own.sum()} of {own.size} tested"
        rows.append(row)
    return pd.DataFrame(rows).fillna("")


def with_texts(found: Forgotten) -> pd.DataFrame:
    """The table of the examples, with the name of the label, and the texts of tasks whose data are at hand.

    No text is a formula in a spreadsheet.
    """
    assert found.consistently is not None
    table = found.consistently.copy()
    texts = [" | ".join(_text(found, row.task, row.example)) for row in table.itertuples()]
    table["label"] = [cell_text(_label(found, row.task, row.label)) for row in table.itertuples()]
    table.insert(3, "text", [cell_text(text) for text in texts])
    return table


def _text(found: Forgotten, task: str, example: int) -> tuple[str, ...]:
    known = found.texts.get(task)
    return known.texts[example] if known and known.texts else ()


def _label(found: Forgotten, task: str, label: int) -> str:
    return found.texts[task].labels[label] if task in found.texts else str(label)


def page(found: Forgotten) -> str:
    """The page: one HTML file without requests or scripts."""
    parts = [
        f"<h1>{TITLE}</h1>",
        _paragraph(
            f"The study in the folder {printable(found.name)}: seeds {', '.join(map(str, found.seeds))}, and "
            f"{len(found.methods)} methods: {', '.join(map(printable, found.methods))}."
        ),
        _paragraph(
            "All examples are test examples that the dense model answers correctly. One is wrong at a sparsity if the "
            "pruned model answers it wrongly there. It is lost from the sparsity from which it is wrong there and at "
            "all higher ones."
        ),
        "<h2>How much becomes wrong</h2>",
        _table(_by_level(found), "Wrong examples by task and sparsity"),
        _paragraph(
            "Percentage of the dense model's correct answers that are wrong, means over seeds and methods. The last "
            "column has the percentage of the dense model's wrong answers that the pruned model gets right. Pruned "
            "models are trained on, which changes answers at any sparsity: only what grows with it can be due to it."
        ),
        "<h3>By label</h3>",
        _table(_by_label(found), "Wrong examples by label"),
        _paragraph(
            "A model that answers one label more often gets the others wrong. So everything below compares examples "
            "of the same label."
        ),
        *_shared(found),
        *_consistently(found),
        *_phenomena(found),
        _left_out(found),
    ]
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{TITLE}</title>\n'
        f"<style>{CSS}{PAGE_CSS}{OWN_CSS}</style>\n</head>\n<body><main>\n" + "\n".join(filter(None, parts)) + "\n"
        "</main></body>\n</html>\n"
    )


def _by_level(found: Forgotten) -> pd.DataFrame:
    means = 100 * found.losses.groupby(["task", "sparsity"], sort=False)[["wrong", "gained"]].mean()
    cells = means.wrong.map(_number).unstack("sparsity", sort=False)
    last = cells.columns[-1]
    cells.columns = [percent(sparsity) for sparsity in cells]
    cells[f"gained at {percent(last)}"] = means.gained.xs(last, level="sparsity").map(_number)
    return cells.rename(index=task_title).reset_index()


def _by_label(found: Forgotten) -> pd.DataFrame:
    table = found.by_label
    ends = [table.sparsity.min(), table.sparsity.max()]
    named = [_label(found, task, label) for task, label in zip(table.task, table.label, strict=True)]
    table = table.assign(task=table.task.map(task_title), label=named)[table.sparsity.isin(ends)]
    cells = (100 * table.set_index(["task", "label", "sparsity"]).wrong).map(_number).unstack("sparsity", sort=False)
    cells.columns = [f"wrong at {percent(sparsity)} (%)" for sparsity in cells]
    examples = table.groupby(["task", "label"], sort=False).examples.mean().map("{:.0f}".format)
    return cells.assign(examples=examples).reset_index()


def _shared(found: Forgotten) -> list[str]:
    if found.shared.empty:  # a single model
        return []
    return [
        "<h2>Do different models get the same wrong?</h2>",
        _picture(figures.shared_losses(found.shared)),
        _paragraph(
            "Means over tasks. By chance, each model would get the same number of examples of each label wrong, but "
            "independently of the other. The dense model of another seed was never pruned: what it gets wrong, too, is "
            "not wrong by pruning alone."
        ),
    ]


def _consistently(found: Forgotten) -> list[str]:
    if found.consistently is None:
        return []
    parts = [
        "<h2>Consistently lost examples</h2>",
        _paragraph(
            "Each seed is one repetition, with its own dense model. An example is found if the seeds together lose it "
            "at more sparsities and with more methods than if each had drawn the same number of examples of its label "
            f"at random. Of the examples of a task that are found, at most {percent(found.rate)} are found by chance, "
            "on average (Benjamini and Hochberg 1995). Only examples that the dense models of all seeds answer "
            "correctly are tested."
        ),
        _paragraph(
            "That an example is found means that it is harder to keep than others of its label, in all seeds together. "
            "It does not say why: look for wrong labels and unclear texts first. Many examples that are a little "
            "harder are not found. lost: the percentage of sparsities, over all models, at which it is lost; from: the "
            "sparsity from which half of the models or more have lost it, or less than half of them at the end."
        ),
    ]
    table = with_texts(found)
    for task in dict.fromkeys(table.task):
        rows, tested = table[(table.task == task) & table.consistently], int((table.task == task).sum())
        parts.append(
            f"<h3>{escape(printable(task_title(task)))}: {len(rows)} of {tested} tested examples are found</h3>"
        )
        if rows.empty:
            continue
        shown = rows.head(LISTED)
        cells = {"example": shown.example, "text": shown.text} if shown.text.any() else {"example": shown.example}
        cells |= {"label": shown.label, "lost (%)": shown.lost.map(lambda value: f"{100 * value:.0f}")}
        cells |= {"from": shown["from"].map(_sparsity)}
        parts.append(_table(shown[[]].assign(**cells), "Examples that are consistently lost"))
        if len(rows) > LISTED:
            parts.append(_paragraph(f"The {LISTED} with the smallest p-values; the CSV file beside this page has all."))
    return parts


def _phenomena(found: Forgotten) -> list[str]:
    if found.phenomena is None or found.phenomena.empty:
        return []
    table = found.phenomena
    cells = {
        "task": table.task,
        "what occurs": table.phenomenon,
        "sparsity": table.sparsity.map(percent),
        "examples": table.examples.map(lambda value: f"{value:.0f}"),
        "wrong with it (%)": table.having.map(lambda value: f"{100 * value:.1f}"),
        "wrong without it (%)": table.lacking.map(lambda value: f"{100 * value:.1f}"),
        "difference (points) [95 %]": [
            f"{row.difference:+.1f}" + (f" [{row.low:+.1f}, {row.high:+.1f}]" if np.isfinite(row.low) else "")
            for row in table.itertuples()
        ],
        "p, corrected (Holm)": table.holm.map(lambda value: "" if np.isnan(value) else f"{value:.3f}"),
    }
    return [
        "<h2>What occurs in the wrong examples</h2>",
        _picture(figures.phenomena_losses(table)),
        _paragraph(
            "Examples with and without something are compared within their label; each value is a mean over methods. "
            "The bars are for the highest sparsity, the small marks for the others. "
            "Intervals are for these tasks with other seeds (Student's t), each by itself; the title and the last "
            "column of the table are corrected for all rows."
        ),
        "<details><summary>All numbers of the figure</summary>"
        + _table(table[[]].assign(**cells), "What occurs in wrong examples")
        + "</details>",
    ]


def _left_out(found: Forgotten) -> str:
    rows = "".join(f"<li>{escape(printable(line))}</li>" for line in found.left_out)
    return f"<h2>Left out</h2>\n<ul>{rows}</ul>" if rows else ""


def _number(value: float) -> str:
    return "none" if np.isnan(value) else f"{value:.1f}"


def _sparsity(value: float) -> str:
    return "less than half" if np.isnan(value) else percent(value)


def _picture(figure: Figure) -> str:
    return f'<img class="figure" src="{address(figure)}" alt="{escape(described(figure))}">'


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _table(table: pd.DataFrame, name: str) -> str:
    shape = {column: " class=text" if column == "text" else "" for column in table}
    head = "".join(f'<th scope="col"{shape[column]}>{escape(column)}</th>' for column in table)
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td{shape[column]}>{escape(printable(cell))}</td>" for column, cell in zip(table, cells, strict=True)
        )
        + "</tr>"
        for cells in table.itertuples(index=False)
    )
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(name)}"><table><thead><tr>{head}</tr>'
        f"</thead><tbody>{rows}</tbody></table></div>"
    )
