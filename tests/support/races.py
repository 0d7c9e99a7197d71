"""Candidates with known trajectories, for strategies to race without training."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from randprune_lab.search.selection import Evaluation


class Track:
    """An `Evaluate` that makes up its candidates, and counts what is spent on them.

    Args:
        answers: gives the log-likelihoods of a candidate after so many steps.
        every: steps between two evaluations.
    """

    def __init__(self, answers: Callable[[int, int], np.ndarray], every: int = 10):
        self.answers, self.every = answers, every
        self.reached: dict[int, int] = {}
        self.passes: dict[int, set[int]] = {}

    def __call__(self, requests):
        for candidate, steps in requests:
            assert steps >= self.reached.get(candidate, 0), "a candidate was sent back"
            self.reached[candidate] = steps
        return [self.evaluation(candidate, steps) for candidate, steps in reversed(requests)]

    @property
    def spent(self) -> int:
        return sum(self.reached.values())

    @property
    def evaluations(self) -> int:
        return sum(map(len, self.passes.values()))

    def evaluation(self, candidate: int, steps: int) -> Evaluation:
        at = sorted({*range(self.every, steps + 1, self.every), steps}) if steps else [0]
        self.passes.setdefault(candidate, set()).update(at)
        examples = np.stack([self.answers(candidate, step) for step in at])
        return Evaluation(candidate, steps, tuple(at), tuple((examples > -0.7).mean(axis=1).tolist()), examples)


def noiseless(abilities) -> Callable[[int, int], np.ndarray]:
    """Candidates that keep their order on every example, however long they are trained."""
    spread = np.linspace(0.5, 1.5, 40)

    def answers(candidate: int, step: int) -> np.ndarray:
        return -spread * np.exp(-abilities[candidate] - step / 100)

    return answers


def noisy(abilities, n: int, seed: int, noise: Callable[..., np.ndarray]) -> Callable[[int, int], np.ndarray]:
    """Candidates whose mean over the population of examples is their ability, at every step."""
    random = np.random.default_rng(seed)
    common = random.normal(size=n)
    own = noise(random, (len(abilities), n))

    def answers(candidate: int, step: int) -> np.ndarray:
        wobble = np.random.default_rng((seed, candidate, step)).normal(size=n)
        return common + abilities[candidate] + own[candidate] + 0.3 * wobble

    return answers


def gauss(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return random.normal(size=shape)


def heavy(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return random.standard_t(3, size=shape)


def overconfident(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Small gains on most examples, large losses on few; all but the first candidate. Mean 0, skewness about -5."""
    noise = 0.05 - np.where(random.random(shape) < 0.05, random.exponential(size=shape), 0.0)
    noise[0] = 0
    return noise
