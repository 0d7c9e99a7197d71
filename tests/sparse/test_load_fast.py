"""A model that is loaded fast is the fast copy of the loaded model to the bit, and its dense matrices are not made."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.classifiers import BERT, TOKENS, classifier, same, sparse_layers
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import randprune_lab as rp
from randprune_lab.errors import ConfigError, FileError

FILE = "model.sparse.safetensors"


def saved(model: nn.Module, folder: Path, include: list[str] | None = None) -> rp.MaskSet:
    mask = rp.MaskSampler(model, rp.Magnitude(), sparsity=0.95, include=include).draw(0)
    mask.apply_(model)
    rp.save_sparse(model, mask, folder / FILE)
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    return mask


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> tuple[nn.Module, Path]:
    model, folder = classifier("bert"), tmp_path_factory.mktemp("bert")
    saved(model, folder)
    return model, folder


@pytest.mark.parametrize("name", ["bert", "roberta", "distilbert", "gpt2"])
def test_it_is_the_fast_copy_of_the_loaded_model_to_the_bit(name, tmp_path):
    model = classifier(name)
    quick = rp.fast(model, saved(model, tmp_path))
    loaded = rp.load_fast(tmp_path)
    assert same(loaded.state_dict(), quick.state_dict()) and str(loaded) == str(quick)
    assert not loaded.training and not any(parameter.requires_grad for parameter in loaded.parameters())
    assert len({*map(id, loaded.parameters())}) == len({*map(id, quick.parameters())})
    with torch.no_grad():
        assert torch.equal(loaded(TOKENS)[0], quick(TOKENS)[0])


class Sizes(TorchDispatchMode):
    """Records the sizes of all tensors of numbers in memory, except those that are made empty."""

    def __init__(self):
        super().__init__()
        self.found = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        numbers = isinstance(out, torch.Tensor) and out.is_floating_point() and out.device.type == "cpu"
        if numbers and function is not torch.ops.aten.empty.memory_format:
            self.found.add(out.numel())
        return out


def test_the_dense_matrices_are_never_made(bert):
    large = 384 * 1536
    with Sizes() as sizes:
        rp.load_fast(bert[1])
    assert sizes.found and large not in sizes.found
    with Sizes() as sizes:
        rp.load_sparse(bert[1] / FILE)
    assert large in sizes.found


def test_masked_weights_that_are_computed_dense_are_unpacked(tmp_path):
    model = classifier("bert")
    mask = saved(model, tmp_path, include=["*.query.weight", "*.pooler.*weight", "classifier.weight"])
    loaded = rp.load_fast(tmp_path)
    assert len(sparse_layers(loaded)) == 2 and len(mask) == 3
    with torch.no_grad():
        assert torch.equal(loaded(TOKENS)[0], rp.fast(model, mask)(TOKENS)[0])


def test_the_configuration_may_be_given_and_may_be_that_of_the_checkpoint(bert, tmp_path):
    """A classifier keeps the `architectures` of its checkpoint until it is saved."""
    model, mask = bert[0], rp.load_sparse(bert[1] / FILE).mask
    rp.save_sparse(model.state_dict(), mask, tmp_path / "file")
    for architectures in (["BertForSequenceClassification"], ["BertForMaskedLM"], None):
        model.config.architectures = architectures
        assert same(rp.load_fast(tmp_path / "file", model.config).state_dict(), model.state_dict())


@pytest.mark.parametrize("architectures", [None, ["BertForMaskedLM"]])
def test_the_class_is_that_of_the_saved_model(tmp_path, architectures):
    """The weights of this one have the names and shapes of those of a classifier of texts."""
    from transformers import ModernBertConfig, ModernBertForTokenClassification

    config = ModernBertConfig(
        vocab_size=40, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, pad_token_id=0
    )
    model = ModernBertForTokenClassification(config).eval()
    saved(model, tmp_path)
    config.architectures = architectures
    with pytest.warns(UserWarning, match="no layer of ModernBertForTokenClassification is computed sparse"):
        loaded = rp.load_fast(tmp_path / FILE, config)
    assert type(loaded) is type(model) and torch.equal(loaded(TOKENS % 40)[0], model(TOKENS % 40)[0])


def test_a_class_of_ones_own_is_refused(tmp_path):
    class Own(type(classifier("bert"))):
        pass

    model = Own(classifier("bert").config)
    saved(model, tmp_path)
    with pytest.raises(ConfigError, match=r"weights of a Own, which is no model of transformers .* rp.load_sparse"):
        rp.load_fast(tmp_path)


def test_half_precision_is_loaded_in_float32(tmp_path):
    model = classifier("bert").bfloat16()
    saved(model, tmp_path)
    assert same(rp.load_fast(tmp_path).state_dict(), model.float().state_dict())


def test_the_model_does_not_depend_on_the_file(bert, tmp_path):
    for file in bert[1].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    loaded = rp.load_fast(tmp_path)
    with (tmp_path / FILE).open("r+b") as file:
        file.write(bytes((tmp_path / FILE).stat().st_size))
    assert same(loaded.state_dict(), bert[0].state_dict())


# --- what is refused ---


def test_a_folder_without_a_sparse_file_is_refused(tmp_path):
    with pytest.raises(FileError, match=r"no sparse file at .*export --format sparse"):
        rp.load_fast(tmp_path)


def test_a_file_without_a_configuration_is_refused(bert, tmp_path):
    (tmp_path / "file").write_bytes((bert[1] / FILE).read_bytes())
    with pytest.raises(FileError, match=r"no config.json in .*load_fast\(file, model.config\)"):
        rp.load_fast(tmp_path / "file")


def test_weights_of_another_model_are_refused_by_name(bert):
    import transformers

    for change, message in (
        ({"num_hidden_layers": 2}, r"'bert.encoder.layer.1.*file has none of this name, the model shape"),
        ({"intermediate_size": 768}, r"file has shape \(1536,\), the model shape \(768,\)"),
    ):
        config = transformers.BertConfig(**(BERT | {"intermediate_size": 1536} | change))
        with pytest.raises(FileError, match=f"are not those of BertForSequenceClassification, such as .*{message}"):
            rp.load_fast(bert[1] / FILE, config)


def test_a_configuration_without_a_class_is_refused(bert, tmp_path):
    import transformers

    config = transformers.CLIPVisionConfig(architectures=["os"])
    with pytest.raises(ConfigError, match=r"weights of a BertForSeq.*which is no model .* with a CLIPVisionConfig"):
        rp.load_fast(bert[1] / FILE, config)
    content = rp.load_sparse(bert[1] / FILE)
    rp.save_sparse(content.weights, content.mask, tmp_path / "weights")
    with pytest.raises(ConfigError, match=r"must name a model class .*got \['os'\] for a CLIPVisionConfig"):
        rp.load_fast(tmp_path / "weights", config)


def test_a_damaged_configuration_is_refused(bert, tmp_path):
    (tmp_path / FILE).write_bytes((bert[1] / FILE).read_bytes())
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(FileError, match=r"cannot read .*config\.json"):
        rp.load_fast(tmp_path)


def test_a_tied_weight_that_is_two_in_the_file_is_refused(tmp_path):
    model = classifier("gpt2")
    saved(model, tmp_path)
    weights = rp.load_sparse(tmp_path / FILE)
    apart = {name: weight.clone() for name, weight in weights.weights.items()}
    rp.save_sparse(apart, weights.mask, tmp_path / FILE)
    with pytest.raises(FileError, match=r"lm_head.weight.* are one tied weight of GPT2LMHeadModel, but 2 weights"):
        rp.load_fast(tmp_path)
