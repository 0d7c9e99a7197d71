"""Mask rules: distributions over the masks that keep k weights of a group.

A rule is its inclusion curve. `Magnitude` is the step, `Uniform` the constant; everything else is between them.
The curves are limits for large groups; `MaskSampler` runs the reference procedure on small ones.

A class that derives from `Rule` and has a name is registered by it: searches and recipes find it by that name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float64, Int64
from scipy.special import betainc, rel_entr

from randprune_lab.errors import ConfigError, RuleError, check_count, check_range
from randprune_lab.masks.curve import Histogram, InclusionCurve, lawful
from randprune_lab.registry import Registry, is_builtin, setting

LARGE = 1e12
"""The largest power of a score; with larger ones, 64-bit floats cannot hold its logarithm exactly enough to draw k."""

MOST_VOTES = 1e6
"""The largest number of rounds for each weight removed; of a billion weights, 64-bit floats hold no larger total."""

RULES: Registry[Rule] = Registry("rule")
"""All rules by name; a rule that is defined joins them."""


@dataclass(frozen=True)
class Rule(ABC):
    """A distribution over masks. Rules are frozen dataclasses: equal settings are equal rules.

    >>> @dataclass(frozen=True)
    ... class Halfway(Rule):
    ...     name: ClassVar[str] = "halfway"
    ...     def inclusion(self, histogram, k):
    ...         return (Magnitude().inclusion(histogram, k) + Uniform().inclusion(histogram, k)) / 2
    >>> make_rule("halfway")
    Halfway()
    """

    name: ClassVar[str]
    deterministic: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "curve" in vars(cls):
            raise ConfigError(
                f"rule {cls.__name__} must not have a curve of its own, unchecked; define inclusion instead"
            )
        if "inclusion" in vars(cls) and "votes" not in vars(cls):
            cls.votes = Rule.votes  # type: ignore[method-assign]  # a base class's are for the curve of that class
        RULES.add(cls)

    def __post_init__(self) -> None:
        """Numbers of NumPy and PyTorch become Python's: a recipe, in JSON, then makes the same rule."""
        for each in fields(self):
            value = getattr(self, each.name)
            if getattr(value, "ndim", None) == 0:
                with suppress(RuntimeError):  # a tensor without a value, which the check of the setting names
                    object.__setattr__(self, each.name, value.item())

    @abstractmethod
    def inclusion(self, histogram: Histogram, k: int) -> Float64[np.ndarray, " b"]:
        """The inclusion probability in each bucket of `histogram`, where 0 < k < `histogram.nonzero`.

        A new array as long as `histogram.counts`, from 0 to 1, that never falls as the score rises, with
        `sum(histogram.counts * q) = k`. Anything else is a `RuleError` where a mask would be drawn with it.
        """

    def curve(self, histogram: Histogram, k: int) -> InclusionCurve:
        """The inclusion curve of keeping k of the weights in `histogram`.

        Raises:
            ConfigError: if k is not from 0 to `histogram.nonzero`.
            RuleError: if what `inclusion` returned breaks one of its laws.
        """
        check_count("k", k, low=0, high=histogram.nonzero)
        if k == 0 or k == histogram.nonzero:
            q = np.full(len(histogram.counts), 0.0 if k == 0 else 1.0)
        elif is_builtin(type(self)):  # tests show that these obey the laws
            q = self.inclusion(histogram, k)
        else:
            name = getattr(self, "name", type(self).__name__)
            q = lawful(self.inclusion(deepcopy(histogram), k), histogram, k, name, self.deterministic)
        return InclusionCurve(histogram, q, k, self.deterministic)

    def votes(self, n: int, k: int) -> Votes | None:
        """How the reference procedure draws k of n weights, or None where the curve is exact at any size."""
        return None

    def to_dict(self) -> dict[str, Any]:
        """The name and the settings, from which `make_rule` makes the rule again.

        Raises:
            RuleError: if the class has no name.
        """
        if not hasattr(self, "name"):
            raise RuleError(
                f"rule {type(self).__name__} cannot be recorded: give its class a name: name: ClassVar[str] = 'mine'"
            )
        return {"rule": self.name, **asdict(self)}


@dataclass(frozen=True)
class Votes:
    """`rounds` successive samples with probabilities proportional to `score ** power`; the most votes are kept."""

    rounds: int
    power: float

    def __post_init__(self) -> None:
        check_count("rounds", self.rounds)
        check_range("power", self.power, low=0, high=LARGE)


@dataclass(frozen=True)
class Magnitude(Rule):
    """Keep the k largest scores. Equal scores go by the lower index; nothing is random.

    >>> Magnitude().deterministic
    True
    """

    name: ClassVar[str] = "magnitude"
    deterministic: ClassVar[bool] = True

    def inclusion(self, histogram: Histogram, k: int) -> Float64[np.ndarray, " b"]:
        return InclusionCurve(histogram, np.zeros(0), k).magnitude


@dataclass(frozen=True)
class Uniform(Rule):
    """Keep k of the non-zero weights at random, all subsets equally likely."""

    name: ClassVar[str] = "uniform"

    def inclusion(self, histogram: Histogram, k: int) -> Float64[np.ndarray, " b"]:
        return np.full(len(histogram.counts), k / histogram.nonzero)


@dataclass(frozen=True)
class GumbelTopK(Rule):
    """Sample k weights one after the other, with probabilities proportional to `score ** (1 / temperature)`.

    The same distribution as `torch.multinomial(p, k, replacement=False)` and as the k largest of
    `log(score) / temperature + Gumbel noise` (Kool et al. 2019). A temperature near 0 is `Magnitude`, a large
    one `Uniform`.
    """

    temperature: float = setting(0.2, "randomness: near 0 the magnitude mask, large a uniformly random one")
    name: ClassVar[str] = "gumbel"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("temperature", self.temperature, low=1 / LARGE, high=LARGE)

    def inclusion(self, histogram: Histogram, k: int) -> Float64[np.ndarray, " b"]:
        return successive_inclusion(np.log(histogram.scores) / self.temperature, histogram.counts, k)

    def votes(self, n: int, k: int) -> Votes:
        return Votes(rounds=1, power=1 / self.temperature)


@dataclass(frozen=True)
class Voting(Rule):
    """Let many samples of k weights vote, and keep the k weights with the most votes: the published rule.

    In a group of N weights, `T = max(1, int((N - k) * sampling_ratio))` samples are drawn with probabilities
    proportional to `score ** power`; ties among votes are broken at random. A larger sampling ratio means less
    randomness. (Li, Gao, Lei and Xu, Findings of EMNLP 2023, arXiv 2310.13183.)
    """

    sampling_ratio: float = setting(1e-4, "rounds of voting for each weight removed; larger is less random")
    power: float = setting(5.0, "how strongly large scores are preferred: probabilities are score ** power")
    name: ClassVar[str] = "voting"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("sampling_ratio", self.sampling_ratio, low=0, low_open=True, high=MOST_VOTES)
        check_range("power", self.power, low=0, high=LARGE)

    def rounds(self, n: int, k: int) -> int:
        """T, the number of rounds of votes."""
        return max(1, int((n - k) * self.sampling_ratio))

    def inclusion(self, histogram: Histogram, k: int) -> Float64[np.ndarray, " b"]:
        rounds = self.rounds(histogram.size, k)
        log_p = self.power * np.log(histogram.scores)
        pi = successive_inclusion(log_p, histogram.counts, k)
        return majority_inclusion(pi, histogram.counts, rounds, k) if rounds > 1 else pi

    def votes(self, n: int, k: int) -> Votes:
        return Votes(self.rounds(n, k), self.power)


COARSE = 2048
"""Buckets on which the race time is found first; a step or two on all of them then make it exact."""


def make_rule(name: str, **settings: Any) -> Rule:
    """The rule of that name, as a command line or a recorded run gives it.

    >>> make_rule("voting", sampling_ratio=3e-4)
    Voting(sampling_ratio=0.0003, power=5.0)
    """
    return RULES.make(name, settings)


def describe_rule(recorded: Mapping[str, Any]) -> str:
    """What `Rule.to_dict` recorded, in words.

    >>> describe_rule(Voting().to_dict())
    'voting, sampling ratio 0.0001, power 5'
    """
    settings = [f"{name.replace('_', ' ')} {_plain(value)}" for name, value in recorded.items() if name != "rule"]
    return ", ".join([str(recorded["rule"]), *settings])


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def successive_inclusion(
    log_p: Float64[np.ndarray, " b"], counts: Int64[np.ndarray, " b"], k: int
) -> Float64[np.ndarray, " b"]:
    """Inclusion of successive sampling: `1 - exp(-p t)` with the t at which the sum over all weights is k.

    The exponential race: weight i arrives at a time exponential with rate `p_i`, and the first k are kept;
    for large groups the k-th arrival time is a constant t (Rosén 1972; Yellott 1977).
    """
    starts = np.arange(0, len(counts), 1 + len(counts) // COARSE)
    merged = np.add.reduceat(counts, starts)
    coarse = np.add.reduceat(counts * log_p, starts) / merged
    low = np.log(k) - coarse[-1] - np.log(np.sum(merged * np.exp(coarse - coarse[-1])))  # from 1 - exp(-z) <= z
    log_t = _race_time(coarse, merged, k, (low, low, 5.0 - coarse[0]))
    if len(starts) < len(counts):
        off = np.max(np.append(log_p[starts[1:] - 1], log_p[-1]) - log_p[starts])  # no score has moved further
        log_t = _race_time(log_p, counts, k, (log_t - off, log_t, log_t + off))
    return arrived(log_p + log_t)


def arrived(log_z: Float64[np.ndarray, " b"]) -> Float64[np.ndarray, " b"]:
    """`1 - exp(-z)`: the probability that an arrival at rate p has happened by time t, with z = p t."""
    return -np.expm1(-np.exp(np.minimum(log_z, 700.0)))


def _race_time(
    log_p: Float64[np.ndarray, " b"], counts: Int64[np.ndarray, " b"], k: int, bracket: tuple[float, float, float]
) -> float:
    """log t with `sum counts * (1 - exp(-p t)) = k`, by Newton's method in t.

    `bracket` is a lower bound, a first guess and an upper bound of log t.
    """
    low, log_t, high = bracket
    previous = np.inf
    for _ in range(200):
        z = np.exp(np.minimum(log_p + log_t, 700.0))
        waiting = np.exp(-z)
        missing = k - np.sum(counts * (1 - waiting))
        if abs(missing) <= 1e-10 * k or high - low < 1e-15 * abs(high):
            break
        low, high = (log_t, high) if missing > 0 else (low, log_t)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            step = np.log1p(missing / np.sum(counts * z * waiting))
        slow = abs(missing) > previous / 2
        log_t = (low + high) / 2 if slow or not low < log_t + step < high else log_t + step
        previous = abs(missing)
    return float(log_t)


def majority_inclusion(
    pi: Float64[np.ndarray, " b"], counts: Int64[np.ndarray, " b"], rounds: int, k: int
) -> Float64[np.ndarray, " b"]:
    """Probability to be among the k most voted, where votes are binomial: `P(V > v) + f P(V = v)`.

    v is the number of votes at the threshold, `sum P(V > v) <= k <= sum P(V >= v)`, and f the fraction of the
    weights with v votes for which there is room.
    """
    above = counts[::-1].cumsum()[::-1] - counts
    expected = int(rounds * pi[np.searchsorted(-above, -k, side="left")])  # the votes that the k-th weight expects

    @cache
    def more(v: int) -> Float64[np.ndarray, " b"]:
        return votes_above(v, rounds, pi)

    def fits(v: int) -> bool:
        return bool(np.sum(counts * more(v)) <= k)

    low = high = expected
    while not fits(high):
        high += 2 * (high - expected) + 1
    while low >= 0 and fits(low):
        low -= 2 * (expected - low) + 1
    v = bisect_left(range(high + 1), True, lo=max(low + 1, 0), key=fits)
    equal = more(v - 1) - more(v)
    room, ties = k - np.sum(counts * more(v)), np.sum(counts * equal)
    return np.clip(more(v) + (room / ties if ties > 0 else 0.0) * equal, 0.0, 1.0)


def votes_above(v: int, rounds: int, pi: Float64[np.ndarray, " b"]) -> Float64[np.ndarray, " b"]:
    """`P(V > v)` for `V ~ Binomial(rounds, pi)`, pi ascending; computed only where a Chernoff bound does not decide."""
    if v < 0 or v >= rounds:
        return np.full_like(pi, float(v < 0))
    x = (v + 0.5) / rounds

    def certain(i: int) -> bool:
        p = pi[i]
        return bool(rounds * (rel_entr(x, p) + rel_entr(1 - x, 1 - p)) > 40.0)

    middle = int(np.searchsorted(pi, x))
    low = bisect_left(range(middle), True, key=lambda i: not certain(i))
    high = bisect_left(range(len(pi)), True, lo=middle, key=certain)
    tail = (np.arange(len(pi)) >= middle).astype(np.float64)
    tail[low:high] = betainc(v + 1.0, float(rounds - v), pi[low:high])  # exact also where bdtrc is not
    return tail
