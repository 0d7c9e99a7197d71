"""Tasks on one sentence: mini-cola and mini-sst2."""

from __future__ import annotations

from random import Random

from randprune_lab.tasks.mini_glue.phrases import Example, coin, example, join
from randprune_lab.tasks.mini_glue.words import (
    ADJECTIVES,
    ADVERBS,
    ASPECTS,
    BAD,
    GOOD,
    INTRANSITIVE,
    NEGATIONS,
    NEUTRAL,
    NOUNS,
    PLURAL,
    PREPOSITIONS,
    SINGULAR,
    TRANSITIVE,
)


def cola(random: Random, label: int, difficulty: int) -> Example:
    """Is the sentence well formed? It may have one error: in the verb's agreement, a determiner's, or the word order.

    Args:
        difficulty: maximum number of nouns, singular or plural, between the subject and its verb.
    """
    subject_many = coin(random)
    numbers = [subject_many, *(coin(random) for _ in range(random.randint(0, difficulty)))]
    transitive = coin(random)
    if transitive:
        numbers.append(coin(random))
    fault = None if label else random.choice(("verb", "determiner", "order"))
    faulty = random.randrange(len(numbers)) if fault in ("determiner", "order") else None
    phrases = [_noun_phrase(random, many, fault if number == faulty else None) for number, many in enumerate(numbers)]
    objects = [phrases.pop()] if transitive else []
    subject = phrases[0]
    attractors = [join(random.choice(PREPOSITIONS), phrase) for phrase in phrases[1:]]
    adverb = random.choice(ADVERBS) if coin(random) else None
    verb_many = subject_many != (fault == "verb")
    return example(
        join(subject, *attractors, adverb, _verb(random, transitive, verb_many), *objects),
        noun_between=bool(attractors),
        other_number_between=any(many != subject_many for many in numbers[1 : 1 + len(attractors)]),
        wrong_verb=fault == "verb",
        wrong_determiner=fault == "determiner",
        wrong_order=fault == "order",
    )


def _noun_phrase(random: Random, many: bool, fault: str | None) -> str:
    noun = random.choice(NOUNS)
    # `the` is singular and plural, so it cannot disagree
    determiners = (PLURAL if many != (fault == "determiner") else SINGULAR)[fault == "determiner" :]
    determiner = random.choice(determiners)
    words = [determiner, noun.many if many else noun.one]
    if coin(random, 0.3):
        words.insert(1, random.choice(random.choice(ADJECTIVES)))
    return join(*(reversed(words) if fault == "order" else words))


def _verb(random: Random, transitive: bool, many: bool) -> str:
    if not transitive:
        base = random.choice(INTRANSITIVE)
        return base if many else f"{base}s"
    verb = random.choice(random.choice(TRANSITIVE))
    return verb.base if many else verb.third


def sst2(random: Random, label: int, difficulty: int) -> Example:
    """Does the sentence praise or blame? A negation reverses the word that follows it.

    Args:
        difficulty: maximum number of other clauses: neutral facts, which may be negated, and concessions, which say
            the opposite of the sentence as a whole.
    """
    subject, *others = random.sample(ASPECTS, 1 + random.randint(0, difficulty))
    main = _judgement(random, subject, bool(label))
    negated = any(f" {negation} " in main for negation in NEGATIONS)
    conceding = stating = False
    for other in others:
        if coin(random):
            conceding = True
            conceded = f"although {_judgement(random, other, not label)}"
            main = f"{conceded} , {main}" if coin(random) else f"{main} , {conceded}"
        else:
            stating = True
            fact = _judgement(random, other, None)
            main = f"{fact} and {main}" if coin(random) else f"{main} and {fact}"
    return example(main, negation=negated, concession=conceding, neutral_statement=stating)


def _judgement(random: Random, aspect: str, good: bool | None) -> str:
    """A clause that praises or blames; None: neither."""
    negation = random.choice(NEGATIONS) if coin(random) else None
    praising = good != bool(negation)
    word = random.choice(NEUTRAL if good is None else GOOD if praising else BAD)
    kind = random.choice(NEUTRAL) if coin(random, 0.3) else None
    verb = random.choice(("was", "seemed", "felt"))
    return join(random.choice(("the", "this", "their")), kind, aspect, verb, negation, word)
