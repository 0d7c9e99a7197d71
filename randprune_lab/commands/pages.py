"""Commands that make pages, and the doctor, which says whether a machine can: report, app, slides, doctor."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from randprune_lab.commands.options import command
from randprune_lab.doctor import HELP, add_options, show
from randprune_lab.terminal import (
    say,
)


def _report_parser(commands: Any) -> argparse.ArgumentParser:
    sub = command(commands, "report", _report, "run the notebooks and write an HTML report")
    sub.add_argument(
        "--profile", type=str, default="classroom", help="size: smoke, classroom or study (default: classroom)"
    )
    sub.add_argument("--out", type=Path, metavar="DIR", help="folder to write (default: reports/PROFILE)")
    sub.add_argument("--notebooks", type=Path, default=Path("notebooks"), metavar="DIR", help="folder of the notebooks")
    sub.add_argument("--overwrite", action="store_true", help="write into a folder that has other things too")
    sub.add_argument("--only", type=str, metavar="NAME", help="run only notebooks whose name starts with NAME")
    sub.add_argument(
        "--set",
        type=str,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a parameter of the notebooks; a file is looked for in this folder; repeatable",
    )
    sub.add_argument(
        "--jobs", type=int, metavar="N", help="number of notebooks at a time (default: by cores and memory)"
    )
    held = sub.add_argument_group("key figures of the notebooks").add_mutually_exclusive_group()
    held.add_argument(
        "--check", action="store_const", const="compare", help="fail if a key figure differs from the stored value"
    )
    held.add_argument(
        "--update", dest="check", action="store_const", const="update", help="store this run's key figures as expected"
    )
    sub.add_argument(
        "--expected", type=Path, metavar="DIR", help="folder of the stored key figures (default: data/expected)"
    )
    return sub


def _app_parser(commands: Any) -> argparse.ArgumentParser:
    sub = command(commands, "app", _app, "write a page of explorers: masks, recorded results and your own runs")
    sub.add_argument("runs", type=Path, nargs="*", metavar="RUN", help="run folders, or folders of them, to show")
    sub.add_argument("--out", type=Path, required=True, metavar="FILE.html", help="page to write; it needs no network")
    return sub


def _slides_parser(commands: Any) -> argparse.ArgumentParser:
    sub = command(
        commands,
        "slides",
        _slides,
        "write the slides of a lesson: a page with its figures, explorers and speaker's notes (key n) that needs no "
        "network",
    )
    sub.add_argument(
        "source", type=str, metavar="LESSON", help="beginning of a lesson's name, such as 06, or a notebook"
    )
    sub.add_argument("--out", type=Path, metavar="FILE.html", help="page to write (default: LESSON-slides.html)")
    sub.add_argument(
        "--report",
        type=Path,
        default=Path("reports/classroom"),
        metavar="DIR",
        help="report with the lessons as they ran; a lesson that is not there is run (default: reports/classroom)",
    )
    sub.add_argument("--notebooks", type=Path, default=Path("notebooks"), metavar="DIR", help="folder of the notebooks")
    sub.add_argument(
        "--profile", type=str, default="classroom", help="size of a lesson that is run (default: classroom)"
    )
    return sub


def _doctor_parser(commands: Any) -> argparse.ArgumentParser:
    sub: argparse.ArgumentParser = commands.add_parser("doctor", help=HELP, description=f"{HELP[0].upper()}{HELP[1:]}.")
    sub.set_defaults(command=_doctor, plugin=[], debug=False)  # its own findings are all that it says
    add_options(sub)
    return sub


def _report(options: argparse.Namespace) -> int:
    from randprune_lab.report import parse_parameters, report

    summary = report(
        options.profile,
        options.out or Path("reports") / options.profile,
        only=options.only,
        parameters=parse_parameters(options.set),
        notebooks=options.notebooks,
        overwrite=options.overwrite,
        jobs=options.jobs,
        check=options.check,
        expected=options.expected,
    )
    return summary.exit_code


def _app(options: argparse.Namespace) -> int:
    from randprune_lab.app import write_app

    page = write_app(options.runs, options.out)
    for part in page.parts:
        if not part.cases:
            say(part.about)
    print(f"{page.pictures} pictures, {options.out.stat().st_size / 1e6:.1f} MB: {options.out}")
    return 0


def _slides(options: argparse.Namespace) -> int:
    from randprune_lab.report.slides import write_slides

    path, number = write_slides(
        options.source,
        options.out,
        report=options.report,
        notebooks=options.notebooks,
        profile=options.profile,
    )
    print(f"{number} slides, {path.stat().st_size / 1e6:.1f} MB: {path}")
    return 0


def _doctor(options: argparse.Namespace) -> int:
    return show(as_json=options.json)


PARSERS: tuple[Callable[[Any], argparse.ArgumentParser], ...] = (
    _report_parser,
    _app_parser,
    _slides_parser,
    _doctor_parser,
)
"""What adds each command."""
