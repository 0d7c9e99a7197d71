"""Commands for searches: run, scan, show, results, study, forget, export. They take plugins."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from randprune_lab.commands.options import INSTALL_LAB, add_executor, add_fields, command, given_settings
from randprune_lab.commands.printing import print_run
from randprune_lab.criteria import CRITERIA, Custom
from randprune_lab.errors import ConfigError, check_range
from randprune_lab.files import atomic_path
from randprune_lab.masks.allocations import ALLOCATIONS
from randprune_lab.masks.rules import RULES
from randprune_lab.search.config import (
    DENSE_SETTINGS,
    DISTILLATION,
    EARLY,
    GROUPS,
    MASKS,
    SCORE_SETTINGS,
    TRAINING,
    RunConfig,
    settings_of_group,
    with_preset,
)
from randprune_lab.search.executors import IN_PROCESS
from randprune_lab.search.presets import PRESETS
from randprune_lab.search.strategies import STRATEGIES, Screened
from randprune_lab.study.config import built_in_studies
from randprune_lab.terminal import (
    printable,
)


def _run_parser(commands: Any) -> argparse.ArgumentParser:
    sub = command(
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
        "text, about a minute; class: the runs of lesson 06 as one, for `randprune share`; published: the search of Li "
        "et al.; fisher: no search, one mask of the largest Fisher scores, which was ahead of IMP in `best-shot`)",
    )
    add_executor(sub)
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
        add_fields(sub.add_argument_group(group, described.get(group)), settings_of_group(group))
    return sub


def _scan_parser(commands: Any) -> argparse.ArgumentParser:
    sub = command(
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
            add_fields(sub.add_argument_group(group), names)
    return sub


def _show_parser(commands: Any) -> argparse.ArgumentParser:
    sub = command(commands, "show", _show, "print the candidates, masks and scores of a run")
    sub.add_argument("run", type=Path, metavar="RUN", help="run folder")
    sub.add_argument("--json", action="store_true", help="print one JSON object")
    return sub


def _results_parser(commands: Any) -> argparse.ArgumentParser:
    sub = command(
        commands,
        "results",
        _results,
        "write one table of the scores of several runs, and the differences of each from its own IMP",
    )
    sub.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders")
    sub.add_argument("--out", type=Path, required=True, metavar="FILE", help="CSV file to write")
    return sub


def _study_parser(commands: Any) -> argparse.ArgumentParser:
    sub = command(commands, "study", _study, "compare methods over tasks and seeds: many runs in one folder")
    sub.add_argument(
        "config",
        type=str,
        nargs="?",
        metavar="CONFIG",
        help=f"YAML file, or a built-in study: {', '.join(built_in_studies())}; --status and --verify do without it",
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
    add_fields(sub, ["glue_dir"])
    add_executor(sub)
    return sub


def _forget_parser(commands: Any) -> argparse.ArgumentParser:
    sub = command(
        commands,
        "forget",
        _forget,
        "find the test examples that the pruned models of a study lose, and write a page and a table of them",
    )
    sub.add_argument("study", type=Path, metavar="STUDY", help="folder of a study, or of its record")
    sub.add_argument(
        "--out", type=Path, required=True, metavar="FILE.html", help="page to write; the table is FILE.csv"
    )
    sub.add_argument(
        "--methods", type=str, nargs="+", default=(), metavar="NAME", help="methods to compare (default: all)"
    )
    sub.add_argument(
        "--rate",
        type=float,
        default=0.1,
        metavar="X",
        help="largest expected fraction of chance findings among a task's examples that are consistently lost "
        "(default: 0.1)",
    )
    sub.add_argument(
        "--glue-dir", type=str, metavar="DIR", help="folder with GLUE's TSV files, for the texts of GLUE's tasks"
    )
    return sub


def _export_parser(commands: Any) -> argparse.ArgumentParser:
    sub = command(commands, "export", _export, "write the pruned model of a run, with a model card, to share or deploy")
    sub.add_argument("run", type=Path, metavar="RUN", help="folder of a finished run")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder to write")
    sub.add_argument(
        "--format",
        choices=("dense", "sparse"),
        default="dense",
        help="dense: a model that transformers loads; sparse: a small file that rp.load_sparse reads (default: dense)",
    )
    return sub


def _run(options: argparse.Namespace) -> int:
    from randprune_lab.analysis.run_record import RunRecord
    from randprune_lab.search.executors import make_executor
    from randprune_lab.search.recorded_config import read_config
    from randprune_lab.search.run import run

    given = given_settings(options)
    stored = options.resume and ((options.out / "config.json").is_file() or not given)
    if options.preset:
        given = with_preset(options.preset, given)
    config = dataclasses.replace(read_config(options.out) if stored else RunConfig(), **given)
    machines = {"address": options.address, "workers": options.workers, "threads": config.threads}
    with make_executor(options.executor, **machines) as executor:
        path = run(
            config,
            options.out,
            resume=options.resume,
            overwrite=options.overwrite,
            executor=executor,
        )
    return print_run(RunRecord.load(path), options.json)


def _scan(options: argparse.Namespace) -> int:
    from randprune_lab.probe.sensitivity import checked_sparsities
    from randprune_lab.search.scan import scan

    if options.out.suffix not in (".csv", ".png"):
        raise ConfigError(f"--out must be a file that ends in .csv, got {options.out.name!r}")
    given = given_settings(options)
    if options.run is not None and (given or options.preset):
        raise ConfigError("--run and settings of a run exclude each other; leave one of them out")
    if options.preset:
        given = with_preset(options.preset, given)
    chosen: dict[str, Any] = {}
    if options.sparsities:
        chosen["sparsities"] = checked_sparsities(options.sparsities)  # before the training, which takes minutes
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

    return print_run(RunRecord.load(options.run), options.json)


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
        check_recorded,
        check_same_study,
        describe_status,
        record_study,
        recorded_units,
        run_study,
        verify_winners,
        write_results,
    )

    begun = options.status or options.verify
    if begun:
        _check_without_work(options)
    if options.config is None and not begun:
        raise ConfigError(f"CONFIG is missing; give a YAML file, or one of {', '.join(built_in_studies())}")
    if options.config is not None:
        config = StudyConfig.load(options.config, **given_settings(options))
        if begun:
            check_same_study(Grid.load(options.out), config)
    if options.verify:
        table = verify_winners(Grid.load(options.out))
        print(table.to_string(index=False))
        return 1 if table.finding.any() else 0
    failed: list[Any] = []
    if not begun:
        alone = options.executor == IN_PROCESS
        machines = {"address": options.address, "workers": options.workers, "threads": config.settings.get("threads")}
        with make_executor(options.executor, **machines) as executor:
            failed = run_study(
                config,
                options.out,
                resume=options.resume,
                jobs=options.jobs,
                executor=None if alone else executor,
                recorded=options.record,
            )
    grid = Grid.load(options.out)
    if options.record:
        check_recorded(grid, options.record)
        grid = dataclasses.replace(grid, recorded=recorded_units(options.record))
    print(describe_status(grid))
    if grid.has_results:
        recorded = record_study(grid, options.record) if options.record else []
        written = write_results(grid, options.record)
        print("\n".join(map(str, written + recorded)))
    return 1 if failed else 0


def _check_without_work(options: argparse.Namespace) -> None:
    """Raise `ConfigError` for options that are for work, which --status and --verify do not do."""
    given = {
        "--jobs": options.jobs != 1,
        "--executor": options.executor != IN_PROCESS,
        "--address": options.address is not None,
        "--workers": options.workers is not None,
        "--record": options.verify and options.record is not None,
    }
    if unused := [name for name, used in given.items() if used]:
        raise ConfigError(
            f"{unused[0]} has no effect with {'--verify' if options.verify else '--status'}; leave it out"
        )


def _forget(options: argparse.Namespace) -> int:
    try:
        from randprune_lab.forget import Forgotten, check_out, summary, write_forgotten
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"a page needs the package {error.name!r}, which is not installed; run {INSTALL_LAB}"
        ) from None
    check_out(options.out)
    check_range("--rate", options.rate, low=0, high=1, low_open=True, high_open=True)
    found = Forgotten.find(options.study, methods=options.methods, rate=options.rate, glue_dir=options.glue_dir)
    written = write_forgotten(found, options.out)
    print(printable(summary(found).to_string(index=False), lines=True))
    print("\n".join(map(printable, [*found.left_out, *written])))
    return 0


def _export(options: argparse.Namespace) -> int:
    from randprune_lab.export import export_run

    print(export_run(options.run, options.out, options.format))
    return 0


PARSERS: tuple[Callable[[Any], argparse.ArgumentParser], ...] = (
    _run_parser,
    _scan_parser,
    _show_parser,
    _results_parser,
    _study_parser,
    _forget_parser,
    _export_parser,
)
"""What adds each command."""
