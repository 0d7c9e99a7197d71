"""Commands for classes: exercises, share, gather."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from randprune_lab.commands.options import command
from randprune_lab.errors import ConfigError, FileError
from randprune_lab.terminal import (
    printable,
    say,
)


def _exercises_parser(commands: Any) -> argparse.ArgumentParser:
    sub = command(commands, "exercises", _exercises, "hand out the exercises, collect and grade them, and give back")
    actions = sub.add_subparsers(title="what to do", dest="action", required=True, metavar="ACTION")
    actions.add_parser("student", help="write copies for students, without solutions")
    actions.add_parser("instructor", help="write copies for instructors, with solutions folded away")
    for action in actions.choices.values():
        action.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
        action.add_argument(
            "--overwrite", action="store_true", help="replace existing copies, including answers in them"
        )
    action = actions.add_parser("collect", help="sort a download of Canvas or Moodle into a folder for each student")
    action.add_argument("download", type=Path, metavar="ZIP", help="ZIP file that Canvas or Moodle made, or a folder")
    action.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write or to add to")
    action = actions.add_parser("grade", help="run the students' notebooks with the checks of the original exercises")
    action.add_argument("folder", type=Path, metavar="DIR", help="folder with one subfolder for each student")
    action.add_argument("--out", type=Path, required=True, metavar="FILE", help="CSV file to write")
    action.add_argument("--seconds", type=float, default=120, metavar="X", help="time limit of a cell (default: 120)")
    action.add_argument("--overwrite", action="store_true", help="replace existing grades, including corrections")
    action = actions.add_parser("table", help="write a table with a row for each student, or a form for a gradebook")
    action.add_argument("grades", type=Path, nargs="+", metavar="FILE", help="CSV files of randprune exercises grade")
    action.add_argument("--out", type=Path, required=True, metavar="FILE", help="CSV file to write")
    action.add_argument("--lms", type=str, choices=["canvas", "moodle"], help="write what this gradebook imports")
    action.add_argument(
        "--roster", type=Path, metavar="FILE", help="CSV file that the gradebook exported; needed with --lms"
    )
    action = actions.add_parser("feedback", help="write a page for each student: points, messages, answers and hints")
    action.add_argument("folder", type=Path, metavar="DIR", help="folder with one subfolder for each student")
    action.add_argument("--grades", type=Path, nargs="+", required=True, metavar="FILE", help="CSV files of the grades")
    action.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    action = actions.add_parser("questions", help="write the question bank for Moodle, for Canvas, or to be printed")
    action.add_argument("--out", type=Path, required=True, metavar="FILE", help="file to write")
    action.add_argument(
        "--format",
        type=str,
        choices=["gift", "qti", "md"],
        required=True,
        help="gift: text for Moodle; qti: ZIP file for Canvas and others; md: Markdown, with the answers at its end",
    )
    action.add_argument("--only", type=str, metavar="NAME", help="use only lessons whose name starts with NAME")
    for name in ("student", "instructor", "grade"):
        action = actions.choices[name]
        action.add_argument("--only", type=str, metavar="NAME", help="use only notebooks whose name starts with NAME")
    for name in ("student", "instructor", "grade", "feedback"):
        actions.choices[name].add_argument(
            "--sources",
            type=Path,
            default=Path("notebooks/exercises"),
            metavar="DIR",
            help="folder of the original exercises (default: notebooks/exercises)",
        )
    action = actions.add_parser(
        "predictions", help="show what a class predicted before it saw the results, question by question"
    )
    action.add_argument(
        "folder",
        type=Path,
        metavar="DIR",
        help="folder of the students' predictions.json or saved notebooks, in subfolders or not",
    )
    return sub


def _share_parser(commands: Any) -> argparse.ArgumentParser:
    sub = command(
        commands,
        "share",
        _share,
        "write the results of one seed as a small file for a class: scores and settings, without texts, weights, names "
        "and paths",
    )
    sub.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="finished run folders of one seed; the first is the search"
    )
    sub.add_argument("--out", type=Path, metavar="FILE.json", help="file to write (default: seed-N-....json)")
    sub.add_argument("--guess", type=str, metavar="TEXT", help="what you expected before, such as 'search ahead'")
    return sub


def _gather_parser(commands: Any) -> argparse.ArgumentParser:
    sub = command(
        commands,
        "gather",
        _gather,
        "draw the shared results of a class: a row for each seed, and the mean with its interval over seeds",
    )
    sub.add_argument("folder", type=Path, metavar="DIR", help="folder with the files that students shared")
    sub.add_argument(
        "--out",
        type=Path,
        default=Path("class.html"),
        metavar="FILE",
        help="page (.html), picture (.png) or table (.csv) to write (default: class.html)",
    )
    sub.add_argument("--watch", action="store_true", help="go on: draw again when a file is added, until Ctrl-C")
    sub.add_argument(
        "--against",
        type=str,
        metavar="METHOD",
        help="method that the search is compared with (default: one with the same training steps, or else imp)",
    )
    sub.add_argument("--sparsity", type=float, metavar="X", help="sparsity to compare at (default: the last)")
    return sub


def _exercises(options: argparse.Namespace) -> int:
    from randprune_lab.exercises import write_copies

    if options.action not in ("student", "instructor"):
        others = {"collect": _collect, "grade": _grade, "table": _table, "feedback": _feedback, "questions": _questions}
        others["predictions"] = _predictions
        return others[options.action](options)
    paths = write_copies(options.action, options.out, options.sources, only=options.only, overwrite=options.overwrite)
    print("\n".join(map(str, paths)))
    return 0


def _collect(options: argparse.Namespace) -> int:
    from randprune_lab.exercises import collect

    for student, paths in collect(options.download, options.out).items():
        print(f"{printable(student)}  {', '.join(printable(path.name) for path in paths)}")
    print(f"to grade: {options.out}")
    return 0


def _predictions(options: argparse.Namespace) -> int:
    from randprune_lab.exercises import tally_class

    print("\n\n".join("\n".join(one.lines) for one in tally_class(options.folder)))
    return 0


def _grade(options: argparse.Namespace) -> int:
    from randprune_lab.exercises import grade, write_grades

    if options.out.exists() and not options.overwrite:
        raise FileError(f"{options.out} exists and may contain corrections; choose another file, or use --overwrite")
    grades = []
    for rows in grade(options.folder, options.sources, only=options.only, seconds=options.seconds):
        points, out_of = sum(row.points for row in rows), sum(row.out_of for row in rows)
        print(f"{printable(rows[0].student)}  {rows[0].notebook}  {points:g} of {out_of:g}", flush=True)
        grades += rows
        write_grades(options.out, grades)  # after each, so that a long grading that is stopped leaves what it has
    print(f"grades: {options.out}")
    return 0


def _table(options: argparse.Namespace) -> int:
    from randprune_lab.exercises import gradebook, hardest, read_grades, table, write_rows

    if (options.lms is None) != (options.roster is None):
        raise ConfigError("--lms and --roster belong together; give both, or none for a table of all exercises")
    grades = read_grades(options.grades)
    rows = gradebook(grades, options.lms, options.roster) if options.lms else table(grades)
    write_rows(options.out, rows)
    for name, fraction in hardest(grades).items():
        print(f"{fraction:4.0%} of the points  {name}")
    print(f"{len({grade.student for grade in grades})} students: {options.out}")
    return 0


def _feedback(options: argparse.Namespace) -> int:
    from randprune_lab.exercises import read_grades, write_feedback

    pages = write_feedback(options.out, read_grades(options.grades), options.folder, options.sources)
    print("\n".join(str(printable(path)) for path in pages.values()))
    return 0


def _questions(options: argparse.Namespace) -> int:
    from randprune_lab.exercises import read_questions, write_questions

    questions = read_questions(options.only or "")
    write_questions(options.out, options.format, questions)
    print(f"{len(questions)} questions: {options.out}")
    return 0


def _share(options: argparse.Namespace) -> int:
    from randprune_lab.analysis import share_runs

    share = share_runs(options.runs, options.guess)
    path = options.out or Path(share.file_name)
    share.save(path)
    print(f"seed {share.seed}, {path.stat().st_size / 1000:.0f} kB: {path}")
    return 0


def _gather(options: argparse.Namespace) -> int:
    from randprune_lab.analysis import gather
    from randprune_lab.classroom import watch, write_gathered
    from randprune_lab.classroom.page import check_out, verdict

    check_out(options.out)

    def draw() -> None:
        found = gather(options.folder, other=options.against, sparsity=options.sparsity)
        write_gathered(found, options.out, watched=options.watch)
        for line in found.left_out:
            say(line)
        print(f"{verdict(found)}: {options.out}", flush=True)

    if options.watch:
        watch(options.folder, draw, say, without=options.out)
    draw()
    return 0


PARSERS: tuple[Callable[[Any], argparse.ArgumentParser], ...] = (
    _exercises_parser,
    _share_parser,
    _gather_parser,
)
"""What adds each command."""
