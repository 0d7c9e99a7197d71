"""What the tests check at run time: arrays against the shapes and dtypes of their annotations, and nothing else.

Other values that are wrong go through, for it is the package's own checks that tests hold them against; and so do
arrays inside lists and dicts, of which beartype would choose one with the global random generator.

Functions without arrays are not wrapped: jaxtyping would bind the arguments of their every call, a fifth of the time of
a search on a tiny model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import UnionType
from typing import Any, Union, get_args, get_origin

import jaxtyping
from beartype import beartype
from jaxtyping import AbstractArray, jaxtyped


def arrays(function: Callable[..., Any]) -> Callable[..., Any]:
    """The type checker that pytest's option `--jaxtyping-packages` names."""
    hints = function.__annotations__
    function.__annotations__ = {name: hint for name, hint in hints.items() if _is_array(hint)}
    return beartype(function)


def where_arrays_are(*given: Any, **settings: Any) -> Any:
    """`jaxtyped`, but as the decorator that jaxtyping's import hook puts on everything it spares what has no arrays."""
    if given:
        return jaxtyped(*given, **settings)
    return lambda target: jaxtyped(target, **settings) if has_arrays(target) else target


def has_arrays(target: Any) -> bool:
    """Whether an annotation of a function, or of a field of a dataclass, is an array."""
    if isinstance(target, type):
        return dataclasses.is_dataclass(target) and has_arrays(target.__init__)
    return any(_is_array(_evaluated(hint, target)) for hint in target.__annotations__.values())


def _evaluated(hint: Any, function: Any) -> Any:
    """An annotation; None, as jaxtyping ignores it, if a name in it is not defined yet."""
    try:
        return eval(hint, function.__globals__) if isinstance(hint, str) else hint
    except Exception:
        return None


def _is_array(hint: Any) -> bool:
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else [hint]
    return any(isinstance(kind, type(AbstractArray)) for kind in kinds)


jaxtyping.jaxtyped = where_arrays_are  # the hook looks it up by this name
