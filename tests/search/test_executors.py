"""Candidates on a real cluster of processes: the results are the same bits, and work lost with a worker is repeated."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
from dask.distributed import Client

import randprune_lab as rp
from randprune_lab.errors import ConfigError, RunError, WorkerError
from randprune_lab.progress import ignore
from randprune_lab.search import executors
from randprune_lab.search.drawing import proposal_of
from randprune_lab.search.executors import InProcess, Job, OnDask, make_executor
from randprune_lab.search.level import Level
from randprune_lab.search.run import Search

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import this file


@dataclasses.dataclass(eq=False)
class Watched(Level):
    """A level that logs each computation and its process in a folder, and can kill its worker once."""

    folder: str = ""
    fatal: int = -1

    def advance(self, candidate, state, steps, advance=ignore):
        log = Path(self.folder)
        with (log / "log").open("a") as file:
            file.write(json.dumps([candidate, state.training.step if state else 0, steps, os.getpid()]) + "\n")
        if candidate == self.fatal and not (log / "killed").exists():
            (log / "killed").touch()
            super().advance(candidate, state, steps // 2, advance)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().advance(candidate, state, steps, advance)

    @property
    def log(self) -> list[list[int]]:
        return [json.loads(line) for line in (Path(self.folder) / "log").read_text().splitlines()]


@pytest.fixture
def level(config, tmp_path):
    search = Search(config, progress=False)
    proposal = proposal_of(config, config.methods()[0], 1, seed=7)
    start = {name: tensor.clone() for name, tensor in search.model.state_dict().items()}
    parts = (config, search.compute, search.task, search.model, start, search.train, search.validation, None, proposal)
    return Watched("search-level-1", 1, *parts, folder=str(tmp_path))


def run(executor, level, *rounds):
    """The evaluations of some rounds of (candidate, steps) pairs."""
    with executor:
        return [
            sorted(executor.evaluate(level, [Job(*job) for job in jobs]), key=lambda e: e.candidate) for jobs in rounds
        ]


def same(ours, theirs):
    """Whether scores, log-likelihoods and logits are the same bits."""
    return all(
        a.candidate == b.candidate
        and (a.steps, a.at, a.metric) == (b.steps, b.at, b.metric)
        and np.array_equal(a.examples, b.examples)
        and np.array_equal(a.logits, b.logits)
        for first, second in zip(ours, theirs, strict=True)
        for a, b in zip(first, second, strict=True)
    )


def test_weights_are_copied_only_for_candidates_that_may_go_on(level):
    total = level.total_steps
    states = {steps: level.advance(0, None, steps)[1] for steps in (0, 4, total)}
    assert states[0] is None and states[total] is None and states[4].training.step == 4


RACE = [(0, 4), (1, 4), (2, 4), (3, 4)], [(1, 8), (3, 8)], [(3, 12)]


def test_a_cluster_computes_the_same_bits_and_continues_stopped_trainings(level, cluster):
    here = run(InProcess(), level, *RACE)
    done = len(level.log)
    there = run(OnDask(cluster.scheduler_address), level, *RACE)
    assert same(there, here)
    assert sorted(entry[:3] for entry in level.log[done:]) == sorted(entry[:3] for entry in level.log[:done])
    assert len({entry[3] for entry in level.log[done:]}) == 2 and os.getpid() not in {e[3] for e in level.log[done:]}


def test_a_worker_computes_with_the_precision_of_the_run(level, cluster):
    level.compute = dataclasses.replace(level.compute, precision="bfloat16")
    with level.compute.active():
        here = run(InProcess(), level, [(0, 4)])
    assert same(run(OnDask(cluster.scheduler_address), level, [(0, 4)]), here)
    assert not same(run(InProcess(), level, [(0, 4)]), here)


def test_a_worker_computes_the_layers_of_the_run_sparse(level, cluster):
    dense = run(InProcess(), level, *RACE[:2])
    level.compute = dataclasses.replace(level.compute, layers="sparse")
    here = run(InProcess(), level, *RACE[:2])
    assert same(run(OnDask(cluster.scheduler_address), level, *RACE[:2]), here)
    assert not same(here, dense)
    for ours, theirs in zip(here[0], dense[0], strict=True):
        np.testing.assert_allclose(ours.logits, theirs.logits, atol=1e-3)


def test_a_worker_that_gets_a_level_from_one_that_trains_it_gets_the_whole_model(level, cluster):
    level.compute = dataclasses.replace(level.compute, layers="sparse")
    with OnDask(cluster.scheduler_address) as executor:
        list(executor.evaluate(level, [Job(0, 4)]))
        sent = executor._sent.result()

    def shapes(of: Level) -> list[tuple[int, ...]]:
        return [tuple(parameter.shape) for parameter in of.model.parameters()]

    training, got = executors._received(sent), []
    training.model.register_forward_hook(
        lambda *_: got.append((shapes(executors._received.__wrapped__(sent)), shapes(training)))
    )
    executors._advance(sent, 0, None, 4)
    assert {tuple(found) for found, _ in got} == {tuple(shapes(level))}
    assert got[0][1] != shapes(level), "the worker trains kept weights alone"


def test_the_number_of_stops_does_not_matter(level):
    assert same(run(InProcess(), level, [(3, 12)]), run(InProcess(), level, [(3, 4)], [(3, 8)], [(3, 12)])[2:])


def test_a_forgotten_state_is_computed_again_with_the_same_bits(level):
    executor = InProcess()
    list(executor.evaluate(level, [Job(3, 4)]))
    list(executor.evaluate(level, [Job(1, 4)]))  # the executor forgets candidate 3, which is not in this round
    (late,) = executor.evaluate(level, [Job(3, 12)])
    assert same([[late]], run(InProcess(), level, [(3, 12)]))


def test_only_the_candidate_of_a_killed_worker_is_repeated(level, cluster):
    jobs = [(0, 12), (1, 12), (2, 12), (3, 12)]
    level.fatal = 2
    there = run(OnDask(cluster.scheduler_address), level, jobs)
    assert (Path(level.folder) / "killed").exists()
    counts = [sum(entry[0] == candidate for entry in level.log) for candidate in range(4)]
    assert counts == [1, 1, 2, 1]
    assert same(there, run(InProcess(), level, jobs))


def test_a_search_on_a_cluster_has_the_same_record(config, finished, cluster, tmp_path):
    with make_executor("dask", address=cluster.scheduler_address) as executor:
        path = rp.run(config, tmp_path / "run", progress=False, executor=executor)
    ours, theirs = (rp.RunRecord.load(folder) for folder in (path, finished))
    assert ours.units == theirs.units
    assert ours.summary()["levels"] == theirs.summary()["levels"]


def test_a_lost_scheduler_is_a_clear_error_and_the_run_can_be_resumed_without_it(config, finished, tmp_path):
    script = (
        "import sys, time; from dask.distributed import LocalCluster\n"
        "if __name__ == '__main__':\n"
        "    cluster = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None)\n"
        "    print(cluster.scheduler_address, flush=True); time.sleep(600)"
    )
    (tmp_path / "scheduler.py").write_text(script)
    scheduler = subprocess.Popen([sys.executable, tmp_path / "scheduler.py"], stdout=subprocess.PIPE, text=True)
    try:
        address = scheduler.stdout.readline().strip()
        executor = OnDask(address)
        executor.client.wait_for_workers(1)
        journal, killed = tmp_path / "run" / "journal.jsonl", False
        with (
            pytest.raises(WorkerError, match=r"the Dask cluster was lost .* start it again, then go on with --resume"),
            executor,
        ):

            def kill_after_the_first_candidate(level, jobs, advance):
                nonlocal killed
                for evaluation in OnDask.evaluate(executor, level, jobs, advance):
                    yield evaluation
                    if not killed:
                        os.kill(scheduler.pid, signal.SIGKILL)
                        killed = True

            executor.evaluate = kill_after_the_first_candidate
            rp.run(config, tmp_path / "run", progress=False, executor=executor)
    finally:
        scheduler.kill()
    units = rp.RunRecord.load(tmp_path / "run").units
    assert sum("candidate" in name for name in units) >= 1 and "model" not in units, journal
    rp.run(config, tmp_path / "run", resume=True, progress=False)
    assert rp.RunRecord.load(tmp_path / "run").units == rp.RunRecord.load(finished).units


def test_a_missing_scheduler_is_an_error_with_a_remedy():
    start = time.monotonic()
    with pytest.raises(RunError, match=r"no Dask scheduler answers at tcp://127.0.0.1:9 .* leave --address out"):
        OnDask("tcp://127.0.0.1:9", timeout=1)
    assert time.monotonic() - start < 60


@pytest.mark.parametrize(
    ("options", "workers"), [({}, 2), ({"threads": 2}, 4), ({"threads": 16}, 1), ({"threads": 2, "workers": 3}, 3)]
)
def test_workers_fill_the_cores(options, workers, monkeypatch):
    started = []
    monkeypatch.setattr("dask.distributed.LocalCluster", lambda **settings: started.append(settings["n_workers"]))
    monkeypatch.setattr("dask.distributed.Client", lambda *_, **settings: None)
    monkeypatch.setattr("randprune_lab.search.executors.loaded_plugins", list)  # those of other tests
    monkeypatch.setattr("randprune_lab.search.executors.cores", lambda: 8)
    monkeypatch.setattr("torch.get_num_threads", lambda: 4)
    make_executor("dask", **options)
    assert started == [workers]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ray", {}, "executor must be one of in-process, dask, got 'ray'"),
        ("in-process", {"workers": 2}, "address and workers are settings of the executor 'dask'"),
    ],
)
def test_wrong_settings_of_an_executor_are_refused(name, options, message):
    with pytest.raises(ConfigError, match=message):
        make_executor(name, **options)


def test_clients_are_closed(cluster):
    with make_executor("dask", address=cluster.scheduler_address) as executor:
        client: Client = executor.client
    assert client.status == "closed"
