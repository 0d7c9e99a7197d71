"""What notebooks call: an explorer and its controls, a prediction, and the score of predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from randprune_lab.errors import ConfigError
from randprune_lab.predictions import FILE, Prediction
from randprune_lab.viz.controls import Choice, choice, sampling_ratio_slider, sparsity_slider  # noqa: F401
from randprune_lab.viz.explorer import Explorer
from randprune_lab.viz.guess import Guess, Scores, scores_in


def explore(question: str, picture: Callable[..., Figure], **controls: Choice) -> Explorer:
    """Controls above the picture `picture(**values)`, which they redraw.

    Args:
        question: the question that the controls help to answer; it is shown above them.
        picture: a pure function of the controls' values, by name.
        controls: the controls, by the name of the argument that each sets.
    """
    return Explorer(question, picture, controls)


def predict(
    question: str,
    options: Sequence[str] | Mapping[str, Any],
    *,
    lesson: str = "",
    misconceptions: Mapping[str, str] | None = None,
    answer: str | None = None,
    sure: float | None = None,
) -> Guess:
    """Ask a reader to predict a result before the cell that shows it.

    A notebook displays the options, and how sure the reader is. What is chosen is kept in the notebook, and in the file
    `predictions.json` of its folder. Nothing waits for an answer: the next cell can read `guess.answer`, which is None
    without one, and says with `guess.reveal(truth)` what was true.

    Args:
        question: the question. With the lesson it identifies the prediction in the file.
        options: the possible answers, at least two; or their values, by answer.
        lesson: the lesson that asks, such as `"01"`.
        misconceptions: by option, a sentence about the mistake behind it. It is shown with the true answer, and to
            teachers.
        answer: an answer, for a notebook that runs without a reader. One that a reader gave before is kept.
        sure: how sure that answer is, from chance to 1.

    Raises:
        ConfigError: if there are not at least two options, or the answer is none of them.
    """
    if isinstance(options, str) or not isinstance(options, Mapping | Sequence):
        raise ConfigError(f"options must be a list of texts, or values by text, got {options!r}")
    values = dict(options) if isinstance(options, Mapping) else {one: one for one in options}
    if len(values) < len(options):
        raise ConfigError(f"{question!r} needs different options, got {options!r}")
    guess = Guess(Prediction(lesson, question, tuple(values), misconceptions or {}), values, Path(FILE).absolute())
    if answer is not None and guess.answer is None:
        guess.choose(answer, sure)
    return guess


def score(lesson: str) -> Scores:
    """The scores of the predictions that a reader made in a lesson, and in all lessons, from the file of predictions.

    Args:
        lesson: the lesson, such as `"01"`.
    """
    return scores_in(Path(FILE), lesson)
