"""What a class shares: the numbers of the runs and nothing personal; what cannot be compared is named and left out."""

from __future__ import annotations

import dataclasses
import getpass
import json
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.made_up import share
from support.runs import write_units

import randprune_lab as rp
from randprune_lab.analysis.gathered import gather
from randprune_lab.analysis.levels import difference_at_the_end, total_steps
from randprune_lab.analysis.run_record import RunRecord
from randprune_lab.analysis.shared import LONGEST, Share, read_share, share_runs
from randprune_lab.errors import ConfigError, FileError, RunError, UnknownNameError
from randprune_lab.search.journal import read_journal
from randprune_lab.stats import mean_interval
from randprune_lab.tasks import load_splits


@pytest.fixture(scope="module")
def longer(config, finished, tmp_path_factory) -> Path:
    """IMP with the steps of the search in `finished`."""
    alone: dict[str, Any] = {"method": "imp-long", "rule": "magnitude", "candidates": 1, "baselines": ()}
    equal = dataclasses.replace(config, epochs=config.candidates * config.early_epochs + config.epochs, **alone)
    return rp.run(equal, tmp_path_factory.mktemp("longer") / "imp", dense_of=finished, progress=False)


@pytest.fixture(scope="module")
def shared(finished, longer) -> Share:
    return share_runs([finished, longer], "search ahead")


def saved(folder: Path, *shares: Share) -> Path:
    """A folder with the files of shares, named in their order."""
    for number, one in enumerate(shares):
        one.save(folder / f"{number:02}.json")
    return folder


# --- sharing ---


def test_what_is_gathered_are_the_numbers_of_the_runs(shared, finished, longer, tmp_path):
    record, other = RunRecord.load(finished), RunRecord.load(longer)
    shared.save(tmp_path / shared.file_name)
    found = gather(tmp_path)
    assert [*found.shares.values()] == [shared] and not found.left_out
    assert (found.other, found.sparsity) == ("imp-long", 0.9), "the method with the same steps, at the last level"
    ours, theirs = found.steps
    assert ours == theirs == total_steps(record)["search"] == total_steps(other)["imp-long"]
    difference = difference_at_the_end(record, "search", other, "imp-long")
    assert found.differences[record.config.seed].interval == difference
    assert shared.difference("imp", 0.5).interval == record.difference("search-level-1", "imp-level-1")
    for name in record.methods:
        for number, level in enumerate(record.config.levels, 1):
            assert shared.score(name, level).score == record.score(f"{name}-level-{number}").estimate


def texts(content: Any) -> Iterator[str]:
    """All strings in a JSON value, keys included."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict | list):
        for part in [*content, *content.values()] if isinstance(content, dict) else content:
            yield from texts(part)


def longest(content: Any) -> int:
    """The length of the longest list of plain values in a JSON value."""
    parts = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    plain = isinstance(content, list) and not any(isinstance(part, dict | list) for part in parts)
    return max([len(parts) if plain else 0, *map(longest, parts)])


def test_a_shared_file_has_nothing_personal(shared, config, tmp_path):
    shared.save(tmp_path / "share.json")
    content = json.loads((tmp_path / "share.json").read_text("utf-8"))
    found = set(texts(content))
    secret = {getpass.getuser(), platform.node(), str(Path.home()), config.glue_dir, str(Path(config.model).parent)}
    assert not {text for text in found for word in secret if len(word) > 2 and word in text}
    assert not any("/" in text or "\\" in text for text in found), "no path"
    sentences = load_splits("sst2", glue_dir=config.glue_dir).test["sentence"]
    assert not found & set(sentences) and max(map(len, found)) <= 64
    assert longest(content) < 10, "nothing for each example"


def test_the_same_runs_give_the_same_file(shared, finished, longer, tmp_path):
    again = share_runs([finished, longer], "another guess")
    assert again.file_name == shared.file_name and again.results == shared.results and again.guess != shared.guess
    for number, one in enumerate([shared, dataclasses.replace(again, guess=shared.guess)]):
        one.save(tmp_path / f"{number}.json")
    assert (tmp_path / "0.json").read_bytes() == (tmp_path / "1.json").read_bytes()
    assert read_share(tmp_path / "0.json") == shared


def test_a_run_that_cannot_be_shared_is_refused_in_one_line(finished, longer, regression, config, tmp_path):
    copy = tmp_path / "begun"
    shutil.copytree(finished, copy)
    units = read_journal(copy)
    write_units(copy, {name: unit for name, unit in units.items() if name != "model"})
    refused = {
        "begun is not finished; go on with: randprune run --resume --out": [copy],
        "no other method to compare 'imp-long' with": [longer],
        "several of these runs have a method 'search'": [finished, finished],
        "not scored on the same test examples": [finished, regression],
        "holds no run": [tmp_path],
    }
    for message, runs in refused.items():
        with pytest.raises(RunError, match=message) as error:
            share_runs(runs)
        assert "\n" not in str(error.value)
    with pytest.raises(RunError, match="share the runs of one seed"):
        other = rp.run(
            dataclasses.replace(config, seed=1, levels=(0.5,), baselines=("imp",), candidates=1, dense_epochs=1),
            tmp_path / "other",
            progress=False,
        )
        share_runs([finished, other])


@pytest.mark.parametrize("guess", ["", "two\nlines", "x" * (LONGEST + 1)], ids=["empty", "two lines", "long"])
def test_a_guess_is_one_short_line(guess):
    with pytest.raises(ConfigError, match=f"a guess must be one line of 1 to {LONGEST} characters"):
        share(guess=guess)


# --- gathering ---


def test_thirty_students_are_thirty_seeds(tmp_path):
    estimates = [-0.3 + 0.01 * (7 * seed % 30) for seed in range(30)]
    shares = [share(seed, estimate) for seed, estimate in enumerate(estimates)]
    found = gather(saved(tmp_path, *reversed(shares)))
    assert [*found.differences] == [*range(30)] and not found.left_out
    assert found.over_seeds == mean_interval(estimates)
    assert (
        gather(tmp_path, other="imp", sparsity=0.9).differences[3].interval == shares[3].difference("imp", 0.9).interval
    )


def test_students_may_name_the_other_runs_in_any_order(tmp_path):
    turned = dataclasses.replace(share(1), differences=share(1).differences[::-1])
    found = gather(saved(tmp_path, share(0), turned))
    assert [*found.shares] == ["00.json", "01.json"] and not found.left_out


SETTINGS = share().settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": "0.2.0"}, "other package version: 0.2.0, not 0.1.0"),
        ({"task": "mini-mnli"}, "other task: mini-mnli, not mini-sst2"),
        ({"data": "0000"}, "other data"),
        (
            {"settings": SETTINGS | {"search": {"candidates": 8, "epochs": 2}}},
            "other settings: candidates of search 8, not 4",
        ),
        ({"settings": {"search": SETTINGS["search"]}}, "lacks the run of 'imp-long'; share both together"),
    ],
    ids=["version", "task", "data", "settings", "one run"],
)
def test_results_of_another_experiment_are_named_and_left_out(changes, message, tmp_path):
    found = gather(saved(tmp_path, share(1, **changes), share(2), share(3)))
    assert [one.seed for one in found.shares.values()] == [2, 3]
    (line,) = found.left_out
    assert line.startswith("00.json: ") and message in line


def test_a_seed_counts_once(tmp_path):
    found = gather(saved(tmp_path, share(1), share(1), share(1, -0.1), share(2)))
    assert found.over_seeds == mean_interval([-0.2, -0.2]) and [*found.shares] == ["00.json", "03.json"]
    same, other = found.left_out
    assert same.startswith("01.json: seed 1 again, with the same numbers; 00.json is used")
    assert other.startswith("02.json: seed 1 again, with other numbers; 00.json is used")


def damaged(folder: Path) -> None:
    content = (folder / "00.json").read_text("utf-8")
    (folder / "a.json").write_text(content.replace("0.7", "0.8"), "utf-8")


def truncated(folder: Path) -> None:
    (folder / "a.json").write_bytes((folder / "00.json").read_bytes()[:-9])


def of_another_kind(folder: Path) -> None:
    (folder / "a.json").write_text('{"cells": []}', "utf-8")


def a_later_format(folder: Path) -> None:
    content = json.loads((folder / "00.json").read_text("utf-8"))
    (folder / "a.json").write_text(json.dumps(content | {"format": 9}), "utf-8")


def too_large(folder: Path) -> None:
    (folder / "a.json").write_bytes(b"{}" + b" " * (1 << 20))


def a_run(folder: Path) -> None:
    (folder / "a").mkdir()
    (folder / "a" / "config.json").write_text("{}", "utf-8")


def other_files(folder: Path) -> None:
    (folder / "notes.txt").write_text("", "utf-8")


@pytest.mark.parametrize(
    ("add", "message"),
    [
        (damaged, "shared file a.json is damaged or truncated (its checksum is not that of its content)"),
        (truncated, "shared file a.json is damaged or truncated"),
        (of_another_kind, "a.json is no shared file; share the run again: randprune share RUN"),
        (a_later_format, "a.json has format 9"),
        (too_large, "a.json is larger than any shared file"),
        (a_run, "a: this is a run folder; its student shares it first: randprune share a"),
        (other_files, "no shared files: 'notes.txt'"),
    ],
    ids=["damaged", "truncated", "kind", "format", "large", "run", "others"],
)
def test_what_is_no_share_is_named_in_one_line_and_the_rest_is_gathered(add, message, tmp_path):
    add(saved(tmp_path, share(1), share(2)))
    found = gather(tmp_path)
    assert len(found.shares) == 2
    (line,) = found.left_out
    assert line.startswith(message) and "\n" not in line


def test_pages_hidden_files_and_subfolders_need_no_words(tmp_path):
    for name in ("class.html", "class.csv", "class.png", ".00.json"):
        (tmp_path / name).write_text("x", "utf-8")
    (tmp_path / "student (1)").mkdir()
    share(4).save(tmp_path / "student (1)" / "seed-4 (1).json")
    found = gather(tmp_path)
    assert [*found.shares] == ["student (1)/seed-4 (1).json"] and not found.left_out


def test_wrong_use_is_refused(tmp_path):
    with pytest.raises(FileError, match="has no shared file; students write one: randprune share RUN"):
        gather(tmp_path)
    with pytest.raises(FileError, match="give the folder of the shared files"):
        gather(tmp_path / "nowhere")
    saved(tmp_path, share())
    with pytest.raises(UnknownNameError, match="unknown method to compare with 'imp-lang'; did you mean 'imp-long'"):
        gather(tmp_path, other="imp-lang")
    with pytest.raises(ConfigError, match=r"sparsity must be one of 0.9, 0.99, got 0.5"):
        gather(tmp_path, sparsity=0.5)


def test_without_equal_steps_the_comparison_is_with_imp(tmp_path):
    one = share()
    kept = {
        name: tuple(each for each in getattr(one, name) if "imp-long" not in str(each))
        for name in ("scores", "differences")
    }
    found = gather(saved(tmp_path, dataclasses.replace(one, **kept)))
    assert found.other == "imp" and found.steps == (600, 200)
