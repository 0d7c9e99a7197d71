"""`rp.shrink` cuts removed heads and neurons out: the smaller model computes what the masked model computes."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
from support.pages import ROOT, blocks
from support.small_transformers import ARCHITECTURES, transformer
from torch import Tensor, nn

import randprune_lab as rp
from randprune_lab.errors import MaskError, ScopeError

TOKENS = torch.randint(5, 40, (2, 7), generator=torch.Generator().manual_seed(1))
SHARED = ("t5", "gated t5")  # they share a position bias among the heads of all layers


def outputs(model: nn.Module) -> Tensor:
    given = {"decoder_input_ids": TOKENS} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        return model(input_ids=TOKENS, **given)[0]


def drawn(model: nn.Module, structure: str, sparsity: float = 0.5) -> rp.MaskSet:
    return rp.MaskSampler(model, rp.Voting(), sparsity, structure=structure).draw(0)


def quietly_shrunk(model: nn.Module, mask: rp.MaskSet | None) -> nn.Module:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="transformers cannot load")
        return rp.shrink(model, mask)


def size(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("sparsity", [0.5, 0.97])
@pytest.mark.parametrize("structure", ["heads", "neurons"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_smaller_model_computes_what_the_masked_model_computes(name: str, structure: str, sparsity: float) -> None:
    """Biases are large here: those of removed neurons are gone, since the masked model multiplies them by zeros.

    At 97 % all units of a module are removed, and one of them stays, with weights of zero.
    """
    model = transformer(name)
    mask, masked, before = drawn(model, structure, sparsity), copy.deepcopy(model), outputs(model)
    mask.apply_(masked)
    if structure == "heads" and name in SHARED:
        with pytest.raises(
            MaskError, match="something else in it depends on them, such as a position bias of each head"
        ):
            rp.shrink(model, mask)
        return
    for small in (quietly_shrunk(model, mask), quietly_shrunk(masked, None)):
        assert torch.allclose(outputs(small), outputs(masked), atol=1e-5, rtol=1e-5)
        removed = mask.size - mask.kept
        assert size(model) - size(small) >= removed * 0.5 and not small.training
    assert torch.equal(outputs(model), before), "the model is left as it is"
    small = quietly_shrunk(model, mask).train()
    (outputs(small).sum() * 0 + sum(parameter.sum() for parameter in small.parameters())).backward()
    assert all(parameter.grad is not None for parameter in small.parameters())


@pytest.mark.parametrize(
    ("name", "structure", "loads"),
    [
        *((name, "neurons", True) for name in ARCHITECTURES),
        ("llama", "heads", True),
        ("bert", "heads", False),
        ("gpt2", "heads", False),
    ],
)
def test_transformers_loads_it_where_its_configuration_can_say_the_sizes(name, structure, loads, tmp_path) -> None:
    model = transformer(name)
    if not loads:
        with pytest.warns(UserWarning, match="cannot load this .* configuration has no width of a head"):
            rp.shrink(model, drawn(model, structure))
        return
    small = rp.shrink(model, drawn(model, structure))
    small.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path).eval()
    assert torch.equal(outputs(again), outputs(small)) and size(again) == size(small) < size(model)


def test_a_configuration_that_has_experts_too_is_left_as_it_is() -> None:
    """Jamba has one width for its dense layers and for its experts."""
    from transformers import JambaConfig, JambaForCausalLM

    config = JambaConfig(
        vocab_size=50, hidden_size=16, intermediate_size=12, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, attn_layer_period=1, attn_layer_offset=0, expert_layer_period=2, expert_layer_offset=1,
        num_experts=2, use_mamba_kernels=False, pad_token_id=0,
    )  # fmt: skip
    model = JambaForCausalLM(config).eval()
    with pytest.warns(UserWarning, match="one number of neurons for these and for those of experts"):
        small = rp.shrink(model, drawn(model, "neurons"))
    assert small.config.intermediate_size == 12


def test_layers_of_different_widths_are_cut_with_a_warning() -> None:
    model = transformer("bert")
    counts = {"bert.encoder.layer.0": 9, "bert.encoder.layer.1": 3}
    mask = rp.MaskSampler(model, rp.Voting(), 0.5, structure="neurons", allocation=counts).draw(0)
    with pytest.warns(UserWarning, match=r"cannot load this BertFor.*: its layers have different numbers .*\(3, 9\)"):
        small = rp.shrink(model, mask)
    mask.apply_(model)
    assert torch.allclose(outputs(small), outputs(model), atol=1e-5)
    one = rp.MaskSampler(model, rp.Voting(), 0.75, structure="neurons", exclude=["*layer.1.*"])
    with pytest.warns(UserWarning, match=r"different numbers of neurons \(3, 12\)"):
        rp.shrink(transformer("bert"), one.draw(0))


def test_heads_and_neurons_can_go_together_with_single_weights() -> None:
    model = transformer("llama")
    drawn(model, "heads").apply_(model)
    drawn(model, "neurons").apply_(model)
    single = rp.MaskSampler(model, rp.Voting(), 0.9).draw(0)
    small = rp.shrink(model, single)
    single.apply_(model)
    assert torch.allclose(outputs(small), outputs(model), atol=1e-5)
    assert small.config.num_attention_heads == 2 and small.config.intermediate_size == 6


def test_the_example_of_the_docs_runs(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = {"rp": rp, "model": transformer("bert")}
    exec(compile(blocks(ROOT / "docs/fast.md", "python")[-1], "docs/fast.md", "exec"), names)
    assert size(type(names["model"]).from_pretrained("small")) < size(names["model"])


def test_a_mask_without_whole_units_is_refused() -> None:
    model = transformer("bert")
    with pytest.raises(
        MaskError, match=r"no whole head or neuron of BertFor.*draw it with MaskSampler\(..., structure='heads'"
    ):
        rp.shrink(model, rp.MaskSampler(model, rp.Voting(), 0.5).draw(0))
    with pytest.raises(MaskError, match="has no counterpart"):
        rp.shrink(model, {"other": torch.zeros(3, dtype=torch.bool)})
    with pytest.raises(ScopeError):
        rp.shrink(model)


class Mlp(nn.Module):
    """A block with two layers, and perhaps a norm over the neurons between them."""

    def __init__(self, norm: bool):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(6, 8), nn.Linear(8, 6)
        self.norm = nn.LayerNorm(8) if norm else nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.norm(self.fc1(x).relu()))


class Net(nn.Module):
    def __init__(self, norm: bool):
        super().__init__()
        self.blocks = nn.ModuleList([Mlp(norm)])

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks[0](x)


class Named(Net):
    """The same with several outputs, the last of which depends on the blocks."""

    def forward(self, x: Tensor) -> dict[str, Tensor | list[Tensor]]:
        return {"mean": x.mean(), "all": [x, super().forward(x)]}


def test_a_model_without_an_example_of_its_own_takes_one_or_is_not_checked() -> None:
    model, x = Net(norm=False), torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
    model.blocks[0].norm.eval()  # the rest is in training
    mask = drawn(model, "neurons")
    small = rp.shrink(model, mask, example={"x": x})
    mask.apply_(model)
    assert torch.allclose(small(x), model(x), atol=1e-6)
    assert small.training and small.blocks[0].training and not small.blocks[0].norm.training
    with pytest.warns(UserWarning, match=r"copy of Net was not compared .* give some: shrink\(model, mask, example="):
        rp.shrink(model, mask)
    with pytest.raises(MaskError, match="Net cannot compute the example, which has y; give other inputs"):
        rp.shrink(model, mask, example={"y": x})
    for normed in (Net(norm=True), Named(norm=True)):
        with pytest.raises(MaskError, match="cannot compute without the removed units"):
            rp.shrink(normed, drawn(normed, "neurons"), example={"x": x})


@pytest.mark.parametrize(("structure", "works"), [("heads", False), ("neurons", True)])
def test_a_model_of_images_is_compared_for_an_image(structure: str, works: bool) -> None:
    """Swin has a position bias for each head."""
    from transformers import SwinConfig, SwinForImageClassification

    sizes = {"image_size": 32, "patch_size": 4, "embed_dim": 16, "depths": [1], "num_heads": [2], "window_size": 4}
    model = SwinForImageClassification(SwinConfig(**sizes)).eval()
    mask = drawn(model, structure)
    if not works:
        with pytest.raises(MaskError, match="a position bias of each head"):
            rp.shrink(model, mask)
        return
    small = quietly_shrunk(model, mask)
    mask.apply_(model)
    image = torch.rand(2, 3, 32, 32)
    assert torch.allclose(small(image)[0], model(image)[0], atol=1e-5)
