"""One look for every figure: sizes that a phone can show, and colours that mean the same everywhere.

A figure is 4.8 inches wide. On a phone, one of its points is about one pixel, so its smallest text is about 9.5 pixels.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from html import escape
from threading import Lock
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation, blended_transform_factory
from PIL import Image

from randprune_lab.stats.intervals import Interval
from randprune_lab.viz.numbers import Estimates, numbers

# Each colour has a contrast of at least 3 with white. Seen by colour-blind readers too, those that are drawn together
# are far apart in CIELAB: at least 20 for methods and rules, and 14 for neighbours of the ramp.
COLOURS = {
    "search": "#0072B2",
    "voting": "#0072B2",
    "imp": "#D55E00",
    "magnitude": "#D55E00",
    "uniform": "#12A165",
    "gumbel": "#602060",
    "dense": "#595959",
    "one-mask": "#3F95A6",
    "one-mask-long": "#002080",
    "imp-short": "#663D00",
    "imp-short-4e-3": "#4A2B1C",
    "allocation": "#602060",
    "wanda": "#000000",
}
LABELS = {
    "search": "search",
    "imp": "IMP",
    "uniform": "uniform random",
    "dense": "dense",
    "imp-long": "IMP, search's steps",
    "imp-short": "IMP, winner's steps",
    "imp-short-4e-3": "IMP, winner's steps, learning rate 4e-3",
    "one-mask": "one random mask",
    "one-mask-long": "one random mask, IMP's steps",
    "allocation": "random allocations",
    "wanda": "Wanda score",
}
"""The names of the methods in legends and titles."""
MARKERS = {
    "imp-long": "D",
    "imp-short": "v",
    "imp-short-4e-3": "^",
    "one-mask": "s",
    "one-mask-long": "D",
    "allocation": "P",
}
"""Markers of the methods that are drawn together with many others; the rest have dots."""
RAMP = ("#5A94CC", "#2F6DA8", "#17477C", "#08213F")  # from more to less randomness
DEPTH = LinearSegmentedColormap.from_list("depth", [RAMP[0], RAMP[-1]])
"""A scale from light to dark, whose lightest colour still has enough contrast."""
QUIET = "#767676"
FAINT = "#D9D9D9"
"""For grids and areas behind the marks, never for marks or text."""

WIDTH = 4.8  # inches
TEXT = 9.5  # points
TITLE = 10.5  # points
PAD = 5  # points: between a title and what is below it
SCREEN = 576  # pixels: the width of a figure where there is room for it
DPI = 150
"""Dots for each inch of a PNG image: 720 across."""
LIGHT = 120_000
"""A picture with more bytes as SVG is a PNG instead: it has too many marks."""

STYLING = Lock()
"""Held while matplotlib's global settings differ: a kernel may draw an explorer in a thread beside a running cell."""


class Picture(Figure):
    """A figure that a notebook displays without pyplot and its global state.

    Pages show it as SVG with its description, and with its estimates and intervals as a folded table.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.estimates: list[Estimates] = []

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
        said = described(self)
        picture = f'<img class="rp-picture" width="{SCREEN}" src="{address(self)}" alt="{escape(said)}">'
        page = picture + numbers(self.estimates)
        return {"text/html": page, "image/png": palette_png(self)}, {"image/png": {"alt": said}}


def new_figure(width: float = WIDTH, height: float = 3.2, **subplots: Any) -> tuple[Figure, Any]:
    """A new figure and its axes, outside of pyplot's global state.

    Args:
        width, height: size in inches.
        subplots: keyword arguments of matplotlib's `Figure.subplots`.
    """
    sizes: dict[Any, Any] = {f"{part}.labelsize": TEXT for part in ("axes", "xtick", "ytick")}
    sizes |= {"font.size": TEXT, "legend.fontsize": TEXT, "legend.title_fontsize": TEXT, "axes.titlesize": TEXT}
    lines: dict[Any, Any] = {"axes.linewidth": 0.8, "xtick.major.size": 4, "ytick.major.size": 4, "axes.titlepad": PAD}
    with STYLING, mpl.rc_context({**sns.axes_style("ticks"), **sizes, **lines}):
        figure = Picture(figsize=(width, height), dpi=DPI, layout="constrained")
        axes = figure.subplots(**subplots)
    for axis in axes.flat if hasattr(axes, "flat") else [axes]:
        sns.despine(ax=axis)
    return figure, axes


def headline(place: Axes | Figure, text: str) -> None:
    """Write what a figure shows, above an axis or above all, in lines as wide as the figure."""
    look: dict[str, Any] = {"fontsize": TITLE, "ha": "left", "x": 0.015, "wrap": True}
    if isinstance(place, Figure):
        place.suptitle(text, **look)
        return
    title = place.set_title(text, **look)
    figure = place.figure
    across = blended_transform_factory(figure.transFigure, place.transAxes)
    title.set_transform(across + ScaledTranslation(0, PAD / 72, figure.dpi_scale_trans))


def subtitle(axis: Axes, text: str) -> None:
    """Write what a panel is about."""
    axis.set_title(text, fontsize=TEXT, ha="left", x=0.0, wrap=True)


def legend_below(figure: Figure, axis: Axes | None = None, **look: Any) -> float:
    """A legend below all axes, with the number of columns that fit.

    Args:
        axis: the axes whose labels it has; the first, if there are several.
        look: keyword arguments of matplotlib's `Figure.legend`.

    Returns:
        its height in inches, for `place_axes`.
    """
    handles, labels = (axis or figure.axes[0]).get_legend_handles_labels()
    longest = max((len(label) for label in labels), default=0)
    columns = max(1, min(len(labels), int(72 * WIDTH / (0.56 * TEXT * longest + 36))))
    look = {"ncols": columns, "frameon": False, "columnspacing": 1.2, "handlelength": 1.8, "borderaxespad": 0.2, **look}
    figure.legend(handles, labels, loc="outside lower left", **look)
    return 0.1 + 0.19 * -(-len(labels) // columns)


def place_axes(figure: Figure, *, left: float, bottom: float, top: float, right: float = 0.1, **gaps: float) -> None:
    """Place the axes themselves, so that they stay where they are from one picture of an explorer to the next.

    It also saves time: no text is measured first.

    Args:
        left, bottom, top, right: margins in inches.
        gaps: `wspace` and `hspace` of matplotlib's `Figure.subplots_adjust`.
    """
    width, height = figure.get_size_inches()
    ends = {"left": left / width, "right": 1 - right / width, "bottom": bottom / height, "top": 1 - top / height}
    figure.set_layout_engine(None)
    figure.subplots_adjust(**ends, **gaps)


def method_colour(method: str) -> str:
    """The colour of a method; methods that are not in `COLOURS` get the colour of the search."""
    variants = dict.fromkeys(("random allocation", "learned allocation"), COLOURS["allocation"])
    variants["imp-long"] = COLOURS["imp"]  # with another marker
    return variants.get(method) or COLOURS.get(method, COLOURS["search"])


def method_look(method: str) -> dict[str, Any]:
    """Colour, marker and label of a method, as matplotlib's keyword arguments."""
    return {
        "color": method_colour(method),
        "marker": MARKERS.get(method, "o"),
        "label": LABELS.get(method, method),
    }


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
    figure = axis.get_figure()
    if isinstance(figure, Picture) and "label" in look:
        figure.estimates.append(Estimates(axis, look["label"], list(places), intervals, scale, horizontal))
    look = {"ls": "", "marker": "o", "ms": 5, "capsize": 2, "lw": 1.4, **look}
    if horizontal:
        axis.errorbar(middle, places, xerr=arms, **look)
    else:
        axis.errorbar(places, middle, yerr=arms, **look)


def draw_dense(axis: Axes, score: Interval) -> None:
    """Draw the score of the dense model and its 95 % interval, in points, across the axis."""
    axis.axhspan(100 * score.low, 100 * score.high, color=COLOURS["dense"], alpha=0.12, lw=0)
    axis.axhline(100 * score.estimate, color=COLOURS["dense"], lw=1.2, ls="--", label=LABELS["dense"])


def percent(fraction: float) -> str:
    """A sparsity as text, with up to four digits.

    >>> percent(0.9375)
    '93.75 %'
    """
    return f"{100 * fraction:.4g} %"


def sparsity_ticks(axis: Axes, levels: Sequence[float], shown: Sequence[int] | None = None) -> None:
    """Levels at equal distances along the x axis, in percent.

    Args:
        levels: sparsities from 0 to 1; the first is at 0, the second at 1.
        shown: the places of those that are written; without it, all are.
    """
    places = range(len(levels)) if shown is None else shown
    axis.set_xticks([*places], [f"{100 * levels[place]:.4g}" for place in places])
    axis.set_xlabel("sparsity (%)")


def whole_ticks(axis: Axes, label: str) -> None:
    """Whole numbers along the x axis."""
    axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axis.set_xlabel(label)


def short_name(tensor: str) -> str:
    """A tensor's name that fits on an axis: the layer's number, and the words that distinguish its tensors.

    >>> short_name("bert.encoder.layer.0.attention.self.query.weight")
    '0 attention query'
    """
    words = tensor.removesuffix(".weight").split(".")
    layer = next((place for place, word in enumerate(words) if word.isdigit()), 0)
    return " ".join(word for word in words[layer:] if word not in ("self", "dense"))


def kind_of(tensor: str) -> str:
    """A tensor's short name without numbers, which the tensors of all layers share.

    >>> kind_of("bert.encoder.layer.0.attention.self.query.weight")
    'attention query'
    """
    return " ".join(word for word in short_name(tensor).split() if not word.isdigit()) or tensor


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


def svg(figure: Figure) -> bytes:
    """The figure as an SVG image of `SCREEN` pixels; the same figure gives the same bytes.

    Letters stay letters, which keeps the file small; the fonts are as wide as those that it was arranged with.
    """
    buffer = io.BytesIO()
    with STYLING, mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "randprune_lab"}):
        figure.savefig(buffer, format="svg", dpi=200, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    width, height = figure.get_size_inches()
    text = buffer.getvalue().decode("utf-8")
    text = text[text.index("<svg") :]
    for pattern, shorter in (
        ("<!--.*?-->", ""),
        (r'width="[\d.]+pt" height="[\d.]+pt"', f'width="{SCREEN}" height="{round(SCREEN * height / width)}"'),
        (r"(font: [\d.]+px|font-family:) [^;\"]*", r"\1 'DejaVu Sans', Verdana, sans-serif"),
        (r' transform="rotate\(-?0 [^"]*"', ""),
        (r"\s*\n\s*", " "),
        ("> <", "><"),
    ):
        text = re.sub(pattern, shorter, text, flags=re.DOTALL)
    # A hundredth of a point cannot be seen; numbers between tags are what a figure says.
    text = re.sub("<[^>]*>", lambda tag: re.sub(r"(\d\.\d\d)\d+", r"\1", tag[0]), text)
    return text.encode("utf-8")


def address(figure: Figure) -> str:
    """The figure as an address that holds its bytes: SVG, or PNG where there are too many marks."""
    picture, kind = svg(figure), "svg+xml"
    if len(picture) > LIGHT:
        picture, kind = palette_png(figure), "png"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"


def described(figure: Figure) -> str:
    """What a figure shows, in words: its titles, and what is on its axes."""
    title = figure.get_suptitle()
    said = [title] if title else []
    for axis in figure.axes:
        labels = " against ".join(filter(None, (axis.get_ylabel(), axis.get_xlabel())))
        said.append(": ".join(filter(None, (axis.get_title() or axis.get_title(loc="left"), labels))))
    return ". ".join(" ".join(one.split()) for one in dict.fromkeys(said) if one)
