"""Whole searches on a regression task, on a task with two test sets, and on custom data."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import matthews_corrcoef

import randprune_lab as rp
from randprune_lab.analysis.text import describe_run
from randprune_lab.errors import ConfigError, RunError
from randprune_lab.search.journal import read_journal
from randprune_lab.search.run_files import load_predictions
from randprune_lab.tasks import get_task
from randprune_lab.viz.figures import accuracy_by_sparsity, early_scores

SCORED = ("dense", "search-level-1", "imp-level-1")


@pytest.fixture(scope="module")
def custom(config, tmp_path_factory) -> rp.RunRecord:
    """A search on custom data with three classes, whose names come from the file."""
    folder = tmp_path_factory.mktemp("custom")
    words = {"awful": "bad", "fine": "good", "film": "so so"}
    rows = [(f"the {word} plot {i}", mood) for i in range(60) for word, mood in words.items()]
    lines = [json.dumps({"review": text, "mood": mood}) for text, mood in rows]
    (folder / "moods.jsonl").write_text("\n".join(lines))
    data = {"data": str(folder / "moods.jsonl"), "text_columns": ("review",), "label_column": "mood"}
    unset = {"task": "rotten_tomatoes", "glue_dir": None, "dense_epochs": 8}
    data |= {"metric": "matthews_correlation"}
    small = dataclasses.replace(config, levels=(0.5,), candidates=2, baselines=("imp",), **data, **unset)
    return rp.RunRecord.load(rp.run(small, folder / "run", progress=False))


# --- regression ---


def test_regression_is_scored_by_the_correlation(regression):
    record = rp.RunRecord.load(regression)
    assert record.task == dataclasses.replace(get_task("stsb"), glue=None)
    for name in SCORED:
        logits, labels = load_predictions(regression, f"test-{name}")
        assert logits.shape == (90, 1) and labels.dtype == np.float32
        pearson = pearsonr(logits[:, 0].astype(float), labels.astype(float)).statistic
        assert record.units[f"test/{name}"]["pearson"] == pytest.approx(pearson)
        interval = record.score(name)
        assert interval.estimate == pytest.approx(pearson) and interval.low < pearson < interval.high
    assert record.score("dense").estimate > 0.8
    assert record.difference("dense", "dense").high == 0.0


def test_the_metric_of_regression_is_named(regression):
    record = rp.RunRecord.load(regression)
    text, summary = describe_run(record), record.summary()
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    unit = summary["dense"]["test"]
    assert f"dense      test pearson {record.score('dense').in_points()}, spearman {100 * unit['spearman']:.1f}" in text
    assert (
        f"search minus imp: {record.difference(*SCORED[1:]).in_points(signed=True)}" in text and "accuracy" not in text
    )
    assert [row["metric"] for row in summary["differences"]] == ["pearson"]
    axis = accuracy_by_sparsity(record).axes[0]
    assert axis.get_ylabel() == "pearson, test set (points)"
    assert early_scores(record, 1) is not None


def test_regression_has_no_accuracy(regression):
    with pytest.raises(RunError, match="task 'stsb' is a regression, so no answer is correct or wrong"):
        rp.RunRecord.load(regression).accuracy("dense")


def test_a_saved_regression_model_is_a_regression_model(regression):
    model, _ = rp.load_model(str(regression / "model"), task=get_task("stsb"))
    assert model.config.id2label == {0: "score"} and model.config.problem_type == "regression"


# --- two test sets ---


def test_both_test_sets_are_scored_and_recorded(two_tests):
    record = rp.RunRecord.load(two_tests)
    assert record.units["data"]["test"] == 60 and record.units["data"]["test_mismatched"] == 50
    for name in SCORED:
        for test_set, size in (("", 60), ("mismatched", 50)):
            logits, labels = load_predictions(two_tests, f"test-{name}" + (test_set and f"-{test_set}"))
            assert logits.shape == (size, 3)
            accuracy = float((logits.argmax(1) == labels).mean())
            metric = "accuracy" + (test_set and f"_{test_set}")
            assert record.units[f"test/{name}"][metric] == pytest.approx(accuracy)
            assert record.score(name, test_set).estimate == pytest.approx(accuracy)


def test_both_test_sets_are_shown(two_tests):
    record = rp.RunRecord.load(two_tests)
    text, summary = describe_run(record), record.summary()
    assert "validation, 60 test, 50 test mismatched examples from" in text
    scores = [record.score("dense", test_set).in_points() for test_set in ("", "mismatched")]
    both = f"test accuracy {scores[0]}, accuracy mismatched {scores[1]}"
    assert f"dense      {both}" in text
    difference = record.difference(*SCORED[1:], "mismatched").in_points(signed=True)
    assert f"search minus imp, mismatched: {difference}" in text
    assert list(summary["dense"]["test_intervals"]) == ["accuracy", "accuracy_mismatched"]
    assert [row["metric"] for row in summary["differences"]] == ["accuracy", "accuracy_mismatched"]


def test_the_test_sets_are_scored_after_everything_else(two_tests, regression):
    for folder in (two_tests, regression):
        names = list(read_journal(folder))
        first = next(number for number, name in enumerate(names) if name.startswith("test/"))
        assert all(name.startswith("test/") or name == "model" for name in names[first:])


# --- custom data ---


def test_custom_data_are_searched_like_a_task(custom):
    assert custom.finished and custom.task.name == "moods" and custom.task.labels == ("bad", "good", "so so")
    assert custom.units["data"]["labels"]["test"] == {"bad": 12, "good": 12, "so so": 12}
    assert custom.units["data"]["found"] == {"all": 180}
    assert "moods: 108 train, 36 validation, 36 test examples from custom data" in describe_run(custom)


def test_the_chosen_metric_is_the_primary_one_of_all_scores(custom):
    assert list(custom.units["test/dense"]) == ["matthews", "accuracy", "macro_f1"]
    logits, labels = load_predictions(custom.path, "test-search-level-1")
    assert custom.score("search-level-1").estimate == pytest.approx(matthews_corrcoef(labels, logits.argmax(1)))
    assert f"dense      test matthews {custom.score('dense').in_points()}, accuracy" in describe_run(custom)
    assert [row["metric"] for row in custom.summary()["differences"]] == ["matthews"]
    assert [*custom.summary()["dense"]["test_intervals"]] == ["matthews"]


def test_a_metric_that_does_not_fit_the_classes_of_custom_data_is_refused_before_training(custom, tmp_path):
    wrong = dataclasses.replace(custom.config, metric="f1")
    with pytest.raises(ConfigError, match="metric 'f1' does not fit 'moods', which has 3 classes; choose accuracy"):
        rp.run(wrong, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("units", [{}, {"data": {}}])
def test_custom_data_that_have_not_been_read_have_their_own_name(custom, units):
    for name, task in (("moods", "rotten_tomatoes"), ("mine", "mine")):
        config = dataclasses.replace(custom.config, task=task)
        assert f"task       {name}: " in describe_run(rp.RunRecord(custom.path, config, units))


def test_a_dense_model_that_has_learnt_nothing_is_named_by_the_run_and_by_show(config, tmp_path, caplog):
    """At this learning rate, its answers stay those of its random head."""
    untrained = dataclasses.replace(config, dense_epochs=1, dense_learning_rate=1e-12, levels=(0.5,), candidates=1)
    record = rp.RunRecord.load(rp.run(untrained, tmp_path / "run", progress=False))
    said, labels = record.answers("dense")
    assert len(set(said)) == 1 < len(set(labels))
    warning = f"the dense model answers the same for all {len(labels)} test examples"
    assert f"\nwarning    {warning}" in describe_run(record) and record.summary()["warnings"] == record.warnings
    assert "the dense model answers the same for all 40 validation examples" in caplog.text


def test_the_model_of_custom_data_has_the_names_of_the_classes(custom):
    labels = json.loads((custom.path / "model" / "config.json").read_text())["id2label"]
    assert labels == {"0": "bad", "1": "good", "2": "so so"}


def test_changed_custom_data_are_refused(custom, tmp_path):
    with Path(custom.config.data).open("a", encoding="utf-8") as file:
        file.write('\n{"review": "one more", "mood": "good"}')
    with pytest.raises(RunError, match=r"the data from custom data .* has changed"):
        rp.run(custom.config, custom.path, resume=True, progress=False)


def test_classes_without_rows_are_named_by_the_run_and_by_show(config, custom, tmp_path):
    lines = [json.dumps({"text": f"the film {i}", "label": "ab"[i % 2] if i else "rare"}) for i in range(40)]
    (tmp_path / "rare.jsonl").write_text("\n".join(lines))
    from randprune_lab.search.run import Search

    unset = {"task": "rotten_tomatoes", "glue_dir": None, "data": str(tmp_path / "rare.jsonl")}
    search = Search(dataclasses.replace(config, **unset, validation_size=4, test_size=4), progress=False)
    roles = {name: encoded.labels.tolist() for name, encoded in search.used.items()}
    assert search.label_warnings() == [
        f"the {name} set has no row of class 'rare'; add rows of it"
        for name, labels in roles.items()
        if 2 not in labels
    ]
    assert len(search.label_warnings()) == 2
    assert custom.units["data"]["warnings"] == custom.warnings == [] and "warning" not in describe_run(custom)
    custom.units["data"]["warnings"] = ["one", "two"]
    assert "\nwarning    one\nwarning    two\n" in describe_run(custom)
    custom.units["data"]["warnings"] = []


def test_a_too_long_input_is_an_error_with_a_remedy(config, tmp_path):
    lines = [json.dumps({"text": "the film " * 40 + str(i), "label": i % 2}) for i in range(40)]
    (tmp_path / "long.jsonl").write_text("\n".join(lines))
    unset = {"task": "rotten_tomatoes", "glue_dir": None, "data": str(tmp_path / "long.jsonl")}
    long = dataclasses.replace(config, **unset)
    with pytest.raises(ConfigError, match=r"takes at most 32 tokens, but an input has 83; give max_length .* 32"):
        rp.run(long, tmp_path / "run", progress=False)
    short = dataclasses.replace(long, max_length=32)
    from randprune_lab.search.run import Search

    assert Search(short, progress=False).train.lengths.max() == 32
