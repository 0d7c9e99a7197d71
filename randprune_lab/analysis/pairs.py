"""Every pair of methods of a study: which is ahead, corrected for the number of pairs.

What a method is trained with, such as its learning rate, is chosen first: for each task, seed, method and level the
value with the best mean validation score of the task's *other* seeds. So no score decides over its own choice.

The unit of a comparison is a task and a seed; both methods have the same dense model there. A difference is a mean
over tasks of the mean over seeds. Its interval and its test are for these tasks with other seeds: a study of two tasks
says nothing of others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from randprune_lab.analysis.contrasts import KEY, single_rows
from randprune_lab.analysis.recorded import Primary
from randprune_lab.errors import DataError
from randprune_lab.stats.holm import holm
from randprune_lab.stats.tasks import fixed_test

if TYPE_CHECKING:
    import pandas as pd

Values = Mapping[str, Mapping[str, str]]
"""The value of each factor, by the name of the method, as `StudyConfig.combinations`."""
UNIT = ["task", "seed"]
COLUMNS = ("sparsity", "first", "second", "units", "difference", "low", "high", "p", "holm", "verdict")
"""The columns of a table of pairs."""
LEVEL = 0.05
"""The probability that any pair of a table without a difference is called ahead or behind, at most."""


def at_chosen(table: pd.DataFrame, values: Values, chosen: str) -> pd.DataFrame:
    """The rows of a table of results at the value of one factor that the validation set chose.

    Args:
        table: the table of `results_table` or `study_table`; methods that are not in `values` are left out.
        values: the value of each factor, by the name of the method.
        chosen: the factor; "" for none: all rows stay.

    Returns:
        One row for each task, seed, combination of the other factors, and level. Each factor is a column; `method` has
        the values of the others than `chosen`, joined by `-`. A task and seed is left out where some of the values of
        `chosen` are missing, as in a study that is not finished: the best of a few would be compared with that of all.

    Raises:
        DataError: if there is only one seed of a task, so that no other can choose.
    """
    import pandas as pd

    table = single_rows(table[table.method.isin(list(values))])
    factors = pd.DataFrame([values[method] for method in table.method], index=table.index)
    table = pd.concat([table.drop(columns="method"), factors], axis=1)
    others = [name for name in factors if name != chosen]
    table.insert(2, "method", table[others].agg("-".join, axis=1))
    if not chosen:
        return table
    if (seeds := table.groupby("task").seed.nunique()).min() < 2:
        raise DataError(
            f"task {seeds.idxmin()} has one seed, so no other seed can choose its {chosen}; run a second seed"
        )
    known = pd.DataFrame([*values.values()])
    every = known.groupby(known[others].agg("-".join, axis=1))[chosen].nunique()
    done = table.groupby([*KEY])[chosen].transform("nunique")
    table = table[done == table.method.map(every)]
    rows = [_best(group, chosen) for _, group in table.groupby(["task", "method", "sparsity"], sort=False)]
    return pd.concat([table[:0], *rows]).sort_index()


def _best(group: pd.DataFrame, chosen: str) -> pd.DataFrame:
    """Of a task, method and level: the row of each seed at the value that the other seeds choose; the first of equals.

    A seed for which no other can choose is left out.
    """
    kept = np.zeros(len(group), dtype=bool)
    for seed in group.seed.unique():
        means = group[group.seed != seed].groupby(chosen, sort=False).validation.mean()
        if not means.empty:
            kept |= ((group.seed == seed) & (group[chosen] == means.idxmax())).to_numpy()
    return group[kept]


def pairs(table: pd.DataFrame) -> pd.DataFrame:
    """Each pair of methods at each level.

    Args:
        table: the table of `at_chosen`, or any table of results.

    Returns:
        A row for each level and pair, in the order of the methods in the table.
        Columns: sparsity, first, second; units, the number of tasks and seeds that have both; difference, the first
        minus the second in points (hundredths of the metric), with its 95 % interval (low, high) from `fixed_tasks`; p,
        of the same test; holm, p corrected for all rows of this table; verdict, of the first: ahead, behind, or no
        clear difference.
    """
    return _compared(table, "method", [])


def factor_pairs(table: pd.DataFrame, factor: str, others: Sequence[str]) -> pd.DataFrame:
    """Each pair of a factor's values at each level, on average over the methods that differ in this factor alone.

    Args:
        table: the table of `at_chosen`.
        factor: the name of a factor.
        others: the names of the other factors, without the chosen one.

    Returns:
        The columns of `pairs`; first and second are values of the factor.
    """
    return _compared(table, factor, [*others])


def comparisons(table: pd.DataFrame, values: Values, chosen: str) -> pd.DataFrame:
    """All comparisons of a study whose methods are combinations of factors: of each factor, and of the methods.

    Args:
        table, values, chosen: as for `at_chosen`.

    Returns:
        The columns of `pairs`, after a first column `of`: the name of a factor, or "method". The p-values are corrected
        within each of these.
    """
    import pandas as pd

    table = at_chosen(table, values, chosen)
    factors = [name for name in next(iter(values.values())) if name != chosen]
    parts = {name: factor_pairs(table, name, [other for other in factors if other != name]) for name in factors}
    parts["method"] = pairs(table)
    return pd.concat([part.assign(of=name) for name, part in parts.items()], ignore_index=True)[["of", *COLUMNS]]


def primary_differences(
    table: pd.DataFrame, primary: Mapping[str, Primary], values: Values, chosen: str, units: int
) -> pd.DataFrame:
    """The differences that a study was made to test.

    Args:
        table: the results of the study.
        primary: the differences, by name.
        values, chosen: as for `at_chosen`.
        units: the number of tasks and seeds that the study has when it is finished. With `chosen`, a task and seed
            counts for a name without the chosen value once it has all values that can be chosen.

    Returns:
        A row for each difference.
        Columns: primary, its name; expected; the columns of `pairs`, where `holm` is corrected for all of `primary`,
        and the verdict is "not finished" until all units are done. A difference has no row while one of its
        methods is missing everywhere, or no other seed can choose.
    """
    import pandas as pd

    combined = table[table.method.isin([*values])]
    if chosen and (seeds := combined.groupby("task").seed.nunique()).gt(1).all() and len(seeds):
        table = pd.concat([at_chosen(combined, values, chosen), table])
    rows = []
    for name, pair in primary.items():
        both = table[table.method.isin([pair["first"], pair["second"]]) & (table.sparsity == pair["sparsity"])]
        found = _compared(both, "method", [])
        if not found.empty:
            sign = 1 if found["first"].iloc[0] == pair["first"] else -1
            ends = sign * found[["difference", "low", "high"]].to_numpy()[0]
            about = {"primary": name, "expected": pair["expected"], **found.iloc[0].to_dict()}
            about |= {"first": pair["first"], "second": pair["second"], "difference": ends[0]}
            rows.append(about | {"low": min(ends[1:]), "high": max(ends[1:])})
    result = pd.DataFrame(rows, columns=["primary", "expected", *COLUMNS])
    missing = np.ones(len(primary) - len(result))  # as p-values, so that they are counted
    result["holm"] = holm(np.append(result.p.to_numpy(np.float64), missing))[: len(result)]
    verdict = np.where(result.difference > 0, "ahead", "behind")
    result["verdict"] = np.where(result.holm <= LEVEL, verdict, "no clear difference")
    result.loc[result.units < units, "verdict"] = "not finished"
    return result


def _compared(table: pd.DataFrame, column: str, others: list[str]) -> pd.DataFrame:
    """Pairs of the values of a column, where all columns in `others` are the same; each unit has one mean."""
    import pandas as pd

    rows = []
    for sparsity in sorted(table.sparsity[table.sparsity > 0].unique()):
        wide = table[table.sparsity == sparsity].pivot(index=[*UNIT, *others], columns=column, values="score")
        for first, second in combinations([name for name in table[column].unique() if name in wide], 2):
            differences = (100 * (wide[first] - wide[second])).dropna().groupby(level=UNIT).mean()
            if differences.empty:
                continue
            by_task = {task: each.tolist() for task, each in differences.groupby(level="task")}
            found = fixed_test(by_task)
            rows.append((sparsity, first, second, len(differences), *astuple(found.interval), found.p))
    table = pd.DataFrame(rows, columns=COLUMNS[:-2])
    adjusted = holm(table.p.to_numpy(np.float64))  # objects, if there is no pair yet
    verdict = np.where(table.difference > 0, "ahead", "behind")
    return table.assign(holm=adjusted, verdict=np.where(adjusted <= LEVEL, verdict, "no clear difference"))
