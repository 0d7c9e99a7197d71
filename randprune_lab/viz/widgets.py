"""What notebooks call: an explorer, and its controls."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from randprune_lab.viz.controls import Choice, choice, sampling_ratio_slider, sparsity_slider  # noqa: F401
from randprune_lab.viz.explorer import Explorer


def explore(question: str, picture: Callable[..., Figure], **controls: Choice) -> Explorer:
    """Controls above the picture `picture(**values)`, which they redraw.

    Args:
        question: the question that the controls help to answer; it is shown above them.
        picture: a pure function of the controls' values, by name.
        controls: the controls, by the name of the argument that each sets.
    """
    return Explorer(question, picture, controls)
