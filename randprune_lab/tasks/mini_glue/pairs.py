"""Tasks that compare the meaning of two texts: mini-mrpc, mini-stsb and mini-qqp."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import NamedTuple

from randprune_lab.tasks.mini_glue.phrases import (
    Event,
    Example,
    another,
    change,
    coin,
    draw_event,
    example,
    join,
    parts,
    swap_roles,
    tell,
)
from randprune_lab.tasks.mini_glue.words import ASKED, GIVE, TAKE, THINGS

# Both are small, so that most pairs match word by word: a model learns to compare from these, and then the others.
PASSIVE = 0.05  # probability, per step of difficulty, that a sentence is in the passive
TAKEN = 0.1  # probability, per step of difficulty, that a question begins with the thing that is taken


def mrpc(random: Random, label: int, difficulty: int) -> Example:
    """Do two sentences mean the same? Those that do differ in words or order; those that do not often share words.

    Args:
        difficulty: the higher, the more sentences are in the passive; at 2, both nouns have an adjective.
    """
    event = draw_event(random, adjectives=2 if difficulty == 2 else 0, circumstance=True)
    same = event if label else another(random, event)
    return told_twice(random, event, same, PASSIVE * difficulty, exchanged_roles=same == swap_roles(event))


def told_twice(random: Random, first: Event, second: Event, chance: float, **phenomena: bool) -> Example:
    """Two sentences, each in the passive with the probability `chance`."""
    told = [(passive := coin(random, chance), tell(random, event, passive=passive)) for event in (first, second)]
    return example(*(text for _, text in told), passive=any(passive for passive, _ in told), **phenomena)


def stsb(random: Random, label: int, difficulty: int) -> Example:
    """In how many of five parts do two sentences agree? Agent, its adjective, verb, patient and circumstance.

    Args:
        label: number of parts that agree.
        difficulty: at 0, 1 and 2, agent and patient are never, half of the time and always exchanged, if neither
            agrees.
    """
    event = replace(draw_event(random, adjectives=2, circumstance=True), patient_adjective=None)
    changed = set(random.sample(parts(event), 5 - label))
    other = event
    if {"agent", "patient"} <= changed and coin(random, difficulty / 2):
        changed -= {"agent", "patient"}
        other = replace(event, agent=event.patient, patient=event.agent)
    for part in sorted(changed):
        other = change(random, other, part)
    texts = tell(random, event, passive=False), tell(random, other, passive=False)
    return example(*texts, exchanged_roles=(other.agent, other.patient) == (event.patient, event.agent))


class Exchange(NamedTuple):
    """A question about how, where, when or why someone exchanges one thing for another."""

    asked: int
    given: str
    taken: str


def qqp(random: Random, label: int, difficulty: int) -> Example:
    """Do two questions ask the same thing? To swap a lamp for a boat is to get a boat for a lamp.

    Args:
        difficulty: the higher, the more questions begin with the thing that is taken.
    """
    first = Exchange(random.randrange(len(ASKED)), *random.sample(THINGS, 2))
    second = first if label else _other_question(random, first)
    asked = [_ask(random, question, TAKEN * difficulty) for question in (first, second)]
    reverse = (second.given, second.taken) == (first.taken, first.given)
    return example(*(text for text, _ in asked), taken_first=any(taken for _, taken in asked), exchanged_roles=reverse)


def _other_question(random: Random, question: Exchange) -> Exchange:
    """Another question: half of the time about the reverse exchange, else with another question word or things."""
    if coin(random):
        return question._replace(given=question.taken, taken=question.given)
    other = question
    while other == question:
        if coin(random):
            other = other._replace(asked=random.randrange(len(ASKED)))
        if coin(random):
            given, taken = random.sample(THINGS, 2)
            other = other._replace(given=given, taken=taken)
    return other


def _ask(random: Random, question: Exchange, chance: float) -> tuple[str, bool]:
    """The question, and whether it begins with the thing that is taken."""
    opening = random.choice(ASKED[question.asked])
    if coin(random, chance):
        return join(opening, random.choice(TAKE), "a", question.taken, "for a", question.given), True
    return join(opening, random.choice(GIVE), "a", question.given, "for a", question.taken), False
