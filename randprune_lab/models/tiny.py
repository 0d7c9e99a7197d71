"""Tiny BERTs with random weights, for lessons: 2 layers of width 128, trained in seconds.

Some settings differ from BERT's, because training starts from random weights. The weights are drawn with a standard
deviation of 0.1, close to `1 / sqrt(width)`, instead of 0.02: attention then distinguishes words from the start, and
tasks that depend on word order are learned in hundreds of steps instead of thousands. ReLU, and a feed-forward width
of twice the model's instead of four times, save time. There is no dropout.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

WIDTH = 128
POSITIONS = 128
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def tiny_config(vocabulary: int) -> Any:
    """The configuration of a tiny mean-pooled BERT with this number of words in its vocabulary."""
    from randprune_lab.models.mean_pooled_bert import MeanPooledBertConfig

    return MeanPooledBertConfig(
        vocab_size=vocabulary,
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=2 * WIDTH,
        max_position_embeddings=POSITIONS,
        hidden_act="relu",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.1,
    )


def word_tokenizer() -> Any:
    """A tokenizer with one token for each word of mini-GLUE, and one for all other words."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    from randprune_lab.tasks.mini_glue.words import vocabulary

    ids = {word: number for number, word in enumerate((*SPECIAL, *vocabulary()))}
    backend = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, ids[token]) for token in ("[CLS]", "[SEP]")],
    )
    special = {f"{token.strip('[]').lower()}_token": token for token in SPECIAL}
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=POSITIONS,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **special,
    )


def reduced_embeddings(folder: Path, std: float) -> Float[Tensor, "words width"]:
    """The word embeddings of the model in `folder`, reduced by PCA, with standard deviation `std`."""
    from safetensors import safe_open

    with safe_open(str(folder / "model.safetensors"), framework="pt") as file:
        (name,) = (key for key in file.keys() if key.endswith("word_embeddings.weight"))  # noqa: SIM118
        return principal_components(file.get_tensor(name), WIDTH, std)


def principal_components(points: Float[Tensor, "n d"], width: int, std: float) -> Float[Tensor, "n w"]:
    """Centred points in their `width` directions of highest variance, scaled as a whole to standard deviation `std`.

    Eigenvectors have no sign; here the largest component of each direction is positive.
    """
    mean, centred = points.mean(0), torch.empty(points.shape, dtype=torch.float64)
    for part, place in zip(points.split(4096), centred.split(4096), strict=True):  # no second copy of all points
        place.copy_(part - mean)
    _, vectors = torch.linalg.eigh(centred.T @ centred)  # in the order of increasing variance
    directions = vectors[:, -width:].flip(1)
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))
    reduced = centred @ (directions * largest.sign())
    return (reduced * (std / reduced.std())).to(points.dtype)
