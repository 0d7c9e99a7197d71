"""The sparsity of each tensor: one number for all, or a number for each pattern of names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from randprune_lab.errors import ConfigError, ScopeError, check_range, listed, no_match

Sparsity = float | Mapping[str, float]
"""A fraction of the weights to remove, or such fractions by shell pattern of names; the first that matches counts."""


def plain_sparsity(sparsity: Sparsity) -> float | dict[str, float]:
    """The sparsity in Python's own numbers.

    Raises:
        ConfigError: if a number is not in [0, 1), or a pattern is not a string.
    """
    if isinstance(sparsity, Mapping):
        return {_text(pattern): _fraction(f"sparsity of {pattern!r}", value) for pattern, value in sparsity.items()}
    return _fraction("sparsity", sparsity)


def sparsities(sparsity: Sparsity, names: Iterable[str]) -> dict[str, float]:
    """The sparsity of each of the tensors.

    Raises:
        ScopeError: if a pattern matches no tensor, or a tensor no pattern.

    >>> sparsities({"*.attention.*": 0.8, "*": 0.95}, ["0.attention.query", "0.output"])
    {'0.attention.query': 0.8, '0.output': 0.95}
    """
    names = list(names)
    if not isinstance(sparsity, Mapping):
        return dict.fromkeys(names, sparsity)
    found: dict[str, float] = {}
    for pattern, value in sparsity.items():
        matches = [name for name in names if fnmatchcase(name, pattern)]
        if not matches:
            raise no_match(pattern, names, "weight to prune")
        found = dict.fromkeys(matches, value) | found
    if missing := [name for name in names if name not in found]:
        raise ScopeError(
            f"no pattern of sparsity matches {listed(missing)}; add a pattern for them, such as '*', or leave them "
            "dense with exclude=[...]"
        )
    return {name: found[name] for name in names}


def keep_count(size: int, sparsity: float) -> int:
    """The number of weights to keep of `size` weights; `torch.nn.utils.prune` removes the same number."""
    return size - round(sparsity * size)


def _fraction(name: str, value: float) -> float:
    check_range(name, value, low=0, high=1, high_open=True)
    return float(value)


def _text(pattern: object) -> str:
    if not isinstance(pattern, str):
        raise ConfigError(f"patterns of sparsity must be strings, got {pattern!r}")
    return pattern
