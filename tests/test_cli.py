"""The command line: results on stdout, one clear line on stderr for what went wrong, and an exit code for each."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import nbformat
import pytest
from safetensors.torch import load_file
from support.runs import change_unit, write_config

import randprune_lab as rp
from randprune_lab.app import AppPage
from randprune_lab.app.part import Part
from randprune_lab.cli import build_parser, main
from randprune_lab.errors import RunError
from randprune_lab.models.known import MODELS
from randprune_lab.search.config import default_of
from randprune_lab.search.folder import RunFolder
from randprune_lab.search.journal import read_journal
from randprune_lab.search.recorded_config import read_config
from randprune_lab.search.run_files import weights_sha256
from randprune_lab.study.config import built_in_studies
from randprune_lab.tasks import TASKS

FIELDS = {field.name: field for field in dataclasses.fields(rp.RunConfig)}


class Answer(NamedTuple):
    code: int
    out: str
    err: str

    def line(self) -> str:
        """The one line of an error. Nothing else was printed."""
        assert self.out == "" and self.err.startswith("randprune: ") and self.err.count("\n") == 1, self
        return self.err.removeprefix("randprune: ").removesuffix("\n")


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch):
    """Whatever a command sets for its whole process is taken back."""
    for name in (
        "TOKENIZERS_PARALLELISM",
        "TRANSFORMERS_VERBOSITY",
        "HF_HUB_DISABLE_PROGRESS_BARS",
        "HF_DATASETS_DISABLE_PROGRESS_BARS",
    ):
        monkeypatch.setenv(name, os.environ.get(name, "1"))
    logger = logging.getLogger("randprune_lab")
    level = logger.level
    yield
    logger.setLevel(level)


@pytest.fixture
def randprune(capsys) -> Callable[..., Answer]:
    """Run a command in this process."""

    def call(*arguments: object) -> Answer:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Answer(code, *capsys.readouterr())

    return call


@pytest.fixture
def refused(capsys) -> Callable[..., str]:
    """What argparse says to a command that it does not understand."""

    def call(*arguments: object) -> str:
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert stop.value.code == 2 and printed.out == ""
        return printed.err

    return call


@pytest.fixture(scope="module")
def options(glue_dir, tiny_model) -> list[str]:
    """A small search, as the command line says it."""
    text = f"--task sst2 --glue-dir {shlex.quote(str(glue_dir))} --model {shlex.quote(tiny_model)} --train-size 96"
    text += " --levels 0.5 0.9 --candidates 2 --baselines imp --evaluate-every 2"
    text += " --dense-epochs 1 --dense-learning-rate 3e-3 --epochs 1 --learning-rate 1e-3"
    return shlex.split(text)


@pytest.fixture(scope="module")
def first(options, tmp_path_factory) -> tuple[Path, Answer]:
    """The folder and the output of one search in a process of its own."""
    out = tmp_path_factory.mktemp("command line") / "a run"
    done = subprocess.run(
        [sys.executable, "-m", "randprune_lab.cli", "run", *options, "--out", str(out), "--json"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return out, Answer(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def finished(first) -> Path:
    return first[0]


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    return shutil.copytree(finished, tmp_path / "copy of a run")


def cut(folder: Path, units: int) -> Path:
    """Let a finished run be one that was stopped after so many units."""
    lines = (folder / "journal.jsonl").read_text("utf-8").splitlines(keepends=True)
    (folder / "journal.jsonl").write_text("".join(lines[:units]), "utf-8")
    return folder


def found(folder: Path) -> dict:
    """All that a run found, without its place."""
    return rp.RunRecord.load(folder).summary() | {"run": None}


# --- run ---


def test_a_search_prints_one_json_object_and_tells_its_progress_on_stderr(first):
    path, answer = first
    assert answer.code == 0, answer.err
    assert json.loads(answer.out) == rp.RunRecord.load(path).summary()
    assert rp.RunRecord.load(path).finished
    assert "candidate 1 scores" in answer.err and "on the test set" in answer.err
    assert not [word for word in ("Traceback", "Warning", "it/s") if word in answer.err]


def test_options_become_the_configuration(finished, glue_dir, tiny_model):
    assert rp.RunRecord.load(finished).config == rp.RunConfig(
        task="sst2",
        glue_dir=str(glue_dir),
        model=tiny_model,
        train_size=96,
        levels=(0.5, 0.9),
        candidates=2,
        baselines=("imp",),
        evaluate_every=2,
        dense_epochs=1,
        dense_learning_rate=3e-3,
        epochs=1,
        learning_rate=1e-3,
    )


def test_the_installed_command_is_this_one():
    (command,) = entry_points(group="console_scripts", name="randprune")
    assert command.value == "randprune_lab.__main__:main"


def test_it_says_its_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"randprune {rp.__version__}\n"


def test_the_help_names_the_studies_that_ship(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["study", "--help"])
    assert ",".join(built_in_studies()) in "".join(capsys.readouterr().out.split())  # names are broken at hyphens


def test_a_second_run_into_the_same_folder_is_refused_and_changes_nothing(randprune, options, finished):
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    answer = randprune("run", *options, "--out", finished)
    assert answer.code == 2
    assert answer.line() == (
        f"{finished} exists already; go on with --resume, replace it with --overwrite, or choose another"
    )
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


def test_resume_alone_goes_on_with_the_stored_configuration(randprune, copy, finished):
    answer = randprune("run", "--resume", "--out", cut(copy, 5), "--json")
    assert answer.code == 0
    assert json.loads(answer.out) | {"run": None} == found(copy) == found(finished)


def test_resume_takes_the_same_options_once_more(randprune, options, copy, finished, monkeypatch):
    monkeypatch.setattr("randprune_lab.search.run.train", lambda *_, **__: pytest.fail("trained again"))
    assert randprune("run", *options, "--resume", "--out", copy).code == 0
    assert found(copy) == found(finished)


def test_resume_with_another_option_names_the_setting(randprune, copy):
    answer = randprune("run", "--resume", "--candidates", 3, "--out", copy)
    assert answer.code == 2
    assert answer.line().startswith(f"cannot resume {copy}: candidates was 2 and is now 3; ")


def test_resume_alone_has_nothing_to_go_on_with_where_there_is_no_run(randprune, tmp_path, monkeypatch):
    """Else a misspelt folder would start hours of the default search."""
    monkeypatch.setattr("randprune_lab.search.run.run", lambda *_, **__: pytest.fail("a search has begun"))
    answer = randprune("run", "--resume", "--out", tmp_path / "runn")
    assert answer.code == 2 and "holds no run" in answer.line()
    assert not (tmp_path / "runn").exists()


def test_overwrite_replaces_the_run(randprune, options, copy):
    stale = copy / "predictions" / "stale.safetensors"
    stale.write_text("")
    few = ["--levels", 0.75, "--candidates", 1, "--baselines", "--layers", 1]
    answer = randprune("run", *options, *few, "--overwrite", "--out", copy)
    assert answer.code == 0 and f"{copy}\n" in answer.out
    config = rp.RunRecord.load(copy).config
    assert (config.levels, config.candidates, config.baselines, config.layers) == ((0.75,), 1, (), 1)
    assert set(read_journal(copy)) == {
        *("data", "compute", "dense", "search-level-1", "test/dense", "test/search-level-1", "model")
    }
    assert not stale.exists() and "first 1 layers" in answer.out


def test_resume_and_overwrite_contradict_each_other(refused, copy):
    assert "not allowed with argument" in refused("run", "--resume", "--overwrite", "--out", copy)
    assert (copy / "journal.jsonl").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--rule", "votting"], "unknown rule 'votting'; did you mean 'voting'?"),
        (["--task", "sst3"], "unknown task 'sst3'; did you mean 'sst2' or 'stsb'?"),
        (["--model", "minilmm"], "unknown model 'minilmm'; did you mean 'minilm' or"),
        (["--baselines", "imp", "uniforms"], "unknown baseline 'uniforms'; did you mean 'uniform'?"),
        (["--levels", "0.5", "1.2"], "sparsity must be in [0, 1), got 1.2"),
        (["--levels"], "levels must have at least one sparsity, got none"),
        (["--layers", "9"], "layers must be from 1 to 2"),
        (["--glue-dir", "nowhere"], "nowhere"),
        (["--learning-rate", "nan"], "learning_rate must be in"),
    ],
)
def test_wrong_use_is_answered_with_one_line_and_code_2(randprune, options, tmp_path, change, message):
    answer = randprune("run", *options, *change, "--out", tmp_path / "run")
    assert answer.code == 2 and message in answer.line()
    assert not (tmp_path / "run").exists()


def test_a_package_that_is_not_installed_is_named_with_what_installs_it(randprune, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("randprune_lab.report")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "bleach", None)
    answer = randprune("report", "--profile", "smoke", "--out", tmp_path / "report")
    assert answer.code == 2 and "package 'bleach', which is not installed" in answer.line()
    assert "pip install 'randprune-lab[lab]'" in answer.line()


def test_an_unexpected_failure_is_one_line_and_code_1(randprune, options, tmp_path, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("out of\nmemory")

    monkeypatch.setattr("randprune_lab.search.run.run", fail)
    answer = randprune("run", *options, "--out", tmp_path / "run")
    assert (answer.code, answer.line()) == (1, "RuntimeError: out of memory (--debug shows where)")
    with pytest.raises(RuntimeError, match="out of\nmemory"):
        randprune("run", *options, "--out", tmp_path / "run", "--debug")


def test_debug_raises_wrong_use_too(randprune, tmp_path):
    with pytest.raises(RunError, match="holds no run"):
        randprune("show", tmp_path, "--debug")


# --- Ctrl-C ---


def test_an_interrupted_run_says_how_to_go_on_and_this_works(randprune, options, finished, tmp_path, monkeypatch):
    whole = RunFolder.add

    def add(self: RunFolder, name: str, result: dict) -> None:
        if name.startswith("search-level-1/candidate-1/"):
            raise KeyboardInterrupt
        whole(self, name, result)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "add", add)
        answer = randprune("run", *options, "--out", tmp_path / "with a space")
    assert answer.code == 130
    command = answer.line().removeprefix("stopped; go on with: randprune ")
    assert randprune(*shlex.split(command)).code == 0
    assert found(tmp_path / "with a space") == found(finished)


def test_a_run_interrupted_before_it_has_a_folder_cannot_go_on(randprune, options, tmp_path, monkeypatch):
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("randprune_lab.search.loaded.load_splits", stop)
    answer = randprune("run", *options, "--out", tmp_path / "run")
    assert (answer.code, answer.line()) == (130, "stopped")


def test_what_an_interruption_says_needs_no_run_that_can_be_read(randprune, options, tmp_path, monkeypatch):
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "config.json").write_text("{", "utf-8")
    monkeypatch.setattr("randprune_lab.cli.load_plugin", stop)
    answer = randprune("run", *options, "--plugin", "rules.py", "--out", tmp_path)
    assert (answer.code, answer.line()) == (130, "stopped")


# --- show ---


def test_show_prints_what_was_asked_and_what_was_found(randprune, finished):
    answer = randprune("show", finished)
    units = read_journal(finished)
    assert answer.code == 0 and answer.err == ""
    for said in (finished, "sst2: 96 train", "held-out, seed 0", "sparsity 50.00%", "sparsity 90.00%", "<- winner"):
        assert str(said) in answer.out
    for level in (1, 2):
        for number in (0, 1):
            score = units[f"search-level-{level}/selection"]["rounds"][0]["scores"][number]
            assert f"candidate {number}  early score {100 * score:.1f}" in answer.out
        for name in (f"search-level-{level}", f"imp-level-{level}"):
            assert units[name]["mask_sha256"][:12] in answer.out and units[name]["weights_sha256"][:12] in answer.out
            assert f"test accuracy {100 * units[f'test/{name}']['accuracy']:.1f} [" in answer.out
    assert answer.out.count("search minus imp") == 2


def test_show_as_json_has_the_fingerprints_of_the_files_and_the_numbers_of_the_journal(randprune, finished, first):
    answer = randprune("show", finished, "--json")
    assert answer.code == 0 and answer.err == ""
    shown, units = json.loads(answer.out), read_journal(finished)
    assert shown == json.loads(first[1].out), "run --json and show --json say the same"
    assert shown["config"] == rp.RunRecord.load(finished).config.to_dict()
    assert shown["dense"]["test"] == units["test/dense"]
    for level in shown["levels"]:
        name = f"{level['method']}-level-{level['level']}"
        assert level["mask_sha256"] == rp.MaskSet.load(finished / "masks" / f"{name}.safetensors").sha256
        checkpoint = load_file(finished / "checkpoints" / f"{name}.safetensors")
        assert level["weights_sha256"] == weights_sha256(checkpoint)
        assert level["winner"] == units[name]["winner"] and level["test"] == units[f"test/{name}"]
        rounds = units[f"{name}/selection"]["rounds"] if level["method"] == "search" else [{"scores": []}]
        assert [candidate["score"] for candidate in level["candidates"]] == rounds[0]["scores"]
    assert [(row["baseline"], row["level"]) for row in shown["differences"]] == [("imp", 1), ("imp", 2)]


def test_show_of_an_unfinished_run_says_so(randprune, copy):
    cut(copy, 5)  # data, compute, dense and two candidates
    text, shown = randprune("show", copy), json.loads(randprune("show", copy, "--json").out)
    assert text.code == 0 and "not finished; go on with --resume" in text.out
    assert "candidate 1  voting" in text.out and "winner" not in text.out
    assert shown["finished"] is False and shown["differences"] == []
    assert [len(level["candidates"]) for level in shown["levels"]] == [2, 0, 0, 0]


def test_show_names_what_it_cannot_read(randprune, copy, tmp_path):
    assert "holds no run" in randprune("show", tmp_path / "nowhere").line()
    (copy / "predictions" / "test-dense.safetensors").unlink()
    answer = randprune("show", copy)
    assert answer.code == 2 and "there is no predictions file at" in answer.line() and "test-dense" in answer.line()
    (copy / "config.json").write_text("{")
    answer = randprune("show", copy)
    assert answer.code == 2 and "config.json is damaged" in answer.line()


def test_names_cannot_control_the_terminal_or_make_lines(randprune, copy, tmp_path):
    lines = randprune("show", copy).out.count("\n")
    write_config(copy, read_config(copy).to_dict() | {"model": "tiny\x1b[2J\nlevel 3", "include": ["*\x9b*"]})
    task = read_journal(copy)["data"]["task"]
    change_unit(copy, "data", task=task | {"name": "s\x1b\x7f"})
    shown = randprune("show", copy).out
    for line in (r"model      tiny\x1b[2J\nlevel 3", r"pruned     *\x9b*", r"task       s\x1b\x7f: "):
        assert f"\n{line}" in shown
    assert shown.count("\n") == lines + 1
    assert json.loads(randprune("show", copy, "--json").out)["data"]["task"]["name"] == "s\x1b\x7f"
    assert randprune("results", copy, "--out", tmp_path / "t.csv").code == 0
    assert "\\x1b\\x7f," in (tmp_path / "t.csv").read_text("utf-8")


# --- the options of run ---


@pytest.fixture
def run_help(capsys, monkeypatch) -> str:
    """The help of `run`, not wrapped."""
    monkeypatch.setenv("COLUMNS", "10000")
    with pytest.raises(SystemExit) as stop:
        main(["run", "--help"])
    assert stop.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", FIELDS)
def test_every_setting_has_an_option_with_its_help_and_its_default(name, run_help):
    option = f"--{name.replace('_', '-')}"
    (entry,) = re.findall(rf"^  {option}[ ,].*(?:\n {{9,}}.*)*", run_help, re.MULTILINE)  # may have more lines
    assert FIELDS[name].metadata["help"] in entry
    shown, default = re.search(r"\(default: (.*)\)$", entry), default_of(FIELDS[name])
    if default in (None, (), {}):
        assert shown[1] == "none" if shown else "without it" in entry
    elif isinstance(default, bool):
        assert shown[1] == ("yes" if default else "no")
        for given, value in ((option, True), (f"--no-{option[2:]}", False)):
            assert getattr(build_parser().parse_args(["run", "--out", "x", given]), name) is value
    else:  # the default, typed as the help shows it, is the default
        parsed = build_parser().parse_args(["run", "--out", "x", option, *shown[1].split()])
        assert getattr(parsed, name) == default


def test_a_setting_that_is_not_given_leaves_no_trace():
    parsed = build_parser().parse_args(["run", "--out", "x"])
    assert not set(vars(parsed)) & set(FIELDS)


@pytest.mark.parametrize(
    ("option", "values", "name", "value"),
    [
        ("--levels", ["0.5", "0.9"], "levels", (0.5, 0.9)),
        ("--sampling-ratios", ["1e-4"], "sampling_ratios", (1e-4,)),
        ("--baselines", [], "baselines", ()),
        ("--baselines", ["uniform", "imp"], "baselines", ("uniform", "imp")),
        ("--layers", ["1"], "layers", 1),
        ("--train-size", ["500"], "train_size", 500),
        ("--learning-rate", ["1e-3"], "learning_rate", 1e-3),
        ("--allocation", ["erk"], "allocation", "erk"),
        ("--structure", ["2:4"], "structure", "2:4"),
        ("--rule-settings", ["a=3", "b=1e-3,x"], "rule_settings", {"a": 3, "b": (1e-3, "x")}),
        ("--protocol", ["select-on-test"], "protocol", "select-on-test"),
        ("--data", ["d.csv"], "data", "d.csv"),
        ("--text-columns", ["a", "b"], "text_columns", ("a", "b")),
        ("--label-kind", ["score"], "label_kind", "score"),
        ("--max-length", ["64"], "max_length", 64),
    ],
)
def test_options_have_the_types_of_their_settings(option, values, name, value):
    parsed = getattr(build_parser().parse_args(["run", "--out", "x", option, *values]), name)
    assert parsed == value and type(parsed) is type(value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["run"], "required: --out"),
        (["run", "--out", "x", "--candidates", "many"], "--candidates: invalid int value: 'many'"),
        (["run", "--out", "x", "--learn", "all"], "--learn: invalid choice: 'all'"),
        (["run", "--out", "x", "--speed", "3"], "unrecognized arguments: --speed 3"),
        (["show"], "required: RUN"),
        (["bench", "training"], "invalid choice: 'training'"),
    ],
)
def test_what_argparse_does_not_understand_has_code_2(refused, arguments, message):
    assert message in refused(*arguments)


def with_values(parser: argparse.ArgumentParser, *words: str) -> Iterator[list[str]]:
    """For each option and argument of all commands: what precedes its value."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, sub in action.choices.items():
                yield from with_values(sub, *words, name)
        elif action.nargs != 0:
            yield [*words, *action.option_strings[-1:]]


def test_nothing_takes_an_empty_text(capsys):
    """An empty path would be the working directory, and an empty setting no setting."""
    parser = build_parser()
    commands = [*with_values(parser)]
    assert {("show",), ("results",), ("export", "--out"), ("study", "--record"), ("report", "--set")} <= set(
        map(tuple, commands)
    )
    for command in commands:
        with pytest.raises(SystemExit, match="2"):
            parser.parse_args([*command, ""])
        said = capsys.readouterr().err
        assert said.startswith("randprune: argument ") and said.count("\n") == 1, (command, said)


# --- scan ---


def test_a_scan_of_a_run_has_a_table_and_a_figure(randprune, finished, tmp_path):
    command = ["scan", "--run", str(finished), "--sparsities", "0.9", "--examples", "20", "--out"]
    code, out, _ = randprune(*command, str(tmp_path / "scan.csv"))
    rows = (tmp_path / "scan.csv").read_text("utf-8").splitlines()
    assert code == 0 and rows[0] == "weight,size,sparsity,measured,increase,dense"
    assert out.startswith(f"{len(rows) - 1} rows: ") and (tmp_path / "scan.png").read_bytes().startswith(b"\x89PNG")
    code, _, err = randprune(*command[:4], "0.8", *command[5:], str(tmp_path / "scan.csv"))
    assert code == 2 and "choose another file" in err


def test_a_scan_without_the_packages_of_figures_has_its_table(randprune, finished, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith(("randprune_lab.viz", "seaborn"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    command = ["scan", "--run", str(finished), "--sparsities", "0.9", "--examples", "20", "--out"]
    code, out, _ = randprune(*command, str(tmp_path / "scan.csv"))
    assert code == 0 and (tmp_path / "scan.csv").is_file() and not (tmp_path / "scan.png").exists()
    assert "no figure, because the package 'matplotlib' is not installed" in out and "randprune-lab[lab]" in out


def test_a_scan_of_a_run_whose_dense_model_has_changed_is_refused(randprune, finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    path = run / "checkpoints" / "dense.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # another weight, in a file that can be read
    code, _, err = randprune("scan", "--run", str(run), "--out", str(tmp_path / "scan.csv"))
    assert code == 2 and "dense.safetensors is damaged: its weights differ from the recorded ones" in err


def test_a_scan_trains_the_dense_model_of_a_run(randprune, options, finished, tmp_path):
    """The same settings give the same dense model as the run has, and so the same losses."""
    other = {"--levels", "--candidates", "--baselines", "--epochs", "--learning-rate"}
    given = [word for pair in pairwise(options) if pair[0][:2] == "--" and pair[0] not in other for word in pair]
    tables = []
    for number, source in enumerate((given, ["--run", str(finished)])):
        out = tmp_path / f"{number}.csv"
        assert randprune("scan", *source, "--sparsities", "0.9", "--examples", "20", "--out", str(out))[0] == 0
        tables.append(out.read_text("utf-8"))
    assert tables[0] == tables[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--out", "scan.txt"], "--out must be a file that ends in .csv, got 'scan.txt'"),
        (["--sparsities", "1.5"], "sparsity must be in (0, 1], got 1.5"),
        (["--examples", "0"], "examples must be a whole number at least 1, got 0"),
        (["--seed", "1"], "--run and settings of a run exclude each other"),
        (["--run", "nothing"], "nothing holds no run"),
    ],
    ids=["out", "sparsity", "examples", "run", "no run"],
)
def test_a_wrong_scan_is_answered_with_one_line_and_code_2(randprune, finished, change, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("randprune_lab.search.scan.Loaded", None)  # nothing is loaded or trained before
    code, out, err = randprune("scan", "--run", str(finished), "--out", "scan.csv", *change)
    assert (code, out) == (2, "") and err.splitlines()[-1].startswith("randprune: ") and message in err


# --- tasks and models ---


def test_tasks_are_listed_with_their_sizes_or_why_they_are_not_available(randprune, glue_dir, loaded_once):
    text = randprune("tasks", "--glue-dir", glue_dir)
    rows = json.loads(randprune("tasks", "--glue-dir", glue_dir, "--json").out)
    assert text.code == 0 and text.err == ""
    assert [row["name"] for row in rows] == list(TASKS)
    sizes = {row["name"]: row["rows"] for row in rows}
    assert sizes["sst2"]["test"] == 120 and sizes["mrpc"] is None
    for row in rows:
        assert f"{row['name']}\n  description  {TASKS[row['name']].description}\n" in text.out
        assert (row["rows"] is None) == bool(row["unavailable"])
    assert "train 360, validation 40, test 120" in text.out and "MRPC" in text.out


def test_models_are_listed_or_described(randprune, tiny_model):
    listed = json.loads(randprune("models", "--json").out)
    assert [row["name"] for row in listed] == list(MODELS)
    text = randprune("models", "tiny", tiny_model).out
    assert "prunable     262,144" in text and f"source       folder {tiny_model}" in text
    assert "dense layers classifier.weight" in text and "embedding table" not in text


def test_the_weights_of_a_model_are_shown_with_what_stays_dense(randprune):
    text = randprune("models", "tiny", "--weights").out
    for line in (
        r"^pruned: 262,144 weights in 12 tensors, 85\.0 % of all$",
        r"^ +32,768 +2  128x128 +bert\.encoder\.layer\.\*\.attention\.self\.query\.weight +linear$",
        r"^ +256 +1  2x128 +classifier\.weight +linear, outside the repeated blocks$",
    ):
        assert re.search(line, text, re.MULTILINE), line
    (row,) = json.loads(randprune("models", "tiny", "--weights", "--json").out)
    assert sum(part["weights"] for part in row["weights"]) == row["parameters"]


def test_a_preset_is_where_options_begin(randprune, tmp_path):
    small = shlex.split("--train-size 64 --levels 0.5 --candidates 1 --baselines --dense-epochs 1 --epochs 1")
    answer = randprune("run", "--preset", "lesson", *small, "--out", tmp_path / "run", "--json")
    assert answer.code == 0, answer.err
    wanted = rp.RunConfig.preset(
        "lesson", train_size=64, levels=(0.5,), candidates=1, baselines=(), dense_epochs=1, epochs=1
    )
    assert rp.RunRecord.load(tmp_path / "run").config == wanted


def test_tasks_without_a_glue_folder_say_how_to_get_one(randprune, loaded_once):
    rows = {row["name"]: row for row in json.loads(randprune("tasks", "--json").out)}
    assert "--glue-dir" in rows["sst2"]["unavailable"]


@pytest.fixture
def moods(tmp_path) -> Path:
    """A file of one's own, with quotes and a column too many."""
    rows = [f'{i},"a ""{mood}"" film, number {i}",{mood}' for i in range(40) for mood in ("glad", "sad")]
    (tmp_path / "moods.csv").write_text("\n".join(["id,review,mood", *rows]) + "\n", "utf-8")
    return tmp_path / "moods.csv"


def test_custom_data_are_described(randprune, moods):
    options = ("--data", moods, "--text-columns", "review", "--label-column", "mood")
    text, rows = randprune("tasks", *options), json.loads(randprune("tasks", *options, "--json").out)
    assert (text.code, text.err) == (0, "")
    assert "labels       glad sad\n" in text.out and "found        all 80\n" in text.out
    assert "counts       train (glad 24, sad 24), validation (glad 8, sad 8), test (glad 8, sad 8)\n" in text.out
    assert [row["name"] for row in rows] == ["moods"]


def test_a_run_takes_the_same_options(randprune, moods, tmp_path):
    small = shlex.split("--levels 0.5 --candidates 1 --baselines --dense-epochs 1 --epochs 1 --max-length 24")
    own = ("--data", moods, "--text-columns", "review", "--label-column", "mood", "--model", "tiny-minilm")
    answer = randprune("run", *own, *small, "--out", tmp_path / "run", "--json")
    assert answer.code == 0, answer.err
    record = json.loads(answer.out)
    assert record["data"]["task"]["labels"] == ["glad", "sad"] and list(record["dense"]["test"]) == [
        "accuracy",
        "macro_f1",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--label-column", "stars"], "has no column 'stars'; its columns are 'id', 'review', 'mood'; name those to"),
        (["--label-column", "mood", "--label-kind", "score"], "line 2: label 'glad' in column 'mood' is not a finite"),
        (["--glue-dir", "glue"], "glue_dir 'glue' and data"),
    ],
)
def test_wrong_columns_are_answered_with_one_line_and_code_2(randprune, moods, options, message, tmp_path):
    for command in (["tasks"], ["run", "--out", tmp_path / "run"]):
        answer = randprune(*command, "--data", moods, "--text-columns", "review", *options)
        assert answer.code == 2 and message in answer.line()
    assert not (tmp_path / "run").exists()


def test_the_hub_without_network_fails_at_once_with_advice(randprune, tmp_path):
    """In the tests the hub is switched off (see conftest.py)."""
    answer = randprune("run", "--task", "cola", "--out", tmp_path / "run")
    assert answer.code == 2
    for advice in ("nyu-mll/glue", "--glue-dir", "works offline", "--data"):
        assert advice in answer.line()


def test_models_are_listed(randprune):
    text, answer = randprune("models"), randprune("models", "--json")
    assert (text.code, text.err, answer.code, answer.err) == (0, "", 0, "")
    rows = json.loads(answer.out)
    assert [row["name"] for row in rows] == list(MODELS)
    for row in rows:
        assert row["name"] in text.out and row["description"] in text.out
        assert (row["parameters"] or 0) > (row["prunable"] or 0) or "pip install" in row["unavailable"]


# --- bench ---


def test_bench_of_unknown_shapes_is_wrong_use(randprune):
    answer = randprune("bench", "masks", "--shapes", "bert-bass")
    assert answer.code == 2 and "did you mean 'bert-base'?" in answer.line()


# --- app ---


def test_the_app_says_how_large_it_is_and_what_is_not_on_it(randprune, monkeypatch, tmp_path):
    def write(runs: list[Path], out: Path) -> AppPage:
        assert runs == [Path("runs/first")]
        out.write_text("x" * 1_200_000)
        return AppPage((Part("recorded", "Recorded", "Get the data first."),))

    monkeypatch.setattr("randprune_lab.app.write_app", write)
    answer = randprune("app", "runs/first", "--out", tmp_path / "page.html")
    assert answer.code == 0 and answer.out == f"0 pictures, 1.2 MB: {tmp_path / 'page.html'}\n"
    assert answer.err == "randprune: Get the data first.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere is not a run folder and contains none; give a folder that `randprune run --out` wrote"),
        (["--out", "page.htm"], "--out must be a file that ends in .html, got 'page.htm'"),
    ],
    ids=["no run", "no page"],
)
def test_the_app_answers_wrong_use_with_one_line_and_code_2(randprune, tmp_path, arguments, message):
    answer = randprune("app", "--out", tmp_path / "page.html", *arguments)
    assert answer.code == 2 and message in answer.line() and not (tmp_path / "page.html").exists()


def test_the_app_without_the_packages_of_figures_names_what_installs_them(randprune, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith(("randprune_lab.app", "randprune_lab.viz"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    answer = randprune("app", "--out", tmp_path / "page.html")
    assert answer.code == 2 and "pip install 'randprune-lab[lab]'" in answer.line()


# --- share and gather ---


def test_a_run_is_shared_and_a_class_is_gathered(randprune, finished, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = randprune("share", finished, "--guess", "search ahead")
    (path,) = tmp_path.glob("seed-0-*.json")
    assert answer.code == 0 and answer.out.endswith(f"kB: {path.name}\n")
    (tmp_path / "broken.json").write_text("{", "utf-8")
    answer = randprune("gather", ".")
    assert answer.code == 0 and answer.out.startswith("1 seed at 90 %: search minus IMP with 33 % of its steps: ")
    assert answer.out.endswith(": class.html\n") and answer.out.count("\n") == 1
    assert answer.err.startswith("randprune: shared file broken.json is damaged") and answer.err.count("\n") == 1
    assert "search ahead: 1" in (tmp_path / "class.html").read_text("utf-8")


def test_watching_a_class_ends_with_ctrl_c(randprune, finished, tmp_path, monkeypatch):
    def stop(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("randprune_lab.classroom.watching.sleep", stop)
    randprune("share", finished, "--out", tmp_path / "one.json")
    answer = randprune("gather", tmp_path, "--out", tmp_path / "class.html", "--watch")
    assert answer.code == 130 and answer.out.count("\n") == 1 and answer.err == "randprune: stopped\n"
    assert "refresh" in (tmp_path / "class.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["share", "nowhere"], "nowhere holds no run"),
        (["gather", "nowhere"], "cannot read nowhere: No such file or directory; give the folder of the shared files"),
        (["gather", ".", "--out", "class.pdf"], "--out must be a file that ends in .html, .png, .csv, got 'class.pdf'"),
    ],
    ids=["no run", "no folder", "no page"],
)
def test_share_and_gather_answer_wrong_use_with_one_line_and_code_2(randprune, arguments, message):
    answer = randprune(*arguments)
    assert answer.code == 2 and message in answer.line()


# --- slides ---


def test_slides_say_how_many_they_are_and_where(randprune, tmp_path):
    notebook, page = tmp_path / "own.ipynb", tmp_path / "slides.html"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# One\n\n## Two")]), notebook)
    answer = randprune("slides", notebook, "--out", page)
    assert answer.code == 0 and re.fullmatch(rf"2 slides, 0\.\d MB: {re.escape(str(page))}\n", answer.out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["99", "--report", "nowhere"], "unknown lesson '99'"),
        (["06", "--out", "slides.pdf"], "--out must be a file that ends in .html, got 'slides.pdf'"),
        (["nowhere.ipynb"], "nowhere.ipynb"),
    ],
    ids=["no lesson", "no page", "no notebook"],
)
def test_slides_answer_wrong_use_with_one_line_and_code_2(randprune, arguments, message, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[1])
    answer = randprune("slides", *arguments)
    assert answer.code == 2 and message in answer.line()


# --- report ---


def test_report_explains_itself(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["report", "--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    options = ("--profile", "--out", "--notebooks", "--only", "--set NAME=VALUE", "--jobs", "--check", "--update")
    assert all(option in printed for option in options)


@pytest.mark.parametrize("code", [0, 1])
def test_report_ends_with_the_code_of_the_report(randprune, monkeypatch, code):
    asked = {}

    def report(profile: str, out: Path, **settings: object) -> SimpleNamespace:
        asked.update(settings, profile=profile, out=out)
        return SimpleNamespace(exit_code=code)

    monkeypatch.setattr("randprune_lab.report.report", report)
    assert randprune("report", "--profile", "smoke", "--only", "00", "--set", "seed=3", "--set", "task=x").code == code
    assert asked == {
        "profile": "smoke",
        "out": Path("reports/smoke"),
        "only": "00",
        "parameters": {"seed": 3, "task": "x"},
        "notebooks": Path("notebooks"),
        "overwrite": False,
        "jobs": None,
        "check": None,
        "expected": None,
    }


@pytest.mark.parametrize(("option", "mode"), [("--check", "compare"), ("--update", "update")])
def test_a_report_is_checked_or_sets_what_is_expected_but_not_both(option, mode, refused):
    parsed = build_parser().parse_args(["report", option, "--jobs", "3", "--expected", "there"])
    assert (parsed.check, parsed.jobs, parsed.expected) == (mode, 3, Path("there"))
    assert "not allowed with" in refused("report", "--check", "--update")


def test_a_report_of_an_unknown_profile_is_wrong_use(randprune, tmp_path):
    answer = randprune("report", "--profile", "smok", "--out", tmp_path / "out")
    assert answer.code == 2 and "unknown profile 'smok'; did you mean 'smoke'?" in answer.line()
