"""A tiny model and a tiny task in files: small enough that a whole search takes seconds."""

from __future__ import annotations

import dataclasses
import gc
import os
from collections.abc import Callable, Generator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from support.order import SLOW

import randprune_lab as rp
from randprune_lab.tasks import load_splits

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a name that is not to be had fails at once
# Tiny arrays: a second thread costs more than it brings. NumPy reads this when a worker of pytest-xdist starts.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
torch.set_num_threads(1)

settings.register_profile("same", deadline=None, derandomize=True)  # a run of the tests tries what every run tries
settings.register_profile("other", deadline=None, print_blob=True)  # each run tries something else: see `make fuzz`
settings.load_profile("same")

GOOD = ("good", "fine", "superb", "moving")
BAD = ("bad", "dull", "awful", "empty")
FILLERS = ("the", "film", "is", "a", "story", "and", "plot", "with", "cast", "scenes", "very", "rather")


def pytest_configure(config: pytest.Config) -> None:
    config.option.loadscopereorder = False  # pytest-xdist would begin with the files that have most tests


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """The garbage collector skips what is imported for the tests: the Trainer starts it before every training."""
    gc.disable()
    result = yield
    gc.collect()
    gc.freeze()
    gc.enable()
    return result


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    ranks = {here / name: rank for rank, name in enumerate(SLOW)}
    items.sort(key=lambda item: ranks.get(item.path, len(SLOW)))


_loaded = cache(load_splits)


@pytest.fixture
def loaded_once(monkeypatch) -> None:
    """Listings of tasks share what they load: to generate all of it takes seconds."""
    monkeypatch.setattr("randprune_lab.tasks.listing.load_splits", _loaded)


@pytest.fixture(scope="session")
def glue_dir(tmp_path_factory) -> Path:
    """A folder in GLUE's layout with an SST-2 of generated sentences: one telling word among fillers."""
    folder = tmp_path_factory.mktemp("glue")
    sentence = sentences()
    for split, size in (("train", 400), ("dev", 120)):
        write_tsv(folder / "SST-2" / f"{split}.tsv", "sentence\tlabel", [(sentence(i % 2), i % 2) for i in range(size)])
    return folder


@pytest.fixture(scope="session")
def pairs_dir(tmp_path_factory) -> Path:
    """A folder in GLUE's layout with pairs of such sentences: STS-B, whose score rises with each good one, and MNLI."""
    folder = tmp_path_factory.mktemp("pairs")
    sentence, random = sentences(), np.random.default_rng(1)
    labels = {(0, 0): "contradiction", (0, 1): "neutral", (1, 0): "neutral", (1, 1): "entailment"}
    for name, size in (("train", 300), ("dev", 90), ("dev_matched", 60), ("dev_mismatched", 50)):
        moods = [tuple(map(int, pair)) for pair in random.integers(0, 2, size=(size, 2))]
        pairs = [(sentence(one), sentence(two)) for one, two in moods]
        scores = [(*pair, 2.5 * sum(mood)) for pair, mood in zip(pairs, moods, strict=True)]
        named = [(*pair, labels[mood]) for pair, mood in zip(pairs, moods, strict=True)]
        write_tsv(folder / "STS-B" / f"{name}.tsv", "sentence1\tsentence2\tscore", scores)
        write_tsv(folder / "MNLI" / f"{name}.tsv", "sentence1\tsentence2\tgold_label", named)
    return folder


def sentences() -> Callable[[int], str]:
    """Makes sentences that tell one of two labels."""
    random = np.random.default_rng(0)

    def sentence(label: int) -> str:
        words = list(random.choice(FILLERS, size=random.integers(3, 9)))
        words.insert(int(random.integers(len(words) + 1)), str(random.choice(GOOD if label else BAD)))
        return " ".join(words)

    return sentence


def write_tsv(path: Path, header: str, rows: list[tuple[object, ...]]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([header, *("\t".join(map(str, row)) for row in rows)]) + "\n", "utf-8")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> str:
    """Path of a BERT with random weights, 2 layers of width 32, and a word-level tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *GOOD, *BAD, *FILLERS]
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **special)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BertModel(
            BertConfig(
                vocab_size=len(words),
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=64,
                max_position_embeddings=32,
            )
        )
    path = tmp_path_factory.mktemp("tiny")
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return str(path)


@pytest.fixture(scope="session")
def config(glue_dir, tiny_model) -> rp.RunConfig:
    """Settings of a whole search that takes seconds, and in which the dense model learns."""
    return rp.RunConfig(
        task="sst2",
        glue_dir=str(glue_dir),
        model=tiny_model,
        levels=(0.5, 0.9),
        candidates=3,
        evaluate_every=4,
        dense_epochs=6,
        dense_learning_rate=3e-3,
        epochs=1,
        learning_rate=1e-3,
    )


@pytest.fixture(scope="session")
def finished(config, tmp_path_factory) -> Path:
    """The folder of that search, run once; it is only read, or copied."""
    return rp.run(config, tmp_path_factory.mktemp("runs") / "whole", progress=False)


@pytest.fixture(scope="session")
def regression(config, pairs_dir, tmp_path_factory) -> Path:
    """The folder of a small search on STS-B."""
    return small_run(config, tmp_path_factory, task="stsb", glue_dir=str(pairs_dir), dense_epochs=8)


@pytest.fixture(scope="session")
def two_tests(config, pairs_dir, tmp_path_factory) -> Path:
    """The folder of a small search on MNLI, which has two test sets."""
    return small_run(config, tmp_path_factory, task="mnli", glue_dir=str(pairs_dir), dense_epochs=2)


def small_run(config: rp.RunConfig, tmp_path_factory, **settings) -> Path:
    small = dataclasses.replace(config, levels=(0.5,), candidates=2, baselines=("imp",), **settings)
    return rp.run(small, tmp_path_factory.mktemp("runs") / settings["task"], progress=False)
