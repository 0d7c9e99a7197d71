"""The front page of a report, `index.html`, and the same information for programs, `summary.json`."""

from __future__ import annotations

import base64
import platform
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from html import escape
from importlib.metadata import PackageNotFoundError, version
from typing import Any, get_args

from randprune_lab.files import atomic_path, write_json
from randprune_lab.report.check import Check, Comparison, Verdict, compare, describe_tolerance
from randprune_lab.report.key_figures import format_figure, label
from randprune_lab.report.passive import POLICY
from randprune_lab.report.results import NotebookResult, ReportSummary, Status, format_duration, format_memory
from randprune_lab.report.style import CSS, INDEX_CSS

SUMMARY_FILE = "summary.json"
MADE_BY = "randprune report"
PACKAGES = ("randprune-lab", "torch", "transformers", "numpy")

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Randomized pruning masks: report</title>
<style>{css}</style>
</head>
<body><main>
<header>
<h1>Randomized pruning masks</h1>
<p>Course report, profile <strong>{profile}</strong>{parameters}</p>
<p>{counts}</p>
</header>
<ol class="cards">
{cards}
</ol>
</main>
<footer>{environment} &middot; <a href="summary.json">summary.json</a></footer>
</body>
</html>
"""

CARD = """<li class="card">
{picture}
<div class="text">
<h2><small>{number}</small>{title}</h2>
<p class="state"><span class="badge {state}">{status}</span>{check}{cost}</p>
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
        "seconds": round(report.seconds, 1),
        "environment": environment,
        "notebooks": [_entry(result) for result in report.results],
    }


def _entry(result: NotebookResult) -> dict[str, Any]:
    return {
        "name": result.name,
        "title": result.title,
        "status": result.status,
        "seconds": round(result.seconds, 1),
        "peak_memory": result.peak_memory,
        "figure_times": result.figure_times and [round(seconds, 1) for seconds in result.figure_times],
        "code_before": result.code_before,
        "failure": asdict(result.failure) if result.failure else None,
        "key_figures": [asdict(figure) for figure in result.key_figures.values()],
        "check": _check_entry(result.check) if result.check else None,
    }


def _check_entry(check: Check) -> dict[str, Any]:
    verdicts = [
        {"name": one.name, "verdict": one.verdict, "expected": one.expected.value if one.expected else None}
        for one in check.comparisons
    ]
    return {"passed": check.passed, "known": check.known, "key_figures": verdicts}


def _environment() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions


def _page(report: ReportSummary, environment: dict[str, str]) -> str:
    settings = "".join(f", {escape(name)} = {escape(repr(value))}" for name, value in report.parameters.items())
    return PAGE.format(
        policy=POLICY,
        css=CSS + INDEX_CSS,
        profile=escape(report.profile),
        parameters=escape(settings),
        counts=_counts(report),
        cards="\n".join(map(_card, report.results)),
        environment=" &middot; ".join(f"{name} {escape(number)}" for name, number in environment.items()),
    )


def _counts(report: ReportSummary) -> str:
    """The outcome as text: "Notebooks: 8 ok, 1 failed, in 2 min 5 s. Key figures: 40 as expected, 1 changed"."""
    notebooks = _count((result.status for result in report.results), get_args(Status))
    counts = f"Notebooks: {notebooks}, in {format_duration(report.seconds)}"
    checks = [result.check for result in report.results if result.check]
    verdicts = _count((one.verdict for check in checks for one in check.comparisons), get_args(Verdict))
    return f"{counts}. Key figures: {verdicts}" if verdicts else counts


def _count(values: Iterable[str], order: Sequence[str]) -> str:
    count = Counter(values)
    return ", ".join(f"{count[value]} {value}" for value in order if count[value])


def _card(result: NotebookResult) -> str:
    was_run = result.status != "not run"
    title = escape(result.title)
    return CARD.format(
        picture=_picture(result),
        number=escape(_number(result)),
        title=f'<a href="{escape(result.page)}">{title}</a>' if was_run else title,
        state=result.status.replace(" ", "-"),
        status=result.status,
        check=_check_badge(result.check) if result.check else "",
        cost=_cost(result) if was_run else "",
        failure=f'<p class="failure">{escape(str(result.failure))}</p>' if result.failure else "",
        figures=_figures(result),
    )


def _picture(result: NotebookResult) -> str:
    if result.thumbnail is None:
        return f'<div class="picture empty" aria-hidden="true">{escape(_number(result))}</div>'
    encoded = base64.b64encode(result.thumbnail.png).decode("ascii")
    alt = escape(result.thumbnail.alt)
    return f'<div class="picture"><img alt="{alt}" src="data:image/png;base64,{encoded}"></div>'


def _number(result: NotebookResult) -> str:
    """What the name begins with, such as "00"."""
    return result.name.partition("_")[0]


def _cost(result: NotebookResult) -> str:
    memory = f", {format_memory(result.peak_memory)}" if result.peak_memory else ""
    return f"<span>{format_duration(result.seconds)}{memory}</span>"


def _check_badge(check: Check) -> str:
    if not check.known:
        return '<span class="badge failed">no expected key figures</span>'
    failed = sum(comparison.failed for comparison in check.comparisons)
    text = f"{failed} changed" if failed else "as expected"
    return f'<span class="badge {"failed" if failed else "ok"}">{text}</span>'


def _figures(result: NotebookResult) -> str:
    comparisons = (result.check or compare(None, result.key_figures)).comparisons
    rows = "".join(_figure(one, checked=result.check is not None) for one in comparisons)
    return f'<dl class="figures">{rows}</dl>' if rows else ""


def _figure(one: Comparison, checked: bool) -> str:
    title, value = (one.got.title, escape(one.got.shown)) if one.got else (label(one.name), "missing")
    if not checked:
        tick, mark = "", ""
    elif one.verdict == "as expected":
        tick, mark = '<span class="tick" title="as expected">&#10003;</span>', ""
    else:
        tick, mark = "", _mark(one)
    return f"<div><dt>{escape(title)}</dt><dd>{value}{tick}</dd>{mark}</div>"


def _mark(one: Comparison) -> str:
    """The check's verdict on a figure that is not as expected, in words as well as in colour."""
    state = "failed" if one.failed else "ok" if one.verdict == "better" else ""
    said: str = one.verdict
    if one.expected is not None:
        unit = one.got.unit if one.got else ""
        value = format_figure(one.expected.value, unit)
        if one.got and value == one.got.shown:  # they differ only in digits that are not shown
            value = f"{one.expected.value!r}, got {one.got.value!r}"
        said += f": expected {value} ({describe_tolerance(one.expected)})"
    return f'<dd class="mark {state}">{escape(said)}</dd>'
