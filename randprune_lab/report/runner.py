"""Running notebooks with papermill: each in a kernel and a work folder of its own."""

from __future__ import annotations

import logging
import shutil
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from randprune_lab.files import atomic_path
from randprune_lab.report import notebook as read
from randprune_lab.report.results import NotebookResult

WORK_FOLDER = "work"


def run_notebooks(
    notebooks: Sequence[Path],
    out: Path,
    parameters: Mapping[str, Any],
    profile: str,
    cell_timeout: int | None = None,
) -> Iterator[NotebookResult]:
    """Run notebooks one after the other; yield each one's result as soon as its page is written.

    Each is given `profile` and those of `parameters` that its parameters cell assigns. Writes
    `<name>.ipynb` (executed) and `<name>.html` to `out`. A cell that fails, or runs longer than
    `cell_timeout` seconds, ends its own notebook only.
    """
    for path in notebooks:
        yield _run(path, out, parameters, profile, cell_timeout)


def _run(
    path: Path, out: Path, parameters: Mapping[str, Any], profile: str, cell_timeout: int | None
) -> NotebookResult:
    import nbformat

    source = nbformat.read(path, as_version=4)
    known = read.parameter_names(source)
    values = {name: value for name, value in parameters.items() if name in known} | {"profile": profile}
    executed_path = out / path.name

    start = time.monotonic()
    error = _execute(path, executed_path, values, _fresh_folder(out / WORK_FOLDER / path.stem), cell_timeout)
    seconds = time.monotonic() - start

    # Nothing was written if the notebook failed before its first cell.
    executed = nbformat.read(executed_path if executed_path.exists() else path, as_version=4)
    result = NotebookResult(
        name=path.stem,
        title=read.title(source, default=path.stem),
        status="failed" if error else "ok",
        seconds=seconds,
        failure=read.failure(executed, error) if error else None,
        key_figures=read.key_figures(executed),
        thumbnail=read.thumbnail(executed),
    )
    _write_page(executed, result, out)
    return result


def _execute(
    path: Path, executed: Path, parameters: Mapping[str, Any], work: Path, cell_timeout: int | None
) -> Exception | None:
    """Run one notebook; return what stopped it, if anything did."""
    import papermill

    try:
        with _quiet():
            papermill.execute_notebook(
                path,
                executed,
                parameters=dict(parameters),
                kernel_name="python3",  # the environment's own, whatever the notebook was saved with
                language="python",
                cwd=work,
                progress_bar=False,
                execution_timeout=cell_timeout,
                extra_arguments=["--log-level=CRITICAL"],  # the kernel would log to our terminal
            )
    except Exception as error:  # whatever a notebook does, the others still run
        return error
    return None


def _write_page(executed: Any, result: NotebookResult, out: Path) -> None:
    from randprune_lab.report.page import render_page

    with atomic_path(out / result.page) as temporary, _quiet():
        temporary.write_text(render_page(executed, result), encoding="utf-8")


def _fresh_folder(folder: Path) -> Path:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' warnings off the terminal; a reader looks for one line per notebook."""
    previous = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)
