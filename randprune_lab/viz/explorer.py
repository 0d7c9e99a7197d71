"""Explorers: controls above a picture that is a pure function of their values.

In a notebook with a kernel an explorer is a widget, and the kernel draws. A notebook that runs without a reader draws
every position beforehand, and what it shows is a page's HTML: the same controls, with all pictures inside. The same
markup, style and script serve both; a report's page and the site have the script once, as a file of their own.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from matplotlib.figure import Figure

from randprune_lab.errors import ConfigError
from randprune_lab.viz.controls import Choice
from randprune_lab.viz.page_parts import HEADLESS, UNTRUSTED, bundle_of, radios, whole_page
from randprune_lab.viz.style import address, described, palette_png


@dataclass(frozen=True)
class Frame:
    """A picture: its address, which holds its bytes, and what it shows in words."""

    src: str
    alt: str


def frame_of(figure: Figure) -> Frame:
    """The picture of a figure."""
    return Frame(address(figure), described(figure))


class Explorer:
    """The explorer of a picture; a notebook displays it.

    Args:
        question: the question that it helps to answer.
        picture: a pure function of the controls' values, by name.
        controls: the controls, by the name of the argument that each sets.
    """

    def __init__(self, question: str, picture: Callable[..., Figure], controls: Mapping[str, Choice]) -> None:
        self.question, self.picture, self.controls = question, picture, dict(controls)
        self._drawn: dict[tuple[int, ...], Frame] = {}

    @property
    def start(self) -> list[int]:
        """The position at first: the place of each control's value among its options."""
        return [control.start for control in self.controls.values()]

    def frame(self, position: Sequence[int]) -> Frame:
        """The picture at a position."""
        place = tuple(position)
        if place not in self._drawn:
            self._drawn[place] = frame_of(self.figure(place))
        return self._drawn[place]

    def figure(self, position: Sequence[int]) -> Figure:
        """The figure at a position."""
        return self.picture(
            **{name: one.value(at) for (name, one), at in zip(self.controls.items(), position, strict=True)}
        )

    def still(self) -> str:
        """The explorer with its first picture alone as HTML: style, markup and script."""
        return whole_page(_markup(self.question, list(self.controls.values()), self.frame(self.start)))

    def page(self, most: int | None = None) -> str:
        """The explorer with all its pictures as HTML: style, markup and script.

        Args:
            most: the most positions of each control; None: all.
        """
        return whole_page(_with_frames(self, most))

    def body(self) -> str:
        """The explorer with all its pictures as HTML, for a page that has the style and the script once."""
        return _with_frames(self, None)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        frame = self.frame(self.start)
        still = {
            "image/png": base64.b64encode(palette_png(self.figure(self.start))).decode("ascii"),
            "text/plain": " ".join(filter(None, (self.question, frame.alt))),
        }
        if HEADLESS in os.environ:
            return still | {"text/html": self.page(_most())}
        from randprune_lab.viz.live import LiveExplorer

        data, metadata = bundle_of(LiveExplorer(self)._repr_mimebundle_(**kwargs))
        return data | still, metadata


def _most() -> int | None:
    text = os.environ[HEADLESS]
    if text == "all":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"{HEADLESS} must be 'all' or a positive number of positions of a control, got {text!r}")
    return int(text)


def _with_frames(explorer: Explorer, most: int | None) -> str:
    offered = [_offered(control, most) for control in explorer.controls.values()]
    numbers: dict[Frame, int] = {}
    index = [
        numbers.setdefault(explorer.frame(position), len(numbers))
        for position in itertools.product(*(places for _, places in offered))
    ]
    frames = {
        "counts": [len(places) for _, places in offered],
        "frames": [asdict(frame) for frame in numbers],
        "index": index,
    }
    controls = [control for control, _ in offered]
    return _markup(explorer.question, controls, explorer.frame(explorer.start), frames)


def _offered(control: Choice, most: int | None) -> tuple[Choice, list[int]]:
    """The control with at most `most` options, and their places among all."""
    places = control.places(most or len(control.options))
    options = {control.names[place]: control.value(place) for place in places}
    return Choice(control.label, options, places.index(control.start), control.kind), places


def _markup(question: str, controls: Sequence[Choice], frame: Frame, frames: Mapping[str, Any] | None = None) -> str:
    data = f' data-frames="{escape(json.dumps(frames))}"' if frames else ""
    inputs = "".join(_input(control, f"{question} {number}") for number, control in enumerate(controls))
    return (
        f'<div class="rp-explorer" role="group" aria-label="{escape(question)}"{data}>'
        f'<p class="rp-question">{escape(question)}</p><div class="rp-controls">{inputs}</div>'
        f'<img class="rp-picture" src="{frame.src}" alt="{escape(frame.alt)}">'
        f'<p class="rp-note" role="status">{UNTRUSTED}</p></div>'
    )


def _input(control: Choice, group: str) -> str:
    label, names = escape(control.label), [escape(name) for name in control.names]
    if control.kind == "slider":
        data, chosen = escape(json.dumps(control.names)), names[control.start]
        return (
            f'<label class="rp-control" data-names="{data}"><span class="rp-label">{label}</span>'
            f'<input type="range" min="0" max="{len(names) - 1}" step="1" value="{control.start}" '
            f'aria-label="{label}" aria-valuetext="{chosen}"><output>{chosen}</output></label>'
        )
    if control.kind == "menu":
        options = "".join(
            f"<option{' selected' if place == control.start else ''}>{name}</option>"
            for place, name in enumerate(names)
        )
        menu = f'<select aria-label="{label}">{options}</select>'
        return f'<label class="rp-control"><span class="rp-label">{label}</span>{menu}</label>'
    buttons = radios(control.names, control.start, group)
    return f'<fieldset class="rp-control"><legend class="rp-label">{label}</legend>{buttons}</fieldset>'
