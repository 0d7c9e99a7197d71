"""The explorer of a notebook with a kernel, which draws what is asked for."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anywidget
import traitlets

from randprune_lab.viz.page_parts import source

if TYPE_CHECKING:
    from randprune_lab.viz.explorer import Explorer


class LiveExplorer(anywidget.AnyWidget):
    """The widget of an explorer.

    The browser sets `position`, and the kernel answers with `frame`: a picture, or the error of the function that draws
    it. The browser asks for the newest position when the last one is answered, so that no picture is drawn that nobody
    waits for. Meanwhile it asks for the others, which makes the notebook that it saves complete.
    """

    _esm = source("keys.js", "explorer.js", "lab.js", "explorer_live.js")
    _css = source("explorer.css")
    key = traitlets.Unicode().tag(sync=True)
    page = traitlets.Unicode().tag(sync=True)
    counts = traitlets.List(traitlets.Int()).tag(sync=True)
    position = traitlets.List(traitlets.Int()).tag(sync=True)
    frame = traitlets.Dict().tag(sync=True)

    def __init__(self, explorer: Explorer) -> None:
        self._explorer = explorer
        key, start = uuid4().hex, explorer.start
        counts = [len(control.options) for control in explorer.controls.values()]
        super().__init__(
            model_id=key, key=key, page=explorer.still(), counts=counts, position=start, frame=self._at(start)
        )

    def _at(self, position: list[int]) -> dict[str, Any]:
        return {"position": position, **asdict(self._explorer.frame(position))}

    @traitlets.observe("position")
    def _draw(self, change: Any) -> None:
        try:
            self.frame = self._at(change.new)
        except (Exception, KeyboardInterrupt) as error:  # the browser waits for an answer
            self.frame = {"position": change.new, "error": f"{type(error).__name__}: {error}"}
