"""Processes that begin with the libraries imported, and know nothing of what a test has loaded or changed."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

IMPORTED = (
    "randprune_lab.cli",
    "randprune_lab.models.mean_pooled_bert",
    "randprune_lab.study",
    *("accelerate", "datasets", "sklearn", "torch._dynamo", "torch.distributed.tensor", "torch.onnx"),
    *("transformers.models.auto.modeling_auto", "transformers.models.bert.modeling_bert"),
)
"""All that a search imports sooner or later, for two seconds. A process is forked from one that has it."""

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([*IMPORTED])


def forked(function: Callable[..., object], *arguments: object) -> int | None:
    """Call a function in such a process; returns the exit code of the process."""
    process = CONTEXT.Process(target=function, args=arguments)
    process.start()
    process.join()
    return process.exitcode


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `randprune` with these arguments in such a process."""
    with tempfile.TemporaryDirectory() as folder:
        code = forked(_command, [*map(str, arguments)], folder)
        out, err = (Path(folder, name).read_text("utf-8") for name in ("1", "2"))
    assert code is not None
    return subprocess.CompletedProcess(arguments, code, out, err)


def _command(arguments: list[str], folder: str) -> None:
    import torch

    from randprune_lab.cli import main

    for stream in (1, 2):
        os.dup2(os.open(Path(folder, str(stream)), os.O_WRONLY | os.O_CREAT), stream)
    torch.set_num_threads(1)
    sys.exit(main(arguments))
