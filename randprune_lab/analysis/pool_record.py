"""The record of a pool whose candidates were all trained to the end. Strategies are judged by such pools."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float16, Float64, UInt8

from randprune_lab.analysis.replay import Replay, Truth
from randprune_lab.files import reading
from randprune_lab.sealed import Older, check_arrays, read_arrays, write_arrays
from randprune_lab.stats.intervals import Interval, rank_correlation
from randprune_lab.typed import record_of, typed

KIND, FORMAT = "randprune pool record", 4
"""Format 3 had no answers of candidates after the whole training; it is still read."""


@dataclass(frozen=True, eq=False)
class PoolRecord:
    """The candidates of a level: their early evaluations, and their scores after the whole training.

    Args:
        task: the name of the task.
        sparsity: the sparsity of the level.
        seed: the seed of the whole search.
        candidates_from: how the masks were drawn, such as "voting".
        at: the training steps of the early evaluations; 0 first, where a candidate is masked but not trained.
        examples: log-likelihoods of the right answers to the validation examples. The file has half precision.
        correct: whether the answer to each of these examples is correct.
        final: the accuracy of each candidate on the test set after the whole training of the level.
        right: whether the answer of each candidate after the whole training to each test example is correct; None for
            pools that were recorded before this was kept.
        noise: early scores (mean log-likelihoods) of some masks, each trained with several other seeds; may be empty.
    """

    task: str
    sparsity: float
    seed: int
    candidates_from: str
    at: tuple[int, ...]
    examples: Float64[np.ndarray, "candidates evaluations n"]
    correct: Bool[np.ndarray, "candidates evaluations n"]
    final: Float64[np.ndarray, " candidates"]
    noise: Float64[np.ndarray, "masks seeds"]
    right: Bool[np.ndarray, "candidates tests"] | None = None

    @property
    def truth(self) -> Truth:
        """How good each candidate is after the whole training, as `regret` takes it."""
        return self.final if self.right is None else self.right

    @property
    def replay(self) -> Replay:
        """The early evaluations, for strategies to run on."""
        return Replay(self.at, self.examples, lambda rows: self.correct[:, :, rows].mean(axis=2))

    def early(self, last: int, steps: int | None = None) -> Float64[np.ndarray, " candidates"]:
        """The mean log-likelihood of each candidate over its last early evaluations.

        Args:
            last: the number of evaluations.
            steps: leave out evaluations after more training steps than these.
        """
        known = len(self.at) if steps is None else sum(at <= steps for at in self.at)
        return self.examples[:, max(0, known - last) : known].mean(axis=(1, 2))

    def agreement(self, last: int, steps: int | None = None) -> Interval:
        """The rank correlation of early scores, as `early` returns them, with final scores."""
        return rank_correlation(self.early(last, steps), self.final)

    def save(self, path: str | Path) -> None:
        """Write the pool to a safetensors file, atomically.

        Raises:
            FileError: if the file cannot be written.
        """
        arrays: dict[str, np.ndarray] = {
            "examples": self.examples.astype(np.float16),
            "correct": np.packbits(self.correct, axis=-1),
            "final": self.final,
            "noise": self.noise,
        }
        tests = 0
        if self.right is not None:
            arrays["right"], tests = np.packbits(self.right, axis=-1), self.right.shape[1]
        names = ("task", "sparsity", "seed", "candidates_from", "at")
        sizes = {"n": self.examples.shape[-1], "tests": tests}
        about = {**sizes, **{name: getattr(self, name) for name in names}}
        write_arrays(path, KIND, FORMAT, arrays, about)

    @classmethod
    def load(cls, path: str | Path) -> PoolRecord:
        """Read a file that `save` wrote.

        Raises:
            FileError: if the file is missing, damaged, or not a pool record.
        """
        arrays, about = read_arrays(path, KIND, FORMAT, "`randprune bench early --out DIR` writes such files", _OLDER)
        with reading("pool record", path):
            n = typed(int, about.pop("n", None), "n", strict=True)
            tests = typed(int, about.pop("tests", None), "tests", strict=True)
            values = typed(_ABOUT, about, strict=True)
            check_arrays(arrays, _ARRAYS | (_RIGHT if tests else {}))
            final, at = arrays["final"], values["at"]
            if not len(final) or not n or list(at) != sorted({*at}) or at[-1] < 1 or not np.isfinite(final).all():
                raise ValueError("it must have candidates, examples and steps in increasing order")
            shape = (len(final), len(at), n)
            if arrays["examples"].shape != shape or arrays["correct"].shape != (*shape[:2], -(-n // 8)):
                raise ValueError(f"its evaluations have other shapes than {shape}: candidates, evaluations, examples")
            if tests and arrays["right"].shape[1] != -(-tests // 8):
                raise ValueError(f"its final answers are not those to {tests} test examples")
            return cls(
                **values,
                examples=arrays["examples"].astype(np.float64),
                correct=np.unpackbits(arrays["correct"], axis=-1, count=n).astype(bool),
                final=final,
                noise=arrays["noise"],
                right=np.unpackbits(arrays["right"], axis=-1, count=tests).astype(bool) if tests else None,
            )


_ARRAYS = {
    "examples": Float16[np.ndarray, "candidates evaluations n"],
    "correct": UInt8[np.ndarray, "candidates evaluations bytes"],
    "final": Float64[np.ndarray, " candidates"],
    "noise": Float64[np.ndarray, "masks seeds"],
}
"""The arrays of a file."""
_RIGHT = {"right": UInt8[np.ndarray, "candidates test_bytes"]}
_ABOUT = record_of(PoolRecord, (*_ARRAYS, *_RIGHT))
_OLDER: Older = {3: lambda about: about.update(tests=0)}
