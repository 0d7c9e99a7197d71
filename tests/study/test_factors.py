"""A study's methods as the combinations of factors, and the built-in study that compares all criteria."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest
from study.test_study import SETTINGS

from randprune_lab.errors import ConfigError, DataError, RunError
from randprune_lab.study import Grid, StudyConfig, describe_status, record_study, run_study, status, write_results
from randprune_lab.study import table as tables
from randprune_lab.study.grid import planned_steps

FACTORS = {
    "mask": {"top": {"rule": "magnitude"}, "random": None},
    "rate": {"5e-4": {}, "1e-3": {"learning_rate": 1e-3}},
}
ALONE = {**SETTINGS, "levels": [0.9], "candidates": 1, "train_size": 32, "dense_epochs": 1, "evaluate_every": 50}


def study(**changes) -> StudyConfig:
    given = {"tasks": ["mini-sst2"], "seeds": [0, 1], "settings": ALONE, "factors": FACTORS, "baseline": "top-5e-4"}
    return StudyConfig(**given | {"chosen": "rate"} | changes)


def test_each_combination_is_a_method():
    config = study(methods={"more": {"epochs": 2}})
    assert [*config.methods] == ["more", "top-5e-4", "top-1e-3", "random-5e-4", "random-1e-3"]
    assert config.methods["top-1e-3"] == {"rule": "magnitude", "learning_rate": 1e-3}
    assert config.combinations["random-1e-3"] == {"mask": "random", "rate": "1e-3"}
    assert "more" not in config.combinations
    again = StudyConfig.from_dict(json.loads(json.dumps(config.to_dict())), "study.json")
    assert again == config


def test_a_study_without_factors_is_recorded_as_before():
    recorded = study(factors={}, chosen="", methods={"imp": {}}, baseline="imp").to_dict()
    assert not {"factors", "chosen"} & recorded.keys()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chosen": "seed"}, r"factor as chosen 'seed'.*mask, rate"),
        ({"factors": {**FACTORS, "other": {"x": {"rule": "uniform"}}}}, r"rule is set by other and by another factor"),
        ({"methods": {"top-1e-3": {"epochs": 3}}}, r"method top-1e-3 is also a combination"),
        ({"factors": {"mask": {"a b": {}}}, "chosen": "", "baseline": "a b"}, r"only letters, digits, - and _"),
        ({"factors": {"method": FACTORS["mask"]}, "chosen": ""}, r"'method' cannot be the name of a factor"),
        ({"factors": {"mask": 5}}, r"factors"),
        ({"factors": {"mask": {"top": {"ruel": "magnitude"}}}, "chosen": ""}, r"ruel"),
        ({"factors": {"a": {"x": {}, "x-y": {}}, "b": {"y-z": {}, "z": {}}}, "chosen": ""}, r"have the same name"),
        ({"factors": {"mask": {}}, "chosen": ""}, r"methods must have at least one value"),
        ({"factors": {"rate": FACTORS["rate"]}, "baseline": "5e-4"}, r"'rate' is the only factor.* give a second"),
    ],
    ids=["chosen", "twice", "method", "name", "column", "kind", "setting", "same", "empty", "alone"],
)
def test_factors_that_make_no_methods_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        study(**changes)


def refuse(*_) -> None:
    raise DataError("two rows")


def test_a_finished_study_has_a_table_of_comparisons(tmp_path, monkeypatch):
    assert run_study(study(), tmp_path / "study") == []
    grid = Grid.load(tmp_path / "study")
    assert tmp_path / "study" / "comparisons.csv" in write_results(grid)
    table = pd.read_csv(tmp_path / "study" / "comparisons.csv")
    assert table[["of", "first", "second", "units"]].values.tolist() == [
        ["mask", "top", "random", 2],
        ["method", "top", "random", 2],
    ]
    with monkeypatch.context() as patched:
        patched.setattr(tables, "comparisons", refuse)
        with pytest.raises(DataError, match="two rows"):  # as if rows differed: only a missing seed means "not yet"
            write_results(grid)
    record_study(grid, tmp_path / "record")
    assert StudyConfig.load_json(tmp_path / "record" / "study.json").combinations == grid.config.combinations
    monkeypatch.setattr(status, "WIDE", 3)
    assert describe_status(grid).splitlines()[0] == "| seed | 0 | 1 |", "many methods: a row for each"
    with pytest.raises(RunError, match=r"methods were"):
        run_study(study(factors={**FACTORS, "mask": {"top": {"rule": "uniform"}}}), tmp_path / "study", resume=True)


def test_the_comparisons_are_over_the_tasks_with_two_seeds(tmp_path):
    """A task that is new must not leave those of the others as they were."""
    config = study(tasks=["mini-sst2", "mini-cola"])
    assert run_study(config, tmp_path / "study") == []
    grid = Grid.load(tmp_path / "study")
    for unit in grid.units:
        if (unit.task, unit.seed) == ("mini-cola", 1):
            shutil.rmtree(grid.folder(unit))
    assert tmp_path / "study" / "comparisons.csv" in write_results(grid)
    assert set(pd.read_csv(tmp_path / "study" / "comparisons.csv").units) == {2}


def test_the_referee_gives_every_method_the_same_steps():
    config = StudyConfig.load("referee")
    factors = {name: [*values] for name, values in config.factors.items()}
    assert factors["criterion"] == ["magnitude", "wanda", "ria", "taylor", "fisher", "movement"]
    assert factors["allocation"] == ["layerwise", "global"]
    assert factors["mask"] == ["top", "random"] and config.chosen == "rate" and len(factors["rate"]) == 4
    assert config.levels == (0.83, 0.9375, 0.99) and len(config.tasks) == 2 and len(config.seeds) == 3
    runs = [config.run_config(method, "mini-sst2", 0) for method in config.methods]
    assert len({planned_steps(run, 1280) for run in runs}) == 1
    assert len(config.methods) == len(config.combinations) == len(factors["criterion"]) * 2 * 2 * 4


def test_a_study_may_grow_by_values_of_its_factors(tmp_path):
    """New methods come between the old ones then; all that was there stays as it was."""
    before = study(methods={"more": {"epochs": 2}})
    Grid.open(before, tmp_path / "study")
    grown = {"mask": FACTORS["mask"] | {"blind": {"rule": "uniform"}}, "rate": FACTORS["rate"] | {"2e-3": {}}}
    after = study(methods=before.methods, factors=grown)
    assert [*after.methods][:4] != [*before.methods], "or this tests nothing"
    assert Grid.open(after, tmp_path / "study", resume=True).config == Grid.load(tmp_path / "study").config == after
    last = grown["rate"].pop("2e-3")
    turned = {**grown, "rate": dict([*grown["rate"].items(), ("2e-3", last)][::-1])}
    grown_otherwise = study(methods={"more": {"epochs": 3}}, factors=grown)
    for changed in (before, grown_otherwise, study(methods=before.methods, factors=turned)):
        with pytest.raises(RunError, match="methods were"):
            Grid.open(changed, tmp_path / "study", resume=True)
