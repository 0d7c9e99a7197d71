"""Why two methods differ: their difference as a sum of parts, each of which changes one thing alone.

The search of `laptop` trains at another learning rate than its baseline, IMP. Between them are methods that differ from
each other in one thing: the search and one random mask in the selection, this and one magnitude mask in the mask, and
so on. Along such a path the differences sum up to the whole. Where the record has the methods of several paths, as that
of `laptop-rates`, a part is the mean over them.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from randprune_lab.analysis.contrasts import Contrasts, single_rows
from randprune_lab.analysis.recorded import IN_STUDIES
from randprune_lab.errors import ConfigError, DataError
from randprune_lab.search.config import RunConfig, default_of
from randprune_lab.stats.intervals import Interval
from randprune_lab.stats.tasks import fixed_tasks, over_tasks

if TYPE_CHECKING:
    import pandas as pd

WHOLE = "whole"
"""The name of the sum of the parts."""
RATE_LAST: Contrasts = {
    "selection": ("search", "one-mask"),
    "mask": ("one-mask", "imp-short-4e-3"),
    "rate": ("imp-short-4e-3", "imp-short"),
    "steps": ("imp-short", "imp"),
}
"""From the search to IMP in `laptop` and `laptop-rates`. Mask and selection are compared at the search's rate.

The selection includes the steps of the early evaluations. The last part, `steps`, is IMP's lack of these steps."""
RATE_FIRST: Contrasts = {
    "rate": ("search", "search-2e-3"),
    "selection": ("search-2e-3", "one-mask-2e-3"),
    "mask": ("one-mask-2e-3", "imp-short"),
    "steps": ("imp-short", "imp"),
}
"""The same in `laptop-rates`, where mask and selection are compared at IMP's rate."""
EQUAL_STEPS: Contrasts = {"search": ("search", "imp-4e-3"), "rate": ("imp-4e-3", "imp")}
"""Two parts with the steps of the search, in `laptop-rates`; the first one is at the search's rate."""


def difference_parts(table: pd.DataFrame, paths: Sequence[Contrasts], sparsities: Sequence[float]) -> pd.DataFrame:
    """The difference of two methods as the sum of its parts: a mean over levels, and over paths between the methods.

    Only tasks and seeds that have all methods at all levels are used. So the estimates of the parts sum up to that of
    the whole.

    Args:
        table: the table of `results_table`.
        paths: one or more ways from the first method to the last. Each is a mapping from a part's name to two methods,
            the first minus the second; the second is the first of the next part.
        sparsities: the levels.

    Returns:
        A row for the whole, and one for each part.
        Columns: part; units, the number of tasks and seeds; estimate, in the unit of the metric; low and high, its 95 %
        interval over tasks (`stats.tasks.over_tasks`); seeds_low and seeds_high, its interval for these tasks with
        other seeds (`fixed_tasks`).

    Raises:
        ConfigError: if the methods of a path are not connected, a path has no part or one named like the whole, or
            paths differ in their parts or their ends.
        DataError: if no task and seed has all methods.
    """
    import pandas as pd

    first, last = _ends(paths)
    methods = list(dict.fromkeys(method for path in paths for pair in path.values() for method in pair))
    rows = single_rows(table[table.sparsity.isin(list(sparsities)) & table.method.isin(methods)])
    wide = rows.pivot(index=["task", "seed"], columns=["method", "sparsity"], values="score")
    wide = wide.reindex(columns=pd.MultiIndex.from_product([methods, sparsities])).dropna()
    if wide.empty:
        raise DataError(f"no task and seed has results of all of {', '.join(methods)} at the levels; run them")
    scores = wide.T.groupby(level=0).mean().T
    values = {WHOLE: scores[first] - scores[last]}
    for name in paths[0]:
        values[name] = sum(scores[path[name][0]] - scores[path[name][1]] for path in paths) / len(paths)
    return pd.DataFrame([_row(name, each) for name, each in values.items()])


def parts_by_level(table: pd.DataFrame, paths: Sequence[Contrasts]) -> pd.DataFrame:
    """The parts of a difference at each level of a table, see `difference_parts`; `sparsity` is the first column."""
    import pandas as pd

    levels = sorted(table.sparsity[table.sparsity > 0].unique())
    tables = [difference_parts(table, paths, [level]).assign(sparsity=level) for level in levels]
    both = pd.concat(tables, ignore_index=True)
    return both[["sparsity", *(name for name in both if name != "sparsity")]]


def parts_table(parts: pd.DataFrame) -> pd.DataFrame:
    """The parts of a difference as text, in points with 95 % intervals over tasks.

    Args:
        parts: the table of `parts_by_level`.

    Returns:
        A row for each part, a column for each level.
    """
    cells = parts.assign(
        at=[f"at {100 * sparsity:.4g} % (points)" for sparsity in parts.sparsity],
        text=[Interval(row.estimate, row.low, row.high).in_points(signed=True) for row in parts.itertuples()],
    )
    wide = cells.pivot(index="part", columns="at", values="text")
    return wide.loc[cells.part.unique(), cells["at"].unique()].rename_axis(columns=None)


def alike_but_for(setting: str, study: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The methods of a study by the value of one setting, as `analysis.pairs.at_chosen` takes them.

    So each method of `laptop-rates` can be compared at its best learning rate, which the other seeds choose.

    Args:
        setting: a setting of runs, such as `learning_rate`.
        study: the settings of the study, as `analysis.recorded.read_settings` returns them.

    Returns:
        For each method `alike`, the name of all methods that differ from it in this setting alone, which is the
        shortest of theirs, and the value of the setting.

    Raises:
        ConfigError: if there is no such setting.
    """
    defaults = {each.name: default_of(each) for each in dataclasses.fields(RunConfig)}
    if setting not in defaults:
        raise ConfigError(f"there is no setting {setting!r} of runs; choose one of those that `randprune run` has")
    groups: dict[str, list[str]] = {}
    found: dict[str, tuple[str, Any]] = {}
    for method, own in study["methods"].items():
        every = {**defaults, **IN_STUDIES, **study["settings"], **own}
        value = every.pop(setting)
        group = json.dumps(every, sort_keys=True)
        groups.setdefault(group, []).append(method)
        found[method] = group, value
    return {
        method: {"alike": min(groups[group], key=len), setting: format(value, "g" if isinstance(value, float) else "")}
        for method, (group, value) in found.items()
    }


def _ends(paths: Sequence[Contrasts]) -> tuple[str, str]:
    """The first and the last method, which are those of all paths."""
    ends = set()
    if any(not path or WHOLE in path for path in paths):
        raise ConfigError(f"a path must have one part or more, and none may be named {WHOLE!r}, which is their sum")
    for path in paths:
        pairs = [*path.values()]
        for (_, middle), (after, _) in pairwise(pairs):
            if middle != after:
                raise ConfigError(f"the parts of a path must be connected, but {middle} is followed by {after}")
        ends.add((pairs[0][0], pairs[-1][1]))
    if len(ends) != 1 or any(set(path) != set(paths[0]) for path in paths):
        raise ConfigError("all paths must have the same parts, the same first and the same last method")
    return ends.pop()


def _row(name: str, values: pd.Series) -> dict[str, Any]:
    tasks = {str(task): each.tolist() for task, each in values.groupby(level="task", sort=False)}
    over, fixed = over_tasks(tasks), fixed_tasks(tasks)
    about = {"part": name, "units": len(values), **dataclasses.asdict(over)}
    return {**about, "seeds_low": fixed.low, "seeds_high": fixed.high}
