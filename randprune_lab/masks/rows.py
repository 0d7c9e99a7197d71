"""Many small groups of one length, drawn at once: the rows of a tensor, or the groups of N:M sparsity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64, Shaped
from torch import Tensor, nn

from randprune_lab.errors import RuleError
from randprune_lab.masks.counter_rng import uniform
from randprune_lab.masks.curve import DECIDED, Histogram
from randprune_lab.masks.plan import scores
from randprune_lab.masks.reference import first, vote
from randprune_lab.masks.rules import Rule, Votes
from randprune_lab.masks.scope import kernels, outputs_first
from randprune_lab.masks.small_groups import few
from randprune_lab.masks.weight_checks import check_dtype, check_enough, check_finite

CHUNK = 2**16
"""Weights of groups that are drawn at a time; smaller than a processor's cache."""

Counts = int | Int64[np.ndarray, " rows"]


def draw_rows(
    weights: Float[Tensor, "rows n"], k: Counts, votes: Votes | None, *, seed: int, candidate: int, group: str
) -> Bool[np.ndarray, "rows n"]:
    """A mask that keeps k weights of each row by the reference procedure, or the k largest without votes.

    Args:
        weights: the rows; a weight's score is its magnitude.
        k: the number of weights that a row keeps, or such a number for each row.
        group: the name of the stream of random numbers.
    """
    drawn = []
    for rows in chunks(weights):
        part = weights[rows].cpu()
        keys = scores(part).numpy().reshape(part.shape)
        own = k if isinstance(k, int) else k[rows]
        place = {"start": rows.start * weights.shape[1], "size": weights.numel()}
        drawn.append(
            first(-keys, own)
            if votes is None
            else vote(keys, own, votes, seed=seed, candidate=candidate, group=group, **place)
        )
    return np.concatenate(drawn)


def row_votes(rule: Rule, n: int, k: int) -> Votes | None:
    """How the reference procedure draws k of n weights; None for a rule that depends on them and has no votes.

    Raises:
        RuleError: if the votes of the rule are something else.
    """
    if not isinstance(votes := rule.votes(n, k), Votes | None):
        raise RuleError(f"votes of {rule} must give Votes or None, got {votes!r}")
    if votes is None and 0 < k < n and not rule.deterministic:
        inclusion = rule.curve(Histogram.from_scores(np.arange(1.0, n + 1)), k).inclusion
        if np.ptp(inclusion) <= 1e-9:  # the rule ignores the weights
            return Votes(rounds=1, power=0.0)
    return votes


def row_counts(nonzero: Int64[np.ndarray, " rows"], k: int) -> Int64[np.ndarray, " rows"]:
    """Equal numbers, up to one, that sum to k; a row with fewer weights that are not zero keeps these.

    The rows that keep one more are spread evenly.

    >>> row_counts(np.array([4, 4, 4, 1]), 9).tolist()
    [2, 3, 3, 1]
    """
    low, high = 0, int(nonzero.max(initial=0))  # the largest number that all rows can have
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.minimum(nonzero, middle).sum() <= k else (low, middle - 1)
    counts = np.minimum(nonzero, low)
    free = np.flatnonzero(nonzero > low)
    more = np.diff(np.arange(len(free) + 1) * (k - int(counts.sum())) // max(len(free), 1)) > 0
    counts[free[more]] += 1
    return counts


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a tensor, of which each is a group of its own."""

    weights: Float[Tensor, "rows n"]
    k: Int64[np.ndarray, " rows"]
    rule: Rule
    votes: Votes | None  # None: the largest are kept, or rows are drawn from their inclusion curves
    shape: tuple[int, ...]  # of the tensor, outputs first
    order: tuple[int, ...]  # the tensor's axes in that shape

    def draw(self, name: str, seed: int, candidate: int, flat: Mapping[str, Tensor]) -> None:
        """Fill the flat mask of the tensor called `name` with that of a candidate."""
        if self.rule.deterministic:
            kept = self.largest
        elif self.votes is not None:
            kept = draw_rows(self.weights, self.k, self.votes, seed=seed, candidate=candidate, group=name)
        else:
            u = uniform(seed, candidate, name, torch.arange(self.weights.numel()), purpose="rows").numpy()
            with np.errstate(divide="ignore"):  # Pareto sampling: see `pareto`
                odds = (1 - self.inclusion) / self.inclusion
            kept = first((u / (1 - u)).reshape(odds.shape) * odds, self.k)
        mask = torch.from_numpy(kept).view(self.shape).permute([self.order.index(axis) for axis in sorted(self.order)])
        flat[name].copy_(mask.reshape(-1), non_blocking=True)

    @property
    def content(self) -> Shaped[np.ndarray, "rows bytes"]:
        """What the weights contribute to a draw."""
        if self.rule.deterministic:
            return self.largest
        return self.weights.abs().view(torch.uint8).numpy()

    @cached_property
    def largest(self) -> Bool[np.ndarray, "rows n"]:
        """The mask of the largest of each row."""
        return draw_rows(self.weights, self.k, None, seed=0, candidate=0, group="")

    @cached_property
    def inclusion(self) -> Float64[np.ndarray, "rows n"]:
        """The probability that each weight is kept, from the inclusion curve of its row."""
        q = np.zeros(tuple(self.weights.shape))
        for found, row, k in zip(q, self.weights, self.k.tolist(), strict=True):
            score = scores(row).numpy()
            histogram, alive = Histogram.from_scores(score), score > 0
            found[alive] = self.rule.curve(histogram, k).inclusion[np.searchsorted(histogram.scores, score[alive])]
        return q

    @property
    def undecided(self) -> int:
        """The number of weights that some candidates keep and others remove."""
        inside = (self.inclusion > DECIDED) & (self.inclusion < 1 - DECIDED)
        return 0 if self.rule.deterministic else int(inside.sum())

    def expected_hamming(self) -> float:
        """The expected number of weights in which two candidates differ."""
        return 0.0 if self.rule.deterministic else float((2 * self.inclusion * (1 - self.inclusion)).sum())

    def expected_distance_to_magnitude(self) -> float:
        """The expected number of weights in which a candidate differs from the largest of each row."""
        return 0.0 if self.rule.deterministic else float(np.abs(self.inclusion - self.largest).sum())


def all_rows(
    target: nn.Module | Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    keep: Mapping[str, int],
    rule: Rule,
    reference_below: int,
    signed: bool,
) -> dict[str, Rows]:
    """The rows of all tensors: the weights of each output. They are copied.

    Args:
        target: the model, which says what the outputs of its weights are, or a dict of tensors.
        weights: the tensors by name.
        keep: the number of weights that each keeps.
        signed: whether they are scores with signs, -inf for weights that are zero; each row is replaced by its ranks.

    Raises:
        WeightError: if weights are not finite or not floating point, or too few are not zero.
    """
    orders, convolved, found = outputs_first(target, weights), kernels(target), {}
    for name, weight in weights.items():
        check_dtype(name, weight)
        own = weight.permute(order := orders.get(name, tuple(range(weight.ndim))))
        rows = _as_rows(own, name in convolved).cpu()
        rows = row_ranks(rows) if signed else rows.clone(memory_format=torch.contiguous_format)
        check_finite(name, rows.numel() - int(rows.isfinite().sum()))
        nonzero, (count, n) = rows.count_nonzero(dim=1).numpy(), rows.shape
        check_enough(name, keep[name], int(nonzero.sum()), rows.numel())
        votes = row_votes(rule, n, round(keep[name] / max(count, 1)))
        votes = votes if few(votes, n, reference_below) else None
        found[name] = Rows(rows, row_counts(nonzero, keep[name]), rule, votes, tuple(own.shape), order)
    return found


def _as_rows(weight: Float[Tensor, "..."], kernel: bool) -> Float[Tensor, "rows n"]:
    count = weight.shape[0] if kernel else math.prod(weight.shape[:-1])
    return weight.reshape(count, weight.numel() // max(count, 1))


def row_ranks(scores: Float[Tensor, "rows n"]) -> Float[Tensor, "rows n"]:
    """Signed scores as ranks from 1 in their row: the number of scores that are not larger. Of -inf it is 0."""
    scores = scores.contiguous()
    ranked = torch.searchsorted(scores.sort(dim=1).values, scores, right=True)
    return (ranked - (scores == -torch.inf).sum(dim=1, keepdim=True)).to(torch.float32)


def chunks(weights: Float[Tensor, "rows n"]) -> list[slice]:
    step = max(1, CHUNK // max(weights.shape[1], 1))
    return [slice(start, start + step) for start in range(0, max(len(weights), 1), step)]
