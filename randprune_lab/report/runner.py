"""Running notebooks, several at a time: each has its own kernel and its own work folder."""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from randprune_lab.files import atomic_path
from randprune_lab.notebook_file import read_notebook
from randprune_lab.report import notebook as read
from randprune_lab.report.around import Around, Link
from randprune_lab.report.processes import Workers
from randprune_lab.report.results import NotebookResult

WORK_FOLDER = "work"
POSITIONS = {"smoke": "3"}
"""The most positions of each control that an explorer draws, by profile; all in others."""


def run_notebooks(
    notebooks: Sequence[Path],
    out: Path,
    parameters: Mapping[str, Any],
    profile: str,
    cell_timeout: int | None = None,
    jobs: int = 1,
    files: Mapping[str, str] | None = None,
) -> Generator[NotebookResult, None, None]:
    """Run notebooks and yield each result as soon as the notebook has ended and its page is written.

    A notebook gets `profile`, and the parameters that its parameters cell assigns. `<name>.ipynb` (executed) and
    `<name>.html` are written to `out`. A cell that fails, or takes longer than `cell_timeout` seconds, ends only its
    own notebook. All notebooks end when the iteration stops.

    Args:
        notebooks: the notebooks to run.
        out: the report's folder.
        parameters: values for parameters, by name.
        profile: the profile that the notebooks are run with.
        cell_timeout: the maximum time of one cell in seconds; None for no maximum.
        jobs: the number of notebooks that run at a time.
        files: other files of the report, by the address that a notebook has for them.
    """
    waiting = ThreadPoolExecutor(jobs)
    try:
        with Workers(jobs) as workers:  # ends before the threads are waited for, because they wait for the workers
            jobs_of = {path: _job(path, out, parameters, profile, cell_timeout) for path in notebooks}
            made = {waiting.submit(workers.run, job): path for path, job in jobs_of.items()}
            around = _around(notebooks, files or {})
            for future in as_completed(made):
                path = made[future]
                yield _result(path, out, jobs_of[path]["parameters"], future.result(), around[path])
    finally:
        waiting.shutdown(cancel_futures=True)


def _job(
    path: Path, out: Path, parameters: Mapping[str, Any], profile: str, cell_timeout: int | None
) -> dict[str, Any]:
    """The job that a worker needs to run the notebook."""
    known = read.parameter_names(read_notebook(path))
    executed = out / path.name
    executed.unlink(missing_ok=True)
    return {
        "notebook": str(path.resolve()),
        "executed": str(executed.resolve()),
        "folder": str(_fresh_folder(out / WORK_FOLDER / path.stem).resolve()),
        "parameters": {name: value for name, value in parameters.items() if name in known} | {"profile": profile},
        "positions": POSITIONS.get(profile, "all"),
        "cell_timeout": cell_timeout,
    }


def _around(notebooks: Sequence[Path], files: Mapping[str, str]) -> dict[Path, Around]:
    """The pages that each notebook's page can lead to."""
    links = [Link(f"{path.stem}.html", read.title(read_notebook(path), default=path.stem)) for path in notebooks]
    beside = zip(notebooks, [None, *links], [*links[1:], None], strict=False)
    return {path: Around(previous, following, files) for path, previous, following in beside}


def _result(
    path: Path, out: Path, parameters: Mapping[str, Any], answer: Mapping[str, Any], around: Around
) -> NotebookResult:
    """The result of a notebook that a worker ran; its page is written first."""
    source, error = read.without_outputs(read_notebook(path)), answer["error"]
    result = NotebookResult(
        name=path.stem,
        title=read.title(source, default=path.stem),
        status="failed" if error else "ok",
        seconds=answer["seconds"],
        peak_memory=answer["peak_memory"],
        parameters=parameters,
    )
    # There is no executed notebook if it failed before its first cell.
    executed = out / path.name
    try:
        return _read_back(read_notebook(executed) if executed.exists() else source, result, error, out, around)
    except Exception as unreadable:  # a notebook can show anything; it must not end the report
        error = error or {"name": type(unreadable).__name__, "message": str(unreadable)}
        return _read_back(source, replace(result, status="failed"), error, out, around)


def _read_back(
    notebook: Any, result: NotebookResult, error: Mapping[str, str] | None, out: Path, around: Around
) -> NotebookResult:
    if not error and (name := read.early_end(notebook)):
        error = {"name": name, "message": "the cells below did not run"}
        result = replace(result, status="failed")
    result = replace(
        result,
        failure=read.failure(notebook, error["name"], error["message"]) if error else None,
        figure_times=read.figure_times(notebook),
        code_before=read.code_before_the_first_figure(notebook),
        key_figures=read.key_figures(notebook),
        thumbnail=read.thumbnail(notebook),
    )
    _write_page(notebook, result, out, around)
    return result


def _write_page(executed: Any, result: NotebookResult, out: Path, around: Around) -> None:
    from randprune_lab.report.page import render_page

    with atomic_path(out / result.page) as temporary, _quiet():
        temporary.write_text(render_page(executed, result, around), encoding="utf-8")


def _fresh_folder(folder: Path) -> Path:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' warnings off the terminal, which shows one line for each notebook."""
    previous = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)
