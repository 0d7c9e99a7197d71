"""Explorers redraw their picture at every option of every control, without an Output widget."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

import randprune_lab as rp
from randprune_lab.masks.curve import Histogram
from randprune_lab.viz import figures
from randprune_lab.viz.widgets import choice, explore, sampling_ratio_slider, sparsity_slider

# Two million weights: enough for a different curve at every sampling ratio.
BUCKETS = 2000
HISTOGRAM = Histogram(np.arange(BUCKETS), np.geomspace(0.01, 1, BUCKETS), np.full(BUCKETS, 1000), 0)


def picture(sparsity: float, sampling_ratio: float) -> Figure:
    k = HISTOGRAM.size - round(sparsity * HISTOGRAM.size)
    curve = rp.Voting(sampling_ratio).curve(HISTOGRAM, k)
    return figures.inclusion_curves({"voting": curve}, "A title without values")


@pytest.fixture(scope="module")
def explorer() -> ipywidgets.VBox:
    return explore("Why?", picture, sparsity=sparsity_slider(), sampling_ratio=sampling_ratio_slider())


def walk(widget: ipywidgets.Widget) -> Iterator[ipywidgets.Widget]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from walk(child)


def controls(explorer: ipywidgets.Widget) -> list[ipywidgets.SelectionSlider]:
    return [widget for widget in walk(explorer) if isinstance(widget, ipywidgets.SelectionSlider)]


def image(explorer: ipywidgets.Widget) -> ipywidgets.Image:
    (found,) = (widget for widget in walk(explorer) if isinstance(widget, ipywidgets.Image))
    return found


def test_the_question_is_above_the_controls_and_the_picture_below(explorer):
    question, *_, last = explorer.children
    assert "Why?" in question.value and last is image(explorer)
    assert list(explorer.children[1:-1]) == controls(explorer)
    assert [control.description for control in controls(explorer)] == ["sparsity", "sampling ratio"]
    assert image(explorer).format == "png"
    assert not image(explorer).tooltip  # JupyterLab cannot show an Image that has one


def test_there_is_no_output_widget_and_nothing_acts_while_a_slider_moves(explorer):
    assert not any(isinstance(widget, ipywidgets.Output) for widget in walk(explorer))
    assert [control.continuous_update for control in controls(explorer)] == [False, False]


@pytest.mark.parametrize("number", [0, 1])
def test_every_option_of_every_slider_draws_another_picture(explorer, number):
    control = controls(explorer)[number]
    before, shown = control.value, bytes(image(explorer).value)
    images = {}
    for _, value in control.options:
        control.value = value
        images[value] = bytes(image(explorer).value)
    assert all(png.startswith(b"\x89PNG") for png in images.values())
    assert len(set(images.values())) == len(control.options)
    control.value = before
    assert bytes(image(explorer).value) == images[before] == shown, "the same values, the same picture"
    assert plt.get_fignums() == []


def test_every_sparsity_of_the_slider_can_be_drawn_on_a_matrix():
    weights = torch.randn(70, 64, generator=torch.Generator().manual_seed(0))
    explorer = explore(
        "How much?",
        lambda sparsity: figures.sampling(weights, rp.Voting(), sparsity, candidates=1),
        sparsity=sparsity_slider(),
    )
    images = set()
    for _, value in controls(explorer)[0].options:
        controls(explorer)[0].value = value
        images.add(bytes(image(explorer).value))
    assert len(images) == len(controls(explorer)[0].options)


def test_the_picture_is_given_the_values_by_name():
    seen = []

    def note(**values: float) -> Figure:
        seen.append(values)
        return Figure()

    explorer = explore("Why?", note, power=ipywidgets.IntSlider(3), on=ipywidgets.Checkbox(value=True))
    explorer.children[1].value = 5
    explorer.children[2].value = False
    assert seen == [{"power": 3, "on": True}, {"power": 5, "on": True}, {"power": 5, "on": False}]
    assert explorer.children[1].continuous_update is False


@pytest.mark.parametrize(
    ("make", "nearly", "nearest"), [(sparsity_slider, 0.9, 0.92), (sampling_ratio_slider, 1.2e-4, 1e-4)]
)
def test_a_slider_starts_at_the_option_nearest_to_the_value(make, nearly, nearest):
    assert make(nearly).value == nearest
    values = [value for _, value in make().options]
    assert values == sorted(set(values)) and all(0 < value < 1 for value in values)


def test_sparsities_are_shown_in_percent():
    assert all(
        float(label.removesuffix(" %")) == pytest.approx(100 * value) for label, value in sparsity_slider().options
    )


def test_the_explorer_of_magnitude_pruning_can_be_drawn_at_every_sparsity():
    weights = torch.randn(70, 64, generator=torch.Generator().manual_seed(0))
    explorer = explore(
        "How?", lambda sparsity: figures.magnitude_pruning(weights, sparsity), sparsity=sparsity_slider()
    )
    assert len(positions(explorer)) == 7


def test_the_explorer_of_distances_has_a_picture_for_every_pair_of_values():
    """For a few values; tests/notebooks draws all values of the lesson."""
    values = {"sparsity": (0.54, 0.9375, 0.99), "sampling_ratio": (1e-6, 1e-4, 1e-2)}
    knobs = {name: choice(name, {str(one): one for one in some}, some[0]) for name, some in values.items()}
    grid = {pair: np.array([0.1, 0.2, sum(pair) / 2]) for pair in itertools.product(*values.values())}
    explorer = explore("How?", lambda **place: figures.distance_grid(grid, ["v", "w"], **place), **knobs)
    assert len(positions(explorer)) == 9


def positions(explorer: ipywidgets.Widget) -> set[bytes]:
    """The pictures of all positions of all sliders together."""
    images = set()
    for values in itertools.product(*([value for _, value in control.options] for control in controls(explorer))):
        for control, value in zip(controls(explorer), values, strict=True):
            control.value = value
        images.add(bytes(image(explorer).value))
    return images
