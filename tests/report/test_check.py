"""A key figure must have its expected value: exactly, or within the tolerance and in the direction of this value."""

from __future__ import annotations

import pytest

from randprune_lab.report.check import Check, Comparison, compare, describe_checks
from randprune_lab.report.key_figures import KeyFigure


def verdict(expected: KeyFigure, value: float) -> str:
    return Comparison("x", expected, KeyFigure("x", value)).verdict


@pytest.mark.parametrize("value", [3, 0.1, -2.5, 1e300])
@pytest.mark.parametrize("tolerance", [0.0, 0.5])
@pytest.mark.parametrize("better", ["higher", "lower", "neither"])
def test_the_same_value_is_always_as_expected(value, tolerance, better):
    assert verdict(KeyFigure("x", value, tolerance, better), value) == "as expected"


@pytest.mark.parametrize("value", [4, 2, 3.0000000001])
def test_a_computed_figure_must_be_equal(value):
    assert verdict(KeyFigure("x", 3), value) == "changed"


@pytest.mark.parametrize(
    ("value", "better", "says"),
    [
        (0.83, "neither", "as expected"),  # 0.83 - 0.81 is more than 0.02 in floating point
        (0.79, "neither", "as expected"),
        (0.831, "neither", "changed"),
        (0.789, "neither", "changed"),
        (0.831, "higher", "better"),
        (0.789, "higher", "changed"),
        (0.831, "lower", "changed"),
        (0.789, "lower", "better"),
    ],
)
def test_a_measured_figure_may_differ_by_its_tolerance_and_in_its_direction(value, better, says):
    assert verdict(KeyFigure("x", 0.81, 0.02, better), value) == says


def test_the_tolerance_is_the_expected_one():
    """A larger tolerance in a notebook takes effect only when it is recorded."""
    loose = KeyFigure("x", 2.0, tolerance=100.0, better="higher")
    assert Comparison("x", KeyFigure("x", 1.0), loose).failed


def test_only_changed_and_missing_figures_fail():
    one, two = KeyFigure("x", 1), KeyFigure("x", 2)
    verdicts = {
        Comparison("x", one, one): False,
        Comparison("x", one, two): True,
        Comparison("x", one, None): True,
        Comparison("x", None, two): False,
        Comparison("x", KeyFigure("x", 1, 0.5, "higher"), two): False,
    }
    for comparison, failed in verdicts.items():
        assert comparison.failed is failed
        assert Check((comparison,)).passed is not failed


@pytest.mark.parametrize(
    ("expected", "got", "verdict"),
    [
        (5312.682186, 5312.682597, "as expected"),  # the same closed form on two processors
        (5312.682186, 5312.69, "changed"),
        (56802, 56803, "changed"),  # an integer is a count
        (0.0, 0.0, "as expected"),
        (0.0, 1e-12, "changed"),
    ],
)
def test_integers_must_be_equal_and_computed_floats_to_six_digits(expected, got, verdict):
    assert Comparison("a", KeyFigure("a", expected), KeyFigure("a", got)).verdict == verdict


def test_every_name_is_compared_once():
    figures = {name: KeyFigure(name, 1) for name in "abc"}
    check = compare({"a": figures["a"], "b": figures["b"]}, {"b": figures["b"], "c": figures["c"]})
    assert {one.name: one.verdict for one in check.comparisons} == {"a": "missing", "b": "as expected", "c": "new"}
    assert len(check.comparisons) == 3


def test_a_notebook_without_a_record_fails_and_one_without_figures_passes():
    assert not compare(None, {}).passed
    assert not compare(None, {"a": KeyFigure("a", 1)}).passed
    assert compare({}, {}).passed


def test_the_table_has_the_figures_that_differ_with_all_digits():
    expected = {"same": KeyFigure("same", 1), "off": KeyFigure("off", 0.123457789), "gone": KeyFigure("gone", 7)}
    got = {"same": KeyFigure("same", 1), "off": KeyFigure("off", 0.123456), "more": KeyFigure("more", 5)}
    text = describe_checks({"03_masks": compare(expected, got), "04_late": compare(None, {})})
    counts, heading, *rows, unknown = text.splitlines()
    assert counts == "key figures: 1 as expected, 1 changed, 1 missing, 1 new"
    assert heading.split() == ["notebook", "key", "figure", "expected", "got", "tolerance", "verdict"]
    assert [row.split() for row in rows] == [
        ["03_masks", "off", "0.123457789", "0.123456", "6", "digits", "changed"],
        ["03_masks", "more", "-", "5", "-", "new"],
        ["03_masks", "gone", "7", "-", "exact", "missing"],
    ]
    assert unknown == "04_late: no expected key figures are recorded; record them with --update"


def test_the_table_has_the_tolerance():
    expected = {"score": KeyFigure("score", 0.8, 0.02, "higher")}
    text = describe_checks({"04": compare(expected, {"score": KeyFigure("score", 0.7)})})
    assert "0.02, higher is better" in text.splitlines()[-1]
