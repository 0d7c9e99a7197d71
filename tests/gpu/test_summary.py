"""The archive can be read after every step, and is never larger than its limit."""

from __future__ import annotations

import os
import tarfile

from gpu.steps import Result
from gpu.summary import Summary, pack


def test_the_archive_and_the_summary_are_whole_after_every_step(tmp_path):
    results = tmp_path / "results"
    summary = Summary(tmp_path / "out", results)
    for number in range(3):
        (results / f"{number}.json").write_text("{}")
        summary.running = f"step-{number + 1}"
        summary.write()
        assert summary.text.read_text().split()[-2:] == [f"step-{number + 1}", "running"]
        summary.add(Result(f"step-{number}", "failed" if number == 1 else "ok", 1.5, "why\nnot"))
        with tarfile.open(summary.archive) as tar:
            assert {f"gpu-day/{i}.json" for i in range(number + 1)} | {"gpu-day/summary.txt"} == {*tar.getnames()}
        assert all(f"step-{i}" in summary.text.read_text() for i in range(number + 1))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"summary.txt", "gpu-day.tar.gz"}


def test_files_that_do_not_fit_are_left_out_and_named(tmp_path):
    summary = Summary(tmp_path / "out", tmp_path / "results", limit=20_000)
    (summary.results / "small.json").write_text("{}")
    (summary.results / "large.bin").write_bytes(os.urandom(50_000))
    summary.add(Result("step", "ok"))
    assert summary.archive.stat().st_size <= 20_000
    with tarfile.open(summary.archive) as tar:
        assert {*tar.getnames()} == {"gpu-day/small.json", "gpu-day/summary.txt"}
    assert "Too large for the archive: large.bin" in summary.text.read_text()


def test_an_interrupted_archive_does_not_replace_the_last_one(tmp_path, monkeypatch):
    folder, archive = tmp_path / "results", tmp_path / "archive.tar.gz"
    folder.mkdir()
    (folder / "a").write_text("a")
    assert pack(folder, archive) == []
    before = archive.read_bytes()

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(tarfile.TarFile, "addfile", interrupted)
    try:
        pack(folder, archive)
    except KeyboardInterrupt:
        assert archive.read_bytes() == before
