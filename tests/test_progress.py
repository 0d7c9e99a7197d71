"""One bar for the whole of a long piece of work: it fits any terminal, ends full, and is lines of text in a file."""

from __future__ import annotations

import io
import logging
import re
import sys

import pytest

from randprune_lab import progress
from randprune_lab.progress import progress_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock of the bars that moves on by a second whenever it is read."""
    seconds = iter(range(10**6))
    monkeypatch.setattr("tqdm.std.time", lambda: float(next(seconds)))


def states(monkeypatch, columns: int, work) -> list[str]:
    """All states of a bar on a terminal with this number of columns."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys, "stderr", Terminal())
    work()
    return [state.strip() for state in re.split(r"[\r\n]", sys.stderr.getvalue()) if "left" in state]


def early_end() -> None:
    with progress_bar(1000, 100) as bar:
        for _ in range(400):
            bar.advance(1)
        bar.left(100)
        bar.advance(100)


@pytest.mark.parametrize("columns", [20, 40, 80])
def test_the_bar_fits_the_terminal_and_tells_the_time_left(monkeypatch, clock, columns):
    shown = states(monkeypatch, columns, early_end)
    assert len(shown) > 10 and all(len(state) < columns and state.endswith(" left") for state in shown)
    assert shown[0].startswith("10%") and shown[-1].startswith("100%") and shown[-1].endswith("00:00 left")
    assert any("steps" in state for state in shown) == (columns == 80)


def test_skipped_steps_end_the_bar_at_100_percent_and_are_no_speed(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress_bar(1000) as bar:
        bar.advance(10)
        bar.left(90)
        shown = bar._bar.format_dict
        assert (shown["n"], shown["total"], shown["n"] - shown["initial"]) == (910, 1000, 10)
        bar.left(200)  # more is needed than was planned
        assert bar._bar.n - bar._bar.initial == 10 and bar._bar.total - bar._bar.n == 200


def test_log_messages_are_lines_of_their_own_above_the_bar(monkeypatch):
    def work() -> None:
        with progress_bar(3) as bar:
            bar.advance(1)
            logging.getLogger("randprune_lab").warning("a message")
            bar.advance(2)

    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stderr", Terminal())
    handler = logging.StreamHandler(sys.stderr)
    monkeypatch.setattr(logging.root, "handlers", [handler])
    work()
    assert "\ra message\n" in re.sub(r" +\r", "\r", sys.stderr.getvalue()).replace("\r\r", "\r")
    assert logging.root.handlers == [handler]


def test_without_a_terminal_there_is_a_line_now_and_then(monkeypatch, clock, caplog):
    caplog.set_level(logging.INFO, "randprune_lab")
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    early_end()
    lines = caplog.messages
    assert 2 <= len(lines) <= progress.LINES
    assert all(re.fullmatch(r"progress: \d+ % \(\d+ of 1000 steps\), [\d:?]+ left", line) for line in lines)
    assert lines[-1] == "progress: 100 % (1000 of 1000 steps), 00:00 left" and sys.stderr.getvalue() == ""


def test_short_work_and_hidden_work_print_nothing(monkeypatch, caplog):
    caplog.set_level(logging.INFO, "randprune_lab")
    for stream, shown in ((io.StringIO(), True), (Terminal(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        with progress_bar(10, shown=shown) as bar:
            bar.advance(10)
            bar.left(0)
        assert stream.getvalue() == "" and caplog.messages == []
