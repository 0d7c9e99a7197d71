"""The scale of each lesson by profile: how much of a model, how many examples, candidates and levels."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from randprune_lab.errors import unknown_name
from randprune_lab.search.presets import PRESETS

Scales = Mapping[str, Mapping[str, Any]]

SMALL = PRESETS["lesson"]
"""Settings of a run of the model `tiny`, which learns a generated task within a minute."""
DOWN = (0.54, 0.83, 0.92, 0.9375, 0.97, 0.99)
"""The levels from dense to 100 times fewer weights."""
FAST = {
    "model": "tiny-distilled",
    "sampling_ratios": SMALL["sampling_ratios"],
    "dense_epochs": 3,
    "dense_learning_rate": 1e-3,
    "learning_rate": 5e-4,
    "levels": (0.54, 0.9375),
}
"""Settings of a run on film reviews that takes seconds: the model is a small one that has learned from a larger."""


def _scales(*, smoke: Mapping[str, Any], classroom: Mapping[str, Any], study: Mapping[str, Any]) -> Scales:
    """What is not named for another profile is as in `classroom`, except for settings of a whole run."""
    return {"smoke": {**classroom, **smoke}, "classroom": classroom, "study": {**classroom, **study}}


LESSONS: Mapping[str, Scales] = {
    "00": _scales(
        smoke={
            "run": {
                **FAST,
                "train_size": 400,
                "validation_size": 200,
                "test_size": 400,
                "candidates": 2,
                "epochs": 1,
                "evaluate_every": 12,
            }
        },
        classroom={
            "run": {
                **FAST,
                "train_size": 1200,
                "validation_size": 300,
                "test_size": 800,
                "candidates": 3,
                "epochs": 2,
                "evaluate_every": 20,
            }
        },
        study={"run": {}},
    ),
    "01": _scales(
        smoke={"train_size": 800, "epochs": 2, "sparsities": (0.5, 0.9375)},
        classroom={
            "model": "tiny",
            "task": "mini-sst2",
            "train_size": 3000,
            "epochs": 4,
            "rate": 1e-3,
            "sparsities": (0.5, 0.83, 0.9, 0.9375, 0.97),
        },
        study={"model": "minilm", "task": "rotten_tomatoes", "train_size": 6000, "epochs": 3, "rate": 1e-4},
    ),
    "02": _scales(
        smoke={"size": 96, "numbers": (1, 10, 100), "seconds": 0.2},
        classroom={"size": 192, "numbers": (1, 10, 100, 1000), "seconds": 2.0},
        study={"size": 384},
    ),
    "03": _scales(
        smoke={"layers": 2, "numbers": (2, 4, 8, 16, 32)},
        classroom={"layers": 6, "numbers": (2, 4, 8, 16, 32, 64)},
        study={},
    ),
    "04": _scales(
        smoke={"rates": (1.0, 4.0), "run": {"train_size": 320, "dense_epochs": 4}},
        classroom={"rates": (1.0, 4.0, 16.0), "run": {"train_size": 640, "dense_epochs": 8}},
        study={"run": {"train_size": 1280, "dense_epochs": 8}},
    ),
    "05": _scales(smoke={"repetitions": 40}, classroom={"repetitions": 200}, study={"repetitions": 1000}),
    "06": _scales(
        smoke={
            "run": {
                **SMALL,
                "levels": (0.83, 0.9375, 0.99),
                "train_size": 384,
                "validation_size": 128,
                "evaluate_every": 6,
                "dense_epochs": 8,
                "epochs": 1,
                "candidates": 2,
            }
        },
        classroom={"seeds": 1, "run": {**SMALL, "levels": DOWN, "candidates": 4}},
        study={"seeds": 3, "run": {"task": "rotten_tomatoes", "levels": DOWN}},
    ),
    "07": _scales(
        smoke={"run": {"train_size": 320, "validation_size": 100, "dense_epochs": 3, "candidates": 2}},
        classroom={"run": {}},
        study={},
    ),
    "08": _scales(
        smoke={"rows": 640, "levels": (0.9375,), "run": {"candidates": 2, "epochs": 12}, "size": 256, "layers": 1},
        classroom={"rows": 1600, "levels": (0.83, 0.9375, 0.97), "run": {"candidates": 4}, "size": 768, "layers": 6},
        study={"rows": 4000, "levels": DOWN, "size": 1536},
    ),
}
"""The scales by lesson and profile. `run` has settings of `RunConfig`."""


def lesson_settings(lesson: str, profile: str) -> dict[str, Any]:
    """The scale of a lesson in a profile, by name; `run` has settings of a run.

    Args:
        lesson: the lesson's number, such as "06".
        profile: "smoke" (seconds), "classroom" (minutes) or "study" (hours).

    Raises:
        UnknownNameError: if there is no such lesson or profile.
    """
    if lesson not in LESSONS:
        raise unknown_name("lesson", lesson, LESSONS)
    if profile not in LESSONS[lesson]:
        raise unknown_name("profile", profile, LESSONS[lesson])
    return deepcopy(dict(LESSONS[lesson][profile]))
