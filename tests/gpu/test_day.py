"""A whole day on a machine without a GPU: every step has a result, whatever becomes of the others."""

from __future__ import annotations

import sys
import tarfile
import time

import pytest

from gpu import day as module
from gpu.day import Day
from gpu.steps import Result


@pytest.fixture
def day(tmp_path):
    (tmp_path / "carry").mkdir()
    return Day(tmp_path / "out", tmp_path / "carry", minutes=0.5, work=tmp_path / "work")


STEPS = ["packages", "machine", "cuda-tests", "bench-masks-gpu", "bench-train-gpu", "bench-masks-cpu"]
STEPS += ["bench-train-cpu", "study", "record"]


def test_steps_that_fail_or_run_out_of_time_do_not_stop_the_next(day, monkeypatch):
    def late() -> Result:
        return day._step("cuda-tests", [sys.executable, "-c", "import time; time.sleep(60)"], 0.5)

    def broken(place: str) -> Result:
        raise ValueError("no shapes")

    monkeypatch.setattr(day, "packages", lambda: Result("packages", "ok", 1.0))
    monkeypatch.setattr(module, "MACHINE", "raise SystemExit(3)")
    monkeypatch.setattr(day, "cuda_tests", late)
    monkeypatch.setattr(day, "bench_masks", broken)
    monkeypatch.setattr(day, "bench_train", lambda place: Result(f"bench-train-{place}", "ok"))
    (day.results / "old.json").write_text("{}")
    begin = time.monotonic()
    day.run()
    assert not (day.results / "old.json").exists(), "the results of an earlier day are deleted"
    assert time.monotonic() - begin < 20
    outcomes = {step.name: step.outcome for step in day.summary.steps}
    assert list(outcomes) == STEPS
    assert outcomes["machine"] == outcomes["bench-masks-cpu"] == "failed"
    assert outcomes["cuda-tests"] == "out of time" and outcomes["study"] == outcomes["record"] == "skipped"
    text = day.summary.text.read_text()
    assert "ValueError: no shapes" in text and "give its folder as GLUE=DIR" in text
    with tarfile.open(day.summary.archive) as tar:
        assert {"gpu-day/summary.txt", "gpu-day/logs/cuda-tests.log"} <= {*tar.getnames()}


def test_missing_packages_are_named_with_what_is_done_about_them(day, monkeypatch):
    (day.carry / "wheels").mkdir()
    (day.carry / "wheels" / "dill-0.4.1-py3-none-any.whl").write_text("not a wheel")
    has = dict.fromkeys(module.needs.needed(), "99.0")
    for name in ("dill", "evaluate", "torch"):
        del has[name]
    monkeypatch.setattr(module.needs, "installed", lambda site=None: has)
    result = day.packages()
    assert result.outcome == "failed"
    assert result.note.splitlines() == [
        "evaluate: missing; not carried",
        "torch: missing; it belongs to the machine and is never installed",
        "dill: missing, needed by datasets; cannot be installed from dill-0.4.1-py3-none-any.whl",
    ]


def test_no_step_gets_more_time_than_is_left(day):
    assert day.part(0.25) == pytest.approx(7.5, abs=0.1)
    day.start -= 20
    assert day.left < 5 and day.part(0.25) == pytest.approx(day.left, abs=0.1)


def test_the_study_gets_the_carried_model_and_another_study_starts_afresh(day, monkeypatch):
    (day.work / "minilm").mkdir(parents=True)
    (day.work / "glue").mkdir()
    asked = []
    monkeypatch.setattr(day, "_step", lambda name, command, *_, **__: asked.append(command) or Result(name, "ok"))
    day.run_study()
    config = day.results / "gpu-day.yaml"
    assert f"  model: {day.model}\n" in config.read_text("utf-8") and day.model.endswith("work/minilm")
    assert "--resume" in asked[0] and str(config) in asked[0]

    (day.work / "study").mkdir()
    day.run_study()
    assert (day.work / "study").is_dir(), "the same study goes on"
    (day.work / "minilm").rmdir()
    day.run_study()
    assert not (day.work / "study").exists()
