"""The bench of ways of reporting, on small pools."""

import json
from types import SimpleNamespace

import pytest
from datasets import Dataset

from randprune_lab.analysis import answer_records
from randprune_lab.analysis.reporting import WAYS
from randprune_lab.bench import reporting
from randprune_lab.cli import main
from randprune_lab.errors import ConfigError, DataError
from randprune_lab.tasks.spec import get_task


@pytest.fixture
def small(monkeypatch):
    sizes = {"train_size": 48, "validation_size": 30, "batch_size": 8, "dense_epochs": 1, "epochs": 2, "early_last": 2}
    more = {"model": "tiny", "levels": (0.5, 0.9), "evaluate_every": 5}
    monkeypatch.setattr(reporting, "NOW", reporting.NOW | sizes | more)
    for name, value in {"TESTS": 320, "MASKS": 3, "RESTARTS": 2, "EARLY_EVERY": 2, "SEEDS": (0,)}.items():
        monkeypatch.setattr(reporting, name, value)
    monkeypatch.setattr(reporting, "SPARSITIES", (0.9,))
    monkeypatch.setattr(reporting, "SIZES", {"": 100})


def test_pools_are_trained_once_and_reported_in_every_way(small, tmp_path, monkeypatch, capsys):
    told = tmp_path / "json"
    assert main(["bench", "reporting", "--task", "mini-rte", "--out", str(tmp_path), "--json", str(told)]) == 0
    printed = capsys.readouterr().out
    found = json.loads(told.read_text())
    assert {(row["kind"], row["way"]) for row in found} == {(k, w) for k in ("masks", "restarts") for w in WAYS}
    assert all(way in printed for way in WAYS.values())
    (record,) = answer_records(tmp_path)
    assert (record.task, record.sparsity, record.learning_rate, record.masks) == ("mini-rte", 0.9, 4e-3, 3)
    assert record.early_at == (4, 6) and record.at == (5, 10, 12), "one and two epochs of six steps"
    assert record.right.shape == (5, 3, 320) and record.early.shape == (5, 2, 320)
    for kind, group in record.groups.items():
        ends = record.validation[list(group), -1, 1]
        assert len({*ends.tolist()}) == len(group), f"{kind} are different trainings"

    def never(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(reporting, "MagnitudeLevels", never)
    assert json.loads(json.dumps(reporting.bench_reporting(["mini-rte"], tmp_path), default=str)) == found


def test_a_task_without_accuracy_is_refused_before_any_training(tmp_path):
    with pytest.raises(ConfigError, match="the answers of stsb are scores"):
        reporting.bench_reporting(["qnli", "stsb"], tmp_path / "pools")
    assert not (tmp_path / "pools").exists()


def test_the_pools_have_the_settings_of_the_search_of_laptop_and_the_defaults_of_new_studies():
    config = reporting.pool_config("qqp", 1)
    assert (config.model, config.learning_rate, config.early_rate, config.rule) == ("tiny-distilled", 4e-3, 2, "voting")
    assert (config.train_rows, config.checkpoint, config.mask_gradients) == ("seed", "log-loss", True)
    steps = config.epochs * config.train_size // config.batch_size
    assert len(reporting._evaluated(steps, config.evaluate_every)) == 6


def texts(*rows):
    return Dataset.from_dict(
        {"question1": list(rows), "question2": [f"{row}?" for row in rows], "label": [0] * len(rows)}
    )


@pytest.mark.parametrize(("wanted", "found"), [(2, "a b"), (4, "a b d e")], ids=["enough", "too-few"])
def test_further_test_examples_are_train_rows_whose_text_is_not_trained_on(monkeypatch, wanted, found):
    splits = SimpleNamespace(test=texts("a", "b"), train=texts("c"))
    search = SimpleNamespace(
        config=SimpleNamespace(mini_glue=None, task="qqp", glue_dir=None),
        splits=splits,
        task=get_task("qqp"),
        encode=lambda rows: " ".join(rows["question1"]),
    )
    monkeypatch.setattr(reporting, "load_splits", lambda *_, **__: SimpleNamespace(train=texts("C", "d", "e")))
    monkeypatch.setattr(reporting, "TESTS", wanted)
    assert reporting._tests(search) == found
    monkeypatch.setattr(reporting, "TESTS", 9)
    with pytest.raises(DataError, match="qqp has 4 rows"):
        reporting._tests(search)
