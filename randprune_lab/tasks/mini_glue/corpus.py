"""Generated corpora: so many rows of a task, balanced, each text once and always in the same role."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from random import Random
from typing import Literal

from randprune_lab.errors import ConfigError, check_count, check_range, unknown_name
from randprune_lab.tasks.corpus import Corpus, Row
from randprune_lab.tasks.mini_glue import inference, pairs, single
from randprune_lab.tasks.mini_glue.phrases import Texts
from randprune_lab.tasks.spec import Task, get_task

Generator = Callable[[Random, int, int], Texts]  # random numbers, label, difficulty -> a text for each field
Role = Literal["train", "selection", "report"]

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
PATIENCE = 20_000  # draws without a new text, after which the language counts as exhausted


@dataclass(frozen=True)
class MiniGlue:
    """Which generated rows: a pure function of these fields gives them.

    Rows of a smaller role are the first ones of a larger. What `difficulty`, 0 to 2, means in a task, its generator
    says. A share `label_noise` of the *train* labels is wrong, each another one drawn at random; selection and report
    are never wrong.
    """

    task: str
    difficulty: int = 1
    label_noise: float = 0.0
    seed: int = 0
    train: int = 8000
    selection: int = 500
    report: int = 1000

    def __post_init__(self) -> None:
        if self.task not in GENERATORS:
            raise unknown_name("generated task", self.task, GENERATORS)
        if self.difficulty not in DIFFICULTIES:
            raise ConfigError(f"difficulty must be 0, 1 or 2, got {self.difficulty!r}")
        check_range("label_noise", self.label_noise, low=0, high=1)
        check_count("data_seed", self.seed, low=0)
        for role in ("train", "selection", "report"):
            check_count(f"{role} size", getattr(self, role), low=labels(get_task(self.task)))


def generate(wanted: MiniGlue) -> Corpus:
    """The rows, in three roles. Raises `ConfigError` if the task's language has not so many different texts."""
    task, generator = get_task(wanted.task), GENERATORS[wanted.task]
    noise = Random(f"{wanted.seed}/{wanted.task}/noise")
    train = [
        _wrong(noise, row, task) if noise.random() < wanted.label_noise else row
        for row in _rows(wanted, task, generator, "train", wanted.train)
    ]
    further = {
        name: _rows(wanted, task, further, "report", wanted.report)
        for name, further in FURTHER.get(wanted.task, {}).items()
    }
    return Corpus(
        source=f"generated, difficulty {wanted.difficulty}, seed {wanted.seed}, label noise {wanted.label_noise:g}",
        train=train,
        selection=_rows(wanted, task, generator, "selection", wanted.selection),
        report=_rows(wanted, task, generator, "report", wanted.report),
        further_reports=further,
    )


def labels(task: Task) -> int:
    """Labels that a generator knows; the scores of a regression are its whole numbers."""
    return len(task.labels) if task.score_range is None else int(task.score_range[1]) + 1


def role_of(texts: Texts) -> Role:
    """The role of a text: it hangs on the text alone, so that no seed and no size moves it to another."""
    place = hashlib.blake2b(" | ".join(sorted(texts)).encode(), digest_size=8).digest()[0] / 256
    return "train" if place < 0.6 else "selection" if place < 0.75 else "report"


def _rows(wanted: MiniGlue, task: Task, generator: Generator, role: Role, size: int) -> list[Row]:
    found = list(islice(_stream(wanted, task, generator, role), size))
    if len(found) < size:
        raise ConfigError(
            f"task {task.name!r} at difficulty {wanted.difficulty} has hardly more than {len(found)} different texts "
            f"for the role {role}, got {size}; ask for fewer, or raise the difficulty"
        )
    return found


def _stream(wanted: MiniGlue, task: Task, generator: Generator, role: Role) -> Iterator[Row]:
    """New rows of a role, with the labels in turn, until no new text is found."""
    random = Random(f"{wanted.seed}/{wanted.task}/{wanted.difficulty}/{role}")
    number = float if task.regression else int
    seen: set[tuple[str, ...]] = set()
    for label in cycle(range(labels(task))):
        for _ in range(PATIENCE):
            texts = generator(random, label, wanted.difficulty)
            key = tuple(sorted(texts))
            if key not in seen and len(set(texts)) == len(texts) and role_of(texts) == role:
                break
        else:
            return
        seen.add(key)
        yield Row(texts, number(label))


def _wrong(random: Random, row: Row, task: Task) -> Row:
    count = labels(task)
    return row._replace(label=type(row.label)((row.label + random.randrange(1, count)) % count))
