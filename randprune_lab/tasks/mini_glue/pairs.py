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
    swap_adjectives,
    swap_roles,
    tell,
)
from randprune_lab.tasks.mini_glue.words import ADJECTIVES, CHORES, CITIES, NOUNS, PLACES, THINGS, TRANSITIVE


def mrpc(random: Random, label: int, difficulty: int) -> Texts:
    """Do two sentences say the same? If so, in other words and another order; if not, often in the same words.

    Difficulty: so many of the two nouns have an adjective, which may be what is exchanged.
    """
    event = draw_event(random, adjectives=min(difficulty, 2), place=coin(random))
    same = event if label else _altered(random, event)
    return tell(random, event, passive=coin(random)), tell(random, same, passive=coin(random))


def _altered(random: Random, event: Event) -> Event:
    if coin(random, 0.3):
        return replace_one(random, event)
    if coin(random, 0.3) and event.agent_adjective != event.patient_adjective:
        return swap_adjectives(event)
    return swap_roles(event)


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


_ASKED = (  # each row asks the same
    ("how can i", "what is the best way to", "how does one"),
    ("where can i", "what is a good place to", "where does one"),
    ("when can i", "what is the best time to", "when does one"),
    ("why should i", "for what reason should i", "what is the use to"),
)


def qqp(random: Random, label: int, difficulty: int) -> Texts:
    """Do two questions ask the same?

    Difficulty: at most so many openings.
    """
    asked, chore = random.randrange(len(_ASKED)), random.randrange(len(CHORES))
    thing = random.choice(THINGS)
    cities = random.sample(CITIES, 2)
    one = (asked, chore, thing, tuple(cities))
    two = one
    if not label:
        change = random.random()
        if change < 0.5:
            two = (asked, chore, thing, (cities[1], cities[0]))
        elif change < 0.7:
            two = ((asked + random.randrange(1, len(_ASKED))) % len(_ASKED), chore, thing, tuple(cities))
        elif change < 0.85:
            two = (asked, (chore + random.randrange(1, len(CHORES))) % len(CHORES), thing, tuple(cities))
        else:
            two = (asked, chore, random.choice([t for t in THINGS if t != thing]), tuple(cities))
    return _question(random, *one), _question(random, *two)


def _question(random: Random, asked: int, chore: int, thing: str, cities: tuple[str, str]) -> str:
    return join(
        random.choice(_ASKED[asked]),
        random.choice(CHORES[chore]),
        f"a {thing}",
        f"from {cities[0]} to {cities[1]}" if coin(random) else f"to {cities[1]} from {cities[0]}",
        "?",
    )
