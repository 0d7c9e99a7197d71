"""The results of a class: what students shared, the one comparison of all of it, and what cannot be part of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from randprune_lab.analysis.contrasts import IMP
from randprune_lab.analysis.shared import Difference, Share, read_share
from randprune_lab.errors import ConfigError, FileError, listed, unknown_name
from randprune_lab.sealed import checksum
from randprune_lab.search.recorded_config import CONFIG
from randprune_lab.stats.intervals import Interval, mean_interval

MADE = {".html", ".png", ".csv"}
"""The endings of files that gathering writes, which may be in the same folder."""
NAMED = 3
"""The most settings that are named where some differ."""


@dataclass(frozen=True)
class Gathered:
    """The shared results of a class that can be compared, and why others cannot.

    Args:
        shares: the results by the name of the file, one for each seed, in the order of the seeds.
        left_out: a line for each file that is left out.
        other: the method that the others are compared with.
        sparsity: the level.
    """

    shares: Mapping[str, Share]
    left_out: Sequence[str]
    other: str
    sparsity: float

    @property
    def first(self) -> Share:
        """The share with the lowest seed, for what all have in common."""
        return next(iter(self.shares.values()))

    @property
    def differences(self) -> dict[int, Difference]:
        """The difference of each seed."""
        return {share.seed: share.difference(self.other, self.sparsity) for share in self.shares.values()}

    @property
    def over_seeds(self) -> Interval:
        """The mean over seeds with Student's t interval (`stats.mean_interval`); it is infinite with one seed."""
        return mean_interval([one.estimate for one in self.differences.values()])

    @property
    def steps(self) -> tuple[int, int]:
        """The training steps of the two methods up to the level."""
        first = self.first
        return _steps(first, first.method, self.sparsity), _steps(first, self.other, self.sparsity)

    @property
    def guesses(self) -> Counter[str]:
        """What was expected before, and by how many."""
        return Counter(share.guess for share in self.shares.values() if share.guess is not None)


def gather(folder: str | Path, *, other: str | None = None, sparsity: float | None = None) -> Gathered:
    """Gather the shared files of a folder and its subfolders.

    Only results with the same settings, data and package version are compared: those that most files have. Of several
    files with one seed, the first by name is used.

    Args:
        folder: the folder.
        other: the method that the first one is compared with; None for one with the same number of training steps, or
            else IMP.
        sparsity: the level; None for the last.

    Raises:
        FileError: if the folder cannot be read, or has no shared file.
        ConfigError: if the results have no such method or level.
    """
    folder, left_out = Path(folder), []
    found: dict[str, Share] = {}
    unknown: list[str] = []
    for path in _files(folder):
        name = str(path.relative_to(folder))
        if path.suffix.lower() in MADE:
            continue
        if path.is_dir():
            left_out.append(f"{name}: this is a run folder; its student shares it first: randprune share {path.name}")
        elif ".json" not in path.name.lower():
            unknown.append(name)
        else:
            try:
                found[name] = read_share(path)
            except FileError as error:
                left_out.append(str(error).replace(str(path), name))
    if unknown:
        left_out.append(f"no shared files: {listed(unknown)}")
    if not found:
        raise FileError("; ".join([f"{folder} has no shared file; students write one: randprune share RUN", *left_out]))
    same = _most_common(found)
    left_out += [f"{name}: {_unlike(share, same)}" for name, share in found.items() if share.alike != same.alike]
    alike = {name: share for name, share in found.items() if share.alike == same.alike}
    once, twice = _once(alike)
    chosen = other or _compared(same)
    level = max((each for name, each in same.compared if name == chosen), default=0.0) if sparsity is None else sparsity
    _check_known(same, chosen, level)
    return Gathered(once, [*left_out, *twice], chosen, level)


def _files(folder: Path) -> Iterator[Path]:
    """All files of a folder and its subfolders in the order of their names, and the folders of runs as such."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise FileError(f"cannot read {folder}: {error.strerror}; give the folder of the shared files") from error
    for path in entries:
        if path.name.startswith(".") or (path.is_dir() and path.is_symlink()):
            continue
        if path.is_dir() and not (path / CONFIG).exists():
            yield from _files(path)
        else:
            yield path


def _most_common(found: Mapping[str, Share]) -> Share:
    """A share with what most have in common; of equally many, the first."""
    keys = {name: checksum(share.alike) for name, share in found.items()}
    count = Counter(keys.values())
    return found[max(found, key=lambda name: count[keys[name]])]


def _unlike(share: Share, same: Share) -> str:
    """Why a share cannot be compared with the others."""
    ours, theirs = share.alike, same.alike
    for name in ("package version", "task", "method"):
        if ours[name] != theirs[name]:
            return f"other {name}: {ours[name]}, not {theirs[name]}"
    if lacks := theirs["settings"].keys() - ours["settings"].keys():
        return f"lacks the run of {listed(sorted(lacks))}; share both together: randprune share RUN RUN"
    if changed := _changed(ours["settings"], theirs["settings"]):
        return f"other settings: {'; '.join(changed)}"
    return "other data: the same settings gave other rows"


def _changed(ours: Mapping[str, Mapping[str, Any]], theirs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    more = [f"also has the run of {name!r}" for name in ours if name not in theirs]
    changed = [
        f"{key} of {method} {values.get(key)}, not {theirs[method].get(key)}"
        for method, values in ours.items()
        if method in theirs
        for key in sorted(values.keys() | theirs[method].keys())
        if values.get(key) != theirs[method].get(key)
    ]
    rest = [f"and {len(changed) - NAMED} more"] if len(changed) > NAMED else []
    return [*more, *changed[:NAMED], *rest]


def _once(alike: Mapping[str, Share]) -> tuple[dict[str, Share], list[str]]:
    """One share for each seed, by seed, and a line for each other one."""
    first: dict[int, str] = {}
    told = []
    for name, share in alike.items():
        used = first.setdefault(share.seed, name)
        if used != name:
            numbers = "the same numbers" if share.results == alike[used].results else "other numbers"
            told.append(f"{name}: seed {share.seed} again, with {numbers}; {used} is used, so run another seed")
    return {first[seed]: alike[first[seed]] for seed in sorted(first)}, told


def _compared(share: Share) -> str:
    """The method with the steps of the first one, or else IMP, or else the first."""
    last = dict(sorted(share.compared, key=lambda each: each[1]))  # the highest level of each
    equal = [name for name, level in last.items() if _steps(share, name, level) == _steps(share, share.method, level)]
    return [*equal, *(name for name in last if name == IMP), *last][0]


def _steps(share: Share, method: str, sparsity: float) -> int:
    return share.score(method, sparsity).steps


def _check_known(share: Share, other: str, sparsity: float) -> None:
    if other not in (others := dict.fromkeys(name for name, _ in share.compared)):
        raise unknown_name("method to compare with", other, others)
    if sparsity not in (levels := [level for name, level in share.compared if name == other]):
        raise ConfigError(f"sparsity must be one of {', '.join(map(str, levels))}, got {sparsity}")
