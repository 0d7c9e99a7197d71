"""A key that is given twice is an error; everything else is read as PyYAML reads it."""

from __future__ import annotations

import pytest
import yaml

from randprune_lab.cli import main
from randprune_lab.errors import ConfigError, FileError
from randprune_lab.study import StudyConfig
from randprune_lab.study.config import SHIPPED
from randprune_lab.study.strict_yaml import read_yaml

STUDY = "tasks: [mini-sst2]\nseeds: [0]\nmethods: {imp: {rule: magnitude, candidates: 1}}\n"


@pytest.mark.parametrize(
    ("text", "key", "line", "first"),
    [
        ("a: 1\nb: 2\na: 1", "'a'", 3, 1),
        ("methods:\n  search: {}\n  imp: {}\n  search:\n    candidates: 8", "'search'", 4, 2),
        ("a: {b: 1, c: 2, b: 3}", "'b'", 1, 1),
        ("- x: 1\n- y: [{z: 1,\n  z: 2}]", "'z'", 3, 2),
        ("a: 1\n'a': 2", "'a'", 2, 1),
        ("1: a\n01: b", "1", 2, 1),
        ("yes: a\ntrue: b", "True", 2, 1),
        ("~: a\nnull: b", "None", 2, 1),
        ("x: &x {a: 1}\ny:\n  <<: *x\n  <<: *x", "'<<'", 4, 3),
    ],
)
def test_a_key_that_is_given_twice_is_an_error_with_its_lines(text, key, line, first):
    with pytest.raises(ValueError, match=f"^line {line}: the key {key} is given twice, first in line {first}$"):
        read_yaml(text)


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\nb: {a: 1}\nc: [{a: 1}, {a: 2}]",
        "x: &x {a: 1, b: 2}\ny: {<<: *x, a: 3}",
        "deep: {deeper: &x {<<: {a: 1}, a: 2}}\ny: {<<: *x, b: 3}",
        "None: 1\nnull: 2\n'null': 3\n1: 4\n'1': 5",
        "",
        *(path.read_text("utf-8") for path in SHIPPED.glob("*.yaml")),
    ],
)
def test_other_yaml_is_read_as_by_pyyaml(text):
    assert read_yaml(text) == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{STUDY}seeds: [1]", "line 4: the key 'seeds' is given twice, first in line 2"),
        (f"{STUDY}settings:\n  epochs: 2\n  epochs: 3", "line 6: the key 'epochs' is given twice, first in line 5"),
        ("tasks: [", "is not valid YAML"),
        ("[" * 3000, "is not valid YAML"),
        ("since: 2024-99-99", "is not valid YAML"),
        ("a: \xff", "is not valid YAML"),
    ],
)
def test_a_study_that_cannot_be_read_is_refused_in_one_line(tmp_path, capsys, text, message):
    file = tmp_path / "study.yaml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(FileError, match=r"study\.yaml"):
        StudyConfig.load(file)
    assert main(["study", str(file), "--out", str(tmp_path / "out")]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert message in error and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("tasks: on", "tasks must be a list, got True"),
        ("tasks: [on]", "tasks.0 must be a text, got True; put it in quotes"),
        ("tasks: mini", "tasks must be a list, got 'mini'"),
        ("seeds: 3", "seeds must be a list, got 3"),
        ('seeds: "12"', "seeds must be a list, got '12'"),
    ],
)
def test_values_that_would_be_read_as_something_else_are_refused(tmp_path, line, message):
    name = line.partition(":")[0]
    lines = [line if other.startswith(f"{name}:") else other for other in STUDY.splitlines()]
    (tmp_path / "study.yaml").write_text("\n".join(lines))
    with pytest.raises(ConfigError, match=message.replace("[", r"\[")):
        StudyConfig.load(tmp_path / "study.yaml")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("methods: {imp: &a {early_settings: *a}}", "has no setting 'early_settings'"),
        ("methods: &a {imp: *a}", "unknown setting in methods.imp 'imp'"),
        ("settings: {early_strategy: halving, early_settings: &a {eta: *a}}", "eta must be a number"),
        ("seeds: &a [*a]", "seeds.0 must be a whole number"),
    ],
)
def test_a_study_that_contains_itself_is_refused(tmp_path, lines, message):
    file = tmp_path / "study.yaml"
    values = {"tasks": "tasks: [mini-sst2]", "seeds": "seeds: [0]", "methods": "methods: {imp: {}}"}
    values[lines.partition(":")[0]] = lines
    file.write_text("\n".join(values.values()))
    with pytest.raises(ConfigError, match=message):
        StudyConfig.load(file)
