"""How certain the recorded choice among a level's candidates is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from randprune_lab.errors import FileError
from randprune_lab.search.run_files import load_evaluations, predictions_path
from randprune_lab.search.units import candidate_unit, file_name
from randprune_lab.stats.confidence import Confidence, assess_choice


def final_round(selection: Mapping[str, Any]) -> dict[str, Any]:
    """The last round that had more than one candidate; empty if there was no choice."""
    rounds = [round for round in selection.get("rounds", []) if len(round["candidates"]) > 1]
    return rounds[-1] if rounds else {}


def last_scores(selection: Mapping[str, Any]) -> dict[int, float]:
    """The last score of each candidate, which is not finite if its training diverged; empty if there was no choice."""
    rounds = selection.get("rounds", [])
    return dict(pair for round in rounds for pair in zip(round["candidates"], round["scores"], strict=True))


def finals(
    path: Path, level: str, selection: Mapping[str, Any], last: int, *, labelled: bool = True
) -> Float64[np.ndarray, "finalists n"]:
    """The mean score of each example under each candidate of the last round.

    Args:
        path: the folder.
        level: the name of the level's unit.
        selection: how the winner was chosen, from `Selection.to_dict`.
        last: the number of last evaluations in a mean.
        labelled: see `load_evaluations`.

    Raises:
        FileError: if the evaluations are missing or damaged, or candidates were evaluated on different examples.
    """
    final = final_round(selection)
    names = [file_name(candidate_unit(level, candidate, final["steps"])) for candidate in final["candidates"]]
    found = [load_evaluations(path, name, labelled=labelled) for name in names]
    for name, arrays in zip(names, found, strict=True):
        if labelled and not np.array_equal(arrays["labels"], found[0]["labels"]):
            first, other = (predictions_path(path, each) for each in (names[0], name))
            raise FileError(f"{other} has other labels than {first}; start the run again")
    return np.stack([arrays["examples"][-last:].mean(axis=0) for arrays in found])


def assess_finals(
    selection: Mapping[str, Any],
    pool: Float64[np.ndarray, "finalists n"],
    others: Sequence[Float64[np.ndarray, "others m"]],
) -> Confidence:
    """How certain a level's choice is.

    Args:
        selection: how the winner was chosen.
        pool, others: the `finals` of this level and of the other levels.

    Raises:
        StatisticError: if the scores do not show it, as those of a single example.
    """
    known = [other for other in others if other.shape[1] > 1 and np.isfinite(other).all()]
    winner = final_round(selection)["candidates"].index(selection["winner"])
    return assess_choice(pool, others=known, winner=winner)
