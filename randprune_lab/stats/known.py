"""Statistics that may be unknown: one that cannot be computed must not stop what can."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from randprune_lab.errors import StatisticError

T = TypeVar("T")


def known(statistic: Callable[[], T]) -> tuple[T | None, str]:
    """A statistic and an empty text; if it cannot be computed, None and the reason.

    >>> known(lambda: 1 + 1)
    (2, '')
    """
    try:
        return statistic(), ""
    except StatisticError as error:
        return None, str(error)
