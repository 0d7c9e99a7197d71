"""Plugins: loaded because a user names them, recorded with their hash, wanted again on resume, known to workers."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest
from support.forked import command
from support.runs import write_config

import randprune_lab as rp
from randprune_lab.analysis import RunRecord
from randprune_lab.cli import build_parser, main
from randprune_lab.commands import machines
from randprune_lab.criteria import CRITERIA
from randprune_lab.errors import ConfigError, FileError, RunError
from randprune_lab.plugins import load_plugin, loaded_plugins, plugins_of
from randprune_lab.search.recorded_config import read_config, resume_command

RULE = """
from dataclasses import dataclass
from typing import ClassVar

import randprune_lab as rp


@dataclass(frozen=True)
class Halfway(rp.Rule):
    '''Half magnitude, half uniform.'''

    share: float = 0.5
    name: ClassVar[str] = "{name}"

    def inclusion(self, histogram, k):
        step, flat = (rule.inclusion(histogram, k) for rule in (rp.Magnitude(), rp.Uniform()))
        return (1 - self.share) * step + self.share * flat
"""


CRITERION = """
from dataclasses import dataclass
from typing import ClassVar

from randprune_lab.criteria import GradientCriterion


@dataclass(frozen=True)
class GradientSize(GradientCriterion):
    '''|g| summed over batches.'''

    name: ClassVar[str] = "{name}"

    def term(self, weight, gradient):
        return gradient.abs()
"""


def write(folder: Path, stem: str, text: str | None = None) -> Path:
    path = folder / f"{stem}.py"
    path.write_text(text or RULE.format(name=stem.replace("_", "-")), "utf-8")
    return path


@pytest.fixture(scope="module")
def options(config) -> list[str]:
    settings = {"task": config.task, "glue-dir": config.glue_dir, "model": config.model, "levels": "0.5"}
    settings |= {"candidates": "2", "evaluate-every": "8", "dense-epochs": "1", "epochs": "1"}
    return [part for name, value in settings.items() for part in (f"--{name}", str(value))] + ["--baselines"]


def test_a_plugin_is_registered_and_loading_it_again_changes_nothing(tmp_path):
    path = write(tmp_path, "plug_once")
    plugin = rp.load_plugin(path)
    assert rp.load_plugin(path) == plugin and plugin in loaded_plugins() and len(plugin.sha256) == 64
    rule = rp.make_rule("plug-once", share=0.1)
    rp.check_rule(rule)
    assert plugins_of(type(rule)) == [plugin] and plugins_of(rp.Voting) == []


def test_a_changed_plugin_replaces_what_it_defined(tmp_path):
    path = write(tmp_path, "plug_changed")
    before = rp.load_plugin(path)
    path.write_text(path.read_text("utf-8").replace("share: float = 0.5", "share: float = 0.25"), "utf-8")
    assert rp.load_plugin(path).sha256 != before.sha256 and rp.make_rule("plug-changed").share == 0.25


def test_a_criterion_of_a_plugin_is_used_and_recorded_by_a_run(tmp_path, options, monkeypatch):
    monkeypatch.setattr(CRITERIA, "_classes", dict(CRITERIA))
    path = write(tmp_path, "plug_criterion", CRITERION.format(name="gradient-size"))
    arguments = [*options, "--criterion", "gradient-size", "--score-batches", "1", "--plugin", str(path)]
    assert main(["run", "--out", str(tmp_path / "run"), *arguments]) == 0
    plugins = json.loads((tmp_path / "run" / "config.json").read_text("utf-8"))["plugins"]
    assert [plugin["file"] for plugin in plugins] == ["plug_criterion.py"]
    recipe = RunRecord.load(tmp_path / "run").units["search-level-1"]["mask"]
    assert recipe["criterion"] == {"criterion": "gradient-size", "signed": False}


@pytest.mark.parametrize(
    ("stem", "text", "error", "message"),
    [
        ("missing", None, FileError, "cannot read plugin .*missing.py: No such file"),
        ("json", "x = 1", ConfigError, "plugin 'json.py' has the name of the module 'json'; rename the file"),
        ("my-rules", "x = 1", ConfigError, "plugin 'my-rules.py' must be a Python file whose name is a module's"),
        ("plug_broken", "1 / 0", ConfigError, "fails when it is run: ZeroDivisionError: division by zero"),
        ("plug_exits", "raise SystemExit(3)", ConfigError, "fails when it is run: SystemExit: 3"),
        ("plug_voting", RULE.format(name="voting"), ConfigError, "cannot be named 'voting'"),
    ],
)
def test_a_plugin_that_cannot_be_loaded_is_named(tmp_path, stem, text, error, message):
    path = tmp_path / f"{stem}.py"
    if text is not None:
        path.write_text(text, "utf-8")
    with pytest.raises(error, match=message):
        rp.load_plugin(path)
    assert stem == "json" or stem not in sys.modules


def test_a_run_records_its_plugin_and_goes_on_only_with_the_same_one(tmp_path, options):
    path, out = write(tmp_path, "plug_run"), tmp_path / "run"
    asked = ["run", "--out", out, "--plugin", path, "--rule", "plug-run", "--rule-settings", "share=0.1,0.2", *options]
    done = command(*asked)
    assert done.returncode == 0, done.stderr
    (recorded,) = json.loads((out / "config.json").read_text("utf-8"))["plugins"]
    assert recorded["file"] == "plug_run.py"
    journal = (out / "journal.jsonl").read_bytes()
    refused = command("run", "--out", out, "--resume")
    assert refused.returncode == 2 and "used the plugin plug_run.py" in refused.stderr
    assert "give it with --plugin plug_run.py" in refused.stderr
    assert command("show", out).returncode == 2 and command("show", out, "--plugin", path).returncode == 0
    lines = journal.splitlines(keepends=True)
    (out / "journal.jsonl").write_bytes(b"".join(lines[:3]))
    again = command("run", "--out", out, "--resume", "--plugin", path)
    assert again.returncode == 0 and (out / "journal.jsonl").read_bytes() == journal
    changed = write(tmp_path, "plug_run", RULE.format(name="plug-run") + "\n# changed\n")
    other = command("run", "--out", out, "--resume", "--plugin", changed)
    assert other.returncode == 2 and "give the file as it was, or choose another folder" in other.stderr


def test_the_command_that_continues_a_run_names_its_plugins_and_machines(tmp_path, config):
    load_plugin(write(tmp_path, "plug_of_another_run"))
    folder = tmp_path / "with a space"
    folder.mkdir()
    plugin = load_plugin(write(folder, "plug_again"))
    used = [{"file": plugin.path.name, "sha256": plugin.sha256}]
    write_config(folder, config.to_dict() | {"rule": "plug-again", "plugins": used})
    for where in ([], ["--executor", "dask", "--workers", "2"], ["--executor", "dask", "--address", "tcp://here:1"]):
        asked = build_parser().parse_args(["run", "--out", str(folder), *where])
        again = shlex.split(resume_command(folder, *machines(asked)))
        assert again == ["randprune", "run", "--plugin", str(plugin.path), *where, "--resume", "--out", str(folder)]


def test_a_folder_that_names_a_plugin_runs_no_code(tmp_path, finished):
    """Whoever sent the folder: the file is loaded only if the user names it."""
    trap = tmp_path / "plug_trap.py"
    trap.write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')", "utf-8")
    plugins = [{"file": str(trap), "sha256": "0" * 64}]
    write_config(tmp_path, read_config(finished).to_dict() | {"plugins": plugins})
    with pytest.raises(RunError, match="used the plugin"):
        RunRecord.load(tmp_path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("kind", ["dask", "study"])
def test_workers_know_the_plugin(kind, tmp_path, options, config):
    path = write(tmp_path, f"plug_{kind}")
    if kind == "dask":
        asked = ["run", "--out", tmp_path / "out", "--rule", f"plug-{kind}", "--executor", "dask", "--workers", "1"]
        asked += options
    else:
        settings = {"model": config.model, "glue_dir": config.glue_dir, "levels": [0.5], "evaluate_every": 8}
        settings |= {"dense_epochs": 1, "epochs": 1}
        methods = {"imp": {"rule": "magnitude", "candidates": 1}, "mine": {"rule": f"plug-{kind}", "candidates": 2}}
        study = {"tasks": ["sst2"], "seeds": [0], "methods": methods, "settings": settings}
        (tmp_path / "study.yaml").write_text(json.dumps(study), "utf-8")
        asked = ["study", tmp_path / "study.yaml", "--out", tmp_path / "out", "--jobs", "2"]
    assert main([*map(str, asked), "--plugin", str(path)]) == 0


def test_a_missing_plugin_is_one_line(capsys, tmp_path):
    assert main(["show", str(tmp_path), "--plugin", str(tmp_path / "none.py")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
