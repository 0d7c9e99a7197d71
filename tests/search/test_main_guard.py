"""A script that starts processes needs a main guard: each process runs the script again."""

from __future__ import annotations

import runpy
import sys

import pytest

from randprune_lab.errors import ConfigError

START = "from randprune_lab.search.main_guard import check_main_guard\n"
CALL = 'check_main_guard("this")\n'


def in_a_function(call: str) -> str:
    return f"def start():\n    {CALL}\n{call}"


@pytest.mark.parametrize(
    ("script", "line"),
    [
        (CALL, 2),
        (in_a_function("start()\n"), 5),
        (f"print()\nwith open(__file__):\n    {CALL}", 4),
    ],
    ids=["plain", "function", "with"],
)
def test_a_line_that_every_process_would_run_again_is_refused(tmp_path, script, line):
    (tmp_path / "mine.py").write_text(START + script)
    with pytest.raises(ConfigError, match=rf"^this starts processes, .* mine\.py again: put what line {line} does"):
        runpy.run_path(str(tmp_path / "mine.py"), run_name="__main__")


@pytest.mark.parametrize(
    "script",
    [
        f'if __name__ == "__main__":\n    {CALL}',
        in_a_function('if __name__ == "__main__":\n    start()\n'),
        f'with open(__file__):\n    if __name__ == "__main__":\n        {CALL}',
    ],
    ids=["plain", "function", "with"],
)
def test_a_main_guard_allows_processes(tmp_path, script):
    (tmp_path / "mine.py").write_text(START + script)
    runpy.run_path(str(tmp_path / "mine.py"), run_name="__main__")


@pytest.mark.parametrize("file", ["nowhere.py", None], ids=["gone", "interactive"])
def test_without_a_script_there_is_nothing_to_run_again(monkeypatch, file):
    main = type(sys)("__main__")
    if file:
        main.__file__ = file
    monkeypatch.setitem(sys.modules, "__main__", main)
    exec(START + CALL, vars(main))


@pytest.mark.parametrize(
    ("script", "what"),
    [
        ("from randprune_lab.search.executors import OnDask\nOnDask(workers=2)\n", "OnDask"),
        (
            "from randprune_lab.study import StudyConfig, run_study\n"
            'run_study(StudyConfig.load("laptop-small"), "study", jobs=2)\n',
            "run_study with 2 jobs",
        ),
    ],
    ids=["cluster", "study"],
)
def test_what_starts_processes_looks_for_the_guard_first(tmp_path, monkeypatch, script, what):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(script)
    with pytest.raises(ConfigError, match=rf"^{what} starts processes, .* line 2 does"):
        runpy.run_path("mine.py", run_name="__main__")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]
