"""Tasks of two texts that say the same or not: mini-mrpc, mini-stsb and mini-qqp."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from randprune_lab.tasks.mini_glue.phrases import (
    Event,
    Texts,
    coin,
    draw_event,
    join,
    replace_one,
    swap_roles,
    tell,
)
from randprune_lab.tasks.mini_glue.words import ADJECTIVES, ASKED, GIVE, NOUNS, PLACES, TAKE, THINGS, TRANSITIVE


def mrpc(random: Random, label: int, difficulty: int) -> Texts:
    """Do two sentences say the same? If so, in other words and another order; if not, often in the same words.

    Difficulty: the more, the more sentences are in the passive.
    """
    event = replace(draw_event(random, place=True), agent_adjective=random.randrange(len(ADJECTIVES)))
    same = event if label else _altered(random, event)
    return _told(random, event, difficulty), _told(random, same, difficulty)


def _told(random: Random, event: Event, difficulty: int) -> str:
    passive = coin(random, 0.15 * difficulty)
    if coin(random, 0.3):
        return join(event.place, tell(random, replace(event, place=None), passive=passive))
    return tell(random, event, passive=passive)


def _altered(random: Random, event: Event) -> Event:
    """Another event: half of the time the same with the roles exchanged, else one to three parts replaced."""
    if coin(random):
        return swap_roles(event)
    altered = event
    for _ in range(random.randint(1, 3)):
        altered = replace_one(random, altered)
    return altered if altered != event else swap_roles(event)


OPENINGS = ("we heard that", "they say that", "it is true that", "everybody knows that")


def stsb(random: Random, label: int, difficulty: int) -> Texts:
    """How much do two sentences agree? In so many of five parts: agent, its adjective, deed, patient, place.

    Difficulty: at most so many openings such as `they say that`, which add nothing to what is told.
    """
    event = replace(draw_event(random, place=True), agent_adjective=random.randrange(len(ADJECTIVES)))
    names = ("agent", "agent_adjective", "verb", "patient", "place")
    changed = set(random.sample(names, 5 - label))
    return tell(random, event, passive=False), tell(random, _changed(random, event, changed), passive=False)


def _changed(random: Random, event: Event, names: set[str]) -> Event:
    """The event with all the named parts changed; agent and patient, where both are, often exchanged."""
    values: dict[str, object] = {}
    if {"agent", "patient"} <= names and coin(random):
        values |= {"agent": event.patient, "patient": event.agent}
    else:
        rest = [noun for noun in NOUNS if noun not in (event.agent, event.patient)]
        values |= dict(zip(sorted(names & {"agent", "patient"}), random.sample(rest, 2), strict=False))
    for name, count in (("verb", len(TRANSITIVE)), ("agent_adjective", len(ADJECTIVES))):
        if name in names:
            values[name] = (vars(event)[name] + random.randrange(1, count)) % count
    if "place" in names:
        values["place"] = random.choice([place for place in PLACES if place != event.place])
    return replace(event, **values)


def qqp(random: Random, label: int, difficulty: int) -> Texts:
    """Do two questions ask the same? To swap a lamp for a boat is to get a boat for a lamp.

    Difficulty: at most so many openings.
    """
    asked, (given, taken) = random.randrange(len(ASKED)), random.sample(THINGS, 2)
    one = two = (asked, given, taken)
    if not label and coin(random):
        two = (asked, taken, given)
    elif not label:
        while two == one:
            other_asked = random.randrange(len(ASKED)) if coin(random) else asked
            two = (other_asked, *(random.sample(THINGS, 2) if coin(random) else (given, taken)))
    return _question(random, *one, difficulty), _question(random, *two, difficulty)


def _question(random: Random, asked: int, given: str, taken: str, difficulty: int) -> str:
    opening = random.choice(ASKED[asked])
    if coin(random, 0.15 * difficulty):
        return join(opening, random.choice(TAKE), "a", taken, "for a", given)
    return join(opening, random.choice(GIVE), "a", given, "for a", taken)
