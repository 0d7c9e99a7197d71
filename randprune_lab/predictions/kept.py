"""The file of a reader's predictions: JSON beside the notebooks, written whole or not at all, checked when read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from randprune_lab.errors import ConfigError, FileError
from randprune_lab.files import check_format, reading, strict_json, write_json
from randprune_lab.predictions.prediction import Prediction
from randprune_lab.typed import record_of, typed

FILE = "predictions.json"
"""The file's name."""
KIND, FORMAT = "randprune file of a reader's predictions", 1
LARGEST = 1 << 20  # bytes
MOST = 200
RECORD = "application/vnd.randprune.prediction+json"
"""The type of a prediction in the output of a notebook's cell."""
REMEDY = "remove or rename it, and a new one is written"

_RECORDS: Any = list[record_of(Prediction)]  # type: ignore[misc]


def read_predictions(path: str | Path) -> list[Prediction]:
    """The predictions in a file, in the order in which they were first answered.

    Raises:
        FileError: if it is missing, damaged, or of another format.
    """
    with reading("prediction file", path, REMEDY):
        if (size := Path(path).stat().st_size) > LARGEST:
            raise FileError(f"prediction file {path} has {size:,} bytes, expected at most {LARGEST:,}; {REMEDY}")
        about = typed(dict[str, Any], strict_json(Path(path).read_bytes()), strict=True)
        check_format(path, about, KIND, FORMAT, REMEDY)
        return predictions_of(about.get("predictions"))


def predictions_of(records: Any) -> list[Prediction]:
    """Predictions from records as a program wrote them; of several with one lesson and question, the first.

    Raises:
        ConfigError: if they are none, or too many.
    """
    found = typed(_RECORDS, records, "predictions", strict=True)
    _check_number(found)
    unique: dict[tuple[str, str], Prediction] = {}
    for one in found:
        made = Prediction(**one)
        unique.setdefault(made.key, made)
    return [*unique.values()]


def keep_prediction(path: str | Path, prediction: Prediction) -> None:
    """Write a prediction to the file, in place of an earlier one of the same lesson and question.

    Raises:
        ConfigError: if the file is full.
        FileError: if the file that is there cannot be read, or the new one not be written.
    """
    path = Path(path)
    known = {one.key: one for one in (read_predictions(path) if path.exists() else [])}
    write_predictions(path, [*(known | {prediction.key: prediction}).values()])


def write_predictions(path: str | Path, predictions: Sequence[Prediction]) -> None:
    """Write a file of predictions.

    Raises:
        ConfigError: if they are more than a file may have, which nobody could read again.
        FileError: if the file cannot be written.
    """
    _check_number(predictions)
    records = [asdict(one) for one in predictions]
    write_json(path, {"kind": KIND, "format": FORMAT, "predictions": records})


def _check_number(predictions: Sequence[Any]) -> None:
    if len(predictions) > MOST:
        raise ConfigError(f"there must be at most {MOST} predictions, got {len(predictions)}")
