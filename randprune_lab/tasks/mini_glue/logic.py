"""Entailment between sentences with quantifiers, decided by checking every small world.

The premise is `all a are v` or a similar sentence, the hypothesis `some b are w`. A *world* is a set of things, and
each thing has some of the four properties `a`, `b`, `v` and `w`. Worlds of at most four things contain every
counterexample: one thing that makes the premise true, one that makes the hypothesis false, one `a` and one `b`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import combinations, product
from typing import Literal

Quantifier = Literal["all", "some", "no", "not all"]
QUANTIFIERS: tuple[Quantifier, ...] = ("all", "some", "no", "not all")
Relation = Literal["same", "wider", "narrower", "other"]  # of a term of the hypothesis to the term of the premise
ENTAILMENT, NEUTRAL, CONTRADICTION = range(3)

Thing = tuple[bool, bool, bool, bool]  # whether it is an a, a b, a v and a w


@cache
def judge(premise: Quantifier, hypothesis: Quantifier, subject: Relation, predicate: Relation) -> int:
    """Whether `hypothesis b are w` follows from `premise a are v`, contradicts it, or neither.

    There is at least one `a` and one `b`: a sentence about all dogs presupposes that there are dogs.

    Args:
        premise, hypothesis: their quantifiers.
        subject: relation of `b` to `a`; wider: animals to dogs.
        predicate: relation of `w` to `v`; narrower: running in the garden to running.

    Returns:
        `ENTAILMENT`, `NEUTRAL` or `CONTRADICTION`.
    """
    answers = {_true(hypothesis, world, 1, 3) for world in _worlds(subject, predicate) if _true(premise, world, 0, 2)}
    return NEUTRAL if len(answers) == 2 else ENTAILMENT if answers == {True} else CONTRADICTION


def _worlds(subject: Relation, predicate: Relation) -> Iterator[tuple[Thing, ...]]:
    subjects = [pair for pair in product((False, True), repeat=2) if _allowed(subject, *pair)]
    predicates = [pair for pair in product((False, True), repeat=2) if _allowed(predicate, *pair)]
    things = [(a, b, v, w) for (a, b), (v, w) in product(subjects, predicates)]
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


def _true(quantifier: Quantifier, world: tuple[Thing, ...], subject: int, predicate: int) -> bool:
    answers = [thing[predicate] for thing in world if thing[subject]]
    return {
        "all": all(answers),
        "some": any(answers),
        "no": not any(answers),
        "not all": not all(answers),
    }[quantifier]
