"""Generated tasks: independent parsers confirm the labels; rows are balanced, disjoint and reproducible."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from random import Random
from typing import NamedTuple

import pytest

from randprune_lab.errors import ConfigError, UnknownNameError
from randprune_lab.tasks import get_task, load_splits
from randprune_lab.tasks.corpus import Corpus, Row
from randprune_lab.tasks.mini_glue import GENERATORS, MiniGlue, generate, phenomena_of, words
from randprune_lab.tasks.mini_glue.corpus import DIFFICULTIES
from randprune_lab.tasks.splits import text_key

NAMES = list(GENERATORS)


@cache
def corpus(task: str, difficulty: int = 1, seed: int = 0, train: int = 240) -> Corpus:
    return generate(MiniGlue(task, difficulty, seed=seed, train=train, validation=60, test=120))


def sample(task: str, difficulty: int) -> list[Row]:
    generated = corpus(task, difficulty)
    return [*generated.train, *generated.test]


def roles(corpus: Corpus) -> dict[str, list[Row]]:
    return {"train": corpus.train, "validation": corpus.validation, "test": corpus.test, **corpus.further_tests}


# --- rows ---


@pytest.mark.parametrize("task", NAMES)
def test_the_same_seed_generates_the_same_rows_and_another_seed_others(task: str) -> None:
    settings = MiniGlue(task, train=50, validation=20, test=20)
    assert generate(settings) == generate.__wrapped__(settings)
    assert generate(settings).train != generate(replace(settings, seed=1)).train


@pytest.mark.parametrize("task", NAMES)
def test_fewer_rows_are_the_first_of_more(task: str) -> None:
    small = generate(MiniGlue(task, train=60, validation=30, test=30))
    assert small.train == corpus(task).train[:60]
    assert small.test == corpus(task).test[:30]


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
@pytest.mark.parametrize("task", NAMES)
def test_labels_alternate_so_that_every_prefix_is_balanced(task: str, difficulty: int) -> None:
    for rows in roles(corpus(task, difficulty)).values():
        for size in (30, 61, len(rows)):
            counts = Counter(row.label for row in rows[:size])
            assert max(counts.values()) - min(counts.values()) <= 1
        labels = {row.label for row in rows}
        assert (
            labels == set(range(6)) if get_task(task).regression else labels == set(range(len(get_task(task).labels)))
        )


@pytest.mark.parametrize("task", NAMES)
def test_no_text_occurs_twice_or_in_two_roles_for_any_seed_and_difficulty(task: str) -> None:
    seen: dict[str, set[str]] = {}
    for difficulty, seed in ((0, 0), (1, 0), (1, 1), (2, 0)):
        for role, rows in roles(corpus(task, difficulty, seed)).items():
            keys = [text_key(row) for row in rows]
            assert len(set(keys)) == len(keys)
            seen.setdefault(role, set()).update(keys)
    assert sum(map(len, seen.values())) == len(set().union(*seen.values()))


@pytest.mark.parametrize("task", NAMES)
def test_the_two_texts_of_a_row_differ(task: str) -> None:
    assert all(len(set(row.texts)) == len(row.texts) == len(get_task(task).text_fields) for row in sample(task, 1))


def test_the_vocabulary_is_all_words_that_occur_and_no_others() -> None:
    rows = [row for task in NAMES for row in corpus(task, train=480).train]
    used = {word for row in rows for text in row.texts for word in text.split()}
    assert used == set(words.vocabulary())


@pytest.mark.parametrize("task", ["mini-cola", "mini-mnli", "mini-stsb"])
def test_only_train_labels_have_noise(task: str) -> None:
    clean = corpus(task)
    noisy = generate(MiniGlue(task, label_noise=0.2, train=240, validation=60, test=120))
    assert replace(noisy, source="", train=[]) == replace(clean, source="", train=[])
    assert [row.texts for row in noisy.train] == [row.texts for row in clean.train]
    wrong = sum(a.label != b.label for a, b in zip(noisy.train, clean.train, strict=True))
    assert 48 - 31 < wrong < 48 + 31  # 5 standard deviations of a binomial: false alarm below 1e-6
    assert {type(row.label) for row in noisy.train} == {type(row.label) for row in clean.train}


# --- labels, by checkers that share nothing with the generators but the word lists ---

NUMBER = {noun.one: "one" for noun in words.NOUNS} | {noun.many: "many" for noun in words.NOUNS}
VERB_NUMBER = (
    {f"{verb}s": "one" for verb in words.INTRANSITIVE}
    | dict.fromkeys(words.INTRANSITIVE, "many")
    | {verb.third: "one" for pair in words.TRANSITIVE for verb in pair}
    | {verb.base: "many" for pair in words.TRANSITIVE for verb in pair}
)
TRANSITIVE_FORMS = {form for pair in words.TRANSITIVE for verb in pair for form in (verb.base, verb.third)}
MEANING = {word: pair[0] for pair in words.ADJECTIVES for word in pair}
DEED = {form: pair[0].base for pair in words.TRANSITIVE for verb in pair for form in (verb.base, verb.past)}


def acceptable(sentence: str) -> bool:
    """A recursive-descent parser of the grammar: NP (prep NP)* adverb? verb NP?, with agreement."""
    rest = sentence.split()

    def noun_phrase() -> str | None:
        if not rest or rest[0] not in words.SINGULAR + words.PLURAL:
            return None
        determiner = rest.pop(0)
        if rest and rest[0] in MEANING:
            rest.pop(0)
        number = NUMBER.get(rest.pop(0)) if rest else None
        allowed = words.SINGULAR if number == "one" else words.PLURAL
        return number if determiner in allowed else None

    subject = noun_phrase()
    if subject is None:
        return False
    while rest and rest[0] in words.PREPOSITIONS:
        rest.pop(0)
        if noun_phrase() is None:
            return False
    if rest and rest[0] in words.ADVERBS:
        rest.pop(0)
    verb = rest.pop(0) if rest else ""
    if VERB_NUMBER.get(verb) != subject:
        return False
    if verb in TRANSITIVE_FORMS and noun_phrase() is None:
        return False
    return not rest


def praises(sentence: str) -> bool:
    """Whether the clause that judges praises; concessions and neutral clauses are ignored."""
    verdicts = []
    for clause in re.split(r" , | and ", sentence):
        if clause.startswith("although "):
            continue
        *_, last = clause.split()
        if last in words.NEUTRAL:
            continue
        negated = any(f" {negation} " in clause for negation in words.NEGATIONS)
        verdicts.append((last in words.GOOD) != negated)
    (verdict,) = verdicts
    return verdict


class Told(NamedTuple):
    agent: str
    agent_adjective: str | None
    deed: str
    patient: str
    patient_adjective: str | None
    circumstance: str | None


PHRASE = r"the (?:(\w+) )?(\w+)"
ACTIVE = re.compile(rf"{PHRASE} (\w+) {PHRASE}(?: ((?:at|in|on) \w+))?")
TURNED = re.compile(rf"{PHRASE} was (\w+) by {PHRASE}(?: ((?:at|in|on) \w+))?")


def told(sentence: str) -> Told:
    if match := TURNED.fullmatch(sentence):
        patient_adjective, patient, deed, adjective, agent, circumstance = match.groups()
    else:
        match = ACTIVE.fullmatch(sentence)
        assert match, sentence
        adjective, agent, deed, patient_adjective, patient, circumstance = match.groups()
    meaning = {None: None} | MEANING
    return Told(agent, meaning[adjective], DEED[deed], patient, meaning[patient_adjective], circumstance)


def agreements(first: str, second: str) -> int:
    return sum(a == b for a, b in zip(told(first), told(second), strict=True)) - 1  # no patient has an adjective here


def exchange(question: str) -> tuple[str, str, str]:
    """The question word, the thing that is given, and the thing that is taken."""
    match = re.fullmatch(r"(\w+) \w+ \w+ (\w+) a (\w+) for a (\w+)", question)
    assert match, question
    asked, verb, first, second = match.groups()
    return (asked, first, second) if verb in words.GIVE else (asked, second, first)


def answered(question: str, sentence: str) -> bool:
    """Whether one of the clauses fits the question and contains the answer."""
    facts = [told(clause) for clause in sentence.split(" and ")]
    if match := re.fullmatch(r"who (\w+) the (\w+) \?", question):
        return any((DEED[match[1]], match[2]) == (fact.deed, fact.patient) for fact in facts)
    if match := re.fullmatch(r"whom did the (\w+) (\w+) \?", question):
        return any((match[1], DEED[match[2]]) == (fact.agent, fact.deed) for fact in facts)
    match = re.fullmatch(r"(where|when) did the (\w+) (\w+) the (\w+) \?", question)
    assert match, question
    wanted = words.PLACES if match[1] == "where" else words.TIMES
    return any(
        (match[2], DEED[match[3]], match[4]) == (fact.agent, fact.deed, fact.patient) and fact.circumstance in wanted
        for fact in facts
    )


KIND = {noun.one: noun.kind for noun in words.NOUNS}


def follows(text: str, hypothesis: str) -> bool:
    """Whether every part of the hypothesis is in the text, is the kind of a noun there, or is left out."""
    return all(b in (a, None, KIND.get(a)) for a, b in zip(told(text), told(hypothesis), strict=True))


CHECKERS: dict[str, Callable[..., int | bool]] = {
    "mini-cola": acceptable,
    "mini-sst2": praises,
    "mini-mrpc": lambda first, second: told(first) == told(second),
    "mini-stsb": agreements,
    "mini-qqp": lambda first, second: exchange(first) == exchange(second),
    "mini-qnli": lambda question, sentence: not answered(question, sentence),
    "mini-rte": lambda text, hypothesis: not follows(text, hypothesis),
}


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
@pytest.mark.parametrize("task", CHECKERS)
def test_every_label_is_right(task: str, difficulty: int) -> None:
    for row in sample(task, difficulty):
        assert CHECKERS[task](*row.texts) == row.label, row


CLAIM = re.compile(r"(not all|all|some|no) (?:(\w+) )?(\w+) (\w+)(?: ((?:at|in|on) \w+))?")
Thing = tuple[str, str | None, str, str | None]  # noun, adjective, verb, place


def claim_holds(claim: str, world: list[Thing]) -> bool | None:
    """Whether a claim is true in a world; None if the world contains nothing that it is about."""
    match = CLAIM.fullmatch(claim)
    assert match, claim
    quantifier, adjective, noun, verb, place = match.groups()
    nouns = {known.many for known in words.NOUNS if noun in (known.many, words.KINDS[known.kind])}
    spoken_of = [thing for thing in world if thing[0] in nouns and adjective in (None, thing[1])]
    if not spoken_of:
        return None
    said = [thing[2] == verb and place in (None, thing[3]) for thing in spoken_of]
    return {"all": all(said), "not all": not all(said), "some": any(said), "no": not any(said)}[quantifier]


def outcomes(premise: str, hypothesis: str, random: Random) -> set[bool]:
    """Whether the hypothesis is true in random worlds of one to four things in which the premise is true."""
    parts = [CLAIM.fullmatch(claim).groups() for claim in (premise, hypothesis)]
    animals = any(part[2] in ("animals", *(noun.many for noun in words.ANIMALS)) for part in parts)
    among = words.ANIMALS if animals else words.PEOPLE
    nouns = sorted({part[2] for part in parts} & {noun.many for noun in among}) or [among[0].many]
    another = next(noun.many for noun in among if noun.many not in nouns)
    choices = (
        [*nouns, another],
        [*{part[1]: None for part in parts}, None],
        [parts[0][3], "nothing"],
        [*{part[4]: None for part in parts}, None],
    )
    answers = set()
    for _ in range(400):
        world = [tuple(map(random.choice, choices)) for _ in range(random.randint(1, 4))]
        if claim_holds(premise, world) and (answer := claim_holds(hypothesis, world)) is not None:
            answers.add(answer)
    return answers


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_an_entailed_hypothesis_is_true_in_every_world_and_a_contradiction_in_none(difficulty: int) -> None:
    random = Random(0)
    rows = [
        *corpus("mini-mnli", difficulty).test,
        *corpus("mini-mnli", difficulty).further_tests["mismatched"][:60],
    ]
    for row in rows:
        assert outcomes(*row.texts, random) == ({True}, {True, False}, {False})[row.label], row


def test_mismatched_sentences_are_of_another_domain_in_the_same_words() -> None:
    def domain(row: Row) -> bool:
        tokens = set(row.texts[0].split())
        animal = bool(tokens & {"animals", *(noun.many for noun in words.ANIMALS)})
        return animal == bool(tokens & set(words.ANIMAL_VERBS))

    mnli = corpus("mini-mnli", train=480)
    assert all(map(domain, [*mnli.train, *mnli.test]))
    assert not any(map(domain, mnli.further_tests["mismatched"]))
    known = {word for row in mnli.train for text in row.texts for word in text.split()}
    assert {word for row in mnli.further_tests["mismatched"] for text in row.texts for word in text.split()} <= known


# --- difficulty ---


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def length(row: Row) -> float:
    return mean([len(text.split()) for text in row.texts])


def passives(row: Row) -> float:
    return sum(" was " in text for text in row.texts)


MEASURES: dict[str, Callable[[Row], float]] = {
    "mini-cola": length,
    "mini-sst2": length,
    "mini-mrpc": passives,
    "mini-stsb": lambda row: len(set(row.texts[0].split()) & set(row.texts[1].split())) if row.label == 0 else 0,
    "mini-qqp": lambda row: sum(verb in text.split() for text in row.texts for verb in words.TAKE),
    "mini-mnli": lambda row: CLAIM.fullmatch(row.texts[0]).groups()[1:] != CLAIM.fullmatch(row.texts[1]).groups()[1:],
    "mini-qnli": length,
    "mini-rte": passives,
}


@pytest.mark.parametrize("task", NAMES)
def test_difficulty_changes_rows_as_documented(task: str) -> None:
    easy, middle, hard = (
        mean([MEASURES[task](row) for row in sample(task, difficulty)]) for difficulty in DIFFICULTIES
    )
    assert easy < middle < hard


# --- as a task ---


def test_a_generated_task_has_the_form_of_the_original_task() -> None:
    for name in NAMES:
        task, like = get_task(name), get_task(name.removeprefix("mini-"))
        for field in ("text_fields", "labels", "metrics", "score_range", "further_tests"):
            assert getattr(task, field) == getattr(like, field)


def test_train_rows_beyond_the_default_keep_the_roles() -> None:
    splits = load_splits("mini-sst2", train_size=1001)
    assert {role: len(rows) for role, rows in splits.roles.items()} == {"train": 1001, "validation": 500, "test": 1000}
    assert list(splits.train["sentence"][:3]) == [row.texts[0] for row in corpus("mini-sst2").train[:3]]
    assert "generated" in splits.source


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"task": "mini-colla"}, UnknownNameError, "did you mean 'mini-cola'"),
        ({"difficulty": 3}, ConfigError, "difficulty must be 0, 1 or 2, got 3"),
        ({"label_noise": 1.5}, ConfigError, r"label_noise must be in \[0, 1\], got 1.5"),
        ({"seed": -1}, ConfigError, "seed must be a whole number at least 0, got -1"),
        ({"train": 1}, ConfigError, "train size must be a whole number at least 2, got 1"),
    ],
)
def test_settings_out_of_range_are_named(change: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        MiniGlue(**{"task": "mini-cola", **change})


def test_an_exhausted_language_is_an_error(monkeypatch) -> None:
    monkeypatch.setattr("randprune_lab.tasks.mini_glue.corpus.PATIENCE", 3)
    with pytest.raises(ConfigError, match=r"at difficulty 0 has about \d+ different texts.*got a size of 2000"):
        load_splits(MiniGlue("mini-qqp", difficulty=0, train=2000))


def test_a_glue_folder_is_refused(tmp_path) -> None:
    for task in ("mini-cola", MiniGlue("mini-cola")):
        with pytest.raises(ConfigError, match="glue_dir"):
            load_splits(task, glue_dir=tmp_path)


# --- phenomena ---

SIGNS: dict[tuple[str, str], Callable[[tuple[str, ...]], bool]] = {
    ("mini-sst2", "concession"): lambda texts: "although" in texts[0].split(),
    ("mini-sst2", "neutral statement"): lambda texts: " and " in texts[0],
    ("mini-mrpc", "passive"): lambda texts: any(" was " in text and " by " in text for text in texts),
    ("mini-rte", "passive"): lambda texts: any(" was " in text and " by " in text for text in texts),
    ("mini-rte", "kind for noun"): lambda texts: bool({"animal", "person"} & {*texts[1].split()}),
    ("mini-qqp", "taken first"): lambda texts: any({*words.TAKE} & {*text.split()} for text in texts),
    ("mini-mnli", "negation"): lambda texts: any(re.match("no |not all ", text) for text in texts),
    ("mini-qnli", "who or whom"): lambda texts: texts[0].startswith("who"),
}
"""What shows in the texts themselves that a phenomenon occurs."""


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
@pytest.mark.parametrize(("task", "phenomenon"), SIGNS)
def test_phenomena_are_what_the_texts_show(task: str, phenomenon: str, difficulty: int) -> None:
    settings = MiniGlue(task, difficulty, test=120)
    told, rows = phenomena_of(settings), generate(settings).test
    assert [phenomenon in each for each in told] == [SIGNS[task, phenomenon](row.texts) for row in rows]


@pytest.mark.parametrize("task", ["mini-mrpc", "mini-rte", "mini-qqp", "mini-qnli"])
def test_exchanged_roles_never_keep_the_meaning(task: str) -> None:
    settings, same = MiniGlue(task, test=300), {"mini-mrpc": 1, "mini-qqp": 1}.get(task, 0)
    rows = [
        row
        for row, told in zip(generate(settings).test, phenomena_of(settings), strict=True)
        if "exchanged roles" in told
    ]
    assert rows and all(row.label != same for row in rows)


def test_errors_of_sentences_are_told_and_only_of_unacceptable_ones() -> None:
    settings = MiniGlue("mini-cola", test=300)
    wrong = {"wrong verb", "wrong determiner", "wrong order"}
    for row, told in zip(generate(settings).test, phenomena_of(settings), strict=True):
        assert len(told & wrong) == 1 - row.label
        assert "noun between" in told or "other number between" not in told
