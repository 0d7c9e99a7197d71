"""Wanda's scores: the formula on a small model, without the influence of padding."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

import randprune_lab as rp
from randprune_lab.criteria import scores
from randprune_lab.errors import ConfigError, MaskError
from randprune_lab.masks.scope import prunable
from randprune_lab.training.data import Encoded, encode, scoring_batches
from randprune_lab.training.scoring import inputs


def wanda(model: torch.nn.Module, data: Encoded, batch_size: int = 32) -> dict[str, torch.Tensor]:
    batches = [inputs(data.batch(rows.tolist())) for rows in scoring_batches(data.lengths, batch_size)]
    return scores(model, "wanda", batches)


@pytest.fixture(scope="module")
def model_and_data(glue_dir, tiny_model):
    model, tokenizer = rp.load_model(tiny_model, num_labels=2)
    rows = rp.load_splits("sst2", glue_dir=str(glue_dir)).train.select(range(40))
    return model, encode(rows, ("sentence",), tokenizer, 32)


def test_scores_are_magnitude_times_the_norm_of_the_layers_inputs(model_and_data):
    model, data = model_and_data
    seen: list[torch.Tensor] = []
    name = "bert.encoder.layer.1.intermediate.dense.weight"
    hook = model.get_submodule(name.removesuffix(".weight")).register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0].detach()[0])
    )
    model.eval()
    for row in range(len(data)):  # one by one, without any padding
        batch = data.batch([row])
        del batch["rows"], batch["labels"]
        model(**batch)
    hook.remove()
    expected = model.get_parameter(name).detach().abs() * torch.cat(seen).norm(dim=0)
    for batch_size in (1, 7, 64):
        found = wanda(model, data, batch_size)
        assert found.keys() == prunable(model).keys()
        torch.testing.assert_close(found[name], expected, rtol=1e-4, atol=1e-6)


def test_the_model_is_not_changed_and_pruned_weights_have_score_zero(model_and_data):
    model, data = model_and_data
    weight = next(iter(prunable(model).values()))
    kept = weight.detach().clone()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    try:
        weight.data[:, ::2] = 0
        model.train()
        found = next(iter(wanda(model, data).values()))
        assert model.training and (found[:, ::2] == 0).all() and (found[:, 1::2] > 0).all()
    finally:
        weight.data.copy_(kept)
        model.eval()
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_the_rows_of_gpt2s_layers_are_their_inputs():
    from transformers import GPT2Config, GPT2ForSequenceClassification

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = GPT2ForSequenceClassification(
            GPT2Config(vocab_size=20, n_positions=8, n_embd=12, n_layer=1, n_head=2, pad_token_id=0)
        )
    data = Encoded({"input_ids": np.arange(1, 13)}, np.array([6, 6]), np.array([0, 1]), {"input_ids": 0})
    found = wanda(model, data)
    name = "transformer.h.0.mlp.c_fc.weight"
    norms = found[name] / model.get_parameter(name).detach().abs()
    torch.testing.assert_close(norms, norms[:, :1].expand_as(norms), rtol=1e-4, atol=1e-5)
    assert norms[:, 0].std() > 0


def test_a_matrix_outside_linear_layers_is_named(model_and_data):
    class Odd(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = torch.nn.ModuleList([torch.nn.GRUCell(3, 3)])

        def forward(self, input_ids):
            return self.blocks[0](input_ids[:, :1].float().expand(-1, 3))

    data = dataclasses.replace(model_and_data[1], inputs={"input_ids": model_and_data[1].inputs["input_ids"]})
    with pytest.raises(
        ConfigError, match=r"'blocks.0.weight_ih' belongs to a GRUCell; exclude it, or use criterion 'mag"
    ):
        wanda(Odd(), data)


def test_stacked_experts_are_named_before_the_model_runs(model_and_data):
    """Each expert has inputs of its own, which the layer of all of them does not get one by one."""

    class Experts(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.up = torch.nn.Parameter(torch.ones(2, 3, 4))

    class Mixture(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = torch.nn.ModuleList([Experts()])

        def forward(self, input_ids):
            raise AssertionError("the model runs")

    assert [*prunable(Mixture())] == ["blocks.0.up"]
    with pytest.raises(ConfigError, match=r"'blocks\.0\.up' belongs to a Experts; exclude it, or use criterion 'mag"):
        wanda(Mixture(), model_and_data[1])


def test_a_model_that_pytorch_prunes_is_refused(model_and_data):
    """Its scores would be those of the weights before pruning."""
    model, data = copy.deepcopy(model_and_data[0]), model_and_data[1]
    rp.to_torch_prune(model, rp.MaskSampler(model, rp.Uniform(), 0.5).draw(0))
    with pytest.raises(MaskError, match="make it permanent first"):
        wanda(model, data)


def test_scores_of_half_precision_do_not_overflow():
    """A norm of 80,000 has no float16; the score has a wider type, as those of other criteria."""
    model = nn.Sequential(nn.Linear(2, 2, bias=False)).half()
    batch = {"input": torch.full((1, 2), 6e4, dtype=torch.float16)}

    def summed(model, batch):
        return model(batch["input"]).sum()

    found = scores(model, "wanda", [batch, batch], summed, include=["0.weight"])
    assert all(bool(each.isfinite().all()) and each.dtype == torch.float32 for each in found.values())


# --- which inputs count ---


class Twice(nn.Module):
    """One matrix in two layers, the second of which has inputs that are 100 times larger."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)])
        self.blocks[1].weight = self.blocks[0].weight

    def forward(self, x):
        return self.blocks[0](x) + self.blocks[1](input=100 * x)


def mean(model, batch):
    return model(batch["x"]).mean()


def test_a_tied_weight_has_the_inputs_of_all_its_layers():
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    (found,) = scores(model := Twice(), "wanda", [{"x": x}], mean).values()
    norm = torch.cat([x, 100 * x]).norm(dim=0)
    torch.testing.assert_close(found, model.blocks[0].weight.detach().abs() * norm)


def test_a_compiled_model_that_has_run_already_has_the_same_scores():
    model, batch = Twice().eval(), {"x": torch.ones(2, 4)}
    compiled = torch.compile(model, backend="eager")
    with torch.no_grad():
        compiled(**batch)
    for one, other in zip(
        scores(compiled, "wanda", [batch], mean).values(), scores(model, "wanda", [batch], mean).values(), strict=True
    ):
        assert torch.equal(one, other)


def test_a_layer_that_is_not_called_is_named():
    model = Twice()
    model.blocks.append(nn.Linear(4, 4))
    with pytest.raises(
        ConfigError, match=r"needs the inputs of 'blocks.2.weight', but the model does not call its layer"
    ):
        scores(model, "wanda", [{"x": torch.ones(2, 4)}], mean)


@pytest.fixture(scope="module")
def t5():
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    config = T5Config(vocab_size=50, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, decoder_start_token_id=0)
    return T5ForConditionalGeneration(config).eval()


@pytest.mark.parametrize("length", [6, 4])
@pytest.mark.parametrize("masked", [True, False])
def test_padding_of_an_encoder_and_of_its_decoder_is_left_out_of_each(t5, length, masked):
    """Two examples alone, without any padding, and both in a batch; with a mask, or labels alone."""
    ids = torch.arange(1, 7)[None]
    alone = [
        {"input_ids": ids[:, :used], "attention_mask": torch.ones(1, used, dtype=int), "labels": ids[:, :told] + 9}
        for used, told in ((6, length), (3, 2))
    ]
    labels = torch.full((2, length), -100)
    labels[0], labels[1, :2] = alone[0]["labels"][0], alone[1]["labels"][0]
    batch = {
        "input_ids": ids.repeat(2, 1),
        "attention_mask": torch.tensor([[1] * 6, [1, 1, 1, 0, 0, 0]]),
        "labels": labels,
    }
    if masked:
        batch["decoder_attention_mask"] = (labels != -100).long()
    found, expected = scores(t5, "wanda", [batch]), scores(t5, "wanda", alone)
    assert any("EncDecAttention" in name for name in found) and any("decoder" in name for name in found)
    for name, score in expected.items():
        torch.testing.assert_close(found[name], score, rtol=1e-4, atol=1e-5)


def short_and_long(model: nn.Module, lengths: tuple[int, ...] = (8, 5, 3), padded_to: int = 8):
    """The scores of examples in one batch with padding, and of each alone without any."""
    ids = torch.randint(3, 40, (len(lengths), padded_to), generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(padded_to) < torch.tensor(lengths)[:, None]).long()
    batch = {"input_ids": ids * mask, "attention_mask": mask}
    alone = [{name: each[[row], :used] for name, each in batch.items()} for row, used in enumerate(lengths)]
    return scores(model, "wanda", [batch]), scores(model, "wanda", alone)


def test_padding_is_left_out_where_tokens_come_before_examples():
    """XLNet's layers have tokens first."""
    from transformers import XLNetConfig, XLNetForSequenceClassification

    torch.manual_seed(0)
    config = XLNetConfig(vocab_size=40, d_model=16, n_layer=2, n_head=2, d_inner=32)
    found, expected = short_and_long(XLNetForSequenceClassification(config).eval())
    for name, score in expected.items():
        torch.testing.assert_close(found[name], score, rtol=1e-4, atol=1e-5)


def test_a_projection_between_an_encoder_and_a_decoder_has_the_encoders_padding():
    from transformers import BertConfig, EncoderDecoderConfig, EncoderDecoderModel

    torch.manual_seed(0)
    small = {"vocab_size": 40, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = EncoderDecoderConfig.from_encoder_decoder_configs(
        BertConfig(**small, hidden_size=16),
        BertConfig(**small, hidden_size=8, is_decoder=True, add_cross_attention=True),
    )
    model = EncoderDecoderModel(config=config).eval()
    assert isinstance(model.enc_to_dec_proj, nn.Linear)
    ids, mask = torch.arange(1, 13).reshape(2, 6), torch.tensor([[1] * 6, [1, 1, 0, 0, 0, 0]])
    told = torch.tensor([[1] * 6, [1, 1, 1, 1, 0, 0]])
    batch = {"input_ids": ids, "attention_mask": mask, "decoder_input_ids": ids, "decoder_attention_mask": told}
    alone = [
        {
            name: each[[row], : (mask if name in ("input_ids", "attention_mask") else told)[row].sum()]
            for name, each in batch.items()
        }
        for row in range(2)
    ]
    found, expected = scores(model, "wanda", [batch]), scores(model, "wanda", alone)
    assert any("crossattention" in name for name in found)
    for name, score in expected.items():
        torch.testing.assert_close(found[name], score, rtol=1e-4, atol=1e-5)


def test_padding_that_cannot_be_found_is_said():
    """A model that pads to a length of its own."""

    class Longer(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.blocks = nn.Embedding(40, 4), nn.ModuleList([nn.Linear(4, 4)])

        def forward(self, input_ids, attention_mask):
            return self.blocks[0](self.embedding(nn.functional.pad(input_ids, (0, 2))))

    with pytest.warns(
        UserWarning, match=r"inputs of shape \(3, 10, 4\) do not fit an attention_mask of shape \(3, 8\)"
    ):
        short_and_long(Longer())
