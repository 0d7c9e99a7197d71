"""Run folders: nothing of others is touched, nothing outside is read or written, and one process works in each."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from safetensors import SafetensorError
from support.runs import write_config

import randprune_lab as rp
from randprune_lab.errors import FileError, LockedError, RandpruneError, RunError
from randprune_lab.files import refused_by_machine
from randprune_lab.search.folder import FOLDERS, RunFolder
from randprune_lab.search.journal import in_use
from randprune_lab.search.recorded_config import read_config
from randprune_lab.search.winner import winning_mask


def contents(folder: Path) -> dict[Path, bytes | None]:
    """All that is in a folder: the bytes of files, None for folders."""
    return {path: None if path.is_dir() else path.read_bytes() for path in sorted(folder.rglob("*"))}


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "copy")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of somebody else's, where nothing may change."""
    folder = tmp_path / "outside"
    folder.mkdir()
    for name in ("journal.jsonl", "config.json", "dense.safetensors", "thesis.txt"):
        (folder / name).write_text("important")
    return folder


# --- folders of others ---


@pytest.mark.parametrize(
    "content", ["{}", "[]", "not JSON", "null", '{"model_type": "bert", "format": 3}', "[" * 10**5]
)
@pytest.mark.parametrize("option", ["resume", "overwrite"])
def test_a_config_of_something_else_makes_no_run_folder(config, tmp_path, content, option) -> None:
    folder = tmp_path / "model"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.json").write_text(content)
    (folder / "checkpoints" / "step-1.safetensors").write_text("weights")
    before = contents(folder)
    with pytest.raises((RunError, FileError), match=r"is not a run folder|config\.json is damaged"):
        RunFolder.open(folder, config, **{option: True})
    assert contents(folder) == before


def test_overwriting_deletes_only_what_a_run_writes(config, copy) -> None:
    kept = {"notes.txt", "data/reviews.csv", *(f"{name}/notes.md" for name in FOLDERS), "masks/own/mask.safetensors"}
    for name in kept:
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_text("mine")
    with RunFolder.open(copy, config, overwrite=True) as folder:
        assert folder.units == {}
    files = {str(path.relative_to(copy)) for path, content in contents(copy).items() if content is not None}
    assert files == kept | {"config.json", "environment.json", "journal.jsonl"}


def test_overwriting_that_was_stopped_can_be_repeated(config, copy, monkeypatch) -> None:
    unlink, left = Path.unlink, [len(list(copy.glob("*/*"))) // 2]

    def stopped(path: Path, missing_ok: bool = False) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        unlink(path, missing_ok)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "unlink", stopped)
        RunFolder.open(copy, config, overwrite=True)
    assert any((copy / name).exists() for name in FOLDERS)
    with RunFolder.open(copy, config, overwrite=True) as folder:
        assert folder.units == {}
    assert not any((copy / name).exists() for name in FOLDERS)


def test_a_missing_folder_in_a_path_does_not_lead_to_another(config, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "thesis.txt").write_text("important")
    with pytest.raises(RunError, match="exists already"):
        RunFolder.open("missing/..", config)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with RunFolder.open("missing/../run", config) as folder:
        assert folder.path == tmp_path / "run"
    assert not (tmp_path / "missing").exists()


# --- links, and what is no file ---


class Saved:
    """Stands for a model."""

    def save_pretrained(self, folder: str) -> None:
        (Path(folder) / "config.json").write_text("{}")


USES = (
    lambda folder: folder.load_weights("dense"),
    lambda folder: folder.save_weights("dense", {}),
    lambda folder: folder.save_arrays("test-dense", {}),
    lambda folder: winning_mask(folder.path, folder.units),
    lambda folder: folder.mask_path("search-level-2"),
    lambda folder: folder.save_model(Saved(), Saved()),
)
"""All that is done with the files of an open run folder."""
FILES = ["config.json", "environment.json", "journal.jsonl"]
INSIDE = ["checkpoints/dense.safetensors", "masks/search-level-2.safetensors", "predictions/test-dense.safetensors"]


@pytest.mark.parametrize("name", [*FILES, *INSIDE, *FOLDERS])
@pytest.mark.parametrize("to", ["outside", "itself", "nowhere"])
def test_links_are_not_followed(config, copy, outside, monkeypatch, name, to) -> None:
    """Whatever is made again, nothing outside is read or written."""
    place, before = copy / name, contents(outside)
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    targets = {"outside": outside if name in FOLDERS else outside / "dense.safetensors", "itself": place}
    place.symlink_to(targets.get(to, outside / "new"))
    refused = []
    try:
        folder = RunFolder.open(copy, config, resume=True)
    except RandpruneError as error:
        refused.append(error)
    else:
        for work in USES:
            try:
                work(folder)
            except RandpruneError as error:
                refused.append(error)
        folder.__exit__()
    assert any("leads out of" in str(error) or "has no config" in str(error) for error in refused)
    assert contents(outside) == before


@pytest.mark.parametrize("name", FOLDERS)
def test_overwriting_follows_no_links(config, copy, outside, name) -> None:
    before = contents(outside)
    shutil.rmtree(copy / name)
    (copy / name).symlink_to(outside)
    RunFolder.open(copy, config, overwrite=True).__exit__()
    assert contents(outside) == before


@pytest.mark.parametrize("name", [*FILES, INSIDE[0]])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_what_is_no_file_is_named_and_not_waited_for(config, copy, name, make) -> None:
    (copy / name).unlink()
    make(copy / name)
    with pytest.raises(RandpruneError, match=rf"{name} is not a plain file|has no config\.json"), ExitStack() as stack:
        stack.enter_context(RunFolder.open(copy, config, resume=True)).load_weights("dense")


# --- one process ---


def test_a_folder_is_in_use_as_long_as_it_is_open(config, tmp_path) -> None:
    with RunFolder.open(tmp_path / "run", config) as folder:
        assert in_use(folder.path)
        for option in ("resume", "overwrite"):
            with pytest.raises(LockedError):
                RunFolder.open(folder.path, config, **{option: True})
    assert not in_use(folder.path)


def test_who_only_looks_whether_a_folder_is_in_use_keeps_nobody_out_of_it(config, tmp_path, monkeypatch) -> None:
    fcntl = pytest.importorskip("fcntl")
    looking = (tmp_path / "journal.jsonl").open("ab")
    fcntl.flock(looking, fcntl.LOCK_SH)
    monkeypatch.setattr(time, "sleep", lambda _: looking.close())
    with RunFolder.open(tmp_path, config) as folder:
        assert in_use(folder.path)


@pytest.mark.parametrize("how", ["file", "folder"])
def test_a_process_whose_journal_was_deleted_writes_nothing_more(config, copy, how) -> None:
    with RunFolder.open(copy, config, resume=True) as folder:
        if how == "folder":
            shutil.rmtree(copy)
            other = RunFolder.open(copy, config)
        else:
            for hidden in ("journal.jsonl", ".lock"):
                (copy / hidden).unlink(missing_ok=True)
            other = RunFolder.open(copy, config, overwrite=True)
        with other:
            other.add("dense", {"score": 1.0})
            before = contents(copy)
            for work in (lambda folder: folder.add("dense", {"score": 0.0}), *USES[:3], *USES[4:]):
                with pytest.raises(RunError, match=r"journal\.jsonl was deleted or replaced while"):
                    work(folder)
            assert contents(copy) == before


# --- what a kill or a deletion leaves ---


@pytest.mark.parametrize("how", ["gone", "empty", "torn"])
def test_a_lost_journal_is_not_begun_again_over_old_results(config, copy, how) -> None:
    journal = copy / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:20] if how == "torn" else b"")
    if how == "gone":
        journal.unlink()
    before = {path: content for path, content in contents(copy).items() if path != journal}
    with pytest.raises(RunError, match=r"journal\.jsonl is lost or empty"):
        rp.run(config, copy, resume=True, progress=False)
    assert {path: content for path, content in contents(copy).items() if path != journal} == before
    RunFolder.open(copy, config, overwrite=True).__exit__()


def test_half_written_files_of_a_killed_process_are_removed(config, copy) -> None:
    before = contents(copy)
    (copy / ".config.json.123.tmp").write_text("half")
    (copy / "checkpoints" / ".dense.safetensors.123@host.tmp").write_text("half")
    (copy / ".model.abc.123.tmp").mkdir()
    (copy / ".model.abc.123.tmp" / "config.json").write_text("half")
    RunFolder.open(copy, config, resume=True).__exit__()
    assert contents(copy) == before


def test_another_version_is_a_warning_and_the_record_keeps_the_first(config, copy, caplog) -> None:
    file = copy / "environment.json"
    begun = json.loads(file.read_text())
    begun["packages"]["torch"] = "1.0"
    file.write_text(json.dumps(begun))
    RunFolder.open(copy, config, resume=True).__exit__()
    assert "was begun with torch 1.0 (now " in caplog.text and "last bits may differ" in caplog.text
    assert json.loads(file.read_text()) == begun


@pytest.mark.parametrize("error", [SafetensorError, Exception, partial(OSError, errno.ENOSPC)])
@pytest.mark.parametrize("full", ["model", "tokenizer"])
def test_a_model_on_a_full_disk_is_an_error_of_the_machine_that_names_it(config, tmp_path, error, full) -> None:
    """Libraries in Rust have no errors of their own for a full disk."""

    class Part:
        def __init__(self, name: str) -> None:
            self.name = name

        def save_pretrained(self, folder: str) -> None:
            (Path(folder) / f"{self.name}.json").write_text("half")
            if self.name == full:
                raise error("No space left on device")

    with (
        RunFolder.open(tmp_path / "run", config) as folder,
        pytest.raises(FileError, match=r"cannot write .*run/model: .*No space left on device") as found,
    ):
        folder.save_model(Part("model"), Part("tokenizer"))
    assert refused_by_machine(found.value)
    assert not any((tmp_path / "run").glob(".*")) and not any((tmp_path / "run" / "model").iterdir())


def test_a_checkpoint_that_may_not_be_read_is_not_trained_again(config, copy, monkeypatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: "dense" not in Path(path).name)  # root may read everything
    with RunFolder.open(copy, config, resume=True) as folder:
        with pytest.raises(RunError, match=r"dense\.safetensors: permission denied"):
            folder.load_weights("dense")
        assert folder.load_weights("search-level-1")


# --- runs of earlier versions ---


@pytest.mark.parametrize(
    ("setting", "old", "new"),
    [
        ("mask_gradients", False, True),
        ("vocabulary", "whole", "used"),
        ("compute", "dense", "auto"),
        ("train_rows", "first", "seed"),
        ("checkpoint", "metric", "last"),
    ],
)
def test_a_run_from_before_a_setting_goes_on_as_it_began(config, copy, setting, old, new) -> None:
    """Its configuration lacks the setting: it trained with the old value, and always will."""
    values = config.to_dict()
    del values[setting]
    write_config(copy, values)
    before, now = (dataclasses.replace(config, **{setting: value}) for value in (old, new))
    assert read_config(copy) == before
    with pytest.raises(RunError, match=f"{setting} was {old!r} and is now {new!r}; resume with the old value"):
        RunFolder.open(copy, now, resume=True)
    with RunFolder.open(copy, before, resume=True):
        assert json.loads((copy / "config.json").read_text())[setting] == old
