"""A fast copy computes what the pruned model computes, in every architecture, and refuses what it cannot do."""

from __future__ import annotations

import copy
import io
import subprocess
import sys

import pytest
import torch
from support.classifiers import TOKENS, classifier, same, sparse_layers
from support.pages import ROOT, blocks
from torch import nn

import randprune_lab as rp
from randprune_lab.errors import MaskError, ScopeError, WeightError
from randprune_lab.sparse import SparseLinear, product
from randprune_lab.sparse.product import FeatureMajor


def pruned(model: nn.Module, sparsity: float = 0.95) -> nn.Module:
    rp.MaskSampler(model, rp.Magnitude(), sparsity=sparsity).draw(0).apply_(model)
    return model


@pytest.fixture(params=["bert", "roberta", "distilbert", "gpt2"])
def model(request) -> nn.Module:
    return pruned(classifier(request.param))


@pytest.fixture
def bert() -> nn.Module:
    return pruned(classifier("bert"))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode], ids=["no_grad", "inference_mode"])
def test_the_copy_computes_the_same_and_the_model_is_left_as_it_is(model, mode):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    classes = [type(module) for module in model.modules()]
    quick = rp.fast(model)
    assert len(sparse_layers(quick)) == len(rp.mask_from_zeros(model))
    with mode():
        assert torch.allclose(quick(TOKENS)[0], model(TOKENS)[0], atol=1e-4)
        assert torch.allclose(quick(TOKENS[:1, :1])[0], model(TOKENS[:1, :1])[0], atol=1e-4)
    assert same(model.state_dict(), before) and [type(module) for module in model.modules()] == classes


def test_the_state_has_plain_names_shapes_and_bits(model):
    assert same(rp.fast(model).state_dict(), model.state_dict())


def test_the_packaged_minilm_computes_the_same():
    model = pruned(rp.load_model("minilm", num_labels=2, layers=1)[0])
    with torch.no_grad():
        assert torch.allclose(rp.fast(model)(TOKENS)[0], model(TOKENS)[0], atol=1e-4)


def test_the_examples_of_the_page_compute_the_same(bert, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bert.config.architectures = ["BertForSequenceClassification"]
    bert.config.save_pretrained("exported")
    for file in ("exported/model.sparse.safetensors", "model.sparse.safetensors"):
        rp.save_sparse(bert, rp.mask_from_zeros(bert), file)
    names = {"rp": rp, "model": bert, "batch": {"input_ids": TOKENS}}
    with torch.no_grad():
        for example in blocks(ROOT / "docs" / "fast.md", "python"):
            exec(example, names)
        assert torch.allclose(names["logits"], bert(TOKENS).logits, atol=1e-4)
        assert torch.equal(names["quick"](TOKENS).logits, names["logits"])


def test_copies_and_pickles_compute_the_same(bert):
    quick, file = rp.fast(bert), io.BytesIO()
    torch.save(quick, file)
    file.seek(0)
    for other in (copy.deepcopy(quick), torch.load(file, weights_only=False)):
        assert len({id(layer.form) for layer in sparse_layers(other)}) == 4  # one for query, key and value
        with torch.no_grad():
            assert torch.equal(other(TOKENS)[0], quick(TOKENS)[0])


def test_a_copy_that_was_converted_or_that_ran_in_inference_mode_computes_the_same(bert):
    quick = rp.fast(bert)
    with torch.inference_mode():
        expected = quick(TOKENS).logits
    x = torch.randn(2, 7, 384, requires_grad=True)
    quick(inputs_embeds=x).logits.sum().backward()
    with torch.no_grad():
        assert x.grad is not None and torch.equal(quick(TOKENS).logits, expected)
        rounded = quick.bfloat16().float()(TOKENS).logits
        assert torch.allclose(rounded, bert.bfloat16().float()(TOKENS).logits, atol=1e-6)


def test_a_layer_keeps_its_values_once():
    layer = SparseLinear((384, 384), torch.arange(0, 384 * 384, 97), torch.ones(1521), None)
    layer(torch.ones(1, 384))
    assert layer.weight.values().data_ptr() == layer.values.data_ptr()
    other = copy.deepcopy(layer)
    other.values.zero_()
    assert other(torch.ones(1, 384)).eq(0).all() and layer(torch.ones(1, 384)).ne(0).any()


def test_gpt2_generates_the_same():
    model = pruned(classifier("gpt2"))
    words = [one.generate(TOKENS, max_new_tokens=4, do_sample=False) for one in (model, rp.fast(model))]
    assert torch.equal(*words)


def test_an_input_that_changed_is_read_again():
    form, x = FeatureMajor(), torch.ones(2, 3)
    first = form(x, "query")
    assert form(x, "key") is first and form(x, "query") is first
    x += 1
    assert torch.equal(form(x, "key"), x.T)


def test_in_inference_mode_a_layer_that_comes_again_reads_its_input_again():
    with torch.inference_mode():
        form, x = FeatureMajor(), torch.ones(2, 3)
        first = form(x, "query")
        assert form(x, "key") is first
        x += 1
        assert torch.equal(form(x, "query"), x.T) and torch.equal(form(x, "key"), x.T)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode], ids=["no_grad", "inference_mode"])
def test_query_key_and_value_share_one_reordered_input(bert, mode, monkeypatch):
    reordered = []
    monkeypatch.setattr(
        product, "feature_major", lambda x: reordered.append(x) or x.reshape(-1, x.shape[-1]).T.contiguous()
    )
    with mode():
        rp.fast(bert)(TOKENS)
    assert len(reordered) == 4  # that of query, key and value, of the output of attention, and of both feed-forwards


def test_experts_in_a_list_that_take_a_buffer_in_turn_read_it_again():
    torch.manual_seed(0)
    model = pruned(nn.ModuleList([nn.ModuleList([nn.Linear(384, 384) for _ in range(2)]), nn.Linear(8, 8)]).eval())
    quick = rp.fast(model)
    with torch.inference_mode():
        x = torch.randn(4, 384)
        for quick_one, one in zip(quick[0], model[0], strict=True):
            assert torch.allclose(quick_one(x), one(x), atol=1e-4)
            x.mul_(2)


# --- what stays dense ---


def test_a_tied_weight_stays_dense():
    model = nn.ModuleList([nn.Linear(384, 384), nn.Linear(384, 384)])
    model[1].weight = model[0].weight
    with torch.no_grad():
        model[0].weight[:380] = 0
    with pytest.warns(UserWarning, match="used by other modules"):
        quick = rp.fast(model, {"0.weight": model[0].weight != 0})
    assert quick[0].weight is quick[1].weight


def test_layers_of_low_sparsity_stay_dense_with_a_warning():
    with pytest.warns(
        UserWarning, match="73,728 of 147,456 weights; sparse products pay up to 14,746, a sparsity of 90%"
    ):
        assert sparse_layers(rp.fast(pruned(classifier("bert"), 0.5))) == []


def test_half_precision_stays_dense_with_a_warning(bert):
    with pytest.warns(UserWarning, match="bfloat16; sparse products need float32"):
        assert sparse_layers(rp.fast(bert.bfloat16())) == []


def own_forward(layer: nn.Module) -> None:
    """Wrap the forward of one layer, as accelerate does."""
    before = layer.forward
    layer.forward = lambda x: 2 * before(x)


@pytest.mark.parametrize(
    "change",
    [
        lambda layer: layer.register_forward_hook(lambda _layer, _inputs, out: 2 * out),
        lambda layer: layer.register_forward_pre_hook(lambda _layer, inputs: (2 * inputs[0],)),
        lambda layer: layer.register_full_backward_hook(lambda *_: None),
        lambda layer: layer.register_full_backward_pre_hook(lambda *_: None),
        own_forward,
    ],
    ids=["forward hook", "forward pre-hook", "backward hook", "backward pre-hook", "its own forward"],
)
def test_layers_that_compute_something_else_stay_dense(bert, change):
    layers = len(sparse_layers(rp.fast(bert)))
    change(bert.bert.encoder.layer[0].output.dense)
    quick = rp.fast(bert)
    assert len(sparse_layers(quick)) == layers - 1
    with torch.no_grad():
        assert torch.allclose(quick(TOKENS).logits, bert(TOKENS).logits, atol=1e-4)


def test_the_layers_whose_weights_pytorch_reads_itself_stay_dense():
    torch.manual_seed(0)
    model = nn.ModuleList([nn.TransformerEncoderLayer(384, 6, 384, batch_first=True), nn.Linear(384, 384)]).eval()
    quick, x = rp.fast(pruned(model, 0.99)), torch.randn(2, 5, 384)
    with torch.no_grad():
        assert torch.allclose(quick[0](x), model[0](x), atol=1e-4)
    assert len(sparse_layers(quick)) == 1


def test_a_weight_that_mamba_computes_with_itself_stays_dense():
    from transformers import MambaConfig, MambaForCausalLM

    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "num_hidden_layers": 1, "state_size": 4, "pad_token_id": 0, "eos_token_id": 1}
    model = pruned(MambaForCausalLM(MambaConfig(hidden_size=512, time_step_rank=128, **sizes)).eval(), 0.99)
    quick = rp.fast(model)
    assert {type(quick.backbone.layers[0].mixer.dt_proj), type(quick.backbone.layers[0].mixer.in_proj)} == {
        nn.Linear,
        SparseLinear,
    }
    with torch.no_grad():
        assert torch.allclose(quick(TOKENS % 40).logits, model(TOKENS % 40).logits, atol=1e-4)


class Shared(nn.Module):
    """One layer that is called twice, under two names."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(384, 384)
        self.second = self.first

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x))


def test_a_layer_that_has_two_names_is_sparse_under_both():
    torch.manual_seed(0)
    model, x = Shared().eval(), torch.randn(5, 384)
    mask = rp.MaskSampler(model, rp.Magnitude(), 0.99, include=["first.weight"]).draw(0)
    mask.apply_(model)
    quick = rp.fast(model, mask)
    assert quick.first is quick.second and isinstance(quick.first, SparseLinear)
    with torch.no_grad():
        assert torch.allclose(quick(x), model(x), atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (nn.Embedding(600, 300), torch.arange(9)),
        (nn.Conv1d(384, 384, 1), torch.ones(2, 384, 5)),
        (nn.Bilinear(60, 60, 60), torch.ones(4, 60)),
    ],
    ids=["embedding", "convolution", "bilinear"],
)
def test_layers_that_are_not_linear_stay_dense(layer, x):
    model = nn.ModuleDict({"layer": layer})
    with torch.no_grad():
        layer.weight[1:] = 0
    with pytest.warns(UserWarning, match="is not the weight of a plain nn.Linear or Conv1D without hooks or a forward"):
        quick = rp.fast(model, {"layer.weight": layer.weight != 0})
    inputs = (x, x) if isinstance(layer, nn.Bilinear) else (x,)
    assert torch.equal(quick["layer"](*inputs), layer(*inputs))


def test_attention_of_pytorch_stays_dense():
    torch.manual_seed(0)
    model, x = nn.ModuleList([nn.MultiheadAttention(384, 6, batch_first=True)]).eval(), torch.randn(2, 5, 384)
    with pytest.warns(UserWarning, match="no layer of ModuleList is computed sparse"):
        quick = rp.fast(pruned(model, 0.99))
    assert torch.equal(quick[0](x, x, x)[0], model[0](x, x, x)[0])


# --- structured masks, wrappers ---


@pytest.mark.parametrize("axis", [0, 1], ids=["outputs", "inputs"])
def test_whole_rows_and_columns_may_be_removed(axis):
    torch.manual_seed(0)
    model, x = nn.ModuleList([nn.Linear(384, 384)]), torch.randn(5, 384)
    kept = torch.zeros(384, 384, dtype=torch.bool)
    kept.select(axis, 7).fill_(True)
    rp.MaskSet({"0.weight": kept}).apply_(model)
    (quick,) = rp.fast(model)
    assert isinstance(quick, SparseLinear)
    with torch.no_grad():
        assert torch.allclose(quick(x), model[0](x), atol=1e-5)


def test_n_of_m_masks_are_computed_dense_at_their_sparsity():
    model = classifier("bert")
    rp.MaskSampler(model, rp.Magnitude(), None, structure="2:4").draw(0).apply_(model)
    with pytest.warns(UserWarning, match=r"keeps 73,728 of 147,456 weights"):
        quick = rp.fast(model)
    assert torch.equal(quick(TOKENS).logits, model(TOKENS).logits)


def test_torch_compile_around_the_copy_computes_the_same_and_inside_it_is_taken_off():
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(384, 384)), torch.randn(5, 384)
    mask = rp.MaskSampler(model, rp.Magnitude(), 0.99, include=["0.weight"]).draw(0)
    mask.apply_(model)
    quick = rp.fast(torch.compile(model, backend="eager"), mask)
    assert type(quick) is nn.Sequential and isinstance(quick[0], SparseLinear)
    with torch.no_grad():
        assert torch.allclose(torch.compile(quick, backend="eager")(x), model(x), atol=1e-5)


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_one_token_is_the_product_of_a_vector(bias):
    torch.manual_seed(0)
    dense, places = nn.Linear(384, 512, bias=bias), torch.arange(0, 384 * 512, 97)
    with torch.no_grad():
        values = dense.weight.reshape(-1)[places].clone()
        dense.weight.zero_().view(-1)[places] = values
    layer, x = SparseLinear((512, 384), places, values, dense.bias), torch.randn(1, 3, 384)
    for tokens in (x, x[:, :1], x[0, 0]):
        with torch.no_grad():
            assert torch.allclose(layer(tokens), dense(tokens), atol=1e-5) and layer(tokens).is_contiguous()


@pytest.mark.parametrize("shape", [(2, 7, 384), (1, 1, 384)], ids=["tokens", "one token"])
def test_gradients_reach_the_inputs(bert, shape):
    x = torch.randn(shape, requires_grad=True)
    found, expected = (torch.autograd.grad(one(inputs_embeds=x).logits.sum(), x)[0] for one in (rp.fast(bert), bert))
    assert torch.allclose(found, expected, atol=1e-6)


# --- what is refused ---


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda mask: {f"{name}x": kept for name, kept in mask.items()}, "has no counterpart in Bert"),
        (lambda mask: {name: kept[:5] for name, kept in mask.items()}, r"has shape \(5, 384\), but in Bert"),
        (lambda mask: {name: torch.ones_like(kept) for name, kept in mask.items()}, "removes none of"),
    ],
    ids=["name", "shape", "keeps all"],
)
def test_masks_that_do_not_fit_are_refused(bert, change, message):
    with pytest.raises(MaskError, match=message):
        rp.fast(bert, change(rp.mask_from_zeros(bert)))


def test_a_model_without_zeros_is_refused():
    with pytest.raises(ScopeError, match=r"BertForSequenceClassification has no zeros.*mask.apply_\(model\)"):
        rp.fast(classifier("bert"))


def test_a_fast_copy_is_refused(bert):
    with pytest.raises(ScopeError, match="BertForSequenceClassification is a fast copy already"):
        rp.fast(rp.fast(bert))


@pytest.mark.parametrize(
    ("places", "values"),
    [([5, 1], 2), ([3, 3], 2), ([-1, 4], 2), ([4, 384 * 512], 2), ([1, 2, 3], 2)],
    ids=["order", "twice", "below 0", "outside", "a value short"],
)
def test_places_that_are_not_those_of_the_values_are_refused(places, values):
    with pytest.raises(WeightError, match=r"each of 2 values needs a place from 0 to 196,607 in a weight of shape"):
        SparseLinear((512, 384), torch.tensor(places), torch.ones(values), None)


def test_indices_without_values_are_refused(bert):
    """`to_empty` leaves memory as it is; products with such indices would read outside of the matrix."""
    layer = sparse_layers(rp.fast(bert))[0].to("meta")
    assert layer.state_dict()["weight"].shape == (384, 384)
    layer.to_empty(device="cpu").col.fill_(10**6)
    with pytest.raises(RuntimeError, match="col_indices"):
        layer(torch.ones(2, 384))


def test_a_mask_that_removes_weights_that_are_not_zero_is_refused():
    model = classifier("bert")
    mask = rp.MaskSampler(model, rp.Magnitude(), sparsity=0.95).draw(0)
    with pytest.raises(MaskError, match="zero them first"):
        rp.fast(model, mask)


def test_a_model_that_is_not_on_the_cpu_is_refused(bert):
    with pytest.raises(WeightError, match=r"device 'meta'.*model.cpu\(\)"):
        rp.fast(bert.to("meta"))


def test_a_copy_in_half_precision_refuses_to_compute(bert):
    with pytest.raises(WeightError, match="sparse layers compute in float32"):
        rp.fast(bert).bfloat16()(TOKENS)


def test_loading_into_a_copy_is_refused(bert):
    with pytest.raises(WeightError, match="load them into the dense model"):
        rp.fast(bert).load_state_dict(bert.state_dict())


def test_a_copy_cannot_be_trained(bert):
    quick = rp.fast(bert)
    assert not quick.training and not any(parameter.requires_grad for parameter in quick.parameters())


def test_a_first_sparse_layer_does_not_warn_of_pytorchs_beta():
    """In a process of its own: PyTorch says it once."""
    script = (
        "import torch, warnings, randprune_lab as rp\n"
        "warnings.simplefilter('error')\n"
        "model = torch.nn.Sequential(torch.nn.Linear(512, 512), torch.nn.Linear(512, 2))\n"
        "mask = rp.MaskSampler(model, rp.Magnitude(), 0.99, include=['0.weight']).draw(0)\n"
        "mask.apply_(model)\n"
        "rp.fast(model, mask)(torch.ones(4, 512))\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
