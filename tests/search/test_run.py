"""The whole search on a tiny model: its records, and the same result after an interruption."""

import dataclasses
import re
import shutil

import numpy as np
import pytest
import torch
from support.runs import change_unit, stopped, write_config, write_units

import randprune_lab as rp
from randprune_lab.analysis.levels import total_steps
from randprune_lab.errors import ConfigError, DataError, FileError, RunError, UnknownNameError
from randprune_lab.masks.recipe import Recipe
from randprune_lab.search.folder import RunFolder
from randprune_lab.search.journal import read_journal
from randprune_lab.search.run import Search
from randprune_lab.search.run_files import load_predictions, weights_sha256
from randprune_lab.training.loop import train


def results(path):
    """All results of a run, without its folder."""
    summary = rp.RunRecord.load(path).summary()
    return {key: value for key, value in summary.items() if key != "run"}


def test_the_dense_model_learns_the_task(finished):
    assert rp.RunRecord.load(finished).accuracy("dense").estimate > 0.9


def test_every_mask_has_exactly_its_sparsity_and_keeps_no_pruned_weight(finished, config):
    for method in ("search", "imp", "uniform"):
        before = None
        for level, sparsity in enumerate(config.levels, start=1):
            mask = rp.MaskSet.load(finished / "masks" / f"{method}-level-{level}.safetensors")
            assert all(m.numel() - int(m.sum()) == round(sparsity * m.numel()) for m in mask.values())
            if before is not None:
                assert not any((mask[name] & ~before[name]).any() for name in mask)
            before = mask


def test_trained_weights_obey_their_mask(finished, config):
    from safetensors.torch import load_file

    for name in ("search-level-2", "imp-level-1", "uniform-level-2"):
        weights = load_file(finished / "checkpoints" / f"{name}.safetensors")
        mask = rp.MaskSet.load(finished / "masks" / f"{name}.safetensors")
        assert all(not weights[key][~kept].any() for key, kept in mask.items())


def test_the_best_early_score_wins_and_its_recorded_mask_can_be_redrawn(finished, config):
    record = rp.RunRecord.load(finished)
    from safetensors.torch import load_file

    start = "dense"
    for level in (1, 2):
        candidates = record.level(level).candidates
        unit = record.units[f"search-level-{level}"]
        assert unit["winner"] == int(np.argmax([candidate["score"] for candidate in candidates]))
        assert all(c["score"] == pytest.approx(np.mean(c["metric"][-config.early_last :])) for c in candidates)
        model, _ = rp.load_model(config.model, num_labels=2)
        model.load_state_dict(load_file(finished / "checkpoints" / f"{start}.safetensors"))
        recipe = Recipe.from_dict(unit["mask"])
        assert rp.MaskSampler.from_recipe(model, recipe).draw(recipe.candidate).sha256 == unit["mask_sha256"]
        start = f"search-level-{level}"


def test_candidates_use_the_sampling_ratios_cyclically(finished, config):
    candidates = rp.RunRecord.load(finished).level(2).candidates
    assert [c["mask"]["rule"]["sampling_ratio"] for c in candidates] == list(config.sampling_ratios[:3])
    assert [c["mask"]["candidate"] for c in candidates] == [c["candidate"] for c in candidates] == [0, 1, 2]


def test_levels_do_not_share_random_numbers(finished):
    record = rp.RunRecord.load(finished)
    assert record.level(1).candidates[0]["mask"]["seed"] != record.level(2).candidates[0]["mask"]["seed"]


def test_transformers_alone_gives_the_final_model_the_recorded_test_score(finished, config):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(finished / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(finished / "model")
    rows = rp.load_splits("sst2", glue_dir=config.glue_dir).test
    with torch.no_grad():
        logits = model(**tokenizer(list(rows["sentence"]), padding=True, return_tensors="pt")).logits
    accuracy = (logits.argmax(1).numpy() == np.array(rows["label"])).mean()
    assert rp.RunRecord.load(finished).units["test/search-level-2"]["accuracy"] == pytest.approx(accuracy)


def test_the_same_configuration_has_the_same_result(finished, config, tmp_path, capfd):
    assert results(rp.run(config, tmp_path / "again", progress=False)) == results(finished)
    assert "%|" not in capfd.readouterr().err, "no library shows a progress bar either"


def test_a_run_stopped_after_any_unit_resumes_to_the_same_result(finished, config, tmp_path):
    assert results(stopped(config, tmp_path / "run", (1, 2, 4, 8, 13))) == results(finished)


def test_resuming_a_finished_run_trains_nothing(finished, config, tmp_path, monkeypatch):
    copy = shutil.copytree(finished, tmp_path / "copy")
    monkeypatch.setattr("randprune_lab.search.run.train", lambda *_, **__: pytest.fail("trained again"))
    rp.run(config, copy, resume=True, progress=False)
    assert (copy / "journal.jsonl").read_bytes() == (finished / "journal.jsonl").read_bytes()


def test_a_long_baseline_has_the_steps_of_the_whole_search(config, tmp_path):
    settings = {"levels": (0.5, 0.9), "candidates": 2, "dense_epochs": 1}
    long = dataclasses.replace(config, baselines=("imp-long",), **settings)
    steps = total_steps(rp.RunRecord.load(rp.run(long, tmp_path / "long", progress=False)))
    assert steps["imp-long"] == steps["search"] == 2 * (2 * 12 + 12)


@pytest.mark.parametrize("begun", [0.85, 0.82], ids=str)
def test_a_run_says_that_other_layers_are_sparse_than_when_it_was_begun(finished, config, tmp_path, caplog, begun):
    copy = shutil.copytree(finished, tmp_path / "copy")
    units = read_journal(copy)
    assert units["compute"].pop("sparse_from") == 0.82
    write_units(copy, units if begun == 0.85 else units | {"compute": units["compute"] | {"sparse_from": begun}})
    rp.run(config, copy, resume=True, progress=False)
    assert ("sparse layers from 0.85 (now 0.82) on: last bits may differ" in caplog.text) == (begun == 0.85)


@pytest.mark.parametrize(("device", "processor"), [("cuda:0", "Great GPU"), ("sim:0", None)])
def test_a_run_is_not_resumed_on_another_device(finished, config, tmp_path, device, processor):
    copy = shutil.copytree(finished, tmp_path / "copy")
    change_unit(copy, "compute", device=device, processor=processor)
    name = device + (f" ({processor})" if processor else "")
    with pytest.raises(RunError, match=rf"was computed on {re.escape(name)}, .* device 'auto' is cpu, .* choose"):
        rp.run(config, copy, resume=True, progress=False)


@pytest.mark.parametrize(
    ("setting", "value"), [("device", "cpu"), ("threads", 3), ("precision", "bfloat16"), ("compute", "dense")]
)
def test_a_run_is_not_resumed_with_other_settings_of_its_device(finished, config, setting, value):
    with pytest.raises(RunError, match=rf"cannot resume .*: {setting} was .* and is now {value!r}; resume with"):
        rp.run(dataclasses.replace(config, **{setting: value}), finished, resume=True, progress=False)


def test_a_run_is_resumed_with_the_threads_that_it_was_begun_with(finished, config, tmp_path, monkeypatch):
    copy, threads = shutil.copytree(finished, tmp_path / "copy"), []
    change_unit(copy, "compute", threads=3)
    monkeypatch.setattr(Search, "_save_model", lambda self: threads.append(torch.get_num_threads()) or {"weights": ""})
    with RunFolder.open(copy, config, resume=True) as folder:
        folder.forget("model")
        Search(config, progress=False).run(folder)
    assert threads == [3] and torch.get_num_threads() == 1


def test_a_sparse_run_that_was_stopped_ends_with_the_same_bits(config, tmp_path):
    settings = {"levels": (0.9,), "candidates": 2, "baselines": (), "dense_epochs": 1, "compute": "sparse"}
    config = dataclasses.replace(config, **settings)
    whole = rp.run(config, tmp_path / "whole", progress=False)
    units = read_journal(whole)
    assert units["compute"]["layers"] == "sparse"
    copy = shutil.copytree(whole, tmp_path / "copy")
    lines = (copy / "journal.jsonl").read_text().splitlines(keepends=True)
    (copy / "journal.jsonl").write_text("".join(lines[:4]))  # the data, the machine, the dense model, one candidate
    rp.run(config, copy, resume=True, progress=False)
    assert read_journal(copy) == units
    dense = read_journal(rp.run(dataclasses.replace(config, compute="dense"), tmp_path / "dense", progress=False))
    level = "search-level-1"
    assert dense[level]["losses"] == pytest.approx(units[level]["losses"], abs=1e-3)
    assert dense[level]["weights_sha256"] != units[level]["weights_sha256"]


def test_an_incomplete_last_line_is_ignored_and_its_unit_is_done_again(finished, config, tmp_path):
    copy = shutil.copytree(finished, tmp_path / "copy")
    journal = copy / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-7])
    rp.run(config, copy, resume=True, progress=False)
    assert results(copy) == results(finished)


def test_another_damaged_line_is_named_in_the_error(finished, tmp_path):
    copy = shutil.copytree(finished, tmp_path / "copy")
    lines = (copy / "journal.jsonl").read_text().splitlines(keepends=True)
    (copy / "journal.jsonl").write_text("".join([*lines[:2], "{broken\n", *lines[2:]]))
    with pytest.raises(FileError, match=r"journal.jsonl, line 3, is damaged"):
        rp.RunRecord.load(copy)


def test_an_existing_folder_is_refused_and_not_changed(finished, config):
    before = (finished / "journal.jsonl").read_bytes()
    with pytest.raises(RunError, match="exists already; go on with --resume, replace it with --overwrite"):
        rp.run(config, finished, progress=False)
    assert (finished / "journal.jsonl").read_bytes() == before


@pytest.mark.parametrize("setting", ["dense_learning_rate", "learning_rate"])
def test_a_training_that_diverges_is_named_with_its_learning_rate(config, tmp_path, monkeypatch, setting):
    def spoil(model, *args, mask=None, **kwargs):
        history = train(model, *args, mask=mask, **kwargs)
        if (mask is None) == (setting == "dense_learning_rate"):
            model.get_input_embeddings().weight.data[0, 0] = torch.inf
        return history

    monkeypatch.setattr("randprune_lab.search.run.train", spoil)
    short = dataclasses.replace(config, levels=(0.5,), candidates=1, baselines=(), dense_epochs=1, **{setting: 0.002})
    with pytest.raises(RunError, match=rf"diverged: .* lower {setting} \(--{setting.replace('_', '-')}\) from 0.002"):
        rp.run(short, tmp_path / "run", progress=False)


@pytest.mark.parametrize("option", ["resume", "overwrite"])
def test_a_folder_without_a_run_is_never_changed(config, tmp_path, option):
    (tmp_path / "thesis.txt").write_text("important")
    with pytest.raises(RunError, match="not a run folder"):
        rp.run(config, tmp_path, progress=False, **{option: True})
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_resuming_with_another_configuration_is_refused_and_the_setting_named(finished, config):
    with pytest.raises(RunError, match=r"candidates was 3 and is now 4"):
        rp.run(dataclasses.replace(config, candidates=4), finished, resume=True, progress=False)


def test_resuming_with_changed_data_is_refused(finished, config, tmp_path):
    glue = shutil.copytree(config.glue_dir, tmp_path / "glue")
    moved = dataclasses.replace(config, glue_dir=str(glue))
    copy = shutil.copytree(finished, tmp_path / "copy")
    write_config(copy, moved.to_dict())
    with (glue / "SST-2" / "train.tsv").open("a") as file:
        file.write("one good film more\t1\n")
    with pytest.raises(RunError, match=r"the data from .* has changed"):
        rp.run(moved, copy, resume=True, progress=False)


def test_a_second_process_is_refused(finished, config, tmp_path):
    copy = shutil.copytree(finished, tmp_path / "copy")
    with RunFolder.open(copy, config, resume=True), pytest.raises(RunError, match="another process is working"):
        RunFolder.open(copy, config, resume=True)


def test_overwriting_starts_from_the_beginning(finished, config, tmp_path):
    copy = shutil.copytree(finished, tmp_path / "copy")
    with RunFolder.open(copy, config, overwrite=True) as folder:
        assert folder.units == {} and not (copy / "checkpoints").exists()


@pytest.mark.parametrize("how", ["cut", "one bit", "gone"])
@pytest.mark.parametrize("name", ["dense", "search-level-1"])
def test_a_damaged_checkpoint_is_named_and_made_again_with_the_same_bits(finished, config, tmp_path, how, name, caplog):
    copy = shutil.copytree(finished, tmp_path / "copy")
    checkpoint = copy / "checkpoints" / f"{name}.safetensors"
    whole = checkpoint.read_bytes()
    damaged = {"cut": whole[:-100], "one bit": whole[:-1] + bytes([whole[-1] ^ 1]), "gone": None}[how]
    checkpoint.unlink() if damaged is None else checkpoint.write_bytes(damaged)
    journal = copy / "journal.jsonl"
    kept = [line for line in journal.read_text().splitlines() if not line.startswith('{"unit": "test/')]
    journal.write_text("\n".join(line for line in kept if not line.startswith('{"unit": "model"')) + "\n")
    rp.run(config, copy, resume=True, progress=False)
    assert f"{name}.safetensors is" in caplog.text and "made again" in caplog.text
    assert checkpoint.read_bytes() == whole
    assert results(copy) == results(finished)


def test_damaged_predictions_of_a_candidate_are_named_and_computed_again(finished, config, tmp_path, caplog):
    copy = shutil.copytree(finished, tmp_path / "copy")
    damaged = next((copy / "predictions").glob("search-level-2-candidate-1-*"))
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:100])
    journal = copy / "journal.jsonl"
    kept = [line for line in journal.read_text().splitlines() if not line.startswith('{"unit": "search-level-2"')]
    journal.write_text("\n".join(line for line in kept if "search-level-2/selection" not in line) + "\n")
    rp.run(config, copy, resume=True, progress=False)
    assert damaged.name in caplog.text and "computed again" in caplog.text
    assert damaged.read_bytes() == whole and results(copy) == results(finished)


def test_an_unwritable_folder_is_refused_before_training(config, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot write the run folder"):
        rp.run(config, tmp_path / "file" / "run", progress=False)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"task": "sst3"}, UnknownNameError, "unknown task 'sst3'; did you mean 'sst2'"),
        ({"model": "minilmm"}, UnknownNameError, "minilm"),
        ({"glue_dir": "nowhere"}, DataError, "nowhere"),
        ({"train_size": 10_000}, ConfigError, "train_size"),
        ({"validation_size": 10_000}, ConfigError, "validation_size must be at most .*, the number of rows"),
        ({"layers": 9}, ConfigError, "9"),
    ],
)
def test_a_task_model_or_data_that_cannot_be_used_is_refused_before_a_folder_is_made(
    config, tmp_path, change, error, message
):
    with pytest.raises(error, match=message):
        rp.run(dataclasses.replace(config, **change), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_select_on_test_chooses_the_last_level_on_the_test_set(config, tmp_path):
    short = dataclasses.replace(config, protocol="select-on-test", baselines=(), candidates=2, dense_epochs=1)
    record = rp.RunRecord.load(rp.run(short, tmp_path / "run", progress=False))
    sizes = [len(load_predictions(record.path, f"search-level-{level}-candidate-0-steps-12")[1]) for level in (1, 2)]
    assert sizes == [record.units["data"]["validation"], record.units["data"]["test"]]


def test_fingerprints_of_different_weights_differ():
    weights = {"a": torch.zeros(4), "b": torch.ones(2)}
    assert weights_sha256(weights) == weights_sha256(dict(reversed(weights.items())))
    variants = (torch.zeros(2, 2), torch.zeros(4, dtype=torch.float64), torch.tensor([0, 0, 0, -0.0]))
    assert len({weights_sha256(weights), *(weights_sha256({**weights, "a": variant}) for variant in variants)}) == 4


@pytest.mark.parametrize(
    "settings",
    [
        {"early_strategy": "halving", "early_budget": 0.9, "early_score": "log-loss"},
        {"early_strategy": "race", "screen": 5},
    ],
    ids=str,
)
def test_other_strategies_spend_fewer_steps_and_resume_to_the_same_result(config, tmp_path, settings):
    short = dataclasses.replace(config, levels=(0.9,), baselines=(), dense_epochs=1, candidates=3, **settings)
    whole = rp.RunRecord.load(rp.run(short, tmp_path / "whole", progress=False))
    selection = whole.units["search-level-1/selection"]
    assert selection["winner"] == whole.units["search-level-1"]["winner"]
    assert 0 < selection["steps"] <= 3 * 12 and len(whole.level(1).candidates) == settings.get("screen", 3)
    assert selection["steps"] == sum(unit["steps"] for unit in whole.level(1).candidates)

    copy = shutil.copytree(whole.path, tmp_path / "copy")
    lines = (copy / "journal.jsonl").read_text().splitlines(keepends=True)
    (copy / "journal.jsonl").write_text("".join(lines[:5]))  # in the middle of the early evaluations
    assert results(rp.run(short, copy, resume=True, progress=False)) == results(whole.path)
