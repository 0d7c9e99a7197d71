"""What is carried: a float16 model that loads as float32, the rows of GLUE that the study needs, and size limits."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest
import torch
import yaml

from gpu import pack
from gpu.day import STUDY
from randprune_lab.models.load import load_model
from randprune_lab.study import StudyConfig
from randprune_lab.tasks import load_splits
from randprune_lab.tasks.spec import get_task


def test_the_carried_model_loads_as_float32_with_the_rounded_weights(tiny_model, tmp_path):
    pack.pack_model(Path(tiny_model), tmp_path / "model.zip")
    with zipfile.ZipFile(tmp_path / "model.zip") as file:
        file.extractall(tmp_path / "model")
    plain, _ = load_model(tiny_model, num_labels=2)
    carried, tokenizer = load_model(str(tmp_path / "model"), num_labels=2)
    assert type(carried).__name__ == "MeanPooledBertForSequenceClassification" and tokenizer("good film")
    weights = plain.bert.state_dict()
    for name, weight in carried.bert.state_dict().items():
        assert weight.dtype == weights[name].dtype
        if weight.is_floating_point():
            assert torch.equal(weight, weights[name].half().float())


def test_the_carried_glue_has_the_needed_rows_and_columns(pairs_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(pack, "TASKS", {name: pack.TASKS[name] for name in ("STS-B", "MNLI")})
    pack.pack_glue(pairs_dir, tmp_path / "glue.zip", train_rows=200)
    with zipfile.ZipFile(tmp_path / "glue.zip") as file:
        file.extractall(tmp_path / "glue")
    for task in ("stsb", "mnli"):
        whole, carried = (load_splits(task, glue_dir=folder) for folder in (pairs_dir, tmp_path / "glue"))
        assert carried.test.to_dict() == whole.test.to_dict()
        assert carried.found["train"] == 200
        assert {name: rows.to_dict() for name, rows in carried.further_tests.items()} == {
            name: rows.to_dict() for name, rows in whole.further_tests.items()
        }


def test_a_folder_without_glue_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"train.tsv is missing; give a folder"):
        pack.pack_glue(tmp_path, tmp_path / "glue.zip")


def test_the_study_finds_its_tasks_and_rows_in_what_is_carried():
    study = StudyConfig.load("gpu-day")
    folders = {get_task(task).glue.folder: get_task(task).glue.columns for task in study.tasks}
    assert {name: {*columns} for name, columns in folders.items()} == {
        name: {*columns} for name, columns in pack.TASKS.items()
    }
    assert study.settings["train_size"] + 10 * study.settings["validation_size"] <= pack.TRAIN_ROWS
    assert yaml.safe_load(STUDY.read_text("utf-8"))["settings"]["model"] == "minilm"


def test_imp_has_the_steps_of_the_search():
    study = StudyConfig.load("gpu-day")
    for ending in ("", "-1e-3"):
        imp, search = (study.run_config(f"{method}{ending}", "stsb", 0) for method in ("imp", "search"))
        assert imp.epochs == search.epochs + search.candidates * search.early_epochs
        assert imp.learning_rate == search.learning_rate


@pytest.fixture
def carry(tmp_path):
    root, carry = tmp_path / "checkout", tmp_path / "checkout" / "carry"
    (carry / "wheels").mkdir(parents=True)
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    (root / ".gitignore").write_text("carry\n")
    (root / "code.py").write_bytes(bytes(1000))
    (carry / "wheels" / "a.whl").write_bytes(bytes(30))
    (carry / "minilm.zip").write_bytes(bytes(200))
    return carry


def test_sizes_are_listed_and_ignored_files_are_not_counted_twice(carry):
    found = pack.sizes(carry, carry.parent)
    assert found == {"checkout": 1006, "weights": 200, "wheels": 30}
    assert "1,236 bytes" in pack.table(found) and pack.too_large(found) == []


def test_what_exceeds_a_limit_is_refused(carry, monkeypatch):
    monkeypatch.setattr(pack, "HEAVY", 229)
    assert "weights and wheels have 230 bytes" in pack.too_large(pack.sizes(carry, carry.parent))[0]
    monkeypatch.setattr(pack, "WHOLE", 1235)
    assert len(pack.too_large(pack.sizes(carry, carry.parent))) == 2
