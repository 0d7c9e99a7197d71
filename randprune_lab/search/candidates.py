"""Drawing the candidates of a level, and choosing among them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cached_property

import numpy as np
from torch import Tensor, nn

from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.recipe import Recipe
from randprune_lab.masks.rules import Rule
from randprune_lab.masks.sampler import MaskSampler
from randprune_lab.search.config import Method, RunConfig

Weights = dict[str, Tensor]


class Drawing:
    """The candidates of one method at one level: puts the model at the level's start and draws its masks."""

    def __init__(
        self, model: nn.Module, load_start: Callable[[], Weights], method: Method, config: RunConfig, level: int
    ):
        self.model, self.load_start, self.method = model, load_start, method
        self.sparsity, self.group = config.levels[level - 1], config.group
        self.seed = derived_seed(config.seed, "mask", level)
        self._samplers: dict[Rule, MaskSampler] = {}

    @cached_property
    def start(self) -> Weights:
        return self.load_start()

    def start_with(self, number: int) -> MaskSet:
        """The mask of a candidate, drawn from the level's starting weights, which the model then has."""
        self.model.load_state_dict(self.start)
        return self._sampler(number).draw(number)

    def recipe(self, number: int) -> Recipe:
        """What names the mask of a candidate, given the level's starting weights."""
        return self._sampler(number).recipe(number)

    def _sampler(self, number: int) -> MaskSampler:
        """The sampler of a candidate's rule, planned from the weights that the model has when it is first wanted."""
        rule = self.method.rule(number)
        if rule not in self._samplers:
            self._samplers[rule] = MaskSampler(self.model, rule, self.sparsity, seed=self.seed, group=self.group)
        return self._samplers[rule]


def select(scores: list[float]) -> int:
    """The candidate with the highest early score; the lowest number of equals."""
    return int(np.argmax(scores))


def derived_seed(seed: int, *parts: object) -> int:
    """A seed for one purpose, so that no two purposes share random numbers. Fits NumPy's and PyTorch's seeds."""
    message = "/".join(map(str, (seed, *parts)))
    return int.from_bytes(hashlib.blake2b(message.encode(), digest_size=8).digest()[:7])
