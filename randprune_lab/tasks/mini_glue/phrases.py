"""Shared by several tasks: events, and sentences that tell them with synonyms, in the active or the passive."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Any, NamedTuple

from randprune_lab.tasks.mini_glue.words import ADJECTIVES, NOUNS, PLACES, TIMES, TRANSITIVE, Noun, Verb

CIRCUMSTANCES = PLACES + TIMES
Texts = tuple[str, ...]  # one text for each field of the task


class Example(NamedTuple):
    """One text for each field of the task, and the names of what a model has to deal with in them."""

    texts: Texts
    phenomena: frozenset[str]


def example(*texts: str, **phenomena: bool) -> Example:
    """An example with the phenomena that are true; their names have `_` for blanks."""
    return Example(texts, frozenset(name.replace("_", " ") for name, true in phenomena.items() if true))


@dataclass(frozen=True)
class Event:
    """The meaning of a sentence: who did what to whom, and where or when. Numbers are positions in the word lists."""

    agent: Noun
    verb: int
    patient: Noun
    agent_adjective: int | None = None
    patient_adjective: int | None = None
    circumstance: str | None = None


def draw_event(random: Random, *, adjectives: int = 0, circumstance: bool = False) -> Event:
    """An event with two different nouns; 0, 1 or 2 of them have an adjective, as `adjectives` says."""
    agent, patient = random.sample(NOUNS, 2)
    first, second = random.sample(range(len(ADJECTIVES)), 2)
    described = random.sample(range(2), adjectives)
    return Event(
        agent,
        random.randrange(len(TRANSITIVE)),
        patient,
        first if 0 in described else None,
        second if 1 in described else None,
        random.choice(CIRCUMSTANCES) if circumstance else None,
    )


def swap_roles(event: Event) -> Event:
    """The event with agent and patient exchanged, each with its adjective."""
    return replace(
        event,
        agent=event.patient,
        patient=event.agent,
        agent_adjective=event.patient_adjective,
        patient_adjective=event.agent_adjective,
    )


def parts(event: Event) -> list[str]:
    """The names of the parts that are present."""
    return [name for name, value in vars(event).items() if value is not None]


def change(random: Random, event: Event, part: str) -> Event:
    """The event with one part replaced by another one; a new noun is neither the agent nor the patient."""
    changed: dict[str, Any] = {}
    if part in ("agent", "patient"):
        changed[part] = random.choice([noun for noun in NOUNS if noun not in (event.agent, event.patient)])
    elif part == "circumstance":
        changed[part] = random.choice([other for other in CIRCUMSTANCES if other != event.circumstance])
    else:
        count = len(TRANSITIVE if part == "verb" else ADJECTIVES)
        changed[part] = (vars(event)[part] + random.randrange(1, count)) % count
    return replace(event, **changed)


def another(random: Random, event: Event) -> Event:
    """A different event: half of the time with the roles exchanged, else with one to three parts changed."""
    if coin(random):
        return swap_roles(event)
    for part in random.sample(parts(event), random.randint(1, 3)):
        event = change(random, event, part)
    return event


def verb_of(random: Random, event: Event) -> Verb:
    """One of the synonyms of the event's verb."""
    return random.choice(TRANSITIVE[event.verb])


def noun_phrase(random: Random, noun: str, adjective: int | None) -> str:
    """`the dog`, `the big dog` or, with the same meaning, `the large dog`."""
    return join("the", None if adjective is None else random.choice(ADJECTIVES[adjective]), noun)


def tell(random: Random, event: Event, *, passive: bool) -> str:
    """A sentence that tells the event; synonyms are drawn."""
    agent = noun_phrase(random, event.agent.one, event.agent_adjective)
    patient = noun_phrase(random, event.patient.one, event.patient_adjective)
    past = verb_of(random, event).past
    words = (patient, "was", past, "by", agent) if passive else (agent, past, patient)
    return join(*words, event.circumstance)


def coin(random: Random, chance: float = 0.5) -> bool:
    """True with probability `chance`."""
    return random.random() < chance


def join(*parts: str | None) -> str:
    """A sentence of the parts that are present."""
    return " ".join(part for part in parts if part)
