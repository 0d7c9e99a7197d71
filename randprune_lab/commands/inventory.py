"""Commands that say what there is and how fast it is: tasks, models, bench."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from randprune_lab.commands.options import add_fields, command, given_settings
from randprune_lab.commands.printing import print_rows
from randprune_lab.search.config import (
    CUSTOM_DATA,
    RunConfig,
)
from randprune_lab.terminal import (
    printable,
)


def _tasks_parser(commands: Any) -> argparse.ArgumentParser:
    sub = command(commands, "tasks", _tasks, "list the tasks and where their data come from, or describe custom data")
    add_fields(sub, ["glue_dir", *CUSTOM_DATA])
    sub.add_argument("--json", action="store_true", help="print JSON")
    return sub


def _models_parser(commands: Any) -> argparse.ArgumentParser:
    sub = command(commands, "models", _models, "list the built-in models, or describe any hub or local model")
    sub.add_argument("names", type=str, nargs="*", metavar="NAME", help="built-in model, hub id or local folder")
    sub.add_argument("--weights", action="store_true", help="show which weights are pruned, which stay dense, and why")
    sub.add_argument("--json", action="store_true", help="print JSON")
    return sub


def _bench_parser(commands: Any) -> argparse.ArgumentParser:
    sub = command(commands, "bench", _bench, "measure the speed of the package, or repeat its experiments")
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
    add_fields(bench, ["glue_dir"])
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


def _tasks(options: argparse.Namespace) -> int:
    from randprune_lab.tasks import task_rows

    config = RunConfig(**given_settings(options))
    return print_rows(task_rows(config.glue_dir, custom=config.custom_data), options.json)


def _models(options: argparse.Namespace) -> int:
    from randprune_lab.masks.choice import Scope, ScopeRow
    from randprune_lab.models.listing import model_rows

    rows = model_rows(options.names)
    tables = [row["weights"] if options.weights else row.pop("weights") for row in rows]
    if options.json:
        return print_rows(rows, as_json=True)
    for row, table in zip(rows, tables, strict=True):
        print_rows([{key: value for key, value in row.items() if key != "weights"}], as_json=False)
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


PARSERS: tuple[Callable[[Any], argparse.ArgumentParser], ...] = (
    _tasks_parser,
    _models_parser,
    _bench_parser,
)
"""What adds each command."""
