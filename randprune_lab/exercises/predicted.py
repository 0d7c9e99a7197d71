"""The predictions of a class: for each question a histogram of the answers beside the truth."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from randprune_lab.errors import FileError
from randprune_lab.exercises.collect import whose
from randprune_lab.exercises.submissions import content_of, files_in, one_line
from randprune_lab.notebook_file import cells_of
from randprune_lab.predictions import RECORD, Prediction, Score, predictions_of, read_predictions, score_predictions

log = logging.getLogger("randprune_lab")

BAR = 40
"""The most characters of a bar."""


@dataclass(frozen=True)
class Tally:
    """The answers of a class to one question.

    Args:
        lesson, question: the question.
        counts: the number of answers by option, without those that were given after the truth was shown.
        truths: the number of students for whom an option was true; it can differ with the settings of a lesson.
        misconceptions: by option, the mistake behind it.
        score: the score of the class.
    """

    lesson: str
    question: str
    counts: Mapping[str, int]
    truths: Mapping[str, int]
    misconceptions: Mapping[str, str]
    score: Score

    @property
    def lines(self) -> list[str]:
        """The histogram as text."""
        answers = sum(self.counts.values())
        said = [f"{answers} answers" if answers != 1 else "1 answer"]
        if self.score.counted:
            said.append(f"{self.score.right} of {self.score.counted} right")
        if self.score.rated:
            said.append(f"mean Brier score {self.score.brier:.2f} (a guess: {self.score.guessing:.2f})")
            said.append(f"on average {100 * self.score.sure:.0f} % sure")
        if self.score.changed:
            said.append(f"{self.score.changed} changed later (the first answer counts)")
        if self.score.late:
            said.append(f"{self.score.late} late (not counted)")
        width = max(len(one_line(option)) for option in self.counts)
        return [
            f"{one_line(self.lesson)} {one_line(self.question)}".strip(),
            f"  {', '.join(said)}",
            *(self._row(option, count, width) for option, count in self.counts.items()),
        ]

    def _row(self, option: str, count: int, width: int) -> str:
        most = max(*self.counts.values(), 1)
        bar = "#" * round(count * min(BAR, most) / most)
        known = sum(self.truths.values())
        true = self.truths.get(option, 0)
        mark = "*" if true else " "
        notes = [f"true for {true} of {known}"] if 0 < true < known else []
        if self.misconceptions.get(option) and not true:
            notes.append(one_line(self.misconceptions[option]))
        return f"  {mark} {one_line(option):<{width}} {count:>4}  {bar:<{min(BAR, most)}}  {'; '.join(notes)}".rstrip()


def tally_class(folder: str | Path) -> list[Tally]:
    """The answers in a folder of files of predictions and of notebooks with predictions, by question.

    Each subfolder is a student, and so is each file beside them; those that Canvas or Moodle named after one student
    are of one. Files are found at any depth. What cannot be read is
    logged in a line, and the rest is used. If a student has a question in several files, that of the file of
    predictions is used, or else the first.

    Args:
        folder: the folder.

    Raises:
        FileError: if the folder cannot be read, or has no predictions.
    """
    folder = Path(folder)
    try:
        entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise FileError(f"cannot read {folder}: {error.strerror}; give a folder with students' files") from error
    students: dict[tuple[str, ...], list[Path]] = {}
    for entry in entries:
        owner = whose(PurePosixPath(entry.name))[:2]
        students.setdefault(owner if any(owner) else (entry.name,), []).append(entry)
    asked: dict[tuple[str, str, tuple[str, ...]], list[Prediction]] = {}
    for own in students.values():
        for one in _predictions_of_student(own).values():
            asked.setdefault((*one.key, one.options), []).append(one)
    if not asked:
        raise FileError(
            f"{folder} has no predictions: expected files such as {folder / 'STUDENT' / 'predictions.json'}, or "
            "notebooks that were saved with predictions"
        )
    return [_tally(asked[key]) for key in sorted(asked, key=lambda key: key[0])]


def _tally(predictions: Sequence[Prediction]) -> Tally:
    first = predictions[0]
    chosen = Counter(one.answer for one in predictions if not one.late)
    meanings = (one.misconceptions for one in reversed(predictions))
    return Tally(
        lesson=first.lesson,
        question=first.question,
        counts={option: chosen[option] for option in first.options},
        truths=Counter(one.truth for one in predictions if one.truth is not None),
        misconceptions={option: text for meaning in meanings for option, text in meaning.items()},
        score=score_predictions(predictions),
    )


def _predictions_of_student(entries: Sequence[Path]) -> dict[tuple[str, str], Prediction]:
    files = [path for entry in entries for path in (files_in(entry) if entry.is_dir() else [entry])]
    paths = sorted(files, key=lambda path: (path.suffix == ".ipynb", path))
    found: dict[tuple[str, str], Prediction] = {}
    for path in paths:
        for one in _read(path):
            found.setdefault(one.key, one)
    return found


def _read(path: Path) -> list[Prediction]:
    """The predictions in a file; of none, with a line in the log, if it cannot be read."""
    try:
        if path.suffix.lower() == ".ipynb":
            return predictions_of([*_records(path)])
        content_of(path)
        return read_predictions(path)
    except FileError as error:  # it names the file
        reason = str(error)
    except (OSError, ValueError, RecursionError) as error:
        reason = f"{path}: {getattr(error, 'strerror', None) or error}"
    if path.suffix.lower() not in (".ipynb", ".json"):  # a report or a picture beside them is not damaged
        reason = f"{path} is neither a notebook (.ipynb) nor a file of predictions (.json)"
    log.warning("not used: %s", one_line(reason))
    return []


def _records(path: Path) -> Iterator[Any]:
    """The records of predictions in the outputs of a notebook."""
    for cell in cells_of(content_of(path)):
        outputs = cell.get("outputs")
        for output in outputs if isinstance(outputs, list) else []:
            data = output.get("data") if isinstance(output, dict) else None
            if isinstance(data, dict) and RECORD in data:
                yield data[RECORD]
