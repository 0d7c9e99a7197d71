"""The app: its pictures are those of pure functions, its text is safe, and what cannot be drawn is said in one line."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import shutil
from html import unescape

import numpy as np
import pytest
from support.made_up import pool

import randprune_lab as rp
from randprune_lab.analysis.contrasts import ALL, differences
from randprune_lab.analysis.shipped import pool_records, recorded_controls, recorded_results
from randprune_lab.analysis.standing import Standing
from randprune_lab.app import AppPage, masks, write_app
from randprune_lab.app.masks import masks_part
from randprune_lab.app.page import TITLE
from randprune_lab.app.part import Case, Part
from randprune_lab.app.pools import pools_part
from randprune_lab.app.results import results_part
from randprune_lab.app.runs import run_records, runs_part
from randprune_lab.errors import ConfigError, RunError
from randprune_lab.masks.rules import make_rule
from randprune_lab.masks.sampler import MaskSampler
from randprune_lab.report.passive import policy_with
from randprune_lab.viz.explorer import Frame, frame_of
from randprune_lab.viz.page_parts import SCRIPT

FRAMES = re.compile(r'data-frames="([^"]*)"')


@pytest.fixture(scope="module")
def runs(finished) -> Part:
    return runs_part(run_records([finished]))


@pytest.fixture(scope="module")
def pools() -> Part:
    return pools_part([pool(5, looks=3), dataclasses.replace(pool(5, looks=3), candidates_from="random allocation")])


@pytest.fixture(scope="module")
def results() -> Part:
    return results_part(recorded_results(), recorded_controls())


@pytest.fixture(scope="module")
def rules() -> Part:
    return masks_part()


@pytest.fixture(scope="module")
def page(runs, pools) -> str:
    return AppPage((runs, pools)).html(lambda _: None)


def positions(case: Case) -> list[dict[str, object]]:
    """The values of all controls at each position, in the order of the page."""
    controls = case.explorer.controls
    return [
        dict(zip(controls, values, strict=True))
        for values in itertools.product(*(control.options.values() for control in controls.values()))
    ]


def test_the_picture_of_each_position_is_that_of_its_values(page, runs, pools):
    cases = [case for part in (runs, pools) for case in part.cases]
    for case, data in zip(cases, FRAMES.findall(page), strict=True):
        shown = json.loads(unescape(data))
        frames = [Frame(**shown["frames"][number]) for number in shown["index"]]
        assert frames == [frame_of(case.explorer.picture(**values)) for values in positions(case)]


def test_a_page_is_one_file_without_requests_that_runs_one_script(page):
    assert policy_with(SCRIPT) in page and page.count("<script>") == 1 and f"<title>{TITLE}</title>" in page
    assert not re.search(r'(?:src|href)="(?!data:image/(?:png|svg\+xml);base64,|#)', page)
    assert "http-equiv" in page and "@import" not in page and "url(" not in page


def test_each_control_has_something_to_try_and_each_picture_its_numbers(runs, pools, results, rules):
    for part in (runs, pools, results, rules):
        assert part.about and part.cases
        for case in part.cases:
            assert case.hints.keys() == case.explorer.controls.keys() and all(case.hints.values())
            assert len(case.numbers.rows) >= len(positions(case))
            assert {len(row) for row in case.numbers.rows} == {len(case.numbers.head)}


def test_explorers_of_a_page_have_groups_of_their_own(runs, pools, results, rules):
    """Radio buttons of one name are one group, and the name comes from the question."""
    questions = [case.explorer.question for part in (runs, pools, results, rules) for case in part.cases]
    assert len({*questions}) == len(questions)


def test_a_page_of_everything_is_below_5_mb(runs, pools, results, rules):
    parts = (runs, pools_part(pool_records()), results, rules)
    first = [(part.cases[0].explorer, AppPage((part,)).pictures) for part in parts]
    assert sum(len(explorer.frame(explorer.start).src) * pictures for explorer, pictures in first) < 5_000_000


# --- masks ---


def test_every_rule_is_there_and_every_stop_of_a_setting_changes_the_masks():
    assert list(masks.RULES) == ["voting", "gumbel", "uniform", "magnitude"]
    for rule, shown in masks.RULES.items():
        settings = shown.settings
        for name, control in settings.items():
            others = {each: one.value(one.start) for each, one in settings.items() if each != name}
            for level in masks.LEVELS:
                shared = []
                for value in control.options.values():
                    made = make_rule(rule, **others, **{name: value})
                    sampler = MaskSampler({"w": masks.weights()}, made, level)
                    shared.append(1 - sampler.expected_hamming().overall / (2 * sampler.kept))
                assert np.abs(np.diff(shared)).min() > 0.01, (rule, name, level, shared)


def test_gumbel_noise_at_a_temperature_is_one_round_of_voting_as_the_hint_says(rules):
    overlaps = {tuple(row[:-3]): row[-2] for case in rules.cases for row in case.numbers.rows}
    assert all(overlaps[level, "0.2"] == overlaps[level, "1e-05", "5"] for level in ("54 %", "99 %"))


def test_overlaps_are_100_percent_for_magnitude_and_the_density_for_uniform(rules):
    cases = {case.name: case.numbers for case in rules.cases}
    assert {row[2] for row in cases["magnitude"].rows} == {"100.0 %"}
    assert [row[2] for row in cases["uniform random"].rows] == ["46.0 %", "17.0 %", "6.2 %", "1.0 %"]


def test_strips_of_one_position_say_what_its_table_says(rules):
    (case,) = (case for case in rules.cases if case.name == "uniform random")
    assert "83 %: two candidates share 17 %" in frame_of(case.explorer.picture(sparsity=0.83)).alt


# --- early scores ---


def test_title_and_table_have_the_same_rank_correlation(pools):
    (case,) = pools.cases
    for values, row in zip(positions(case), case.numbers.rows, strict=True):
        alt = frame_of(case.explorer.picture(**values)).alt
        assert f"rank correlation with the end: {row[-1]}" in alt and f"candidate {row[3]} leads" in alt


def test_positions_of_a_pool_end_with_its_last_evaluation(pools):
    steps = pools.cases[0].explorer.controls["steps"]
    assert steps.kind == "slider" and [*steps.options.values()] == [5, 10, 15] and steps.value(steps.start) == 15


def test_each_task_and_seed_has_an_explorer_of_the_sparsities_that_all_its_sources_have():
    made = pool(5, looks=3)
    random = dataclasses.replace(made, candidates_from="random allocation")
    half = dataclasses.replace(made, sparsity=0.5)
    cases = pools_part([made, random, half, dataclasses.replace(made, seed=4)]).cases
    assert [case.name for case in cases] == ["mini-sst2, seed 3", "mini-sst2, seed 4"]
    assert cases[0].explorer.controls["sparsity"].names == ["90 %"]
    assert cases[1].explorer.controls["source"].names == ["voting"]


def test_the_first_view_of_recorded_pools_has_an_early_leader_that_is_not_the_best():
    explorer = pools_part(pool_records()).cases[0].explorer
    chosen = {name: control.value(control.start) for name, control in explorer.controls.items()}
    assert chosen == {"source": "voting", "sparsity": 0.9375, "steps": 40}
    by_place = {(each.candidates_from, each.sparsity): each for each in pool_records()}
    assert Standing(by_place["voting", 0.9375], 40).place > 1


# --- results ---


def test_the_mean_is_over_the_included_tasks_alone(results):
    table, controls = recorded_results(), recorded_controls()
    included = [*controls.task[controls.included].unique()]
    tasks = results.cases[0].explorer.controls["task"].names
    assert tasks[0] == f"mean of the {len(included)} included tasks" and {"STS-B", "SST-2 (not included)"} <= {*tasks}
    assert sum("not included" in name for name in tasks) == table.task.nunique() - len(included)
    expected = differences(table[table.task.isin(included)], 0.9375)["search"][ALL]
    (row,) = (row for row in results.cases[0].numbers.rows if row[:2] == [tasks[0], "93.75 %"])
    assert f"{100 * expected.estimate:+.1f} [" in row[4] and "GLUE" in results.about


# --- runs ---


def test_a_run_starts_at_its_last_level_and_its_table_has_its_scores(runs, finished):
    record, (case,) = rp.RunRecord.load(finished), runs.cases
    level = case.explorer.controls["number"]
    assert level.names == ["50 %", "90 %"] and level.start == 1
    scores = {tuple(row[:2]): row[2] for row in case.numbers.rows}
    assert scores["search", "90 %"] == record.score("search-level-2").in_points()
    assert scores["dense", "0 %"] == record.score("dense").in_points()


def test_an_unfinished_run_shows_what_there_is_and_the_command_that_continues_it(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "a stopped run")
    lines = (folder / "journal.jsonl").read_text("utf-8").splitlines(keepends=True)
    for units in (0, 3, len(lines) // 2, len(lines) - 2):
        (folder / "journal.jsonl").write_text("".join(lines[:units]), "utf-8")
        (case,) = runs_part(run_records([folder])).cases
        assert f"go on with: randprune run --resume --out '{folder}'" in case.warning
        for values in positions(case):
            assert frame_of(case.explorer.picture(**values)).alt


def test_a_run_with_one_mask_a_level_has_no_early_scores_to_show(finished):
    record = rp.RunRecord.load(finished)
    units = {name: unit for name, unit in record.units.items() if not re.search("candidate|selection", name)}
    (case,) = runs_part([dataclasses.replace(record, units=units)]).cases
    assert "no early scores: there was one mask" in frame_of(case.explorer.picture(number=1)).alt


def test_a_folder_of_runs_offers_each_and_equal_names_are_told_apart(finished, tmp_path):
    for name in ("x/a", "x/b", "y/a"):
        shutil.copytree(finished, tmp_path / name)
    cases = runs_part(run_records([tmp_path / "x", tmp_path / "y" / "a"])).cases
    assert [case.name for case in cases] == [str(tmp_path / "x/a"), "b", str(tmp_path / "y/a")]


def test_names_of_runs_are_text(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / '<img src="x" onerror="hit">')
    html = AppPage((runs_part(run_records([folder])),)).html(lambda _: None)
    assert '<img src="x"' not in html and "&lt;img src=" in html


# --- writing ---


def test_bad_places_are_refused_before_anything_is_drawn(finished, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    for runs, message in (([empty], "is not a run folder and contains none"), ([tmp_path / "gone"], "contains none"),
                          ([finished, finished], "is given twice")):  # fmt: skip
        with pytest.raises(RunError, match=message):
            write_app(runs, tmp_path / "page.html")
    with pytest.raises(ConfigError, match=r"ends in \.html, got 'config.json'"):
        write_app([], finished / "config.json")
    assert not (tmp_path / "page.html").exists()


def test_without_the_recorded_data_the_page_says_how_to_get_them(monkeypatch, finished, rules, tmp_path):
    monkeypatch.setenv("RANDPRUNE_DATA", str(tmp_path))
    monkeypatch.setattr("randprune_lab.app.page.masks_part", lambda: dataclasses.replace(rules, cases=()))
    out = tmp_path / "page.html"
    page = write_app([finished], out)
    assert [part.key for part in page.parts] == ["runs", "masks", "recorded"] and page.pictures == 2
    text = out.read_text("utf-8")
    assert "clone the repository" in text and "RANDPRUNE_DATA" in text
