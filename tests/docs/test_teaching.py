"""The page for teachers: its plans fill their time, its points are those of the exercises, and its commands work."""

from __future__ import annotations

import csv
import itertools
import re
import shlex
import zipfile
from pathlib import Path

import pytest
from support.pages import ROOT, table_rows, text
from support.small_exercises import make_source

from randprune_lab.cli import main
from randprune_lab.exercises import read_sources

GUIDE = ROOT / "docs" / "teaching.md"
SOURCES = read_sources(ROOT / "notebooks" / "exercises")
PLANS = {"A seminar of 45 minutes": 45, "One class of 90 minutes": 90}


def section(title: str) -> str:
    return text(GUIDE).partition(f"## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("title", PLANS)
def test_the_minutes_of_a_plan_follow_each_other_and_fill_it(title):
    spans = [tuple(map(int, span)) for span in re.findall(r"^\| (\d+)-(\d+) \|", section(title), re.MULTILINE)]
    assert spans[0][0] == 0 and spans[-1][1] == PLANS[title]
    assert all(end == start for (_, end), (start, _) in itertools.pairwise(spans))
    assert all(3 < end - start <= 15 for start, end in spans)


def test_an_exercise_of_a_plan_fits_into_its_minutes():
    minutes = {exercise.name: exercise.minutes for source in SOURCES for exercise in source.exercises}
    rows = re.findall(r"^\| (\d+)-(\d+) \|(.*)$", "\n".join(map(section, PLANS)), re.MULTILINE)
    for start, end, row in rows:
        for name in re.findall(r"[Ee]xercise `(\w+)`", row):
            assert name in minutes and (minutes[name] <= int(end) - int(start) or "show of hands" in row), name


def test_points_of_a_week_are_those_of_its_exercises():
    points = {source.name[:2]: sum(exercise.points for exercise in source.exercises) for source in SOURCES}
    weeks = " ".join(row[3] for row in table_rows(GUIDE, ["week", "class", "at home", "exercises"]))
    assert {number: int(said) for number, said in re.findall(r"(\d\d) \((\d+) points\)", weeks)} == points


def test_exercises_that_are_named_exist():
    names = {exercise.name for source in SOURCES for exercise in source.exercises}
    assert set(re.findall(r"[Ee]xercise `(\w+)`", text(GUIDE))) <= names


def test_the_path_from_hand_out_to_grade_works_as_it_is_written(tmp_path, monkeypatch, capsys):
    """Each command in its order, with one small notebook, and students of Canvas and Moodle."""
    import nbformat

    monkeypatch.chdir(tmp_path)
    Path("notebooks/exercises").mkdir(parents=True)
    nbformat.write(make_source(), "notebooks/exercises/01_numbers.ipynb")
    people = {"Doe, Ann": ("ann", "7"), "Roe, Bob": ("bob", "8"), "Absent, Hal": ("hal", "9")}
    canvas = [f'"{name}",{number},{login},A' for name, (login, number) in people.items()]
    moodle = [f"{name.split(', ')[1]},{name.split(', ')[0]},{login}@x.example" for name, (login, _) in people.items()]
    done = []
    for command in re.findall(r"`(randprune exercises [^`]+)`", section("Exercises from hand-out to grade")):
        if " collect " in command:
            with zipfile.ZipFile("submissions.zip", "w") as archive:
                stub = Path("handout/01_numbers.ipynb").read_text("utf-8")
                archive.writestr("doeann_7_90_01_numbers.ipynb", stub.replace("# YOUR CODE HERE", "return 1"))
                archive.writestr("roebob_LATE_8_91_mine.ipynb", stub)
        if "canvas" in command:
            Path("roster.csv").write_text("\n".join(["Student,ID,SIS Login ID,Section", *canvas]), "utf-8")
        if "moodle" in command:
            rows = [f"{row},{folder}" for row, folder in zip(moodle, ["doeann_7", "roebob_8", ""], strict=True)]
            Path("roster.csv").write_text("\n".join(["First name,Last name,Email address,folder", *rows]), "utf-8")
        assert main(shlex.split(command)[1:]) == 0, (command, capsys.readouterr().err)
        done.append(command.split()[2])
    assert done == ["student", "collect", "grade", "table", "table", "table", "feedback"]
    assert last_column("table.csv") == ["total (of 6)", "1", "0"]
    assert last_column("canvas.csv") == ["01_numbers", "6", "1", "0", ""]
    assert last_column("moodle.csv") == ["01_numbers", "1", "0", ""]
    assert sorted(path.name for path in Path("feedback").iterdir()) == ["doeann_7.html", "roebob_8.html"]
    assert main(["exercises", "grade", "handed-in", "--out", "grades.csv"]) == 2, "corrections are not overwritten"


def last_column(name: str) -> list[str]:
    return [row[-1] for row in csv.reader(Path(name).read_text("utf-8").splitlines())]


def test_the_questions_are_written_as_it_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"`(randprune exercises questions [^`]+)`", section("Question bank"))
    assert len(commands) == 3 and not [command for command in commands if main(shlex.split(command)[1:])]
    assert {path.name for path in tmp_path.iterdir()} == {"questions.txt", "questions.zip", "questions.md"}
