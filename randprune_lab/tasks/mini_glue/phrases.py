"""What several tasks say alike: events, told in other words, in the active or the passive."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from randprune_lab.tasks.mini_glue.words import ADJECTIVES, NOUNS, PLACES, TRANSITIVE, Noun, Verb

Texts = tuple[str, ...]  # one text for each field of the task


@dataclass(frozen=True)
class Event:
    """Who did what to whom, and where: what a sentence means, whatever its words. Numbers count in word lists."""

    agent: Noun
    verb: int
    patient: Noun
    agent_adjective: int | None = None
    patient_adjective: int | None = None
    place: str | None = None


def draw_event(random: Random, *, adjectives: int = 0, place: bool = False) -> Event:
    """An event of two different nouns, of which `adjectives`, 0 to 2, have an adjective."""
    agent, patient = random.sample(NOUNS, 2)
    pair: list[int | None] = list(random.sample(range(len(ADJECTIVES)), 2))
    for at in random.sample(range(2), 2 - adjectives):
        pair[at] = None
    where = random.choice(PLACES) if place else None
    return Event(agent, random.randrange(len(TRANSITIVE)), patient, *pair, where)


def swap_roles(event: Event) -> Event:
    """The same with agent and patient exchanged, each with its adjective."""
    return replace(
        event,
        agent=event.patient,
        patient=event.agent,
        agent_adjective=event.patient_adjective,
        patient_adjective=event.agent_adjective,
    )


def swap_adjectives(event: Event) -> Event:
    """The same with the adjectives exchanged: what was said of one is said of the other."""
    return replace(event, agent_adjective=event.patient_adjective, patient_adjective=event.agent_adjective)


def replace_one(random: Random, event: Event) -> Event:
    """The same but for one part, which is another."""
    parts = [name for name, value in vars(event).items() if value is not None]
    name = random.choice(parts)
    if name in ("agent", "patient"):
        return replace(event, **{name: random.choice([n for n in NOUNS if n not in (event.agent, event.patient)])})
    if name == "place":
        return replace(event, place=random.choice([p for p in PLACES if p != event.place]))
    value, count = vars(event)[name], len(TRANSITIVE if name == "verb" else ADJECTIVES)
    return replace(event, **{name: (value + random.randrange(1, count)) % count})


def verb_of(random: Random, event: Event) -> Verb:
    """One of the verbs that mean what was done."""
    return random.choice(TRANSITIVE[event.verb])


def noun_phrase(random: Random, noun: str, adjective: int | None) -> str:
    """`the dog`, `the big dog` or, what means the same, `the large dog`."""
    return join("the", None if adjective is None else random.choice(ADJECTIVES[adjective]), noun)


def tell(random: Random, event: Event, *, passive: bool) -> str:
    """A sentence that means the event; synonyms are drawn."""
    agent = noun_phrase(random, event.agent.one, event.agent_adjective)
    patient = noun_phrase(random, event.patient.one, event.patient_adjective)
    past = verb_of(random, event).past
    told = (patient, "was", past, "by", agent) if passive else (agent, past, patient)
    return join(*told, event.place)


def coin(random: Random, chance: float = 0.5) -> bool:
    return random.random() < chance


def join(*parts: str | None) -> str:
    """A sentence of the parts that are there."""
    return " ".join(part for part in parts if part)
