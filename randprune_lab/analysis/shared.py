"""What a student shares of the runs of one seed: a small file of scores and settings, and nothing that is personal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from randprune_lab.analysis.levels import difference_of_runs, steps_up_to
from randprune_lab.analysis.run_record import RunRecord
from randprune_lab.errors import ConfigError, FileError, RunError
from randprune_lab.files import reading, strict_json
from randprune_lab.sealed import checksum, unsealed, write_sealed
from randprune_lab.search.config import RunConfig
from randprune_lab.search.recorded_config import resume_command
from randprune_lab.search.units import DATA, DENSE
from randprune_lab.stats.intervals import Interval
from randprune_lab.typed import record_of, typed

KIND = "randprune shared result"
FORMAT = 1
"""The format number of a shared file."""
LARGEST = 1 << 20
"""A shared file has some kilobytes; a file with more bytes than this is none."""
LONGEST = 80
"""The most characters of a guess."""
WITHOUT = {"seed", "method", "glue_dir", "data", "test_data", "device", "threads", "compute"}
"""Settings that a shared file leaves out: places of files, and those that change at most the last digits."""

UNKNOWN = "unknown"

Number = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, lt=2**63)]


@dataclass(frozen=True)
class Score:
    """The test score of a method at a level.

    Args:
        method: the name of the method.
        sparsity: the sparsity of the level.
        steps: the training steps up to this level, candidates included, without those of the dense model.
        score: the task's first metric on the test set.
    """

    method: str
    sparsity: Number
    steps: Count
    score: Number


@dataclass(frozen=True)
class Difference:
    """The score of the search minus that of another method at a level, with a paired 95 % interval over test examples.

    Args:
        other: the name of the other method.
        sparsity: the sparsity of the level.
        estimate, low, high: the difference and its interval, in units of the metric.
    """

    other: str
    sparsity: Number
    estimate: Number
    low: Number
    high: Number

    @property
    def interval(self) -> Interval:
        """The difference with its interval."""
        return Interval(self.estimate, self.low, self.high)


@dataclass(frozen=True)
class Share:
    """The results of one seed, as far as a class needs them.

    Args:
        version: the version of the package that the first run was begun with.
        seed: the seed.
        task: the name of the task.
        metric: the task's first metric.
        examples: the number of test examples.
        data: the fingerprint of the data.
        method: the name of the first run's own method, which the others are compared with.
        settings: the settings of each run that its results depend on, by the name of its own method.
        scores: the scores of all methods at all levels.
        differences: the differences of `method` from each other method at the levels that both have.
        guess: what its author expected; None if nothing was written down.
    """

    version: str
    seed: Count
    task: str
    metric: str
    examples: Count
    data: str
    method: str
    settings: dict[str, dict[str, Any]]
    scores: tuple[Score, ...]
    differences: tuple[Difference, ...]
    guess: str | None = None

    def __post_init__(self) -> None:
        if self.guess is not None and not (self.guess.isprintable() and 0 < len(self.guess) <= LONGEST):
            raise ConfigError(f"a guess must be one line of 1 to {LONGEST} characters, got {self.guess!r}")
        scored = {(one.method, one.sparsity) for one in self.scores}
        compared = {(name, one.sparsity) for one in self.differences for name in (self.method, one.other)}
        if not compared or not compared <= scored:
            raise ConfigError("a share must have differences, and the scores of both methods of each")

    @property
    def compared(self) -> list[tuple[str, float]]:
        """The methods that the first one is compared with, and the levels."""
        return [(one.other, one.sparsity) for one in self.differences]

    @property
    def file_name(self) -> str:
        """A name for the file; the same results have the same name, others of the same seed do not."""
        return f"seed-{self.seed}-{self.results[:6]}.json"

    @property
    def results(self) -> str:
        """The SHA-256 of everything except the guess."""
        return checksum(asdict(self) | {"guess": None})

    @property
    def alike(self) -> dict[str, Any]:
        """What shares must have in common to be drawn together."""
        return {
            "package version": self.version,
            "task": self.task,
            "metric": self.metric,
            "data": self.data,
            "method": self.method,
            "settings": self.settings,
            "levels": sorted(self.compared),
        }

    def difference(self, other: str, sparsity: float) -> Difference:
        """The difference from a method at a level."""
        return next(one for one in self.differences if (one.other, one.sparsity) == (other, sparsity))

    def score(self, method: str, sparsity: float) -> Score:
        """The score of a method at a level."""
        return next(one for one in self.scores if (one.method, one.sparsity) == (method, sparsity))

    def save(self, path: str | Path) -> None:
        """Write the file, atomically; one that is there is replaced.

        Raises:
            FileError: if it cannot be written.
        """
        write_sealed(path, FORMAT, {"kind": KIND, **asdict(self)})


class _Method(NamedTuple):
    record: RunRecord
    name: str

    def trained(self, sparsity: float) -> str:
        """The name of the training at a level."""
        return self.record.level(self.record.config.levels.index(sparsity) + 1, self.name).name


_ABOUT, _SCORE, _DIFFERENCE = record_of(Share, ("scores", "differences")), record_of(Score), record_of(Difference)


def read_share(path: str | Path) -> Share:
    """Read a shared file.

    Raises:
        FileError: if the file is missing, damaged, too large, of another format, or something else.
    """
    path = Path(path)
    with reading("shared file", path):
        if path.stat().st_size > LARGEST:
            raise FileError(f"{path} is larger than any shared file; {_REMEDY}")
        content = strict_json(path.read_bytes())
        if not isinstance(content, dict) or content.get("kind") != KIND:
            raise FileError(f"{path} is no shared file; {_REMEDY}")
        values = unsealed(path, content, FORMAT, _REMEDY)
        del values["kind"]
        lists = {name: values.pop(name, None) for name in ("scores", "differences")}
        scores = typed(list[_SCORE], lists["scores"], "scores", strict=True)  # type: ignore[valid-type]
        differences = typed(list[_DIFFERENCE], lists["differences"], "differences", strict=True)  # type: ignore[valid-type]
        return Share(
            **typed(_ABOUT, values, strict=True),
            scores=tuple(Score(**score) for score in scores),
            differences=tuple(Difference(**difference) for difference in differences),
        )


_REMEDY = "share the run again: randprune share RUN"


def share_runs(runs: Sequence[str | Path], guess: str | None = None) -> Share:
    """The results of finished runs of one seed: of a search, and of others that it is compared with.

    Args:
        runs: the run folders; the own method of the first one is compared with all other methods.
        guess: what was expected before, in one line.

    Raises:
        RunError: if a run is not finished, the runs have different seeds or test examples, two methods have the same
            name, or nothing is there to compare the first method with.
        ConfigError: if the guess is too long, or has several lines.
        FileError: if a file of a run is damaged.
    """
    records = [RunRecord.load(run) for run in runs]
    methods = [_Method(record, name) for record in records for name in record.methods]
    _check(records, [method.name for method in methods])
    first = records[0]
    return Share(
        version=first.environment["packages"].get("randprune-lab", UNKNOWN) if first.environment else UNKNOWN,
        seed=first.config.seed,
        task=first.task.name,
        metric=first.task.primary_metric,
        examples=len(first.answers(DENSE)[1]),
        data=first.units[DATA]["fingerprint"],
        method=first.config.method,
        settings={record.config.method: _settings(record.config) for record in records},
        scores=tuple(
            Score(method.name, sparsity, taken, method.record.score(method.trained(sparsity)).estimate)
            for method in methods
            for sparsity, taken in steps_up_to(method.record, method.name).items()
        ),
        differences=tuple(one for method in methods[1:] for one in _differences(methods[0], method)),
        guess=guess,
    )


def _differences(first: _Method, other: _Method) -> Iterator[Difference]:
    for sparsity in first.record.config.levels:
        if sparsity in other.record.config.levels:
            names = first.trained(sparsity), other.trained(sparsity)
            found = difference_of_runs(first.record, names[0], other.record, names[1])
            yield Difference(other.name, sparsity, **asdict(found))


def _check(records: Sequence[RunRecord], methods: Sequence[str]) -> None:
    for record in records:
        if not record.finished:
            raise RunError(f"{record.path} is not finished; go on with: {resume_command(record.path)}")
        if record.config.seed != records[0].config.seed:
            raise RunError(
                f"{record.path} has seed {record.config.seed} and {records[0].path} has seed "
                f"{records[0].config.seed}; share the runs of one seed"
            )
        records[0].check_same_examples(record)
    if twice := [name for name in dict.fromkeys(methods) if methods.count(name) > 1]:
        raise RunError(f"several of these runs have a method {twice[0]!r}; leave one of them out")
    if len(methods) < 2:
        raise RunError(f"{records[0].path} has no other method to compare {methods[0]!r} with; give another run too")


def _settings(config: RunConfig) -> dict[str, Any]:
    settings = {name: value for name, value in config.to_dict().items() if name not in WITHOUT}
    return settings | {"model": Path(config.model).name}
