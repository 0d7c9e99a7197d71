"""Gradual pruning in the Trainer: masks on schedule, and the same bits after a stop as without one."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import Trainer, TrainerCallback, TrainingArguments

import randprune_lab as rp
from randprune_lab.errors import ConfigError, MaskError
from randprune_lab.masks.allocations import Owl

SCHEDULE = {"start": 2, "end": 8, "every": 2, "begin": 0.3}


def fresh(tiny_model) -> nn.Module:
    return rp.load_model(tiny_model, num_labels=2)[0]


def pruning(model, rule=None, **settings) -> rp.GradualPruning:
    sampler = rp.MaskSampler(model, rule or rp.Voting(1e-2), 0.9, seed=1, reference_below=0)
    return rp.GradualPruning(sampler, **SCHEDULE | settings)


def trainer(model, callback, rows, folder: Path, *others: TrainerCallback, **settings) -> Trainer:
    defaults = {
        "per_device_train_batch_size": 4,
        "max_steps": 10,
        "learning_rate": 0.01,
        "weight_decay": 0.1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
    }
    arguments = TrainingArguments(str(folder), **defaults | settings)
    return Trainer(model, arguments, train_dataset=rows, eval_dataset=rows, callbacks=[callback, *others])


def equal(one: nn.Module, other: nn.Module) -> bool:
    second = other.state_dict()
    return all(torch.equal(weight, second[name]) for name, weight in one.state_dict().items())


class Watch(TrainerCallback):
    """Sees the mask after every step."""

    def __init__(self, callback: rp.GradualPruning):
        self.callback, self.masks = callback, {}

    def on_step_end(self, args, state, control, model=None, **others):
        weights, mask = dict(model.named_parameters()), self.callback.mask
        assert all(not weights[name].detach()[~kept].any() for name, kept in mask.items())
        self.masks[state.global_step] = mask


@pytest.mark.parametrize(
    ("regrow", "gradients", "stops"),
    [(None, False, (1, 9)), ("set", True, (4,)), ("rigl", False, (4,)), ("rigl", True, (5,))],
)
def test_a_resumed_training_gives_the_same_bits(model, rows, tmp_path, tiny_model, regrow, gradients, stops):
    """Checkpoint 4 is written at a redraw, when what regrew is still zero, checkpoint 5 between two."""
    settings = {"regrow": regrow, "gradients": gradients}
    callback = pruning(model, **settings)
    watch = Watch(callback)
    saved = {"save_strategy": "steps", "save_steps": 1}
    trainer(model, callback, rows, tmp_path, watch, **saved).train()
    sizes = {name: kept.numel() for name, kept in callback.mask.items()}
    for step, mask in watch.masks.items():
        due = min(step - step % 2, 8)
        sparsity = 0.9 + (0.3 - 0.9) * (1 - (due - 2) / 6) ** 3
        expected = {name: size - round(sparsity * size) for name, size in sizes.items()} if step >= 2 else {}
        assert {name: int(kept.sum()) for name, kept in mask.items()} == expected
    assert [redraw.step for redraw in callback.history] == [2, 4, 6, 8]
    for step in stops:
        again = fresh(tiny_model)
        resumed = pruning(again, **settings)
        trainer(again, resumed, rows, tmp_path / "again").train(resume_from_checkpoint=f"{tmp_path}/checkpoint-{step}")
        assert equal(again, model) and resumed.history == callback.history and resumed.mask == callback.mask
        assert resumed.recipe == callback.recipe


class StopAfter(TrainerCallback):
    def __init__(self, step: int):
        self.step = step

    def on_step_end(self, args, state, control, **others):
        control.should_training_stop = state.global_step >= self.step


def test_a_training_that_ends_before_the_schedule_is_told(model, rows, tmp_path):
    callback = pruning(model)
    with pytest.warns(
        UserWarning, match=r"ended after step 5, and the last redraw is after step 8: the sparsity is 72\."
    ):
        trainer(model, callback, rows, tmp_path, StopAfter(5)).train()


def test_the_record_of_a_checkpoint_is_small(model, rows, tmp_path):
    trainer(model, pruning(model), rows, tmp_path, save_strategy="steps", save_steps=5).train()
    record = json.loads((tmp_path / "checkpoint-5" / "trainer_state.json").read_text("utf-8"))
    attributes = record["stateful_callbacks"]["randprune_lab.mask"]["attributes"]
    assert attributes["step"] == 5 and len(json.dumps(attributes)) < 4000
    assert attributes["history"][-1][-1] == attributes["sha256"]


# --- what is refused ---


@pytest.fixture
def stopped(model, rows, tmp_path) -> Path:
    """A checkpoint after five of ten steps."""
    trainer(model, pruning(model), rows, tmp_path, save_strategy="steps", save_steps=5).train()
    return tmp_path / "checkpoint-5"


def test_a_checkpoint_with_other_settings_is_refused(stopped, tiny_model, rows, tmp_path):
    for change, message in [
        ({"every": 3}, "another gradual pruning: every was 2, and is 3; resume with the same settings"),
        ({"regrow": "set"}, r"regrow was None, and is \['set', 0\.3\]"),
        ({"rule": rp.Magnitude()}, r"sampler was 'Voting.*, and is 'Magnitude"),
        ({"end": 1.0}, "end was 8, and is 10"),
    ]:
        model = fresh(tiny_model)
        with pytest.raises(MaskError, match=message):
            trainer(model, pruning(model, **change), rows, tmp_path).train(resume_from_checkpoint=str(stopped))


def test_a_checkpoint_whose_weights_were_changed_is_refused(stopped, tiny_model, rows, tmp_path):
    weights = load_file(stopped / "model.safetensors")
    weights["bert.encoder.layer.0.attention.self.query.weight"] += 0.5
    save_file(weights, stopped / "model.safetensors", {"format": "pt"})
    model = fresh(tiny_model)
    with pytest.raises(MaskError, match="the weights do not obey the mask of their checkpoint"):
        trainer(model, pruning(model), rows, tmp_path).train(resume_from_checkpoint=str(stopped))


def test_a_training_without_it_can_be_resumed_with_it_before_its_start_only(model, tiny_model, rows, tmp_path):
    training = trainer(model, rp.GradualPruning(rp.MaskSampler(model, rp.Magnitude(), 0.5), 8, 9, 1), rows, tmp_path)
    training.pop_callback(rp.GradualPruning)
    training.args.save_strategy, training.args.save_steps = "steps", 5
    training.train()
    checkpoint = str(tmp_path / "checkpoint-5")
    for start, message in [(4, "at step 5 was trained without this gradual pruning, which begins at step 4"), (6, "")]:
        again = fresh(tiny_model)
        callback = rp.GradualPruning(rp.MaskSampler(again, rp.Magnitude(), 0.5), start, 9, 1)
        resumed = trainer(again, callback, rows, tmp_path)
        if message:
            with pytest.raises(MaskError, match=message):
                resumed.train(resume_from_checkpoint=checkpoint)
        else:
            resumed.train(resume_from_checkpoint=checkpoint)
            assert [redraw.step for redraw in callback.history] == [7, 8, 9]


def test_a_schedule_beyond_the_training_is_refused_before_its_first_step(model, rows, tmp_path):
    for settings, message in [
        ({"end": 11}, "end must be at most 10, the number of steps of the training, got 11"),
        ({"start": 0.8}, "start must be before end, got start 8 and end 8"),
    ]:
        watch = Watch(callback := pruning(model, **settings))
        with pytest.raises(ConfigError, match=message):
            trainer(model, callback, rows, tmp_path, watch).train()
        assert not watch.masks


# --- with the rest of the Trainer ---


def test_a_plain_mask_may_be_enforced_beside_it(model, rows, tmp_path, tiny_model):
    """The attention is pruned gradually, the rest has a mask from the start; both are recorded and resumed."""
    plain = rp.MaskSampler(model, rp.Magnitude(), 0.5, exclude=["*attention*"]).draw(0)

    def both(model, **settings):
        part = rp.MaskSampler(model, rp.Magnitude(), 0.9, include=["*attention*weight"], exclude=["*LayerNorm*"])
        callback = rp.GradualPruning(part, **SCHEDULE)
        return callback, trainer(model, callback, rows, tmp_path, rp.MaskCallback(plain), **settings)

    callback, training = both(model, save_strategy="steps", save_steps=5)
    training.train()
    again = fresh(tiny_model)
    resumed, training = both(again)
    training.train(resume_from_checkpoint=str(tmp_path / "checkpoint-5"))
    assert equal(again, model) and resumed.history == callback.history
    assert all(not again.get_parameter(name).detach()[~kept].any() for name, kept in {**plain, **callback.mask}.items())


def test_two_parts_can_be_pruned_gradually_and_resumed(model, rows, tmp_path, tiny_model):
    def both(model, **settings):
        callbacks = [
            rp.GradualPruning(rp.MaskSampler(model, rp.Magnitude(), 0.9, include=[f"*{part}.weight"]), **SCHEDULE)
            for part in ("query", "key")
        ]
        return callbacks, trainer(model, callbacks[0], rows, tmp_path, callbacks[1], **settings)

    callbacks, training = both(model, save_strategy="steps", save_steps=5)
    training.train()
    again = fresh(tiny_model)
    resumed, training = both(again)
    training.train(resume_from_checkpoint=str(tmp_path / "checkpoint-5"))
    assert equal(again, model) and [one.mask for one in resumed] == [one.mask for one in callbacks]


def test_the_best_checkpoint_is_one_with_the_last_mask(model, rows, tmp_path):
    """The first evaluations, with less sparse masks, are the best here."""
    scores = iter([9.0, 8.0, 7.0, 1.0, 2.0])
    callback = pruning(model)
    best = {"load_best_model_at_end": True, "metric_for_best_model": "eval_f", "greater_is_better": True}
    training = trainer(
        model,
        callback,
        rows,
        tmp_path,
        **best,
        save_strategy="steps",
        save_steps=2,
        eval_strategy="steps",
        eval_steps=2,
    )
    training.compute_metrics = lambda _: {"f": next(scores)}
    training.train()
    assert training.state.best_global_step == 10
    weights = load_file(tmp_path / "checkpoint-10" / "model.safetensors")
    assert all(torch.equal(weights[name], model.get_parameter(name)) for name in callback.mask)
    assert all(bool(model.get_parameter(name)[kept].all()) for name, kept in callback.mask.items())


def test_scores_before_the_first_mask_are_those_of_the_dense_model(model, rows, tmp_path):
    dense = copy.deepcopy(model)
    training = trainer(model, pruning(model), rows, tmp_path)
    assert training.evaluate()["eval_loss"] == pytest.approx(
        Trainer(dense, training.args, eval_dataset=rows).evaluate()["eval_loss"]
    )
    training.train()
    training.evaluate()
    model.load_state_dict(dense.state_dict())
    with pytest.raises(MaskError, match="evaluated without its mask"):
        training.evaluate()


def test_a_checkpoint_that_another_callback_asks_for_can_be_resumed(model, rows, tmp_path, tiny_model):
    """It is asked for after this callback saw the step."""

    class Save(TrainerCallback):
        def on_step_end(self, args, state, control, **others):
            control.should_save = state.global_step == 5

    callback = pruning(model, regrow="rigl")
    trainer(model, callback, rows, tmp_path, Save()).train()
    again = fresh(tiny_model)
    resumed = pruning(again, regrow="rigl")
    trainer(again, resumed, rows, tmp_path).train(resume_from_checkpoint=str(tmp_path / "checkpoint-5"))
    assert equal(again, model) and resumed.history == callback.history


# --- own loops ---


def test_a_state_of_another_sampler_is_refused_whatever_differs():
    model = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 2))
    scores = {"0.weight": torch.rand(16, 12)}

    def state(**settings):
        sampler = rp.MaskSampler(model, rp.Magnitude(), 0.5, **settings)
        return rp.GradualPruning(sampler, 0, 8, 2, model=model)

    for one, other in [
        ({"allocation": Owl(m=5)}, {"allocation": Owl(m=1.5)}),
        ({}, {"scores": scores}),
        ({}, {"seed": 2}),
        ({"include": ["0.*"], "exclude": ["*bias"]}, {"include": ["2.weight"]}),
        ({}, {"structure": (2, 4)}),
    ]:
        recorded = json.loads(json.dumps(state(**one).state_dict()))
        state(**one).load_state_dict(recorded)
        with pytest.raises(MaskError, match="another gradual pruning: masks was"):
            state(**other).load_state_dict(recorded)


@pytest.mark.parametrize("regrow", [None, "set", "rigl"])
def test_an_own_loop_continues_from_its_state(regrow):
    def begun():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        sampler = rp.MaskSampler(model, rp.Magnitude(), 0.8)
        settings = {"model": model, "optimizer": optimizer, "steps": 12, "regrow": regrow, "begin": 0.2}
        return model, optimizer, rp.GradualPruning(sampler, 0.0, 0.75, 3, **settings)

    def train(model, optimizer, pruning, steps):
        for step in steps:
            x = torch.randn(8, 12, generator=torch.Generator().manual_seed(step))
            nn.functional.cross_entropy(model(x), (x[:, 0] > 0).long()).backward()
            optimizer.step()
            pruning.step(step)
            optimizer.zero_grad()

    first = begun()
    train(*first, range(1, 13))
    assert [redraw.step for redraw in first[2].history] == [0, 3, 6, 9]
    for stop in (2, 3):
        parts = begun()
        train(*parts, range(1, stop))
        parts = copy.deepcopy(parts)
        train(*parts, range(stop, stop + 1))
        states = json.loads(json.dumps(parts[2].state_dict()))
        model, optimizer, callback = begun()
        model.load_state_dict(parts[0].state_dict())
        optimizer.load_state_dict(parts[1].state_dict())
        callback.load_state_dict(states)
        train(model, optimizer, callback, range(stop + 1, 13))
        assert equal(model, first[0]) and callback.history == first[2].history and callback.mask == first[2].mask
