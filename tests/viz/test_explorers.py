"""The explorers of the app: every position can be drawn, numbers are those of the package, and problems are shown."""

from __future__ import annotations

import shutil

import ipywidgets
import pytest

from randprune_lab.analysis.shipped import pool_records, recorded_results
from randprune_lab.masks.rules import RULES
from randprune_lab.viz.mask_explorer import mask_explorer
from randprune_lab.viz.panel import table
from randprune_lab.viz.run_explorer import PoolSource, ResultsSource, RunSource, Sources, run_explorer


def controls(explorer: ipywidgets.VBox) -> dict[str, ipywidgets.Widget]:
    return {one.description: one for one in explorer.children[1].children}


def numbers(explorer: ipywidgets.VBox) -> str:
    return explorer.children[2].value


def pictures(explorer: ipywidgets.VBox) -> list[bytes]:
    return [bytes(one.value) for one in explorer.children[3].children if one.layout.display != "none"]


def walk(widget: ipywidgets.Widget) -> list[ipywidgets.Widget]:
    return [widget, *(inner for child in getattr(widget, "children", ()) for inner in walk(child))]


@pytest.fixture(scope="module")
def masks() -> ipywidgets.VBox:
    return mask_explorer(size=80)


def test_every_setting_of_a_rule_can_be_drawn_and_settings_of_other_rules_are_hidden(masks):
    knobs = controls(masks)
    own = {"voting": {"sampling ratio", "power"}, "gumbel": {"temperature"}, "uniform": set(), "magnitude": set()}
    assert {value for _, value in knobs["rule"].options} == {*RULES} >= own.keys()
    for rule, names in own.items():
        knobs["rule"].value = rule
        hidden = {name for name, knob in knobs.items() if knob.layout.display == "none"}
        assert hidden == {"sampling ratio", "power", "temperature"} - names
        for name in ("sparsity", *sorted(names)):
            for _, value in knobs[name].options:
                knobs[name].value = value
                assert 'role="alert"' not in numbers(masks) and len(pictures(masks)) == 2
    knobs["rule"].value = "voting"


def test_overlaps_are_100_percent_for_magnitude_and_the_density_for_uniform(masks):
    knobs = controls(masks)
    knobs["sparsity"].value = 0.75
    knobs["rule"].value = "magnitude"
    assert numbers(masks).count("100.0 %") == 3 and "1,600 of 6,400" in numbers(masks)
    knobs["rule"].value = "uniform"
    assert "25.0 %" in numbers(masks)


def test_no_widget_can_stall_and_every_control_has_a_label(masks, finished):
    for explorer in (masks, run_explorer(finished)):
        every = walk(explorer)
        assert not [one for one in every if isinstance(one, ipywidgets.Output)]
        assert all(controls(explorer))
        assert all(one.layout.max_width == "100%" for one in every if isinstance(one, ipywidgets.Image))


def test_every_position_of_a_run_can_be_shown(finished, record, config):
    explorer = run_explorer(finished)
    what, level = explorer.children[1].children
    assert what.value == f"run: {finished.name}" and level.description == "level"
    assert [label for label, _ in level.options] == ["50 %", "90 %"]
    for number, (_, value) in enumerate(level.options, start=1):
        level.value = value
        score = record.score(f"search-level-{number}")
        assert f"{100 * score.estimate:.1f} [{100 * score.low:.1f}, {100 * score.high:.1f}]" in numbers(explorer)
        assert "search minus this method (points)" in numbers(explorer)
        assert len(pictures(explorer)) == 3


def test_recorded_results_can_be_shown_at_the_first_and_last_position():
    results = recorded_results()
    for source in [*map(PoolSource, pool_records()[:2]), ResultsSource(results, "stsb")]:
        positions = list(source.positions.values())
        for position in (positions[0], positions[-1]):
            shown = source.show(position)
            assert len(shown.pictures) == 2 and "<td" in shown.numbers


def test_another_source_brings_its_own_positions(finished):
    explorer = run_explorer(finished)
    what, where = explorer.children[1].children
    before = pictures(explorer)
    what.value = next(name for name in what.options if name.startswith("pool"))
    assert where.description == "training steps" and len(pictures(explorer)) == 2
    what.value = f"run: {finished.name}"
    assert pictures(explorer) == before


def test_a_folder_of_runs_offers_each(finished, tmp_path):
    for name in ("a", "b"):
        shutil.copytree(finished, tmp_path / name)
    assert list(Sources(tmp_path).by_name)[:2] == ["run: a", "run: b"]


def test_an_unfinished_run_names_the_command_that_continues_it(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "stopped")
    lines = (folder / "journal.jsonl").read_text("utf-8").splitlines(keepends=True)
    for units in (0, 3, len(lines) - 2):
        (folder / "journal.jsonl").write_text("".join(lines[:units]), "utf-8")
        explorer = run_explorer(folder)
        assert "continue with" in numbers(explorer) and 'role="alert"' in numbers(explorer)


def test_sources_that_cannot_be_read_are_named_on_the_page(tmp_path, finished, monkeypatch):
    explorer = run_explorer(tmp_path)
    assert "RANDPRUNE_RUN" in numbers(explorer) and "is not a run folder and contains none" in numbers(explorer)
    assert pictures(explorer)  # of the recorded results
    monkeypatch.setenv("RANDPRUNE_DATA", str(tmp_path))
    assert "RANDPRUNE_DATA" in numbers(run_explorer(finished))
    (message,) = run_explorer().children
    assert "RANDPRUNE_DATA" in message.value
    monkeypatch.setenv("RANDPRUNE_RUN", str(finished))
    assert controls(run_explorer())["results"].options == (f"run: {finished.name}",)
    assert isinstance(next(iter(Sources(finished).by_name.values())), RunSource)


def test_text_in_tables_is_escaped():
    assert "<b>" not in table([("<b>", "<i>")], ("<u>",)) and "&lt;u&gt;" in table([("<b>", "<i>")], ("<u>",))
