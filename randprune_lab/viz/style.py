"""One look for every figure: colours that mean the same everywhere, and that colour-blind readers can distinguish."""

from __future__ import annotations

import io
from collections.abc import Sequence
from threading import Lock
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from randprune_lab.stats.intervals import Interval

COLOURS = {  # Okabe and Ito (2008)
    "search": "#0072B2",
    "voting": "#0072B2",
    "imp": "#D55E00",
    "magnitude": "#D55E00",
    "uniform": "#009E73",
    "gumbel": "#CC79A7",
    "dense": "#595959",
    # Methods of studies: a lighter colour means fewer steps than the method of the same hue.
    "one-mask": "#56B4E9",
    "imp-short": "#E69F00",
    "allocation": "#CC79A7",
    "wanda": "#000000",
    "one-mask-long": "#003D5C",
    "imp-short-4e-3": "#F0D48A",
}
LABELS = {
    "search": "search",
    "imp": "IMP",
    "uniform": "uniform random",
    "dense": "dense",
    "imp-short": "IMP, winner's steps",
    "imp-short-4e-3": "IMP, winner's steps, learning rate 4e-3",
    "one-mask": "one random mask",
    "one-mask-long": "one random mask, IMP's steps",
    "allocation": "random allocations",
    "wanda": "Wanda score",
}
"""The names of the methods in legends and titles."""
RAMP = ("#9ECAE1", "#4292C6", "#08519C", "#08306B")  # from more to less randomness
QUIET = "#9A9A9A"

STYLING = Lock()
"""Held while matplotlib's global settings differ: a kernel may draw an explorer in a thread beside a running cell."""


class Picture(Figure):
    """A figure that a notebook displays without pyplot and its global state."""

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, bytes], dict[str, dict[str, str]]]:
        return {"image/png": png(self)}, {"image/png": {"alt": described(self)}}


def new_figure(width: float = 7.0, height: float = 3.6, **subplots: Any) -> tuple[Figure, Any]:
    """A new figure and its axes, outside of pyplot's global state.

    Args:
        width, height: size in inches.
        subplots: keyword arguments of matplotlib's `Figure.subplots`.
    """
    with STYLING, mpl.rc_context({**sns.axes_style("ticks"), **sns.plotting_context("notebook", font_scale=0.95)}):
        figure = Picture(figsize=(width, height), dpi=110, layout="constrained")
        axes = figure.subplots(**subplots)
    for axis in axes.flat if hasattr(axes, "flat") else [axes]:
        sns.despine(ax=axis)
    return figure, axes


def method_colour(method: str) -> str:
    """The colour of a method; methods that are not in `COLOURS` get the colour of the search."""
    variants = dict.fromkeys(("random allocation", "learned allocation"), COLOURS["allocation"])
    return variants.get(method) or COLOURS.get(method, COLOURS["search"])


def errorbars(
    axis: Axes,
    places: Sequence[float] | np.ndarray,
    intervals: Sequence[Interval],
    *,
    scale: float = 1.0,
    horizontal: bool = False,
    **look: Any,
) -> None:
    """Draw estimates with their intervals; an infinite interval is left out, but its estimate is drawn.

    Args:
        places: positions along the other axis, one for each interval.
        scale: factor for all numbers; 100 turns fractions into points.
        horizontal: draw the intervals along the x axis, with `places` on the y axis.
        look: keyword arguments of matplotlib's `errorbar`.
    """
    middle = scale * np.array([each.estimate for each in intervals])
    ends = scale * np.array([[each.low, each.high] for each in intervals]).reshape(-1, 2).T
    arms = np.nan_to_num(np.abs(ends - middle), posinf=0.0)
    look = {"fmt": "o", "capsize": 3, **look}
    if horizontal:
        axis.errorbar(middle, places, xerr=arms, **look)
    else:
        axis.errorbar(places, middle, yerr=arms, **look)


def percent(fraction: float) -> str:
    """A sparsity as text, with up to four digits.

    >>> percent(0.9375)
    '93.75 %'
    """
    return f"{100 * fraction:.4g} %"


def short_name(tensor: str) -> str:
    """A tensor's name that fits on an axis: the layer's number, and the words that distinguish its tensors.

    >>> short_name("bert.encoder.layer.0.attention.self.query.weight")
    '0 attention query'
    """
    words = tensor.removesuffix(".weight").split(".")
    layer = next((place for place, word in enumerate(words) if word.isdigit()), 0)
    return " ".join(word for word in words[layer:] if word not in ("self", "dense"))


def fix_layout(figure: Figure, **margins: float) -> None:
    """Place the axes by `subplots_adjust`, so that an explorer redraws without measuring every text first."""
    figure.set_layout_engine(None)
    figure.subplots_adjust(**margins)


def png(figure: Figure) -> bytes:
    """The figure as a PNG image."""
    buffer = io.BytesIO()
    # Level 3 takes half the time of the default level 6, and makes the file a tenth larger.
    figure.savefig(buffer, format="png", pil_kwargs={"compress_level": 3})
    return buffer.getvalue()


def palette_png(figure: Figure) -> bytes:
    """The figure as a PNG image with at most 64 colours, a quarter of the size."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    buffer = io.BytesIO()
    few = image.quantize(64, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.putpalette([255 if colour > 250 else colour for colour in few.getpalette() or ()])  # white stays white
    few.save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def described(figure: Figure) -> str:
    """What a figure shows, in words: its titles, and what is on its axes."""
    title = figure.get_suptitle()
    said = [title] if title else []
    for axis in figure.axes:
        labels = " against ".join(filter(None, (axis.get_ylabel(), axis.get_xlabel())))
        said.append(": ".join(filter(None, (axis.get_title() or axis.get_title(loc="left"), labels))))
    return ". ".join(" ".join(one.split()) for one in dict.fromkeys(said) if one)
