"""Training the kept weights alone gives what training the masked dense layers gives, up to rounding."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from support.simulated_device import DEVICE
from torch import nn

import randprune_lab as rp
from randprune_lab.errors import ConfigError
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.training import kept_weights
from randprune_lab.training.compute import Compute
from randprune_lab.training.config import Distillation, TrainingConfig
from randprune_lab.training.distillation import Teacher
from randprune_lab.training.kept_weights import find_kept_weights
from randprune_lab.training.loop import Training, train
from randprune_lab.training.scoring import SplitScore, predict
from randprune_lab.training.used_rows import find_used_rows

CONFIG = TrainingConfig(epochs=2, learning_rate=2e-3, batch_size=32, weight_decay=0.1, evaluate_every=4)


def weights(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def equal(a, b):
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


def trained(lab, compute, evaluate=lambda model: 0.0, teacher=None, sparsity=0.9, **settings):
    model = lab.model()
    mask = rp.MaskSampler(model, rp.Voting(), sparsity).draw(0)
    config = dataclasses.replace(CONFIG, compute=compute, **settings)
    history = train(model, lab.train, config, evaluate=evaluate, mask=mask, teacher=teacher)
    return model, mask, history


SETTINGS = {
    "default": {},
    "clipped": {"max_grad_norm": 0.05},
    "not decayed": {"weight_decay": 0.0},
    "high rate": {"learning_rate": 5e-3},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_losses_and_weights_are_those_of_dense_layers(lab, settings):
    (dense, mask, expected), (sparse, _, history) = (trained(lab, c, **settings) for c in ("dense", "sparse"))
    assert history.losses[:5] == pytest.approx(expected.losses[:5], abs=1e-5)
    for name, weight in dense.state_dict().items():
        torch.testing.assert_close(sparse.state_dict()[name], weight, rtol=1e-2, atol=1e-4)
    assert all(not sparse.get_parameter(name)[~kept].any() for name, kept in mask.items())


def test_distillation_of_all_states_is_that_of_dense_layers(lab):
    settings = Distillation(labels=0.5, logits=1.0, attention=1.0, hidden=1.0, temperature=2.0)
    losses = []
    for compute in ("dense", "sparse"):
        teacher = Teacher(lab.model(seed=1), lab.train)
        losses.append(trained(lab, compute, teacher=teacher, distillation=settings, epochs=1)[2].losses)
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_an_evaluation_sees_the_sparse_model_with_a_plain_state(lab):
    seen = []

    def evaluate(model):
        layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
        state = weights(model)
        plain = lab.model()
        plain.load_state_dict(state)
        np.testing.assert_allclose(predict(model, lab.validation), predict(plain, lab.validation), atol=1e-5)
        seen.append((sum(layer.weight.ndim == 1 for layer in layers), state))
        return 0.0

    _, mask, _ = trained(lab, "sparse", evaluate)
    for sparse, state in seen:
        assert sparse == len(mask) == 12 and list(state) == list(weights(lab.model()))
        assert all(not state[name][~kept].any() and state[name][kept].all() for name, kept in mask.items())


def test_the_optimizer_has_a_state_for_kept_weights_alone(lab):
    model = lab.model()
    mask = rp.MaskSampler(model, rp.Voting(), 0.9).draw(0)
    training = Training(model, lab.train, dataclasses.replace(CONFIG, compute="sparse"), mask=mask)
    training.run(lambda model: 0.0, until=1)
    sizes = [state["exp_avg"].numel() for state in training.state().optimizer["state"].values()]
    others = sum(weight.numel() for name, weight in model.named_parameters() if name not in mask)
    rows = training._rows
    unused = (rows.whole.numel() - rows.small.numel()) if rows else 0
    assert sum(sizes) == mask.kept + others - unused


@pytest.mark.parametrize("stops", [[1], [5, 6, 11], [0, 24, 99]], ids=str)
def test_a_training_that_stops_ends_with_the_same_bits(lab, stops):
    evaluate = SplitScore(lab.task, lab.validation)
    whole, mask, history = trained(lab, "sparse", evaluate, keep_best=True)
    config = dataclasses.replace(CONFIG, compute="sparse", keep_best=True)
    state = None
    for stop in [*stops, None]:
        model = lab.model(seed=3 if state else 0)
        training = Training(model, lab.train, config, mask=mask)
        if state:
            training.restore(state)
        training.run(evaluate, until=stop)
        state = training.state()
    training.keep_best()
    assert equal(weights(model), weights(whole)) and training.history == history


def test_the_model_is_plain_again_after_a_failure(lab):
    model = lab.model()
    parameters = [*model.parameters()]
    mask = rp.MaskSampler(model, rp.Voting(), 0.9).draw(0)

    def fail(model):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(model, lab.train, dataclasses.replace(CONFIG, compute="sparse"), evaluate=fail, mask=mask)
    assert all(a is b for a, b in zip(model.parameters(), parameters, strict=True))
    assert all("forward" not in vars(module) for module in model.modules())
    assert all(not model.get_parameter(name)[~kept].any() for name, kept in mask.items())


# --- the choice ---


def large(sparsity: float, outputs: int = 512, inputs: int = 256) -> tuple[nn.Module, MaskSet]:
    model = nn.ModuleDict({"layer": nn.Linear(inputs, outputs), "other": nn.Linear(inputs, 8)})
    kept = torch.ones(outputs * inputs, dtype=torch.bool)
    kept[: round(sparsity * len(kept))] = False
    mask = MaskSet({"layer.weight": kept.reshape(outputs, inputs)})
    mask.apply_(model)
    return model, mask


def test_auto_is_a_function_of_shape_and_sparsity_alone(monkeypatch):
    """Whatever the time: a run that is continued or distributed makes the same choice."""
    monkeypatch.setattr("time.perf_counter", lambda: pytest.fail("it reads a clock"))
    monkeypatch.setattr("time.process_time", lambda: pytest.fail("it reads a clock"))
    for sparsity, outputs, sparse in ((0.95, 512, True), (0.83, 512, True), (0.81, 512, False), (0.95, 256, False)):
        for _ in range(2):
            assert bool(find_kept_weights(*large(sparsity, outputs), TrainingConfig())) == sparse


def tied(model):
    model["other"] = model["layer"]


def hooked(model):
    model["layer"].register_forward_hook(lambda layer, given, out: out)


CHANGES = {
    "tied": tied,
    "hooked": hooked,
    "frozen": lambda model: model["layer"].requires_grad_(False),
    "half precision": lambda model: model.half(),
    "double precision": lambda model: model.double(),
    "on a device": lambda model: model.to(DEVICE),
    "in torch's encoder layer": lambda model: model.update({"encoder": in_encoder(model["layer"])}),
}


def in_encoder(layer):
    encoder = nn.TransformerEncoderLayer(256, 4, 512)
    encoder.linear1 = layer
    return encoder


@pytest.mark.parametrize("change", CHANGES)
def test_what_cannot_be_computed_sparse_stays_dense_or_is_refused(change):
    model, mask = large(0.95)
    CHANGES[change](model)
    assert find_kept_weights(model, mask, TrainingConfig()) == {}
    with pytest.raises(ConfigError, match="compute='sparse' needs masked linear layers in float32 on the CPU"):
        find_kept_weights(model, mask, TrainingConfig(compute="sparse"))


def test_in_a_wrapper_all_layers_and_embeddings_stay_whole(lab):
    model = lab.model()
    mask = rp.MaskSampler(model, rp.Voting(), 0.9).draw(0)
    assert find_kept_weights(model, mask, TrainingConfig(compute="sparse"))
    around = nn.DataParallel(model)
    assert find_used_rows(around, lab.train) is None
    with pytest.raises(ConfigError, match="in a model that nothing wraps"):
        find_kept_weights(around, mask, TrainingConfig(compute="sparse"))


def test_without_mkl_or_with_bfloat16_auto_is_dense(monkeypatch):
    with torch.autocast("cpu", torch.bfloat16):
        assert find_kept_weights(*large(0.95), TrainingConfig()) == {}
        with pytest.raises(ConfigError, match="the precision is bfloat16; choose compute='auto'"):
            find_kept_weights(*large(0.95), TrainingConfig(compute="sparse"))
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    assert find_kept_weights(*large(0.95), TrainingConfig()) == {}
    with pytest.raises(ConfigError, match="has no MKL"):
        find_kept_weights(*large(0.95), TrainingConfig(compute="sparse"))
    assert Compute.find("cpu", layers="auto").layers == "dense"
    with pytest.raises(ConfigError, match=r"compute 'sparse' cannot be used here: PyTorch has no MKL.*choose auto"):
        Compute.find("cpu", layers="sparse")
    with (
        pytest.raises(ConfigError, match="layers were computed sparse, which cannot be done here"),
        Compute("cpu", None, 1, "float32", "auto").active(),
    ):
        pass


def test_gpt2s_layers_are_computed_sparse():
    from transformers import GPT2Config, GPT2ForSequenceClassification

    from randprune_lab.training.data import Encoded

    data = Encoded({"input_ids": np.arange(32) % 20}, np.full(8, 4), np.arange(8) % 2, {"input_ids": 0})
    losses = []
    for compute in ("dense", "sparse"):
        torch.manual_seed(0)
        model = GPT2ForSequenceClassification(
            GPT2Config(vocab_size=20, n_positions=8, n_embd=12, n_layer=1, n_head=2, pad_token_id=0)
        )
        mask = rp.MaskSampler(model, rp.Magnitude(), 0.7).draw(0)
        config = dataclasses.replace(CONFIG, compute=compute, evaluate_every=1, batch_size=4)
        losses.append(train(model, data, config, evaluate=lambda model: 0.0, mask=mask).losses)
        assert len(kept_weights.find_kept_weights(model, mask, config)) == (4 if compute == "sparse" else 0)
        assert all(not model.get_parameter(name)[~kept].any() for name, kept in mask.items())
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_gradients_of_removed_weights_and_sparse_layers_exclude_each_other():
    for settings in (TrainingConfig, rp.RunConfig):
        with pytest.raises(ConfigError, match="compute='sparse' has no gradients of removed weights"):
            settings(compute="sparse", mask_gradients=False)
    assert find_kept_weights(*large(0.95), TrainingConfig(mask_gradients=False)) == {}
