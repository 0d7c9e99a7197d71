"""Scores of predictions: how often they were right, and whether their certainty was justified."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from randprune_lab.predictions.prediction import Prediction

ENOUGH = 5
"""From this number of answers on, calibration is judged."""


def brier_score(options: int, sure: float, right: bool) -> float:
    """The Brier score of an answer (Brier 1950): the sum over all options of (probability - outcome)².

    What the reader does not give to the chosen option is divided equally among the others. 0 is the best score, for
    certain and right, and 2 the worst, for certain and wrong. A guess gets 1 - 1 / options. No other way to answer has
    a better expected score than to choose the likeliest option and to say how likely it is.

    Args:
        options: the number of options, at least 2.
        sure: the probability given to the chosen option.
        right: whether that option was true.

    >>> brier_score(2, 0.5, True), brier_score(4, 1.0, False)
    (0.5, 2.0)
    """
    each = (1 - sure) / (options - 1)
    squares = sure**2 + (options - 1) * each**2
    return squares + 1 - 2 * (sure if right else each)


@dataclass(frozen=True)
class Score:
    """The score of several predictions.

    Args:
        counted: the number of answers that were given before the truth was shown.
        right: how many of these were right.
        rated: how many of these say how sure the reader was. The other numbers are about these.
        hits: how many of the rated answers were right.
        brier: the mean Brier score; NaN if none is rated.
        guessing: the mean Brier score of a guess for each.
        sure: the mean probability that the reader gave to the answers.
        scatter: the standard deviation of `hits` if these probabilities were true.
        late: the number of answers that were first given when the truth had been shown; they do not count.
        changed: how many of the counted answers were changed afterwards.
    """

    counted: int
    right: int
    rated: int
    hits: int
    brier: float
    guessing: float
    sure: float
    scatter: float
    late: int
    changed: int

    @property
    def sentences(self) -> list[str]:
        """The score in words."""
        if not self.counted:
            said = ["No prediction was made before its answer was shown."]
        else:
            said = [f"Right in {self.right} of {self.counted}."]
        if self.rated:
            said += [
                f"Mean Brier score {self.brier:.2f} (0 is best; a guess each time gets {self.guessing:.2f}).",
                self._calibration,
            ]
        if self.changed:
            said.append(f"{self.changed} changed after the answer was shown: the first answer counts.")
        if self.late:
            said.append(f"{self.late} made after the answer was shown: not counted.")
        return said

    @property
    def _calibration(self) -> str:
        said = f"On average {100 * self.sure:.0f} % sure and right in {100 * self.hits / self.rated:.0f} %"
        if self.rated < ENOUGH:
            return f"{said}: {ENOUGH} answers or more would show whether your certainty fits."
        apart = self.hits - self.rated * self.sure
        if abs(apart) <= max(2 * self.scatter, 1e-9):
            return f"{said}: your certainty fits, as far as {self.rated} answers can show."
        return f"{said}: you are {'too sure' if apart < 0 else 'right more often than you think'}."


def score_predictions(predictions: Sequence[Prediction]) -> Score:
    """The score of predictions. Only answers that were given before the truth was shown count."""
    counted = [one for one in predictions if one.counts]
    rated = [(len(one.options), one.sure, one.answer == one.truth) for one in counted if one.sure is not None]
    return Score(
        counted=len(counted),
        right=sum(one.answer == one.truth for one in counted),
        rated=len(rated),
        hits=sum(right for _, _, right in rated),
        brier=_mean([brier_score(*one) for one in rated]),
        guessing=_mean([1 - 1 / options for options, _, _ in rated]),
        sure=_mean([sure for _, sure, _ in rated]),
        scatter=math.sqrt(sum(sure * (1 - sure) for _, sure, _ in rated)),
        late=sum(one.late for one in predictions),
        changed=sum(one.changed for one in counted),
    )


def _mean(numbers: Sequence[float]) -> float:
    return math.fsum(numbers) / len(numbers) if numbers else math.nan
