"""The check of a machine: what is missing is named with a remedy, and never stops the other checks."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution, version

import pytest

from randprune_lab import doctor
from randprune_lab.cli import main
from randprune_lab.doctor import Finding, describe, examine

QUICK = dict.fromkeys(doctor.PROGRAMS, "found = 'here'")


@pytest.fixture(autouse=True)
def quick(monkeypatch) -> None:
    """No program takes time."""
    monkeypatch.setattr(doctor, "PROGRAMS", dict(QUICK))


def finding(name: str) -> Finding:
    return next(one for one in examine() if one.name == name)


def test_every_program_has_a_remedy_and_every_finding_its_own_name():
    names = [one.name for one in examine()]
    assert set(doctor.PROGRAMS) == set(doctor.REMEDIES) <= set(names) and len(set(names)) == len(names) >= 12


def test_a_missing_and_an_old_package_are_named_with_the_remedy_and_the_rest_is_checked(monkeypatch):
    def found(package: str) -> str:
        if package == "pandas":
            raise PackageNotFoundError(package)
        return "1.9" if package == "numpy" else version(package)

    monkeypatch.setattr(doctor, "version", found)
    findings = {one.name: one for one in examine()}
    library = findings["library"]
    assert not library.ok and "pandas is missing" in library.found and "numpy is 1.9, not >=2.0" in library.found
    assert "pip install" in library.remedy and findings["lessons"].ok and findings["torch"].ok


def test_no_requirement_of_the_project_is_overlooked():
    asked = [text for text in distribution("randprune-lab").requires if "extra" not in text]
    assert len([*doctor._requirements("")]) == len(asked) > 10
    assert len([*doctor._requirements("offline")]) == 2 and len([*doctor._requirements("lab")]) > 5


def test_a_project_that_is_not_installed_is_a_problem_and_no_error(monkeypatch):
    monkeypatch.setattr(doctor, "PROJECT", "no-such-project")
    library = finding("library")
    assert not library.ok and "no-such-project" in library.found and library.remedy


@pytest.mark.parametrize(
    ("lower", "higher"),
    [("2.9", "2.10"), ("2.9.9", "2.10+cpu"), ("0.4", "0.4.5rc1"), ("1", "1.0.1"), ("5.8", "2026.1")],
)
def test_versions_are_compared_by_their_numbers(lower, higher):
    assert doctor._release(lower) < doctor._release(higher)
    assert doctor._release("2.0") == doctor._release("2.0.0+cpu") == doctor._release("2")


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("raise ValueError('one\\ntwo')", "ValueError: one two"),
        ("import os; os._exit(3)", "the process ended with code 3"),
    ],
    ids=["missing", "error", "crash"],
)
def test_a_program_that_fails_is_a_problem_with_its_reason(monkeypatch, code, found):
    monkeypatch.setitem(doctor.PROGRAMS, "torch", code)
    findings = {one.name: one for one in examine()}
    assert not findings["torch"].ok and findings["torch"].found == found
    assert doctor.REMEDIES["torch"] in findings["torch"].remedy
    assert findings["kernel"].ok
    assert findings["model"].found == ("not tried" if "_exit" in code else "here")


def test_what_a_library_prints_is_no_answer(monkeypatch):
    noise = "import os; print('[INFO] 3 devices'); os.system('echo [1]'); "
    monkeypatch.setitem(doctor.PROGRAMS, "torch", noise + doctor.PROGRAMS["torch"])
    findings = {one.name: one for one in examine()}
    assert all(findings[name].ok and findings[name].found == "here" for name in doctor.PROGRAMS)


def test_a_program_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setitem(doctor.PROGRAMS, "kernel", "import time; time.sleep(600)")
    monkeypatch.setattr(doctor, "SECONDS", 0.1)
    kernel = finding("kernel")
    assert not kernel.ok and kernel.found == "no answer within 0.1 s" and "try again" in kernel.remedy


def test_too_little_memory_is_a_problem_and_without_psutil_it_is_one_line(monkeypatch):
    monkeypatch.setattr(doctor, "available_memory", lambda: 1_500_000_000)
    memory = finding("memory")
    assert not memory.ok and memory.found.startswith("1.5 GB free") and "close other programs" in memory.remedy
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "psutil", None)
    monkeypatch.setattr(doctor, "CHECKS", {"memory": doctor._memory})
    (memory,) = examine()
    assert not memory.ok and "psutil" in memory.found and memory.remedy


@pytest.mark.parametrize("width", [40, 60, 100])
def test_the_text_fits_the_terminal_and_has_every_finding_once(width):
    findings = [
        Finding("one", True, "word " * 30),
        Finding("another", False, "missing", "install it from somewhere, with " + "words " * 20),
    ]
    lines = describe(findings, width).splitlines()
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    assert text.count("ok one word") == text.count("PROBLEM another missing -> install it") == 1
    assert lines[-1] == "1 of 2 needs attention."


def test_the_exit_code_is_0_only_if_all_is_well(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "CHECKS", {"kernel": lambda: Finding("kernel", True, "starts")})
    assert main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"name": "kernel", "ok": True, "found": "starts", "remedy": ""}]
    monkeypatch.setattr(doctor, "CHECKS", {"disk": lambda: 1 / 0})
    assert main(["doctor"]) == 1
    assert "PROBLEM  disk  ZeroDivisionError: division by zero" in capsys.readouterr().out


def test_it_starts_where_pytorch_and_the_other_packages_are_missing():
    code = "import sys; sys.modules.update(dict.fromkeys(['torch', 'numpy', 'pydantic', 'transformers', 'psutil'])); "
    code += "from randprune_lab.__main__ import main; sys.argv = ['randprune', 'doctor', '--help']; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and "ready for the course" in done.stdout and "--json" in done.stdout
