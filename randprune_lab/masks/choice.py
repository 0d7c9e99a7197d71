"""Why each parameter of a model is pruned or stays dense, by its kind and by patterns of names; as a table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn

from randprune_lab.errors import ConfigError, ScopeError, WeightError, no_match
from randprune_lab.masks.layers import LAYERS, Kind, Parameter, parameters
from randprune_lab.masks.wrappers import unwrapped

OUTSIDE = "outside the repeated blocks"

DENSE: dict[Kind, str] = {
    "vector": "bias, norm or scale",
    "table": "embedding table",
    "router": "router, which chooses experts",
    "adapter": "adapter",
    "convolution": "convolution: types=[...] prunes it",
    "other": "not the weight of a known layer: include=[...] prunes it",
}


def dense_reasons(
    known: Mapping[str, Parameter],
    include: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    types: Sequence[type | str] | None = None,
) -> dict[str, str | None]:
    """Why each parameter stays dense, or None if it is pruned; see `prunable`."""
    _check_types(types)
    tied = {other: name for name, parameter in known.items() for other in parameter.other_names}
    spared = matching(exclude, known, tied)
    base = [name for name, parameter in known.items() if parameter.kind != "adapter"]  # in no pattern's reach
    included = None if include is None else _included(include, base, tied)
    repeated = any(parameter.repeated and parameter.is_of(types) for parameter in known.values())

    def reason(name: str, parameter: Parameter) -> str | None:
        if name in spared:
            return "excluded"
        if parameter.kind == "adapter":
            return DENSE["adapter"]
        if included is not None and name not in included:
            return "not included"
        if not parameter.is_of(types) and (included is None or types is not None):
            return DENSE.get(parameter.kind, "of another type")
        if included is None and repeated and not parameter.repeated:
            return OUTSIDE
        return "last layer" if included is None and not repeated and parameter.last else None

    return {name: reason(name, parameter) for name, parameter in known.items()}


@dataclass(frozen=True)
class ScopeRow:
    """Parameters whose names differ only in numbers, and why they stay dense (None: they are pruned)."""

    name: str  # with * for the numbers
    kind: Kind
    tensors: int
    weights: int
    shape: tuple[int, ...]  # of the first
    dense: str | None


class Scope:
    """The pruned weights of a model, those that stay dense, and why: `print` shows a table."""

    def __init__(self, rows: Iterable[ScopeRow]):
        self.rows = tuple(rows)

    @property
    def prunable(self) -> int:
        """The number of weights that are pruned."""
        return sum(row.weights for row in self.rows if row.dense is None)

    @property
    def dense_layers(self) -> list[str]:
        """The weights of layers that stay dense though they multiply inputs, such as heads and projections."""
        return [row.name for row in self.rows if row.kind in LAYERS and row.dense is not None]

    def __str__(self) -> str:
        total = max(sum(row.weights for row in self.rows), 1)
        lines: list[str] = []
        for title, pruned in (("pruned", True), ("left dense", False)):
            rows = [row for row in self.rows if (row.dense is None) == pruned]
            weights, tensors = sum(row.weights for row in rows), sum(row.tensors for row in rows)
            counted = f"{weights:,} weights in {tensors} tensor{'' if tensors == 1 else 's'}"
            lines.append(f"{title}: {counted}, {100 * weights / total:.1f} % of all")
            lines += [f"  {'weights':>14}  {'tensors':>7}  {'shape':<14}  name and kind"] if rows else []
            width = max((len(row.name) for row in rows), default=0)
            for row in rows:
                shape = "x".join(map(str, row.shape))
                why = row.dense if row.dense in DENSE.values() else ", ".join(filter(None, (row.kind, row.dense)))
                lines.append(f"  {row.weights:>14,}  {row.tensors:>7}  {shape:<14}  {row.name:<{width}}  {why}")
        return "\n".join(lines)

    __repr__ = __str__


def scope(
    model: nn.Module,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    types: Sequence[type[nn.Module] | str] | None = None,
) -> Scope:
    """A table of the weights that `MaskSampler` prunes in a model with these settings, those left dense, and why.

    Nothing is changed, and shapes are enough: the model may be on the meta device.

    Args:
        model: the model; wrappers such as `torch.compile` do not matter.
        include, exclude, types: as for `MaskSampler`.

    Raises:
        ConfigError, ScopeError: as for `MaskSampler`, except if nothing is left to prune: the table shows why.
        WeightError: if it is not a model, or a parameter has no shape yet.
    """
    if not isinstance(model, nn.Module):
        raise WeightError(f"scope needs a model, got a {type(model).__name__}; all tensors of a dict are prunable")
    known = parameters(unwrapped(model))
    groups: dict[tuple[str, Kind, str | None], dict[str, Parameter]] = {}
    for name, reason in dense_reasons(known, include, exclude, types).items():
        kind = known[name].kind
        shown = "biases, norms and scales" if kind == "vector" else re.sub(r"\b\d+\b", "*", name)
        groups.setdefault((shown, kind, reason), {})[name] = known[name]
    return Scope(
        ScopeRow(
            name if len(group) > 1 else next(iter(group)),
            kind,
            tensors=len(group),
            weights=sum(parameter.tensor.numel() for parameter in group.values()),
            shape=next(iter(group.values())).shape,
            dense=reason,
        )
        for (name, kind, reason), group in groups.items()
    )


def _check_types(types: Sequence[type | str] | None) -> None:
    given = isinstance(types, Iterable) and [*types]
    if types is not None and not (given and all(isinstance(each, type) or each in LAYERS for each in given)):
        raise ConfigError(
            f"types must be a list of classes of layers, or of the kinds {', '.join(LAYERS)}, got {types!r}; write "
            "types=[torch.nn.Linear]"
        )


def matching(patterns: Sequence[str], names: Iterable[str], tied: Mapping[str, str] | None = None) -> set[str]:
    """The names that match.

    Args:
        tied: the name of a weight by each of its other names, which count where a pattern matches nothing else.
    """
    if isinstance(patterns, str):
        raise ConfigError(f"patterns must be a list of strings, got the string {patterns!r}; write [{patterns!r}]")
    if not isinstance(patterns, Iterable):
        raise ConfigError(f"patterns must be a list of strings, got {patterns!r}")
    if other := [pattern for pattern in patterns if not isinstance(pattern, str)]:
        raise ConfigError(f"patterns must be a list of strings, got {other[0]!r} in it")
    found: set[str] = set()
    for pattern in patterns:
        matches = {name for name in names if fnmatchcase(name, pattern)}
        matches = matches or {name for other, name in (tied or {}).items() if fnmatchcase(other, pattern)}
        if not matches:
            raise no_match(pattern, names)
        found |= matches
    return found


def _included(patterns: Sequence[str], names: Iterable[str], tied: Mapping[str, str]) -> set[str]:
    """The names that match; a pattern for another name of a weight alone is refused, as masks have its first name."""
    found = matching(patterns, names, tied)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            other = next(other for other in tied if fnmatchcase(other, pattern))
            raise ScopeError(
                f"pattern {pattern!r} matches only {other!r}, which is the same weight as {tied[other]!r}; "
                "include it by that name"
            )
    return found
