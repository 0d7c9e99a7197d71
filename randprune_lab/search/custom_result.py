"""What a search with custom training found, level by level."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.search.certainty import assess_finals, finals, last_scores
from randprune_lab.search.custom_config import CustomConfig
from randprune_lab.search.journal import read_journal
from randprune_lab.search.run_files import mask_path
from randprune_lab.search.units import level_unit, selection_unit
from randprune_lab.stats.confidence import Confidence
from randprune_lab.stats.known import known


@dataclass(frozen=True, eq=False)
class LevelResult:
    """What a `MaskSearch` found at a level.

    Args:
        level: the level, from 1.
        sparsity: the fraction of the weights that its masks remove.
        winner: the number of the chosen candidate.
        score: the score of the winner after its training: the best one with `keep_best`.
        scores: the last early score of each candidate; empty if there was only one.
        steps: the training steps of all candidates together.
        confidence: how certain the choice among the last candidates is; None if there was no choice, or it cannot be
            computed, as without scores of examples.
        path: the folder of the search.
    """

    level: int
    sparsity: float
    winner: int
    score: float
    scores: dict[int, float]
    steps: int
    confidence: Confidence | None
    path: Path

    @property
    def mask(self) -> MaskSet:
        """The mask of the winner.

        Raises:
            FileError: if its file is missing or damaged.
        """
        return MaskSet.load(mask_path(self.path, level_unit(CustomConfig.method, self.level)))


def read_results(path: Path, config: CustomConfig) -> list[LevelResult]:
    """The results of the levels that are done.

    Raises:
        FileError: if a file of the search is damaged.
    """
    units, last = read_journal(path), config.choice.last
    names = [level_unit(config.method, number) for number in range(1, len(config.levels) + 1)]
    done = [name for name in names if name in units]
    chosen = {name: units[unit] for name in done if (unit := selection_unit(name)) in units}
    pools = {name: finals(path, name, chosen[name], last, labelled=False) for name in chosen}

    def confidence(name: str) -> Confidence | None:
        others = [pools[other] for other in pools if other != name]
        return known(lambda: assess_finals(chosen[name], pools[name], others))[0] if name in chosen else None

    return [
        LevelResult(
            level=number,
            sparsity=units[name]["sparsity"],
            winner=units[name]["winner"],
            score=units[name]["score"],
            scores=last_scores(chosen.get(name, {})),
            steps=chosen.get(name, {}).get("steps", 0),
            confidence=confidence(name),
            path=path,
        )
        for number, name in enumerate(done, start=1)
    ]
