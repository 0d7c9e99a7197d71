"""What an evaluation by a function of the user returned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from torch import Tensor

from randprune_lab.errors import RunError


@dataclass(frozen=True)
class Judged:
    """What an evaluation returned.

    Args:
        score: the score; the mean of those of the examples if only they were returned.
        examples: the scores of the examples; empty if only a score was returned.
    """

    score: float
    examples: Float64[np.ndarray, " n"]

    @classmethod
    def of(cls, value: Any, where: str) -> Judged:
        """What a user's function returned: a score, scores of examples, or a pair of both.

        Raises:
            RunError: if it is something else, or not finite.
        """
        score, examples = value if isinstance(value, tuple) and len(value) == 2 else (None, value)
        try:
            examples = np.asarray(_numbers(examples), dtype=np.float64)
            score = None if score is None else float(score)
        except (TypeError, ValueError) as error:
            raise RunError(f"evaluate returned {value!r} {where}; return a number, or an array of scores") from error
        if score is None and examples.ndim == 0:
            score, examples = float(examples), np.zeros(0)
        if examples.ndim != 1 or (score is None and not len(examples)):
            raise RunError(
                f"evaluate returned an array of shape {examples.shape} {where}; return one score for each example"
            )
        score = float(examples.mean()) if score is None else score
        if not (np.isfinite(score) and np.isfinite(examples).all()):
            raise RunError(
                f"evaluate returned a score that is not finite {where}; lower the learning rate, or return a finite "
                "low score instead"
            )
        return cls(score, examples)

    def check_same_examples(self, number: int | None, where: str) -> None:
        """Raise `RunError` unless the number of examples is the one before; None: it is not known yet."""
        if number is not None and len(self.examples) != number:
            raise RunError(
                f"evaluate returned {_counted(len(self.examples))} {where}, but {_counted(number)} before; score the "
                "same examples every time"
            )


def _counted(examples: int) -> str:
    return f"scores of {examples} examples" if examples else "one score"


def _numbers(value: Any) -> Any:
    if value is None:
        raise TypeError("NumPy would take None for NaN")
    return value.detach().cpu().double().numpy() if isinstance(value, Tensor) else value  # NumPy has no bfloat16
