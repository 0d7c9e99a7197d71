"""The record of a run, finished or not, has what is in its folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file
from support.runs import write_config, write_units

import randprune_lab as rp
from randprune_lab.analysis.text import describe_run
from randprune_lab.cli import main
from randprune_lab.errors import FileError, RunError
from randprune_lab.sealed import read_arrays, write_arrays
from randprune_lab.search.journal import read_journal
from randprune_lab.search.recorded_config import FORMAT, KIND, read_config
from randprune_lab.search.run_files import (
    PREDICTIONS,
    load_evaluations,
    load_predictions,
    predictions_path,
    weights_sha256,
)
from randprune_lab.stats.confidence import assess_choice
from randprune_lab.stats.intervals import Interval, accuracy_interval, paired_difference


@pytest.fixture(scope="module")
def record(finished) -> rp.RunRecord:
    return rp.RunRecord.load(finished)


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    return shutil.copytree(finished, tmp_path / "copy")


def journal_lines(folder: Path) -> list[str]:
    return (folder / "journal.jsonl").read_text("utf-8").splitlines(keepends=True)


def stopped_after_each_unit(finished: Path, folder: Path) -> Iterator[int]:
    """Make `folder` like the run after 0, 1, 2... units, without the files of later units."""
    lines = journal_lines(finished)
    (folder / "predictions").mkdir(parents=True)
    shutil.copy(finished / "config.json", folder)
    yield 0
    shutil.copy(finished / "environment.json", folder)
    for number, line in enumerate(lines, start=1):
        unit = json.loads(line)["unit"].replace("/", "-")
        if (predictions := finished / "predictions" / f"{unit}.safetensors").exists():
            shutil.copy(predictions, folder / "predictions")
        (folder / "journal.jsonl").write_text("".join(lines[:number]) + '{"unit": "torn', "utf-8")
        yield number


# --- the whole run ---


def test_the_summary_is_plain_json(record):
    summary = record.summary()
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert summary["finished"] and summary["config"] == record.config.to_dict()


def test_the_summary_has_every_method_and_level_with_the_numbers_of_the_journal(record, finished):
    units = read_journal(finished)
    levels = record.summary()["levels"]
    assert [(level["method"], level["level"], level["sparsity"]) for level in levels] == [
        (method, number, sparsity)
        for method in ("search", "imp", "uniform")
        for number, sparsity in ((1, 0.5), (2, 0.9))
    ]
    for level in levels:
        name = f"{level['method']}-level-{level['level']}"
        recorded = {key: units[name][key] for key in ("score", "winner", "mask_sha256", "weights_sha256")}
        assert recorded.items() <= level.items()
        assert level["test"] == units[f"test/{name}"]
        for number, candidate in enumerate(level["candidates"]):
            assert candidate.pop("score") == units[f"{name}/selection"]["rounds"][0]["scores"][number]
            assert candidate.items() <= units[f"{name}/candidate-{number}/steps-12"].items()
    assert [len(level["candidates"]) for level in levels] == [3, 3, 0, 0, 0, 0]


def test_fingerprints_match_the_files(record, finished):
    for level in record.summary()["levels"]:
        name = f"{level['method']}-level-{level['level']}.safetensors"
        assert level["mask_sha256"] == rp.MaskSet.load(finished / "masks" / name).sha256
        assert level["weights_sha256"] == weights_sha256(load_file(finished / "checkpoints" / name))


def test_test_scores_and_differences_follow_from_the_recorded_answers(record, finished):
    def correct(name: str) -> np.ndarray:
        logits, labels = load_predictions(finished, f"test-{name}")
        return np.array([row.tolist().index(max(row)) == label for row, label in zip(logits, labels, strict=True)])

    summary = record.summary()
    trained = {"dense": summary["dense"]}
    trained |= {f"{level['method']}-level-{level['level']}": level for level in summary["levels"]}
    assert list(trained) == record.trained
    for name, entry in trained.items():
        assert entry["test"]["accuracy"] == pytest.approx(correct(name).mean())
        assert entry["test_intervals"] == {"accuracy": vars(accuracy_interval(correct(name)))}
    for row, (baseline, level, sparsity) in zip(
        summary["differences"],
        [("imp", 1, 0.5), ("imp", 2, 0.9), ("uniform", 1, 0.5), ("uniform", 2, 0.9)],
        strict=True,
    ):
        ours, theirs = correct(f"search-level-{level}"), correct(f"{baseline}-level-{level}")
        assert row["estimate"] == pytest.approx(ours.mean() - theirs.mean())
        interval = vars(paired_difference(ours, theirs))
        assert row == {"baseline": baseline, "level": level, "sparsity": sparsity, "metric": "accuracy"} | interval


def test_candidates_are_ordered_by_number_and_have_their_longest_evaluation(copy):
    unit = read_journal(copy)["search-level-1/candidate-0/steps-12"]
    evaluations = [(10, 4), (2, 4), (9, 4), (2, 12), (9, 8)]
    units = {f"search-level-1/candidate-{c}/steps-{n}": unit | {"candidate": c, "steps": n} for c, n in evaluations}
    write_units(copy, units)
    candidates = rp.RunRecord.load(copy).level(1).candidates
    assert [(entry["candidate"], entry["steps"]) for entry in candidates] == [(2, 12), (9, 8), (10, 4)]
    assert all(entry["score"] is None for entry in candidates)


def test_the_text_has_the_settings_and_the_results(record):
    text, summary = describe_run(record), record.summary()
    data = summary["data"]
    assert f"sst2: 360 train, {data['validation']} validation, {data['test']} test examples" in text
    assert record.config.model in text and "not finished" not in text and "no test scores" not in text
    for level in summary["levels"]:
        interval = level["test_intervals"]["accuracy"]
        assert Interval(**interval).in_points() in text
        assert level["mask_sha256"][:12] in text and level["weights_sha256"][:12] in text
        for number, candidate in enumerate(level["candidates"]):
            line = f"candidate {number}  early score {100 * candidate['score']:.1f}  voting, sampling ratio "
            line += f"{candidate['mask']['rule']['sampling_ratio']:g}, power 5"
            assert line + ("  <- winner\n" if number == level["winner"] else "\n") in text
    for row in summary["differences"]:
        found = Interval(row["estimate"], row["low"], row["high"]).in_points(signed=True)
        assert f"search minus {row['baseline']}: {found}" in text


def test_the_confidence_follows_from_the_recorded_log_likelihoods_of_all_levels(record, config):
    pools = {}
    for level in (1, 2):
        names = [f"search-level-{level}-candidate-{number}-steps-12" for number in range(3)]
        pools[level] = np.stack(
            [load_evaluations(record.path, name)["examples"][-config.early_last :].mean(0) for name in names]
        )
    for level in (1, 2):
        winner = record.units[f"search-level-{level}"]["winner"]
        expected = assess_choice(pools[level], others=[pools[3 - level]], winner=winner)
        confidence = record.level(level).confidence
        assert confidence.winner == winner and confidence.expected_loss == expected.expected_loss >= 0
        assert np.array_equal(confidence.chance_of_best, expected.chance_of_best)
        assert confidence.chance_of_best.sum() == pytest.approx(1)
        assert f"best of these with probability {confidence.chance_of_best[winner]:.2f};" in describe_run(record)
        assert record.summary()["levels"][level - 1]["confidence"]["winners_curse"] == confidence.winners_curse
    assert record.level(1, "imp").confidence is None


# --- an unfinished run ---


def test_a_run_stopped_after_any_unit_can_be_read(finished, tmp_path):
    total = len(journal_lines(finished))
    whole = rp.RunRecord.load(finished).summary()
    for done in stopped_after_each_unit(finished, tmp_path / "stopped"):
        record = rp.RunRecord.load(tmp_path / "stopped")
        text, summary = describe_run(record), record.summary()
        assert len(record.units) == done
        assert summary["finished"] == (done == total)
        assert ("not finished; go on with --resume" in text) == (done < total)
        json.dumps(summary, allow_nan=False)
        chosen = all(level["confidence"] for level in summary["levels"] if level["method"] == "search")
        for level, known in zip(summary["levels"], whole["levels"], strict=True):
            if not chosen and level["confidence"]:  # later pools tell more of the spread
                assert level.pop("confidence").keys() == known["confidence"].keys()
            for ours, theirs in zip(level.pop("candidates"), known["candidates"], strict=False):
                assert ours == theirs | {"score": ours["score"]} and ours["score"] in (None, theirs["score"])
            assert all(value in (None, known[key]) for key, value in level.items())
    assert record.summary() == whole | {"run": str(tmp_path / "stopped")}


def test_a_run_is_finished_when_its_model_is_written(copy):
    *all_but_the_model, model = journal_lines(copy)
    assert json.loads(model)["unit"] == "model"
    (copy / "journal.jsonl").write_text("".join(all_but_the_model), "utf-8")
    assert not rp.RunRecord.load(copy).finished


# --- missing and damaged files ---


def test_a_folder_without_a_run_is_named_in_the_error(tmp_path):
    with pytest.raises(RunError, match=r"holds no run: it has no config\.json"):
        rp.RunRecord.load(tmp_path)


@pytest.mark.parametrize(
    "content", ["", "{", *(f'{{"kind": "{KIND}", "format": {FORMAT}{rest}' for rest in ("}", ', "plugins": 3}', ', "'))]
)
def test_a_damaged_configuration_is_named_in_the_error(tmp_path, content):
    (tmp_path / "config.json").write_text(content, "utf-8")
    with pytest.raises(FileError, match=r"config\.json is damaged"):
        rp.RunRecord.load(tmp_path)


@pytest.mark.parametrize("settings", [{"levels": [1.2]}, {"speed": 3}, {"candidates": "three"}, {"tasks": {}}])
def test_a_configuration_of_wrong_settings_is_named_in_the_error(tmp_path, settings):
    write_config(tmp_path, settings)
    with pytest.raises(FileError, match=r"config\.json is damaged"):
        rp.RunRecord.load(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "journal.jsonl"])
def test_a_changed_digit_is_noticed(copy, name):
    text = (copy / name).read_text()
    for place in range(0, len(text) - 1, 1 + len(text) // 60):
        if text[place].isdigit():
            changed = f"{text[:place]}{(int(text[place]) + 1) % 10}{text[place + 1 :]}"
            (copy / name).write_text(changed)
            with pytest.raises((FileError, RunError), match=rf"{name}|{copy.name}"):
                rp.RunRecord.load(copy)


def test_a_damaged_environment_is_named_in_the_error(copy):
    (copy / "environment.json").write_text("{", "utf-8")
    with pytest.raises(FileError, match=r"environment\.json is damaged .*; delete it; the run"):
        rp.RunRecord.load(copy).summary()


def test_missing_and_damaged_predictions_are_named_in_the_error(copy):
    file = copy / "predictions" / "test-imp-level-2.safetensors"
    file.write_bytes(file.read_bytes()[:-3])
    for message in ("is damaged or truncated", "there is no predictions file"):
        with pytest.raises(FileError, match=message) as caught:
            rp.RunRecord.load(copy).summary()
        assert file.name in str(caught.value)
        file.unlink(missing_ok=True)


def rewritten(folder: Path, name: str, change: Callable[[dict[str, np.ndarray]], object]) -> Path:
    """A run folder in which the arrays of one file were changed and written again."""
    arrays, _ = read_arrays(predictions_path(folder, name), PREDICTIONS, FORMAT, "")
    change(arrays)
    write_arrays(predictions_path(folder, name), PREDICTIONS, FORMAT, arrays, {})
    return folder


def shorten(arrays: dict[str, np.ndarray]) -> None:
    arrays.update(logits=arrays["logits"][1:], labels=arrays["labels"][1:])
    if "examples" in arrays:
        arrays["examples"] = arrays["examples"][:, 1:]


@pytest.mark.parametrize("name", ["test-imp-level-2", "search-level-1-candidate-1-steps-12"])
@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: arrays.update(labels=1 - arrays["labels"]),
        lambda arrays: arrays.update(labels=arrays["labels"][1:]),
        lambda arrays: arrays.update(logits=arrays["logits"][:, 0]),
        lambda arrays: arrays.update({key: values[..., :0] for key, values in arrays.items()}),
        lambda arrays: arrays.pop("labels"),
        shorten,
    ],
)
def test_predictions_of_other_examples_are_refused(copy, name, change, capsys):
    rewritten(copy, name, change)
    assert main(["show", str(copy)]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert f"{name}.safetensors" in error


@pytest.mark.parametrize("logits", [np.full((120, 2), np.nan, np.float32), np.zeros((120, 3), np.float32)])
def test_test_predictions_that_are_not_logits_of_the_task_are_refused(copy, logits):
    rewritten(copy, "test-search-level-1", lambda arrays: arrays.update(logits=logits[: len(arrays["labels"])]))
    with pytest.raises(FileError, match=r"test-search-level-1\.safetensors must have 2 finite logits"):
        rp.RunRecord.load(copy).score("search-level-1")


@pytest.mark.parametrize("name", ["test-dense", "search-level-2-candidate-0-steps-12"])
def test_a_flipped_bit_of_a_prediction_is_noticed(copy, name):
    file = predictions_path(copy, name)
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    with pytest.raises(FileError, match=f"{name}.safetensors is damaged"):
        rp.RunRecord.load(copy).summary()


# --- statistics that cannot be computed ---


def one_example(arrays: dict[str, np.ndarray]) -> None:
    arrays.update(logits=arrays["logits"][:1], labels=arrays["labels"][:1], examples=arrays["examples"][:, :1])


def diverged(arrays: dict[str, np.ndarray]) -> None:
    arrays["examples"][:] = np.nan


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (one_example, "confidence needs at least two candidates and two examples, got 3 and 1"),
        (diverged, "confidence needs finite scores, but those of a candidate that diverged are not"),
    ],
)
def test_a_run_whose_statistics_are_unknown_is_shown_with_the_reason(copy, capsys, change, reason):
    write_config(copy, read_config(copy).to_dict() | {"noise_seeds": 2})
    for number in range(3):
        rewritten(copy, f"search-level-1-candidate-{number}-steps-12", change)
    noise = {
        f"search-level-1/noise-{mask}-{seed}": {"mask": mask, "seed": seed, "score": -0.1 * mask, "steps": 12}
        for mask, seed in product(range(3), range(2))
    }
    write_units(copy, read_journal(copy) | noise)
    assert main(["show", str(copy)]) == 0
    text = capsys.readouterr().out
    assert f"confidence   cannot be said, because {reason}" in text
    assert "noise floor  cannot be said, because a variance split needs scores that vary with the seed" in text
    assert text.count("search minus imp") == 2 and text.count("  confidence   the winner is the best") == 1
    assert main(["show", str(copy), "--json"]) == 0
    first, second, *_ = json.loads(capsys.readouterr().out)["levels"]
    assert [first["confidence"][key] for key in ("chance_of_best", "expected_loss", "mask_share")] == [None] * 3
    assert first["confidence"]["unknown"][0] == reason and len(first["confidence"]["unknown"]) == 2
    assert second["confidence"]["chance_of_best"] > 0 and second["confidence"]["unknown"] == []
    assert first["test_intervals"] and second["test_intervals"]
