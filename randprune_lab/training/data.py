"""From rows of text to batches of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

MEGABATCH = 50
"""Batches that are sorted by length together: more pads less, fewer shuffle better."""


@dataclass(frozen=True)
class Encoded:
    """One split, tokenized. `features[i]` are token ids without padding, `labels[i]` the label id or the score."""

    features: list[dict[str, list[int]]]
    labels: Int64[np.ndarray, " n"] | Float32[np.ndarray, " n"]
    tokenizer: Any

    def __len__(self) -> int:
        return len(self.features)

    @property
    def lengths(self) -> Int64[np.ndarray, " n"]:
        return np.array([len(feature["input_ids"]) for feature in self.features], dtype=np.int64)

    def batch(self, rows: Sequence[int]) -> dict[str, Tensor]:
        """The given rows, padded to the longest: what the model takes, and `labels` and `rows`."""
        batch = dict(self.tokenizer.pad([self.features[row] for row in rows], return_tensors="pt"))
        batch["labels"] = torch.from_numpy(self.labels[list(rows)])
        batch["rows"] = torch.tensor(rows)
        return batch


def encode(dataset: Any, text_fields: Sequence[str], tokenizer: Any, max_length: int) -> Encoded:
    """Tokenize a split that has the columns `text_fields` (one sentence or a pair) and `label`, whole or fractional."""
    texts = [list(dataset[name]) for name in text_fields]
    encoded = tokenizer(*texts, truncation=True, max_length=max_length)
    features = [{key: encoded[key][row] for key in encoded} for row in range(len(dataset))]
    labels = np.asarray(dataset["label"])
    kind = np.float32 if np.issubdtype(labels.dtype, np.floating) else np.int64
    return Encoded(features, labels.astype(kind), tokenizer)


def training_batches(
    lengths: Int64[np.ndarray, " n"], batch_size: int, seed: int, epoch: int
) -> list[Int64[np.ndarray, " b"]]:
    """One epoch's batches of row numbers, a pure function of its arguments: all candidates see the same.

    Rows are shuffled, sorted by length within groups of `MEGABATCH` batches, and the batches shuffled again.
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(lengths))
    groups = np.split(order, range(MEGABATCH * batch_size, len(order), MEGABATCH * batch_size))
    ordered = np.concatenate([group[np.argsort(lengths[group], kind="stable")] for group in groups])
    batches = np.split(ordered, range(batch_size, len(ordered), batch_size))
    return [batches[i] for i in random.permutation(len(batches))]


def scoring_batches(lengths: Int64[np.ndarray, " n"], batch_size: int) -> Iterator[Int64[np.ndarray, " b"]]:
    """Batches for a forward pass over everything, longest first: little padding, and memory is spent at once."""
    order = np.argsort(-lengths, kind="stable")
    yield from np.split(order, range(batch_size, len(order), batch_size))
