"""The record of a pool whose candidates were all trained to the end. Strategies are judged by such pools."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64

from randprune_lab.analysis.replay import Replay
from randprune_lab.errors import FileError
from randprune_lab.files import atomic_path, check_format

KIND, FORMAT = "randprune pool record", 2


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

    @property
    def replay(self) -> Replay:
        """The early evaluations, for strategies to run on."""
        return Replay(self.at, self.examples, lambda rows: self.correct[:, :, rows].mean(axis=2))

    def early(self, last: int) -> Float64[np.ndarray, " candidates"]:
        """The mean log-likelihood of each candidate over its last early evaluations."""
        return self.examples[:, -last:].mean(axis=(1, 2))

    def save(self, path: str | Path) -> None:
        """Write the pool to a safetensors file, atomically.

        Raises:
            FileError: if the file cannot be written.
        """
        from safetensors.numpy import save_file

        arrays: dict[str, np.ndarray] = {
            "examples": self.examples.astype(np.float16),
            "correct": np.packbits(self.correct, axis=-1),
            "final": self.final,
            "noise": self.noise,
        }
        names = ("task", "sparsity", "seed", "candidates_from", "at")
        about = {
            "kind": KIND,
            "format": FORMAT,
            "n": self.examples.shape[-1],
            **{name: getattr(self, name) for name in names},
        }
        with atomic_path(Path(path)) as temporary:
            save_file(arrays, temporary, metadata={"about": json.dumps(about)})

    @classmethod
    def load(cls, path: str | Path) -> PoolRecord:
        """Read a file that `save` wrote.

        Raises:
            FileError: if the file is missing, damaged, or not a pool record.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "numpy") as file:
                about: dict[str, Any] = json.loads((file.metadata() or {}).get("about", "{}"))
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, ValueError, SafetensorError) as error:
            raise FileError(f"cannot read the pool record {path}: {error}") from error
        check_format(path, about, KIND, FORMAT, "`randprune bench early --out DIR` writes such files")
        n = about.pop("n")
        return cls(
            **about | {"at": tuple(about["at"])},
            examples=arrays["examples"].astype(np.float64),
            correct=np.unpackbits(arrays["correct"], axis=-1, count=n).astype(bool),
            final=arrays["final"],
            noise=arrays["noise"],
        )
