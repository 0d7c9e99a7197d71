"""Pairs of methods: what is chosen on the validation set, what is compared, and how it is corrected."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest

from randprune_lab.analysis.pairs import COLUMNS, at_chosen, comparisons, factor_pairs, pairs
from randprune_lab.analysis.recorded import RESULTS
from randprune_lab.errors import DataError
from randprune_lab.stats.holm import holm
from randprune_lab.stats.tasks import fixed_test

CRITERIA, MASKS, RATES = ("magnitude", "fisher"), ("top", "random"), ("slow", "fast")
VALUES = {
    f"{criterion}-{mask}-{rate}": {"criterion": criterion, "mask": mask, "rate": rate}
    for criterion, mask, rate in product(CRITERIA, MASKS, RATES)
}
PLACES = [*product(("a", "b"), (0, 1, 2))]


def results(score, validation=lambda method, task, seed: 0.5) -> pd.DataFrame:
    """A table of results with one level, and the dense models."""
    rows = [
        {"task": task, "seed": seed, "method": method, "sparsity": sparsity, "metric": "accuracy", "steps": 1}
        | {"score": score(method, task, seed), "validation": validation(method, task, seed)}
        for (task, seed), (method, sparsity) in product(PLACES, [("dense", 0.0), *product(VALUES, [0.9])])
    ]
    return pd.DataFrame(rows, columns=[*RESULTS])


def noise(*names) -> float:
    return np.random.default_rng([*"/".join(map(str, names)).encode()]).normal(scale=0.01)


def test_a_seed_does_not_choose_its_own_rate():
    """Seed 0 is much better with the fast rate, the others a little better with the slow one. So these choose slow for
    seed 0, and seed 0 outweighs the one other of each of them. All seeds together, or each alone, choose otherwise.
    """

    def validation(method, task, seed):
        return 1.0 * method.endswith("fast") if seed == 0 else 0.2 * method.endswith("slow")

    def score(method, task, seed):
        return 1.0 if method.endswith("fast") else 0.0

    table = at_chosen(results(score, validation), VALUES, "rate")
    assert len(table) == len(PLACES) * 4 and set(table.method) == {"-".join(m) for m in product(CRITERIA, MASKS)}
    assert set(table.rate[table.seed == 0]) == {"slow"}
    assert set(table.rate[table.seed > 0]) == {"fast"}
    assert (table.score == (table.rate == "fast")).all()


def test_what_lacks_a_value_neither_chooses_nor_is_compared():
    """Fast is better wherever both are; slow is missing with seed 1, which would pull the mean of fast down. And seed 1
    has nothing to choose from, so its method would be compared with others at the best of two rates.
    """
    scores = {("fast", 0): 0.95, ("fast", 1): 0.60, ("fast", 2): 0.80, ("slow", 0): 0.90, ("slow", 2): 0.70}
    table = results(noise, lambda method, task, seed: scores.get((method.split("-")[-1], seed), 0.0))
    lacking = table.method.isin(["fisher-top-slow", "fisher-random-slow"]) & (table.seed == 1)
    chosen = at_chosen(table[~lacking], VALUES, "rate")
    fisher = chosen[chosen.method.str.startswith("fisher")]
    assert set(fisher.rate) == {"fast"} and set(fisher.seed) == {0, 2}
    assert set(chosen.seed[chosen.method.str.startswith("magnitude")]) == {0, 1, 2}


def test_a_seed_that_no_other_can_choose_for_is_left_out():
    """One method is done with one seed of task a alone: no validation score but its own says which rate it takes."""
    table = results(noise, noise)
    late = table.method.str.startswith("fisher-top") & (table.task == "a") & (table.seed > 0)
    chosen = at_chosen(table[~late], VALUES, "rate")
    assert set(chosen.task[chosen.method == "fisher-top"]) == {"b"}
    whole = at_chosen(table, VALUES, "rate")
    pd.testing.assert_frame_equal(chosen, whole[(whole.method != "fisher-top") | (whole.task == "b")])


def test_where_no_seed_can_choose_for_another_there_is_no_comparison_yet():
    """The state of a study whose second seed has begun with another method."""
    table = results(noise, noise)
    begun = table[(table.seed == 0) ^ table.method.str.startswith("fisher")].query("seed < 2")
    assert set(begun.groupby("task").seed.nunique()) == {2}
    assert comparisons(begun, VALUES, "rate").shape == (0, 1 + len(COLUMNS))


def test_rows_of_two_tables_may_have_the_same_numbers():
    """As after `pd.concat` of two records."""
    table = results(noise, noise)
    two = [table[table.seed == 0], table[table.seed > 0]]
    chosen = at_chosen(pd.concat([part.reset_index(drop=True) for part in two]), VALUES, "rate")
    key = ["task", "seed", "method"]
    expected = at_chosen(table, VALUES, "rate")
    pd.testing.assert_frame_equal(*(each.sort_values(key).reset_index(drop=True) for each in (chosen, expected)))


def test_a_rate_is_chosen_for_each_task_method_and_level():
    best = {("a", "magnitude-top"): "fast", ("b", "magnitude-top"): "slow", ("a", "fisher-random"): "slow"}

    def validation(method, task, seed):
        name, _, rate = method.rpartition("-")
        return float(best.get((task, name), "fast") == rate)

    table = at_chosen(results(lambda *_: 0.0, validation), VALUES, "rate")
    for row in table.itertuples():
        assert row.rate == best.get((row.task, row.method), "fast")


def test_pairs_are_paired_by_task_and_seed_and_corrected_for_all_of_them():
    def score(method, task, seed):
        return 0.7 + noise(task, seed) + noise(method, task, seed) + 0.2 * method.startswith("fisher-top")

    table = at_chosen(results(score), VALUES, "rate")
    found = pairs(table)
    names = [*dict.fromkeys(table.method)]
    assert [*zip(found["first"], found["second"], strict=True)] == [*combinations(names, 2)]
    scores = table.pivot(index=["task", "seed"], columns="method", values="score")
    for row in found.itertuples():
        first, second = scores[row.first], scores[row.second]
        assert row.units == 6 and row.difference == pytest.approx(100 * (first - second).mean())
        by_task = (100 * (first - second)).groupby(level="task").apply(list).to_dict()
        assert row.p == pytest.approx(fixed_test(by_task).p)
        assert row.low < row.difference < row.high and (row.low > 0 or row.high < 0) == (row.p < 0.05)
    assert found.holm.to_numpy() == pytest.approx(holm(found.p.to_numpy()))
    ahead = {"ahead": found["first"], "behind": found["second"]}
    best = {ahead[row.verdict][row.Index] for row in found.itertuples() if row.verdict in ahead}
    assert best == {"fisher-top"}, "it is ahead of all others, and no other is ahead of any"


def test_a_factor_is_compared_where_all_others_are_equal():
    """The random masks of one criterion are missing: its top masks are not compared with them."""

    def score(method, task, seed):
        return 0.5 + 0.3 * ("-random-" in method) + 0.1 * method.startswith("fisher") + noise(method, task, seed) / 10

    table = at_chosen(results(score), VALUES, "rate")
    whole = factor_pairs(table, "criterion", ["mask"])
    part = factor_pairs(table[table.method != "magnitude-random"], "criterion", ["mask"])
    for found in (whole, part):
        assert found.difference[0] == pytest.approx(-10, abs=0.2) and found.units[0] == 6
        assert found.verdict[0] == "behind" and (found["first"][0], found["second"][0]) == CRITERIA


def test_seeds_that_do_not_vary_show_nothing():
    def score(method, task, seed):
        return 0.5 + 0.1 * method.startswith("fisher")

    found = pairs(at_chosen(results(score), VALUES, "rate"))
    assert set(found.verdict) == {"no clear difference"} and found.p.isna().all()
    assert np.isneginf(found.low).all() and np.isposinf(found.high).all()


def test_all_comparisons_of_a_study_are_in_one_table():
    found = comparisons(results(noise), VALUES, "rate")
    assert [*dict.fromkeys(found["of"])] == ["criterion", "mask", "method"]
    assert found["of"].value_counts().to_dict() == {"criterion": 1, "mask": 1, "method": 6}
    for _, rows in found.groupby("of"):
        assert rows.holm.to_numpy() == pytest.approx(holm(rows.p.to_numpy())), "each is corrected for its own rows"
    assert found.holm.to_numpy() != pytest.approx(holm(found.p.to_numpy()))


def test_a_value_may_have_the_name_of_the_dense_model():
    table = results(noise)
    values = {name: {**each, "mask": "dense" if each["mask"] == "top" else "sparse"} for name, each in VALUES.items()}
    found = factor_pairs(at_chosen(table, values, "rate"), "mask", ["criterion"])
    assert [*zip(found["first"], found["second"], strict=True)] == [("dense", "sparse")]


def test_a_single_seed_cannot_choose():
    table = results(noise)
    with pytest.raises(DataError, match=r"task a has one seed, so no other seed can choose its rate; run a second"):
        at_chosen(table[table.seed == 0], VALUES, "rate")
    assert len(at_chosen(table[table.seed == 0], VALUES, "")) == 2 * len(VALUES)


def test_holm_is_the_step_down_procedure():
    p = np.random.default_rng(0).uniform(size=50) ** 3
    order = np.argsort(p)
    rejected = np.zeros(50, dtype=bool)
    for rank, index in enumerate(order):  # as Holm states it: until the first that is not rejected
        if p[index] > 0.05 / (50 - rank):
            break
        rejected[index] = True
    adjusted = holm(p)
    assert 0 < rejected.sum() < 50 and ((adjusted <= 0.05) == rejected).all()
    assert (adjusted >= p).all() and (np.diff(adjusted[order]) >= 0).all() and adjusted.max() <= 1


def test_holm_leaves_out_what_has_no_p_value():
    adjusted = holm(np.array([0.01, np.nan, 0.04]))
    assert adjusted[[0, 2]] == pytest.approx([0.02, 0.04]) and np.isnan(adjusted[1])
    assert len(holm(np.array([]))) == 0
