"""Each lesson reads its scale by profile from one table, and reads all of it."""

from __future__ import annotations

import re

import nbformat
import pytest
from support.pages import LESSONS, name

import randprune_lab as rp
from randprune_lab.errors import UnknownNameError
from randprune_lab.report import PROFILES, lesson_settings
from randprune_lab.report.lessons import LESSONS as TABLE


def test_every_lesson_has_a_scale_in_every_profile():
    assert list(TABLE) == [path.stem[:2] for path in LESSONS]
    for scales in TABLE.values():
        assert list(scales) == list(PROFILES)
        smoke, classroom, study = ({*scale} for scale in scales.values())
        assert smoke == classroom == study


@pytest.mark.parametrize("lesson", LESSONS, ids=name)
def test_a_lesson_reads_its_own_scale_and_all_of_it(lesson):
    code = "\n".join(cell.source for cell in nbformat.read(lesson, as_version=4).cells if cell.cell_type == "code")
    assert re.findall(r'lesson_settings\("(\d\d)", profile\)', code) == [lesson.stem[:2]]
    read = set(re.findall(r'(?:scale|lesson_settings\("\d\d", profile\))\["(\w+)"\]', code))
    assert read == {*TABLE[lesson.stem[:2]]["classroom"]}
    assert not re.search(r"profile (==|!=|in) \(?\"(?!study)", code), "a scale that is chosen in the lesson"


@pytest.mark.parametrize("profile", PROFILES)
def test_settings_of_runs_are_settings(profile):
    for scales in TABLE.values():
        run = scales[profile].get("run", {})
        assert {*run} <= {*rp.RunConfig(**run).to_dict()}


def test_a_scale_can_be_changed_without_changing_that_of_the_next_reader():
    lesson_settings("04", "smoke")["run"]["train_size"] = 1
    assert lesson_settings("04", "smoke")["run"]["train_size"] == 320


@pytest.mark.parametrize(
    ("lesson", "profile", "message"), [("9", "smoke", "lesson '9'"), ("00", "clasroom", "profile 'clasroom'")]
)
def test_an_unknown_name_is_refused(lesson, profile, message):
    with pytest.raises(UnknownNameError, match=message):
        lesson_settings(lesson, profile)
