"""Names of units are built and read in one place."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import randprune_lab
from randprune_lab.search.journal import read_journal
from randprune_lab.search.units import (
    candidate_unit,
    candidate_units,
    file_name,
    level_unit,
    level_units,
    levels_done,
    noise_unit,
    noise_units,
    score_unit,
    selection_unit,
)

PACKAGE = Path(randprune_lab.__file__).parent


def test_names_are_those_of_a_recorded_run(finished, config):
    units = read_journal(finished)
    levels = level_units(["search", "imp", "uniform"], 2)
    expected = {"data", "compute", "dense", "model", *levels, score_unit("dense"), *map(score_unit, levels)}
    expected |= {selection_unit(level_unit("search", number)) for number in (1, 2)}
    expected |= {
        candidate_unit(level_unit("search", number), candidate, 12) for number in (1, 2) for candidate in range(3)
    }
    assert set(units) == expected
    assert len(candidate_units(units, "search-level-1")) == 3 and noise_units(units, "search-level-1") == []
    assert levels_done(units, "search") == levels_done(units, "imp") == 2 and levels_done(units, "sea") == 0
    files = {path.stem for path in (finished / "predictions").iterdir()}
    assert {file_name(score_unit(name)) for name in ("dense", *levels)} <= files


def test_a_level_is_not_taken_for_another_whose_name_it_begins():
    units = {candidate_unit("a-level-1", 0, 4): {"x": 1}, candidate_unit("a-level-11", 0, 4): {"x": 2}}
    units |= {noise_unit("a-level-1", 0, 1): {"x": 3}, noise_unit("a-level-11", 0, 1): {"x": 4}}
    assert candidate_units(units, "a-level-1") == [{"x": 1}] and noise_units(units, "a-level-1") == [{"x": 3}]


def test_files_of_further_test_sets_end_in_their_names():
    assert file_name(score_unit("dense")) == "test-dense"
    assert file_name(score_unit("dense"), "mismatched") == "test-dense-mismatched"


def test_no_other_module_builds_or_reads_the_names():
    """A string with a part of such a name, f-strings included, outside of docstrings."""
    wrong = re.compile(r"-level-|/candidate-|/noise-|/generation-|/selection$|^test/|^test-\{?")
    for path in PACKAGE.rglob("*.py"):
        if path.name == "units.py":
            continue
        tree = ast.parse(path.read_text("utf-8"))
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        strings = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        assert not [node.value for node in strings if id(node) not in docs and wrong.search(node.value)], path
