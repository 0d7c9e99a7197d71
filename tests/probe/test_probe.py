"""Laws of scans and evolution: masks of magnitude, literal losses, exact totals, and a model left as it was."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import randprune_lab as rp
from randprune_lab.errors import ConfigError, FileError, StatisticError, WeightError
from randprune_lab.masks.allocations import Sensitive, tensor_counts
from randprune_lab.masks.sparsity import keep_count
from randprune_lab.probe import OneShot, divergence_from, loss_on
from randprune_lab.probe.evolution import mutated


class Model(nn.Module):
    """Three layers that answer as models of transformers do."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.blocks = nn.ModuleList(nn.Linear(*shape) for shape in ((6, 8), (8, 10), (10, 3)))
        for weight in self.parameters():
            weight.data = torch.randn(weight.shape, generator=generator)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> SimpleNamespace:
        for block in self.blocks[:-1]:
            x = block(x).tanh()
        logits = self.blocks[-1](x)
        return SimpleNamespace(
            logits=logits, loss=None if labels is None else nn.functional.cross_entropy(logits, labels)
        )


NAMES = [f"blocks.{number}.weight" for number in range(3)]


def batches(seed: int = 1) -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return [
        {"x": torch.randn(n, 6, generator=generator), "labels": torch.randint(0, 3, (n,), generator=generator)}
        for n in (7, 4)
    ]


@pytest.fixture
def model() -> Iterator[Model]:
    """A model in training mode; a test must leave its weights and its mode."""
    made = Model().train()
    before = {name: value.clone() for name, value in made.state_dict().items()}
    yield made
    assert made.training and all(torch.equal(value, before[name]) for name, value in made.state_dict().items())


# --- one-shot pruning ---


@pytest.mark.parametrize("ties", [False, True])
def test_a_pruned_model_has_the_masks_of_magnitude(model: Model, ties: bool) -> None:
    for block in model.blocks if ties else ():
        block.weight.data.round_()
    before = {name: model.get_parameter(name).detach().clone() for name in NAMES}
    one_shot = OneShot(model)
    for sparsity in (0.9, 0.5, 0.6):
        counts = one_shot.counts(sparsity, "global")
        one_shot.prune(counts)
        mask = rp.MaskSampler(before, rp.Magnitude(), sparsity, allocation=counts).draw(0)
        assert all(torch.equal(model.get_parameter(name), before[name] * mask[name]) for name in NAMES)
    one_shot.dense()
    assert all(torch.equal(model.get_parameter(name), before[name]) for name in NAMES)
    if ties:
        model.load_state_dict(Model().state_dict())


def test_scores_that_are_given_choose_the_weights(model: Model) -> None:
    signed = {name: torch.randn(model.get_parameter(name).shape) for name in NAMES}
    one_shot = OneShot(model, signed, signed=True)
    one_shot.prune({NAMES[1]: 20})
    kept = model.get_parameter(NAMES[1]) != 0
    assert signed[NAMES[1]][kept].min() > signed[NAMES[1]][~kept].max() and int(kept.sum()) == 20
    one_shot.dense()


def test_counts_that_do_not_fit_are_refused(model: Model) -> None:
    one_shot = OneShot(model)
    with pytest.raises(WeightError, match=r"cannot keep 81 weights of 'blocks\.1\.weight'"):
        one_shot.prune({NAMES[1]: 81})
    with pytest.raises(ConfigError, match="counts have 'head', which is not pruned"):
        one_shot.prune({"head": 1})
    with pytest.raises(WeightError, match=r"weights of 'blocks\.0\.weight' are torch\.float8_e4m3fn; can prune"):
        OneShot(Model().to(torch.float8_e4m3fn))


# --- measures ---


def test_losses_and_divergences_are_means_over_rows(model: Model) -> None:
    other, data = Model(), batches()
    other.blocks[0].weight.data *= 0.5
    x = torch.cat([batch["x"] for batch in data])
    labels = torch.cat([batch["labels"] for batch in data])
    with torch.no_grad():
        p, q = (made(x).logits.double().softmax(-1) for made in (model, other))
    assert loss_on(data)(other) == pytest.approx(float(-q[torch.arange(11), labels].log().mean()), rel=1e-5)
    assert divergence_from(model, data)(other) == pytest.approx(float((p * (p / q).log()).sum(-1).mean()), rel=1e-4)
    assert divergence_from(model, data)(model) == 0


def test_padding_does_not_count_and_single_outputs_are_compared_by_squares() -> None:
    class Tokens(nn.Module):
        def __init__(self, outputs: int) -> None:
            super().__init__()
            self.out = nn.Linear(4, outputs)

        def forward(self, x: Tensor, attention_mask: Tensor) -> SimpleNamespace:
            return SimpleNamespace(logits=self.out(x))

    shown = torch.tensor([[1, 1, 0], [1, 0, 0]])
    x, y = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    y[shown.bool()] = x[shown.bool()]
    for outputs in (5, 1):
        made, other = Tokens(outputs), Tokens(outputs)
        one, same = ([{"x": values, "attention_mask": shown}] for values in (x, y))
        assert divergence_from(made, one)(other) == pytest.approx(divergence_from(made, same)(other), rel=1e-5)
    squares = (made.out(x) - other.out(x))[shown.bool()].square().mean() / 2
    assert divergence_from(made, one)(other) == pytest.approx(float(squares), rel=1e-5)


def test_a_loss_is_weighted_by_examples_whatever_comes_first_in_a_batch(model: Model) -> None:
    def loss(made: nn.Module, batch: Any) -> Tensor:
        return made(batch["x"], batch["labels"]).loss

    data = [{"scale": torch.tensor(2.0), "positions": torch.arange(9)[None]} | batch for batch in batches()]
    assert loss_on(data, loss)(model) == pytest.approx(loss_on(batches())(model), rel=1e-6)
    unlabelled = [{name: part for name, part in batch.items() if name != "labels"} for batch in data]
    squares = torch.cat([batch["x"].square().mean(dim=1) for batch in data]).mean()
    assert loss_on(unlabelled, lambda made, batch: batch["x"].square().mean())(model) == pytest.approx(float(squares))


def test_an_encoder_decoder_is_compared_at_the_tokens_of_its_decoder() -> None:
    from transformers import T5Config, T5ForConditionalGeneration

    size = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2, "vocab_size": 20}
    made, other = (T5ForConditionalGeneration(T5Config(**size, decoder_start_token_id=0)).eval() for _ in range(2))
    texts, answers = torch.randint(2, 20, (2, 5)), torch.randint(2, 20, (2, 5))
    texts_shown, answers_shown = (torch.arange(5) < torch.tensor(ends)[:, None] for ends in ([5, 2], [3, 4]))
    inputs = {"input_ids": texts, "attention_mask": texts_shown.long()}
    labels = answers.masked_fill(~answers_shown, -100)
    decoded = {"decoder_input_ids": made._shift_right(labels)}
    with torch.no_grad():
        p, q = (each(**inputs, **decoded).logits.log_softmax(-1) for each in (made, other))
    divergences = (p.exp() * (p - q)).sum(-1)
    for rest, expected in (
        ({"labels": labels}, divergences[answers_shown]),
        (decoded | {"decoder_attention_mask": answers_shown.long(), "labels": labels}, divergences[answers_shown]),
        (decoded, divergences),
    ):
        assert divergence_from(made, [inputs | rest])(other) == pytest.approx(float(expected.mean()), rel=1e-4)


def test_a_mask_of_other_tokens_than_those_of_the_logits_is_refused() -> None:
    class Prompted(nn.Linear):
        def forward(self, x: Tensor, attention_mask: Tensor) -> SimpleNamespace:  # type: ignore[override]
            return SimpleNamespace(logits=super().forward(x))

    batch = {"x": torch.randn(2, 6, 3), "attention_mask": torch.ones(2, 4)}
    with pytest.raises(ConfigError, match=r"logits of \(2, 6\) tokens, and their mask has shape \(2, 4\); give"):
        divergence_from(Prompted(3, 3), [batch])


@pytest.mark.parametrize("data", [[], [{}], {"x": torch.ones(2)}, None], ids=["none", "empty", "one batch", "nothing"])
def test_data_that_are_no_batches_are_refused(data: Any) -> None:
    with pytest.raises(ConfigError, match="data must be a list of batches, dicts of tensors, or a function"):
        loss_on(data)


# --- sensitivity ---


def test_a_scan_has_the_loss_of_each_pruned_tensor(model: Model) -> None:
    table = rp.sensitivity(model, batches(), (0.9, 0.5, 1.0), progress=False)
    assert [*table["weight"]] == [name for name in NAMES for _ in range(3)] and [*table["sparsity"][:3]] == [
        0.5,
        0.9,
        1,
    ]
    for row in table.to_dict("records"):
        pruned = Model()
        weight = pruned.get_parameter(row["weight"])
        if row["sparsity"] == 1:
            weight.data.zero_()
        else:
            rp.MaskSampler({row["weight"]: weight}, rp.Magnitude(), row["sparsity"]).draw(0).apply_(pruned)
        assert row["measured"] == loss_on(batches())(pruned) and row["dense"] == loss_on(batches())(model)
        assert row["increase"] == row["measured"] - row["dense"] and row["size"] == weight.numel()


def test_a_scan_that_was_stopped_goes_on(model: Model, tmp_path: Path) -> None:
    file = tmp_path / "scan.csv"
    calls: list[int] = []

    def evaluate(made: nn.Module) -> float:
        calls.append(1)
        return loss_on(batches())(made)

    whole = rp.sensitivity(model, evaluate, (0.5, 0.9), file=file, progress=False)
    lines = file.read_text("utf-8").splitlines(keepends=True)
    file.write_text("".join(lines[:3]), "utf-8")
    calls.clear()
    again = rp.sensitivity(model, evaluate, (0.5, 0.9), file=file, progress=False)
    pd.testing.assert_frame_equal(again, whole, check_exact=True)
    assert len(calls) == 5 and file.read_text("utf-8") == "".join(lines)


@pytest.mark.parametrize("change", ["data", "sparsities", "no table"])
def test_a_file_of_another_scan_is_refused(model: Model, tmp_path: Path, change: str) -> None:
    file = tmp_path / "scan.csv"
    if change == "no table":
        file.write_text("a,b\n1,2\n", "utf-8")
    else:
        rp.sensitivity(model, batches(), (0.5,), file=file, progress=False)
    data, sparsities = batches(2 if change == "data" else 1), (0.6,) if change == "sparsities" else (0.5,)
    with pytest.raises(FileError, match="has another table"):
        rp.sensitivity(model, data, sparsities, file=file, progress=False)


@pytest.mark.parametrize("sparsities", [(), (0.0,), (1.5,)], ids=str)
def test_sparsities_out_of_range_are_refused(model: Model, sparsities: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="sparsit"):
        rp.sensitivity(model, batches(), sparsities, progress=False)
    with pytest.raises(StatisticError, match="the loss of the dense model is nan"):
        rp.sensitivity(model, lambda made: float("nan"), (0.5,), progress=False)


@st.composite
def scans(draw: st.DrawFn) -> tuple[dict[str, tuple[int, ...]], list[tuple[str, float, float]]]:
    """Tensors of up to 8 weights, and convex rises at every number of removed weights."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shapes = {name: (draw(st.integers(1, 8)),) for name in "abc"}
    rows = [
        (name, (number + 1) / size, float(rise))
        for name, (size,) in shapes.items()
        for number, rise in enumerate(np.cumsum(np.sort(rng.exponential(size=size))))
    ]
    return shapes, rows


@given(found=scans(), sparsity=st.floats(0, 0.99))
@settings(max_examples=60)
def test_the_allocation_by_sensitivity_has_the_least_sum_of_rises(found: Any, sparsity: float) -> None:
    shapes, rows = found
    total = keep_count(sum(size for (size,) in shapes.values()), sparsity)
    rises = {(name, round(s * shapes[name][0])): rise for name, s, rise in rows} | {(name, 0): 0.0 for name in shapes}

    def cost(counts: tuple[int, ...]) -> float:
        return sum(rises[name, shapes[name][0] - k] for name, k in zip(shapes, counts, strict=True))

    counts = tensor_counts(shapes, sparsity, Sensitive(rows, floor=0.0))
    assert sum(counts.values()) == total
    every = [each for each in product(*(range(size + 1) for (size,) in shapes.values())) if sum(each) == total]
    assert cost(tuple(counts.values())) == pytest.approx(min(map(cost, every)), abs=1e-9)


def test_no_tensor_falls_below_the_floor_and_the_last_slope_goes_on() -> None:
    shapes = {"a": (100,), "b": (10, 10)}
    scan = [("a", 0.5, 0.0), ("a", 0.9, 0.0), ("b", 0.5, 1.0), ("b", 0.9, 5.0)]
    assert tensor_counts(shapes, 0.8, Sensitive(scan, floor=0.25)) == {"a": 5, "b": 35}
    assert tensor_counts(shapes, 0.8, Sensitive(scan, floor=0.0)) == {"a": 0, "b": 40}
    with pytest.raises(ConfigError, match="the scan has no row for 'c'"):
        tensor_counts(shapes | {"c": (5,)}, 0.8, Sensitive(scan))


def test_a_table_a_file_and_a_run_give_the_same_allocation(model: Model, tmp_path: Path) -> None:
    table = rp.sensitivity(model, batches(), (0.5, 0.9), file=tmp_path / "scan.csv", progress=False)
    config = rp.RunConfig(allocation="sensitivity", allocation_settings={"scan": str(tmp_path / "scan.csv")})
    assert Sensitive(table) == Sensitive(tmp_path / "scan.csv") == config.divided()
    recipe = rp.MaskSampler(model, rp.Magnitude(), 0.7, allocation=Sensitive(table)).recipe(0)
    assert recipe.allocation == OneShot(model).counts(0.7, Sensitive(table))
    with pytest.raises(ConfigError, match="allocation 'sensitivity' needs a scan"):
        rp.RunConfig(allocation="sensitivity")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n", "utf-8")
    with pytest.raises(FileError, match="scan needs the columns weight, size"):
        Sensitive(tmp_path / "other.csv")


# --- evolution ---


@given(seed=st.integers(0, 2**63 - 1), moved=st.integers(1, 30))
@settings(max_examples=60)
def test_a_mutant_keeps_the_total_and_no_tensor_more_than_it_has(seed: int, moved: int) -> None:
    counts, room = {"a": 10, "b": 40, "c": 0}, {"a": 12, "b": 60, "c": 30}
    for number in range(4):
        mutant = mutated(counts, room, moved, seed, number)
        assert sum(mutant.values()) == 50 and all(0 <= mutant[name] <= room[name] for name in counts)


@pytest.mark.parametrize("start", ["layerwise", "global", "erk"])
def test_evolution_never_gets_worse_and_is_a_pure_function(model: Model, start: str) -> None:
    settings: dict[str, Any] = {"start": start, "generations": 6, "offspring": 4, "progress": False}
    found, again = (rp.evolve_allocation(model, batches(), 0.7, **settings) for _ in range(2))
    assert found == again != rp.evolve_allocation(model, batches(), 0.7, **settings, seed=1)
    assert len(found.history) == 7 and [*found.history] == sorted(found.history, reverse=True)
    assert found.history[-1] < found.history[0] and found.evaluations <= 25
    sampler = rp.MaskSampler(model, rp.Magnitude(), 0.7, allocation=found.counts)  # which checks the total
    pruned = Model()
    sampler.draw(0).apply_(pruned)
    assert divergence_from(model, batches())(pruned) == found.history[-1]


def test_evolution_finds_the_tensor_that_matters(model: Model) -> None:
    def removed(made: nn.Module) -> float:
        return float((made.get_parameter(NAMES[0]) == 0).sum())

    found = rp.evolve_allocation(model, removed, 0.7, generations=30, offspring=8, step=0.05, progress=False)
    assert found.counts[NAMES[0]] >= 46 and sum(found.counts.values()) == keep_count(158, 0.7)
    nothing = rp.evolve_allocation(model, removed, 0.7, generations=0, progress=False)
    assert nothing.counts == OneShot(model).counts(0.7, "layerwise") and len(nothing.history) == 1


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("generations", -1, "generations must be a whole number at least 0, got -1"),
        ("offspring", 0, "offspring must be a whole number at least 1, got 0"),
        ("step", 0.0, "step must be"),
        ("seed", -1, "seed must be a whole number"),
        ("start", "x", "unknown allocation 'x'"),
    ],
)
def test_settings_out_of_range_are_refused(model: Model, name: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rp.evolve_allocation(model, batches(), 0.7, progress=False, **{name: value})
