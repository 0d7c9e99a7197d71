"""Key figures are finite numbers, shown and recorded."""

from __future__ import annotations

from html import escape

import numpy as np
import pytest
import torch

from randprune_lab.errors import ConfigError
from randprune_lab.report.key_figures import MIMETYPE, exact, format_figure, key_figures, measured


@pytest.fixture
def shown(monkeypatch) -> list[dict]:
    bundles: list[dict] = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: bundles.append(bundle))
    return bundles


def test_numbers_of_any_library_are_recorded(shown):
    key_figures(a=1, b=0.5, c=np.float32(0.25), d=np.int64(3), e=torch.tensor(2.0))
    recorded = {figure["name"]: figure["value"] for figure in shown[0][MIMETYPE]}
    assert recorded == {"a": 1, "b": 0.5, "c": 0.25, "d": 3, "e": 2.0}
    assert {type(value) for value in recorded.values()} == {int, float}
    assert "<td>0.25</td>" in shown[0]["text/html"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "much", None, [1.0, 2.0]])
def test_a_value_that_is_not_a_finite_number_is_refused(value, shown):
    with pytest.raises(ConfigError, match="key figure accuracy"):
        key_figures(accuracy=value)
    assert not shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (8, "8"),
        (1234567, "1,234,567"),
        (0.81234, "0.8123"),
        (12345.6, "12,346"),
        (6857.4, "6,857"),
        (1.5e-7, "1.5e-07"),
    ],
)
def test_figures_are_readable(value, text):
    assert format_figure(value) == text


@pytest.mark.parametrize(
    ("figure", "title", "text"),
    [
        (exact(16384, "kept", "weights"), "kept", "16,384 weights"),
        (exact(0.9375, "sparsity", "%"), "sparsity", "93.8 %"),
        (exact(1, "all of them", "%"), "all of them", "100 %"),
        (measured(-0.0125, "search <minus> IMP", "points", tolerance=0.1), "search <minus> IMP", "-1.2 points"),
        (measured(0.5, tolerance=0.1), "some name", "0.5"),
        (0.5, "some name", "0.5"),
    ],
)
def test_a_reader_sees_label_value_and_unit(figure, title, text, shown):
    key_figures(some_name=figure)
    assert shown[0]["text/plain"] == f"{title}: {text}"
    assert f">{escape(title)}</th><td>{text}</td>" in shown[0]["text/html"]
    (recorded,) = shown[0][MIMETYPE]
    assert recorded["value"] == getattr(figure, "value", figure), "the record has the number itself"


def test_a_measured_figure_is_recorded_with_its_tolerance(shown):
    key_figures(kept=3, accuracy=measured(0.8, tolerance=0.02, better="higher"))
    kept, accuracy = shown[0][MIMETYPE]
    assert kept == {"name": "kept", "value": 3, "tolerance": 0.0, "better": "neither", "label": "", "unit": ""}
    assert accuracy == {
        "name": "accuracy",
        "value": 0.8,
        "tolerance": 0.02,
        "better": "higher",
        "label": "",
        "unit": "",
    }


@pytest.mark.parametrize("wrong", [{"tolerance": 0.0}, {"tolerance": float("inf")}, {"tolerance": 1, "better": "more"}])
def test_an_invalid_tolerance_or_direction_is_refused(wrong):
    with pytest.raises(ConfigError, match=r"must be|unknown better"):
        measured(0.5, **wrong)
