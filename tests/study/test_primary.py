"""The differences that a study was made to test: written down before, and judged only when all units are done."""

from __future__ import annotations

import json
import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
from study.test_factors import FACTORS, study

from randprune_lab.analysis import data_folder
from randprune_lab.analysis.pairs import pairs, primary_differences
from randprune_lab.errors import ConfigError, RunError, UnknownNameError
from randprune_lab.study import Grid, StudyConfig, recorded_primary, run_study, write_results
from randprune_lab.study.grid import check_grown

ONE = {"first": "random", "second": "top", "sparsity": 0.9, "expected": 2.0}


def results(lead: float, seeds=(0, 1, 2), noise: float = 0.002) -> pd.DataFrame:
    """Two methods at two rates, of which the validation set prefers the second."""
    random = np.random.default_rng(0)
    rows = [
        {
            "task": task,
            "seed": seed,
            "method": f"{mask}-{rate}",
            "sparsity": 0.9,
            "steps": 1,
            "score": 0.7 + lead * (mask == "random") - 0.1 * (rate == "5e-4") + noise * random.normal(),
            "validation": 0.7 - 0.1 * (rate == "5e-4"),
        }
        for task, seed, mask, rate in product("ab", seeds, ("top", "random"), ("5e-4", "1e-3"))
    ]
    return pd.DataFrame(rows)


def primary(table: pd.DataFrame, units: int = 6, **differences) -> pd.DataFrame:
    config = study(primary=differences or {"mask": ONE})
    return primary_differences(table, config.primary, config.combinations, config.chosen, units)


@pytest.mark.parametrize(("lead", "verdict"), [(0.02, "ahead"), (-0.02, "behind"), (0.0, "no clear difference")])
def test_a_difference_is_the_first_minus_the_second_at_the_chosen_rate(lead, verdict):
    [row] = primary(results(lead)).itertuples()
    assert (row.primary, row.expected, row.units, row.verdict) == ("mask", 2.0, 6, verdict)
    assert row.low < row.difference < row.high and row.difference == pytest.approx(100 * lead, abs=0.5)


def test_the_order_of_the_two_methods_only_changes_the_sign():
    table = results(0.02)
    [one] = primary(table).itertuples()
    [other] = primary(table, mask=ONE | {"first": "top", "second": "random"}).itertuples()
    assert (other.difference, other.low, other.high) == pytest.approx((-one.difference, -one.high, -one.low))
    assert (one.p, one.verdict, other.verdict) == (other.p, "ahead", "behind")


def test_there_is_no_verdict_before_the_last_unit():
    assert primary(results(0.02, seeds=(0, 1))).verdict.tolist() == ["not finished"]
    assert primary(results(0.02, seeds=(0,))).empty  # no other seed has chosen a rate


def test_a_chosen_value_that_is_not_done_everywhere_leaves_the_verdict_open():
    """What the validation set will prefer there is not known yet, and could reverse the difference."""
    table = results(0.02)
    last = (table.task == "b") & (table.seed == 2) & (table.method == "random-5e-4")
    [row] = primary(table[~last]).itertuples()
    assert (row.units, row.verdict) == (5, "not finished")
    assert primary(table[table.method != "random-5e-4"]).empty
    [alone] = primary(table[~last], rate=ONE | {"first": "random-1e-3", "second": "top-1e-3"}).itertuples()
    assert (alone.units, alone.verdict) == (6, "ahead")


def test_there_are_no_rows_while_a_task_has_one_seed_of_the_methods_to_choose_from():
    """As between the first method of a second seed, which is in no factor, and the next one."""
    table = results(0.02)
    plain = table[table.method == "top-1e-3"].assign(method="plain")
    for done in (table[(table.task == "a") | (table.seed == 0)], table[table.seed == 0], table[table.seed < 0]):
        assert primary(pd.concat([plain, done])).empty


def test_a_difference_without_a_row_is_counted_in_the_correction():
    table = results(0.003)
    own, other = ({"first": f"random-{rate}", "second": f"top-{rate}"} for rate in ("1e-3", "5e-4"))
    [row] = primary(table[table.method.str.endswith("1e-3")], a=ONE | own, b=ONE | other).itertuples()
    assert row.primary == "a" and row.holm == pytest.approx(2 * row.p)


def test_several_differences_are_corrected_for_each_other_alone():
    table = results(0.003)
    both = primary(table, a=ONE, b=ONE | {"first": "random-1e-3", "second": "top-1e-3"})
    [alone] = primary(table).itertuples()
    assert both.p.tolist() == pytest.approx([alone.p] * 2) and both.holm.tolist() == pytest.approx([2 * alone.p] * 2)
    assert len(pairs(table)) > 2


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"first": "rando"}, UnknownNameError, "did you mean 'random'"),
        ({"sparsity": 0.8}, ConfigError, r"'mask' has sparsity 0\.8, which is no level; choose of 0\.9"),
        ({"expected": "two"}, ConfigError, "expected"),
        ({"level": 0.9}, ConfigError, "level"),
        ({"expected": math.nan}, ConfigError, "must have two methods and a number of expected points"),
        ({"second": "random"}, ConfigError, "'mask' must have two methods and a number of expected points"),
    ],
)
def test_a_primary_difference_that_the_study_cannot_test_is_refused(changes, error, message):
    with pytest.raises(error, match=message):
        study(primary={"mask": ONE | changes})


@pytest.mark.parametrize("chosen", ["rate", ""])
def test_a_study_that_is_judged_over_seeds_needs_two(chosen):
    difference = {"first": "random-1e-3", "second": "top-1e-3"}
    with pytest.raises(ConfigError, match=r"seeds must have two or more, got \[4\]"):
        study(primary={"mask": ONE | difference}, seeds=[4], chosen=chosen)


def test_a_method_must_not_have_the_name_of_what_is_compared():
    with pytest.raises(ConfigError, match="'top' is a method and also what is compared"):
        study(methods={"top": {"epochs": 2}})


def test_it_is_recorded_and_cannot_change_after_the_beginning(tmp_path):
    config = study(primary={"mask": ONE})
    assert StudyConfig.from_dict(json.loads(json.dumps(config.to_dict())), "study.json") == config
    assert "primary" not in study().to_dict()
    for other in (study(), study(primary={"mask": ONE | {"expected": 1.0}})):
        for old, new in ((config, other), (other, config)):
            with pytest.raises(RunError, match="it is written down before a study and cannot change"):
                check_grown(old, new, tmp_path)


def test_a_study_that_is_judged_once_does_not_grow_by_tasks_seeds_and_factors(tmp_path):
    config = study(primary={"mask": ONE})
    grown = study(primary={"mask": ONE}, seeds=[*config.seeds, 9])
    faster = FACTORS | {"rate": FACTORS["rate"] | {"2e-3": {"learning_rate": 2e-3}}}
    for other in (grown, study(primary={"mask": ONE}, factors=faster)):
        with pytest.raises(RunError, match=r"with other tasks, seeds or factors: it has primary .* judged once"):
            check_grown(config, other, tmp_path)


def test_a_study_writes_its_primary_differences(tmp_path):
    config = study(primary={"mask": ONE}, factors={"mask": FACTORS["mask"]}, chosen="", baseline="top")
    assert not run_study(config, tmp_path / "study")
    assert tmp_path / "study" / "primary.csv" in write_results(Grid.load(tmp_path / "study"))
    table = pd.read_csv(tmp_path / "study" / "primary.csv")
    assert table.units.tolist() == [2] and table.verdict.tolist() == ["no clear difference"]
    assert table.p.isna().all()  # models so small that each always gives one label: the seeds do not vary


def test_a_record_without_primary_differences_says_so():
    with pytest.raises(ConfigError, match="has no primary differences; choose a record of one that has"):
        recorded_primary(data_folder() / "recorded" / "study")
