"""Whole searches with other models than a local BERT: a GPT-2, and the tiny model on generated sentences."""

from __future__ import annotations

import dataclasses

import pytest
import torch

import randprune_lab as rp
from randprune_lab.cli import main
from randprune_lab.errors import ConfigError, RandpruneError, ScopeError


@pytest.fixture(scope="module")
def gpt2(tiny_model, tmp_path_factory) -> str:
    """The folder of a GPT-2 with random weights and the words of the tiny task; its tokenizer has no pad token."""
    from transformers import AutoTokenizer, GPT2Config, GPT2Model, PreTrainedTokenizerFast

    words = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words.backend_tokenizer, unk_token="[UNK]", eos_token="[SEP]")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        shape = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 32}
        model = GPT2Model(GPT2Config(vocab_size=len(words), bos_token_id=3, eos_token_id=3, **shape))
    path = tmp_path_factory.mktemp("gpt2")
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return str(path)


def test_a_search_prunes_a_gpt2(config, gpt2, tmp_path):
    short = dataclasses.replace(config, model=gpt2, candidates=2, baselines=("imp",), dense_epochs=8)
    record = rp.RunRecord.load(rp.run(short, tmp_path / "run", progress=False))
    assert record.accuracy("dense").estimate > 0.9
    for level, sparsity in enumerate(short.levels, start=1):
        mask = rp.MaskSet.load(record.path / "masks" / f"search-level-{level}.safetensors")
        kinds = {name.split(".", 3)[-1] for name in mask}
        assert kinds == {"attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight"}
        assert all(m.numel() - int(m.sum()) == round(sparsity * m.numel()) for m in mask.values())
    again, words = rp.load_model(str(record.path / "model"), num_labels=2)
    assert again.config.pad_token_id == words.pad_token_id is not None
    assert not again.get_parameter(name := next(iter(mask)))[~mask[name]].any()


@pytest.fixture(scope="module")
def lesson() -> rp.RunConfig:
    """The settings of the preset "lesson", much shortened."""
    return rp.RunConfig.preset(
        "lesson", train_size=320, validation_size=100, levels=(0.9,), candidates=2, dense_epochs=2
    )


def test_a_repeated_search_has_the_same_numbers(lesson, tmp_path):
    first, second = (
        rp.RunRecord.load(rp.run(lesson, tmp_path / name, progress=False)).summary() for name in ("a", "b")
    )
    assert first | {"run": None} == second | {"run": None}


def test_patterns_choose_the_weights_of_every_method(lesson, tmp_path, capsys):
    scope = {"include": ("*.attention.*.weight",), "exclude": ("*.LayerNorm.*", "*.0.*")}
    path = rp.run(dataclasses.replace(lesson, **scope), tmp_path / "run", progress=False)
    masks = {file.stem: rp.MaskSet.load(file) for file in (path / "masks").iterdir()}
    assert masks.keys() == {f"{method}-level-1" for method in ("search", "imp", "uniform")}
    kinds = ("self.query", "self.key", "self.value", "output.dense")
    for mask in masks.values():
        assert set(mask) == {f"bert.encoder.layer.1.attention.{kind}.weight" for kind in kinds}
    assert rp.RunRecord.load(path).config.include == scope["include"]
    assert main(["show", str(path)]) == 0
    assert "pruned     *.attention.*.weight, except *.LayerNorm.* *.0.*\n" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["include", "exclude"])
def test_a_pattern_that_matches_nothing_is_refused_before_training(lesson, tmp_path, option, capsys):
    pattern = "bert.encoder.layer.0.atention.self.query.weight"
    with pytest.raises(ScopeError, match=r"pattern 'bert\..*' matches no parameter; names look like 'bert\.encoder"):
        rp.run(dataclasses.replace(lesson, **{option: (pattern,)}), tmp_path / "run", progress=False)
    out = str(tmp_path / "run")
    assert main(["run", "--preset", "lesson", f"--{option}", "*.queri.*", pattern, "--out", out]) == 2
    assert "pattern '*.queri.*' matches no parameter" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"structure": "99x99"}, "cannot be divided into blocks of 99 x 99"),
        ({"early_strategy": "halving", "early_budget": 1e-6}, "gives each of 4 candidates 0 steps"),
        ({"early_strategy": "halving", "early_budget": 1e-6, "screen": 6}, "gives each of 4 candidates 0 steps"),
    ],
)
def test_masks_and_budgets_that_do_not_fit_are_refused_before_training(lesson, tmp_path, settings, message):
    with pytest.raises(RandpruneError, match=message):
        rp.run(dataclasses.replace(lesson, candidates=4, **settings), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("model", "text", "hint"),
    [("tiny", "the film", "such as tiny-minilm or minilm"), ("tiny-minilm", "ᚠᚢᚦ", "by its hub id or folder")],
)
def test_a_model_that_does_not_know_the_tokens_is_refused(tmp_path, model, text, hint):
    (tmp_path / "d.csv").write_text("text,label\n" + "".join(f"{text * (i + 1)},{i % 2}\n" for i in range(20)))
    config = rp.RunConfig(data=str(tmp_path / "d.csv"), model=model)
    with pytest.raises(
        ConfigError, match=rf"'{model}' does not know \d+% of the tokens of .*; choose a model .* {hint}"
    ):
        rp.run(config, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_a_model_without_an_embedding_for_a_token_is_refused(gpt2, tmp_path):
    model, tokenizer = rp.load_model(gpt2, num_labels=2)
    tokenizer.add_tokens([f"word{i}" for i in range(9)])
    for part in (model, tokenizer):
        part.save_pretrained(tmp_path / "model")
    (tmp_path / "d.csv").write_text("text,label\n" + "".join(f"word{i % 9} film {i},{i % 2}\n" for i in range(20)))
    own = rp.RunConfig(data=str(tmp_path / "d.csv"), model=str(tmp_path / "model"))
    with pytest.raises(ConfigError, match=r"gives input_ids up to \d+, but the model has \d+ embeddings"):
        rp.run(own, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()
