"""The command line, `randprune ...`.

Exit codes: 0 done; 1 failed, or refused by the machine (a full disk, no permission to write, no memory, a killed
process of a study or of Dask); 2 what the user can fix; 130 and 143 stopped by Ctrl-C and by SIGTERM.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import logging
import os
import shlex
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from randprune_lab.criteria import CRITERIA, Custom
from randprune_lab.doctor import HELP, add_options, show
from randprune_lab.errors import ConfigError, FileError, RandpruneError
from randprune_lab.files import atomic_path, given_path, refused_by_machine
from randprune_lab.masks.allocations import ALLOCATIONS
from randprune_lab.masks.rules import RULES
from randprune_lab.plugins import load_plugin
from randprune_lab.search.config import (
    CUSTOM_DATA,
    DENSE_SETTINGS,
    DISTILLATION,
    EARLY,
    EXECUTORS,
    GROUPS,
    MASKS,
    PRESETS,
    SCORE_SETTINGS,
    TRAINING,
    RunConfig,
    default_of,
    settings_of_group,
)
from randprune_lab.search.strategies import STRATEGIES, Screened
from randprune_lab.study.config import built_in_studies
from randprune_lab.terminal import (
    LogFormatter,
    OutputError,
    Terminated,
    brief,
    printable,
    say,
    say_lost,
    stoppable,
    terminal,
)

SETTINGS = dataclasses.fields(RunConfig)
INSTALL_LAB = "pip install 'randprune-lab[lab]', or in a clone pip install -e '.[lab]'"
"""What installs the packages of figures, lessons and reports."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code."""
    try:
        with terminal(), stoppable():
            return _run_command(build_parser().parse_args(arguments))
    except OutputError as error:
        say_lost(error)
        return 1
    except KeyboardInterrupt as stop:  # before the command began, or when it had ended
        say("stopped")
        return _code_of(stop)


def _run_command(options: argparse.Namespace) -> int:
    _quiet_libraries()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogFormatter())
    if not options.debug:
        handler.addFilter(brief)
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("randprune_lab").setLevel(logging.INFO)
    try:
        for plugin in options.plugin:
            load_plugin(plugin)
        return options.command(options)
    except KeyboardInterrupt as stop:
        say(f"stopped{_how_to_go_on(options)}")
        return _code_of(stop)
    except OutputError:
        raise
    except Exception as error:
        if options.debug:
            raise
        message, code = _answer(error)
        say(message)
        return code


def _code_of(stop: KeyboardInterrupt) -> int:
    return 143 if isinstance(stop, Terminated) else 130


def _how_to_go_on(options: argparse.Namespace) -> str:
    """What continues a stopped run or study, if it has recorded anything."""
    place = shlex.quote(str(getattr(options, "out", "")))
    if options.name == "run" and (options.out / "config.json").is_file():
        return f"; go on with: randprune run --resume --out {place}"
    if options.name == "study" and (options.out / "study.json").is_file():
        jobs = f" --jobs {options.jobs}" if options.jobs > 1 else ""
        return f"; go on with: randprune study {shlex.quote(options.config)} --resume --out {place}{jobs}"
    return ""


def _answer(error: Exception) -> tuple[str, int]:
    """The line for an error, and the exit code."""
    if isinstance(error, RandpruneError):
        return str(error), 1 if refused_by_machine(error) else 2
    if isinstance(error, MemoryError):
        return "there is not enough memory; take a smaller model, or fewer processes (--jobs)", 1
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        code = 1 if refused_by_machine(error) else 2
        return f"cannot use {os.fsdecode(error.filename)}: {error.strerror} (--debug shows where)", code
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("randprune_lab"):
        return f"this needs the package {error.name!r}, which is not installed; run {INSTALL_LAB}", 2
    return f"{type(error).__name__}: {error} (--debug shows where)", 1


class _Parser(argparse.ArgumentParser):
    """A parser that answers wrong use in one line, and takes no empty text: an empty path is the working directory."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.register("type", str, _text)
        self.register("type", Path, _path)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and exit."""
        say(f"{message}; {self.prog} --help lists what it takes")
        self.exit(2)


def _text(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def _path(text: str) -> Path:
    try:
        return given_path(text)
    except FileError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands. Options of `run` are made from `RunConfig`."""
    parser = _Parser(
        prog="randprune",
        description="Prune transformers with random masks: draw many masks, evaluate each early, keep the best.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('randprune-lab')}")
    commands = parser.add_subparsers(title="commands", dest="name", required=True, metavar="COMMAND")
    for add in (_run_parser, _scan_parser, _show_parser, _results_parser, _study_parser, _export_parser):
        _add_plugin(add(commands))
    for add in (_tasks_parser, _models_parser, _bench_parser, _report_parser, _exercises_parser, _app_parser):
        add(commands)
    for add in (_share_parser, _gather_parser, _slides_parser, _doctor_parser):
        add(commands)
    return parser


def _command(commands: Any, name: str, run: Callable[[argparse.Namespace], int], help: str) -> argparse.ArgumentParser:
    sub: argparse.ArgumentParser = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
    sub.set_defaults(command=run, plugin=[])
    sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return sub


def _run_parser(commands: Any) -> argparse.ArgumentParser:
    sub = _command(
        commands,
        "run",
        _run,
        "fine-tune a model, then prune it level by level with the best of many random masks; everything is recorded in "
        "a folder",
    )
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="run folder to write")
    used = sub.add_mutually_exclusive_group()
    used.add_argument("--resume", action="store_true", help="continue the run in this folder")
    used.add_argument("--overwrite", action="store_true", help="delete the run in this folder and start again")
    sub.add_argument("--json", action="store_true", help="print the result as one JSON object")
    sub.add_argument(
        "--preset",
        choices=PRESETS,
        help="set of settings to start from; other options change single settings (lesson: a tiny model on generated "
        "text, about a minute; class: the runs of lesson 06 as one, for `randprune share`)",
    )
    _add_executor(sub)
    sub.formatter_class = argparse.RawDescriptionHelpFormatter
    strategies = STRATEGIES.describe("Strategies:", without=(Screened.name,))  # which --screen asks for
    criteria = CRITERIA.describe("Criteria:", without=(Custom.name,))
    allocations = ALLOCATIONS.describe("Allocations:", without=("counts",))  # which are given in Python
    described = {
        MASKS: "\n\n".join([RULES.describe("Mask rules:"), criteria, allocations]),
        EARLY: strategies,
        TRAINING: "All trainings use AdamW with linear warm-up and decay.",
        DISTILLATION: "A pruned model learns from the dense one: its loss is the weighted sum of these terms.",
    }
    for group in GROUPS:
        _add_fields(sub.add_argument_group(group, described.get(group)), settings_of_group(group))
    return sub


def _scan_parser(commands: Any) -> argparse.ArgumentParser:
    sub = _command(
        commands,
        "scan",
        _scan,
        "prune one matrix at a time, and write how far the predictions move from those of the dense model, or how much "
        "the loss rises, as a table and a figure",
    )
    sub.add_argument(
        "--out", type=Path, required=True, metavar="FILE.csv", help="table to write or complete; its figure is FILE.png"
    )
    sub.add_argument(
        "--run", type=Path, metavar="RUN", help="folder of a run whose dense model is scanned, instead of training one"
    )
    sub.add_argument(
        "--sparsities",
        type=float,
        nargs="+",
        metavar="X",
        help="sparsities to try (default: 0.5 0.7 0.8 0.9 0.95 0.99)",
    )
    sub.add_argument(
        "--examples", type=int, default=256, metavar="N", help="number of validation examples (default: 256)"
    )
    sub.add_argument(
        "--measure",
        choices=("divergence", "loss"),
        default="divergence",
        help="what is measured: divergence (of the predictions from those of the dense model), or loss (of the labels) "
        "(default: divergence)",
    )
    sub.add_argument("--preset", choices=PRESETS, help="set of settings to start from, as of `randprune run`")
    used = {*DENSE_SETTINGS, *SCORE_SETTINGS, "score_batches"}
    for group in GROUPS:
        if names := [name for name in settings_of_group(group) if name in used]:
            _add_fields(sub.add_argument_group(group), names)
    return sub


def _show_parser(commands: Any) -> argparse.ArgumentParser:
    sub = _command(commands, "show", _show, "print the candidates, masks and scores of a run")
    sub.add_argument("run", type=Path, metavar="RUN", help="run folder")
    sub.add_argument("--json", action="store_true", help="print one JSON object")
    return sub


def _results_parser(commands: Any) -> argparse.ArgumentParser:
    sub = _command(
        commands,
        "results",
        _results,
        "write one table of the scores of several runs, and the differences of each from its own IMP",
    )
    sub.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders")
    sub.add_argument("--out", type=Path, required=True, metavar="FILE", help="CSV file to write")
    return sub


def _study_parser(commands: Any) -> argparse.ArgumentParser:
    sub = _command(commands, "study", _study, "compare methods over tasks and seeds: many runs in one folder")
    sub.add_argument(
        "config", type=str, metavar="CONFIG", help=f"YAML file, or a built-in study: {', '.join(built_in_studies())}"
    )
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="study folder to write")
    what = sub.add_mutually_exclusive_group()
    what.add_argument(
        "--resume", action="store_true", help="continue the study in this folder, also beside other processes"
    )
    what.add_argument("--status", action="store_true", help="print how far the study is, and write finished results")
    what.add_argument(
        "--verify",
        action="store_true",
        help="check the saved winners independently: count their zeros, and score them with transformers alone",
    )
    sub.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="number of processes on this machine (default: 1)"
    )
    sub.add_argument(
        "--record",
        type=Path,
        metavar="DIR",
        help="add finished results to small files without texts or weights; what they have is not computed again",
    )
    _add_fields(sub, ["glue_dir"])
    _add_executor(sub)
    return sub


def _export_parser(commands: Any) -> argparse.ArgumentParser:
    sub = _command(
        commands, "export", _export, "write the pruned model of a run, with a model card, to share or deploy"
    )
    sub.add_argument("run", type=Path, metavar="RUN", help="folder of a finished run")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder to write")
    sub.add_argument(
        "--format",
        choices=("dense", "sparse"),
        default="dense",
        help="dense: a model that transformers loads; sparse: a small file that rp.load_sparse reads (default: dense)",
    )
    return sub


def _tasks_parser(commands: Any) -> argparse.ArgumentParser:
    sub = _command(commands, "tasks", _tasks, "list the tasks and where their data come from, or describe custom data")
    _add_fields(sub, ["glue_dir", *CUSTOM_DATA])
    sub.add_argument("--json", action="store_true", help="print JSON")
    return sub


def _models_parser(commands: Any) -> argparse.ArgumentParser:
    sub = _command(commands, "models", _models, "list the built-in models, or describe any hub or local model")
    sub.add_argument("names", type=str, nargs="*", metavar="NAME", help="built-in model, hub id or local folder")
    sub.add_argument("--weights", action="store_true", help="show which weights are pruned, which stay dense, and why")
    sub.add_argument("--json", action="store_true", help="print JSON")
    return sub


def _bench_parser(commands: Any) -> argparse.ArgumentParser:
    sub = _command(commands, "bench", _bench, "measure the speed of the package, or repeat its experiments")
    benches = sub.add_subparsers(title="what to measure", dest="what", required=True, metavar="WHAT")
    bench = benches.add_parser("masks", help="speed of drawing masks, compared with other ways to do it")
    bench.add_argument(
        "--shapes", type=str, default="bert-base", help="bert-base, gpt2 or 'one 4096x11008' (default: bert-base)"
    )
    bench.add_argument(
        "--sparsity",
        type=float,
        nargs="+",
        default=(0.54, 0.9375, 0.99),
        metavar="X",
        help="sparsities to measure (default: 0.54 0.9375 0.99)",
    )
    bench.add_argument("--device", type=str, default="cpu", help="where the weights are, such as cuda (default: cpu)")
    benches.add_parser("limit", help="error of the closed forms in small groups of weights")
    bench = benches.add_parser("tasks", help="scores on mini-GLUE, dense and pruned (many minutes)")
    bench.add_argument("--task", type=str, nargs="*", default=(), metavar="NAME", help="tasks (default: all)")
    bench = benches.add_parser("early", help="quality and cost of the early-evaluation strategies (some hours)")
    bench.add_argument("--task", type=str, nargs="*", default=(), metavar="NAME", help="tasks (default: three of them)")
    bench.add_argument("--out", type=Path, metavar="DIR", help="folder of the trained pools (default: bench-early)")
    bench = benches.add_parser(
        "reporting",
        help="how much too good a result is by how it was reported, on pools of candidates of GLUE tasks (many hours; "
        "a pool is written when it is finished, and the same command continues)",
    )
    bench.add_argument("--task", type=str, nargs="*", default=(), metavar="NAME", help="tasks (default: qnli mnli qqp)")
    bench.add_argument("--out", type=Path, metavar="DIR", help="folder of the records (default: bench-reporting)")
    _add_fields(bench, ["glue_dir"])
    bench = benches.add_parser(
        "train",
        help="time of a training step, with a mask and compared with transformers.Trainer; on a GPU if there is one",
    )
    bench.add_argument("--model", type=str, default="minilm", help="model, or a folder of one (default: minilm)")
    bench.add_argument("--layers", type=int, default=3, metavar="N", help="number of its layers (default: 3)")
    bench.add_argument(
        "--task", type=str, default="rotten_tomatoes", help="task of the batches (default: rotten_tomatoes)"
    )
    bench.add_argument("--steps", type=int, default=20, metavar="N", help="steps of each measurement (default: 20)")
    benches.add_parser("speed", help="time and memory of models with the kept weights alone, compared with other ways")
    for bench in benches.choices.values():
        bench.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to this file as well")
    return sub


def _report_parser(commands: Any) -> argparse.ArgumentParser:
    sub = _command(commands, "report", _report, "run the notebooks and write an HTML report")
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


def _exercises_parser(commands: Any) -> argparse.ArgumentParser:
    sub = _command(commands, "exercises", _exercises, "hand out the exercises, collect and grade them, and give back")
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


def _app_parser(commands: Any) -> argparse.ArgumentParser:
    sub = _command(commands, "app", _app, "write a page of explorers: masks, recorded results and your own runs")
    sub.add_argument("runs", type=Path, nargs="*", metavar="RUN", help="run folders, or folders of them, to show")
    sub.add_argument("--out", type=Path, required=True, metavar="FILE.html", help="page to write; it needs no network")
    return sub


def _share_parser(commands: Any) -> argparse.ArgumentParser:
    sub = _command(
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
    sub = _command(
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


def _slides_parser(commands: Any) -> argparse.ArgumentParser:
    sub = _command(
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


# --- commands ---


def _run(options: argparse.Namespace) -> int:
    from randprune_lab.analysis.run_record import RunRecord
    from randprune_lab.search.executors import make_executor
    from randprune_lab.search.folder import read_config
    from randprune_lab.search.run import run

    given = _given(options)
    stored = options.resume and ((options.out / "config.json").is_file() or not given)
    if options.preset:
        given = PRESETS[options.preset] | given
    config = dataclasses.replace(read_config(options.out) if stored else RunConfig(), **given)
    with make_executor(options.executor, address=options.address, workers=options.workers) as executor:
        path = run(
            config,
            options.out,
            resume=options.resume,
            overwrite=options.overwrite,
            executor=executor,
        )
    return _print_run(RunRecord.load(path), options.json)


def _scan(options: argparse.Namespace) -> int:
    from randprune_lab.search.scan import scan

    if options.out.suffix not in (".csv", ".png"):
        raise ConfigError(f"--out must be a file that ends in .csv, got {options.out.name!r}")
    given = _given(options)
    if options.run is not None and (given or options.preset):
        raise ConfigError("--run and settings of a run exclude each other; leave one of them out")
    if options.preset:
        given = PRESETS[options.preset] | given
    chosen: dict[str, Any] = {"sparsities": options.sparsities} if options.sparsities else {}
    table_file, picture_file = (options.out.with_suffix(suffix) for suffix in (".csv", ".png"))
    chosen |= {"measure": options.measure, "examples": options.examples}
    table = scan(options.run or RunConfig(**given), file=table_file, **chosen)
    print(f"{len(table)} rows: {table_file}")
    try:
        from randprune_lab.viz import figures
        from randprune_lab.viz.style import png
    except ModuleNotFoundError as error:
        print(f"no figure, because the package {error.name!r} is not installed; for figures, run {INSTALL_LAB}")
        return 0
    with atomic_path(picture_file) as temporary:
        temporary.write_bytes(png(figures.sensitivity(table, options.measure)))
    print(f"figure: {picture_file}")
    return 0


def _show(options: argparse.Namespace) -> int:
    from randprune_lab.analysis.run_record import RunRecord

    return _print_run(RunRecord.load(options.run), options.json)


def _results(options: argparse.Namespace) -> int:
    from randprune_lab.analysis.recorded import write_table
    from randprune_lab.analysis.results import results_table
    from randprune_lab.analysis.run_record import RunRecord

    table = results_table([RunRecord.load(run) for run in options.runs])
    texts = [name for name in table if all(isinstance(cell, str) for cell in table[name])]
    write_table(options.out, table.assign(**{name: table[name].map(printable) for name in texts}))
    print(f"{len(table)} rows: {options.out}")
    return 0


def _study(options: argparse.Namespace) -> int:
    from randprune_lab.search.executors import make_executor
    from randprune_lab.study import (
        Grid,
        StudyConfig,
        describe_status,
        record_study,
        recorded_units,
        run_study,
        verify_winners,
        write_results,
    )

    if options.verify:
        print(verify_winners(Grid.load(options.out)).to_string(index=False))
        return 0
    failed: list[Any] = []
    if not options.status:
        config, alone = StudyConfig.load(options.config, **_given(options)), options.executor == EXECUTORS[0]
        with make_executor(options.executor, address=options.address, workers=options.workers) as executor:
            failed = run_study(
                config,
                options.out,
                resume=options.resume,
                jobs=options.jobs,
                executor=None if alone else executor,
                recorded=options.record,
            )
    grid = Grid.load(options.out, recorded=recorded_units(options.record) if options.record else frozenset())
    print(describe_status(grid))
    if grid.has_results:
        written = write_results(grid) + (record_study(grid, options.record) if options.record else [])
        print("\n".join(map(str, written)))
    return 1 if failed else 0


def _export(options: argparse.Namespace) -> int:
    from randprune_lab.export import export_run

    print(export_run(options.run, options.out, options.format))
    return 0


def _tasks(options: argparse.Namespace) -> int:
    from randprune_lab.tasks import task_rows

    config = RunConfig(**_given(options))
    return _print_rows(task_rows(config.glue_dir, custom=config.custom_data), options.json)


def _models(options: argparse.Namespace) -> int:
    from randprune_lab.masks.choice import Scope, ScopeRow
    from randprune_lab.models.load import model_rows

    rows = model_rows(options.names)
    tables = [row["weights"] if options.weights else row.pop("weights") for row in rows]
    if options.json:
        return _print_rows(rows, as_json=True)
    for row, table in zip(rows, tables, strict=True):
        _print_rows([{key: value for key, value in row.items() if key != "weights"}], as_json=False)
        if options.weights and table:
            print(*map(printable, str(Scope(ScopeRow(**part) for part in table)).splitlines()), sep="\n")
    return 0


def _bench(options: argparse.Namespace) -> int:
    from importlib import import_module

    from randprune_lab.files import write_json

    bench: Any = import_module(f"randprune_lab.bench.{options.what}")
    arguments = {
        "masks": ("shapes", "sparsity", "device"),
        "tasks": ("task",),
        "early": ("task", "out"),
        "reporting": ("task", "out", "glue_dir"),
        "train": ("model", "layers", "task", "steps"),
    }.get(options.what, ())
    rows = getattr(bench, f"bench_{options.what}")(*(getattr(options, name, None) for name in arguments))
    print(bench.describe(rows))
    if options.json:
        write_json(options.json, rows)
    return 0


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


def _app(options: argparse.Namespace) -> int:
    from randprune_lab.app import write_app

    page = write_app(options.runs, options.out)
    for part in page.parts:
        if not part.cases:
            say(part.about)
    print(f"{page.pictures} pictures, {options.out.stat().st_size / 1e6:.1f} MB: {options.out}")
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


# --- printing ---


def _print_run(record: Any, as_json: bool) -> int:
    from randprune_lab.analysis.text import describe_run

    print(json.dumps(record.summary(), indent=2) if as_json else describe_run(record))
    return 0


def _print_rows(rows: list[dict[str, Any]], as_json: bool) -> int:
    if as_json:
        print(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        print(printable(row["name"]))
        for key, value in row.items():
            if key != "name" and value not in (None, {}):
                print(f"  {key.replace('_', ' '):<12} {printable(_plain(value))}")
    return 0


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        parts = {key: f"({_plain(item)})" if isinstance(item, dict) else _plain(item) for key, item in value.items()}
        return ", ".join(f"{key} {part}" for key, part in parts.items())
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


# --- options ---


def _add_plugin(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--plugin",
        type=Path,
        action="append",
        default=[],
        metavar="FILE.py",
        help="Python file that defines mask rules (classes that derive from rp.Rule), criteria (rp.Criterion), "
        "allocations (rp.Allocation) or strategies of your own; it is run, and recorded with its hash; repeatable",
    )


def _add_executor(parser: argparse.ArgumentParser) -> None:
    where = parser.add_argument_group("Machines", "Where candidates are evaluated; equal machines give equal results.")
    where.add_argument(
        "--executor",
        choices=EXECUTORS,
        default="in-process",
        help="in this process, or on Dask workers (default: in-process)",
    )
    where.add_argument(
        "--address",
        type=str,
        metavar="tcp://HOST:PORT",
        help="Dask scheduler to use (default: start workers on this machine)",
    )
    where.add_argument("--workers", type=int, metavar="N", help="number of Dask workers to start on this machine")


def _add_fields(parser: argparse._ActionsContainer, names: Sequence[str]) -> None:
    """One option for each setting. An option that is not given leaves no trace: defaults stay in one place."""
    hints = typing.get_type_hints(RunConfig)
    for setting in SETTINGS:
        if setting.name not in names:
            continue
        default = default_of(setting)
        text = "none" if default in (None, (), {}) else _plain(default)
        shown = "" if "without it" in setting.metadata["help"] else f" (default: {text})"
        parser.add_argument(
            f"--{setting.name.replace('_', '-')}",
            default=argparse.SUPPRESS,
            help=f"{setting.metadata['help']}{shown}".replace("%", "%%"),
            **_value_options(hints[setting.name]),
        )


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given, by name."""
    return {each.name: getattr(options, each.name) for each in SETTINGS if hasattr(options, each.name)}


def _value_options(hint: Any) -> dict[str, Any]:
    """How argparse reads a value of this type: `int | None`, `tuple[float, ...]`, `Literal[...]` or a plain type."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is bool:
        return {"action": argparse.BooleanOptionalAction}
    if origin is typing.Literal:
        return {"choices": arguments}
    if origin is tuple:
        return {**_value_options(arguments[0]), "nargs": "*", "action": _Tuple}
    if origin is Mapping:
        return {"nargs": "*", "action": _Settings, "metavar": "NAME=VALUE"}
    kind = next(kind for kind in arguments if kind is not type(None)) if origin is types.UnionType else hint
    return {"type": kind, "metavar": {int: "N", float: "X", str: "NAME"}[kind]}


class _Tuple(argparse.Action):
    """Stores several values as a tuple, as the frozen configuration has them."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        setattr(namespace, self.dest, tuple(values))


class _Settings(argparse.Action):
    """Stores `power=3 ratio=1e-4,3e-4` as a dict; several values, with commas between them, as a tuple."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        settings = {}
        for each in values:
            name, equals, text = each.partition("=")
            if not name or not equals:
                parser.error(f"argument {option_string}: must be NAME=VALUE, got {each!r}")
            parts = [_number(part) for part in text.split(",")]
            settings[name] = parts[0] if len(parts) == 1 else tuple(parts)
        setattr(namespace, self.dest, settings)


def _number(text: str) -> Any:
    """The number or truth value that a text is, or the text itself."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def _quiet_libraries() -> None:
    """A command's output is its own: no library chatter, no progress bars of downloads."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")


if __name__ == "__main__":
    sys.exit(main())
