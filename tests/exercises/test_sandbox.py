"""A student's code gets no points by cheating, keeps to its limits, and leaves nothing behind, isolated or not."""

from __future__ import annotations

import socket
import sys
import tempfile
from contextlib import suppress
from functools import partial

import psutil
import pytest

from randprune_lab.errors import GradingError
from randprune_lab.exercises import read_sources
from randprune_lab.exercises.check import CHOICES
from randprune_lab.exercises.grade import run
from randprune_lab.exercises.sandbox import AnswerError, Stopped, start


def isolation() -> str | None:
    for tool in ("bwrap", "unshare"):
        with suppress(GradingError), start(tool):
            return tool
    return None


TOOL = isolation()
isolated = pytest.mark.skipif(TOOL is None, reason="neither bwrap nor unshare works here")
both = pytest.mark.parametrize("tool", [None, pytest.param(TOOL, marks=isolated)], ids=["not isolated", "isolated"])


@pytest.fixture
def reasons(sources, tmp_path):
    """A function that grades one answer to the exercise `one`, whose right answer is 1. Returns why it fails, or ""."""
    (source,) = read_sources(sources)

    def grade(answer: str, tool: str | None) -> str:
        failed = run(source, {"one": [answer]}, partial(start, tool, [tmp_path]), 5)
        assert failed.keys() >= {"two", "three"}
        return failed["one"].reason if "one" in failed else ""

    return grade


MAGICS = ("%matplotlib inline", "%config InlineBackend.figure_format = 'retina'", "%%time", "!true")


@pytest.mark.parametrize("magic", MAGICS)
def test_what_notebooks_often_begin_with_costs_no_points(reasons, magic):
    assert reasons(f"{magic}\ndef one():\n    return 1", None) == ""


# --- cheats ---

CHEATS = {
    "a patched checker and kernel": """
import json, sys, types
passes = types.ModuleType("check")
passes.expect = passes._same = expect = lambda *_, **__: True
sys.modules["randprune_lab.exercises.check"] = sys.modules["randprune_lab.exercises"] = passes
json.dumps = lambda *_, **__: '{"value": [7]}'
""",
    "a shadowed name": """
import builtins
builtins.AssertionError = builtins.abs = zero = expect = type("Always", (), {"__call__": lambda *_: 0})()
one = zero
""",
    "hooks and input transformers": """
shell = get_ipython()
shell.input_transformers_post.append(lambda lines: ["pass"])
shell.events.register("pre_run_cell", lambda info: setattr(info, "raw_cell", "pass"))
shell.ast_transformers.append(type("Drop", (), {"visit": lambda self, node: type(node)([], [])})())
""",
    "a value that equals everything": """
class Equal(int):
    __eq__ = __le__ = __ge__ = lambda *_: True
    __hash__ = int.__hash__
    __sub__ = __rsub__ = __abs__ = lambda *_: Equal()
    tolist = lambda self: self
def one():
    return Equal(7)
""",
    "an answer to the grader in the place of the kernel": """
import os
for number in range(3, 20):
    try:
        os.write(number, b'{"value": true}\\\\n{"value": null}\\\\n' * 3)
    except OSError:
        pass
""",
    "an end of the program": """
import sys, atexit
atexit.register(lambda: print("passed"))
def one():
    sys.exit(0)
""",
}


@both
@pytest.mark.parametrize("cheat", CHEATS.values(), ids=CHEATS)
def test_a_cheat_gets_no_points(reasons, cheat, tool):
    assert reasons(cheat, tool)


READ = """
import json, pathlib
cells = json.loads(pathlib.Path({!r}).read_text())["cells"]
solution = next(c for c in cells if c["metadata"]["nbgrader"]["grade_id"] == "one")
exec("".join(solution["source"]))
"""


def test_the_solution_can_be_read_by_code_that_is_not_isolated(reasons, sources):
    assert reasons(READ.format(str(sources / "01_numbers.ipynb")), None) == ""


@isolated
def test_the_solution_cannot_be_read_by_isolated_code(reasons, sources):
    assert "FileNotFoundError" in reasons(READ.format(str(sources / "01_numbers.ipynb")), TOOL)


CHOOSE = """
from randprune_lab.exercises import check
def one():
    return 1 if check.read_choices() else 0
"""


@isolated
def test_the_right_choices_cannot_be_read_by_isolated_code(reasons):
    assert reasons(CHOOSE, None) == ""
    assert reasons(CHOOSE, TOOL)


@isolated
def test_the_right_choices_cannot_be_read_through_a_link_to_the_folder_of_the_package(reasons, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(CHOICES.resolve().parents[2])
    monkeypatch.syspath_prepend(tmp_path / "link")
    assert reasons(CHOOSE, None) == ""
    assert reasons(CHOOSE, TOOL) == "AssertionError: count again"


WRITE = """
import pathlib
pathlib.Path({!r}).write_text("{{}}")
def one():
    return 1
"""


@isolated
def test_isolated_code_changes_no_file_of_others(reasons, tmp_path):
    other = tmp_path / "other.ipynb"
    other.write_text("mine")
    assert "FileNotFoundError" in reasons(WRITE.format(str(other)), TOOL) and other.read_text() == "mine"


@isolated
def test_isolated_code_sees_no_other_process_and_cannot_end_the_grader(tmp_path):
    with start(TOOL, [tmp_path]) as kernel:
        kernel.run("import os, psutil\ndef seen():\n    return psutil.pids(), os.getppid()")
        pids, parent = kernel.call("seen")
        assert len(pids) <= 2 and parent <= 1


@isolated
def test_isolated_code_has_no_network_no_rights_and_read_only_libraries(tmp_path):
    tries = """
import os, socket, subprocess, IPython
def tries(port):
    done = []
    for what in (lambda: socket.create_connection(("127.0.0.1", port), 1), lambda: os.chroot("/"),
                 lambda: open(IPython.__file__, "a"), lambda: open("/etc/randprune-test", "w"),
                 lambda: open("/proc/sys/kernel/core_pattern", "w"),
                 lambda: subprocess.run(["umount", "/proc"], check=True, stderr=subprocess.DEVNULL)):
        try:
            done.append(str(what()))
        except (OSError, subprocess.SubprocessError):
            pass
    return done
"""
    with socket.create_server(("127.0.0.1", 0)) as server, start(TOOL, [tmp_path]) as kernel:
        kernel.run(tries)
        assert kernel.call("tries", server.getsockname()[1]) == []


# --- limits ---


@both
def test_output_has_no_end_and_takes_no_memory(reasons, tool):
    before = psutil.Process().memory_info().rss
    output = "import sys\nfor _ in range(30_000):\n    print('x' * 1000)\nsys.stderr.write('x' * 10**7)"
    assert reasons(f"{output}\ndef one():\n    return 1", tool) == ""
    assert psutil.Process().memory_info().rss - before < 20e6


@both
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("def one():\n    return bytearray(3 << 30)", "MemoryError"),
        ("def one():\n    import numpy\n    numpy.ones(3 << 27)", "MemoryError"),
        ("def one():\n    return 'x' * 10**7", "returned more than 8 MB"),
        ("def one():\n    with open('x', 'wb') as file:\n        file.truncate(1 << 40)", "OSError"),
        ("def one():\n    value = []\n    value.append(value)\n    return value", "RecursionError"),
        ("def one():\n    raise StopIteration('x')", "StopIteration: x"),
        ("def one():\n    raise type('=A', (BaseException,), {})('\\x1b')", "=A: \x1b"),
        ("def one():\n    return 10**5000", "ValueError"),
    ],
)
def test_more_than_the_limits_fails_one_exercise(reasons, tool, answer, reason):
    assert reason in reasons(answer, tool)


@both
def test_nothing_is_left(reasons, tool, tmp_path, monkeypatch):
    """No process, whatever it does to leave its parents, and no file, however protected."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "homes"))
    (tmp_path / "homes").mkdir()
    answer = """
import os, pathlib, subprocess, time
if os.fork() == 0:
    os.closerange(3, 100)
    end = time.time() + 30
    while time.time() < end and not os.fork():  # a new process every 20 ms
        os.setsid()
        time.sleep(0.02)
    os._exit(0)
for _ in range(3):
    subprocess.Popen(["sleep", "300"], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execvp("sleep", ["sleep", "300"])
    os._exit(0)
(pathlib.Path.home() / "x" / "y").mkdir(parents=True)
os.chmod(pathlib.Path.home() / "x", 0)
def one():
    os._exit(1)
"""
    assert reasons(answer, tool) == "stopped the kernel"
    variables = [process.info["environ"] or {} for process in psutil.process_iter(["environ"])]
    assert not [home for each in variables if str(tmp_path) in (home := each.get("HOME", ""))]
    assert [*(tmp_path / "homes").iterdir()] == []


@both
def test_a_student_does_not_change_what_the_next_one_starts_with(reasons, tool):
    answer = """
import pathlib, sys
startup = pathlib.Path.home() / "profile_default" / "startup"
for path in (startup / "a.py", pathlib.Path.home() / "sitecustomize.py", pathlib.Path("usercustomize.py")):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("import builtins; builtins.left = 1")
def one():
    return 0
"""
    assert reasons(answer, tool)
    assert "NameError" in reasons("def one():\n    return left", tool)


@isolated
def test_isolated_code_does_not_import_from_folders_with_hidden_ones(tmp_path, monkeypatch):
    (tmp_path / "class").mkdir()
    (tmp_path / "solutions.py").touch()
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    for hidden, found in (([], True), ([tmp_path / "class"], False)):
        with start(TOOL, hidden) as kernel:
            kernel.run("import importlib.util\ndef found():\n    return bool(importlib.util.find_spec('solutions'))")
            assert kernel.call("found") is found


def test_a_check_cannot_catch_the_end_of_a_kernel():
    with start() as kernel:
        kernel.run("import os\ndef one():\n    os._exit(1)")
        kernel.begin(5)
        with pytest.raises(Stopped, match="stopped the kernel"):
            kernel.call("one")
    assert not issubclass(Stopped, Exception)


@pytest.mark.parametrize("kind", [ValueError, KeyError, ZeroDivisionError])
def test_an_error_that_a_check_expects_arrives_as_such(kind):
    with start() as kernel:
        kernel.run(f"def one():\n    raise {kind.__name__}('no')")
        with pytest.raises(kind, match="no"):
            kernel.call("one")


def test_an_error_does_not_end_a_loop_of_a_check():
    with start() as kernel:
        kernel.run("def one(_):\n    raise StopIteration")
        with pytest.raises(AnswerError, match="StopIteration"):
            list(map(partial(kernel.call, "one"), [1, 2]))


def test_processes_that_were_there_before_stay():
    with psutil.Popen(["sleep", "60"]) as mine:
        with start() as kernel:
            kernel.run("x = 1")
        assert mine.is_running() and mine.status() != psutil.STATUS_ZOMBIE
        mine.kill()
