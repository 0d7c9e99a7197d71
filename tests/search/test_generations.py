"""A search that learns over generations: the same number of steps as without, and the same result when resumed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.runs import stopped

import randprune_lab as rp
from randprune_lab.analysis.text import describe_run
from randprune_lab.errors import ConfigError
from randprune_lab.search.executors import OnDask
from randprune_lab.search.journal import read_journal
from randprune_lab.search.proposals import redraw
from randprune_lab.stats.variance import variance_split


@pytest.fixture(scope="module", params=["allocation", "inclusion"])
def learning(request, config, tmp_path_factory):
    settings = {"learn": request.param, "incumbent": request.param == "inclusion"}
    changed = dataclasses.replace(config, generations=3, candidates=6, baselines=(), **settings)
    return changed, rp.run(changed, tmp_path_factory.mktemp("learning") / "run", progress=False)


def results(path):
    summary = rp.RunRecord.load(path).summary()
    return {key: value for key, value in summary.items() if key != "run"}


def test_the_best_of_all_generations_wins_with_the_steps_of_one_generation(learning):
    _, path = learning
    record = rp.RunRecord.load(path)
    for level in (1, 2):
        candidates = record.level(level).candidates
        selection = record.units[f"search-level-{level}/selection"]
        assert [candidate["candidate"] for candidate in candidates] == list(range(6))
        assert selection["steps"] == sum(candidate["total_steps"] for candidate in candidates)
        assert selection["winner"] == int(np.argmax([candidate["score"] for candidate in candidates]))
        assert record.level(level).confidence.chance_of_best.shape == (6,)


def test_the_mask_of_the_winner_can_be_redrawn_and_has_the_right_sparsity(learning):
    from safetensors.torch import load_file

    config, path = learning
    record, start = rp.RunRecord.load(path), "dense"
    for level, sparsity in enumerate(config.levels, start=1):
        name = f"search-level-{level}"
        model, _ = rp.load_model(config.model, num_labels=2)
        model.load_state_dict(load_file(path / "checkpoints" / f"{start}.safetensors"))
        mask = redraw(model, record.units[name]["mask"])
        assert mask.sha256 == record.units[name]["mask_sha256"]
        groups = [mask] if config.learn == "allocation" else [rp.MaskSet({key: kept}) for key, kept in mask.items()]
        assert all(group.size - group.kept == round(sparsity * group.size) for group in groups)
        start = name


def test_later_generations_learn_from_the_better_half(learning):
    config, path = learning
    units = read_journal(path)
    first = units["search-level-1/generation-0"]
    masks = {
        number: units[f"search-level-1/candidate-{number}/steps-{first['rounds'][0]['steps']}"]["mask"]
        for number in range(6)
    }
    if config.learn == "inclusion":
        assert [member["candidate"] for member in masks[2]["elite"]] == first["ranking"][:1]
        assert "elite" not in masks[0]
    else:
        assert isinstance(masks[0]["allocation"], dict) and masks[0]["allocation"] != masks[2]["allocation"]


def test_the_incumbent_is_the_mask_of_magnitude_pruning(learning, finished):
    """The first level of both runs begins with the same dense weights."""
    from safetensors.torch import load_file

    config, path = learning
    units = read_journal(path)
    rules = [
        unit["mask"]["rule"]["rule"] for name, unit in units.items() if "level-1/candidate-" in name and unit["steps"]
    ]
    assert rules == ["magnitude" if config.incumbent else "voting", *["voting"] * 5]
    if config.incumbent:
        model, _ = rp.load_model(config.model, num_labels=2)
        model.load_state_dict(load_file(path / "checkpoints" / "dense.safetensors"))
        recipe = next(unit["mask"] for name, unit in units.items() if "level-1/candidate-0/" in name)
        assert redraw(model, recipe).sha256 == read_journal(finished)["imp-level-1"]["mask_sha256"]


def test_an_interrupted_search_has_the_same_result(learning, tmp_path):
    config, path = learning
    stops = (4, 6, 9, len(read_journal(path)) - 12)
    assert results(stopped(config, tmp_path / "run", stops)) == results(path)


def test_a_cluster_has_the_same_result(learning, cluster, tmp_path):
    config, path = learning
    with OnDask(cluster.scheduler_address) as executor:
        rp.run(config, tmp_path / "run", executor=executor, progress=False)
    assert results(tmp_path / "run") == results(path)


@pytest.mark.parametrize(
    "strategy", [{"early_strategy": "halving", "early_budget": 0.5}, {"early_strategy": "race"}, {"screen": 12}]
)
def test_every_strategy_can_select_in_a_generation(strategy, config, tmp_path):
    changed = dataclasses.replace(
        config,
        learn="inclusion",
        generations=2,
        candidates=6,
        levels=(0.5,),
        baselines=(),
        evaluate_every=2,
        **strategy,
    )
    record = rp.RunRecord.load(rp.run(changed, tmp_path / "run", progress=False))
    selection = record.units["search-level-1/selection"]
    final = selection["rounds"][-1]
    assert selection["winner"] == final["candidates"][int(np.argmax(final["scores"]))]
    reached = sum(candidate["steps"] for candidate in record.level(1).candidates)
    assert reached <= selection["steps"] <= 6 * record.level(1).candidates[0]["total_steps"]


@pytest.mark.parametrize("screen", [None, 4])
def test_a_generation_may_have_a_single_candidate(screen, config, tmp_path):
    """With a screening, its race is over before anything is trained."""
    settings = {"learn": "inclusion", "generations": 2, "candidates": 2, "screen": screen}
    changed = dataclasses.replace(config, **settings, levels=(0.5,), baselines=())
    units = read_journal(rp.run(changed, tmp_path / "run", progress=False))
    winners = [units[f"search-level-1/generation-{number}"]["winner"] for number in range(2)]
    assert units["search-level-1/selection"]["rounds"][-1]["candidates"] == winners
    masks = [unit["mask"] for name, unit in units.items() if f"/candidate-{winners[1]}/" in name]
    assert [member["candidate"] for member in masks[0]["elite"]] == winners[:1]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"learn": "all"}, "unknown learn 'all'; known: allocation, inclusion, nothing"),
        ({"generations": 3, "candidates": 8}, "candidates must be a multiple of 3, the number of generations, got 8"),
        (
            {"generations": 2, "candidates": 4, "screen": 5},
            "screen must be a multiple of 2, the number of generations, got 5",
        ),
        ({"incumbent": True, "candidates": 1}, "incumbent needs at least 2 candidates, got 1"),
        ({"learn_rate": 1.5}, "learn_rate must be"),
        ({"generations": 0}, "generations"),
        ({"noise_seeds": 1}, "noise_seeds must be 0, or at least 2 .* got 1"),
    ],
)
def test_contradicting_settings_are_refused(wrong, message, config):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(config, **wrong)


def test_the_noise_floor_is_measured_with_other_seeds_and_does_not_change_the_choice(config, finished, tmp_path):
    changed = dataclasses.replace(config, noise_seeds=2, levels=(0.5,), baselines=())
    path = rp.run(changed, tmp_path / "run", progress=False)
    record, plain = rp.RunRecord.load(path), rp.RunRecord.load(finished)
    trained = [unit for name, unit in record.units.items() if "/noise-" in name]
    assert len(trained) == 3 * 2 and len({unit["seed"] for unit in trained}) == 6
    assert len({unit["score"] for unit in trained}) == 6, "every seed gives another training"
    assert record.units["search-level-1"]["mask_sha256"] == plain.units["search-level-1"]["mask_sha256"]
    scores = np.array([unit["score"] for unit in trained]).reshape(3, 2)
    assert record.level(1).noise == variance_split(scores) and plain.level(1).noise is None
    assert "score's variance is due to the mask" in describe_run(record)
    assert "not measured; --noise-seeds 3" in describe_run(plain)
    lines = (path / "journal.jsonl").read_text("utf-8").splitlines(keepends=True)
    stopped = next(i for i, line in enumerate(lines) if "/noise-1-0" in line)
    (path / "journal.jsonl").write_text("".join(lines[:stopped]), "utf-8")
    rp.run(changed, path, resume=True, progress=False)
    assert results(path) == {key: value for key, value in record.summary().items() if key != "run"}
