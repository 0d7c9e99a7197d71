"""Presets: settings of a run that belong together."""

from __future__ import annotations

from typing import Any

from randprune_lab.search.method import LONG

_LESSON: dict[str, Any] = {
    # For `tiny`, whose weights are random at first: higher learning rates, more epochs before pruning. A matrix in its
    # attention has 1/36 of the weights of one in BERT-base, so the ratios are 36 times larger: the same number of
    # rounds vote.
    "task": "mini-sst2",
    "model": "tiny",
    "train_size": 1280,
    "validation_size": 400,
    "sampling_ratios": (1.8e-3, 3.6e-3, 2.9e-3, 1.1e-2),
    "dense_epochs": 12,
    "dense_learning_rate": 1e-3,
    "learning_rate": 5e-4,
    "early_rate": 2.0,
    "early_last": 2,
    "evaluate_every": 20,
}
_CLASS: dict[str, Any] = {
    "levels": (0.54, 0.83, 0.92, 0.9375, 0.97, 0.99),
    "candidates": 4,
    "baselines": ("imp", LONG, "uniform"),
}
"""Lesson 06, with both comparisons in one run."""

_PUBLISHED: dict[str, Any] = {
    "rule": "voting",
    "sampling_ratios": (5e-5, 1e-4, 8e-5, 3e-4),
    "power": 5.0,
    "candidates": 8,
    "criterion": "magnitude",
    "allocation": "layerwise",
    "early_strategy": "full",
}
"""The search of Li, Gao, Lei and Xu (2023), with the sampling ratios of BERT-base."""
_FISHER: dict[str, Any] = {
    "method": "fisher",
    "rule": "magnitude",
    "candidates": 1,
    "criterion": "fisher",
    "allocation": "global",
    "baselines": (),
}
"""One mask, of the largest Fisher scores with one threshold, which was ahead of IMP in the study `best-shot`."""

PRESETS: dict[str, dict[str, Any]] = {
    "lesson": _LESSON,
    "class": _LESSON | _CLASS,
    "published": _PUBLISHED,
    "fisher": _FISHER,
}
"""Settings that belong together, by name. Other settings can be added, and override them."""
