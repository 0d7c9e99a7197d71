"""The work of a run is known before it begins, and is counted as it is done."""

from __future__ import annotations

import dataclasses
import shutil
from contextlib import contextmanager

import pytest

import randprune_lab as rp
from randprune_lab.search import run as running
from randprune_lab.search.journal import read_journal
from randprune_lab.search.plan import Plan


class Count:
    """A bar that only counts, and notes by how much the plan was corrected."""

    def __init__(self, total: int, done: int):
        self.total, self.done, self.corrected = total, done, 0

    def advance(self, steps: int) -> None:
        self.done += steps

    def left(self, steps: int) -> None:
        self.corrected += self.total - steps - self.done
        self.done = self.total - steps


@pytest.fixture
def bars(monkeypatch) -> list[Count]:
    made = []

    @contextmanager
    def bar(total, done, shown):
        made.append(Count(total, done))
        yield made[-1]

    monkeypatch.setattr(running, "progress_bar", bar)
    return made


@pytest.mark.parametrize(
    "changes",
    [{}, {"early_strategy": "halving", "early_epochs": 4}, {"early_strategy": "race", "screen": 6, "noise_seeds": 2}],
    ids=["full", "halving", "screened race"],
)
def test_a_run_ends_at_100_percent(config, tmp_path, bars, changes):
    small = dataclasses.replace(config, levels=(0.9,), dense_epochs=2, **changes)
    rp.run(small, tmp_path / "run")
    (bar,) = bars
    assert bar.done == bar.total
    assert bar.corrected == 0 if not changes else 0 <= bar.corrected < bar.total / 2


def test_a_resumed_run_starts_at_what_is_done(config, finished, tmp_path, bars):
    copy = shutil.copytree(finished, tmp_path / "copy")
    lines = (copy / "journal.jsonl").read_text().splitlines(keepends=True)
    (copy / "journal.jsonl").write_text("".join(lines[:5]))
    data = read_journal(finished)["data"]
    plan = Plan(config, data["train"], data["validation"], data["test"])
    done = read_journal(copy)
    assert "search-level-1/candidate-1/steps-12" in done and "search-level-1/selection" not in done
    rp.run(config, copy, resume=True)
    rp.run(config, copy, resume=True)
    begun, again = bars
    assert begun.done == begun.total == sum(plan.units.values()) and begun.corrected == 0
    assert again.total - again.done == plan.left(read_journal(finished)) == 0
    assert 0 < plan.left(done) < plan.left({"dense": done["dense"]}) < plan.left({})
