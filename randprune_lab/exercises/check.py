"""What the checks of the exercises are made of: a comparison that raises, and says how to go on."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

from randprune_lab.errors import RandpruneError

SHOWN = 12  # items of a list in a message


class ExerciseError(RandpruneError, AssertionError):
    """An answer is not the expected one."""


def expect(what: str, got: Any, expected: Any, next_step: str, *, within: float = 0.0) -> None:
    """Raise `ExerciseError` unless `got` is what was expected.

    Numbers, texts, and tensors, arrays, lists and dicts of them are compared item by item; True and 1 are different.

    Args:
        what: the call whose answer is checked, as a reader would write it.
        next_step: what to look at, as a sentence, without giving the answer away.
        within: how far numbers may be from those expected.

    >>> expect("2 + 2", 2 + 2, 4, "Count again.")
    """
    got, expected = _plain(got), _plain(expected)
    if _same(got, expected, within):
        return
    if got is None:
        next_step = "Does the function return what it computed?"
    margin = f" (give or take {within:g})" if within else ""
    raise ExerciseError(f"{what}: got {_shown(got)}, expected {_shown(expected)}{margin}. {next_step}")


def _plain(value: Any) -> Any:
    """Without tensors, arrays and tuples."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value


def _same(got: Any, expected: Any, within: float) -> bool:
    if isinstance(expected, dict):
        same_keys = isinstance(got, dict) and got.keys() == expected.keys()
        return same_keys and all(_same(got[key], expected[key], within) for key in expected)
    if isinstance(expected, list):
        if not isinstance(got, list) or len(got) != len(expected):
            return False
        return all(_same(*pair, within) for pair in zip(got, expected, strict=True))
    if _is_number(got) and _is_number(expected):
        return bool(abs(got - expected) <= within)
    return type(got) is type(expected) and got == expected


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_shown(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        items = [*map(_shown, value[:SHOWN]), *(["..."] if len(value) > SHOWN else [])]
        return f"[{', '.join(items)}]" + (f" ({len(value)} items)" if len(value) > SHOWN else "")
    return f"{value:.6g}" if isinstance(value, float) else repr(value)
