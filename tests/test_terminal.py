"""What a command prints cannot control a terminal, and output that is lost makes the command fail."""

from __future__ import annotations

import io
import logging
import os
import sys
from pathlib import Path

import pytest

from randprune_lab.cli import main
from randprune_lab.terminal import LogFormatter, OutputError, brief, printable, terminal

needs_dev_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is full")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jtiny", "\\x1b[2Jtiny"),
        ("a\nb\rc\td\0", "a\\nb\\rc\\td\\x00"),
        ("\x7f\x9b31m", "\\x7f\\x9b31m"),
        ("\u202eeno\u2066\u2028", "\\u202eeno\\u2066\\u2028"),
        ("half \ud83d", "half \\ud83d"),
        ("plain Ünï 文 👩\u200d🚀 ×", "plain Ünï 文 👩\u200d🚀 ×"),
        (Path("a\x07b"), "a\\x07b"),
    ],
)
def test_characters_that_control_a_terminal_become_escapes(text, shown):
    assert printable(text) == shown


def test_line_breaks_and_tabs_stay_where_text_has_lines():
    assert printable("a\n\tb\r\x1b", lines=True) == "a\n\tb\\r\\x1b"


def test_log_messages_are_printable():
    record = logging.makeLogRecord({"msg": "task %s", "args": ("\x1b[31m",)})
    assert LogFormatter().format(record) == "task \\x1b[31m"


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", r"\x1b \xfc \u6587"), ("cp1252", r"\x1b ü \u6587")])
def test_what_the_encoding_lacks_is_an_escape_too(monkeypatch, encoding, shown):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    with terminal():
        print("\x1b ü 文")
    assert written.getvalue().decode(encoding) == f"{shown}\n"


def test_a_stream_without_a_file_is_used_as_it_is(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with terminal():
        print("\x1b")
    assert sys.stdout.getvalue() == "\\x1b\n"


# --- output that is lost ---


def broken_pipe() -> io.TextIOWrapper:
    end, start = os.pipe()
    os.close(end)
    return os.fdopen(start, "w")


@needs_dev_full
@pytest.mark.parametrize("arguments", [["models", "tiny"], ["--version"], ["models", "--help"]])
def test_a_full_output_is_an_error_of_one_line(monkeypatch, capsys, arguments):
    monkeypatch.setattr(sys, "stdout", os.fdopen(os.open("/dev/full", os.O_WRONLY), "w"))
    assert main(arguments) == 1
    assert capsys.readouterr().err == "randprune: cannot print the result: No space left on device\n"
    sys.stdout.close()  # the interpreter's last flush, which must not fail


def test_a_closed_output_is_an_error_before_any_work(monkeypatch, capsys):
    monkeypatch.setattr("randprune_lab.models.listing.model_rows", lambda names: pytest.fail("worked"))
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["models"]) == 1
    assert capsys.readouterr().err == "randprune: cannot print the result: standard output is closed\n"


def test_a_reader_that_has_gone_is_no_matter(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", broken_pipe())
    assert main(["models", "tiny"]) == 1
    assert capsys.readouterr().err == ""
    sys.stdout.close()


def test_a_broken_pipe_of_something_else_is_an_error(monkeypatch, capsys):
    def fail(names: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("randprune_lab.models.listing.model_rows", fail)
    assert main(["models"]) == 1
    assert capsys.readouterr().err.startswith("randprune: BrokenPipeError: ")


@pytest.mark.parametrize("stream", [None, broken_pipe()])
def test_without_a_standard_error_the_exit_code_tells(monkeypatch, capsys, stream):
    monkeypatch.setattr(sys, "stderr", stream)
    assert main(["show", "nowhere"]) == 2
    assert capsys.readouterr().out == ""


def test_lost_output_is_noticed_while_a_command_runs(monkeypatch):
    monkeypatch.setattr(sys, "stdout", broken_pipe())
    with pytest.raises(OutputError), terminal():
        print("early", flush=True)
        pytest.fail("went on")


@pytest.mark.parametrize(
    ("name", "level", "shown"),
    [
        ("randprune_lab", logging.INFO, "message\nTraceback"),
        ("randprune_lab.search", logging.INFO, "message\nTraceback"),
        ("distributed.nanny", logging.INFO, None),
        ("distributed.nanny", logging.WARNING, "message"),
        ("asyncio", logging.ERROR, "message"),
        ("randprune_labs", logging.INFO, None),
    ],
)
def test_other_libraries_tell_only_warnings_and_no_tracebacks(name, level, shown):
    try:
        raise ValueError
    except ValueError:
        record = logging.LogRecord(name, level, "", 0, "message", (), sys.exc_info())
    text = LogFormatter().format(record) if brief(record) else None
    assert text == shown if shown in (None, "message") else text.startswith(shown)
