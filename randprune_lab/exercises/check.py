"""What the checks of the exercises use: comparisons that raise if an answer is wrong, and a line for a right one.

A comparison says what to do next. What is wrong with the type, the shape or the unit of an answer comes first.
"""

from __future__ import annotations

import math
import numbers
import sys
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from randprune_lab.errors import RandpruneError

SHOWN = 12  # items of a list in a message
ROUNDING = 1e-5  # margins up to this are for rounding, and not shown
CHOICES = Path(__file__).with_name("choices.toml")
RIGHT = "color:#0b5d1e;background:#e3f4e6;border-left:4px solid #1a7f37;padding:4px 10px;display:inline-block"


class ExerciseError(RandpruneError, AssertionError):
    """An answer is wrong. Jupyter shows its message without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"\x1b[1;31m✗\x1b[0m {self}"]


def passed(points: float) -> None:
    """The last line of a check: say that the answer is right, in green where HTML is shown.

    >>> passed(2)
    ✓ 2 points
    """
    text = f"✓ {points:g} point{'s' * (points != 1)}"
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None:
        print(text)
        return
    from IPython.display import display

    display({"text/plain": text, "text/html": f'<div style="{RIGHT}">{text}</div>'}, raw=True)


def choice(exercise: str, part: str, answers: Any) -> None:
    """Raise an error unless one part of a chosen answer is right. The message is about the answer that was given.

    The right answers are in `choices.toml` beside this file, so that a check does not show them.

    Args:
        exercise: the name of the exercise.
        part: the part of the answer, such as `"claim"`.
        answers: what the student chose, by part.

    Raises:
        ExerciseError: if the part is wrong or missing.
    """
    parts = read_choices()[exercise]
    keys, where = ", ".join(map(repr, parts)), f"{exercise}[{part!r}]"
    answers, wanted = _plain(answers), parts[part]
    if not isinstance(answers, dict):
        raise ExerciseError(f"{exercise}: expected a dict with the keys {keys}, got {_kind(answers)}")
    if part not in answers:
        raise ExerciseError(f"{where} is missing; expected the keys {keys}, got {_kind(answers)}")
    got, right, says = answers[part], wanted["right"], wanted.get("says", {})
    within = wanted.get("within", 0.0)
    if _same(_word(got), _word(right), within):
        return
    known = [text for key, text in says.items() if _word(key) == _word(got) or _near(key, got, within)]
    if _kind(got) != _kind(right):
        known = [f"Expected {_kind(right)}, got {_kind(got)}."]
    elif isinstance(right, str) and not known:
        known = [f"Choose one of {', '.join(sorted([*says, right]))}."]
    raise ExerciseError(f"{where}: {_shown(got, 6)} is not right. {[*known, wanted.get('otherwise', '')][0]}".rstrip())


@cache
def read_choices() -> dict[str, dict[str, dict[str, Any]]]:
    """The right answers of the exercises with choices, by exercise and part, with messages for the wrong ones."""
    return tomllib.loads(CHOICES.read_text("utf-8"))


def _word(value: Any) -> Any:
    return value.strip().casefold() if isinstance(value, str) else value


def _near(key: str, got: Any, within: float) -> bool:
    try:
        return _same(got, float(key), within)
    except ValueError:
        return False


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
    margin = f" (± {within:g})" if within > ROUNDING else ""
    raise ExerciseError(
        "{}: got {}, expected {}{}. {}".format(
            what, *_told_apart(got, expected, within), margin, _advice(got, expected) or next_step
        )
    )


def _advice(got: Any, expected: Any) -> str:
    """What is wrong with the type, the shape, the unit or the sign of an answer; empty if it is something else."""
    if got is None:
        return "Does the function return what it computed?"
    if _kind(got) != _kind(expected):
        return f"Return {_kind(expected)}, not {_kind(got)}."
    if isinstance(got, dict):
        return next((f"At {key!r}: {text}" for key in got if (text := _advice(got[key], expected[key]))), "")
    if isinstance(got, str) and _word(got) == _word(expected):
        return "The word is right; spell it exactly as expected."
    if not _is_number(got):
        return ""
    if math.isnan(got) and not math.isnan(expected):
        return "The result is not a number: where is 0 divided by 0?"
    if 0 < expected <= 1 and math.isclose(got, 100 * expected, rel_tol=1e-3):
        return "This is a percentage; return a fraction, from 0 to 1."
    return "Only the sign is wrong." if expected and math.isclose(got, -expected, rel_tol=1e-5) else ""


def _kind(value: Any) -> str:
    """The type and shape of a plain value, in words."""
    if isinstance(value, dict):
        return f"a dict with the keys {', '.join(sorted(map(repr, value)))}"
    if isinstance(value, list):
        kinds = {_kind(item) for item in value}
        return f"a list of {len(value)} item{'s' * (len(value) != 1)}" + (
            f", each {kinds.pop()}" if len(kinds) == 1 else ""
        )
    names = {bool: "True or False", str: "a text", type(None): "None"}
    return "a number" if _is_number(value) else names.get(type(value), type(value).__name__)


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
