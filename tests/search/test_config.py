import dataclasses
import json

import pytest
import torch

import randprune_lab as rp
from randprune_lab.errors import ConfigError, UnknownNameError
from randprune_lab.report import lesson_settings
from randprune_lab.search.config import CUSTOM_DATA
from randprune_lab.search.drawing import proposal_of
from randprune_lab.study import StudyConfig


def test_a_configuration_survives_json():
    for config in (
        rp.RunConfig(levels=(0.5, 0.75), candidates=3, layers=2, baselines=()),
        rp.RunConfig(data="d.csv", text_columns=("a", "b"), label_column="y", label_kind="score"),
        rp.RunConfig(include=("*.query.weight", "*.key.weight"), exclude=("*.0.*",)),
    ):
        assert rp.RunConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_metrics_may_have_the_names_of_evaluate():
    for name, metric in (("matthews_correlation", "matthews"), ("matthews", "matthews"), ("f1", "f1")):
        assert rp.RunConfig(metric=name).metric == rp.RunConfig(data="d.csv", metric=name).metric == metric
    for name, metric in (("spearmanr", "spearman"), ("pearsonr", "pearson"), ("pearson", "pearson")):
        assert rp.RunConfig(task="stsb", metric=name).metric == metric


def test_custom_data_may_have_a_name():
    assert rp.RunConfig(data="d.csv").custom_data.name is None
    assert rp.RunConfig(data="d.csv", task="reviews").custom_data.name == "reviews"


def test_missing_settings_have_their_defaults():
    some = {
        key: value
        for key, value in rp.RunConfig().to_dict().items()
        if key not in (*CUSTOM_DATA, "max_length", "include")
    }
    assert rp.RunConfig.from_dict(some) == rp.RunConfig()


def test_baselines_are_methods_with_one_candidate():
    methods = {method.name: method for method in rp.RunConfig(candidates=6).methods()}
    assert methods["imp"].rules == (rp.Magnitude(),) and methods["imp"].candidates == 1
    assert methods["uniform"].rules == (rp.Uniform(),) and methods["uniform"].candidates == 1
    assert [rule.sampling_ratio for rule in methods["search"].rules] == [5e-5, 1e-4, 8e-5, 3e-4]
    assert methods["search"].candidates == 6


@pytest.mark.parametrize(
    ("settings", "epochs"),
    [
        ({}, 2 + 8),
        ({"candidates": 1}, 2),
        ({"early_epochs": 3, "epochs": 1}, 1 + 24),
        ({"early_strategy": "halving"}, 2 + 3),  # a third of 8 epochs, rounded up
        ({"early_strategy": "halving", "candidates": 9}, 2 + 3),
        ({"early_strategy": "halving", "screen": 64}, 2 + 3),  # a screening trains nothing
        ({"early_strategy": "halving", "early_budget": 0.2501}, 2 + 3),
        ({"candidates": 10**400}, 2 + 10**400),
    ],
    ids=str,
)
def test_a_long_baseline_has_at_least_the_steps_of_the_search(settings, epochs):
    config = rp.RunConfig(baselines=("imp", "imp-long"), **settings)
    search, short, long = config.methods()
    assert (search.epochs, short.epochs, long.epochs) == (config.epochs, config.epochs, epochs)
    assert long.rules == (rp.Magnitude(),) and long.candidates == 1


def test_early_evaluation_has_a_multiple_of_the_learning_rate():
    config = rp.RunConfig(learning_rate=5e-5, early_rate=4.0)
    assert config.early_training(0).learning_rate == pytest.approx(2e-4)
    assert config.early_training(0).epochs == 1


@pytest.mark.parametrize("learn", ["nothing", "allocation"])
def test_a_run_prunes_the_kinds_of_layers_that_it_is_asked_for(learn):
    blocks = torch.nn.ModuleList([torch.nn.Conv1d(4, 6, 3), torch.nn.Linear(6, 8)])
    names = {"linear": "0.1.weight", "convolution": "0.0.weight"}
    for kinds in (("linear",), ("convolution",), ("linear", "convolution")):
        config = rp.RunConfig(types=kinds, learn=learn, levels=(0.5,), candidates=2)
        mask = proposal_of(config, config.methods()[0], 1, seed=0).draw(torch.nn.Sequential(blocks), 0)
        assert {*mask} == {names[kind] for kind in kinds}
    with pytest.raises(ConfigError, match=r"types\.0 'conv'; did you mean 'convolution'"):
        rp.RunConfig(types=("conv",))


@pytest.mark.parametrize("checkpoint", ["metric", "log-loss", "last"])
def test_the_checkpoint_of_a_setting_is_that_of_all_whole_trainings(checkpoint):
    config = rp.RunConfig(checkpoint=checkpoint)
    trainings = (config.dense_training(), config.level_training(0))
    assert {training.keep_best for training in trainings} == {checkpoint != "last"}


def test_the_seed_draws_train_rows_only_if_it_is_asked_to():
    assert [rp.RunConfig(seed=3, train_rows=rows).train_seed for rows in ("first", "seed")] == [None, 3]


@pytest.mark.parametrize("masked", [True, False])
def test_all_trainings_of_a_run_mask_gradients_or_none(masked):
    config = rp.RunConfig(mask_gradients=masked)
    trainings = (config.dense_training(), config.early_training(0), config.level_training(0))
    assert {training.mask_gradients for training in trainings} == {masked}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"levels": (0.5, 1.2)}, r"sparsity must be in \[0, 1\), got 1.2"),
        ({"levels": ()}, "levels must have at least one sparsity, got none"),
        ({"levels": (0.9, 0.5)}, "levels must be increasing, got 0.9 0.5"),
        ({"structure": "2:4"}, r"levels must be 0.5 alone with structure '2:4' \(--levels 0.5\), got 0.54 0.83"),
        ({"structure": "2:4", "levels": (0.25, 0.5)}, "levels must be 0.5 alone"),
        ({"structure": "1:4", "levels": (0.75,), "learn": "allocation"}, "structure '1:4' keeps the same in all"),
        ({"structure": "heads", "learn": "inclusion"}, "learn 'inclusion' moves .* breaks structure 'heads'"),
        ({"structure": "heads", "allocation": "erk"}, "allocation must not be 'erk' with structure 'heads'"),
        ({"structure": "head"}, "structure must be 'n:m' such as '2:4', .* got 'head'"),
        ({"structure": 124}, "structure must be a text, got 124; put it in quotes"),
        ({"allocation": "layer"}, "unknown allocation 'layer'; did you mean 'layerwise'"),
        ({"protocol": "mine"}, "unknown protocol 'mine'; known: held-out, select-on-test"),
        ({"include": "*.weight"}, r"include must be a list, got '\*\.weight'; write \['\*\.weight'\]"),
        ({"exclude": ("*.weight", 3)}, r"exclude\.1 must be a text, got 3; put it in quotes"),
        ({"candidates": 0}, "candidates must be a whole number at least 1, got 0"),
        ({"sampling_ratios": ()}, "sampling_ratios must have at least one ratio, got none"),
        ({"sampling_ratios": (0.0,)}, "sampling_ratio must be in"),
        ({"learning_rate": -1.0}, "learning_rate must be in"),
        ({"seed": -1}, "seed must be a whole number from 0 to 4611686018427387904, got -1"),
        ({"epochs": 1.5}, "epochs must be a whole number, got 1.5"),
        ({"dense_epochs": True}, "epochs must be a whole number, got True"),
        ({"candidates": 2.0}, "candidates must be a whole number, got 2.0"),
        ({"train_size": "all"}, "train_size must be a whole number, got 'all'"),
        ({"max_length": 0}, "max_length must be a whole number at least 1, got 0"),
        ({"threads": 2**40}, "threads must be a whole number from 1 to 1024, got 1099511627776"),
        ({"method": "Imp", "baselines": ("imp",)}, "must have names that differ in more than case, .*, got Imp imp"),
        ({"method": "é" * 41}, "the name of a method must have at most 80 bytes, .* got 82: 'é"),
        ({"distill_temperature": 1e300}, r"distillation temperature must be in \[1e-06, 1e\+06\], got 1e\+300"),
        ({"distill_temperature": 1e-300}, r"distillation temperature must be in \[1e-06, 1e\+06\], got 1e-300"),
        ({"distill_logits": 1e300}, r"distillation logits must be in \[0, 1e\+06\], got 1e\+300"),
        ({"allocation_spread": 1e308}, r"allocation_spread must be in \[0, 100\], got 1e\+308"),
        ({"data": "d.csv", "task": "sst2"}, "task 'sst2' and data 'd.csv' exclude each other"),
        ({"data": "d.csv", "glue_dir": "glue"}, "glue_dir 'glue' and data 'd.csv' exclude each other"),
        ({"label_column": "y"}, "label_column 'y' describes custom data; give data too, or leave"),
        ({"test_data": "r.csv"}, "test_data 'r.csv' describes custom data"),
        ({"data": "d.csv", "text_columns": ()}, "text_columns must name one or two columns, got 0"),
        ({"data": "d.csv", "label_kind": "number"}, "unknown label_kind 'number'; known: class, score"),
        ({"data": "d.csv", "text_columns": "text"}, r"text_columns must be a list, got 'text'; write \['text'\]"),
        ({"data": "d.csv", "task": "a/b"}, "the name of custom data must have only letters, digits, .* got 'a/b'"),
        ({"task": "stsb", "metric": "f1"}, "metric 'f1' does not fit 'stsb', which has scores; choose pearson, spear"),
        ({"task": "mnli", "metric": "f1"}, "metric 'f1' does not fit 'mnli', which has 3 classes; choose accuracy, m"),
        ({"data": "d.csv", "metric": "pearsonr"}, "metric 'pearson' does not fit 'd.csv', which has classes; choose"),
        ({"data": "d.csv", "label_kind": "score", "metric": "f1"}, "metric 'f1' does not fit 'd.csv', which has score"),
    ],
)
def test_errors_name_the_setting_and_its_value(change, message):
    with pytest.raises(ConfigError, match=message):
        rp.RunConfig(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rule": "votting"}, "unknown rule 'votting'; did you mean 'voting'"),
        ({"baselines": ("impp",)}, "unknown baseline 'impp'; did you mean 'imp'"),
        ({"metric": "macro f1"}, "unknown metric 'macro f1'; did you mean 'macro_f1'"),
        ({"metric": "f11"}, "unknown metric 'f11'; did you mean 'f1'"),
    ],
)
def test_errors_suggest_the_nearest_name(change, message):
    with pytest.raises(UnknownNameError, match=message):
        rp.RunConfig(**change)


def test_settings_override_those_of_a_preset():
    lesson = rp.RunConfig.preset("lesson")
    assert lesson.model == "tiny" and lesson.task.startswith("mini-")
    assert rp.RunConfig.preset("lesson", task="mini-mnli", candidates=2) == dataclasses.replace(
        lesson, task="mini-mnli", candidates=2
    )
    with pytest.raises(UnknownNameError, match="unknown preset 'leson'; did you mean 'lesson'"):
        rp.RunConfig.preset("leson")


def test_the_published_search_is_the_default_and_has_a_name():
    assert rp.RunConfig.preset("published") == rp.RunConfig()


def test_a_preset_leaves_your_own_data_as_it_is():
    """Its task and the sizes of its sets are those of the data that it comes with."""
    given = {"data": "d.csv", "model": "tiny-minilm"}
    made = rp.RunConfig.preset("lesson", **given)
    plain = rp.RunConfig(**given)
    assert all(getattr(made, name) == getattr(plain, name) for name in ("task", "train_size", "validation_size"))
    assert made.evaluate_every == rp.RunConfig.preset("lesson").evaluate_every and made.data == "d.csv"
    assert rp.RunConfig.preset("lesson", **given, train_size=200).train_size == 200


def test_the_preset_fisher_is_the_mask_of_best_shot_without_its_training():
    study = StudyConfig.load("best-shot")
    method = {**study.methods["fisher-short"], "method": "fisher", "baselines": ()}
    assert rp.RunConfig.preset("fisher") == rp.RunConfig(**method)
    assert [(each.name, each.candidates) for each in rp.RunConfig.preset("fisher").methods()] == [("fisher", 1)]


def test_the_preset_of_a_class_is_lesson_06_with_both_comparisons_in_one_run():
    preset = rp.RunConfig.preset("class", seed=7)
    lesson = rp.RunConfig(**lesson_settings("06", "classroom")["run"] | {"task": "mini-sst2", "seed": 7})
    assert dataclasses.replace(lesson, baselines=preset.baselines) == preset
    epochs = {method.name: method.epochs for method in preset.methods()}
    assert epochs["imp-long"] == 3 * epochs["search"], "as the lesson says of the search and IMP"


def test_settings_of_generated_data_are_refused_for_other_tasks():
    config = rp.RunConfig(task="mini-rte", difficulty=2, label_noise=0.1, data_seed=5, train_size=300)
    generated = config.mini_glue
    assert (generated.difficulty, generated.label_noise, generated.seed, generated.train) == (2, 0.1, 5, 300)
    assert rp.RunConfig(task="sst2").mini_glue is None
    with pytest.raises(ConfigError, match="difficulty 2 is for the tasks of mini-GLUE; leave it out"):
        rp.RunConfig(task="sst2", difficulty=2)
