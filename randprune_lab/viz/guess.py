"""Predictions of a reader, in a notebook and in a page: a form, the answer to its question, and the score.

In a notebook with a kernel the form is a widget, and the kernel keeps the answer in a file beside the notebook. A page
without a kernel has the same form, and the browser keeps the answer. A notebook that runs without a reader shows the
page, and goes on: nothing waits for an answer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from html import escape
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from randprune_lab.errors import RandpruneError
from randprune_lab.predictions import (
    RECORD,
    Prediction,
    Score,
    certainties,
    keep_prediction,
    read_predictions,
    score_predictions,
)
from randprune_lab.viz.page_parts import HEADLESS, UNTRUSTED, bundle_of, radios, whole_page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from randprune_lab.viz.live_guess import LiveGuess


class Guess:
    """The prediction of a reader; a notebook displays it as a form.

    An answer that the file has for the same question and options is shown, and kept.

    Args:
        prediction: the question with its options.
        values: the value of each option.
        path: the file that keeps the answer.
    """

    def __init__(self, prediction: Prediction, values: Mapping[str, Any], path: Path) -> None:
        self.prediction, self.path = prediction, path
        self._values = dict(values)
        self._trouble = ""
        self._live: LiveGuess | None = None
        self._take_earlier_answer()

    @property
    def answer(self) -> str | None:
        """The chosen option; None: not answered."""
        return self.prediction.answer

    @property
    def value(self) -> Any:
        """The value of the chosen option; None: not answered."""
        return None if self.answer is None else self._values[self.answer]

    @property
    def sure(self) -> float | None:
        """How sure the reader is, from chance to 1; None: not said."""
        return self.prediction.sure

    def choose(self, answer: str, sure: float | None = None) -> None:
        """Answer, as a reader does with the form. The answer is kept in the file.

        Raises:
            ConfigError: if it is none of the options, or `sure` is not from chance to 1.
        """
        self._become(self.prediction.answered(answer, sure))

    def nearest(self, value: float) -> str:
        """The option whose value is nearest to this one; the values must be numbers."""
        return min(self._values, key=lambda option: abs(self._values[option] - value))

    def reveal(self, truth: str) -> Truth:
        """Note the true answer, which a notebook displays beside the reader's.

        From now on the answer counts as it is: one that is given later is marked as late or changed.

        Raises:
            ConfigError: if the truth is none of the options.
        """
        self._become(self.prediction.revealed(truth))
        return Truth(self.prediction)

    def mark(self, figure: Figure, panel: int = 0, horizontal: bool = False) -> Figure:
        """Draw the value of the answer into a figure, as a line with the words "your guess"; the figure is returned.

        Without an answer, or where it is no number, the figure stays as it is.

        Args:
            figure: the figure, which is changed.
            panel: the number of the axes.
            horizontal: draw a horizontal line, for a value on the y axis.
        """
        if isinstance(self.value, Real):
            _draw(figure.axes[panel], self.value, horizontal)
        return figure

    @property
    def note(self) -> str:
        """What a reader is told below the form."""
        if self._trouble:
            return self._trouble
        now = self.prediction
        if now.changed:
            return f"Changed after the answer was shown: {now.answer!r} counts."
        if now.late:
            return "The answer was already shown, so this one does not count."
        if now.answer is None:
            return "Choose an answer, then run the next cell."
        return "Kept. Run the next cell." if now.sure is not None else "How sure are you?"

    @property
    def places(self) -> list[int]:
        """The places of the answer and of how sure it is; -1 where nothing is chosen."""
        now = self.prediction
        place = now.options.index(now.answer) if now.answer is not None else -1
        level = certainties(len(now.options)).index(now.sure) if now.sure in certainties(len(now.options)) else -1
        return [place, level]

    def page(self) -> str:
        """The form as HTML: style, markup and script."""
        return whole_page(_markup(self))

    def _become(self, prediction: Prediction) -> None:
        self.prediction = prediction
        if prediction.answer is not None:  # what was not answered is asked again
            try:
                keep_prediction(self.path, prediction)
                self._trouble = ""
            except RandpruneError as error:
                self._trouble = f"Not kept in a file: {error}"
        if self._live is not None:
            self._live.follow()

    def _take_earlier_answer(self) -> None:
        try:
            kept = read_predictions(self.path) if self.path.exists() else []
        except (RandpruneError, OSError) as error:
            self._trouble = f"Not kept in a file: {error}"
            return
        new = self.prediction
        for one in kept:
            if (one.key, one.options) == (new.key, new.options):
                self.prediction = replace(one, misconceptions=new.misconceptions)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        said = {"text/plain": f"Predict: {self.prediction.question} {' / '.join(self.prediction.options)}"}
        record = {} if self.answer is None else {RECORD: asdict(self.prediction)}
        if HEADLESS in os.environ:
            return said | record | {"text/html": self.page()}
        from randprune_lab.viz.live_guess import LiveGuess

        self._live = self._live or LiveGuess(self)
        data, metadata = bundle_of(self._live._repr_mimebundle_(**kwargs))
        return data | said | record, metadata


@dataclass(frozen=True)
class Truth:
    """The true answer beside the reader's; a notebook displays it.

    Args:
        prediction: the prediction, with its truth.
    """

    prediction: Prediction

    @property
    def mine(self) -> str:
        """What the reader predicted, in words."""
        now = self.prediction
        if now.answer is None or now.late:
            return "You made no prediction before."
        sure = "" if now.sure is None else f" ({100 * now.sure:.0f} % sure)"
        verdict = "Right." if now.answer == now.truth else "Not so."
        why = now.misconceptions.get(now.answer, "") if now.answer != now.truth else ""
        return " ".join(filter(None, (f"You predicted: {now.answer}{sure}. {verdict}", why)))

    def __repr__(self) -> str:
        return f"Answer: {self.prediction.truth}. {self.mine}"

    def _repr_html_(self) -> str:
        now = self.prediction
        known = {"lesson": now.lesson, "question": now.question, "truth": now.truth}
        data = escape(json.dumps(known | {"misconceptions": dict(now.misconceptions)}))
        return (
            f'<p class="rp-truth" data-truth="{data}"><b>Answer: {escape(str(now.truth))}.</b> '
            f'<span class="rp-yours">{escape(self.mine)}</span></p>'
        )


@dataclass(frozen=True)
class Scores:
    """The scores of a lesson and of all lessons; a notebook displays them.

    Args:
        lesson, overall: the scores.
        trouble: why there are none; empty if there are.
    """

    lesson: Score
    overall: Score
    trouble: str = ""

    @property
    def lines(self) -> list[str]:
        """The scores in words."""
        if self.trouble:
            return [self.trouble]
        said = [_line("This lesson", self.lesson)]
        if self.overall.counted > self.lesson.counted:
            said.append(_line("All lessons so far", self.overall))
        return said

    def __repr__(self) -> str:
        return "\n".join(self.lines)

    def _repr_html_(self) -> str:
        return "".join(f'<p class="{"" if n else "rp-score"}">{escape(line)}</p>' for n, line in enumerate(self.lines))


def scores_in(path: Path, lesson: str) -> Scores:
    """The scores of the predictions in a file; of none, if there is no file, or it cannot be read or written."""
    trouble, kept = "", []
    if not os.access(folder := path.absolute().parent, os.W_OK):
        trouble = f"There is no score: {folder} is read-only, so no prediction is kept; work in a copy of the notebooks"
    try:
        kept = read_predictions(path) if path.exists() else []
    except (RandpruneError, OSError) as error:
        trouble = f"There is no score: {error}"
    return Scores(score_predictions([one for one in kept if one.lesson == lesson]), score_predictions(kept), trouble)


def _line(of: str, score: Score) -> str:
    text = " ".join(score.sentences)
    return f"{of}: {text[0].lower()}{text[1:]}"


def _markup(guess: Guess) -> str:
    asked = guess.prediction
    levels = certainties(len(asked.options))
    data = {
        "lesson": asked.lesson,
        "question": asked.question,
        "options": list(asked.options),
        "certainties": list(levels),
    }
    place, level = guess.places
    names = [f"{one:.0%}".replace("%", " %") for one in levels]
    names[0], names[-1] = f"{names[0]}, a guess", f"{names[-1]}, certain"
    question = escape(asked.question)
    return (
        f'<div class="rp-predict" role="group" aria-label="Prediction" data-predict="{escape(json.dumps(data))}">'
        f'<fieldset class="rp-answers"><legend class="rp-question">Predict: {question}</legend>'
        f"{radios(asked.options, place, f'{asked.lesson} {asked.question}')}</fieldset>"
        '<fieldset class="rp-sure"><legend>How sure are you?</legend>'
        f"{radios(names, level, f'{asked.lesson} {asked.question}, how sure')}</fieldset>"
        f'<p class="rp-note" role="status">{UNTRUSTED}</p></div>'
    )


def _draw(axis: Axes, value: Any, horizontal: bool) -> None:
    """A line at a value, with words that stay inside the axes."""
    look: dict[str, Any] = {"color": "#000000", "ls": (0, (1, 1.5)), "lw": 1.6}
    if horizontal:
        axis.axhline(value, **look)
        place, across, left = (1.0, value), axis.get_yaxis_transform(), False
    else:
        axis.axvline(value, **look)
        place, across = (value, 1.0), axis.get_xaxis_transform()
        at, _ = axis.transAxes.inverted().transform(across.transform(place))
        left = at < 0.5
    side: dict[str, Any] = {"ha": "left" if left else "right", "va": "bottom" if horizontal else "top"}
    shift = (3 if left else -3, 2 if horizontal else -2)
    ground: dict[str, Any] = {"fc": "white", "alpha": 0.8, "lw": 0, "pad": 0.5}
    axis.annotate("your guess", place, xycoords=across, xytext=shift, textcoords="offset points", bbox=ground, **side)
