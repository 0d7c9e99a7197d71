"""How the steps of early evaluation are spent: who trains on, who is dropped, who wins.

A strategy is a list of stages. It trains nothing itself: it asks an `Evaluate` to train candidates on, and reads
what comes back. The same strategy thus runs in a search, on many machines, or over a recording.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, ClassVar, get_args

import numpy as np

from randprune_lab.errors import ConfigError, RunError, check_range
from randprune_lab.registry import Registry
from randprune_lab.search.selection import Drop, Evaluate, Evaluation, Round, Score, Selection
from randprune_lab.stats.paired_test import worse

Dropping = Callable[[list[Evaluation]], list[Drop]]
"""Says who trains no further, of evaluations sorted by score, best first."""


@dataclass(frozen=True)
class Stage:
    """All who are still racing are trained until `steps`, scored by their `last` evaluations, and some are dropped."""

    steps: int
    score: Score
    last: int
    drop: Dropping


STRATEGIES: Registry[Strategy] = Registry("strategy")
"""All strategies by name; a strategy that is defined joins them."""


@dataclass(frozen=True)
class Strategy(ABC):
    """A way to find the best of some candidates. Strategies are frozen dataclasses: equal settings are equal.

    A class that derives from `Strategy` and has a name is registered by it: searches find it by that name.
    """

    name: ClassVar[str]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        STRATEGIES.add(cls)

    @property
    def steps_fraction(self) -> float:
        """The steps it takes at most, as a fraction of training all candidates to the end."""
        return 1.0

    @abstractmethod
    def stages(self, candidates: int, total_steps: int, every: int) -> list[Stage]:
        """What is done, with rising steps; the last stage leaves one candidate. Arguments as in `select`."""

    def select(self, candidates: Sequence[int], total_steps: int, evaluate: Evaluate, *, every: int = 1) -> Selection:
        """Race the candidates until one is left; of equal scores the lowest number is best.

        Args:
            total_steps: steps of one whole early evaluation; no candidate is trained longer.
            every: candidates stop at multiples of it, or at `total_steps`: the steps between two evaluations, or 1 if
                training is also evaluated wherever it stops.

        Raises:
            ConfigError: if there are no candidates, one is named twice, or a setting does not fit these numbers.
            RunError: if the scores of all candidates are not finite.
        """
        racing = sorted(candidates)
        if not racing or len(set(racing)) < len(racing):
            raise ConfigError(f"candidates must be different numbers, at least one, got {list(candidates)}")
        check_range("total_steps", total_steps, low=1)
        check_range("every", every, low=1)
        rounds: list[Round] = []
        passes: dict[tuple[int, bool], int] = {}
        for stage in self.stages(len(racing), total_steps, every):
            found = evaluate([(candidate, stage.steps) for candidate in racing])
            scores = {evaluation.candidate: evaluation.score(stage.score, stage.last) for evaluation in found}
            sound = [e for e in found if math.isfinite(scores[e.candidate]) and np.isfinite(e.examples).all()]
            if not sound:
                raise RunError(f"no candidate has finite scores after {stage.steps} steps; lower the learning rate")
            diverged = sorted(set(racing) - {evaluation.candidate for evaluation in sound})
            ranked = sorted(sound, key=lambda evaluation: (-scores[evaluation.candidate], evaluation.candidate))
            dropped = [Drop(candidate, "its answers are not finite") for candidate in diverged] + stage.drop(ranked)
            rounds.append(Round(stage.steps, tuple(racing), tuple(scores[c] for c in racing), tuple(dropped)))
            # A pass before training is not in the evaluations of the training.
            passes |= {(evaluation.candidate, stage.steps > 0): len(evaluation.at) for evaluation in found}
            racing = sorted(set(racing) - {drop.candidate for drop in dropped})
            if len(racing) == 1:
                break
        return Selection(tuple(rounds), sum(passes.values()))

    def to_dict(self) -> dict[str, Any]:
        """Name and settings, as `make_strategy` takes them."""
        settings = {setting.name: getattr(self, setting.name) for setting in fields(self)}
        plain = {key: value.to_dict() if isinstance(value, Strategy) else value for key, value in settings.items()}
        return {"strategy": self.name, **plain}


@dataclass(frozen=True, kw_only=True)
class ScoredStrategy(Strategy):
    """A strategy that goes by one score throughout.

    Args:
        score: what a candidate is judged by: the task metric, or the mean log-likelihood of the right answers.
        last: a score is the mean of so many last evaluations, or of all if there are fewer.
    """

    score: Score = "metric"
    last: int = 10

    def __post_init__(self) -> None:
        _check_score(self.score)
        check_range("last", self.last, low=1)

    def _stage(self, steps: int, drop: Dropping) -> Stage:
        return Stage(steps, self.score, self.last, drop)


@dataclass(frozen=True, kw_only=True)
class TrainAll(ScoredStrategy):
    """All candidates are trained to the end (Li, Gao, Lei and Xu, Findings of EMNLP 2023, arXiv 2310.13183)."""

    name: ClassVar[str] = "full"

    def stages(self, candidates: int, total_steps: int, every: int) -> list[Stage]:
        return [self._stage(total_steps, _best(1))]


@dataclass(frozen=True, kw_only=True)
class SuccessiveHalving(ScoredStrategy):
    """The best 1 / eta go on, round by round, each round with the same share of the budget.

    (Karnin, Koren and Somekh 2013; Jamieson and Talwalkar 2016.) Steps that a round leaves over, because it stops
    where there is an evaluation, go to the next. A budget that does not reach the first evaluation so is spent in fewer
    rounds, with a larger eta.

    Args:
        eta: one candidate in so many goes on, rounded up, or in more.
        budget: steps to spend at most, as a share of those of all candidates trained to the end.
    """

    eta: int = 2
    budget: float = 1 / 3
    name: ClassVar[str] = "halving"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("eta", self.eta, low=2)
        check_range("budget", self.budget, low=0, low_open=True, high=1)

    @property
    def steps_fraction(self) -> float:
        return self.budget

    def stages(self, candidates: int, total_steps: int, every: int) -> list[Stage]:
        for eta in itertools.count(self.eta):
            sizes = [candidates]
            while sizes[-1] > eta:
                sizes.append(math.ceil(sizes[-1] / eta))
            if (stops := self._stops(sizes, total_steps, every))[0] > 0:
                break
            if len(sizes) == 1:
                raise ConfigError(
                    f"a budget of {self.budget:g} gives each of {candidates} candidates "
                    f"{int(self.budget * total_steps + 1e-6)} steps, and they are evaluated after {every}; "
                    "raise it, or evaluate more often"
                )
        keep = [*sizes[1 : len(stops)], 1]
        return [self._stage(stop, _best(size)) for stop, size in zip(stops, keep, strict=True)]

    def _stops(self, sizes: Sequence[int], total_steps: int, every: int) -> list[int]:
        """The steps after which rounds of so many candidates end; the first is 0 if the budget is too small for it."""
        allowed = int(self.budget * sizes[0] * total_steps + 1e-6)
        stops = [0]
        spent = 0
        for number, size in enumerate(sizes, start=1):
            reach = stops[-1] + (allowed * number // len(sizes) - spent) // size
            stops.append(total_steps if reach >= total_steps else reach // every * every)
            spent += size * (stops[-1] - stops[-2])
            if stops[-1] in (0, total_steps):
                break
        return stops[1:]


@dataclass(frozen=True, kw_only=True)
class PairedRace(ScoredStrategy):
    """A candidate is dropped when a paired test on the shared validation examples says that another is better.

    The chance that any candidate is dropped at a look at which, over the population of examples, it is the best of
    all is at most `error_rate`: so one that is best at every look stays to the end with a chance of at least
    1 - `error_rate`. Each test of a candidate, against every other and at every look, has an equal share of the
    error rate (Bonferroni), which asks nothing about how looks and candidates depend on each other. Nothing is
    said of a candidate that is behind now and would overtake later, nor of training seeds. After a screening on the
    same examples it holds for those kept only as far as the screening did not depend on chance.

    The test is about the mean log-likelihood over the last evaluations, whatever the score that decides among those
    who reach the end. It is a normal approximation: see `paired_test.worse`.

    Args:
        error_rate: at most so often is a best one dropped.
        looks: evenly spaced stops, the end included, where the best score decides and nobody is tested.
    """

    score: Score = "log-loss"
    error_rate: float = 0.05
    looks: int = 10
    name: ClassVar[str] = "race"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("error_rate", self.error_rate, low=0, low_open=True, high=0.5)
        check_range("looks", self.looks, low=2)

    def stages(self, candidates: int, total_steps: int, every: int) -> list[Stage]:
        wanted = [math.ceil(total_steps * look / self.looks / every) * every for look in range(1, self.looks)]
        stops = sorted({stop for stop in wanted if stop < total_steps})
        level = self.error_rate / max(1, len(stops) * (candidates - 1))
        tested = [self._stage(stop, partial(_worse, last=self.last, level=level)) for stop in stops]
        return [*tested, self._stage(total_steps, _best(1))]


@dataclass(frozen=True, kw_only=True)
class Screened(Strategy):
    """Judge all candidates masked but not trained, and let only the best of them race.

    Args:
        keep: so many candidates race.
        then: how they race.
        score: what is compared before training; the metric of an untrained sparse model says next to nothing.
    """

    keep: int = 16
    then: Strategy = field(default_factory=TrainAll)
    score: Score = "log-loss"
    name: ClassVar[str] = "screened"

    def __post_init__(self) -> None:
        check_range("keep", self.keep, low=1)
        _check_score(self.score)

    def stages(self, candidates: int, total_steps: int, every: int) -> list[Stage]:
        if self.keep > candidates:
            raise ConfigError(f"keep must be at most {candidates}, the number of candidates, got {self.keep}")
        return [Stage(0, self.score, 1, _best(self.keep)), *self.then.stages(self.keep, total_steps, every)]


def make_strategy(strategy: str, **settings: Any) -> Strategy:
    """The strategy of that name, as a command line or a recorded run says it; `then` may be a dictionary.

    >>> make_strategy("halving", budget=0.25)
    SuccessiveHalving(score='metric', last=10, eta=2, budget=0.25)
    """
    if isinstance(settings.get("then"), Mapping):
        settings["then"] = make_strategy(**settings["then"])
    return STRATEGIES.make(strategy, settings)


def _check_score(score: str) -> None:
    if score not in get_args(Score):
        raise ConfigError(f"score must be {' or '.join(get_args(Score))}, got {score!r}")


def _best(keep: int) -> Dropping:
    """Drop all but the best `keep`."""
    return lambda ranked: [Drop(e.candidate, f"not among the best {keep} of {len(ranked)}") for e in ranked[keep:]]


def _worse(ranked: list[Evaluation], *, last: int, level: float) -> list[Drop]:
    """Drop who is worse than another by a paired test of that level. The highest mean is never dropped."""
    p = worse(np.stack([evaluation.by_example(last) for evaluation in ranked]))
    return [
        Drop(ranked[i].candidate, f"worse than candidate {ranked[j].candidate} (p = {p[i, j]:.1e} ≤ {level:.1e})")
        for i, j in enumerate(p.argmin(axis=1))
        if p[i, j] <= level
    ]
