"""Tasks of two texts that say the same or not: mini-mrpc, mini-stsb and mini-qqp."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import NamedTuple

from randprune_lab.tasks.mini_glue.phrases import (
    Texts,
    another,
    change,
    coin,
    draw_event,
    join,
    parts,
    tell,
)
from randprune_lab.tasks.mini_glue.words import ASKED, GIVE, TAKE, THINGS

# Most pairs can be laid side by side, word on word: from these a model learns to compare, and then the rest.
PASSIVE = 0.05  # chance of the passive in a sentence, for each step of difficulty
TAKEN = 0.1  # likewise, chance that a question begins with what is taken


def mrpc(random: Random, label: int, difficulty: int) -> Texts:
    """Do two sentences say the same? If so, in other words or another order; if not, often in the same words.

    Difficulty: the more, the more sentences are in the passive; from 2 on both nouns have an adjective.
    """
    event = draw_event(random, adjectives=2 if difficulty == 2 else 0, circumstance=True)
    same = event if label else another(random, event)
    chance = PASSIVE * difficulty
    return tell(random, event, passive=coin(random, chance)), tell(random, same, passive=coin(random, chance))


def stsb(random: Random, label: int, difficulty: int) -> Texts:
    """How much do two sentences agree? In so many of five parts: agent, its adjective, deed, patient, circumstance.

    Difficulty: where neither agent nor patient agree, they are never, half of the time or always exchanged.
    """
    event = replace(draw_event(random, adjectives=2, circumstance=True), patient_adjective=None)
    changed = set(random.sample(parts(event), 5 - label))
    other = event
    if {"agent", "patient"} <= changed and coin(random, difficulty / 2):
        changed -= {"agent", "patient"}
        other = replace(event, agent=event.patient, patient=event.agent)
    for part in sorted(changed):
        other = change(random, other, part)
    return tell(random, event, passive=False), tell(random, other, passive=False)


class Exchange(NamedTuple):
    """A question after how, where, when or why one gives a thing for another."""

    asked: int
    given: str
    taken: str


def qqp(random: Random, label: int, difficulty: int) -> Texts:
    """Do two questions ask the same? To swap a lamp for a boat is to get a boat for a lamp.

    Difficulty: the more, the more questions begin with what is taken.
    """
    one = Exchange(random.randrange(len(ASKED)), *random.sample(THINGS, 2))
    two = one if label else _other_question(random, one)
    return _ask(random, one, TAKEN * difficulty), _ask(random, two, TAKEN * difficulty)


def _other_question(random: Random, one: Exchange) -> Exchange:
    """Half of the time after the contrary exchange, else after something else or about other things."""
    if coin(random):
        return one._replace(given=one.taken, taken=one.given)
    two = one
    while two == one:
        if coin(random):
            two = two._replace(asked=random.randrange(len(ASKED)))
        if coin(random):
            given, taken = random.sample(THINGS, 2)
            two = two._replace(given=given, taken=taken)
    return two


def _ask(random: Random, question: Exchange, chance: float) -> str:
    opening = random.choice(ASKED[question.asked])
    if coin(random, chance):
        return join(opening, random.choice(TAKE), "a", question.taken, "for a", question.given)
    return join(opening, random.choice(GIVE), "a", question.given, "for a", question.taken)
