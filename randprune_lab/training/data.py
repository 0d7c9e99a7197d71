"""From rows of text to batches of tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from randprune_lab.errors import ConfigError

MEGABATCH = 50
"""Number of batches that are sorted by length together: more need less padding, fewer shuffle better."""

Ids = Int64[np.ndarray, " m"]


@dataclass(frozen=True)
class Encoded:
    """One tokenized split: the model's inputs for all rows, concatenated without padding."""

    inputs: dict[str, Ids]  # token ids, and the other inputs of the model
    lengths: Int64[np.ndarray, " n"]  # number of tokens of each row
    labels: Int64[np.ndarray, " n"] | Float32[np.ndarray, " n"]  # label ids or scores
    padding: dict[str, int]  # for each input, the value that fills up shorter rows of a batch
    left: bool = False  # whether the padding is before the row

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property
    def starts(self) -> Int64[np.ndarray, " n"]:
        """The position of each row's first token."""
        return np.cumsum(self.lengths) - self.lengths

    @cached_property
    def numbers(self) -> Ids:
        """Every number in the inputs and their padding, once, in ascending order: ids of tokens, of their types ..."""
        return np.unique(np.concatenate([*map(np.unique, self.inputs.values()), [*self.padding.values()]]))

    def share(self, token: int | None) -> float:
        """The fraction of all tokens that are `token`; 0 for None."""
        return float(np.mean(self.inputs["input_ids"] == token)) if token is not None else 0.0

    def first(self, rows: int) -> Encoded:
        """The split of the first `rows` rows."""
        tokens = int(self.lengths[:rows].sum())
        return replace(
            self,
            inputs={name: values[:tokens] for name, values in self.inputs.items()},
            lengths=self.lengths[:rows],
            labels=self.labels[:rows],
        )

    def batch(self, rows: Sequence[int]) -> dict[str, Tensor]:
        """The given rows, padded to the longest: the model's inputs, `labels` and `rows`.

        Equal to the tokenizer's own `pad`, but a hundred times faster: a small model would wait for it.
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


def tokenize(tokenizer: Any, texts: Sequence[list[str]], max_length: int, **settings: Any) -> Any:
    """The tokens of texts, or of pairs of texts.

    A tokenizer that puts nothing between the texts of a pair, as a decoder's, gets its end-of-text token there.

    Args:
        texts: one or two lists, with a text of each row.
        max_length: maximum number of tokens of a row; longer ones are truncated.
        settings: further arguments of the tokenizer.

    Raises:
        ConfigError: if `max_length` leaves no token for each text beside those that the tokenizer adds, or there is no
            token to put between the texts.
    """
    first, *others = texts
    added = tokenizer.num_special_tokens_to_add(pair=bool(others))
    if max_length < (least := added + len(texts)):  # some tokenizers would then truncate nothing
        raise ConfigError(
            f"max_length (--max-length) must be at least {least}, as the model's tokenizer adds {added} tokens to an "
            f"input, and each text needs one; got {max_length}"
        )
    if others and tokenizer.num_special_tokens_to_add(pair=True) == tokenizer.num_special_tokens_to_add(pair=False):
        separator = tokenizer.sep_token or tokenizer.eos_token
        if separator is None:
            raise ConfigError(
                "the model's tokenizer has no token to put between two texts; set its sep_token or eos_token and save "
                "it, or choose another model"
            )
        if tokenizer.truncation_side == "left":  # the separator is at the end that is kept
            first = [text + separator for text in first]
        else:
            others = [[separator + text for text in others[0]]]
    return tokenizer(first, *others, truncation=True, max_length=max_length, **settings)


def encode(dataset: Any, text_fields: Sequence[str], tokenizer: Any, max_length: int) -> Encoded:
    """Tokenize a split.

    Args:
        dataset: its columns are `text_fields` and `label`: whole numbers are label ids, others are scores.
        text_fields: the names of one or two columns with texts.
        max_length: maximum number of tokens of a row; longer ones are truncated.

    Raises:
        ConfigError: see `tokenize`.
    """
    encoded = tokenize(tokenizer, [list(dataset[name]) for name in text_fields], max_length)
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


def check_fits(encoded: Encoded, model: Any, tokenizer: Any, name: str) -> None:
    """Raise `ConfigError` unless the model has an embedding for every token, token type and position of a split.

    Args:
        name: what errors call the model.
    """
    tables = {
        key.rpartition(".")[2]: module
        for key, module in model.named_modules()
        if isinstance(module, torch.nn.Embedding)
    }
    tables["input_ids"] = model.get_input_embeddings()
    tables["token_type_ids"] = tables.get("token_type_embeddings", tables["input_ids"])
    for kind in encoded.inputs.keys() & {"input_ids", "token_type_ids"}:
        highest, embeddings = max(encoded.inputs[kind].max(), encoded.padding[kind]), len(tables[kind].weight)
        if highest >= embeddings:
            raise ConfigError(
                f"the tokenizer of model {name!r} gives {kind} up to {highest}, but the model has {embeddings} "
                "embeddings for them; take the model's own tokenizer, or call model.resize_token_embeddings and save it"
            )
    places = _places(model, tables.get("position_embeddings"), tokenizer)
    if encoded.lengths.max() > places:
        raise ConfigError(
            f"model {name!r} takes at most {places} tokens, but an input has {encoded.lengths.max()}; "
            f"give max_length (--max-length) {places}"
        )


def _places(model: Any, positions: torch.nn.Embedding | None, tokenizer: Any) -> float:
    """The maximum number of tokens of a row; infinite if the model has none, which some write as -1."""
    limits = (tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", None))
    places = min((limit for limit in limits if limit and limit > 0), default=math.inf)
    if positions is not None and positions.padding_idx is not None:  # RoBERTa counts from the next place
        places = min(places, positions.num_embeddings - positions.padding_idx - 1)
    return places


def training_batches(
    lengths: Int64[np.ndarray, " n"], batch_size: int, seed: int, epoch: int
) -> list[Int64[np.ndarray, " b"]]:
    """One epoch's batches of row numbers: a pure function of the arguments, so that all candidates see the same ones.

    Rows are shuffled, sorted by length within groups of `MEGABATCH` batches, and the batches shuffled again.
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(lengths))
    groups = np.split(order, range(MEGABATCH * batch_size, len(order), MEGABATCH * batch_size))
    ordered = np.concatenate([group[np.argsort(lengths[group], kind="stable")] for group in groups])
    batches = np.split(ordered, range(batch_size, len(ordered), batch_size))
    return [batches[i] for i in random.permutation(len(batches))]


def scoring_batches(lengths: Int64[np.ndarray, " n"], batch_size: int) -> Iterator[Int64[np.ndarray, " b"]]:
    """Batches for a forward pass over all rows, longest first: little padding, and the first needs the most memory."""
    order = np.argsort(-lengths, kind="stable")
    yield from np.split(order, range(batch_size, len(order), batch_size))
