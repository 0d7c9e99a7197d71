"""What the masks of a level are drawn from, as the settings of a run say, and by which scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor

from randprune_lab.criteria import CRITERIA
from randprune_lab.errors import ConfigError
from randprune_lab.masks.rules import Uniform
from randprune_lab.registry import summary
from randprune_lab.search.config import RunConfig
from randprune_lab.search.method import Method
from randprune_lab.search.proposals import LearnedAllocation, LearnedInclusion, Proposal
from randprune_lab.search.scorer import WANDA_ROWS, Scorer, first_batches, random_batches
from randprune_lab.training.data import Encoded

SCORE_BATCHES = 16
"""Number of batches that a criterion runs the model on, without `score_batches`."""


def proposal_of(
    config: RunConfig,
    method: Method,
    level: int,
    seed: int,
    train: Encoded | None = None,
    recorded: Mapping[str, Tensor] | None = None,
) -> Proposal:
    """The distribution that a method's masks at a level are drawn from; levels count from 1.

    Args:
        config: the settings of the run.
        method: one of the configuration's `methods()`.
        seed: the seed of the masks.
        train: the train set; all criteria but "magnitude" need it.
        recorded: the scores that the training of the level before summed up, for a criterion that is accumulated.

    Raises:
        ConfigError: if the criterion is not "magnitude" and `train` is None.
    """
    size = max(1, method.candidates // config.generations)
    made: Callable[..., Proposal] = Proposal
    if method.candidates > 1 and config.learn == "allocation":
        made = partial(LearnedAllocation, spread=config.allocation_spread)
    elif method.candidates > 1 and config.learn == "inclusion":
        made = LearnedInclusion
    incumbent = config.incumbent and method.candidates > 1
    ignored = all(isinstance(rule, Uniform) for rule in method.rules) and not incumbent
    scores = None if config.criterion == "magnitude" or ignored else _scorer(config, seed, train, recorded)
    settings: dict[str, Any] = {"rate": config.learn_rate, "scores": scores, "incumbent": incumbent, **config.scope}
    settings |= {"structure": config.structure}
    return made(method.rules, config.levels[level - 1], seed, config.divided(), size, **settings)


def _scorer(config: RunConfig, seed: int, train: Encoded | None, recorded: Mapping[str, Tensor] | None) -> Scorer:
    """What computes the scores of a level; its batches come from the seed of the masks."""
    if train is None:
        raise ConfigError(
            f"criterion {config.criterion!r} needs the train set, which the model is run on, got train=None"
        )
    if recorded is not None:
        batches = []
    elif config.criterion == "wanda" and config.score_batches is None:
        batches = first_batches(train)
    else:
        batches = random_batches(train, config.batch_size, config.score_batches or SCORE_BATCHES, seed)
    return Scorer(config.importance, batches, config.scope, recorded)


def described_criterion(config: RunConfig) -> str:
    """The criterion in words, with its cost, and what another choice would be."""
    criterion = config.importance
    if config.criterion == "magnitude":
        other = CRITERIA["fisher"]
        return f"magnitude, as published; another choice is --criterion {other.name} ({summary(other)})"
    passes = f"{criterion.forward} forward and {criterion.backward} backward passes"
    cost = f"{passes} over {config.score_batches or SCORE_BATCHES} train batches a level"
    if config.accumulated:
        cost = "summed up over the training of the level before"
    elif config.criterion == "wanda" and config.score_batches is None:
        cost = f"{passes} over {WANDA_ROWS} train examples a level"
    return f"{config.criterion} ({summary(type(criterion))}), {cost}; the published choice is --criterion magnitude"
