"""The reference procedure, as published: read this first.

`published_mask` does what the paper's scripts do, with `torch.multinomial`. All faster code is tested against it; it is
far too slow for a real model. `vote` is the same procedure with reproducible random numbers; `MaskSampler` uses it for
groups so small that the inclusion curve, a limit for large groups, would be inaccurate.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from randprune_lab.masks.counter_rng import uniform
from randprune_lab.masks.rules import Votes, Voting


def published_mask(
    weights: Float[Tensor, "*shape"], k: int, rule: Voting, generator: torch.Generator
) -> Bool[Tensor, "*shape"]:
    """Draw one mask that keeps k weights, as published (Li et al. 2023, section 3.1).

    Draw T samples of k weights without replacement, with probabilities proportional to `|w| ** power`. Each sample
    is a vote for its weights. Keep the k weights with the most votes; ties are broken at random.
    """
    p = weights.abs().flatten().double() ** rule.power
    votes = torch.zeros_like(p)
    for _ in range(rule.rounds(p.numel(), k)):
        votes[torch.multinomial(p, k, replacement=False, generator=generator)] += 1
    tie_break = torch.rand(p.shape, generator=generator, dtype=p.dtype)
    kept = torch.topk(votes + tie_break, k).indices
    mask = torch.zeros(p.shape, dtype=torch.bool)
    mask[kept] = True
    return mask.reshape(weights.shape)


def vote(
    scores: Float64[np.ndarray, "*groups n"],
    k: int | Int64[np.ndarray, "*groups"],
    votes: Votes,
    *,
    seed: int,
    candidate: int,
    group: str,
    start: int = 0,
    size: int | None = None,
) -> Bool[np.ndarray, "*groups n"]:
    """`published_mask` as a pure function of (seed, candidate, group), on scores instead of weights.

    Keeps k of every row; k may differ by row. A sample without replacement is an exponential race: weight i arrives
    after a time exponential with rate `score_i ** power`, and the first k are drawn. Zero scores are never drawn.

    Args:
        start, size: if the rows are a part of more rows, the place of the first score, and the number of all scores.
    """
    size = scores.size if size is None else size

    def numbers(round_: int) -> Float64[np.ndarray, "*groups n"]:
        index = torch.arange(scores.size) + (round_ * size + start)
        return uniform(seed, candidate, group, index, purpose="vote").numpy().reshape(scores.shape)

    log_p = np.full(scores.shape, -np.inf)
    log_p[scores > 0] = votes.power * np.log(scores[scores > 0])
    found = np.zeros(scores.shape)
    for round_ in range(votes.rounds):
        arrival = np.log(-np.log(numbers(round_))) - log_p
        found += first(arrival, k)
    return first(-(found + numbers(votes.rounds)), k)


def first(
    keys: Float64[np.ndarray, "*groups n"], k: int | Int64[np.ndarray, "*groups"]
) -> Bool[np.ndarray, "*groups n"]:
    """A mask of the k smallest keys of every row, where k may differ by row; equal keys go by index."""
    mask, order = np.zeros(keys.shape, dtype=bool), np.argsort(keys, axis=-1, kind="stable")
    if isinstance(k, np.ndarray):
        np.put_along_axis(mask, order, np.arange(keys.shape[-1]) < k[..., None], axis=-1)
    else:
        np.put_along_axis(mask, order[..., :k], True, axis=-1)
    return mask
