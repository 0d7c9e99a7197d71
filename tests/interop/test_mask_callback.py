"""In every kind of training, removed weights are zero after every step and at the end; a misfit is an error."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import Trainer, TrainerCallback, TrainingArguments

import randprune_lab as rp
from randprune_lab.errors import MaskError


class Watch(TrainerCallback):
    """Runs after the mask's callback, and counts the removed weights that are not zero at every event."""

    def __init__(self, mask: rp.MaskSet):
        self.mask, self.steps, self.nonzero = mask, 0, 0

    def on_step_begin(self, args, state, control, model=None, **others):
        self.nonzero += nonzero(model, self.mask)

    def on_step_end(self, args, state, control, model=None, **others):
        self.steps += 1
        self.nonzero += nonzero(model, self.mask)

    on_evaluate = on_train_end = on_save = on_step_begin


def nonzero(model: nn.Module, mask: rp.MaskSet) -> int:
    """The number of removed weights that are not zero."""
    weights = dict(model.named_parameters())
    return sum(int(weights[name][~kept].count_nonzero()) for name, kept in mask.items())


def trainer(
    model, mask, rows, folder: Path, watch: TrainerCallback | None = None, gradients: bool = False, **settings
) -> Trainer:
    defaults = {
        "per_device_train_batch_size": 4,
        "num_train_epochs": 2,
        "learning_rate": 0.05,
        "weight_decay": 0.1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
    }
    callbacks = [rp.MaskCallback(mask, gradients=gradients), *([watch] if watch else [])]
    arguments = TrainingArguments(str(folder), **defaults | settings)
    return Trainer(model, arguments, train_dataset=rows, eval_dataset=rows, callbacks=callbacks)


# --- the Trainer ---


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"gradient_accumulation_steps": 2},
        {"optim": "sgd", "optim_args": "momentum=0.9", "learning_rate": 0.5},
        {"optim": "adafactor"},
        {"bf16": True},
        {"gradient_checkpointing": True, "max_grad_norm": 0.0},
    ],
    ids=str,
)
def test_removed_weights_are_zero_after_every_step_and_kept_ones_learn(model, mask, rows, tmp_path, settings):
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    watch = Watch(mask)
    trainer(model, mask, rows, tmp_path, watch, **settings).train()
    assert watch.steps >= 2 and watch.nonzero == 0 and nonzero(model, mask) == 0
    assert all(not torch.equal(model.get_parameter(name)[kept], before[name][kept]) for name, kept in mask.items())


def test_without_the_callback_removed_weights_become_nonzero(model, mask, rows, tmp_path):
    """The test above can fail: zeroing once at the start is not enough."""
    mask.apply_(model)
    training = trainer(model, mask, rows, tmp_path)
    training.pop_callback(rp.MaskCallback)
    training.train()
    assert nonzero(model, mask) > mask.size // 2


def test_momentum_from_dense_steps_moves_no_removed_weight(model, mask, rows, tmp_path):
    """The momentum of an optimizer from the dense model would move every weight."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.1)
    model.train()
    model(input_ids=rows[0]["input_ids"][None], labels=rows[0]["labels"][None]).loss.backward()
    optimizer.step()
    watch = Watch(mask)
    training = trainer(model, mask, rows, tmp_path, watch)
    training.optimizer = optimizer
    training.train()
    assert watch.nonzero == 0 and optimizer.state[model.get_parameter(next(iter(mask)))]["exp_avg"].count_nonzero()


def test_saved_models_and_the_best_checkpoint_contain_the_zeros(model, mask, rows, tmp_path):
    best = {"load_best_model_at_end": True, "eval_strategy": "steps", "eval_steps": 1, "save_steps": 1}
    watch = Watch(mask)
    training = trainer(model, mask, rows, tmp_path, watch, save_strategy="steps", max_steps=3, **best)
    training.train()
    training.save_model(str(tmp_path / "end"))
    files = [*tmp_path.glob("*/model.safetensors")]
    assert len(files) == 4 and watch.nonzero == 0
    for file in files:
        weights = load_file(file)
        assert all(not weights[name][~kept].any() and weights[name].any() for name, kept in mask.items())


def test_weights_replaced_since_the_last_step_are_zeroed_at_the_end(model, mask, rows, tmp_path):
    """The best checkpoint is loaded at that time; the parameters may even be new objects."""
    name = next(iter(mask))

    class Replace(TrainerCallback):
        def on_epoch_end(self, args, state, control, model=None, **others):
            module, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(module), attribute, nn.Parameter(torch.ones_like(model.get_parameter(name))))

    trainer(model, mask, rows, tmp_path, Replace(), num_train_epochs=1).train()
    assert torch.equal(model.get_parameter(name), mask[name].float())


def test_a_model_is_evaluated_with_its_mask_before_it_is_trained(model, mask, rows, tmp_path):
    sparse = copy.deepcopy(model)
    mask.apply_(sparse)
    expected = trainer(sparse, mask, rows, tmp_path).evaluate()["eval_loss"]
    assert trainer(model, mask, rows, tmp_path).evaluate()["eval_loss"] == expected
    assert nonzero(model, mask) == 0


def test_the_model_of_a_model_init_is_evaluated_with_its_mask(tiny_model, mask, rows, tmp_path):
    arguments = TrainingArguments(str(tmp_path), report_to="none", disable_tqdm=True, use_cpu=True)
    callbacks = [rp.MaskCallback(mask)]
    training = Trainer(None, arguments, eval_dataset=rows, callbacks=callbacks, model_init=lambda: fresh(tiny_model))
    training.evaluate()
    assert nonzero(training.model, mask) == 0


@pytest.mark.parametrize("score", [lambda training: training.evaluate(), lambda training: training.predict([ROW])])
def test_scores_of_a_model_without_its_mask_are_refused(model, mask, rows, tmp_path, score):
    """The callback joins after the Trainer was made; or other weights are loaded since."""
    dense = copy.deepcopy(model.state_dict())
    training = trainer(model, mask, rows, tmp_path)
    model.load_state_dict(dense)
    late = trainer(copy.deepcopy(model), mask, rows, tmp_path)
    late.pop_callback(rp.MaskCallback)
    late.model.load_state_dict(dense)
    late.add_callback(rp.MaskCallback(mask))
    for each in (training, late):
        with pytest.raises(
            MaskError, match=r"evaluated without its mask: .* not zero \(12 of 12 .*mask\.apply_\(model\)"
        ):
            score(each)
        mask.apply_(each.model)
        score(each)


# --- gradients ---


ROW = {"input_ids": torch.arange(5, 11), "labels": torch.tensor(1)}


class Norms(TrainerCallback):
    """The norm of the gradients before each step, of all weights and of those that are kept."""

    def __init__(self, mask: rp.MaskSet):
        self.mask, self.all, self.kept = mask, [], []

    def on_pre_optimizer_step(self, args, state, control, model=None, **others):
        self.all.append(norm(model, {}))
        self.kept.append(norm(model, self.mask))


def norm(model: nn.Module, mask) -> float:
    """The norm of the gradients, without those of the weights that `mask` removes."""
    gradients = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    parts = [grad[mask[name]] if name in mask else grad for name, grad in gradients.items()]
    return float(torch.cat([part.flatten().double() for part in parts]).norm())


@pytest.mark.parametrize(
    ("gradients", "settings"),
    [
        (False, {}),
        (True, {}),
        (True, {"gradient_accumulation_steps": 2}),
        (True, {"bf16": True}),
        (True, {"gradient_checkpointing": True}),
    ],
    ids=str,
)
def test_the_norm_for_clipping_is_that_of_the_kept_weights_if_asked_for(
    model, mask, rows, tmp_path, gradients, settings
):
    norms = Norms(mask)
    for name, weight in model.named_parameters():
        weight.requires_grad_(name in mask)  # the embeddings of this model would hide the rest
    quiet = {"max_grad_norm": 1e9, "logging_steps": 1, "max_steps": 3}
    training = trainer(model, mask, rows, tmp_path, norms, gradients=gradients, **quiet | settings)
    training.train()
    seen = [entry["grad_norm"] for entry in training.state.log_history if "grad_norm" in entry]
    assert seen == pytest.approx(norms.kept if gradients else norms.all, rel=1e-5) and len(seen) == 3
    larger = max(whole / kept for whole, kept in zip(norms.all, norms.kept, strict=True))
    assert larger == pytest.approx(1.0) if gradients else larger > 1.5


def gradients_of(model: nn.Module, wrapped: nn.Module | None = None) -> dict[str, torch.Tensor]:
    model.zero_grad()
    row = {name: value[None] for name, value in ROW.items()}
    (model if wrapped is None else wrapped)(**row).loss.backward()
    return {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


def removed_gradients(model: nn.Module, mask: rp.MaskSet, wrapped: nn.Module | None = None) -> int:
    gradients = gradients_of(model, wrapped)
    assert all(gradients[name][kept].count_nonzero() for name, kept in mask.items() if name in gradients)
    return sum(int(gradients[name][~kept].count_nonzero()) for name, kept in mask.items() if name in gradients)


def test_kept_weights_have_the_gradients_that_they_have_anyway(model, mask):
    mask.apply_(model)
    before = {name: gradient.clone() for name, gradient in gradients_of(model).items()}
    rp.MaskCallback(mask, model, gradients=True)
    after = gradients_of(model)
    assert all(torch.equal(after[name], gradient * mask.get(name, 1)) for name, gradient in before.items())


def test_a_training_leaves_no_hook_behind(model, mask, rows, tmp_path):
    trainer(model, mask, rows, tmp_path, gradients=True, max_steps=1).train()
    assert removed_gradients(model, mask) > mask.size // 2


def test_gradients_are_masked_in_models_that_are_copied_or_partly_frozen(model, mask):
    name, *_ = mask
    model.get_parameter(name).requires_grad_(False)
    pair = (model, rp.MaskCallback(mask, model, gradients=True))
    for net, _ in (pair, copy.deepcopy(pair), pickle.loads(pickle.dumps(pair))):
        assert removed_gradients(net, mask) == 0


def test_gradients_are_masked_in_a_compiled_model():
    model, kept = nn.Linear(4, 4), torch.eye(4, dtype=torch.bool)
    compiled = torch.compile(model, backend="aot_eager")
    callback = rp.MaskCallback({"weight": kept}, compiled, gradients=True)
    for _ in range(2):
        compiled(torch.ones(4)).sum().backward()
        assert torch.equal(model.weight.grad != 0, kept)
        callback.enforce()


def test_gradients_are_masked_of_weights_that_are_replaced_or_thawed_since_the_last_step(model, mask):
    first, second, *_ = mask
    model.get_parameter(first).requires_grad_(False)
    callback = rp.MaskCallback(mask, model, gradients=True)
    module, _, attribute = second.rpartition(".")
    setattr(model.get_submodule(module), attribute, nn.Parameter(torch.ones_like(model.get_parameter(second))))
    model.get_parameter(first).requires_grad_(True)
    callback.enforce()
    assert removed_gradients(model, mask) == 0 and len(gradients_of(model)[first]) > 0


# --- another mask ---


@pytest.mark.parametrize("gradients", [True, False])
def test_another_mask_can_be_assigned_in_an_own_loop(model, mask, gradients):
    other = rp.MaskSampler(model, rp.Uniform(), sparsity=0.5, seed=5).draw(0)
    callback = rp.MaskCallback(mask, model, gradients=gradients)
    for name in mask:
        nn.init.ones_(model.get_parameter(name))
    callback.mask = dict(other)
    assert callback.mask == other and isinstance(callback.mask, rp.MaskSet) and nonzero(model, other) == 0
    assert all(model.get_parameter(name)[kept].all() for name, kept in other.items())
    assert (removed_gradients(model, other) == 0) is gradients
    for wrong in (dict(list(other.items())[:-1]) | {"none": torch.zeros(1, dtype=torch.bool)}, {}, None, "mask"):
        with pytest.raises(MaskError):
            callback.mask = wrong
        assert callback.mask == other
        nn.init.ones_(model.get_parameter(next(iter(other))))
        callback.enforce()
        assert nonzero(model, other) == 0


def test_a_mask_that_is_assigned_before_there_is_a_model_is_the_mask(model, mask):
    other = rp.MaskSampler(model, rp.Uniform(), sparsity=0.5, seed=5).draw(0)
    callback = rp.MaskCallback(mask)
    callback.mask = other
    callback.on_init_end(None, None, None, model=model)
    assert nonzero(model, other) == 0 and nonzero(model, mask) > 0


class Schedule(TrainerCallback):
    """A sparser mask at every step."""

    def __init__(self, levels: list[rp.MaskSet]):
        self.levels, self.nonzero = levels, 0

    def on_step_begin(self, args, state, control, model=None, **others):
        self.callback.mask = self.levels[state.global_step]

    def on_step_end(self, args, state, control, model=None, **others):
        self.nonzero += nonzero(model, self.levels[state.global_step - 1])


def test_a_schedule_of_masks_is_obeyed_and_the_last_one_is_recorded_and_resumed(model, rows, tmp_path, tiny_model):
    levels = [rp.MaskSampler(model, rp.Magnitude(), sparsity).draw(0) for sparsity in (0.3, 0.6, 0.9)]
    schedule = Schedule(levels)
    settings = {"max_steps": 3, "save_strategy": "steps", "save_steps": 3}
    training = trainer(model, levels[0], rows, tmp_path, schedule, **settings)
    schedule.callback = next(each for each in training.callback_handler.callbacks if isinstance(each, rp.MaskCallback))
    training.train()
    assert schedule.nonzero == 0 and nonzero(model, levels[-1]) == 0
    state = json.loads((tmp_path / "checkpoint-3" / "trainer_state.json").read_text("utf-8"))
    assert state["stateful_callbacks"]["randprune_lab.mask"]["attributes"]["sha256"] == levels[-1].sha256
    checkpoint = str(tmp_path / "checkpoint-3")
    with pytest.raises(MaskError, match="was trained with another mask"):
        trainer(fresh(tiny_model), levels[0], rows, tmp_path, max_steps=4).train(resume_from_checkpoint=checkpoint)
    again = fresh(tiny_model)
    trainer(again, levels[-1], rows, tmp_path, max_steps=4).train(resume_from_checkpoint=checkpoint)
    assert nonzero(again, levels[-1]) == 0


# --- resuming ---


@pytest.fixture
def stopped(model, mask, rows, tmp_path) -> Path:
    """A checkpoint after two of four steps."""
    trainer(model, mask, rows, tmp_path, save_strategy="steps", save_steps=2, max_steps=2).train()
    return tmp_path / "checkpoint-2"


def fresh(tiny_model) -> nn.Module:
    return rp.load_model(tiny_model, num_labels=2)[0]


def test_a_resumed_training_keeps_the_mask(stopped, tiny_model, mask, rows, tmp_path):
    model, watch = fresh(tiny_model), Watch(mask)
    trainer(model, mask, rows, tmp_path, watch, max_steps=4).train(resume_from_checkpoint=str(stopped))
    assert watch.steps == 2 and watch.nonzero == 0 and nonzero(model, mask) == 0


def test_a_training_may_also_restore_callback_states(stopped, tiny_model, mask, rows, tmp_path):
    model, watch = fresh(tiny_model), Watch(mask)
    settings = {"max_steps": 4, "restore_callback_states_from_checkpoint": True}
    trainer(model, mask, rows, tmp_path, watch, **settings).train(resume_from_checkpoint=str(stopped))
    assert watch.steps == 2 and watch.nonzero == 0


def test_a_checkpoint_with_another_mask_is_refused(stopped, tiny_model, mask, rows, tmp_path):
    """Also if the new mask keeps more weights, which would silently train from zero."""
    model = fresh(tiny_model)
    more = rp.MaskSet(
        {name: kept | (torch.arange(kept.numel()).reshape(kept.shape) % 7 == 0) for name, kept in mask.items()}
    )
    for other in (rp.MaskSampler(model, rp.Uniform(), sparsity=0.9, seed=2).draw(0), more):
        with pytest.raises(
            MaskError, match=r"step 2 was trained with another mask \(SHA-256 .{12}, not .{12}\); resume"
        ):
            trainer(model, other, rows, tmp_path, max_steps=4).train(resume_from_checkpoint=str(stopped))


def test_a_checkpoint_with_nonzero_removed_weights_is_refused(stopped, tiny_model, mask, rows, tmp_path):
    weights = load_file(stopped / "model.safetensors")
    name = next(iter(mask))
    weights[name][~mask[name]] = 0.5
    save_file(weights, stopped / "model.safetensors", {"format": "pt"})
    removed = int((~mask[name]).sum())
    with pytest.raises(MaskError, match=rf"{removed:,} removed weights of '{name}' are not zero \(1 of {len(mask)}"):
        trainer(fresh(tiny_model), mask, rows, tmp_path, max_steps=4).train(resume_from_checkpoint=str(stopped))


def test_a_checkpoint_records_its_mask(stopped, mask):
    state = json.loads((stopped / "trainer_state.json").read_text("utf-8"))
    assert state["stateful_callbacks"]["randprune_lab.mask"]["attributes"]["sha256"] == mask.sha256


# --- several callbacks ---


def two_trainers(model, mask, rows, folder, watch=None, **settings) -> Trainer:
    """The first callback has the masks of the attention, the second the others."""
    parts = [{name: kept for name, kept in mask.items() if ("attention" in name) is part} for part in (True, False)]
    training = trainer(model, parts[0], rows, folder, watch, **settings)
    training.callback_handler.callbacks.insert(0, rp.MaskCallback(parts[1]))
    return training


def test_two_callbacks_are_both_obeyed_recorded_and_resumed(model, mask, rows, tmp_path, tiny_model):
    two_trainers(model, mask, rows, tmp_path, save_strategy="steps", save_steps=2, max_steps=2).train()
    assert nonzero(model, mask) == 0
    model, watch = fresh(tiny_model), Watch(mask)
    training = two_trainers(model, mask, rows, tmp_path, watch, max_steps=4, save_strategy="steps", save_steps=2)
    training.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert watch.steps == 2 and watch.nonzero == 0 and nonzero(model, mask) == 0
    for step in (2, 4):
        state = json.loads((tmp_path / f"checkpoint-{step}" / "trainer_state.json").read_text("utf-8"))
        assert len({each["attributes"]["sha256"] for each in state["stateful_callbacks"]["randprune_lab.mask"]}) == 2
    with pytest.raises(MaskError, match=r"another mask \(SHA-256 .{12} and .{12}, not .{12}\)"):
        trainer(fresh(tiny_model), mask, rows, tmp_path).train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))


def test_masks_may_be_added_to_a_training_that_had_none(model, mask, rows, tmp_path, tiny_model):
    mask.apply_(model)
    training = trainer(model, mask, rows, tmp_path, save_strategy="steps", save_steps=2, max_steps=2)
    record = training.pop_callback(rp.MaskCallback)
    training.add_callback(ZeroOnly(record.mask))
    training.train()
    watch = Watch(mask)
    training = two_trainers(fresh(tiny_model), mask, rows, tmp_path, watch, max_steps=4)
    training.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert watch.steps == 2 and watch.nonzero == 0


class ZeroOnly(TrainerCallback):
    """Enforces a mask and records nothing."""

    def __init__(self, mask: rp.MaskSet):
        self.mask = mask

    def on_optimizer_step(self, args, state, control, model=None, **others):
        self.mask.apply_(model)


# --- copies ---


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_a_copied_callback_masks_the_copied_model(model, mask, copied):
    other, callback = copied((model, rp.MaskCallback(mask, model)))
    for net in (model, other):
        for name in mask:
            nn.init.ones_(net.get_parameter(name))
    callback.enforce()
    assert nonzero(other, mask) == 0 and nonzero(model, mask) > 0


def test_weights_loaded_by_assignment_are_masked(model, mask):
    callback = rp.MaskCallback(mask, torch.compile(model, backend="eager"))
    model.load_state_dict({name: weight + 1 for name, weight in model.state_dict().items()}, assign=True)
    assert nonzero(model, mask) > 0
    callback.enforce()
    assert nonzero(model, mask) == 0


def test_offloaded_weights_are_named(model, mask):
    from accelerate import cpu_offload

    callback = rp.MaskCallback(mask, model)
    cpu_offload(model, execution_device=torch.device("cpu"))
    for attempt in (callback.enforce, lambda: rp.MaskCallback(mask, model)):
        with pytest.raises(MaskError, match="is on the meta device, where it has no values"):
            attempt()


# --- masks that do not fit ---


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda mask: {f"bert2.{name}": kept for name, kept in mask.items()},
            r"mask of 'bert2\..* has no counterpart in",
        ),
        (
            lambda mask: {name: kept[:-1] for name, kept in mask.items()},
            r"has shape \(31, 32\), but in .* it is \(32, 32\)",
        ),
        (
            lambda mask: {name: torch.ones_like(kept) for name, kept in mask.items()},
            "removes none of 16,384 weights in 12",
        ),
        (lambda mask: {}, "removes none of 0 weights"),
        (lambda mask: {name: kept.float() for name, kept in mask.items()}, "must be a bool tensor"),
    ],
    ids=["name", "shape", "keeps all", "empty", "no bools"],
)
def test_a_mask_that_does_not_fit_is_an_error_before_training(model, mask, rows, tmp_path, change, message):
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(MaskError, match=message):
        trainer(model, change(mask), rows, tmp_path)
    with pytest.raises(MaskError, match=message):
        rp.MaskCallback(change(mask), model)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_a_callback_that_is_added_later_still_checks_its_mask(model, mask, rows, tmp_path):
    training = trainer(model, mask, rows, tmp_path)
    training.add_callback(rp.MaskCallback({"none.weight": torch.zeros(1, dtype=torch.bool)}))
    with pytest.raises(MaskError, match=r"'none\.weight' has no counterpart"):
        training.train()


@pytest.mark.parametrize("wrong", [None, "mask.safetensors", 3, [], torch.ones(2) > 0], ids=str)
def test_what_is_no_mask_or_no_model_is_refused(mask, wrong):
    with pytest.raises(MaskError, match="masks must be a dict of bool tensors by parameter name, got a"):
        rp.MaskCallback(wrong)
    if wrong is not None:
        with pytest.raises(MaskError, match=r"a model must be a torch\.nn\.Module, got a"):
            rp.MaskCallback(mask, wrong)


def test_without_a_model_there_is_nothing_to_enforce(mask):
    with pytest.raises(MaskError, match=r"MaskCallback\(mask, model\)"):
        rp.MaskCallback(mask).enforce()


# --- your own training loop ---


def test_an_accelerate_loop_with_accumulation_keeps_the_mask(model, mask, rows):
    from accelerate import Accelerator

    accelerator = Accelerator(gradient_accumulation_steps=3, cpu=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9, weight_decay=0.1)
    wrapped, optimizer = accelerator.prepare(model, optimizer)
    callback = rp.MaskCallback(mask, wrapped)
    assert nonzero(model, mask) == 0
    for row in rows:
        with accelerator.accumulate(wrapped):
            accelerator.backward(wrapped(input_ids=row["input_ids"][None], labels=row["labels"][None]).loss)
            optimizer.step()
            callback.enforce()
            optimizer.zero_grad()
        assert nonzero(model, mask) == 0
    assert all(model.get_parameter(name)[kept].any() for name, kept in mask.items())


def compiled(model: nn.Module) -> nn.Module:
    return torch.compile(model, backend="eager")


def compiled_parts(model: nn.Module) -> nn.Module:
    for number, layer in enumerate(model.bert.encoder.layer):
        model.bert.encoder.layer[number] = compiled(layer)
    return model


@pytest.mark.parametrize(
    "wrap", [compiled, compiled_parts, nn.DataParallel, lambda model: nn.DataParallel(compiled(model))]
)
def test_wrapped_models_have_the_names_of_the_model_inside(model, mask, wrap):
    """A mask fits, whether it was drawn before or after the model was wrapped."""
    weights = {name: model.get_parameter(name) for name in mask}
    wrapped = wrap(model)
    for drawn in (mask, rp.MaskSampler(wrapped, rp.Magnitude(), sparsity=0.5, seed=0).draw(0)):
        for weight in weights.values():
            nn.init.ones_(weight)
        rp.MaskCallback(drawn, wrapped)
        assert sum(int(weight.sum()) for weight in weights.values()) == drawn.kept


def test_a_compiled_trainer_keeps_the_mask(model, mask, rows, tmp_path, monkeypatch):
    from accelerate.state import AcceleratorState

    # The Trainer sets it for the whole process; it is reset after the test.
    monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "no")
    AcceleratorState._reset_state(True)
    watch = Watch(mask)
    trainer(model, mask, rows, tmp_path, watch, torch_compile=True, torch_compile_backend="eager", max_steps=3).train()
    assert watch.steps == 3 and watch.nonzero == 0 and nonzero(model, mask) == 0
    AcceleratorState._reset_state(True)


def test_distributed_data_parallel_keeps_the_mask(model, mask, rows, tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        wrapped = nn.parallel.DistributedDataParallel(model)
        callback = rp.MaskCallback(mask, wrapped)
        optimizer = torch.optim.AdamW(wrapped.parameters(), lr=0.05)
        wrapped(input_ids=rows[0]["input_ids"][None], labels=rows[0]["labels"][None]).loss.backward()
        optimizer.step()
        assert nonzero(model, mask) > 0
        callback.enforce()
        assert nonzero(model, mask) == 0
        rp.MaskCallback(mask, wrapped, gradients=True)
        assert removed_gradients(model, mask, wrapped) == 0
    finally:
        torch.distributed.destroy_process_group()


def test_tied_weights_are_masked_under_either_name():
    model = nn.ModuleDict({"one": nn.Linear(4, 4), "two": nn.Linear(4, 4)})
    model["two"].weight = model["one"].weight
    kept = torch.eye(4, dtype=torch.bool)
    for name in ("one.weight", "two.weight"):
        nn.init.ones_(model["one"].weight)
        rp.MaskCallback({name: kept}, model)
        assert torch.equal(model["one"].weight, torch.eye(4))
