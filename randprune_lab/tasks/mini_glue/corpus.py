"""Generated corpora: rows of a task with balanced labels; each text occurs once, and always in the same role."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import cycle, islice
from random import Random
from typing import Literal

from randprune_lab.errors import ConfigError, check_count, check_range, unknown_name
from randprune_lab.tasks.corpus import Corpus, Row
from randprune_lab.tasks.mini_glue import inference, pairs, single
from randprune_lab.tasks.mini_glue.phrases import Example, Texts
from randprune_lab.tasks.spec import Task, get_task

Generator = Callable[[Random, int, int], Example]  # random numbers, label, difficulty -> a text for each field
Role = Literal["train", "validation", "test"]
SEED_WORDS: dict[Role, str] = {"train": "train", "validation": "selection", "test": "report"}
"""Words in the random seed of each role: other words would generate other rows."""

GENERATORS: dict[str, Generator] = {
    "mini-cola": single.cola,
    "mini-sst2": single.sst2,
    "mini-mrpc": pairs.mrpc,
    "mini-stsb": pairs.stsb,
    "mini-qqp": pairs.qqp,
    "mini-mnli": inference.mnli,
    "mini-qnli": inference.qnli,
    "mini-rte": inference.rte,
}
FURTHER: dict[str, dict[str, Generator]] = {
    "mini-mnli": {"mismatched": partial(inference.mnli, mismatched=True)},
}
DIFFICULTIES = (0, 1, 2)
PATIENCE = 20_000  # number of draws without a new text after which the language counts as exhausted


@dataclass(frozen=True)
class MiniGlue:
    """Settings of a generated task; its rows are a pure function of them.

    Args:
        task: its name, one of `GENERATORS`.
        difficulty: 0, 1 or 2; each generator documents its meaning.
        label_noise: probability that a train label is replaced by a random wrong one; validation and test labels are
            always right.
        seed: random seed of the rows.
        train, validation, test: number of rows; fewer rows are the first ones of more.

    Raises:
        UnknownNameError: if there is no such generated task.
        ConfigError: if another setting is out of range.
    """

    task: str
    difficulty: int = 1
    label_noise: float = 0.0
    seed: int = 0
    train: int = 8000
    validation: int = 500
    test: int = 1000

    def __post_init__(self) -> None:
        if self.task not in GENERATORS:
            raise unknown_name("generated task", self.task, GENERATORS)
        if self.difficulty not in DIFFICULTIES:
            raise ConfigError(f"difficulty must be 0, 1 or 2, got {self.difficulty!r}")
        check_range("label_noise", self.label_noise, low=0, high=1)
        check_count("data_seed", self.seed, low=0)
        for role in ("train", "validation", "test"):
            check_count(f"{role} size", getattr(self, role), low=labels(get_task(self.task)))


@lru_cache(maxsize=len(GENERATORS))  # each unit of a study asks again
def generate(settings: MiniGlue) -> Corpus:
    """The rows of a generated task, in three roles. They are remembered: do not change them.

    Raises:
        ConfigError: if the task's language has too few different texts.
    """
    task, generator = get_task(settings.task), GENERATORS[settings.task]
    noise = Random(f"{settings.seed}/{settings.task}/noise")
    train = [
        _wrong(noise, row, task) if noise.random() < settings.label_noise else row
        for row in _rows(settings, task, generator, "train", settings.train)
    ]
    further = {
        name: _rows(settings, task, further, "test", settings.test)
        for name, further in FURTHER.get(settings.task, {}).items()
    }
    return Corpus(
        source=(
            f"generated, difficulty {settings.difficulty}, seed {settings.seed}, label noise {settings.label_noise:g}"
        ),
        train=train,
        validation=_rows(settings, task, generator, "validation", settings.validation),
        test=_rows(settings, task, generator, "test", settings.test),
        further_tests=further,
    )


def phenomena_of(settings: MiniGlue) -> list[frozenset[str]]:
    """The phenomena in each row of the test set, such as "negation" or "passive"; each generator names its own."""
    stream = _stream(settings, get_task(settings.task), GENERATORS[settings.task], "test")
    return [phenomena for _, phenomena in islice(stream, settings.test)]


def labels(task: Task) -> int:
    """The number of labels of a task; in regression they are the whole numbers among the scores."""
    return len(task.labels) if task.score_range is None else int(task.score_range[1]) + 1


def role_of(texts: Texts) -> Role:
    """The role of a text. It depends on the text alone, so that it is the same for every seed and size."""
    place = hashlib.blake2b(" | ".join(sorted(texts)).encode(), digest_size=8).digest()[0] / 256
    return "train" if place < 0.6 else "validation" if place < 0.75 else "test"


def _rows(settings: MiniGlue, task: Task, generator: Generator, role: Role, size: int) -> list[Row]:
    rows = [row for row, _ in islice(_stream(settings, task, generator, role), size)]
    if len(rows) < size:
        raise ConfigError(
            f"task {task.name!r} at difficulty {settings.difficulty} has about {len(rows)} different texts "
            f"for {role}, got a size of {size}; ask for fewer rows, or raise the difficulty"
        )
    return rows


def _stream(settings: MiniGlue, task: Task, generator: Generator, role: Role) -> Iterator[tuple[Row, frozenset[str]]]:
    """New rows of a role and their phenomena, with the labels cyclically, until no new text is found."""
    random = Random(f"{settings.seed}/{settings.task}/{settings.difficulty}/{SEED_WORDS[role]}")
    number = float if task.regression else int
    seen: set[tuple[str, ...]] = set()
    for label in cycle(range(labels(task))):
        for _ in range(PATIENCE):
            texts, phenomena = generator(random, label, settings.difficulty)
            key = tuple(sorted(texts))
            if key not in seen and len(set(texts)) == len(texts) and role_of(texts) == role:
                break
        else:
            return
        seen.add(key)
        yield Row(texts, number(label)), phenomena


def _wrong(random: Random, row: Row, task: Task) -> Row:
    count = labels(task)
    return row._replace(label=type(row.label)((row.label + random.randrange(1, count)) % count))
