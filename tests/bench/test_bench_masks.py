"""The bench of drawing masks, on small shapes."""

import contextlib
import json
import math

import pytest
import torch

from randprune_lab.bench import masks as bench
from randprune_lab.bench.figure import Figure
from randprune_lab.bench.magnitude import ALL_AT_ONCE, ONE_BY_ONE
from randprune_lab.cli import main
from randprune_lab.errors import ConfigError, UnknownNameError
from randprune_lab.masks.rules import Magnitude, Voting
from randprune_lab.masks.sampler import MaskSampler


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(bench.SHAPES, "tiny", {"a": (64, 80), "b": (100, 70), "c": (64, 80)})


def test_every_figure_is_measured_and_judged(tiny):
    (row,) = bench.bench_masks("tiny", sparsities=(0.9,), repeats=1)
    assert row["device"] == "cpu"
    assert row["weights"] == 64 * 80 * 2 + 100 * 70
    assert all(seconds > 0 for seconds in row["seconds"].values())
    assert all(math.isfinite(figure["value"]) for figure in row["figures"])
    assert {figure["verdict"] for figure in row["figures"]} <= {"target", "limit", "none"}


@pytest.mark.parametrize(
    ("value", "at_most", "verdict"),
    [
        (1, True, "target"),
        (3, True, "limit"),
        (4, True, "none"),
        (9, False, "target"),
        (2.5, False, "limit"),
        (1, False, "none"),
    ],
)
def test_limit_and_target_may_be_upper_or_lower_limits(value, at_most, verdict):
    limit, target = (3, 2) if at_most else (2, 3)
    assert Figure("x", value, limit, target, at_most).verdict == verdict


@pytest.mark.parametrize("sparsity", [0.54, 0.9375])
def test_all_baselines_make_the_magnitude_mask(sparsity):
    weights = bench.heavy_tailed({"a": (64, 80), "b": (100, 70)})
    mask = MaskSampler(weights, Magnitude(), sparsity).draw(0)
    for way in ONE_BY_ONE.values():
        assert all(torch.equal(way(weight, sparsity), mask[name]) for name, weight in weights.items())
    for name, allocation in (("l1_unstructured", "layerwise"), ("global_unstructured", "global")):
        found = ALL_AT_ONCE[name](weights, sparsity)
        mask = MaskSampler(weights, Magnitude(), sparsity, allocation=allocation).draw(0)
        assert all(torch.equal(found[name].bool(), mask[name]) for name in weights)


def test_entropy_of_known_sparsities():
    assert bench.entropy(0.5) == 1.0
    assert bench.entropy(0.9375) == pytest.approx(0.3373, abs=1e-4)


def test_the_command_prints_a_table_and_writes_json(tiny, monkeypatch, tmp_path, capsys):
    measured = bench.bench_masks("tiny", sparsities=(0.9,), repeats=1)
    asked = []
    monkeypatch.setattr(bench, "bench_masks", lambda *arguments: asked.append(arguments) or measured)
    command = ["bench", "masks", "--shapes", "tiny", "--sparsity", "0.9", "0.99", "--device", "cuda"]
    assert main([*command, "--json", str(tmp_path / "bench.json")]) == 0
    assert asked == [("tiny", [0.9, 0.99], "cuda")]
    assert "draw / copying its masks" in capsys.readouterr().out
    assert json.loads((tmp_path / "bench.json").read_text()) == measured


def test_a_device_that_cannot_be_used_is_refused(tiny):
    with pytest.raises(ConfigError, match=r"device must be auto, cpu, .* or mps, got 'abacus'"):
        bench.bench_masks("tiny", device="abacus")


@pytest.mark.parametrize(
    ("sparsity", "message"),
    [
        (0.0, r"sparsity must be in \(0, 1\)"),
        (1.0, r"sparsity must be in \(0, 1\)"),
        (math.nan, r"sparsity must be in \(0, 1\)"),
        (0.99999, "keeps 0 of 5,120 weights in the smallest tensor of tiny"),
        (0.00001, "keeps 5,120 of 5,120 weights in the smallest tensor of tiny"),
    ],
)
def test_sparsities_without_a_choice_are_refused_before_any_measurement(tiny, monkeypatch, sparsity, message):
    monkeypatch.setattr(bench, "_measure", lambda *_: pytest.fail("measured"))
    with pytest.raises(ConfigError, match=message):
        bench.bench_masks("tiny", (0.9, sparsity))


def test_memory_that_cannot_be_measured_is_left_out(tiny, monkeypatch):
    monkeypatch.setattr(bench, "peak_memory", lambda device: contextlib.nullcontext([math.nan]))
    (row,) = bench.bench_masks("tiny", (0.9,), repeats=1)
    assert len(row["figures"]) > 9 and not any("memory" in figure["name"] for figure in row["figures"])


def test_the_default_sparsities_of_the_command_are_those_of_the_bench(monkeypatch):
    asked = []
    monkeypatch.setattr(bench, "bench_masks", lambda *arguments: asked.append(arguments) or [])
    assert main(["bench", "masks"]) == 0
    assert asked == [("bert-base", bench.SPARSITIES, "cpu")]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_times_on_cuda_are_those_of_a_gpu(tiny):
    (row,) = bench.bench_masks("tiny", sparsities=(0.9,), device="cuda", repeats=1)
    assert row["device"] == torch.cuda.get_device_name()
    assert all(math.isfinite(figure["value"]) for figure in row["figures"])


def test_time_grows_with_the_candidates_and_long_times_are_extrapolated():
    weight = bench.heavy_tailed({"w": (64, 80)})["w"]
    rows = bench.time_by_candidates(weight, Voting(0.01), 0.9, numbers=(1, 4, 10**6), budget=0.5)
    assert [row["candidates"] for row in rows] == [1, 4, 10**6] * 4
    for method in ("reference", "multinomial", "topk", "sampler"):
        seconds = [row["seconds"] for row in rows if row["method"] == method]
        assert seconds[0] > 0 and seconds[2] > seconds[1]
    assert not any(row["measured"] for row in rows if row["candidates"] == 10**6)


def test_the_error_for_unknown_shapes_has_the_nearest_name():
    with pytest.raises(UnknownNameError, match="bert-base"):
        bench.bench_masks("bert-bse")
