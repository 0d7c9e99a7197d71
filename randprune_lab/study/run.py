"""Does the units of a study: each process takes the next free unit, until none is left."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path

from randprune_lab.errors import ConfigError, LockedError, RandpruneError, WorkerError, check_count
from randprune_lab.files import given_path
from randprune_lab.machine import cores
from randprune_lab.plugins import load_plugin, loaded_plugins
from randprune_lab.progress import CLEAR_LINE, on_terminal
from randprune_lab.search.executors import Executor
from randprune_lab.search.folder import RunFolder
from randprune_lab.search.loaded import Loaded
from randprune_lab.search.main_guard import check_main_guard
from randprune_lab.search.run import run
from randprune_lab.search.units import COMPUTE, file_name, score_unit
from randprune_lab.study.check import check_study
from randprune_lab.study.config import CONTROLS, StudyConfig
from randprune_lab.study.controls import BARE, measure_controls
from randprune_lab.study.grid import Grid, Unit
from randprune_lab.study.recording import check_recorded, recorded_units
from randprune_lab.study.status import TIMES, remaining
from randprune_lab.study.watch import watched
from randprune_lab.terminal import LogFormatter
from randprune_lab.training.compute import Compute

THREADS = "OMP_NUM_THREADS"
WAIT = 5.0
"""Seconds to wait before looking again at units of other processes, when no other unit is left."""

log = logging.getLogger("randprune_lab")


def run_study(
    config: StudyConfig,
    out: str | Path,
    *,
    resume: bool = False,
    jobs: int = 1,
    executor: Executor | None = None,
    recorded: str | Path | None = None,
    progress: bool = True,
) -> list[Unit]:
    """Run a study in the folder `out`.

    A study can be stopped at any moment. With `resume=True` it continues. Any number of processes, also on other
    machines that share the folder, may work on it at the same time. If a unit fails, the others are still done. Before
    the first unit, the data and the models of all units are loaded, so that a wrong setting is found at once.

    Args:
        config: the settings of the study.
        out: the folder of the study.
        resume: continue the study in `out`.
        jobs: the number of processes to start. They divide the cores equally, unless OMP_NUM_THREADS is set.
        executor: evaluates the candidates, see `randprune_lab.run`; only with one job.
        recorded: a folder that `record_study` wrote; the units whose results it has are not done again.
        progress: show one progress bar for the whole study; without a terminal or a notebook, a log message now and
            then.

    Returns:
        The units that failed.

    Raises:
        RunError: if `out` exists and `resume` is not given, or `out` or `recorded` has another study.
        ConfigError: if `jobs` is below 1; if there are several jobs, and an executor, or processes would run the script
            that starts them again.
        WorkerError: if a process of several jobs was killed.
        ConfigError, DataError, FileError: if the data or the model of a unit cannot be found or used.
    """
    check_count("jobs", jobs)
    if jobs > 1 and executor is not None:
        raise ConfigError(f"an executor and {jobs} jobs exclude each other; leave one of them out")
    if jobs > 1:
        check_main_guard(f"run_study with {jobs} jobs")
    out = given_path(out)
    if recorded is not None:
        check_recorded(Grid(config, out), given_path(recorded))
    Grid.check(config, out, resume=resume)
    done = recorded_units(recorded) if recorded is not None else frozenset()
    check_study(Grid(config, out, done))
    grid = replace(Grid.open(config, out, resume=resume), recorded=done)
    if jobs == 1:
        with watched(grid, shown=progress):
            return _work(grid, executor)
    plugins = [plugin.path for plugin in loaded_plugins()]
    settings = plugins, progress and on_terminal()
    with ProcessPoolExecutor(jobs, get_context("spawn"), _begin, initargs=settings) as pool:
        others, processes = set(active_children()), set[BaseProcess]()
        try:
            with _deaf_children(), _threads_of_children(max(1, cores() // jobs)):
                working = [pool.submit(_work, grid) for _ in range(jobs)]
                processes = set(active_children()) - others
            with watched(grid, shown=progress):
                return sorted({unit for future in working for unit in future.result()})
        except BrokenProcessPool as error:
            raise WorkerError(
                "a process of the study ended before its work was done, perhaps because memory ran out; nothing that "
                "was finished is lost: go on with --resume, with fewer --jobs"
            ) from error
        except KeyboardInterrupt:
            for process in processes:
                process.kill()
            raise


@contextlib.contextmanager
def _deaf_children() -> Iterator[None]:
    """Processes that start inside the block never notice Ctrl-C; this process does, when the block ends."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _threads_of_children(number: int) -> Iterator[None]:
    """Processes that start inside the block compute with this number of threads, unless OMP_NUM_THREADS has another."""
    if THREADS in os.environ:
        yield
        return
    os.environ[THREADS] = str(number)
    try:
        yield
    finally:
        del os.environ[THREADS]


def _begin(plugins: list[Path], below_bar: bool) -> None:
    """Set up a process of a study: it exits with its parent, logs like it, and loads its plugins.

    Args:
        below_bar: the parent shows a bar on the terminal: a message replaces it, until the parent draws it again.
    """
    from tqdm import tqdm

    threading.Thread(target=_end_with_parent, daemon=True).start()
    tqdm.set_lock(threading.RLock())  # its own is shared between processes, and outlives one that is killed
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter(CLEAR_LINE if below_bar else ""))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    log.setLevel(logging.INFO)
    for plugin in plugins:
        load_plugin(plugin)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)  # at once, also during a computation: all finished work is in the folder


def _work(grid: Grid, executor: Executor | None = None) -> list[Unit]:
    """Do units of a study until none is left; return those that failed here."""
    failed: set[Unit] = set()
    while (unit := _next(grid, failed)) is not None:
        try:
            _do(grid, unit, executor)
        except LockedError:  # another process took the unit first
            continue
        except RandpruneError as error:
            failed.add(unit)
            log.error("%s failed: %s", unit, error)
        except Exception:  # of a library, or of a plugin
            failed.add(unit)
            log.exception("%s failed; the other units go on", unit)
        else:
            log.info("%s is done; %s", unit, remaining(grid, more=1))
    return sorted(failed)


def _next(grid: Grid, failed: set[Unit]) -> Unit | None:
    """The next unit to do; None if no unit is left. Waits while a unit of another process may become free."""
    while True:
        progress = grid.states()
        states = {unit: entry.state for unit, entry in progress.items()}
        lost = {grid.controls_of(unit) for unit in failed if unit.method == CONTROLS}
        unfinished = [unit for unit, entry in progress.items() if entry.open and grid.controls_of(unit) not in lost]
        ready = [unit for unit in unfinished if unit.method == CONTROLS or states[grid.controls_of(unit)] == "done"]
        for unit in ready:
            if states[unit] != "running" and unit not in failed:
                return unit
        if not any(states[unit] == "running" for unit in unfinished):
            return None
        time.sleep(WAIT)


def _do(grid: Grid, unit: Unit, executor: Executor | None) -> None:
    folder, config = grid.folder(unit), grid.run_config(unit)
    log.info("%s: %s", unit, folder)
    start = time.monotonic()
    before = grid.progress(unit).levels
    run(config, folder, resume=True, progress=False, executor=executor, dense_of=grid.dense_of(unit))
    if unit.method == CONTROLS:
        _controls(grid, unit)
    else:
        levels = grid.progress(unit).levels - before
        line = {"unit": list(unit), "levels": levels, "seconds": round(time.monotonic() - start, 1)}
        with contextlib.suppress(OSError), (grid.path / TIMES).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")  # only an estimate of the remaining time needs it


def _controls(grid: Grid, unit: Unit) -> None:
    config = grid.run_config(unit)
    loaded = Loaded(config)
    with RunFolder.open(grid.folder(unit), config, resume=True) as folder:
        if CONTROLS in folder.units:
            return
        with Compute(**folder.units[COMPUTE]).active():
            scores, logits = measure_controls(loaded)
        folder.save_predictions(file_name(score_unit(BARE)), logits, loaded.tests[""].labels)
        folder.add(CONTROLS, scores)
