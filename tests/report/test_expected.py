"""The key figures of a report are compared with the expected ones, or recorded as the expected ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from randprune_lab.errors import ConfigError, FileError
from randprune_lab.report import ReportSummary, report
from randprune_lab.report.expected import expected_path, read_expected, write_expected
from randprune_lab.report.key_figures import KeyFigure

FIGURES = {"kept": KeyFigure("kept", 36_864), "score": KeyFigure("score", 0.8125, 0.02, "higher")}


@pytest.fixture
def course(made, tmp_path, monkeypatch) -> Callable[..., ReportSummary]:
    """A function that makes a report from the results of notebooks that already ran; one of them failed."""
    found = {result.name: result for result in made.summary.results}

    def run(notebooks: list[Path], *_: object):
        yield from (found[path.stem] for path in notebooks)

    def call(figures: dict[str, KeyFigure] = made.summary.results[0].key_figures, **options: object) -> ReportSummary:
        found["00_good"] = replace(found["00_good"], key_figures=figures)
        options = {"only": "0", "notebooks": made.notebooks, "expected": tmp_path / "expected"} | options
        return report("smoke", tmp_path / "out", **options)

    monkeypatch.setattr("randprune_lab.report.build.run_notebooks", run)
    return call


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "expected" / "smoke.json"


def test_figures_survive_the_file(tmp_path):
    expected = {"02_b": FIGURES, "01_a": {}, "03_c": {"tiny": KeyFigure("tiny", 1 / 3e7)}}
    write_expected(tmp_path / "x.json", "smoke", expected)
    assert read_expected(tmp_path / "x.json") == expected


def test_a_change_of_one_figure_is_a_change_of_one_line(tmp_path):
    texts = []
    for kept in (1, 2):
        write_expected(tmp_path / "x.json", "smoke", {"01_a": FIGURES | {"kept": KeyFigure("kept", kept)}})
        texts.append((tmp_path / "x.json").read_text("utf-8").splitlines())
    assert sum(one != other for one, other in zip(*texts, strict=True)) == 1


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"notebooks": {"a": {"x": null}}}',
        '{"notebooks": {"a": {"x": NaN}}}',
        '{"notebooks": {"a": {"x": "0.5"}}}',
        '{"notebooks": {"a": {"x": true}}}',
        '{"notebooks": {"a": {"x": {"value": "0.5", "tolerance": 1}}}}',
        '{"notebooks": {"a": {"x": {"value": 1, "unit": "s"}}}}',
        '{"notebooks": {"a": {"x": {"value": 1, "name": "y"}}}}',
        '{"notebooks": {"a": {"x": 1%s}}}' % ("0" * 400),
        '{"notebooks": {"a": 5}}',
        '{"notebooks": null}',
        "[" * 5000,
        '{"notebooks": {"a": {"x": {"value": 1}, "y": {"tolerance": 1}}}}',
        '{"notebooks": {"a": {"x": {"value": 1, "tolerance": -1}}}}',
        '{"notebooks": {"a": {"x": {"value": 1, "tolerance": 1, "better": "more"}}}}',
    ],
)
@pytest.mark.parametrize("mode", ["compare", "update"])
def test_a_damaged_file_is_refused_before_anything_runs(course, file, tmp_path, content, mode):
    file.parent.mkdir()
    file.write_text(content)
    with pytest.raises(FileError, match=r"smoke\.json cannot be read .*--update"):
        course(check=mode)
    assert file.read_text() == content and not (tmp_path / "out").exists()


def test_recorded_figures_are_as_expected_and_a_changed_figure_fails_by_name(course, file, capsys, made):
    course(only="00", check="update")
    assert course(only="00", check="compare").exit_code == 0
    assert "key figures: 2 as expected" in capsys.readouterr().out
    changed = made.summary.results[0].key_figures | {"candidates": KeyFigure("candidates", 9)}
    summary = course(only="00", check="compare", figures=changed)
    assert summary.exit_code == 1
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["00_good", "candidates", "8", "9", "exact", "changed"] in rows
    index = summary.index.read_text("utf-8")
    assert "changed: expected 8 (exact)" in index and "Key figures: 1 as expected, 1 changed" in index
    (entry,) = json.loads((summary.out / "summary.json").read_text("utf-8"))["notebooks"]
    assert entry["check"] == {
        "passed": False,
        "known": True,
        "key_figures": [
            {"name": "winner_accuracy", "verdict": "as expected", "expected": 0.8},
            {"name": "candidates", "verdict": "changed", "expected": 8},
        ],
    }


def test_a_better_figure_is_reported_and_does_not_fail(course, capsys, made):
    course(only="00", check="update")
    figures = made.summary.results[0].key_figures
    better = figures | {"winner_accuracy": replace(figures["winner_accuracy"], value=0.9)}
    summary = course(only="00", check="compare", figures=better)
    assert summary.exit_code == 0
    assert "better" in capsys.readouterr().out and "better: expected 0.8" in summary.index.read_text("utf-8")


def test_the_index_shows_a_difference_in_a_late_digit(course, made):
    exactly = {"overlap": KeyFigure("overlap", 0.123457789)}
    course(only="00", check="update", figures=exactly)
    summary = course(only="00", check="compare", figures={"overlap": KeyFigure("overlap", 0.123456)})
    assert "expected 0.123457789, got 0.123456 (6 digits)" in summary.index.read_text("utf-8")


def test_a_missing_figure_fails_and_is_shown(course, capsys):
    course(only="00", check="update")
    summary = course(only="00", check="compare", figures={})
    assert summary.exit_code == 1 and "2 missing" in capsys.readouterr().out
    assert "missing: expected 0.8 (0.02, higher is better)" in summary.index.read_text("utf-8")


def test_a_notebook_without_expected_figures_fails_the_check(course, file, capsys):
    write_expected(file, "smoke", {})
    summary = course(only="00", check="compare")
    assert summary.exit_code == 1
    assert "00_good: no expected key figures are recorded" in capsys.readouterr().out
    assert "no expected key figures" in summary.index.read_text("utf-8")


def test_without_a_check_nothing_is_compared(course, file, capsys):
    write_expected(file, "smoke", {"00_good": {"gone": KeyFigure("gone", 1)}})
    summary = course(only="00")
    assert summary.exit_code == 0 and summary.results[0].check is None
    assert "key figures" not in capsys.readouterr().out


def test_an_update_changes_notebooks_that_ran_to_their_end_and_removes_those_that_are_gone(course, file, made):
    before = {"01_failing": FIGURES, "02_widget": FIGURES, "09_gone": FIGURES}
    write_expected(file, "smoke", before)
    course(only="00", check="update")
    course(only="01", check="update")  # it fails: its key figures are incomplete
    figures = made.summary.results[0].key_figures
    assert read_expected(file) == {"00_good": figures, "01_failing": FIGURES, "02_widget": FIGURES}


def test_a_notebook_that_failed_is_not_compared(course, file):
    write_expected(file, "smoke", {"01_failing": FIGURES})
    summary = course(only="01", check="compare")
    assert summary.exit_code == 1 and summary.results[0].check is None


def test_a_selected_notebook_that_is_gone_is_named(course, file, tmp_path):
    write_expected(file, "smoke", {"00_good": FIGURES, "00_gone": FIGURES})
    with pytest.raises(FileError, match=r"has expected key figures of 00_gone, but .* has no such notebook"):
        course(only="00", check="compare")
    assert not (tmp_path / "out").exists()
    assert course(only="00_good", check="compare").exit_code == 1  # and only the selected ones


@pytest.mark.parametrize("mode", ["compare", "update"])
def test_parameters_are_refused_with_a_check(course, file, mode):
    with pytest.raises(ConfigError, match="but seed is set; leave out"):
        course(check=mode, parameters={"seed": 1})
    assert not file.exists()


def test_a_missing_file_is_an_error_that_names_it(course, file):
    with pytest.raises(FileError, match=r"smoke\.json; record them with --update"):
        course(check="compare")


def test_the_file_is_beside_the_notebooks_unless_another_folder_is_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert expected_path("study", Path("notebooks")) == tmp_path / "data" / "expected" / "study.json"
    assert expected_path("smoke", Path("notebooks"), Path("mine")) == Path("mine", "smoke.json")
