"""A fast copy computes what the pruned model computes, in every architecture, and refuses what it cannot do."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from support.classifiers import TOKENS, classifier, same, sparse_layers
from support.pages import ROOT, blocks
from torch import nn

import randprune_lab as rp
from randprune_lab.errors import MaskError, ScopeError, WeightError
from randprune_lab.sparse import product
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
    with pytest.warns(UserWarning, match="tied weight"):
        quick = rp.fast(model, {"0.weight": model[0].weight != 0})
    assert quick[0].weight is quick[1].weight


def test_layers_of_low_sparsity_stay_dense_with_a_warning():
    with pytest.warns(UserWarning, match=r"sparsity of 50.00%; sparse products pay from 90%"):
        assert sparse_layers(rp.fast(pruned(classifier("bert"), 0.5))) == []


def test_half_precision_stays_dense_with_a_warning(bert):
    with pytest.warns(UserWarning, match="bfloat16; sparse products need float32"):
        assert sparse_layers(rp.fast(bert.bfloat16())) == []


def test_layers_with_hooks_stay_dense(bert):
    hooked = bert.bert.encoder.layer[0].output.dense
    hooked.register_forward_hook(lambda *_: None)
    assert len(sparse_layers(rp.fast(bert))) == len(sparse_layers(rp.fast(pruned(classifier("bert"))))) - 1


def test_the_layers_whose_weights_pytorch_reads_itself_stay_dense():
    torch.manual_seed(0)
    model = nn.ModuleList([nn.TransformerEncoderLayer(384, 6, 384, batch_first=True), nn.Linear(384, 384)]).eval()
    quick, x = rp.fast(pruned(model, 0.99)), torch.randn(2, 5, 384)
    with torch.no_grad():
        assert torch.allclose(quick[0](x), model[0](x), atol=1e-4)
    assert len(sparse_layers(quick)) == 1


# --- what is refused ---


def test_a_model_without_zeros_is_refused():
    with pytest.raises(ScopeError, match=r"BertForSequenceClassification has no zeros.*mask.apply_\(model\)"):
        rp.fast(classifier("bert"))


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
