"""A Trainer whose masked layers leave out removed weights trains the same model, and gives the layers back."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import Trainer, TrainerCallback, TrainingArguments

import randprune_lab as rp
from randprune_lab.errors import ConfigError
from randprune_lab.sparse.kept_layers import KeptForward, computable

STEPS = 6


def trained(model, mask, rows, folder: Path, *more: TrainerCallback, resume: bool = False, **settings) -> nn.Module:
    compute = {name: settings.pop(name) for name in ("compute", "gradients") if name in settings}
    arguments = TrainingArguments(
        str(folder),
        **{
            "per_device_train_batch_size": 4,
            "max_steps": STEPS,
            "learning_rate": 1e-3,
            "report_to": "none",
            "disable_tqdm": True,
            "use_cpu": True,
            "save_strategy": "no",
        }
        | settings,
    )
    callbacks = [rp.MaskCallback(mask, **compute), *more]
    Trainer(model, arguments, train_dataset=rows, eval_dataset=rows, callbacks=callbacks).train(
        resume_from_checkpoint=resume
    )
    return model


class Watch(TrainerCallback):
    """Notes at every step which layers have a forward pass of their own."""

    def __init__(self):
        self.sparse: list[set[str]] = []

    def on_step_end(self, args, state, control, model=None, **others):
        self.sparse.append({name for name, layer in model.named_modules() if "forward" in vars(layer)})


@pytest.fixture
def again(tiny_model) -> nn.Module:
    """The model of `model`, once more."""
    return rp.load_model(tiny_model, num_labels=2)[0]


def layers_of(mask) -> set[str]:
    return {name.removesuffix(".weight") for name in mask}


@pytest.mark.parametrize(
    "settings", [{}, {"gradient_accumulation_steps": 2}, {"gradient_checkpointing": True}], ids=str
)
def test_it_trains_what_a_dense_training_trains(model, again, mask, rows, tmp_path, settings):
    dense = trained(model, mask, rows, tmp_path, gradients=True, **settings).state_dict()
    watch = Watch()
    sparse = trained(again, mask, rows, tmp_path, watch, compute="sparse", **settings).state_dict()
    assert watch.sparse == [layers_of(mask)] * STEPS
    assert {*sparse} == {*dense}
    for name, value in sparse.items():
        torch.testing.assert_close(value, dense[name], rtol=0, atol=2e-5)
    assert not any(sparse[name][~kept].any() for name, kept in mask.items())
    assert any(not torch.equal(sparse[name], dense[name]) for name in mask), "computed in another order"


def test_the_layers_are_as_they_were_after_the_training(model, mask, rows, tmp_path):
    trained(model, mask, rows, tmp_path, compute="sparse")
    assert not any("forward" in vars(layer) for layer in model.modules())
    trained(model, mask, rows, tmp_path, compute="sparse")


def test_auto_takes_the_layers_that_are_faster(model, again, mask, rows, tmp_path):
    """None of so small a model, so that nothing changes by a bit."""
    watch = Watch()
    auto = trained(model, mask, rows, tmp_path, watch, compute="auto").state_dict()
    dense = trained(again, mask, rows, tmp_path, gradients=True).state_dict()
    assert not any(watch.sparse) and all(torch.equal(auto[name], dense[name]) for name in dense)
    large = nn.Sequential(nn.Linear(512, 512), nn.Linear(512, 8))
    masks = rp.MaskSampler(large, rp.Magnitude(), 0.9, include=["0.weight", "1.weight"]).draw(0)
    assert {*computable(large, masks, faster=True)} == {"0.weight"}


def test_a_resumed_training_has_the_same_bits(model, again, mask, rows, tmp_path):
    whole = trained(model, mask, rows, tmp_path / "a", compute="sparse", save_strategy="steps", save_steps=3)
    checkpoint = tmp_path / "a" / "checkpoint-3"
    rest = trained(again, mask, rows, tmp_path / "b", compute="sparse", resume=str(checkpoint))
    assert all(torch.equal(value, whole.state_dict()[name]) for name, value in rest.state_dict().items())


def test_evaluation_is_that_of_the_layer(model, mask):
    name, layer = next(iter(computable(model, mask, faster=False).items()))
    mask.apply_(model)
    given = torch.randn(3, layer.in_features)
    expected = layer(given)
    kept = KeptForward(layer, mask[name])
    layer.eval()
    assert torch.equal(layer(given), expected)
    layer.train()
    torch.testing.assert_close(layer(given), expected)
    with torch.no_grad():
        layer.weight.add_(1.0)  # also where it is removed, which only evaluation sees
    assert not torch.allclose(layer(given), layer.eval()(given))
    kept.remove()
    assert "forward" not in vars(layer)


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))], ids=["copy", "pickle"]
)
def test_a_copy_computes_with_its_own_weights(model, mask, copied):
    layers = computable(model, mask, faster=False)
    for name, layer in layers.items():
        KeptForward(layer, mask[name])
    other = copied(model).train()
    name = next(iter(layers))
    layer, own = layers[name].train(), other.get_submodule(name.removesuffix(".weight"))
    given = torch.randn(3, layer.in_features)
    assert torch.equal(own(given), layer(given))
    with torch.no_grad():
        own.weight.zero_()
    assert not torch.equal(own(given), layer(given))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"compute": "sparse", "bf16": True}, "cannot be used here: sparse products need float32"),
        ({"compute": "fast"}, "unknown compute 'fast'"),
    ],
    ids=str,
)
def test_what_cannot_be_computed_so_is_refused(model, mask, rows, tmp_path, settings, message):
    with pytest.raises(ConfigError, match=message):
        trained(model, mask, rows, tmp_path, **settings)


def test_without_a_layer_that_can_or_a_trainer_it_is_refused(model, mask, rows, tmp_path):
    with pytest.raises(ConfigError, match="is for a Trainer"):
        rp.MaskCallback(mask, model, compute="sparse")
    for name in layers_of(mask):
        model.get_submodule(name).register_forward_hook(lambda *given: None)
    with pytest.raises(ConfigError, match="there are none"):
        trained(model, mask, rows, tmp_path, compute="sparse")
    trained(model, mask, rows, tmp_path, compute="auto", bf16=True)
