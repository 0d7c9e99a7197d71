"""Strategies decide how the steps of early evaluation are spent: which candidates are trained on, and which one wins.

A strategy is a list of stages. It trains nothing itself: it asks an `Evaluate` function to train candidates, and reads
the evaluations that it returns. So the same strategy runs in a search, on many machines, or over recorded evaluations.
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
from randprune_lab.stats.confidence import assess_choice
from randprune_lab.stats.paired_test import worse

NOT_FINITE = "its answers are not finite"
"""Why a candidate is dropped whose training diverged."""

Dropping = Callable[[list[Evaluation]], list[Drop]]
"""Decides which candidates are dropped, from their evaluations sorted by score, best first."""


@dataclass(frozen=True)
class Stage:
    """One stage: train the remaining candidates up to `steps`, score their `last` evaluations, and drop some.

    `tests` says that `drop` compares candidates example by example.
    """

    steps: int
    score: Score
    last: int
    drop: Dropping
    tests: bool = False

    @property
    def needs_examples(self) -> bool:
        """Whether it needs scores of examples."""
        return self.tests or self.score == "log-loss"


STRATEGIES: Registry[Strategy] = Registry("strategy")
"""All strategies by name. A strategy is added when its class is defined."""


@dataclass(frozen=True)
class Strategy(ABC):
    """A way to find the best of some candidates.

    Strategies are frozen dataclasses: those with equal settings are equal. A subclass with a `name` is registered under
    this name, where searches find it.
    """

    name: ClassVar[str]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        STRATEGIES.add(cls)

    @property
    def steps_fraction(self) -> float:
        """The largest number of steps that it spends, as a fraction of training all candidates to the end."""
        return 1.0

    @abstractmethod
    def stages(self, candidates: int, total_steps: int, every: int) -> list[Stage]:
        """The stages of a race, with increasing steps; the last stage leaves one candidate.

        Args:
            candidates: the number of candidates.
            total_steps, every: see `select`.
        """

    def select(self, candidates: Sequence[int], total_steps: int, evaluate: Evaluate, *, every: int = 1) -> Selection:
        """Race the candidates until one is left; among equal scores, the lowest number is the best.

        Args:
            candidates: the numbers of the candidates.
            total_steps: the steps of one whole early evaluation; no candidate is trained longer.
            evaluate: trains candidates, and returns their evaluations.
            every: candidates stop at multiples of this number of steps, or at `total_steps`. It is the number of steps
                between two evaluations, or 1 if a candidate is also evaluated wherever it stops.

        Raises:
            ConfigError: if there are no candidates, one is named twice, or a setting does not fit these numbers.
            RunError: if no candidate has finite scores.
        """
        racing = sorted(candidates)
        if not racing or len(set(racing)) < len(racing):
            raise ConfigError(f"candidates must be one or more different numbers, got {list(candidates)}")
        check_range("total_steps", total_steps, low=1)
        check_range("every", every, low=1)
        rounds: list[Round] = []
        passes: dict[tuple[int, bool], int] = {}
        for stage in self.stages(len(racing), total_steps, every):
            evaluations = evaluate([(candidate, stage.steps) for candidate in racing])
            scores = {evaluation.candidate: evaluation.score(stage.score, stage.last) for evaluation in evaluations}
            finite = [e for e in evaluations if math.isfinite(scores[e.candidate]) and np.isfinite(e.examples).all()]
            if not finite:
                raise RunError(
                    f"no candidate has finite scores after {stage.steps} steps, because all diverged; lower early_rate "
                    "(--early-rate) or learning_rate (--learning-rate)"
                )
            diverged = sorted(set(racing) - {evaluation.candidate for evaluation in finite})
            ranked = sorted(finite, key=lambda evaluation: (-scores[evaluation.candidate], evaluation.candidate))
            dropped = [Drop(candidate, NOT_FINITE) for candidate in diverged] + stage.drop(ranked)
            rounds.append(Round(stage.steps, tuple(racing), tuple(scores[c] for c in racing), tuple(dropped)))
            # The evaluation without training is not among the evaluations of the training, so it is counted apart.
            passes |= {(evaluation.candidate, stage.steps > 0): len(evaluation.at) for evaluation in evaluations}
            racing = sorted(set(racing) - {drop.candidate for drop in dropped})
            if len(racing) == 1:
                break
        return Selection(tuple(rounds), sum(passes.values()))

    def to_dict(self) -> dict[str, Any]:
        """The name and the settings, as `make_strategy` takes them."""
        settings = {setting.name: getattr(self, setting.name) for setting in fields(self)}
        plain = {key: value.to_dict() if isinstance(value, Strategy) else value for key, value in settings.items()}
        return {"strategy": self.name, **plain}


@dataclass(frozen=True, kw_only=True)
class ScoredStrategy(Strategy):
    """A strategy that uses the same score at every stage.

    Args:
        score: "metric" for the task metric, "log-loss" for the mean log-likelihood of the right answers.
        last: the number of last evaluations that a score is the mean of; all of them, if there are fewer.
    """

    score: Score = "metric"
    last: int = 10

    def __post_init__(self) -> None:
        _check_score(self.score)
        check_range("last", self.last, low=1)

    def _stage(self, steps: int, drop: Dropping, *, tests: bool = False) -> Stage:
        return Stage(steps, self.score, self.last, drop, tests)


@dataclass(frozen=True, kw_only=True)
class TrainAll(ScoredStrategy):
    """Train all candidates to the end.

    Source: Li, Gao, Lei and Xu, Findings of EMNLP 2023, arXiv 2310.13183.
    """

    name: ClassVar[str] = "full"

    def stages(self, candidates: int, total_steps: int, every: int) -> list[Stage]:
        return [self._stage(total_steps, _best(1))]


@dataclass(frozen=True, kw_only=True)
class SuccessiveHalving(ScoredStrategy):
    """Keep the best 1 / eta of the candidates in each round; each round gets an equal part of the budget.

    A round stops at an evaluation, and the steps that it leaves over go to the next round. If the budget does not reach
    the first evaluation in this way, it is spent in fewer rounds, with a larger eta.

    Args:
        eta: one candidate in `eta` is kept, rounded up; a small budget can make the number larger.
        budget: the largest number of steps to spend, as a fraction of training all candidates to the end.

    Source: Karnin, Koren and Somekh 2013; Jamieson and Talwalkar 2016.
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
                    f"{int(self.budget * total_steps + 1e-6)} steps, but the first evaluation comes after {every}; "
                    "raise the budget, or evaluate more often"
                )
        keep = [*sizes[1 : len(stops)], 1]
        return [self._stage(stop, _best(size)) for stop, size in zip(stops, keep, strict=True)]

    def _stops(self, sizes: Sequence[int], total_steps: int, every: int) -> list[int]:
        """The steps at which rounds of these sizes end; the first is 0 if the budget does not reach an evaluation."""
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
    """Drop a candidate when a paired test on the validation examples says that another candidate is better.

    Candidates are tested at several looks. The best candidate at a look is the one with the highest mean over the
    population of examples. The probability that any look drops its best candidate is at most `error_rate`. So a
    candidate that is the best at every look reaches the end with probability 1 - `error_rate` or more. If
    several are equally good, each of them does, but all of them together may not.

    Each test compares two candidates at one look, and gets an equal part of the error rate (Bonferroni). This assumes
    nothing about the dependence between looks or between candidates. The guarantee does not cover a candidate that is
    behind now and would overtake later, nor other training seeds. After a screening on the same examples, it covers the
    remaining candidates only as far as the screening did not depend on chance.

    The test compares mean log-likelihoods over the last evaluations, even if another score decides at the end. It is
    approximate: see `paired_test.worse`.

    Args:
        error_rate: the probability that a best candidate is dropped, at most.
        looks: the number of evenly spaced stops, including the end. At the end nothing is tested: the best score wins.
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
        looks = min(self.looks, math.ceil(total_steps / every))  # more would stop at the same steps
        spaced = [math.ceil(total_steps * look / looks / every) * every for look in range(1, looks)]
        stops = sorted({stop for stop in spaced if stop < total_steps})
        level = self.error_rate / max(1, len(stops) * (candidates - 1))
        drop = partial(_worse, last=self.last, level=level)
        return [*(self._stage(stop, drop, tests=True) for stop in stops), self._stage(total_steps, _best(1))]


@dataclass(frozen=True, kw_only=True)
class Screened(Strategy):
    """Score all candidates without training, and let only the best of them race.

    Args:
        keep: the number of candidates that race.
        then: the strategy of the race.
        score: the score without training. The task metric of a masked, untrained model says almost nothing.
    """

    keep: int = 16
    then: Strategy = field(default_factory=TrainAll)
    score: Score = "log-loss"
    name: ClassVar[str] = "screened"

    def __post_init__(self) -> None:
        check_range("keep", self.keep, low=1)
        _check_score(self.score)

    @property
    def steps_fraction(self) -> float:
        return self.then.steps_fraction  # of those that race; the others are not trained

    def stages(self, candidates: int, total_steps: int, every: int) -> list[Stage]:
        if self.keep > candidates:
            raise ConfigError(f"keep must be at most {candidates}, the number of candidates, got {self.keep}")
        return [Stage(0, self.score, 1, _best(self.keep)), *self.then.stages(self.keep, total_steps, every)]


@dataclass(frozen=True, kw_only=True)
class Cautious(ScoredStrategy):
    """Train all candidates to the end, and leave candidate 0 only for one that is better after shrinkage.

    Candidate 0 is the mask that a search has to beat (`incumbent`). The best of several others looks better than it
    is. So the scores of the others are shrunk towards their mean, as `stats.assess_choice` does, and the best of
    them wins only if its shrunk score is above that of candidate 0. It is judged by log-loss. The noise of other
    training seeds is not covered.

    Source: Efron and Morris 1975 (shrinkage).
    """

    score: Score = "log-loss"
    name: ClassVar[str] = "cautious"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.score != "log-loss":
            raise ConfigError(f'the strategy cautious compares by score="log-loss", got {self.score!r}')

    def stages(self, candidates: int, total_steps: int, every: int) -> list[Stage]:
        return [self._stage(total_steps, partial(_unless_ahead, last=self.last), tests=True)]


def make_strategy(strategy: str, **settings: Any) -> Strategy:
    """The strategy of a name, as on the command line or in a recorded run.

    Args:
        strategy: the name.
        settings: the settings of the strategy; `then` may be a dictionary.

    Raises:
        UnknownNameError: if there is no such strategy.
        ConfigError: if it has no such setting, or a value is out of range.

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


def _unless_ahead(ranked: list[Evaluation], *, last: int) -> list[Drop]:
    """Drop all but candidate 0, or all but the best of the others if it is ahead of candidate 0 after shrinkage."""
    others = [evaluation for evaluation in ranked if evaluation.candidate]
    if not others:
        return []
    examples = np.stack([evaluation.by_example(last) for evaluation in others])
    expected = assess_choice(examples).expected if len(others) > 1 else examples.mean(axis=1)
    winner, why = others[int(expected.argmax())], "not the best of the others"
    for incumbent in (evaluation for evaluation in ranked if not evaluation.candidate):
        lead = float(expected.max()) - float(incumbent.by_example(last).mean())
        why = f"candidate {winner.candidate}, the best of the others, leads candidate 0 by {lead:+.2g} after shrinkage"
        winner = winner if lead > 0 else incumbent
    return [Drop(evaluation.candidate, why) for evaluation in ranked if evaluation is not winner]


def _worse(ranked: list[Evaluation], *, last: int, level: float) -> list[Drop]:
    """Drop candidates that a paired test at this level finds worse than another. The highest mean is never dropped."""
    p = worse(np.stack([evaluation.by_example(last) for evaluation in ranked]))
    return [
        Drop(ranked[i].candidate, f"worse than candidate {ranked[j].candidate} (p = {p[i, j]:.1e} ≤ {level:.1e})")
        for i, j in enumerate(p.argmin(axis=1))
        if p[i, j] <= level
    ]
