"""Results are too good by what their reported examples chose: by nothing, by the expected maximum, or in between."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from support.made_up import answer_record

from randprune_lab.analysis.answer_record import FORMAT, KIND, AnswerRecord
from randprune_lab.analysis.reporting import (
    DRAWN,
    WAYS,
    inflation_by_size,
    inflation_table,
    reported_gains,
    shown_and_true,
)
from randprune_lab.errors import ConfigError, FileError
from randprune_lab.sealed import read_arrays, write_arrays
from randprune_lab.stats.tasks import over_tasks
from randprune_lab.stats.winners_curse import best_of

SIZE = 100


def gains(record: AnswerRecord, kind: str = "masks", column: str = "inflation", **settings: int) -> pd.Series:
    table = reported_gains([record], [SIZE], **settings)
    return table[table.kind == kind].set_index("way")[column]


# --- laws ---


def test_reported_and_true_accuracies_are_of_disjoint_examples_that_are_all_there_are():
    right = answer_record().right
    reported = np.random.default_rng(0).permuted(np.tile(np.arange(right.shape[2]), (6, 1)), axis=1)[:, :SIZE]
    shown, true = shown_and_true(right, reported)
    whole = right.mean(axis=2)
    assert (SIZE * shown + (right.shape[2] - SIZE) * true) / right.shape[2] == pytest.approx(np.tile(whole, (6, 1, 1)))
    only = np.zeros((1, 1, right.shape[2]), dtype=bool)
    only[0, 0, reported[0]] = True
    shown, true = shown_and_true(only, reported[:1])
    assert (shown.item(), true.item()) == (1, 0)


@pytest.mark.parametrize("kind", ["masks", "restarts"])
def test_candidates_with_equal_answers_are_reported_as_they_are(kind):
    one = answer_record()
    same = np.broadcast_to(one.right[:1, :1], one.right.shape)
    record = dataclasses.replace(one, right=same, early=np.broadcast_to(one.early[:1, :1], one.early.shape))
    assert gains(record, kind).abs().max() < 1e-12
    assert gains(record, kind, "gain").abs().max() < 1e-12


def test_the_best_of_8_independent_candidates_is_too_good_by_the_expected_maximum():
    """Over 40 records; a false alarm, beyond 4.5 standard errors, is one in 100,000 for each way."""
    records = [answer_record(chance=0.7, checkpoints=1, seed=seed) for seed in range(40)]
    found = pd.DataFrame([gains(record, repetitions=20) for record in records])
    noise = math.sqrt(0.7 * 0.3 / SIZE)
    expected = {"honest": 0, "accuracy": 0, "mask": 0, "checkpoint": 0, "best of 8": best_of(DRAWN, 0, noise)[0]}
    for way, curse in {**expected, "everything": expected["best of 8"]}.items():
        assert abs(found[way].mean() - curse) < 4.5 * found[way].std() / math.sqrt(len(records)), way
    assert found["best of 8"].mean() > 0.05


def test_a_checkpoint_that_is_chosen_is_too_good_by_the_expected_maximum_too():
    records = [answer_record(chance=0.7, checkpoints=4, seed=seed) for seed in range(40)]
    found = pd.DataFrame([gains(record, repetitions=20) for record in records])
    noise = math.sqrt(0.7 * 0.3 / SIZE)
    for way, trained in {"checkpoint": 4, "everything": 4 * DRAWN}.items():
        curse = best_of(trained, 0, noise)[0]
        assert abs(found[way].mean() - curse) < 4.5 * found[way].std() / math.sqrt(len(records)), way


def test_an_early_choice_on_the_reported_examples_is_as_bad_as_its_luck_survives():
    """If the answers of an early evaluation are those of the end, choosing the mask early is choosing the best of 8."""
    one = answer_record(chance=0.7, checkpoints=1, looks=1)
    found = gains(dataclasses.replace(one, early=one.right))
    assert found["mask"] == found["best of 8"] > 0.03


def test_what_chooses_among_more_reports_no_less():
    """The reported accuracy is the truth and what is too good of it."""
    one = answer_record()
    reported = gains(one) + gains(one, column="gain")
    assert reported["everything"] >= max(reported["best of 8"], reported["checkpoint"])
    assert reported["checkpoint"] >= reported["honest"] and reported["best of 8"] >= reported["mask"]


def test_the_honest_way_is_that_of_the_validation_set_and_gains_what_it_finds():
    """One mask and one checkpoint are better than all others, and the validation set knows it."""
    one = answer_record(chance=0.5, masks=DRAWN)
    right, early_validation, validation = one.right.copy(), one.early_validation.copy(), one.validation.copy()
    right[3, 2], early_validation[3, :, 0], validation[3, 2, 1] = True, 1, 0
    record = dataclasses.replace(one, right=right, early_validation=early_validation, validation=validation)
    assert gains(record, column="gain")["honest"] > 0.45
    assert (gains(record, "restarts", "gain") < 0.1).all()
    validation[3, 2] = np.nan  # it diverged
    assert gains(dataclasses.replace(record, validation=validation), column="gain")["honest"] < 0.1


def test_a_checkpoint_by_accuracy_is_that_of_the_validation_set():
    """All masks have a better checkpoint, which the accuracy on the validation set shows and the log-likelihood not."""
    one = answer_record(chance=0.5)
    right, validation = one.right.copy(), one.validation.copy()
    right[:, 2], validation[:, 2] = True, (1, -np.inf)
    record = dataclasses.replace(one, right=right, validation=validation)
    found = gains(record, column="gain")
    assert found["accuracy"] > 0.45 > 0.05 > found["honest"]


def test_the_same_seed_draws_the_same_examples():
    one = answer_record()
    pd.testing.assert_frame_equal(reported_gains([one], [50, SIZE]), reported_gains([one], [50, SIZE]))
    alone = reported_gains([one], [SIZE])
    pd.testing.assert_frame_equal(reported_gains([one], [50, SIZE])[len(alone) :].reset_index(drop=True), alone)
    assert (gains(one) != gains(one, seed=1)).any()


# --- means ---


def test_means_are_over_tasks_seeds_count_once_and_intervals_are_those_over_tasks():
    rows = [
        {"task": task, "seed": seed, "sparsity": sparsity, "kind": "masks", "way": "mask", "size": SIZE, "inflation": x}
        for task, seed, sparsity, x in [
            *(("qnli", 0, 0.9, 0.01), ("qnli", 0, 0.99, 0.03), ("qnli", 1, 0.9, 0.05)),
            *(("mnli", 0, 0.9, 0.02), ("mnli", 1, 0.9, 0.04)),
        ]
    ]
    summary = inflation_by_size(pd.DataFrame(rows))
    expected = over_tasks({"qnli": [0.02, 0.05], "mnli": [0.02, 0.04]})
    (row,) = summary.to_dict("records")
    assert (row["estimate"], row["low"], row["high"]) == dataclasses.astuple(expected)
    assert row["records"] == 5
    assert inflation_table(summary).loc["mask", SIZE] == expected.in_points(signed=True)


def test_every_way_and_kind_has_a_row_for_each_size():
    summary = inflation_by_size(reported_gains([answer_record()], [50, SIZE], repetitions=3))
    assert len(summary) == 2 * 2 * len(WAYS) and summary.low.eq(-np.inf).all(), "one task has no interval"
    assert list(inflation_table(summary, "restarts").index) == list(WAYS)


@pytest.mark.parametrize(
    ("record", "size", "message"),
    [
        (answer_record(restarts=0), SIZE, "the record of qnli, seed 0 has no restarts"),
        (answer_record(), 400, r"size must be in \[1, 400\), got 400"),
    ],
    ids=["no-restarts", "no-truth"],
)
def test_a_record_that_cannot_say_it_is_refused(record, size, message):
    with pytest.raises(ConfigError, match=message):
        reported_gains([record], [size])


# --- files ---


def test_a_saved_answer_record_is_loaded_unchanged(tmp_path):
    saved = answer_record()
    saved.save(tmp_path / "one")
    loaded = AnswerRecord.load(tmp_path / "one")
    for name, value in vars(saved).items():
        assert np.array_equal(getattr(loaded, name), value), name
    assert loaded.groups == {"masks": range(10), "restarts": range(10, 18)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays, about: about.update(tests=8), "other shapes"),
        (lambda arrays, about: about.update(at=[1]), "other shapes"),
        (lambda arrays, about: about.update(masks=99), "must have candidates"),
        (lambda arrays, about: about.pop("model"), "model"),
        (lambda arrays, about: arrays["validation"].fill(np.nan), "must be finite"),
        (lambda arrays, about: arrays.pop("early"), "it lacks early"),
    ],
    ids=["tests", "checkpoints", "masks", "model", "scores", "early"],
)
def test_a_damaged_answer_record_is_refused(tmp_path, change, message):
    answer_record().save(tmp_path / "one")
    arrays, about = read_arrays(tmp_path / "one", KIND, FORMAT, "")
    arrays = {name: values.copy() for name, values in arrays.items()}
    change(arrays, about)
    write_arrays(tmp_path / "two", KIND, FORMAT, arrays, about)
    with pytest.raises(FileError, match=message):
        AnswerRecord.load(tmp_path / "two")
