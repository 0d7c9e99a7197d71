"""Executors evaluate candidates, in this process or on a Dask cluster. The results are the same bits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from randprune_lab.errors import ConfigError, RunError, WorkerError
from randprune_lab.machine import cores
from randprune_lab.plugins import loaded_plugins
from randprune_lab.progress import Advance, ignore
from randprune_lab.search.base_level import BaseLevel
from randprune_lab.search.main_guard import check_main_guard
from randprune_lab.search.selection import Evaluation

if TYPE_CHECKING:
    from dask.distributed import Client, Future

IN_PROCESS = "in-process"
EXECUTORS = (IN_PROCESS, "dask")


class Job(NamedTuple):
    """Train a candidate until it has had `steps` training steps."""

    candidate: int
    steps: int


class Executor(AbstractContextManager["Executor"]):
    """Evaluates candidates of a level. The states that it remembers only save work: it may forget them at any time."""

    def evaluate(self, level: BaseLevel, jobs: Sequence[Job], advance: Advance = ignore) -> Iterator[Evaluation]:
        """Evaluate candidates, and yield each result when it is ready, in any order.

        Args:
            level: the level.
            jobs: the candidates, and how far to train them.
            advance: is told of the steps that were done, while they are done or when a result is ready.

        Raises:
            WorkerError: if the workers are lost. The results that were yielded before are valid.
        """
        raise NotImplementedError

    def __exit__(self, *error: object) -> None:
        """Forget all states."""


class InProcess(Executor):
    """Evaluates one candidate after the other, in this process."""

    def __init__(self) -> None:
        self._level: BaseLevel | None = None
        self._states: dict[int, Any] = {}

    def __exit__(self, *error: object) -> None:
        self._level, self._states = None, {}

    def evaluate(self, level: BaseLevel, jobs: Sequence[Job], advance: Advance = ignore) -> Iterator[Evaluation]:
        before = self._states if level is self._level else {}
        self._level, self._states = level, {}
        for candidate, steps in jobs:
            evaluation, state = level.advance(candidate, before.pop(candidate, None), steps, advance)
            if 0 < steps < level.total_steps:
                self._states[candidate] = state
            yield evaluation


class OnDask(Executor):
    """Evaluates candidates on a Dask cluster. Each worker gets a level once; a job is only a few numbers.

    A level is sent as bytes, because Dask may send it on from a worker that is training its model.

    The state of a stopped training stays on the worker that did it. When a worker is lost, Dask repeats only the work
    that was lost with it.

    Args:
        address: the address of a scheduler, such as `tcp://10.0.0.1:8786`; without it, a cluster of processes is
            started on this machine.
        workers: the number of processes of that cluster; by default, the number of cores divided by `threads`. They
            share one GPU. To use several GPUs, start one worker with each, and give the scheduler's address.
        timeout: the number of seconds to wait for the scheduler.
        threads: the number of PyTorch threads that a search computes with; by default, that of this process.

    Raises:
        ConfigError: if dask.distributed is not installed, or processes would run the script that starts them again.
        RunError: if no scheduler answers at the address.
    """

    def __init__(
        self,
        address: str | None = None,
        workers: int | None = None,
        timeout: float = 20.0,
        threads: int | None = None,
    ):
        try:
            from dask.distributed import Client, LocalCluster
        except ImportError:
            raise ConfigError(
                "the executor 'dask' needs dask.distributed; run pip install 'randprune-lab[dask]'"
            ) from None
        self._cluster: Any = None
        if address is None:
            check_main_guard("OnDask")
            self._cluster = LocalCluster(
                n_workers=workers or max(1, cores() // (threads or torch.get_num_threads())),
                threads_per_worker=1,
                dashboard_address=None,
            )
        try:
            self.client: Client = Client(self._cluster or address, timeout=timeout, set_as_default=False)
        except (OSError, ValueError) as error:
            raise RunError(
                f"no Dask scheduler answers at {address} ({error}); start one with `dask scheduler`, "
                "or leave --address out to use workers on this machine"
            ) from error
        for plugin in loaded_plugins():
            self.client.upload_file(str(plugin.path))  # also to workers that join later
        self._level: BaseLevel | None = None
        self._sent: Future | None = None
        self._states: dict[int, Future] = {}
        self._counted: dict[int, int] = {}  # the steps of these trainings that `advance` was told of

    def __exit__(self, *error: object) -> None:
        self._states.clear()
        self._sent = None
        self.client.close()
        if self._cluster is not None:
            self._cluster.close()

    def evaluate(self, level: BaseLevel, jobs: Sequence[Job], advance: Advance = ignore) -> Iterator[Evaluation]:
        from dask.distributed import as_completed
        from distributed.protocol.pickle import dumps

        try:
            if level is not self._level:
                self._level, self._states, self._counted = level, {}, {}
                self._sent = self.client.scatter(dumps(level), broadcast=True, hash=False)
            before, self._states = self._states, {}
            counted, self._counted = self._counted, {}
            each = level.evaluation_cost
            futures = [self._submit(job, before.get(job.candidate)) for job in jobs]
            for future in as_completed(futures, loop=self.client.loop):
                evaluation = future.result()
                future.release()  # so that the result is not computed again if its worker is lost
                steps = evaluation.steps + len(evaluation.at) * each
                advance(steps - counted.get(evaluation.candidate, 0))
                if evaluation.steps:
                    self._counted[evaluation.candidate] = steps
                yield evaluation
        except _lost() as error:
            remedy = "start it again, then" if self._cluster is None else "with fewer --workers,"
            raise WorkerError(
                f"the Dask cluster was lost ({type(error).__name__}), perhaps because memory ran out; nothing that was "
                f"finished is lost: {remedy} go on with --resume"
            ) from error

    def _submit(self, job: Job, state: Future | None) -> Future:
        assert self._level is not None, "evaluate() sends the level first"
        work = (self._sent, job.candidate, state, job.steps)
        if not 0 < job.steps < self._level.total_steps:
            return self.client.submit(_finish, *work, pure=False)
        done = self.client.submit(_advance, *work, pure=False)
        self._states[job.candidate] = self.client.submit(_second, done, pure=False)
        return self.client.submit(_first, done, pure=False)


def make_executor(
    name: str, *, address: str | None = None, workers: int | None = None, threads: int | None = None
) -> Executor:
    """The executor of a name.

    Args:
        name: "in-process" or "dask", as on the command line.
        address, workers, threads: see `OnDask`.

    Raises:
        ConfigError: if the name is unknown, or `address` or `workers` is given without "dask".
    """
    if name == "dask":
        return OnDask(address, workers, threads=threads)
    if name != IN_PROCESS:
        raise ConfigError(f"executor must be one of {', '.join(EXECUTORS)}, got {name!r}")
    if address is not None or workers is not None:
        raise ConfigError("address and workers are settings of the executor 'dask'; choose it, or leave them out")
    return InProcess()


# --- the functions that workers run ---


ALONE = Lock()
"""Held by the job that a worker computes: threads of a process share its model and PyTorch's random numbers."""


def _advance(sent: bytes, candidate: int, state: Any, steps: int) -> tuple[Evaluation, Any]:
    with ALONE:
        level = _received(sent)
        with level.compute.active():
            return level.advance(candidate, state, steps)


def _finish(sent: bytes, candidate: int, state: Any, steps: int) -> Evaluation:
    """Return no state, because the candidate is not trained further."""
    return _advance(sent, candidate, state, steps)[0]


@lru_cache(maxsize=1)
def _received(sent: bytes) -> BaseLevel:
    from distributed.protocol.pickle import loads

    return loads(sent)


def _first(pair: tuple[Evaluation, Any]) -> Evaluation:
    return pair[0]


def _second(pair: tuple[Evaluation, Any]) -> Any:
    return pair[1]


def _lost() -> tuple[type[BaseException], ...]:
    from concurrent.futures import CancelledError

    from distributed.comm import CommClosedError
    from distributed.scheduler import KilledWorker

    return CommClosedError, CancelledError, KilledWorker, TimeoutError
