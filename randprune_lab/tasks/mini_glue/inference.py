"""Inference tasks: mini-mnli, mini-qnli and mini-rte."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from randprune_lab.tasks.mini_glue.logic import QUANTIFIERS, Quantifier, Relation, judge
from randprune_lab.tasks.mini_glue.pairs import PASSIVE, told_twice
from randprune_lab.tasks.mini_glue.phrases import (
    Event,
    Example,
    another,
    change,
    coin,
    draw_event,
    example,
    join,
    swap_roles,
    tell,
    verb_of,
)
from randprune_lab.tasks.mini_glue.words import (
    ADJECTIVES,
    ANIMAL_VERBS,
    ANIMALS,
    KINDS,
    PEOPLE,
    PEOPLE_VERBS,
    PLACES,
    TIMES,
    Noun,
)


@dataclass(frozen=True)
class Claim:
    """A sentence with a quantifier: `not all small dogs sleep in the garden`. Parts that are None are left out."""

    quantifier: Quantifier
    kind: str
    noun: str | None  # None: everything of the kind
    adjective: str | None
    verb: str
    place: str | None

    def __str__(self) -> str:
        return join(self.quantifier, self.adjective, self.noun or KINDS[self.kind], self.verb, self.place)


def mnli(random: Random, label: int, difficulty: int, *, mismatched: bool = False) -> Example:
    """Does the hypothesis follow from the premise, contradict it, or neither? Both begin with a quantifier.

    Args:
        difficulty: maximum number of parts of the hypothesis that are changed, besides its quantifier.
        mismatched: animals do what people do and the other way round, so that every word is known but no sentence.
    """
    while True:
        premise = _claim(random, mismatched)
        hypothesis = replace(premise, quantifier=random.choice(QUANTIFIERS))
        for part in random.sample(("noun", "adjective", "place"), random.randint(0, difficulty)):
            hypothesis = _vary(random, hypothesis, part)
        if premise != hypothesis and _judge(premise, hypothesis) == label:
            negated = {"no", "not all"} & {premise.quantifier, hypothesis.quantifier}
            return example(
                *map(str, (premise, hypothesis)),
                negation=bool(negated),
                kind_for_noun=(premise.noun is None) != (hypothesis.noun is None),
                more_or_less_said=(premise.adjective, premise.place) != (hypothesis.adjective, hypothesis.place),
            )


def _claim(random: Random, mismatched: bool) -> Claim:
    animals = coin(random)
    return Claim(
        random.choice(QUANTIFIERS),
        "animal" if animals else "person",
        random.choice(ANIMALS if animals else PEOPLE).many if coin(random, 0.7) else None,
        random.choice(random.choice(ADJECTIVES)) if coin(random) else None,
        random.choice(ANIMAL_VERBS if animals != mismatched else PEOPLE_VERBS),
        random.choice(PLACES) if coin(random) else None,
    )


def _vary(random: Random, claim: Claim, part: str) -> Claim:
    """Make the claim about more or fewer things, or say more or less about them."""
    if part == "noun":
        nouns = [noun.many for noun in (ANIMALS if claim.kind == "animal" else PEOPLE)]
        return replace(claim, noun=None if claim.noun else random.choice(nouns))
    if part == "adjective":
        return replace(claim, adjective=None if claim.adjective else random.choice(random.choice(ADJECTIVES)))
    return replace(claim, place=None if claim.place else random.choice(PLACES))


def _judge(premise: Claim, hypothesis: Claim) -> int:
    subject = _relation((premise.noun, hypothesis.noun), (premise.adjective, hypothesis.adjective))
    predicate = _relation((premise.place, hypothesis.place), (premise.verb, hypothesis.verb))
    return judge(premise.quantifier, hypothesis.quantifier, subject, predicate)


def _relation(*parts: tuple[str | None, str | None]) -> Relation:
    """The relation of a term of the hypothesis to the term of the premise: each part that is present narrows it."""
    steps = {_step(before, after) for before, after in parts} - {"same"}
    return steps.pop() if len(steps) == 1 else "other" if steps else "same"


def _step(before: str | None, after: str | None) -> Relation:
    if before == after:
        return "same"
    return "wider" if after is None else "narrower" if before is None else "other"


WHO = 0.15  # probability, per step of difficulty, that a question asks for the agent or the patient
FURTHER = 0.3  # probability, for each step of difficulty, that the sentence tells a further event


def qnli(random: Random, label: int, difficulty: int) -> Example:
    """Does the sentence contain the answer? If not, it tells another event, or this one without the answer.

    Args:
        difficulty: maximum number of further events in the sentence; the higher, the more questions ask who or whom
            instead of where or when.
    """
    asked = random.choice(("agent", "patient") if coin(random, WHO * difficulty) else ("place", "time"))
    event = replace(draw_event(random), circumstance=random.choice(PLACES if asked == "place" else TIMES))
    told = event if label == 0 else _unanswering(random, event, asked)  # entailment is the first label
    further = (draw_event(random, circumstance=coin(random)) for _ in range(difficulty) if coin(random, FURTHER))
    clauses = [told, *(clause for clause in further if not _answers(clause, event, asked))]
    random.shuffle(clauses)
    return example(
        _question(random, event, asked),
        " and ".join(tell(random, clause, passive=False) for clause in clauses),
        who_or_whom=asked in ("agent", "patient"),
        exchanged_roles=told == swap_roles(event),
        answer_left_out=bool(label) and replace(told, circumstance=event.circumstance) == event,
        further_event=len(clauses) > 1,
    )


def _unanswering(random: Random, event: Event, asked: str) -> Event:
    """An event that does not answer: with the roles exchanged, without the part that is asked for, or another event."""
    kind = random.choice(("exchanged", "without", "another"))
    if kind == "without" and asked in ("place", "time"):
        return replace(event, circumstance=random.choice(TIMES if asked == "place" else PLACES))
    other = swap_roles(event)
    while kind == "another" and (other == swap_roles(event) or _answers(other, event, asked)):
        other = event
        for part in random.sample(("agent", "verb", "patient"), random.randint(1, 2)):
            other = change(random, other, part)
    return other


def _answers(told: Event, event: Event, asked: str) -> bool:
    """Whether a clause answers the question that asks for a part of the event."""
    return (
        told.verb == event.verb
        and (asked == "agent" or told.agent == event.agent)
        and (asked == "patient" or told.patient == event.patient)
        and (asked != "place" or told.circumstance in PLACES)
        and (asked != "time" or told.circumstance in TIMES)
    )


def _question(random: Random, event: Event, asked: str) -> str:
    verb = verb_of(random, event)
    agent, patient = f"the {event.agent.one}", f"the {event.patient.one}"
    if asked == "agent":
        return join("who", verb.past, patient, "?")
    if asked == "patient":
        return join("whom did", agent, verb.base, "?")
    return join("where" if asked == "place" else "when", "did", agent, verb.base, patient, "?")


_ANYTHING = {kind: Noun(kind, many, kind) for kind, many in KINDS.items()}


def rte(random: Random, label: int, difficulty: int) -> Example:
    """Does the hypothesis follow from the text? It is less specific; if it does not follow, parts are changed too.

    Args:
        difficulty: the higher, the more sentences are in the passive; at 2, both nouns have an adjective.
    """
    event = draw_event(random, adjectives=2 if difficulty == 2 else 0, circumstance=True)
    hypothesis = _weaker(random, event)
    while label and follows(event, hypothesis):  # entailment is the first label
        hypothesis = another(random, _weaker(random, event))
    return told_twice(
        *(random, event, hypothesis, PASSIVE * difficulty),
        kind_for_noun={hypothesis.agent, hypothesis.patient} & {*_ANYTHING.values()} != set(),
        exchanged_roles=bool(label) and _nouns_follow(swap_roles(event), hypothesis),
    )


def _weaker(random: Random, event: Event) -> Event:
    """A less specific event: nouns may be replaced by their kind, and other parts except the verb left out."""
    return Event(
        _ANYTHING[event.agent.kind] if coin(random, 0.2) else event.agent,
        event.verb,
        _ANYTHING[event.patient.kind] if coin(random, 0.2) else event.patient,
        event.agent_adjective if coin(random, 0.8) else None,
        event.patient_adjective if coin(random, 0.8) else None,
        event.circumstance if coin(random) else None,
    )


def follows(text: Event, hypothesis: Event) -> bool:
    """Whether the text says everything that the hypothesis says."""
    return (
        text.verb == hypothesis.verb
        and _nouns_follow(text, hypothesis)
        and hypothesis.agent_adjective in (text.agent_adjective, None)
        and hypothesis.patient_adjective in (text.patient_adjective, None)
        and hypothesis.circumstance in (text.circumstance, None)
    )


def _nouns_follow(text: Event, hypothesis: Event) -> bool:
    return hypothesis.agent in (text.agent, _ANYTHING[text.agent.kind]) and hypothesis.patient in (
        text.patient,
        _ANYTHING[text.patient.kind],
    )
