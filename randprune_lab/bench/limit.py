"""The error of the closed forms in small groups of weights, compared with the reference procedure."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool

from randprune_lab.masks.curve import Histogram
from randprune_lab.masks.reference import first, vote
from randprune_lab.masks.rules import Voting
from randprune_lab.masks.sparsity import keep_count

SIZES = (64, 256, 1024, 4096, 16_384)
SPARSITIES = (0.54, 0.9375, 0.99)
ROUNDS = (1, 15)
BATCHES = 10


def bench_limit(
    sizes: tuple[int, ...] = SIZES, sparsities: tuple[float, ...] = SPARSITIES, numbers: int = 2**20
) -> list[dict[str, Any]]:
    """Measure the relative errors of the expected distances.

    Args:
        sizes: numbers of weights in a group.
        sparsities: sparsities of the group.
        numbers: weights drawn in each round, over all masks of a row; more of them make the standard errors smaller.

    Returns:
        A row for each group size, sparsity and number of rounds.
    """
    return [
        _compare(n, sparsity, rounds, max(2, numbers // n // BATCHES))
        for sparsity in sparsities
        for rounds in ROUNDS
        for n in sizes
        if 0 < keep_count(n, sparsity) < n
    ]


def _compare(n: int, sparsity: float, rounds: int, masks: int) -> dict[str, Any]:
    scores = np.abs(np.random.default_rng(n).standard_t(4, n))
    k = keep_count(n, sparsity)
    rule = Voting(sampling_ratio=(rounds + 0.5) / (n - k))
    curve = rule.curve(Histogram.from_scores(scores), k)
    top = first(-scores, k)
    drawn = [
        np.stack([vote(scores, k, rule.votes(n, k), seed=batch, candidate=c, group="w") for c in range(masks)])
        for batch in range(BATCHES)
    ]
    row: dict[str, Any] = {"weights": n, "sparsity": sparsity, "rounds": rounds}
    expected = curve.expected_hamming(), curve.expected_distance_to_magnitude()
    for name, closed, measured in (
        ("between candidates", expected[0], [_pairwise(batch) for batch in drawn]),
        ("to magnitude", expected[1], [float((batch ^ top).sum(axis=1).mean()) for batch in drawn]),
    ):
        reference = float(np.mean(measured))
        row[name] = {
            "reference": reference,
            "closed form": closed,
            "relative error": closed / reference - 1,
            "standard error": float(np.std(measured, ddof=1) / np.sqrt(BATCHES) / reference),
        }
    return row


def _pairwise(masks: Bool[np.ndarray, "m n"]) -> float:
    """The mean Hamming distance over all pairs."""
    kept, m = masks.sum(axis=0), len(masks)
    return float(np.sum(2 * kept * (m - kept)) / (m * (m - 1)))


def describe(rows: list[dict[str, Any]]) -> str:
    """The relative errors as a table for a terminal."""
    lines = [
        "Relative error of the expected Hamming distances, compared with the reference procedure, ± standard error",
        f"{'weights':>8} {'sparsity':>9} {'rounds':>7} {'between candidates':>22} {'to magnitude mask':>22}",
    ]
    for row in rows:
        cells = [
            f"{100 * row[name]['relative error']:+.2f} ± {100 * row[name]['standard error']:.2f} %"
            for name in ("between candidates", "to magnitude")
        ]
        start = f"{row['weights']:>8,} {100 * row['sparsity']:>7g} % {row['rounds']:>7}"
        lines.append(f"{start} {cells[0]:>22} {cells[1]:>22}")
    return "\n".join(lines)
