"""Which examples pruning loses: definitions by hand, chance by simulation, and what must not change a result."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from randprune_lab.analysis.forgetting import (
    OTHER_BOTH,
    OTHER_DENSE,
    OTHER_METHOD,
    OTHER_SEED,
    losing_level,
    losses,
    losses_by_label,
    lost_consistently,
    phenomena_losses,
    shared_losses,
)
from randprune_lab.analysis.task_record import TaskRecord
from randprune_lab.errors import DataError, UnknownNameError

LEVELS = (0.5, 0.9, 0.99)


def record(right: Mapping[str, np.ndarray], seed: int = 0, dense=None, labels=None, task: str = "qnli") -> TaskRecord:
    """A record of models that answer an example correctly (1) or not (0), at each level."""
    n = len(next(iter(right.values()))[0])
    labels = np.arange(n) % 2 if labels is None else np.array(labels)
    dense = np.ones(n, dtype=int) if dense is None else np.array(dense)
    return TaskRecord(
        task=task,
        seed=seed,
        metric="accuracy",
        levels=LEVELS[: len(next(iter(right.values())))],
        labels=labels,
        dense=np.where(dense, labels, 1 - labels),
        answers={name: np.where(np.array(rows), labels, 1 - labels) for name, rows in right.items()},
        candidates={},
        recipes={},
    )


BY_HAND = record(
    {"imp": [[1, 0, 1, 0, 1, 0], [1, 1, 0, 0, 1, 0], [1, 0, 0, 0, 0, 1]]},
    dense=[1, 1, 1, 1, 0, 0],
)


def test_an_example_is_lost_from_the_level_after_the_last_correct_answer():
    assert losing_level(BY_HAND, "imp").tolist() == [3, 2, 1, 0, 2, 3]


def test_losses_by_hand():
    table = losses([BY_HAND])
    assert table.lost.tolist() == [1 / 4, 2 / 4, 3 / 4]
    assert table.wrong.tolist() == [2 / 4, 2 / 4, 3 / 4]
    assert table.gained.tolist() == [1 / 2, 1 / 2, 1 / 2]


def test_what_is_lost_never_comes_back():
    random = np.random.default_rng(0)
    table = losses([record({"imp": random.integers(2, size=(3, 500))})])
    assert table.lost.is_monotonic_increasing and (table.lost <= table.wrong).all()
    assert table.lost.iloc[-1] == table.wrong.iloc[-1]


def random_records(seeds: int, shift: np.ndarray, random: np.random.Generator, n: int = 400) -> list[TaskRecord]:
    """Two methods whose chance to be right falls with the level; `shift` lowers it, by example."""
    chances = np.array([0.9, 0.8, 0.6])[:, None]
    return [
        record({name: random.random((3, n)) < chances - shift for name in ("a", "b")}, seed, random.random(n) < 0.9)
        for seed in range(seeds)
    ]


def test_independent_models_share_losses_as_often_as_by_chance():
    table = shared_losses(random_records(4, np.zeros(400), np.random.default_rng(1)))
    assert set(table.relation) == {OTHER_METHOD, OTHER_SEED, OTHER_BOTH, OTHER_DENSE}
    last = table[table.sparsity == 0.99]
    assert (last.shared / last.chance).to_numpy() == pytest.approx(np.ones(4), abs=0.12)


def test_a_label_that_is_always_lost_makes_no_losses_shared_or_repeated():
    labels = np.arange(400) % 2
    records = [record({"a": np.tile(labels, (3, 1)), "b": np.tile(labels, (3, 1))}, seed) for seed in range(3)]
    shared = shared_losses(records).query("relation != @OTHER_DENSE")
    assert shared.shared.to_numpy() == pytest.approx(1) and shared.chance.to_numpy() == pytest.approx(1)
    assert not lost_consistently(records).consistently.any()


def test_shared_losses_by_hand():
    first = record({"a": [[0, 0, 1, 1, 1, 1]]}, 0, labels=[0] * 6)
    second = record({"a": [[0, 1, 0, 1, 1, 0]]}, 1, dense=[1, 1, 1, 1, 1, 0], labels=[0] * 6)
    rows = shared_losses([first, second]).set_index("relation")
    same = rows.loc[OTHER_SEED]  # among the first five, the first loses two and the second two, one of them the same
    assert (same.pairs, same.shared, same.chance) == (1, 1 / 2, pytest.approx(2 / 5))
    other = rows.loc[OTHER_DENSE]  # the last is wrong in the second dense model, and in no model of the first
    assert (other.pairs, other.shared) == (2, 0)


def test_labels_by_hand():
    table = losses_by_label([BY_HAND]).set_index(["label", "sparsity"])  # the dense model knows 0 and 2, 1 and 3
    assert table.examples.tolist() == [2] * 6
    assert table.wrong.to_dict() == {
        (0, 0.5): 0,
        (0, 0.9): 0.5,
        (0, 0.99): 0.5,
        (1, 0.5): 1,
        (1, 0.9): 0.5,
        (1, 0.99): 1,
    }


def test_an_example_is_lost_from_the_sparsity_at_which_half_of_the_models_have_lost_it():
    rows = [[[1], [1], [0]], [[1], [0], [0]], [[1], [1], [1]], [[0], [0], [0]]]
    right = [np.tile(np.array(each), (1, 3)) for each in rows]
    records = [record({"a": right[2 * seed], "b": right[2 * seed + 1]}, seed, labels=[0] * 3) for seed in (0, 1)]
    assert lost_consistently(records).set_index("example").loc[0, "from"] == 0.9  # the models: 0.99, 0.9, none, 0.5
    assert np.isnan(lost_consistently([record({"a": right[2]}, seed, labels=[0] * 3) for seed in (0, 1)])["from"]).all()


def test_weak_examples_are_found_and_others_seldom():
    random, weak = np.random.default_rng(2), np.arange(400) < 20
    table = lost_consistently(random_records(5, np.where(weak, 0.75, 0.0), random))
    assert table[table.consistently].example.isin(np.flatnonzero(weak)).mean() > 0.8
    assert table.query("consistently").example.size > 5
    assert (table.q >= table.p).all() and table.p.is_monotonic_increasing


def test_only_what_all_dense_models_know_is_tested():
    records = random_records(3, np.zeros(400), np.random.default_rng(3))
    known = np.logical_and.reduce([one.dense == one.labels for one in records])
    assert sorted(lost_consistently(records).example) == np.flatnonzero(known).tolist()


def test_the_order_of_seeds_and_tasks_changes_nothing():
    random = np.random.default_rng(4)
    records = [
        *random_records(3, np.zeros(400), random),
        *(
            record({"a": one.answers["a"] == one.labels, "b": one.answers["b"] == one.labels}, one.seed, task="rte")
            for one in random_records(2, np.zeros(400), random)
        ),
    ]
    for table in (lost_consistently, shared_losses):
        key = ["task", "example"] if table is lost_consistently else ["task", "sparsity", "relation"]
        one, other = (table(each).sort_values(key).reset_index(drop=True) for each in (records, records[::-1]))
        numbers = [name for name in one if one[name].dtype.kind == "f"]
        np.testing.assert_allclose(one[numbers], other[numbers])


def test_phenomena_are_compared_within_their_label():
    """The phenomenon occurs mostly with one label, which is lost more often: that alone is no difference."""
    random = np.random.default_rng(5)
    labels = np.arange(2000) % 2
    has = random.random(2000) < np.where(labels, 0.8, 0.2)
    told = {"qnli": [frozenset({"negation"} if each else ()) for each in has]}
    records = [record({"a": random.random((1, 2000)) < np.where(labels, 0.5, 0.9)}, seed) for seed in range(4)]
    [row] = phenomena_losses(records, told).itertuples()
    assert row.low < 0 < row.high and row.examples == has.sum()
    assert has[labels == 1].mean() > 3 * has[labels == 0].mean(), "the label would explain a large difference"


def test_a_phenomenon_that_makes_examples_be_lost_is_found():
    random = np.random.default_rng(6)
    has = random.random(2000) < 0.3
    told = {
        "qnli": [frozenset({"passive"} if each else {"other"} if place % 5 else ()) for place, each in enumerate(has)]
    }
    records = [record({"a": random.random((1, 2000)) < np.where(has, 0.6, 0.8)}, seed) for seed in range(4)]
    row = phenomena_losses(records, told).set_index("phenomenon").loc["passive"]
    assert row.low < 20 < row.high and row.holm < 0.01
    assert (row.having, row.lacking) == (pytest.approx(0.4, abs=0.05), pytest.approx(0.2, abs=0.05))


def test_one_seed_has_no_interval():
    told = {"qnli": [frozenset({"passive"}), frozenset({"passive"}), *[frozenset()] * 4]}
    [row] = phenomena_losses([record({"a": [[0, 1, 1, 1, 0, 1]]})], told).itertuples()
    assert (row.low, row.high) == (-np.inf, np.inf) and np.isnan(row.holm)


def test_errors_name_the_thing():
    score = TaskRecord("stsb", 0, "pearson", (0.9,), np.float32([1]), np.float32([1]), {"a": np.float32([[1]])}, {}, {})
    with pytest.raises(DataError, match=r"no task has labels.*stsb"):
        losses([score])
    with pytest.raises(UnknownNameError, match="did you mean 'imp'"):
        losses([BY_HAND], ["imps"])
    with pytest.raises(DataError, match="run further seeds"):
        lost_consistently([BY_HAND])
    with pytest.raises(DataError, match="seeds 0 and 1 have other test examples"):
        shared_losses([BY_HAND, record({"imp": [[1, 0]]}, 1)])
    with pytest.raises(DataError, match="6 test examples, got the phenomena of 1"):
        phenomena_losses([BY_HAND], {"qnli": [frozenset()]})
