"""The helpers of contributors: messages that are checked, notebooks that lose their outputs, and nothing else."""

from __future__ import annotations

import nbformat
import pytest
import torch
import yaml
from jaxtyping import TypeCheckError
from support.commit_message import faults
from support.order import SLOW
from support.pages import ROOT
from support.strip_outputs import main

from randprune_lab.masks.plan import Undecided, together
from randprune_lab.masks.rows import row_ranks


@pytest.mark.parametrize(
    ("message", "wrong"),
    [
        ("Refuse an empty level\n\nIt made a mask of nothing.\n", []),
        ("Refuse an empty level\n\nWhy.\n# a comment of git\n", []),
        ("Merge branch 'main'\n", []),
        ("Refuse an empty level\n", ["a body must say why"]),
        ("Refuse an empty level\nWhy.\n", ["a body must say why"]),
        (f"{'R' * 73}\n\nWhy.\n", ["at most 72 characters, got 73"]),
        ("refuse it.\n\nWhy.\n", ["begin with a capital letter"]),
        ("", ["begin with a capital letter", "a body must say why"]),
    ],
)
def test_a_commit_message_is_checked(message, wrong):
    found = faults(message)
    assert len(found) == len(wrong) and all(part in fault for part, fault in zip(wrong, found, strict=True))


def test_a_notebook_loses_its_outputs_and_keeps_the_rest(tmp_path):
    cell = nbformat.v4.new_code_cell("1 + 1", execution_count=3)
    cell.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "2"}, execution_count=3)]
    text = nbformat.v4.new_markdown_cell("# Title")
    nbformat.write(nbformat.v4.new_notebook(cells=[text, cell]), tmp_path / "dirty.ipynb")
    assert main([str(tmp_path)]) == 0
    markdown, code = nbformat.read(tmp_path / "dirty.ipynb", as_version=4).cells
    assert code.outputs == [] and code.execution_count is None
    assert (markdown.source, code.source) == ("# Title", "1 + 1")
    before = (tmp_path / "dirty.ipynb").stat().st_mtime_ns
    main([str(tmp_path)])
    assert (tmp_path / "dirty.ipynb").stat().st_mtime_ns == before, "a clean file is not written"


def test_the_hooks_before_a_commit_run_files_that_exist():
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    scripts = [word for hook in local["hooks"] for word in hook["entry"].split() if word.endswith(".py")]
    assert len(scripts) == 2 and all((ROOT / script).is_file() for script in scripts)


def test_tests_check_the_arrays_of_functions_and_dataclasses_and_wrap_nothing_else():
    with pytest.raises(TypeCheckError):
        row_ranks(torch.ones(3))
    with pytest.raises(TypeCheckError):
        Undecided("w", torch.ones(3), torch.ones(3, dtype=torch.int32))
    assert hasattr(row_ranks, "__wrapped__") and not hasattr(together, "__wrapped__")


def test_the_files_that_begin_first_exist():
    assert [name for name in SLOW if not (ROOT / "tests" / name).is_file()] == []
