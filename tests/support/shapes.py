"""What the tests check at run time: arrays against the shapes and dtypes of their annotations, and nothing else.

Other values that are wrong go through, for it is the package's own checks that tests hold them against; and so do
arrays inside lists and dicts, of which beartype would choose one with the global random generator.
"""

from __future__ import annotations

from collections.abc import Callable
from types import UnionType
from typing import Any, Union, get_args, get_origin

from beartype import beartype
from jaxtyping import AbstractArray


def arrays(function: Callable[..., Any]) -> Callable[..., Any]:
    """The type checker that pytest's option `--jaxtyping-packages` names."""
    hints = function.__annotations__
    function.__annotations__ = {name: hint for name, hint in hints.items() if _is_array(hint)}
    return beartype(function)


def _is_array(hint: Any) -> bool:
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else [hint]
    return any(isinstance(kind, type(AbstractArray)) for kind in kinds)
