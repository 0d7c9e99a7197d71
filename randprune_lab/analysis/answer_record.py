"""The record of a pool's answers: which examples each candidate answers correctly, early and at each checkpoint.

With them a result can be reported in several ways, on some of the examples, and compared with the truth on the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from randprune_lab.files import reading
from randprune_lab.sealed import check_arrays, read_arrays, write_arrays
from randprune_lab.typed import record_of, typed

KIND, FORMAT = "randprune answer record", 1

WRITES = "`randprune bench reporting --out DIR` writes such files"


@dataclass(frozen=True, eq=False)
class AnswerRecord:
    """The answers of a level's candidates, which were all trained early and to the end.

    The first candidates are different random masks, trained with one seed; the others are restarts, the magnitude mask
    trained with different seeds.

    Args:
        task: the name of the task.
        sparsity: the sparsity of the level.
        seed: the seed of the train rows, the dense model and the masks.
        model: the name of the model.
        learning_rate: the learning rate of the full training.
        masks: the number of random masks.
        early_at: the training steps of the evaluations that an early score is the mean of.
        at: the training steps of the checkpoints of the full training.
        early_validation: accuracy and mean log-likelihood on the validation set at the early evaluations.
        validation: the same at the checkpoints.
        early: whether the answer to each test example is correct at the early evaluations.
        right: the same at the checkpoints.
    """

    task: str
    sparsity: float
    seed: int
    model: str
    learning_rate: float
    masks: int
    early_at: tuple[int, ...]
    at: tuple[int, ...]
    early_validation: Float32[np.ndarray, "candidates looks 2"]
    validation: Float32[np.ndarray, "candidates checkpoints 2"]
    early: Bool[np.ndarray, "candidates looks tests"]
    right: Bool[np.ndarray, "candidates checkpoints tests"]

    @property
    def groups(self) -> dict[str, range]:
        """The candidates of each kind, "masks" and "restarts"; a kind without candidates is left out."""
        found = {"masks": range(self.masks), "restarts": range(self.masks, len(self.right))}
        return {kind: group for kind, group in found.items() if group}

    def save(self, path: str | Path) -> None:
        """Write the record to a safetensors file, atomically; an answer takes a bit.

        Raises:
            FileError: if the file cannot be written.
        """
        arrays = {name: getattr(self, name) for name in _SCORES}
        arrays |= {name: np.packbits(getattr(self, name), axis=-1) for name in _ANSWERS}
        about = {name: getattr(self, name) for name in _ABOUT.__annotations__}
        write_arrays(path, KIND, FORMAT, arrays, {"tests": self.right.shape[2], **about})

    @classmethod
    def load(cls, path: str | Path) -> AnswerRecord:
        """Read a file that `save` wrote.

        Raises:
            FileError: if the file is missing, damaged, or not an answer record.
        """
        arrays, about = read_arrays(path, KIND, FORMAT, WRITES)
        with reading("answer record", path):
            tests = typed(int, about.pop("tests", None), "tests", strict=True)
            values = typed(_ABOUT, about, strict=True)
            check_arrays(arrays, _SCORES | _ANSWERS)
            candidates, looks, checkpoints = len(arrays["right"]), len(values["early_at"]), len(values["at"])
            if not (candidates and looks and checkpoints and tests > 0 and 0 <= values["masks"] <= candidates):
                raise ValueError("it must have candidates, early evaluations, checkpoints and examples")
            shape = (candidates, looks, checkpoints, -(-tests // 8))
            shapes = arrays["early"].shape, arrays["right"].shape
            if (*shapes[0][:2], *shapes[1][1:]) != shape:
                raise ValueError(f"its answers have other shapes than {shape}: candidates, evaluations, bytes")
            if not all(np.isfinite(arrays[name][..., 0]).all() for name in _SCORES):
                raise ValueError("its validation scores must be finite")
            early, right = (np.unpackbits(arrays[name], axis=-1, count=tests).astype(bool) for name in _ANSWERS)
            return cls(
                **values,
                early_validation=arrays["early_validation"],
                validation=arrays["validation"],
                early=early,
                right=right,
            )


_SCORES = {
    "early_validation": Float32[np.ndarray, "candidates looks 2"],
    "validation": Float32[np.ndarray, "candidates checkpoints 2"],
}
_ANSWERS = {
    "early": UInt8[np.ndarray, "candidates looks bytes"],
    "right": UInt8[np.ndarray, "candidates checkpoints bytes"],
}
_ABOUT = record_of(AnswerRecord, (*_SCORES, *_ANSWERS))
