"""The files of a recorded study: what changed is noticed, and a kill at any moment leaves a record that can be read."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from randprune_lab.analysis import (
    data_folder,
    recorded,
    recorded_contrasts,
    recorded_controls,
    recorded_results,
    task_records,
)
from randprune_lab.analysis.recorded import (
    CONTROLS,
    FILE,
    RESULTS,
    parse_table,
    read_settings,
    read_table,
    write_tables,
)
from randprune_lab.errors import FileError
from randprune_lab.sealed import sha256
from randprune_lab.study import StudyConfig

SETTINGS = StudyConfig(tasks=["sst2"], seeds=[0, 1], methods={"imp": {}, "search": {"power": 5.0}}).to_dict()
CELLS = {str: "text", int: 7, float: 0.5, bool: True}


def table(columns: dict[str, type], **cells: object) -> pd.DataFrame:
    return pd.DataFrame([{name: CELLS[kind] for name, kind in columns.items()} | cells])


def tables(**cells: object) -> dict[str, pd.DataFrame]:
    return {"controls.csv": table(CONTROLS, **cells), "results.csv": table(RESULTS, **cells)}


def read(folder: Path) -> tuple[pd.DataFrame, ...]:
    return read_table(folder / "controls.csv", CONTROLS), read_table(folder / "results.csv", RESULTS)


# --- checksums ---


@pytest.fixture
def copy(tmp_path) -> Path:
    return shutil.copytree(data_folder() / "recorded" / "small", tmp_path / "copy")


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("study.json", recorded_contrasts),
        ("study.json", recorded_results),
        ("results.csv", recorded_results),
        ("results.csv", task_records),
        ("controls.csv", recorded_controls),
        ("qnli-seed-1.safetensors", task_records),
    ],
)
def test_a_flipped_bit_of_a_recorded_study_is_noticed(copy, name, use):
    use(copy)
    whole = (copy / name).read_bytes()
    for place in np.random.default_rng(0).integers(8 * len(whole), size=20).tolist():
        changed = bytearray(whole)
        changed[place // 8] ^= 1 << place % 8
        (copy / name).write_bytes(changed)
        with pytest.raises(FileError, match=name) as caught:
            use(copy)
        assert "\n" not in str(caught.value)


def test_a_study_of_another_format_is_refused(tmp_path):
    (tmp_path / FILE).write_text('{"format": 2, "tasks": []}')
    with pytest.raises(FileError, match=f"has format 2, and .* reads format {recorded.FORMAT}"):
        read_settings(tmp_path / FILE)


@pytest.mark.parametrize("content", ["", "[]", "null", '"text"', '{"format": 3}', "{" * 5000, "\xff"])
def test_a_file_that_is_not_the_settings_of_a_study_is_refused(tmp_path, content):
    (tmp_path / FILE).write_bytes(content.encode("latin-1"))
    with pytest.raises(FileError, match=FILE):
        read_settings(tmp_path / FILE)


def test_a_table_without_its_checksum_is_refused(tmp_path):
    write_tables(tmp_path, SETTINGS, {"results.csv": table(RESULTS)})
    table(CONTROLS).to_csv(tmp_path / "controls.csv", index=False)
    with pytest.raises(FileError, match=r"controls\.csv is damaged or truncated \(its SHA-256 is not in study\.json\)"):
        read(tmp_path)


def test_a_kill_at_any_moment_leaves_a_record_that_can_be_read_and_written_again(tmp_path, monkeypatch):
    write_tables(tmp_path, SETTINGS, tables(seed=1))
    replaced = Path.replace
    for survived in range(4):
        writes = iter(range(10))

        def replace(self, target, writes=writes, survived=survived):
            if next(writes) == survived:
                raise KeyboardInterrupt
            return replaced(self, target)

        with monkeypatch.context() as killed:
            killed.setattr(Path, "replace", replace)
            with pytest.raises(KeyboardInterrupt):
                write_tables(tmp_path, SETTINGS, tables(seed=2 + survived))
        assert {int(one.seed[0]) for one in read(tmp_path)} <= {*range(1, 3 + survived)}
    write_tables(tmp_path, SETTINGS, tables(seed=9))
    assert [int(one.seed[0]) for one in read(tmp_path)] == [9, 9]
    assert all(len(listed) == 1 for listed in read_settings(tmp_path / FILE)["tables"].values())


# --- cells ---


@pytest.mark.parametrize("name", ["None", "NA", "null", "nan", "NaN", "N/A", "", "1e5", "007", "True", "a,b", 'a"b'])
def test_every_text_of_a_table_is_read_as_it_was_written(tmp_path, name):
    written = {"results.csv": table(RESULTS, method=name, task=name, difference=None)}
    write_tables(tmp_path, SETTINGS, written)
    found = read_table(tmp_path / "results.csv", RESULTS)
    assert (found.method[0], found.task[0]) == (name, name) and np.isnan(found.difference[0])
    assert dict(found.dtypes[["seed", "score"]]) == {"seed": np.int64, "score": np.float64}


@pytest.mark.parametrize(
    "change",
    [
        lambda csv: csv.replace("seed,", "", 1),
        lambda csv: csv.replace("seed", "sead"),
        lambda csv: csv.replace("seed,method", "method,seed"),
        lambda csv: csv.replace("sparsity", "method"),
        lambda csv: csv.replace("\n", ",more\n"),
        lambda csv: csv.replace("\n", ",\n"),
        lambda csv: csv.replace("7,", "seven,", 1),
        lambda csv: csv.replace("7,", ",", 1),
        lambda csv: csv.replace("0.5", "half", 1),
        lambda csv: csv.replace("0.5", "1_0", 1),
        lambda csv: csv + "text,7\n",
        lambda csv: csv + "text," * 20 + "\n",
        lambda csv: "",
    ],
)
def test_a_table_with_other_columns_or_types_is_refused_in_one_line(tmp_path, change):
    write_tables(tmp_path, SETTINGS, {"results.csv": table(RESULTS)})
    path = tmp_path / "results.csv"
    path.write_text(change(path.read_text()))
    recorded.write_settings(tmp_path / FILE, SETTINGS, {path.name: [sha256(path.read_bytes())]})
    with pytest.raises(FileError, match=r"results\.csv is damaged") as caught:
        read_table(path, RESULTS)
    assert "\n" not in str(caught.value)


def test_what_is_unknown_is_an_empty_cell():
    csv = "task,included,encoder\na,True,0.5\nb,,\n"
    found = parse_table(csv.encode(), {"task": str, "included": bool, "encoder": float})
    assert found.included.isna().tolist() == found.encoder.isna().tolist() == [False, True]
    assert found.task[found.included].tolist() == ["a"] and recorded._csv(found).decode() == csv.replace(
        "0.5", "0.500000"
    )


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("score", "half", "column score must be a number, got 'half'"),
        ("score", "1_0", "column score must be a number, got '1_0'"),
        ("score", " 0.5", "column score must be a number, got ' 0.5'"),
        ("score", "nan", "column score must be a number, got 'nan'"),
        ("score", "1e999", "column score must be a finite number, got inf"),
        ("score", "True", "column score must be a number, got True"),
        ("seed", "", "column seed must be a whole number, got ''"),
        ("seed", "7.0", "column seed must be a whole number, got 7.0"),
        ("seed", "-1", "column seed cannot be used"),
        ("steps", "9" * 30, "column steps cannot be used"),
        ("steps", "9" * 5000, "column steps must be a whole number"),
        ("included", "yes", "column included must be true or false, got 'yes'"),
        ("included", "1", "column included must be true or false, got 1"),
        ("task", '"', "is not CSV"),
        ("task", "a,b", "line 3 must have"),
    ],
)
def test_an_error_in_a_cell_names_the_line_the_column_and_the_value(column, cell, message):
    columns = RESULTS | CONTROLS
    rows = [{name: str(CELLS[kind]) for name, kind in columns.items()} for _ in range(2)]
    rows[1][column] = cell
    csv = "\n".join(",".join(row) for row in (columns, *(each.values() for each in rows)))
    with pytest.raises(ValueError, match=message) as caught:
        parse_table(csv.encode(), columns)
    assert "line 3" in str(caught.value)
