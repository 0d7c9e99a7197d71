"""Explorers draw their picture at every position of every control, live and in pages, without an Output widget."""

from __future__ import annotations

import base64
import contextlib
import html
import itertools
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

import randprune_lab as rp
from randprune_lab.errors import ConfigError
from randprune_lab.masks.curve import Histogram
from randprune_lab.viz import figures, style
from randprune_lab.viz.explorer import Explorer
from randprune_lab.viz.live import LiveExplorer
from randprune_lab.viz.page_parts import HEADLESS
from randprune_lab.viz.style import address, described, palette_png
from randprune_lab.viz.widgets import choice, explore, sampling_ratio_slider, sparsity_slider

# Two million weights: enough for a different curve at every sampling ratio.
BUCKETS = 2000
HISTOGRAM = Histogram(np.arange(BUCKETS), np.geomspace(0.01, 1, BUCKETS), np.full(BUCKETS, 1000), 0)


def picture(sparsity: float, sampling_ratio: float) -> Figure:
    k = HISTOGRAM.size - round(sparsity * HISTOGRAM.size)
    curve = rp.Voting(sampling_ratio).curve(HISTOGRAM, k)
    return figures.inclusion_curves({"voting": curve}, "A title without values")


@pytest.fixture(scope="module")
def explorer() -> Explorer:
    return explore("Why?", picture, sparsity=sparsity_slider(), sampling_ratio=sampling_ratio_slider())


def positions(explorer: Explorer) -> list[tuple[int, ...]]:
    return list(itertools.product(*(range(len(control.options)) for control in explorer.controls.values())))


def of_page(page: str) -> dict:
    """What the page says of its pictures."""
    (data,) = re.findall(r'data-frames="([^"]*)"', page)
    return json.loads(html.unescape(data))


def test_every_option_has_another_picture_which_depends_on_the_values_alone(explorer):
    pictures = {place: explorer.frame(place).src for place in positions(explorer)}
    first, second = explorer.start
    assert len(pictures) == 49
    assert len({pictures[place, second] for place in range(7)}) == 7
    assert len({pictures[first, place] for place in range(7)}) == 7
    sparsity, ratio = explorer.controls.values()
    assert pictures[2, 5] == address(picture(sparsity.value(2), ratio.value(5)))
    assert plt.get_fignums() == []


def test_the_kernel_answers_a_position_with_its_picture(explorer):
    live = LiveExplorer(explorer)
    assert live.position == live.frame["position"] == explorer.start
    live.position = [6, 0]
    assert live.frame == {"position": [6, 0], "src": explorer.frame((6, 0)).src, "alt": explorer.frame((6, 0)).alt}
    assert live.page == explorer.still() and 'data-frames="' not in live.page
    assert live.counts == [7, 7] and live.key == live.model_id


def test_the_kernel_answers_with_the_error_of_a_picture_and_goes_on():
    def picture(n: int) -> Figure:
        return Figure() if n == 1 else Figure(figsize=(0, n))

    live = LiveExplorer(explore("Why?", picture, n=choice("n", {"1": 1, "-1": -1}, 1)))
    live.position = [1]
    assert live.frame["position"] == [1] and live.frame["error"].startswith("ValueError: ")
    live.position = [0]
    assert live.frame["position"] == [0] and live.frame["src"]


def test_a_page_has_the_picture_of_every_position_once(explorer):
    data = of_page(explorer.page())
    assert data["counts"] == [7, 7] and len(data["index"]) == 49
    for place, number in zip(positions(explorer), data["index"], strict=True):
        assert data["frames"][number]["src"] == explorer.frame(place).src
    same = explore("Same?", lambda which: Figure(), which=choice("which", ["a", "b"]))
    assert of_page(same.page())["index"] == [0, 0] and len(of_page(same.page())["frames"]) == 1


def test_fewer_positions_have_the_start_among_them_and_their_own_pictures(explorer):
    data = of_page(explorer.page(3))
    names = [json.loads(html.unescape(one)) for one in re.findall(r'data-names="([^"]*)"', explorer.page(3))]
    sparsity, ratio = explorer.controls.values()
    assert data["counts"] == [3, 3]
    assert sparsity.names[sparsity.start] in names[0] and ratio.names[ratio.start] in names[1]
    places = itertools.product(
        *([one.names.index(name) for name in some] for one, some in zip((sparsity, ratio), names, strict=True))
    )
    for place, number in zip(places, data["index"], strict=True):
        assert data["frames"][number]["src"] == explorer.frame(place).src


@pytest.mark.parametrize("start", range(7))
@pytest.mark.parametrize("most", [1, 2, 3, 6, 7, 100])
def test_places_are_as_many_as_asked_and_in_order(start, most):
    control = choice("n", {str(n): n for n in range(7)}, start)
    places = control.places(most)
    assert len(places) == min(most, 7) and places == sorted(set(places)) and start in places


def test_threads_that_draw_leave_the_settings_of_matplotlib_as_they_were(monkeypatch):
    """A kernel may draw an explorer while a cell draws, too."""
    both, met, before = threading.Barrier(2, timeout=0.3), [], dict(matplotlib.rcParams)

    def meet(self: Figure, *args: object, **kwargs: object) -> None:
        Figure.__init__(self, *args, **kwargs)
        with contextlib.suppress(threading.BrokenBarrierError):
            met.append(both.wait())

    monkeypatch.setattr(style.Picture, "__init__", meet)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda _: style.new_figure(), range(2)))
    assert not met, "two figures were made at a time"
    assert dict(matplotlib.rcParams) == before


def test_without_a_reader_a_notebook_keeps_all_pictures(explorer, monkeypatch):
    monkeypatch.setenv(HEADLESS, "2")
    data = explorer._repr_mimebundle_()
    assert of_page(data["text/html"])["counts"] == [2, 2]
    assert base64.b64decode(data["image/png"]) == palette_png(explorer.figure(explorer.start))
    assert data["text/plain"].startswith("Why? A title without values")
    monkeypatch.setenv(HEADLESS, "few")
    with pytest.raises(ConfigError, match=r"RANDPRUNE_FRAMES must be 'all' or a positive number .* got 'few'"):
        explorer._repr_mimebundle_()


def test_with_a_reader_a_notebook_shows_the_widget_and_keeps_the_first_picture(explorer, monkeypatch):
    monkeypatch.delenv(HEADLESS, raising=False)
    data, _ = explorer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data and "text/html" not in data
    assert data["text/plain"].startswith("Why? A title without values")
    assert base64.b64decode(data["image/png"]) == palette_png(explorer.figure(explorer.start))


def test_every_control_has_a_name_and_a_value_that_can_be_read():
    explorer = explore(
        "What & why?",
        lambda **values: Figure(),
        power=choice("power <x>", {"1": 1, "2": 2, "5": 5}, 2),
        rule=choice("rule", {"voting": 1, "Gumbel": 2}, 2),
        family=choice("family", list("abcde"), "c"),
    )
    markup = explorer.still()
    assert '<p class="rp-question">What &amp; why?</p>' in markup
    assert 'type="range" min="0" max="2" step="1" value="1" aria-label="power &lt;x&gt;" aria-valuetext="2"' in markup
    assert "<output>2</output>" in markup
    assert '<legend class="rp-label">rule</legend>' in markup and markup.count('type="radio"') == 2
    assert re.search(r'type="radio" name="[^"]+" checked>Gumbel', markup)
    assert '<select aria-label="family">' in markup and "<option selected>c</option>" in markup


def test_the_picture_is_given_the_values_by_name():
    seen = []

    def note(**values: float) -> Figure:
        seen.append(values)
        return Figure()

    explorer = explore(
        "Why?", note, power=choice("power", {"1": 1, "5": 5}), on=choice("on", {"yes": True, "no": False})
    )
    for place in [(0, 0), (1, 0), (1, 1), (0, 0)]:
        explorer.frame(place)
    assert seen == [{"power": 1, "on": True}, {"power": 5, "on": True}, {"power": 5, "on": False}]


def test_what_a_figure_shows_is_said_in_words():
    figure = figures.inclusion_curves({"voting": rp.Voting().curve(HISTOGRAM, 1000)}, "A\ntitle")
    axis = figure.axes[0]
    assert described(figure) == f"A title: {axis.get_ylabel()} against {axis.get_xlabel()}"


@pytest.mark.parametrize(
    ("make", "nearly", "nearest"), [(sparsity_slider, 0.9, 0.92), (sampling_ratio_slider, 1.2e-4, 1e-4)]
)
def test_a_slider_starts_at_the_option_nearest_to_the_value(make, nearly, nearest):
    control = make(nearly)
    assert control.value(control.start) == nearest and control.kind == "slider"
    values = list(control.options.values())
    assert values == sorted(set(values)) and all(0 < value < 1 for value in values)


def test_sparsities_are_shown_in_percent():
    options = sparsity_slider().options
    assert all(float(name.removesuffix(" %")) == pytest.approx(100 * value) for name, value in options.items())


def test_ratios_that_decide_alike_are_offered_once():
    """Two rounds decide like one, because the second vote only breaks ties."""
    few = sampling_ratio_slider(1e-4, removed=8_640).options
    assert list(few) == ["3e-4", "1e-3", "3e-3", "1e-2"]
    curves = [rp.Voting(ratio).curve(HISTOGRAM, HISTOGRAM.size - 8_640).inclusion for ratio in (1e-6, *few.values())]
    same = [np.allclose(one, other, atol=1e-9) for one, other in itertools.pairwise(curves)]
    assert same == [True, False, False, False]


def test_a_value_that_is_no_option_is_refused():
    with pytest.raises(ConfigError, match="task must be one of a, b, got 'c'"):
        choice("task", ["a", "b"], "c")
    with pytest.raises(ConfigError, match="task needs at least one option, got none"):
        choice("task", [])


@pytest.mark.parametrize(
    "draw",
    [figures.magnitude_pruning, lambda w, s: figures.sampling(w, rp.Voting(), s, candidates=1)],
    ids=["magnitude", "sampling"],
)
def test_every_sparsity_of_the_slider_can_be_drawn_on_a_matrix(draw):
    weights = torch.randn(70, 64, generator=torch.Generator().manual_seed(0))
    explorer = explore("How much?", lambda sparsity: draw(weights, sparsity), sparsity=sparsity_slider())
    assert len({explorer.frame(place).src for place in positions(explorer)}) == 7


def test_the_explorer_of_distances_has_a_picture_for_every_pair_of_values():
    """For a few values; tests/notebooks draws all values of the lesson."""
    values = {"sparsity": (0.54, 0.9375, 0.99), "sampling_ratio": (1e-6, 1e-4, 1e-2)}
    knobs = {name: choice(name, {str(one): one for one in some}, some[0]) for name, some in values.items()}
    grid = {pair: np.array([0.1, 0.2, sum(pair) / 2]) for pair in itertools.product(*values.values())}
    explorer = explore("How?", lambda **place: figures.distance_grid(grid, ["v", "w"], **place), **knobs)
    assert len({explorer.frame(place).src for place in positions(explorer)}) == 9
