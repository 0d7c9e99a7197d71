"""A prediction: a question with options, the answer that was given before the result, and what was true."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from randprune_lab.errors import ConfigError, check_range
from randprune_lab.typed import take_types

STEPS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class Prediction:
    """What a reader predicted, and what was true.

    Args:
        lesson: the lesson that asks, such as `"01"`.
        question: the question. Together with the lesson it identifies the prediction.
        options: the possible answers, at least two.
        misconceptions: for some options, a sentence about the mistake behind them.
        answer: the chosen option; None: not answered.
        sure: the probability that the reader gives to the answer, from chance to 1; None: not said.
        truth: the true option; None: not revealed yet.
        late: the answer was given when the truth had been shown.
        changed: another answer was chosen when the truth had been shown. The first one counts.

    Raises:
        ConfigError: if the answer or the truth is none of the options, or the options are not at least two texts.
    """

    lesson: str
    question: str
    options: tuple[str, ...]
    misconceptions: Mapping[str, str] = field(default_factory=dict)
    answer: str | None = None
    sure: float | None = None
    truth: str | None = None
    late: bool = False
    changed: bool = False

    def __post_init__(self) -> None:
        take_types(self)
        if len(set(self.options)) < max(2, len(self.options)):
            raise ConfigError(f"{self.question!r} needs at least two different options, got {self.options!r}")
        _check_options("a misconception", self.misconceptions, self.options)
        _check_options("the answer", {self.answer} - {None}, self.options)
        _check_options("the truth", {self.truth} - {None}, self.options)
        if self.sure is not None:
            check_range("sure", self.sure, low=1 / len(self.options), high=1)

    @property
    def key(self) -> tuple[str, str]:
        """What identifies the prediction: its lesson and its question."""
        return self.lesson, self.question

    @property
    def counts(self) -> bool:
        """Whether it was answered before the truth was shown, and the truth is known."""
        return self.answer is not None and self.truth is not None and not self.late

    def answered(self, answer: str, sure: float | None = None) -> Prediction:
        """The prediction with this answer. Once the truth is shown, a first answer is late, and another one changed."""
        if self.truth is None or self.answer is None or self.late:
            return replace(self, answer=answer, sure=sure, late=self.truth is not None)
        replace(self, answer=answer, sure=sure)  # which checks them
        return replace(self, changed=self.changed or (answer, sure) != (self.answer, self.sure))

    def revealed(self, truth: str) -> Prediction:
        """The prediction with the truth.

        Raises:
            ConfigError: if it is none of the options.
        """
        return replace(self, truth=truth)


def certainties(options: int) -> tuple[float, ...]:
    """The probabilities that a reader can give to an answer: from chance to certain.

    Args:
        options: the number of options.

    >>> certainties(2)
    (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    """
    return tuple(sorted({1 / options, *STEPS}))


def _check_options(what: str, given: Iterable[str | None], options: tuple[str, ...]) -> None:
    for one in given:
        if one not in options:
            raise ConfigError(f"{what} must be one of {', '.join(map(repr, options))}, got {one!r}")
