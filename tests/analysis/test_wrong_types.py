"""One value of a file that a program wrote has another type: an error in one line, or a result as usual."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from support.made_up import pool
from support.mutations import changed
from support.runs import write_units

import randprune_lab as rp
from randprune_lab.analysis.levels import training_steps
from randprune_lab.analysis.pool_record import FORMAT as POOL_FORMAT
from randprune_lab.analysis.pool_record import KIND as POOL
from randprune_lab.analysis.pool_record import PoolRecord
from randprune_lab.analysis.recorded import FORMAT as STUDY
from randprune_lab.analysis.results import results_table
from randprune_lab.analysis.shipped import data_folder, recorded_contrasts
from randprune_lab.analysis.task_record import FORMAT as TASK_FORMAT
from randprune_lab.analysis.task_record import KIND as TASK
from randprune_lab.analysis.task_record import TaskRecord, early_evaluations
from randprune_lab.analysis.text import describe_run
from randprune_lab.errors import FileError, RandpruneError
from randprune_lab.sealed import checksum, read_arrays, write_arrays
from randprune_lab.search.journal import read_journal
from randprune_lab.search.recorded_config import FORMAT, KIND
from randprune_lab.search.run_files import PREDICTIONS, predictions_path
from randprune_lab.search.strategies import TrainAll
from randprune_lab.search.winner import winning_mask
from randprune_lab.study.config import StudyConfig

anything = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def copy(finished, tmp_path_factory) -> Path:
    """A run with every kind of unit: a recorded choice stands for that of a generation."""
    folder = shutil.copytree(finished, tmp_path_factory.mktemp("runs") / "copy")
    units = read_journal(folder)
    final, selection = units.pop("model"), units["search-level-1/selection"]
    again = {"mask": 0, "seed": 1, "score": -0.5, "steps": 12}
    more = {"search-level-1/generation-0": selection, "search-level-1/noise-0-0": again, "controls": {"words": 0.5}}
    write_units(folder, units | more | {"model": final})
    return folder


def read_all(folder: Path) -> None:
    """Read all that a run folder is read for."""
    record = rp.RunRecord.load(folder)
    json.dumps(record.summary()), describe_run(record)
    if record.finished:
        results_table([record]), training_steps(record), TaskRecord.of({"search": record})
        winning_mask(record.path, record.units)


def check_refused_or_read(folder: Path) -> None:
    try:
        read_all(folder)
    except RandpruneError as error:
        assert "\n" not in str(error)


@anything
@given(data=st.data())
def test_a_unit_with_another_value_is_refused_or_read(copy, data):
    units = read_journal(copy)
    name = data.draw(st.sampled_from(sorted(units)))
    result = data.draw(changed(units[name]))
    try:
        write_units(copy, units | {name: result})
        check_refused_or_read(copy)
    finally:
        write_units(copy, units)


@pytest.mark.parametrize("name", ["data", "compute", "dense", "search-level-1/selection", "test/dense", "model"])
def test_a_journal_without_a_unit_is_that_of_an_unfinished_run(copy, name):
    units = read_journal(copy)
    try:
        write_units(copy, {other: result for other, result in units.items() if other != name})
        assert rp.RunRecord.load(copy).finished == name.endswith("selection")
        check_refused_or_read(copy)
    finally:
        write_units(copy, units)


@pytest.mark.parametrize(
    ("unit", "values", "message"),
    [
        ("dense", {"score": "0.5"}, "dense.score must be a number, got '0.5'"),
        ("dense", {"score": float("nan")}, "dense.score must be a finite number, got nan"),
        ("dense", {"extra": 1}, "unknown name in dense 'extra'"),
        ("dense", {"judged": [0.5] * 99}, "losses and judged must have the same length"),
        ("data", {"task": "evil"}, "data.task must be a mapping, got 'evil'"),
        ("data", {"validation": "9"}, "must have the number of rows of train, validation, test"),
        ("model", {"weights": 5}, "model.weights must be a text, got 5"),
        ("search-level-1/selection", {"winner": 99}, "its winner, 99, is no candidate of its last round"),
        ("search-level-1/candidate-0/steps-12", {"mask": None}, "steps-12.mask must be a mapping, got None"),
        ("search-level-1/candidate-0/steps-12", {"at": [4]}, "at and metric must have the same length"),
        ("search-level-1/candidate", {}, "no unit has the name 'search-level-1/candidate'"),
    ],
)
def test_an_error_names_the_line_the_place_and_what_was_expected(copy, unit, values, message):
    units = read_journal(copy)
    try:
        write_units(copy, units | {unit: units.get(unit, {}) | values})
        number = [*units, unit].index(unit) + 1
        with pytest.raises(FileError, match=rf"journal\.jsonl, line {number}, is damaged: .*{message}"):
            read_journal(copy)
    finally:
        write_units(copy, units)


def test_a_unit_that_lacks_a_value_is_refused(copy):
    units = read_journal(copy)
    try:
        write_units(copy, units | {"model": {"path": "model"}})
        with pytest.raises(FileError, match="model lacks 'weights'"):
            read_journal(copy)
    finally:
        write_units(copy, units)


@pytest.mark.parametrize("line", ["[]", '{"unit": "dense"}', '{"unit": 5, "result": {}, "checksum": ""}', "null"])
def test_a_line_that_is_no_unit_is_named(copy, line):
    journal = copy / "journal.jsonl"
    before = journal.read_text("utf-8")
    try:
        journal.write_text(f"{line}\n{before}", "utf-8")
        with pytest.raises(FileError, match=r"journal\.jsonl, line 1, is damaged: .*(must be a mapping|lacks|a text)"):
            read_journal(copy)
    finally:
        journal.write_text(before, "utf-8")


# --- the other files of a run ---


@anything
@given(data=st.data())
def test_a_configuration_or_environment_with_another_value_is_refused_or_read(copy, data):
    file = copy / data.draw(st.sampled_from(["config.json", "environment.json"]))
    before = file.read_bytes()
    content = json.loads(before)
    sealed = content.pop("checksum", None)
    content = data.draw(changed(content))
    if sealed and isinstance(content, dict):
        content["checksum"] = checksum({name: value for name, value in content.items() if name != "format"})
    try:
        file.write_text(json.dumps(content), "utf-8")
        check_refused_or_read(copy)
    finally:
        file.write_bytes(before)


@pytest.mark.parametrize("value", [[], {}, "3", None, 3.5])
def test_a_format_that_is_no_number_is_another_format(copy, value):
    file = copy / "config.json"
    before = file.read_bytes()
    try:
        file.write_text(json.dumps(json.loads(before) | {"format": value}), "utf-8")
        with pytest.raises(
            FileError, match=r"config\.json has format .*, and this version of randprune_lab reads format"
        ):
            read_all(copy)
    finally:
        file.write_bytes(before)


ARRAYS = st.sampled_from([np.float16, np.float32, np.float64, np.int64, np.uint8, np.bool_]).flatmap(
    lambda kind: arrays(kind, array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
)


def with_another_array(data: st.DataObject, found: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays of which one has another type or shape, or is missing or superfluous."""
    name = data.draw(st.sampled_from([*found, "other"]))
    other = data.draw(ARRAYS)
    choice = data.draw(st.sampled_from(["shape", "type", "less", "none"]))
    if choice == "none" or name not in found:
        return {key: values for key, values in found.items() if key != name} | (
            {} if choice == "none" else {name: other}
        )
    same = found[name].astype(other.dtype) if choice == "type" else found[name][1:]
    return {**found, name: other if choice == "shape" else same}


@settings(anything, max_examples=15)
@given(data=st.data())
def test_predictions_of_another_type_or_shape_are_refused_or_read(copy, data):
    names = ["test-dense", "test-imp-level-2", "search-level-1-candidate-1-steps-12"]
    file = predictions_path(copy, data.draw(st.sampled_from(names)))
    before = file.read_bytes()
    found, _ = read_arrays(file, PREDICTIONS, FORMAT, "")
    try:
        write_arrays(file, PREDICTIONS, FORMAT, with_another_array(data, found), {})
        rp.RunRecord.load(copy).summary()
    except RandpruneError as error:
        assert "\n" not in str(error)
    finally:
        file.write_bytes(before)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("environment.json", {"python": 3}, "environment.*json is damaged or truncated .python must be a text, got 3"),
        ("environment.json", [], r"environment.*json is damaged or truncated .*must be a mapping, got \[\]"),
        ("config.json", {"seed": "x"}, "config.json is damaged: seed must be a whole number, got 'x'"),
        ("config.json", {"seed": "5"}, "config.json is damaged: seed must be a whole number, got '5'"),
        (
            "config.json",
            {"learning_rate": "1e-3"},
            "config.json is damaged: learning_rate must be a number, got '1e-3'",
        ),
        ("config.json", {"levels": [0.5, "0.9"]}, r"config.json is damaged: levels\.1 must be a number, got '0.9'"),
        ("config.json", {"sede": 1}, "config.json is damaged: unknown name 'sede'; did you mean 'seed'"),
        ("config.json", {"plugins": [{"file": 5}]}, r"config.json is damaged: plugins\.0\.file must be a text, got 5"),
    ],
)
def test_an_error_names_the_file_the_place_and_what_was_expected(copy, name, content, message):
    file = copy / name
    before = file.read_bytes()
    if name == "config.json":
        content = {**rp.RunRecord.load(copy).config.to_dict(), "kind": KIND, "plugins": [], **content}
        content = {"format": FORMAT, **content, "checksum": checksum(content)}
    try:
        file.write_text(json.dumps(content), "utf-8")
        with pytest.raises(FileError, match=message):
            read_all(copy)
    finally:
        file.write_bytes(before)


# --- recorded pools and studies ---


def use_pool(path: Path) -> None:
    record = PoolRecord.load(path)
    TrainAll(last=1).select(range(len(record.final)), record.at[-1], record.replay, every=record.at[1])
    record.early(2)


def use_task(path: Path) -> None:
    record = TaskRecord.load(path)
    for level in record.levels:
        for method in record.methods:
            record.score(method, level), record.difference(method, "dense", level), record.early(method, level)
            if method in record.logits:
                record.log_likelihood(method, level)
    for method in record.methods:
        early_evaluations([record], method)


@pytest.fixture(scope="module")
def recorded(finished, regression, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("recorded")
    files = {name: folder / f"{name}.safetensors" for name in ("pool", "task", "scores")}
    pool().save(files["pool"])
    TaskRecord.of({"search": rp.RunRecord.load(finished)}).save(files["task"])
    TaskRecord.of({"search": rp.RunRecord.load(regression)}).save(files["scores"])
    return files


@settings(anything, max_examples=60)
@given(data=st.data())
def test_a_recorded_pool_or_task_with_another_value_is_refused_or_read(recorded, data):
    name = data.draw(st.sampled_from(sorted(recorded)))
    file = recorded[name]
    kind, number, use = (POOL, POOL_FORMAT, use_pool) if name == "pool" else (TASK, TASK_FORMAT, use_task)
    before = file.read_bytes()
    found, about = read_arrays(file, kind, number, "")
    if data.draw(st.booleans()):
        found = with_another_array(data, found)
    else:
        about = data.draw(changed(about))
    try:
        write_arrays(file, kind, number, found, about)
        use(file)
    except RandpruneError as error:
        assert "\n" not in str(error)
    except (TypeError, OverflowError):  # not from reading: such a file cannot be written
        if file.read_bytes() != before:
            raise
    finally:
        file.write_bytes(before)


@pytest.mark.parametrize("strict", [True, False], ids=["JSON of a program", "YAML of a person"])
@pytest.mark.parametrize("place", ["settings", "methods.imp", "task_settings.stsb"])
def test_a_number_as_a_text_is_a_number_of_a_person_and_an_error_of_a_program(place, strict, tmp_path):
    content = json.loads((data_folder() / "recorded" / "small" / "study.json").read_bytes())
    for name in ("format", "checksum"):
        content.pop(name)
    around = content
    for name in place.split("."):
        around = around.setdefault(name, {})
    around["temperature"] = "1e-1"
    if strict:
        (tmp_path / "study.json").write_text(json.dumps({"format": STUDY, "checksum": checksum(content), **content}))
        with pytest.raises(FileError, match=f"{place}.temperature must be a number, got '1e-1'"):
            StudyConfig.load_json(tmp_path / "study.json")
    else:
        content.pop("tables")
        (tmp_path / "study.yaml").write_text(json.dumps(content))
        study = StudyConfig.load(tmp_path / "study.yaml")
        assert study.run_config("imp", "stsb", 0).temperature == 0.1


@settings(anything, max_examples=60)
@given(data=st.data())
def test_a_study_with_another_value_is_refused_or_read(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    content = json.loads((data_folder() / "recorded" / "small" / "study.json").read_bytes())
    for name in ("format", "checksum"):
        content.pop(name)
    content = data.draw(changed(content))
    sealed = {"format": STUDY, "checksum": checksum(content), **content} if isinstance(content, dict) else content
    (folder / "study.json").write_text(json.dumps(sealed))
    for read in (StudyConfig.load_json, lambda path: recorded_contrasts(path.parent)):
        try:
            read(folder / "study.json")
        except RandpruneError as error:
            assert "\n" not in str(error)
