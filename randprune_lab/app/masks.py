"""The app's part about masks: for each rule, the weights that candidates keep, by the rule's settings."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from randprune_lab.app.part import Case, Part, Table
from randprune_lab.masks.rules import make_rule
from randprune_lab.masks.sampler import MaskSampler
from randprune_lab.viz import figures
from randprune_lab.viz.controls import Choice, choice
from randprune_lab.viz.explorer import Explorer
from randprune_lab.viz.style import percent

SIZE = 400
"""The rows and columns of the matrix: large enough that every sampling ratio gives another number of rounds."""
CANDIDATES = 5
"""The number of candidates whose masks are drawn."""
LEVELS = (0.54, 0.83, 0.9375, 0.99)
ABOUT = (
    "A rule decides which weights of a matrix are kept. Each strip is one candidate: its weights are sorted by size, "
    "those that it keeps are coloured. The curve below has the probability that a weight of this size is kept. Where "
    "it is between 0 and 1, the candidates differ."
)
SPARSITY = "Guess before you move: do two candidates share more of their weights at 54 % or at 99 %?"
RATIOS = (1e-5, 5e-5, 1e-4, 3e-4, 1e-3, 1e-2)


@dataclass(frozen=True)
class Shown:
    """A rule as the app shows it.

    Args:
        name: the name that is shown.
        hints: what to try, by control.
        settings: the controls of the rule's settings.
    """

    name: str
    hints: Mapping[str, str]
    settings: Mapping[str, Choice] = field(default_factory=dict)


RULES = {
    "voting": Shown(
        "voting (published)",
        {
            "sparsity": SPARSITY,
            "sampling_ratio": "A larger ratio means more rounds of voting. At 1e-05 one round decides: how many "
            "weights do two candidates share? At 1e-02 hardly anything is left to chance.",
            "power": "With power 1, weights are drawn in proportion to their size. With 10, large weights win.",
        },
        {
            "sampling_ratio": choice("sampling ratio", {f"{ratio:.0e}": ratio for ratio in RATIOS}, 1e-4),
            "power": choice("power", {f"{power:g}": power for power in (1.0, 5.0, 10.0)}, 5.0),
        },
    ),
    "gumbel": Shown(
        "Gumbel top-k",
        {
            "sparsity": SPARSITY,
            "temperature": "At 0.2 two candidates share as much as with one round of voting at power 5 (sampling ratio "
            "1e-05). Divide 1 by 0.2: why?",
        },
        {"temperature": choice("temperature", {f"{each:g}": each for each in (0.02, 0.1, 0.2, 0.5, 1.0)}, 0.2)},
    ),
    "uniform": Shown(
        "uniform random",
        {"sparsity": "The curve is flat at every sparsity: size does not matter. How many weights do two share?"},
    ),
    "magnitude": Shown(
        "magnitude", {"sparsity": "The curve is a step, and all candidates are the same mask, at every sparsity."}
    ),
}
"""The rules, by their own names."""


def masks_part() -> Part:
    """The part about masks: an explorer for each rule."""
    return Part("masks", "What does a rule leave to chance?", ABOUT, "rule", tuple(_case(rule) for rule in RULES))


def _case(rule: str) -> Case:
    shown = RULES[rule]
    controls = {"sparsity": choice("sparsity", {percent(level): level for level in LEVELS}, 0.9375), **shown.settings}
    explorer = Explorer(f"Which weights does {shown.name} keep?", partial(_picture, rule), controls)
    return Case(shown.name, explorer, shown.hints, _numbers(rule, controls))


@cache
def weights() -> Float[Tensor, "out in"]:
    """The matrix of normal weights that the masks are drawn for."""
    return torch.randn((SIZE, SIZE), generator=torch.Generator().manual_seed(0))


def _picture(rule: str, sparsity: float, **settings: float) -> Figure:
    return figures.sampling(weights(), make_rule(rule, **settings), sparsity, candidates=CANDIDATES)


def _numbers(rule: str, controls: Mapping[str, Choice]) -> Table:
    """The overlaps at every position."""
    head = [*(control.label for control in controls.values()), "weights kept by each candidate"]
    head += ["overlap of two candidates", "overlap with the magnitude mask"]
    rows = []
    for position in itertools.product(*(control.options.items() for control in controls.values())):
        shown, values = zip(*position, strict=True)
        sparsity, *settings = values
        made = make_rule(rule, **dict(zip(list(controls)[1:], settings, strict=True)))
        sampler = MaskSampler({"weights": weights()}, made, sparsity)
        both = 2 * sampler.kept
        apart = (sampler.expected_hamming().overall, sampler.expected_distance_to_magnitude().overall)
        overlaps: list[Any] = [f"{100 * (1 - distance / both):.1f} %" for distance in apart]
        rows.append([*shown, f"{sampler.kept:,} of {sampler.size:,}", *overlaps])
    return Table(head, rows)
