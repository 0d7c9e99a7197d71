"""The form of a prediction in a notebook with a kernel, which keeps the answer."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anywidget
import traitlets

from randprune_lab.predictions import certainties
from randprune_lab.viz.page_parts import source

if TYPE_CHECKING:
    from randprune_lab.viz.guess import Guess


class LiveGuess(anywidget.AnyWidget):
    """The widget of a prediction.

    The browser sets `chosen`, the places of the answer and of how sure it is. What the notebook saves in place of the
    widget is `page` and `record`.
    """

    _esm = source("keys.js", "predict.js", "lab.js", "predict_live.js")
    _css = source("explorer.css", "predict.css")
    key = traitlets.Unicode().tag(sync=True)
    page = traitlets.Unicode().tag(sync=True)
    chosen = traitlets.List(traitlets.Int()).tag(sync=True)
    note = traitlets.Unicode().tag(sync=True)
    record = traitlets.Dict().tag(sync=True)

    def __init__(self, guess: Guess) -> None:
        self._guess = guess
        key = uuid4().hex
        super().__init__(model_id=key, key=key, **self._state())

    def follow(self) -> None:
        """Show what the prediction is now."""
        with self.hold_sync():
            for name, value in self._state().items():
                setattr(self, name, value)

    def _state(self) -> dict[str, Any]:
        guess = self._guess
        return {
            "page": guess.page(),
            "chosen": guess.places,
            "note": guess.note,
            "record": asdict(guess.prediction),
        }

    @traitlets.observe("chosen")
    def _choose(self, change: Any) -> None:
        if change.new == self._guess.places:
            return
        place, level = change.new
        asked = self._guess.prediction.options
        if place >= 0:  # how sure one is may be said first
            self._guess.choose(asked[place], certainties(len(asked))[level] if level >= 0 else None)
