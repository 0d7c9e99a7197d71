"""Explorers: controls above a picture that is redrawn whenever a control changes.

The picture is PNG bytes in an Image widget. Output widgets are avoided on purpose: headless runs of cells that print or
plot into one hang at random (nbclient's issues 311 and 312).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets
from matplotlib.figure import Figure

from randprune_lab.errors import ConfigError
from randprune_lab.viz.style import png


def explore(question: str, picture: Callable[..., Figure], **controls: ipywidgets.Widget) -> ipywidgets.VBox:
    """Controls above the picture `picture(**values)`, which they redraw.

    Args:
        question: the question that the controls help to answer; it is shown above them.
        picture: a pure function of the controls' values, by name.
        controls: widgets with a value; sliders take effect when they are released, not while they move.
    """
    image = ipywidgets.Image(format="png", layout=ipywidgets.Layout(max_width="100%"))

    def redraw(_: Any = None) -> None:
        image.value = png(picture(**{name: control.value for name, control in controls.items()}))

    for control in controls.values():
        if hasattr(control, "continuous_update"):
            control.continuous_update = False
        control.observe(redraw, names="value")
    redraw()
    return ipywidgets.VBox([ipywidgets.HTML(f"<b>{question}</b>"), *controls.values(), image])


def choice(description: str, options: Mapping[str, Any], value: Any) -> ipywidgets.SelectionSlider:
    """A slider over values, which starts at `value`.

    Args:
        description: the slider's label.
        options: the values, by the names that are shown.
        value: one of the values.

    Raises:
        ConfigError: if `value` is not one of the values.
    """
    if value not in options.values():
        raise ConfigError(f"{description} must be one of {', '.join(map(str, options.values()))}, got {value!r}")
    return ipywidgets.SelectionSlider(
        description=description,
        options=list(options.items()),
        value=value,
        style={"description_width": "8em"},
        layout=ipywidgets.Layout(width="28em"),
    )


def sparsity_slider(value: float = 0.9375) -> ipywidgets.SelectionSlider:
    """A slider over sparsities from 54 % to 99 %, which starts at the one nearest to `value`."""
    levels = (0.54, 0.75, 0.83, 0.92, 0.9375, 0.97, 0.99)
    return choice("sparsity", {f"{100 * level:.4g} %": level for level in levels}, _nearest(levels, value))


def sampling_ratio_slider(value: float = 1e-4) -> ipywidgets.SelectionSlider:
    """A slider over sampling ratios of the voting rule, from most to least random.

    Args:
        value: the slider starts at the ratio nearest to this one.
    """
    ratios = (1e-6, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
    return choice("sampling ratio", {f"{ratio:.0e}": ratio for ratio in ratios}, _nearest(ratios, value))


def _nearest(values: Sequence[float], value: float) -> float:
    return min(values, key=lambda each: abs(each - value))
