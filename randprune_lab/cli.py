"""The command line, `randprune ...`. Exit codes: 0 done, 1 failed, 2 wrong use."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import shlex
import sys
import types
import typing
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from randprune_lab.errors import RandpruneError
from randprune_lab.search.config import EXECUTORS, OWN_DATA, PRESETS, RunConfig


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit code."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    _quiet_libraries()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("randprune_lab").setLevel(logging.INFO)
    try:
        return options.command(options)
    except KeyboardInterrupt:
        recorded = options.name == "run" and (options.out / "config.json").is_file()
        again = f"; go on with: randprune run --resume --out {shlex.quote(str(options.out))}" if recorded else ""
        print(f"randprune: stopped{again}", file=sys.stderr)
        return 1
    except Exception as error:
        if options.debug:
            raise
        wrong_use = isinstance(error, RandpruneError)
        what = str(error) if wrong_use else f"{type(error).__name__}: {error} (--debug shows where)"
        print(f"randprune: {' '.join(what.splitlines())}", file=sys.stderr)
        return 2 if wrong_use else 1


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands. Options of `run` are made from `RunConfig`."""
    parser = argparse.ArgumentParser(prog="randprune", description="Randomized pruning masks: draw, judge, keep.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('randprune-lab')}")
    commands = parser.add_subparsers(title="commands", dest="name", required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], int], help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        sub.set_defaults(command=command)
        sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
        return sub

    sub = add("run", _run, "do a whole search and record it in a folder")
    sub.add_argument("--out", type=Path, required=True, help="the run folder to write")
    used = sub.add_mutually_exclusive_group()
    used.add_argument("--resume", action="store_true", help="go on with the run in this folder")
    used.add_argument("--overwrite", action="store_true", help="replace the run in this folder")
    sub.add_argument("--json", action="store_true", help="print the result as one JSON object")
    sub.add_argument(
        "--preset", choices=PRESETS, help="begin with the settings of a preset; options change single ones of them"
    )
    _add_executor(sub)
    _add_fields(sub.add_argument_group("what decides the result"))

    sub = add("show", _show, "print what a run found")
    sub.add_argument("run", type=Path, metavar="RUN", help="a run folder")
    sub.add_argument("--json", action="store_true", help="print it as one JSON object")

    sub = add("results", _results, "put finished runs into one table of scores and differences to IMP")
    sub.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders")
    sub.add_argument("--out", type=Path, required=True, metavar="FILE", help="the table to write, as CSV")

    sub = add("study", _study, "compare methods over tasks and seeds: a grid of runs in a folder")
    sub.add_argument(
        "config",
        metavar="CONFIG",
        help="a YAML file, or a study that ships: laptop, laptop-gain, laptop-small, laptop-tuning, paper",
    )
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder of the study")
    what = sub.add_mutually_exclusive_group()
    what.add_argument(
        "--resume", action="store_true", help="go on with the study in this folder, or help others with it"
    )
    what.add_argument("--status", action="store_true", help="say how far it has come, and write what is finished")
    what.add_argument(
        "--verify",
        action="store_true",
        help="count the zeros of every saved winner, and score it in plain transformers",
    )
    sub.add_argument("--jobs", type=int, default=1, metavar="N", help="processes that work on it here (default: 1)")
    sub.add_argument(
        "--record",
        type=Path,
        metavar="DIR",
        help="add what is finished to small files, no texts, no weights; what they have already is not done again",
    )
    _add_fields(sub, only=("glue_dir",))
    _add_executor(sub)

    sub = add("export", _export, "write the winner of a run as a folder to hand on, with a model card")
    sub.add_argument("run", type=Path, metavar="RUN", help="the folder of a finished run")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="the new folder to write")
    sub.add_argument(
        "--format",
        choices=("dense", "sparse"),
        default="dense",
        help="dense: for every reader of transformers; sparse: a small file that rl.load_sparse reads (default: dense)",
    )

    sub = add("tasks", _tasks, "list the tasks, or describe data of one's own")
    _add_fields(sub, only=("glue_dir", *OWN_DATA))
    sub.add_argument("--json", action="store_true", help="print them as JSON")

    sub = add("models", _models, "list the models that have a name of their own, or describe others")
    sub.add_argument("names", nargs="*", metavar="NAME", help="a model's name, a hub id or a local folder")
    sub.add_argument("--json", action="store_true", help="print them as JSON")

    sub = add("bench", _bench, "measure the package itself")
    benches = sub.add_subparsers(title="what to measure", dest="what", required=True, metavar="WHAT")
    bench = benches.add_parser("masks", help="how fast candidates are drawn, against what one would otherwise use")
    bench.add_argument("--shapes", default="bert-base", help="bert-base, gpt2 or 'one 4096x11008' (default: bert-base)")
    benches.add_parser("limit", help="how far off the closed forms are in small groups")
    bench = benches.add_parser("tasks", help="how well mini-GLUE is learned and pruned (many minutes)")
    bench.add_argument("--task", nargs="*", default=(), metavar="NAME", help="only these")
    bench = benches.add_parser("early", help="which strategy finds the better mask for how many steps (some hours)")
    bench.add_argument("--task", nargs="*", default=(), metavar="NAME", help="only these")
    bench.add_argument("--out", type=Path, metavar="DIR", help="the folder of the pools (default: bench-early)")
    benches.add_parser("train", help="what a training step costs, with a mask and against transformers.Trainer")
    for bench in benches.choices.values():
        bench.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")

    sub = add("report", _report, "execute the notebooks and write an HTML report")
    sub.add_argument("--profile", default="classroom", help="smoke, classroom or study (default: classroom)")
    sub.add_argument("--out", type=Path, help="the folder to write (default: reports/PROFILE)")
    sub.add_argument("--notebooks", type=Path, default=Path("notebooks"), help="where the notebooks are")
    sub.add_argument("--overwrite", action="store_true", help="write into a folder that holds other things too")
    sub.add_argument("--only", help="only notebooks whose name begins so")
    sub.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the notebooks")
    sub.add_argument("--jobs", type=int, metavar="N", help="notebooks at a time (default: as cores and memory allow)")
    held = sub.add_argument_group("key figures, against those of former runs").add_mutually_exclusive_group()
    held.add_argument(
        "--check", action="store_const", const="compare", help="fail if one is not what is expected of it"
    )
    held.add_argument(
        "--update", dest="check", action="store_const", const="update", help="expect from now on what this run finds"
    )
    sub.add_argument(
        "--expected", type=Path, metavar="FOLDER", help="where they are (default: data/expected beside the notebooks)"
    )

    sub = add("exercises", _exercises, "hand out the course's exercises, and grade what comes back")
    actions = sub.add_subparsers(title="what to do", dest="action", required=True, metavar="ACTION")
    actions.add_parser("student", help="write the copies for students, without solutions")
    actions.add_parser("instructor", help="write the copies for instructors, with solutions folded away")
    for action in actions.choices.values():
        action.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to write")
        action.add_argument("--overwrite", action="store_true", help="replace copies that exist, answers and all")
    action = actions.add_parser("grade", help="run what students handed in with the checks of the sources")
    action.add_argument("folder", type=Path, metavar="FOLDER", help="one subfolder for each student")
    action.add_argument("--out", type=Path, required=True, metavar="FILE", help="the table to write, as CSV")
    action.add_argument("--seconds", type=float, default=120, metavar="X", help="for one cell (default: 120)")
    for action in actions.choices.values():
        action.add_argument("--only", metavar="NAME", help="only notebooks whose name begins so")
        action.add_argument(
            "--sources", type=Path, default=Path("notebooks/exercises"), metavar="DIR", help="where the exercises are"
        )
    return parser


# --- commands ---


def _run(options: argparse.Namespace) -> int:
    from randprune_lab.analysis.record import RunRecord
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
            progress=sys.stderr.isatty(),
            executor=executor,
        )
    return _print_run(RunRecord.load(path), options.json)


def _show(options: argparse.Namespace) -> int:
    from randprune_lab.analysis.record import RunRecord

    return _print_run(RunRecord.load(options.run), options.json)


def _results(options: argparse.Namespace) -> int:
    from randprune_lab.analysis.record import RunRecord
    from randprune_lab.analysis.results import results_table
    from randprune_lab.files import atomic_path

    table = results_table([RunRecord.load(run) for run in options.runs])
    with atomic_path(options.out) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6f")
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
    return _print_rows(task_rows(config.glue_dir, own=config.own_data), options.json)


def _models(options: argparse.Namespace) -> int:
    from randprune_lab.models import model_rows

    return _print_rows(model_rows(options.names), options.json)


def _bench(options: argparse.Namespace) -> int:
    from importlib import import_module

    from randprune_lab.files import write_json

    bench: Any = import_module(f"randprune_lab.bench.{options.what}")
    arguments = {"masks": ("shapes",), "tasks": ("task",), "early": ("task", "out")}.get(options.what, ())
    rows = getattr(bench, f"bench_{options.what}")(*(getattr(options, name) for name in arguments))
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

    if options.action == "grade":
        return _grade(options)
    paths = write_copies(options.action, options.out, options.sources, only=options.only, overwrite=options.overwrite)
    print("\n".join(map(str, paths)))
    return 0


def _grade(options: argparse.Namespace) -> int:
    from randprune_lab.exercises import grade, write_grades

    grades = []
    for rows in grade(options.folder, options.sources, only=options.only, seconds=options.seconds):
        points, out_of = sum(row.points for row in rows), sum(row.out_of for row in rows)
        print(f"{rows[0].student}  {rows[0].notebook}  {points:g} of {out_of:g}", flush=True)
        grades += rows
        write_grades(options.out, grades)  # after each, so that a long grading that is stopped leaves what it has
    print(f"grades: {options.out}")
    return 0


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
        print(row["name"])
        for key, value in row.items():
            if key != "name" and value not in (None, {}):
                print(f"  {key.replace('_', ' '):<12} {_plain(value)}")
    return 0


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        parts = {key: f"({_plain(item)})" if isinstance(item, dict) else _plain(item) for key, item in value.items()}
        return ", ".join(f"{key} {part}" for key, part in parts.items())
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) else str(value)


# --- options ---


def _add_executor(parser: argparse.ArgumentParser) -> None:
    where = parser.add_argument_group("where candidates are evaluated, which decides nothing but the time")
    where.add_argument("--executor", choices=EXECUTORS, default="in-process", help="(default: in-process)")
    where.add_argument("--address", metavar="tcp://HOST:PORT", help="of a Dask scheduler; without it, on this machine")
    where.add_argument("--workers", type=int, metavar="N", help="Dask processes on this machine (default: as it fits)")


def _add_fields(parser: argparse._ActionsContainer, only: Sequence[str] | None = None) -> None:
    """One option for each setting. An option that is not given leaves no trace: defaults stay in one place."""
    hints = typing.get_type_hints(RunConfig)
    for field in dataclasses.fields(RunConfig):
        if only is not None and field.name not in only:
            continue
        default: Any = field.default
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            default=argparse.SUPPRESS,
            help=f"{field.metadata['help']} (default: {_plain(default)})".replace("%", "%%"),
            **_value_options(hints[field.name]),
        )


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given, by name."""
    names = (field.name for field in dataclasses.fields(RunConfig))
    return {name: getattr(options, name) for name in names if hasattr(options, name)}


def _value_options(hint: Any) -> dict[str, Any]:
    """How argparse reads one value of this type: `int | None`, `tuple[float, ...]`, `Literal[...]` or a plain type."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return {"choices": arguments}
    if origin is tuple:
        return {**_value_options(arguments[0]), "nargs": "*", "action": _Tuple}
    kind = next(kind for kind in arguments if kind is not type(None)) if origin is types.UnionType else hint
    return {"type": kind, "metavar": {int: "N", float: "X", str: "NAME"}[kind]}


class _Tuple(argparse.Action):
    """Stores several values as a tuple, as the frozen configuration wants them."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        setattr(namespace, self.dest, tuple(values))


def _quiet_libraries() -> None:
    """A command's output is its own: no library chatter, no progress bars of downloads."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")


if __name__ == "__main__":
    sys.exit(main())
