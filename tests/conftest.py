"""A tiny model and a tiny task in files: small enough that a whole search takes seconds."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

import randprune_lab as rl

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a name that is not to be had fails at once
torch.set_num_threads(1)  # tiny tensors: a second thread costs more than it brings

GOOD = ("good", "fine", "superb", "moving")
BAD = ("bad", "dull", "awful", "empty")
FILLERS = ("the", "film", "is", "a", "story", "and", "plot", "with", "cast", "scenes", "very", "rather")


@pytest.fixture(scope="session")
def glue_dir(tmp_path_factory) -> Path:
    """A folder in GLUE's layout with an SST-2 of generated sentences: one telling word among fillers."""
    folder = tmp_path_factory.mktemp("glue")
    random = np.random.default_rng(0)

    def sentence(label: int) -> str:
        words = list(random.choice(FILLERS, size=random.integers(3, 9)))
        words.insert(int(random.integers(len(words) + 1)), str(random.choice(GOOD if label else BAD)))
        return " ".join(words)

    (folder / "SST-2").mkdir()
    for split, size in (("train", 400), ("dev", 120)):
        rows = [f"{sentence(i % 2)}\t{i % 2}" for i in range(size)]
        (folder / "SST-2" / f"{split}.tsv").write_text("\n".join(["sentence\tlabel", *rows]) + "\n", "utf-8")
    return folder


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
def config(glue_dir, tiny_model) -> rl.RunConfig:
    """Settings of a whole search that takes seconds, and in which the dense model learns."""
    return rl.RunConfig(
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
    return rl.run(config, tmp_path_factory.mktemp("runs") / "whole", progress=False)
