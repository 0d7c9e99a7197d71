"""From rows of text to batches of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

MEGABATCH = 50
"""Batches that are sorted by length together: more pads less, fewer shuffle better."""


Ids = Int64[np.ndarray, " m"]


@dataclass(frozen=True)
class Encoded:
    """One split, tokenized: what the model takes, end to end, of row after row, without padding."""

    inputs: dict[str, Ids]  # token ids, and what goes with them
    lengths: Int64[np.ndarray, " n"]  # tokens of each row
    labels: Int64[np.ndarray, " n"] | Float32[np.ndarray, " n"]  # label ids or scores
    padding: dict[str, int]  # for each input the value that stands where a row is shorter than others of its batch
    left: bool = False  # whether padding goes before the row

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property
    def starts(self) -> Int64[np.ndarray, " n"]:
        """Where each row begins."""
        return np.cumsum(self.lengths) - self.lengths

    def share(self, token: int | None) -> float:
        """The share of all tokens that are this one."""
        return float(np.mean(self.inputs["input_ids"] == token)) if token is not None else 0.0

    def first(self, rows: int) -> Encoded:
        """The first rows."""
        tokens = int(self.lengths[:rows].sum())
        return replace(
            self,
            inputs={name: values[:tokens] for name, values in self.inputs.items()},
            lengths=self.lengths[:rows],
            labels=self.labels[:rows],
        )

    def batch(self, rows: Sequence[int]) -> dict[str, Tensor]:
        """The given rows, padded to the longest: what the model takes, and `labels` and `rows`.

        Like the tokenizer's own `pad`, but a hundred times as fast: small models would wait for it.
        """
        chosen = np.asarray(rows)
        lengths = self.lengths[chosen, None]
        columns = np.arange(lengths.max())
        if self.left:
            columns = columns - (lengths.max() - lengths)
        taken = (columns >= 0) & (columns < lengths)
        places = (self.starts[chosen, None] + columns)[taken]
        batch = {}
        for name, values in self.inputs.items():
            padded = np.full(taken.shape, self.padding[name])
            padded[taken] = values[places]
            batch[name] = torch.from_numpy(padded)
        batch["labels"] = torch.from_numpy(self.labels[chosen])
        batch["rows"] = torch.from_numpy(chosen)
        return batch


def encode(dataset: Any, text_fields: Sequence[str], tokenizer: Any, max_length: int) -> Encoded:
    """Tokenize a split that has the columns `text_fields` (one sentence or a pair) and `label`, whole or fractional."""
    texts = [list(dataset[name]) for name in text_fields]
    encoded = tokenizer(*texts, truncation=True, max_length=max_length)
    labels = np.asarray(dataset["label"])
    kind = np.float32 if np.issubdtype(labels.dtype, np.floating) else np.int64
    special = {"input_ids": tokenizer.pad_token_id, "token_type_ids": tokenizer.pad_token_type_id}
    return Encoded(
        inputs={name: np.fromiter(chain.from_iterable(encoded[name]), dtype=np.int64) for name in encoded},
        lengths=np.fromiter(map(len, encoded["input_ids"]), dtype=np.int64),
        labels=labels.astype(kind),
        padding={name: special.get(name, 0) for name in encoded},
        left=tokenizer.padding_side == "left",
    )


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
