"""Changes of one value of a JSON document: another type, a missing name, or one that does not belong there."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

OTHERS: tuple[Any, ...] = (None, True, -1, 99, 0.5, float("nan"), 1e39, "", "x", [], [7], ["x"], {}, {"x": 1}, 10**400)
"""What a value is replaced by."""


def places(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all values in a document, from the whole to the single numbers."""
    yield here
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in parts:
        yield from places(part, (*here, name))


def replaced(document: Any, place: tuple[Any, ...], other: Any) -> Any:
    """A copy of a document with another value at a place."""
    changed = [copy.deepcopy(document)]
    around: Any = changed
    *path, last = (0, *place)
    for name in path:
        around = around[name]
    around[last] = other
    return changed[0]


def removed(document: Any, place: tuple[Any, ...]) -> Any:
    """A copy of a document without a value of a mapping or a list."""
    changed = copy.deepcopy(document)
    around = changed
    *path, last = place
    for name in path:
        around = around[name]
    del around[last]
    return changed


def changes(document: Any) -> Iterator[tuple[str, Any]]:
    """All single changes of a document, each with its description."""
    for place in places(document):
        for other in OTHERS:
            yield f"{place} = {other!r:.30}", replaced(document, place, other)
        if place:
            yield f"{place} removed", removed(document, place)
    for place in places(document):
        found: Any = document
        for name in place:
            found = found[name]
        if isinstance(found, dict):
            yield f"{place} with another name", replaced(document, place, {**found, "other": 1})
        if isinstance(found, list) and found:
            yield f"{place} with a value twice", replaced(document, place, [*found, found[0]])


def changed(document: Any) -> st.SearchStrategy[tuple[str, Any]]:
    """One of the changes of a document."""
    return st.sampled_from([*changes(document)])
