"""The parts of a difference: they sum up to it, and they are what made the methods differ."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest

from randprune_lab.analysis import recorded_controls, recorded_results
from randprune_lab.analysis.pairs import at_chosen
from randprune_lab.analysis.parts import (
    EQUAL_STEPS,
    RATE_FIRST,
    RATE_LAST,
    WHOLE,
    alike_but_for,
    difference_parts,
    parts_by_level,
    parts_table,
)
from randprune_lab.analysis.recorded import RESULTS
from randprune_lab.errors import ConfigError, DataError
from randprune_lab.search import RunConfig
from randprune_lab.study import StudyConfig
from randprune_lab.viz import figures

RATES = StudyConfig.load("laptop-rates")
EFFECTS = {"selection": 0.05, "mask": -0.02, "rate": -0.03, "steps": 0.01}
"""What each part adds to the score of the search."""
MORE = 0.008
"""How much the higher rate costs a random mask more than a magnitude mask."""
LEVELS = (0.9, 0.99)


def results(more: float = 0.0, noise: float = 0.0, seeds=(0, 1, 2), methods=tuple(RATES.methods)) -> pd.DataFrame:
    """A record of `laptop-rates` whose scores are sums of known effects."""
    random, rows = np.random.default_rng(0), []
    for place, (task, seed, sparsity) in enumerate(product("abcd", seeds, LEVELS)):
        for method in methods:
            settings = {**RATES.settings, **RATES.methods[method]}
            searched, drawn = settings["candidates"] > 1, "rule" not in settings
            high = settings["learning_rate"] > 2e-3
            score = 0.5 + 0.01 * place + EFFECTS["selection"] * searched + EFFECTS["mask"] * drawn
            score += (EFFECTS["rate"] - more * drawn) * high - EFFECTS["steps"] * (settings["epochs"] == 11)
            about = {"task": task, "seed": seed, "method": method, "sparsity": sparsity, "metric": "accuracy"}
            rows.append(about | {"score": score + noise * random.normal(), "steps": 1, "validation": score})
    return pd.DataFrame(rows, columns=[*RESULTS])


def parts(*given, **named) -> dict[str, float]:
    return difference_parts(*given, **named).set_index("part").estimate.to_dict()


@pytest.mark.parametrize("paths", [[RATE_LAST], [RATE_FIRST], [RATE_LAST, RATE_FIRST]], ids=["last", "first", "both"])
def test_effects_that_add_are_found_on_every_path(paths):
    assert parts(results(), paths, LEVELS) == pytest.approx({WHOLE: sum(EFFECTS.values()), **EFFECTS})


def test_a_part_over_two_paths_is_the_mean_of_its_effects_on_each():
    """The mask costs more at the higher rate: one path counts this as mask, the other as rate, both half and half."""
    table = results(MORE)
    last, first, both = (parts(table, paths, LEVELS) for paths in ([RATE_LAST], [RATE_FIRST], [RATE_LAST, RATE_FIRST]))
    assert last["mask"] == pytest.approx(EFFECTS["mask"] - MORE) and last["rate"] == pytest.approx(EFFECTS["rate"])
    assert first["mask"] == pytest.approx(EFFECTS["mask"]) and first["rate"] == pytest.approx(EFFECTS["rate"] - MORE)
    assert both["mask"] == pytest.approx(EFFECTS["mask"] - MORE / 2)
    steps = parts(table, [EQUAL_STEPS], LEVELS)
    assert steps["rate"] == pytest.approx(EFFECTS["rate"])
    assert steps["search"] == pytest.approx(sum(EFFECTS.values()) - EFFECTS["rate"] - MORE)


def test_parts_sum_up_to_the_whole_although_units_lack_methods():
    table = results(noise=0.05)
    lacking = ~((table.method == "one-mask") & (table.task == "a")) & ~((table.method == "imp") & (table.seed == 2))
    found = difference_parts(table[lacking], [RATE_LAST, RATE_FIRST], LEVELS)
    whole, *rest = found.estimate
    assert sum(rest) == pytest.approx(whole) and set(found.units) == {6}
    assert ((found.low < found.estimate) & (found.estimate < found.high)).all()
    assert ((found.seeds_low > found.low) & (found.seeds_high < found.high)).all(), "with three seeds of four tasks"


def test_one_seed_has_no_interval_for_other_seeds():
    found = difference_parts(results(seeds=(0,)), [RATE_LAST], LEVELS)
    assert np.isinf(found[["seeds_low", "seeds_high"]]).all(axis=None)


def test_paths_that_are_none_are_refused():
    parted = [{"a": ("search", "imp"), "b": ("one-mask", "imp")}]
    for paths in (parted, [RATE_LAST, EQUAL_STEPS], [{}], [{"whole": ("search", "imp")}]):
        with pytest.raises(ConfigError, match=r"(connected|same parts|one part or more.* named 'whole')"):
            difference_parts(results(), paths, LEVELS)
    with pytest.raises(DataError, match=r"no task and seed has results of all of search, imp-4e-3, imp"):
        difference_parts(results(methods=("imp", "search")), [EQUAL_STEPS], LEVELS)


def test_the_methods_of_laptop_rates_differ_in_the_rate_alone_or_not_at_all():
    values = alike_but_for("learning_rate", RATES.to_dict())
    assert {method: value["alike"] for method, value in values.items()} == {
        method: method.removesuffix("-2e-3").removesuffix("-4e-3") for method in RATES.methods
    }
    assert [value["learning_rate"] for value in values.values()].count("0.004") == 4
    chosen = at_chosen(results(), values, "learning_rate")
    assert set(chosen.method) == {"imp", "search", "imp-short", "one-mask"} and set(chosen.learning_rate) == {"0.002"}
    given = {**RATES.to_dict(), "settings": {}}
    written = {"methods": {"a": {"epochs": RunConfig.epochs, "learning_rate": 1e-3}, "b": {}}, "settings": {}}
    assert {value["alike"] for value in alike_but_for("learning_rate", written).values()} == {"a"}
    assert {value["rule_settings"] for value in alike_but_for("rule_settings", written).values()} == {"{}"}
    assert {value["checkpoint"] for value in alike_but_for("checkpoint", given).values()} == {"log-loss"}
    with pytest.raises(ConfigError, match="no setting 'rate'"):
        alike_but_for("rate", RATES.to_dict())


def test_the_parts_at_each_level_are_shown_as_table_and_figure():
    found = parts_by_level(results(noise=0.01), [RATE_LAST])
    table = parts_table(found)
    assert [*table] == ["at 90 % (points)", "at 99 % (points)"] and [*table.index] == [WHOLE, *RATE_LAST]
    estimate = found.query("part == 'mask' and sparsity == 0.99").estimate.item()
    assert table.loc["mask", "at 99 % (points)"].startswith(f"{100 * estimate:+.1f} [")
    axis = figures.difference_parts(found, "search", "IMP").axes[0]
    assert axis.get_legend_handles_labels()[1] == [WHOLE, *RATE_LAST]
    assert axis.get_title().startswith("Parts of search minus IMP. Clear: selection at 2 of 2 levels")


def test_the_parts_of_the_headline_are_those_of_the_record():
    table, controls = recorded_results(), recorded_controls()
    table = table[table.task.isin(controls.task[controls.included])]
    found = parts(table, [RATE_LAST], [0.54, 0.83, 0.92, 0.9375])
    assert {name: round(100 * value, 1) for name, value in found.items()} == {
        WHOLE: -1.7,
        "selection": 0.1,
        "mask": 0.0,
        "rate": -1.9,
        "steps": 0.1,
    }
