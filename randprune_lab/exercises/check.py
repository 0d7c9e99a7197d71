"""The comparison that the checks of the exercises use: it raises if an answer is wrong, and says what to do next."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

from randprune_lab.errors import RandpruneError

SHOWN = 12  # items of a list in a message


class ExerciseError(RandpruneError, AssertionError):
    """An answer is wrong."""


def expect(what: str, got: Any, expected: Any, next_step: str, *, within: float = 0.0) -> None:
    """Raise an error unless `got` is the expected answer.

    Numbers and strings are compared, and tensors, arrays, lists and dicts of them item by item. True and 1 differ.

    Args:
        what: the call whose answer is checked, as a reader would write it.
        got: the answer.
        expected: the right answer.
        next_step: a sentence that says what to look at, without giving the answer away.
        within: the largest accepted difference of a number.

    Raises:
        ExerciseError: if the answer is wrong.

    >>> expect("2 + 2", 2 + 2, 4, "Count again.")
    """
    got, expected = _plain(got), _plain(expected)
    if _same(got, expected, within):
        return
    if got is None:
        next_step = "Does the function return what it computed?"
    margin = f" (± {within:g})" if within else ""
    raise ExerciseError(
        "{}: got {}, expected {}{}. {}".format(what, *_told_apart(got, expected, within), margin, next_step)
    )


def _told_apart(got: Any, expected: Any, within: float) -> tuple[str, str]:
    """Both values as texts that differ: where they would read alike, with more digits, one item, or their types."""
    items = _items(got), _items(expected)
    alike = bool(items[0]) and type(got) is type(expected) and items[0].keys() == items[1].keys()
    if not (alike and isinstance(got, list) and len(got) > SHOWN):
        for digits in (6, 17):
            first, second = _shown(got, digits), _shown(expected, digits)
            if first != second:
                return first, second
    if alike:
        place = next(place for place in items[0] if not _same(items[0][place], items[1][place], within))
        first, second = _told_apart(items[0][place], items[1][place], within)
        return f"{first} as item {place!r} of {len(got)}", second
    return f"{first} ({type(got).__name__})", f"{second} ({type(expected).__name__})"


def _items(value: Any) -> dict[Any, Any]:
    """The items of a list or dict by their places; of anything else none."""
    return value if isinstance(value, dict) else dict(enumerate(value)) if isinstance(value, list) else {}


def _plain(value: Any) -> Any:
    """The value with lists in place of tensors, arrays and tuples."""
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


def _shown(value: Any, digits: int) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_shown(item, digits)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        items = [*(_shown(item, digits) for item in value[:SHOWN]), *(["..."] if len(value) > SHOWN else [])]
        return f"[{', '.join(items)}]" + (f" ({len(value)} items)" if len(value) > SHOWN else "")
    return f"{value:.{digits}g}" if isinstance(value, float) else repr(value)
