"""The front page of a report, and the same facts for programs: `index.html` and `summary.json`."""

from __future__ import annotations

import base64
import platform
from collections import Counter
from contextlib import suppress
from dataclasses import asdict
from html import escape
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from randprune_lab.files import atomic_path, write_json
from randprune_lab.report.key_figures import format_figure, label
from randprune_lab.report.results import NotebookResult, ReportSummary, format_duration
from randprune_lab.report.style import CSS, INDEX_CSS

SUMMARY_FILE = "summary.json"
MADE_BY = "randprune report"
PACKAGES = ("randprune-lab", "torch", "transformers", "numpy")

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Randomized pruning masks: report</title>
<style>{css}</style>
</head>
<body><main>
<header>
<h1>Randomized pruning masks</h1>
<p>Report of the course, profile <strong>{profile}</strong>{parameters}</p>
<p>{counts}</p>
</header>
<ol class="cards">
{cards}
</ol>
<footer>{environment} &middot; <a href="summary.json">summary.json</a></footer>
</main></body>
</html>
"""

CARD = """<li class="card">
{picture}
<div class="text">
<h2>{title}</h2>
<p class="state"><span class="badge {state}">{status}</span>{duration}</p>
{failure}{figures}
</div>
</li>"""


def write_index(report: ReportSummary) -> None:
    """Write `index.html` and `summary.json` to the report's folder, each atomically."""
    environment = _environment()
    write_json(report.out / SUMMARY_FILE, _summary(report, environment))
    with atomic_path(report.index) as temporary:
        temporary.write_text(_page(report, environment), encoding="utf-8")


def _summary(report: ReportSummary, environment: dict[str, str]) -> dict[str, Any]:
    return {
        "made_by": MADE_BY,
        "profile": report.profile,
        "parameters": dict(report.parameters),
        "environment": environment,
        "notebooks": [_entry(result) for result in report.results],
    }


def _entry(result: NotebookResult) -> dict[str, Any]:
    return {
        "name": result.name,
        "title": result.title,
        "status": result.status,
        "seconds": round(result.seconds, 1),
        "failure": asdict(result.failure) if result.failure else None,
        "key_figures": dict(result.key_figures),
    }


def _environment() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions


def _page(report: ReportSummary, environment: dict[str, str]) -> str:
    settings = "".join(f", {escape(name)} = {escape(repr(value))}" for name, value in report.parameters.items())
    return PAGE.format(
        css=CSS + INDEX_CSS,
        profile=escape(report.profile),
        parameters=escape(settings),
        counts=_counts(report),
        cards="\n".join(map(_card, report.results)),
        environment=" &middot; ".join(f"{name} {escape(number)}" for name, number in environment.items()),
    )


def _counts(report: ReportSummary) -> str:
    """What came of the notebooks: "Notebooks: 8 ok, 1 failed, in 2 min 5 s"."""
    count = Counter(result.status for result in report.results)
    parts = ", ".join(f"{count[status]} {status}" for status in ("ok", "failed", "not run") if count[status])
    duration = format_duration(sum(result.seconds for result in report.results))
    return f"Notebooks: {parts}, in {duration}"


def _card(result: NotebookResult) -> str:
    was_run = result.status != "not run"
    title = escape(result.title)
    return CARD.format(
        picture=_picture(result),
        title=f'<a href="{escape(result.page)}">{title}</a>' if was_run else title,
        state=result.status.replace(" ", "-"),
        status=result.status,
        duration=format_duration(result.seconds) if was_run else "",
        failure=f'<p class="failure">{escape(str(result.failure))}</p>' if result.failure else "",
        figures=_figures(result),
    )


def _picture(result: NotebookResult) -> str:
    if result.thumbnail is None:
        return f'<div class="picture empty" aria-hidden="true">{escape(result.name.partition("_")[0])}</div>'
    encoded = base64.b64encode(result.thumbnail).decode("ascii")
    return f'<div class="picture"><img alt="" src="data:image/png;base64,{encoded}"></div>'


def _figures(result: NotebookResult) -> str:
    if not result.key_figures:
        return ""
    rows = "".join(
        f"<div><dt>{escape(label(name))}</dt><dd>{format_figure(value)}</dd></div>"
        for name, value in result.key_figures.items()
    )
    return f'<dl class="figures">{rows}</dl>'
