"""Values of the type that was declared: what comes from a file, a command or a notebook is checked in one place.

There is one rule for texts that look like numbers. A person writes `1e-3`, which YAML takes for a text, or `"0.1"`: in
YAML, Python and options such a text is the number. A program writes JSON, where a number is no text: in files of runs,
studies and pools a text in place of a number is an error.
"""

from __future__ import annotations

import numbers
import os
import re
import reprlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from functools import cache, partial
from types import UnionType
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints

import numpy as np
from pydantic import BeforeValidator, ConfigDict, TypeAdapter, ValidationError, with_config
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict, is_typeddict

from randprune_lab.errors import ConfigError, unknown_name

_EXPECTED = {
    "bool": "true or false",
    "dict": "a mapping",
    "float": "a number",
    "finite": "a finite number",
    "int": "a whole number",
    "list": "a list",
    "mapping": "a mapping",
    "string": "a text",
    "tuple": "a list",
}
"""What was expected, by the first word of pydantic's name of the error."""

known_names = with_config(ConfigDict(extra="forbid"))
"""Decorates a `TypedDict`: other names than its own are errors."""


def take_types(settings: Any) -> None:
    """Give all fields of a frozen dataclass the types of their annotations, in its `__post_init__`.

    Numbers and truth values of NumPy and PyTorch become plain ones, lists tuples, paths texts, and texts such as
    `1e-3`, which YAML does not take for a number, numbers.

    Raises:
        ConfigError: if a value cannot become one of the declared type.
    """
    values = {each.name: getattr(settings, each.name) for each in fields(settings)}
    for name, value in typed(partial_of(settings.__class__), values).items():
        object.__setattr__(settings, name, value)


def typed(kind: Any, value: Any, place: str = "", *, strict: bool = False) -> Any:
    """A value as one of the declared type.

    Args:
        kind: the type: a class, a generic such as `tuple[float, ...]`, or a `TypedDict`.
        value: the value, whose parts are checked too.
        place: where it is, such as `methods.imp`; errors begin with it.
        strict: a program wrote the value as JSON, so only lists become tuples, and whole numbers floats. Otherwise a
            person gave it; see `take_types` for what is converted.

    Raises:
        ConfigError: if it cannot become one; the message has the place within the value.
    """
    try:
        return _adapter(kind, strict).validate_python(value, strict=strict or None)
    except ValidationError as error:
        raise _refused(error, kind, value, place, strict) from None
    except RecursionError:
        raise ConfigError(f"{place or 'the content'} is nested too deeply; does it contain itself?") from None


@cache
def partial_of(made: type[Any], *, strict: bool = False) -> Any:
    """The type of a mapping with some of the fields of a dataclass and nothing else.

    Args:
        made: the dataclass.
        strict: a program wrote the mapping, and not a person; see `typed`, which must get the same value.
    """
    names = [each.name for each in fields(made)]
    return _mapping(made, names, strict=strict, optional=names)


def record_of(made: Any, without: tuple[str, ...] = (), optional: tuple[str, ...] = ()) -> Any:
    """The type of a mapping that a program wrote, with all fields of a dataclass but those in `without`.

    Each call makes another type, so keep it.

    Args:
        made: the dataclass.
        without: fields that it must not have.
        optional: fields that it may lack, such as those that earlier versions did not write.
    """
    names = [each.name for each in fields(made) if each.name not in without]
    return _mapping(made, names, strict=True, optional=optional)


def _mapping(made: type[Any], names: Sequence[str], *, strict: bool, optional: Sequence[str]) -> Any:
    hints = get_type_hints(made, include_extras=True)
    types = {name: _taking(hints[name], strict) for name in names}
    types |= {name: NotRequired[types[name]] for name in optional}
    members: Any = TypedDict(made.__name__, types)  # type: ignore[misc]
    return with_config(ConfigDict(extra="forbid", arbitrary_types_allowed=True))(members)


@cache
def _adapter(kind: Any, strict: bool) -> TypeAdapter[Any]:
    config = None if strict or is_typeddict(kind) else ConfigDict(arbitrary_types_allowed=True)
    return TypeAdapter(_taking(kind, strict), config=config)


def _taking(kind: Any, strict: bool) -> Any:
    """The type with numbers, texts and lists that take what stands for one in JSON or, if not strict, for a person."""
    if kind in _TAKEN and not strict:
        return Annotated[kind, BeforeValidator(_TAKEN[kind])]
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return Union[tuple(_taking(part, strict) for part in args)]  # noqa: UP007
    if origin in (None, Literal, Annotated):
        return kind
    parts = origin[tuple(part if part is ... else _taking(part, strict) for part in args)]
    if origin is not tuple:
        return parts
    return Annotated[parts, BeforeValidator(_tuple_of_list if strict else _plain_list)]


def _plain_number(value: Any, error: str) -> Any:
    """A number of any library as a plain one. A truth value is none, and 2.0 no whole one."""
    if isinstance(value, bool | np.bool_) or (error == "int_type" and isinstance(value, float)):
        raise PydanticCustomError(error, "another kind of number")
    value = _plain(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) else value


def _plain_truth(value: Any) -> Any:
    """A truth value of any library as a plain one; pydantic would also take "no", 1 and others for one."""
    value = _plain(value)
    if not isinstance(value, bool):
        raise PydanticCustomError("bool_type", "neither True nor False")
    return value


def _plain_text(value: Any) -> Any:
    if isinstance(value, bytes):  # pydantic would decode them
        raise PydanticCustomError("string_type", "bytes are no text")
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _tuple_of_list(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _plain_list(value: Any) -> Any:
    return value.tolist() if getattr(value, "ndim", None) == 1 else value


def _plain(value: Any) -> Any:
    """A number or truth value of NumPy or PyTorch as a plain one, whatever else may stand there too."""
    with suppress(RuntimeError):  # a tensor on the device meta has no value
        return value.item() if getattr(value, "ndim", None) == 0 else value
    return value


_TAKEN: dict[Any, Any] = {
    Any: _plain,
    bool: _plain_truth,
    int: partial(_plain_number, error="int_type"),
    float: partial(_plain_number, error="float_type"),
    str: _plain_text,
}
"""What is done to a value before its type is checked."""


def _refused(error: ValidationError, kind: Any, whole: Any, place: str, strict: bool) -> ConfigError:
    """The error of this package for the first error of pydantic."""
    steps, first = _first(error, whole)
    *around, last = [*([place] if place else []), *map(str, steps)] or ["the content"]
    where, value = ".".join([*around, last]), first["input"]
    if last == "[key]":
        where = f"a name in {'.'.join(around[:-1]) or 'the content'}"
    if first["type"] == "missing":
        return ConfigError(f"{'.'.join(around) or 'the content'} lacks {last!r}")
    if first["type"] == "extra_forbidden":
        what = "name" if strict else "setting"
        return unknown_name(f"{what} in {'.'.join(around)}" if around else what, last, _names(kind, steps))
    if first["type"] == "literal_error":
        return unknown_name(where, str(value), re.findall("'([^']*)'", first["ctx"]["expected"]))
    if first["type"] == "value_error":
        return ConfigError(f"{where}: {first['ctx']['error']}")
    expected = _EXPECTED.get(first["type"].partition("_")[0])
    told = f"must be {expected}" if expected else f"cannot be used ({first['msg']})"
    return ConfigError(f"{where} {told}, got {reprlib.repr(value)}{'' if strict else _remedy(expected, value)}")


def _first(error: ValidationError, whole: Any) -> tuple[list[str | int], Any]:
    """The place of the first error, and the error; if several types were tried, that of the one that fits most."""
    found = [(_steps(each, whole), each) for each in error.errors(include_url=False)]
    here = found[0][0]
    return max((each for each in found if each[0][: len(here)] == here), key=lambda each: len(each[0]))


def _steps(error: Any, value: Any) -> list[str | int]:
    """The steps from the whole value to the wrong one, without the types of unions, which pydantic puts between."""
    steps, place = [], error["loc"]
    for number, step in enumerate(place):
        named = error["type"] == "missing" and number == len(place) - 1
        if named or "[key]" in place[number : number + 2]:
            steps.append(step)
            continue
        with suppress(LookupError, TypeError):
            value = value[step]
            steps.append(step)
    return steps


def _remedy(expected: str | None, value: Any) -> str:
    if expected == "a text" and isinstance(value, int | float):
        return "; put it in quotes"
    if expected == "a list" and isinstance(value, str | int | float):
        return f"; write [{value!r}]"
    return ""


def _names(kind: Any, place: Sequence[str | int]) -> list[str]:
    """The names that the mapping around a place may have."""
    for step in place[:-1]:
        kind = _mapping_in(kind)
        kind = get_type_hints(kind)[str(step)] if is_typeddict(kind) else get_args(kind)[-1]
    return list(get_type_hints(_mapping_in(kind)))


def _mapping_in(kind: Any) -> Any:
    """The type of a mapping that may be missing, or has an annotation."""
    return get_args(kind)[0] if get_origin(kind) in (Annotated, Union, UnionType) else kind
