"""The mask explorer: a rule and its settings, the masks it draws for a small matrix, and how much these overlap."""

from __future__ import annotations

from typing import Any

import ipywidgets
import torch
from jaxtyping import Float
from torch import Tensor

from randprune_lab.masks.rules import RULES, Rule, make_rule
from randprune_lab.masks.sampler import MaskSampler
from randprune_lab.registry import settings_of
from randprune_lab.viz import figures
from randprune_lab.viz.controls import choice, sampling_ratio_slider, sparsity_slider
from randprune_lab.viz.panel import Panel, Shown, control, slider, table

LABELS = {"voting": "voting (published)", "gumbel": "Gumbel top-k"}
"""What the explorer calls rules; others have their own name."""


def mask_explorer(size: int = 192, seed: int = 0) -> ipywidgets.VBox:
    """The explorer: controls, overlaps as numbers, the inclusion curve, and a corner of three candidates.

    Args:
        size: the number of rows and columns of the matrix of normal weights.
        seed: the seed of these weights.
    """
    weights = torch.randn((size, size), generator=torch.Generator().manual_seed(seed))
    powers = {f"{power:g}": power for power in (0.5, 1.0, 2.0, 5.0, 10.0)}
    temperatures = {f"{value:g}": value for value in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)}
    rules = [(LABELS.get(name, name), name) for name in RULES]
    controls = {
        "rule": control(ipywidgets.Dropdown(description="rule", options=rules, value="voting")),
        "sparsity": slider(sparsity_slider()),
        "sampling_ratio": slider(sampling_ratio_slider()),
        "power": slider(choice("power", powers, 5.0)),
        "temperature": slider(choice("temperature", temperatures, 0.2)),
    }

    def show(rule: str, sparsity: float, **settings: float) -> Shown:
        known = settings_of(RULES[rule])
        for name in settings:
            controls[name].layout.display = "" if name in known else "none"
        own = {name: value for name, value in settings.items() if name in known}
        return _shown(weights, make_rule(rule, **own), sparsity)

    return Panel("How much randomness does a rule leave, and where?", controls, show).widget


def _shown(weights: Float[Tensor, "out in"], rule: Rule, sparsity: float) -> Shown:
    sampler = MaskSampler({"weights": weights}, rule, sparsity)
    first, second = sampler.draw(0), sampler.draw(1)
    both, kept = 2 * sampler.kept, f"{sampler.kept:,} of {sampler.size:,}"
    expected, away = sampler.expected_hamming().overall, sampler.expected_distance_to_magnitude().overall
    overlap = 1 - expected / both
    rows: list[tuple[Any, ...]] = [
        ("weights kept by each candidate", kept),
        ("overlap of two candidates, expected", f"{100 * overlap:.1f} %"),
        ("overlap of candidates 0 and 1, counted", f"{100 * (1 - first.hamming(second) / both):.1f} %"),
        ("overlap with the magnitude mask, expected", f"{100 * (1 - away / both):.1f} %"),
    ]
    title = f"Expected overlap of two candidates: {100 * overlap:.0f} %"
    curve = figures.inclusion_curves({rule.name: sampler.curves["weights"]}, title)
    return Shown([curve, figures.corners(weights, rule, sparsity)], table(rows))
