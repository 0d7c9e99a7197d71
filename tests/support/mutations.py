"""Changes of one value of a JSON document: another type, a missing name, or one that does not belong there."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

OTHERS: tuple[Any, ...] = (None, True, -1, 99, 0.5, float("nan"), 1e39, 10**400, "", "x", [], [7], ["x"], {}, {"x": 1})
"""What a value is replaced by."""


def places(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all values in a document, from the whole to the single numbers."""
    yield here
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in parts:
        yield from places(part, (*here, name))


def with_change(document: Any, place: tuple[Any, ...], change: str, other: Any) -> Any:
    """A copy of a document with a change at a place: "replace" or "remove" the value, or make it "larger"."""
    changed = [copy.deepcopy(document)]
    around: Any = changed
    *path, last = (0, *place)
    for name in path:
        around = around[name]
    value = around[last]
    if change == "remove" and place:
        del around[last]
    elif change == "larger" and isinstance(value, dict | list):
        around[last] = {**value, "other": other} if isinstance(value, dict) else [*value, *value[:1]]
    else:
        around[last] = other
    return changed[0]


def changed(document: Any) -> st.SearchStrategy[Any]:
    """The documents that differ from this one in one value."""
    kinds = st.sampled_from(["replace", "replace", "replace", "remove", "larger"])
    return st.builds(
        with_change, st.just(document), st.sampled_from([*places(document)]), kinds, st.sampled_from(OTHERS)
    )
