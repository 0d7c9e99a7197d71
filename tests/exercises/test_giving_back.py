"""Collecting downloads, tables, forms for gradebooks, and feedback pages: sums, owners, and nothing that runs."""

from __future__ import annotations

import csv
import re
import struct
import unicodedata
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
import pytest

from randprune_lab.cli import main
from randprune_lab.errors import FileError, RunError
from randprune_lab.exercises import (
    Grade,
    collect,
    gradebook,
    hardest,
    read_grades,
    table,
    write_copies,
    write_feedback,
    write_grades,
    write_rows,
)

HOSTILE = "<script>alert(1)</script>"
GRADES = [
    Grade(student, book, name, f"Number {name}", points, out_of, failed)
    for student, book, name, points, out_of, failed in [
        ("doeann_7_", "01", "one", 1, 1, ""),
        ("doeann_7_", "01", "two", 0.67, 2, "wrong | also wrong"),
        ("doeann_7_", "02", "one", 0.33, 3, "wrong"),
        ("bob", "01", "one", 0, 1, "not submitted"),
        ("bob", "01", "two", 0, 2, "not submitted"),
        ("bob", "02", "one", 3, 3, ""),
    ]
]


def rows(path: Path) -> list[list[str]]:
    return list(csv.reader(path.open(encoding="utf-8", newline="")))


# --- tables ---


def test_grades_that_are_read_are_those_that_were_written(tmp_path):
    write_grades(tmp_path / "grades.csv", GRADES)
    assert read_grades([tmp_path / "grades.csv"]) == GRADES


def test_a_table_has_a_row_for_each_student_and_its_columns_add_up():
    header, *students = table(GRADES)
    assert header == [
        "student",
        "01 one (of 1)",
        "01 two (of 2)",
        "02 one (of 3)",
        "01 (of 3)",
        "02 (of 3)",
        "total (of 6)",
    ]
    assert students == [["doeann_7_", 1, 0.67, 0.33, 1.67, 0.33, 2.0], ["bob", 0, 0, 3, 0, 3, 3]]
    for _, *points in students:
        assert sum(points[:3]) == pytest.approx(sum(points[3:5])) == pytest.approx(points[5])


def test_the_hardest_exercises_are_named_with_their_fraction_of_the_points_of_those_who_submitted_them():
    assert hardest(GRADES, 2) == pytest.approx({"01 two": 0.67 / 2, "02 one": (0.11 + 1) / 2})
    assert list(hardest(GRADES)) == ["01 two", "02 one", "01 one"]


def test_tables_of_several_weeks_are_joined_and_a_missing_student_has_empty_cells(tmp_path, capsys):
    for number, part in enumerate((GRADES[:2], GRADES[2:3] + GRADES[5:])):
        write_grades(tmp_path / f"{number}.csv", part)
    calls = ["exercises", "table", str(tmp_path / "0.csv"), str(tmp_path / "1.csv"), "--out", str(tmp_path / "all.csv")]
    assert main(calls) == 0 and "2 students" in capsys.readouterr().out
    assert rows(tmp_path / "all.csv")[2] == ["bob", "", "", "3", "", "3", "3"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("points,", "marks,"), "has no column 'points'"),
        (lambda text: text.replace("0.67", "two"), "line 3: points must be a number of at least 0, got 'two'"),
        (lambda text: text.replace("0.67", "-1"), "got '-1'"),
        (lambda text: text.replace("0.67", "nan"), "got 'nan'"),
        (lambda text: text.replace("0.67,2,", "0,0,"), "line 3: out_of must be above 0"),
        (lambda text: text + text.splitlines()[1] + "\n", "line 8: a second row of doeann_7_ 01 one"),
        (lambda text: text + ",,,,,,\nx,,,,,,\n", "line 9: points must be a number of at least 0, got ''"),
        (lambda text: text.replace("0,1,not", "0,2,not"), "line 5: out_of of 01 one is 2, and 1 in a row before"),
        (lambda text: text.replace("0.67,", "0,67,"), "line 3: more cells than columns"),
        (lambda text: "", "has no column"),
    ],
    ids=["column", "word", "negative", "nan", "nothing", "twice", "no points", "maxima", "comma", "empty"],
)
def test_a_table_that_was_spoilt_by_hand_is_refused_by_line(tmp_path, change, message):
    write_grades(tmp_path / "grades.csv", GRADES)
    (tmp_path / "grades.csv").write_text(change((tmp_path / "grades.csv").read_text("utf-8")), "utf-8")
    with pytest.raises(FileError, match=re.escape(message)):
        read_grades([tmp_path / "grades.csv"])


def test_a_spreadsheet_may_save_semicolons_decimal_commas_and_a_mark_of_the_encoding(tmp_path):
    write_grades(tmp_path / "grades.csv", GRADES)
    table = [[cell.replace(".", ",") for cell in row] for row in rows(tmp_path / "grades.csv")]
    empty = [""] * len(table[0])
    with (tmp_path / "saved.csv").open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file, delimiter=";").writerows([*table[:3], empty, *table[3:], empty])
    assert [grade.points for grade in read_grades([tmp_path / "saved.csv"])] == [grade.points for grade in GRADES]


def test_more_points_than_the_maximum_are_kept_and_named(tmp_path, caplog):
    write_grades(tmp_path / "grades.csv", GRADES)
    text = (tmp_path / "grades.csv").read_text("utf-8")
    (tmp_path / "grades.csv").write_text(text.replace("0.67", "46143"), "utf-8")
    assert read_grades([tmp_path / "grades.csv"])[1].points == 46143
    assert caplog.messages == ["more points than the maximum: 'doeann_7_ 01 two 46143'"]


# --- gradebooks ---

CANVAS = """Student,ID,SIS User ID,SIS Login ID,Section,Old (5)
    Points Possible,,,,,5
"Doe, Ann",7,s7,ann,A,1
"=Roe, Bob",8,s8,BOB,A,2
"Absent, Hal",9,s9,hal,A,3
"Student, Test",10,,,A,
"""
MOODLE = """First name,Last name,ID number,Email address,folder
Ann,Doe,7,ann@x.example,
Bob,Roe,,bob@x.example,bob
"""


def test_canvas_gets_its_columns_the_maxima_and_a_row_for_each_student_of_the_roster(tmp_path, caplog):
    (tmp_path / "roster.csv").write_text(CANVAS, "utf-8")
    write_rows(tmp_path / "canvas.csv", gradebook(GRADES, "canvas", tmp_path / "roster.csv"))
    assert rows(tmp_path / "canvas.csv") == [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "01", "02"],
        ["Points Possible", "", "", "", "", "3", "3"],
        ["Doe, Ann", "7", "s7", "ann", "A", "1.67", "0.33"],
        ["'=Roe, Bob", "8", "s8", "BOB", "A", "0", "3"],
        ["Absent, Hal", "9", "s9", "hal", "A", "", ""],
    ]
    assert "without a folder, so their cells stay empty: 'Absent, Hal'" in caplog.text


def test_moodle_gets_the_columns_of_its_roster_that_say_who_it_is(tmp_path):
    (tmp_path / "roster.csv").write_text(MOODLE, "utf-8")
    assert gradebook(GRADES, "moodle", tmp_path / "roster.csv") == [
        ["First name", "Last name", "ID number", "Email address", "01", "02"],
        ["Ann", "Doe", "7", "ann@x.example", 1.67, 0.33],
        ["Bob", "Roe", "", "bob@x.example", 0, 3],
    ]


@pytest.mark.parametrize(
    "folder",
    ["Ann Doe_5_assignsubmission_file", "ann@x.example", "7", "ANN DOE"],
    ids=["moodle", "mail", "number", "name"],
)
def test_a_folder_is_recognized_by_what_identifies_its_student(tmp_path, folder):
    (tmp_path / "roster.csv").write_text(MOODLE.replace("Roe,,", "Roe,5,"), "utf-8")
    found = gradebook([Grade(folder, "01", "one", "One", 1, 1, "")], "moodle", tmp_path / "roster.csv")
    assert [row[-1] for row in found[1:]] == [1, ""]


UMLAUT = "J\u00f6rg"


@pytest.mark.parametrize("roster", [UMLAUT, unicodedata.normalize("NFD", UMLAUT)], ids=["one", "two"])
@pytest.mark.parametrize("folder", [UMLAUT, unicodedata.normalize("NFD", UMLAUT)], ids=["one", "two"])
@pytest.mark.parametrize("by", ["name", "folder"])
def test_an_umlaut_of_one_character_is_that_of_two(tmp_path, roster, folder, by):
    names = f"{roster},Doe,,a@x.example,\n" if by == "name" else f"Ann,Doe,,a@x.example,{roster} Doe\n"
    (tmp_path / "roster.csv").write_text(MOODLE.partition("\n")[0] + "\n" + names, "utf-8")
    grades = [Grade(f"{folder} Doe", "01", "one", "One", 1, 1, "")]
    assert gradebook(grades, "moodle", tmp_path / "roster.csv")[1][-1] == 1


def test_a_surname_is_a_last_name_and_a_first_name_alone_is_nobody(tmp_path):
    roster = tmp_path / "roster.csv"
    roster.write_text("First name,Surname,Email address\nAnn,Doe,a@x.example\n", "utf-8")
    (header, row) = gradebook([Grade("Ann Doe", "01", "one", "One", 1, 1, "")], "moodle", roster)
    assert header[:2] == ["First name", "Surname"] and row == ["Ann", "Doe", "a@x.example", 1]
    with pytest.raises(FileError, match=r"no folder of the grades \('Ann'\) is of anybody"):
        gradebook([Grade("Ann", "01", "one", "One", 1, 1, "")], "moodle", roster)


def test_nobody_gets_the_points_of_another(tmp_path, caplog):
    roster = tmp_path / "roster.csv"
    roster.write_text(MOODLE, "utf-8")
    grades = [Grade(name, "01", "one", "One", 1, 1, "") for name in ("bob", "stranger")]
    assert [row[-1] for row in gradebook(grades, "moodle", roster)[1:]] == ["", 1]
    assert "nobody has these folders, so they are left out: 'stranger'" in caplog.text
    with pytest.raises(FileError, match=r"no folder of the grades \('stranger'\) is of anybody"):
        gradebook(grades[1:], "moodle", roster)
    twins = "First name,Last name,Email address\nAnn,Doe,a@x.example\nAnn,Doe,b@x.example\n"
    roster.write_text(twins, "utf-8")
    with pytest.raises(FileError, match="'Ann Doe' may be of several students"):
        gradebook([Grade("Ann Doe", "01", "one", "One", 1, 1, "")], "moodle", roster)
    with pytest.raises(FileError, match="has no column 'Student', 'ID', 'Section'"):
        gradebook(grades, "canvas", roster)


def test_a_gradebook_needs_a_roster_and_a_roster_a_gradebook(tmp_path, capsys):
    write_grades(tmp_path / "grades.csv", GRADES)
    call = ["exercises", "table", str(tmp_path / "grades.csv"), "--out", str(tmp_path / "out.csv"), "--lms", "canvas"]
    assert main(call) == 2 and "--lms and --roster belong together" in capsys.readouterr().err


# --- collecting ---


def zipped(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, f"content of {name}")
    return path


def test_downloads_are_sorted_into_a_folder_for_each_student(tmp_path, caplog):
    canvas = zipped(
        tmp_path / "canvas.zip",
        "doeann_7_90_01_pruning.ipynb",
        "roebob_LATE_8_91_01_pruning-1.ipynb",
        "roebob_8_91_a.txt",
    )
    moodle = zipped(
        tmp_path / "moodle.zip",
        "Ann Doe_5_assignsubmission_file_/01_pruning.ipynb",
        "Bob Roe_6_assignsubmission_file_01_pruning.ipynb",
        "cyd/deep/my.ipynb",
        "__MACOSX/cyd/._my.ipynb",
        "../../../evil.ipynb",
        "/evil.ipynb",
        "alone.ipynb",
    )
    for download in (canvas, moodle):
        collect(download, tmp_path / "out")
    assert sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.ipynb")) == [
        "Ann Doe/01_pruning.ipynb",
        "Bob Roe/01_pruning.ipynb",
        "cyd/my.ipynb",
        "doeann_7/01_pruning.ipynb",
        "roebob_8/01_pruning-1 (late).ipynb",
    ]
    assert not list(tmp_path.parent.glob("evil*")) and all(
        name in caplog.text for name in ("alone", "evil", "8_91_a.txt")
    )


@pytest.mark.parametrize(
    ("names", "students"),
    [
        (["x/doeann_7_90_01.ipynb", "x/roebob_8_91_01.ipynb", "__MACOSX/x/._doeann_7_90_01.ipynb"], None),
        (["x/ann/01.ipynb", "x/bob/01.ipynb"], ["ann", "bob"]),
        (["x/ann/a.ipynb", "x/bob/b.ipynb", "x/readme.txt"], ["ann", "bob"]),
        (
            ["x/Ann Doe_5_assignsubmission_file_/01.ipynb", "x/Bob_6_assignsubmission_file_/01.ipynb"],
            ["Ann Doe", "Bob"],
        ),
        (["cyd/01.ipynb", "cyd/02.ipynb", "cyd/old/03.ipynb"], ["cyd"]),
        (["Ann_5_assignsubmission_file_/a/01.ipynb", "Ann_5_assignsubmission_file_/b/02.ipynb"], ["Ann"]),
    ],
)
def test_a_folder_around_all_students_is_no_student(tmp_path, names, students):
    found = collect(zipped(tmp_path / "a.zip", *names), tmp_path / "out")
    assert sorted(found) == (students or ["doeann_7", "roebob_8"])


def test_notebooks_of_one_student_with_the_same_name_do_not_stop_the_collection_of_others(tmp_path):
    twice = [f"Ann_5_assignsubmission_file_/{folder}/01.ipynb" for folder in ("a", "b:c")]
    found = collect(zipped(tmp_path / "a.zip", *twice, "Bob_6_assignsubmission_file_/01.ipynb"), tmp_path / "out")
    assert [path.relative_to(tmp_path / "out").as_posix() for paths in found.values() for path in paths] == [
        "Ann/a/01.ipynb",
        "Ann/b-c/01.ipynb",
        "Bob/01.ipynb",
    ]


def test_umlauts_of_a_zip_file_of_macos_are_right(tmp_path):
    name = unicodedata.normalize("NFD", UMLAUT)
    content = bytearray(zipped(tmp_path / "a.zip", f"{name}_5_assignsubmission_file_/01.IPYNB").read_bytes())
    for header, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # which have no flag that names are UTF-8
        struct.pack_into("<H", content, content.index(header) + place, 0)
    (tmp_path / "a.zip").write_bytes(content)
    assert collect(tmp_path / "a.zip", tmp_path / "out") == {UMLAUT: [tmp_path / "out" / UMLAUT / "01.IPYNB"]}


def test_a_student_has_one_folder_for_all_assignments_and_namesakes_have_their_own(tmp_path):
    for number, names in enumerate(
        [
            ("doeann_7_90_01.ipynb", "roebob_LATE_8_91_01.ipynb", "Ann Doe_5_assignsubmission_file_/01.ipynb"),
            ("doeann_LATE_7_92_02.ipynb", "roebob_8_93_02.ipynb", "Ann Doe_6_assignsubmission_file_/02.ipynb"),
        ]
    ):
        collect(zipped(tmp_path / f"{number}.zip", *names), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["Ann Doe", "doeann_7", "roebob_8"]
    twins = zipped(tmp_path / "twins.zip", *(f"Ann Doe_{n}_assignsubmission_file_/01.ipynb" for n in (5, 6)))
    assert sorted(collect(twins, tmp_path / "twins")) == ["Ann Doe_5", "Ann Doe_6"]


def test_collecting_twice_changes_nothing_and_other_content_is_not_lost(tmp_path):
    download = zipped(tmp_path / "a.zip", "ann/01.ipynb", "ann/02.ipynb")
    assert collect(download, tmp_path / "out") == collect(download, tmp_path / "out")
    (tmp_path / "out" / "ann" / "02.ipynb").write_text("other")
    (tmp_path / "out" / "ann" / "01.ipynb").unlink()
    with pytest.raises(RunError, match=r"02\.ipynb exists with other content"):
        collect(download, tmp_path / "out")
    assert not (tmp_path / "out" / "ann" / "01.ipynb").exists()
    with pytest.raises(FileError, match="several files would be"):
        collect(zipped(tmp_path / "b.zip", "cyd/a/01.ipynb", "cyd/b/01.ipynb", "dan/01.ipynb"), tmp_path / "more")


def test_what_is_no_download_is_named(tmp_path):
    (tmp_path / "no.zip").write_text("no")
    for name, message in {
        "no.zip": "cannot read .*no.zip",
        "nowhere.zip": "No such file",
        ".": "has no notebooks",
    }.items():
        with pytest.raises(FileError, match=message):
            collect(tmp_path / name, tmp_path / "out")


def test_a_damaged_download_is_named_and_nothing_of_it_is_written(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ann/01.ipynb", "text " * 1000)
        place = archive.getinfo("ann/01.ipynb").header_offset + 30 + len("ann/01.ipynb")
    content = bytearray(path.read_bytes())
    content[place] ^= 6  # a kind of block that there is not
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"cannot read .*a\.zip: .*give a ZIP file or a folder"):
        collect(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- feedback ---


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, Any]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def given_back(sources, tmp_path) -> dict[str, str]:
    """The pages of a class, by student: one has all points, one is hostile, one handed nothing in."""
    hostile = f"{HOSTILE}<img src=x onerror=alert(1)>"
    (path,) = write_copies("student", tmp_path / "all" / hostile.replace("/", ""), sources)
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.metadata.nbgrader.solution:
            cell.source = f"'{hostile}'\n# </pre>{hostile}\x1b[2J" + "x" * 10**5
    nbformat.write(notebook, path)
    grades = [Grade("ann", "01_numbers", name, name, 1, 1, "") for name in ("one", "two")]
    grades += [Grade(hostile.replace("/", ""), "01_numbers", "one", "One", 0.5, 1, f"{hostile} | and {hostile}")]
    grades += [Grade("bob", "01_numbers", "one", "One", 0, 1, "not submitted")]
    pages = write_feedback(tmp_path / "pages", grades, tmp_path / "all", sources)
    return {student: path.read_text("utf-8") for student, path in pages.items()}


def test_a_page_has_the_points_the_messages_the_answer_and_a_hint(given_back):
    ann, bad, bob = (re.sub(r"\s+", " ", Tags(page).text) for page in given_back.values())
    assert "2 of 2 points" in ann and "Your answer" not in ann and "Hint" not in ann
    assert "0.5 of 1 points" in bad and "Your answer" in bad and "Hint" in bad and "Count." in bad
    assert "0 of 1 points" in bob and "not submitted" in bob and "Your answer" not in bob and "Hint" in bob


def test_nothing_of_a_student_is_more_than_text(given_back):
    for page in given_back.values():
        tags = Tags(page)
        allowed = {
            "html",
            "meta",
            "title",
            "style",
            "h1",
            "h2",
            "h3",
            "h4",
            "p",
            "strong",
            "section",
            "span",
            "ul",
            "li",
        }
        assert {tag for tag, _ in tags.found} <= allowed | {"div", "pre", "code"}
        names = {name for _, attributes in tags.found for name in attributes}
        assert names <= {"lang", "charset", "name", "content", "http-equiv", "class", "tabindex"}
        assert "\x1b" not in page and len(page) < 20_000
        assert "default-src 'none'" in page
    assert any(HOSTILE in Tags(page).text for page in given_back.values())


def test_students_without_a_folder_are_named_since_their_pages_have_no_answers(sources, tmp_path, caplog):
    (tmp_path / "all" / "0123").mkdir(parents=True)
    grades = [Grade(name, "01_numbers", "one", "One", 0, 1, "wrong") for name in ("0123", "123")]
    write_feedback(tmp_path / "pages", grades, tmp_path / "all", sources)
    assert caplog.messages == [f"{tmp_path / 'all'}: no folder of '123', so their pages have no answers"]


def test_two_students_do_not_get_the_same_page(sources, tmp_path):
    (tmp_path / "all").mkdir()
    grades = [Grade(name, "01_numbers", "one", "One", 0, 1, "") for name in ("a<b", "a>B")]
    with pytest.raises(FileError, match="several students would have the same page"):
        write_feedback(tmp_path / "pages", grades, tmp_path / "all", sources)
