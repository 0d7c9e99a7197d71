"""All words of mini-GLUE: short lists, so that every word occurs often enough to be learned."""

from __future__ import annotations

from typing import NamedTuple


class Noun(NamedTuple):
    """A living thing: its singular, its plural, and its kind."""

    one: str
    many: str
    kind: str


class Verb(NamedTuple):
    """The forms of a transitive verb: `chase`, `chases`, `chased`; the passive has the form of the past."""

    base: str
    third: str
    past: str


Synonyms = tuple[str, str]

KINDS = {"animal": "animals", "person": "people"}
ANIMALS = tuple(Noun(noun, f"{noun}s", "animal") for noun in ("dog", "cat", "horse", "goat", "duck", "bear"))
PEOPLE = tuple(
    Noun(noun, f"{noun}s", "person") for noun in ("farmer", "teacher", "doctor", "singer", "pilot", "painter")
)
NOUNS = ANIMALS + PEOPLE


def _verb(base: str) -> Verb:
    return Verb(base, f"{base}s", f"{base}d" if base.endswith("e") else f"{base}ed")


TRANSITIVE: tuple[tuple[Verb, Verb], ...] = (  # pairs of synonyms
    (_verb("chase"), _verb("pursue")),
    (_verb("help"), _verb("assist")),
    (_verb("scare"), _verb("frighten")),
    (_verb("save"), _verb("rescue")),
    (Verb("push", "pushes", "pushed"), _verb("shove")),
    (Verb("find", "finds", "found"), _verb("discover")),
)
ANIMAL_VERBS = ("sleep", "run", "hide", "jump", "eat", "swim")
PEOPLE_VERBS = ("work", "sing", "read", "dance", "wait", "smile")
INTRANSITIVE = ANIMAL_VERBS + PEOPLE_VERBS

ADJECTIVES: tuple[Synonyms, ...] = (
    ("big", "large"),
    ("small", "little"),
    ("quick", "fast"),
    ("happy", "cheerful"),
    ("quiet", "silent"),
    ("clever", "smart"),
)
PLACES = ("at home", "at school", "at sea", "in town", "on stage", "in court")
TIMES = ("at noon", "at night", "at dawn", "on monday", "in spring", "in winter")
PREPOSITIONS = ("near", "behind", "beside", "with")
ADVERBS = ("often", "never", "always")

SINGULAR = ("the", "this", "that", "every")  # determiners of singular nouns
PLURAL = ("the", "these", "those", "many")  # determiners of plural nouns

GOOD = ("good", "superb", "moving", "funny", "fresh", "charming")
BAD = ("bad", "awful", "dull", "boring", "stale", "clumsy")
NEUTRAL = ("long", "short", "new", "old", "french", "loud")
ASPECTS = ("film", "story", "cast", "music", "ending", "dialogue")
NEGATIONS = ("not", "hardly", "never", "far from")

ASKED = (  # the openings of a row ask the same thing
    ("how can i", "how does one", "how should we"),
    ("where can i", "where does one", "where should we"),
    ("when can i", "when does one", "when should we"),
    ("why do you", "why does one", "why should we"),
)
GIVE = ("swap", "trade")  # one thing for another
TAKE = ("get", "buy")  # the other thing for the first
THINGS = ("car", "bike", "boat", "piano", "lamp", "tent", "goat", "horse", "watch", "ring", "camera", "book")

CONNECTIVES = (
    "the",
    "a",
    "and",
    "although",
    ",",
    "?",
    "was",
    "by",
    "for",
    "all",
    "some",
    "no",
    "not",
    "who",
    "whom",
    "where",
    "when",
    "did",
    "this",
    "their",
    "seemed",
    "felt",
)


def vocabulary() -> tuple[str, ...]:
    """All words of all tasks, in alphabetical order."""
    texts = [*CONNECTIVES, *KINDS, *KINDS.values(), *SINGULAR, *PLURAL, *PREPOSITIONS, *ADVERBS, *NEGATIONS]
    texts += [word for noun in NOUNS for word in (noun.one, noun.many)]
    texts += [form for synonyms in TRANSITIVE for verb in synonyms for form in verb]
    texts += [form for verb in INTRANSITIVE for form in (verb, f"{verb}s")]
    texts += [*PLACES, *TIMES, *GOOD, *BAD, *NEUTRAL, *ASPECTS, *GIVE, *TAKE, *THINGS]
    texts += [word for row in (*ADJECTIVES, *ASKED) for word in row]
    return tuple(sorted({word for text in texts for word in text.split()}))
