"""Making a report: the choice of notebooks and parameters, the folder, and the run."""

from __future__ import annotations

import ast
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from randprune_lab.errors import ConfigError, FileError, RunError, check_count, unknown_name
from randprune_lab.files import given_path, one_file
from randprune_lab.notebook_file import read_notebook
from randprune_lab.report import notebook as read
from randprune_lab.report.documents import EXERCISES, TEXTS, read_documents, write_documents
from randprune_lab.report.index import MADE_BY, SUMMARY_FILE, write_index
from randprune_lab.report.processes import jobs_that_fit
from randprune_lab.report.regression import CheckMode, Regression
from randprune_lab.report.results import NotebookResult, ReportSummary, format_duration, format_memory
from randprune_lab.report.runner import WORK_FOLDER, run_notebooks
from randprune_lab.terminal import printable

if TYPE_CHECKING:
    from nbformat import NotebookNode

# The maximum time of one cell in seconds: far more than any cell needs, so that only a hung kernel is stopped.
PROFILES = {"smoke": 300, "classroom": 1_800, "study": 7 * 86_400}


def report(
    profile: str,
    out: str | Path,
    only: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    notebooks: str | Path = "notebooks",
    overwrite: bool = False,
    jobs: int | None = None,
    check: CheckMode | None = None,
    expected: str | Path | None = None,
) -> ReportSummary:
    """Run the notebooks of a folder, and write a page for each, an index and a summary to `out`.

    It prints one line for each notebook, the outcome of the check, and the path of the index.

    Args:
        profile: the profile that the notebooks are run with.
        out: the report's folder. An earlier report in it is replaced.
        only: the beginning of the names of the notebooks to run, such as "00" or "03_mask"; None for all.
        parameters: values for parameters; a notebook gets those that its parameters cell assigns.
        notebooks: the folder of the notebooks.
        overwrite: write to `out` even if it contains other files than a report. Files with the same name are replaced,
            others are kept.
        jobs: the number of notebooks that run at a time; None chooses it by cores and free memory.
        check: "compare" the key figures with the expected ones, or "update" the expected ones.
        expected: the folder of the expected key figures; None for `data/expected` beside the notebooks' folder.

    Raises:
        UnknownNameError: if there is no such profile or notebook.
        ConfigError: if no selected notebook has one of the parameters, or if parameters are set together with a check.
        FileError: if notebooks or expected key figures cannot be read, or two notebooks would have the same page.
        RunError: if `out` cannot be used.
    """
    if profile not in PROFILES:
        raise unknown_name("profile", profile, PROFILES)
    if jobs is not None:
        check_count("jobs", jobs)
    out, notebooks = given_path(out), given_path(notebooks)
    expected = None if expected is None else given_path(expected)
    sources = _select(_read_folder(notebooks), only)
    _check_parameters(parameters or {}, sources)
    names = [path.stem for path in sources]
    documents = read_documents(notebooks, names)
    if same := one_file(["index", *names, *(document.name for document in documents)]):
        raise FileError(f"{same[0]}.html and {same[1]}.html would be one page of the report; rename a notebook")
    regression = Regression.prepare(check, profile, notebooks, expected, parameters or {}, only)
    _prepare_folder(out, notebooks, overwrite)

    planned = tuple(NotebookResult(path.stem, read.title(node, path.stem)) for path, node in sources.items())
    summary = ReportSummary(out, profile, dict(parameters or {}), planned)
    write_index(summary)  # marks the folder as a report, even if this run is killed
    start, jobs = time.monotonic(), jobs or jobs_that_fit(len(planned))
    files = write_documents(documents, names, out)
    running = run_notebooks(list(sources), out, summary.parameters, profile, PROFILES[profile], jobs, files)
    with closing(running):  # after Ctrl-C, the kernels end first
        for number, result in enumerate(running, 1):
            print(printable(_progress_line(result, number, planned)), flush=True)
            summary = _with_result(summary, regression.checked(result), time.monotonic() - start)
            write_index(summary)
    regression.conclude(summary.results)
    print(f"report: {summary.index}", flush=True)
    return summary


def parse_parameters(assignments: Sequence[str]) -> dict[str, Any]:
    """Parameters from text such as "seed=3", "rate=1e-3", "levels=[0.5, 0.9]" or "task=SST-2".

    A value is read as JSON or as a Python literal; any other value is a string. A string that names a file, or a folder
    with a slash in it, becomes an absolute path, because notebooks run in folders of their own.

    Raises:
        ConfigError: if an assignment has no name.
    """
    return dict(map(_parse_parameter, assignments))


def _parse_parameter(assignment: str) -> tuple[str, Any]:
    name, equals, value = assignment.partition("=")
    if not (equals and name.strip().isidentifier()):
        raise ConfigError(f"a parameter must be written as name=value, such as seed=3, got {assignment!r}")
    for literal in (json.loads, ast.literal_eval):
        with suppress(ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            return name.strip(), literal(value)
    return name.strip(), _found_here(value)


def _found_here(text: str) -> str:
    with suppress(OSError):  # a long text is no name
        if Path(text).is_file() or ("/" in text and Path(text).is_dir()):
            return str(Path(text).absolute())
    return text


def _read_folder(folder: Path) -> dict[Path, NotebookNode]:
    sources = {path: read_notebook(path) for path in sorted(folder.glob("*.ipynb"))}
    if not sources:
        raise FileError(f"no notebooks (*.ipynb) in {folder.absolute()}; give their folder with --notebooks")
    return sources


def _select(sources: dict[Path, NotebookNode], only: str | None) -> dict[Path, NotebookNode]:
    selected = {path: node for path, node in sources.items() if path.stem.startswith(only or "")}
    if not selected:
        raise unknown_name("notebook", str(only), [path.stem for path in sources])
    return selected


def _check_parameters(parameters: Mapping[str, Any], sources: Mapping[Path, NotebookNode]) -> None:
    known = set().union(*map(read.parameter_names, sources.values())) - {"profile"}
    unknown = sorted(set(parameters) - known)
    if unknown:
        raise ConfigError(
            f"unknown parameter {', '.join(unknown)}; parameters of the selected notebooks: "
            f"{', '.join(sorted(known)) or 'none'}"
        )
    for name, value in parameters.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigError(
                f"parameter {name} must be a number, a text, a list or a mapping, got {value!r}; a list is written as "
                "[1, 2]"
            ) from error


def _prepare_folder(out: Path, notebooks: Path, overwrite: bool) -> None:
    if out.resolve() == notebooks.resolve():
        raise RunError(f"{out} is the folder of the notebooks; choose another folder for the report")
    if out.exists() and not out.is_dir():
        raise RunError(f"{out} is a file; choose a folder for the report")
    former = _former_names(out)
    if former is None and not overwrite and out.exists() and any(out.iterdir()):
        raise RunError(f"{out} contains other files than a report; choose another folder, or use --overwrite")
    _remove_report(out, former or set())


def _former_names(out: Path) -> set[str] | None:
    """The notebooks of the earlier report in `out`; None if there is no report."""
    try:
        summary = json.loads((out / SUMMARY_FILE).read_text(encoding="utf-8"))
        names = {str(entry["name"]) for entry in summary["notebooks"]}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return names if summary.get("made_by") == MADE_BY else None


def _remove_report(out: Path, names: set[str]) -> None:
    """Remove the pages of an earlier report, so that none of them is mistaken for a new one."""
    present = {path.stem for path in out.glob("*")}
    for name in names & present:  # whatever the summary contains, nothing outside `out` is removed
        for page in (f"{name}.html", f"{name}.ipynb", f"{name}-{EXERCISES}.html", *(f"{text}.html" for text in TEXTS)):
            (out / page).unlink(missing_ok=True)
        shutil.rmtree(out / WORK_FOLDER / name, ignore_errors=True)


def _with_result(summary: ReportSummary, result: NotebookResult, seconds: float) -> ReportSummary:
    results = (result if known.name == result.name else known for known in summary.results)
    return replace(summary, results=tuple(results), seconds=seconds)


def _progress_line(result: NotebookResult, number: int, planned: Sequence[NotebookResult]) -> str:
    """A line in columns, such as "[1/9]  00_tour  ok  41 s  0.71 GB  figures from 4 s to 38 s, after 3 lines of code".

    The times are those of the first and the last figure, and the lines are those above the first that a reader sees.
    """
    width = max(len(one.name) for one in planned)
    memory = format_memory(result.peak_memory) if result.peak_memory else ""
    columns = f"[{number}/{len(planned)}]  {result.name:<{width}}  {result.status:<6}"
    columns += f"  {format_duration(result.seconds):>10}  {memory:>7}"
    if result.failure:
        return f"{columns}  {result.failure}"
    if result.figure_times:
        first, last = map(format_duration, result.figure_times)
        lines = f"{result.code_before} line{'s' if result.code_before != 1 else ''} of code"
        return f"{columns}  figures from {first} to {last}, after {lines}"
    return columns.rstrip()
