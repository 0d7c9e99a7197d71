"""What follows from a sentence with a quantifier: decided by looking at every small world in which it could be true.

A *world* is a set of things, and each thing is of some of four kinds: the kinds that premise and hypothesis speak of
(`a`, `b`), and what they say of them (`v`, `w`). Four things are enough for every counterexample: one that shows
what the premise says, one that shows that the hypothesis is false, and one of each kind that is spoken of.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import combinations, product
from typing import Literal

Quantifier = Literal["all", "some", "no", "not all"]
QUANTIFIERS: tuple[Quantifier, ...] = ("all", "some", "no", "not all")
Relation = Literal["same", "wider", "narrower", "other"]  # of what the hypothesis says to what the premise says
ENTAILMENT, NEUTRAL, CONTRADICTION = range(3)

Thing = tuple[bool, bool, bool, bool]  # whether it is an a, a b, a v, a w


@cache
def judge(premise: Quantifier, hypothesis: Quantifier, of: Relation, what: Relation) -> int:
    """Whether `hypothesis b are w` follows from `premise a are v`, contradicts it, or neither.

    Both kinds have members: a sentence about all dogs supposes that there are dogs.

    Args:
        of: relation of `b` to `a`, such as wider: animals to dogs.
        what: relation of `w` to `v`, such as narrower: running in the garden to running.
    """
    answers = {_true(hypothesis, world, 1, 3) for world in _worlds(of, what) if _true(premise, world, 0, 2)}
    return NEUTRAL if len(answers) == 2 else ENTAILMENT if answers == {True} else CONTRADICTION


def _worlds(of: Relation, what: Relation) -> Iterator[tuple[Thing, ...]]:
    kinds = [pair for pair in product((False, True), repeat=2) if _allowed(of, *pair)]
    deeds = [pair for pair in product((False, True), repeat=2) if _allowed(what, *pair)]
    things = [(a, b, v, w) for (a, b), (v, w) in product(kinds, deeds)]
    for size in range(1, 5):
        for world in combinations(things, size):
            if any(thing[0] for thing in world) and any(thing[1] for thing in world):
                yield world


def _allowed(relation: Relation, first: bool, second: bool) -> bool:
    if relation == "same":
        return first == second
    if relation == "wider":
        return second or not first
    return first or not second or relation == "other"


def _true(quantifier: Quantifier, world: tuple[Thing, ...], kind: int, said: int) -> bool:
    answers = [thing[said] for thing in world if thing[kind]]
    return {
        "all": all(answers),
        "some": any(answers),
        "no": not any(answers),
        "not all": not all(answers),
    }[quantifier]
