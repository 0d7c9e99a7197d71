"""The explorer of a notebook with a kernel, which draws what is asked for."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

if TYPE_CHECKING:
    from randprune_lab.viz.explorer import Explorer

HERE = Path(__file__).parent


class LiveExplorer(anywidget.AnyWidget):
    """The widget of an explorer.

    The browser sets `position`, and the kernel answers with `frame`. The browser asks for the newest position when the
    last one is answered, so that no picture is drawn that nobody waits for.
    """

    _esm = "".join((HERE / name).read_text("utf-8") for name in ("explorer.js", "explorer_live.js"))
    _css = (HERE / "explorer.css").read_text("utf-8")
    markup = traitlets.Unicode().tag(sync=True)
    position = traitlets.List(traitlets.Int()).tag(sync=True)
    frame = traitlets.Dict().tag(sync=True)

    def __init__(self, explorer: Explorer) -> None:
        self._explorer = explorer
        super().__init__(markup=explorer.markup(), position=explorer.start, frame=self._at(explorer.start))

    def _at(self, position: list[int]) -> dict[str, Any]:
        return {"position": position, **asdict(self._explorer.frame(position))}

    @traitlets.observe("position")
    def _draw(self, change: Any) -> None:
        self.frame = self._at(change.new)
