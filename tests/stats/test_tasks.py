"""Intervals of a mean over tasks: for these tasks with other seeds, for other tasks, and with a prior."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t, ttest_1samp, ttest_rel

from randprune_lab.analysis.shipped import recorded_controls, recorded_results
from randprune_lab.errors import ConfigError
from randprune_lab.stats.intervals import mean_interval
from randprune_lab.stats.tasks import fixed_tasks, fixed_test, hierarchical, over_tasks


def sample(tasks: int, seeds: int, *, between: float = 0.0, mean: float = 0.0, seed: int = 0) -> dict[str, list[float]]:
    random = np.random.default_rng(seed)
    centres = mean + between * random.normal(size=tasks)
    return {f"task-{number}": (centre + random.normal(size=seeds)).tolist() for number, centre in enumerate(centres)}


def test_one_task_has_the_t_test_over_its_seeds():
    values = sample(1, 5, mean=1.0)
    found, plain = fixed_test(values), mean_interval(values["task-0"])
    assert (found.interval.low, found.interval.high) == pytest.approx((plain.low, plain.high))
    assert found.p == pytest.approx(ttest_1samp(values["task-0"], 0).pvalue)
    assert over_tasks(values).high == np.inf, "one task says nothing of others"


def test_the_seeds_variance_is_pooled_over_tasks():
    values = {"a": [1.0, 2.0, 3.0], "b": [10.0, 12.0]}
    pooled = (2.0 + 2.0) / 3  # squares within a and b, over 2 + 1 degrees of freedom
    error = np.sqrt(pooled * (1 / 3 + 1 / 2)) / 2
    found = fixed_tasks(values)
    assert found.estimate == pytest.approx((2 + 11) / 2)
    assert found.high - found.estimate == pytest.approx(t.ppf(0.975, 3) * error)


def test_an_interval_for_other_tasks_is_never_narrower_than_the_seeds_allow():
    close = {"a": [0.0, 2.0], "b": [0.1, 1.9], "c": [-0.1, 2.1]}  # their means are all 1
    found, within = over_tasks(close), fixed_tasks(close)
    assert found.low < within.low < within.high < found.high
    apart = {"a": [0.0, 0.1], "b": [5.0, 5.1], "c": [9.0, 9.1]}
    plain = mean_interval([np.mean(seeds) for seeds in apart.values()])
    assert over_tasks(apart).low == pytest.approx(plain.low)
    single = {"a": [0.0], "b": [5.0], "c": [9.0]}
    assert over_tasks(single).low == pytest.approx(mean_interval([0.0, 5.0, 9.0]).low)


def test_seeds_that_do_not_vary_show_nothing():
    for values in ({"a": [0.5, 0.5], "b": [0.5, 0.5]}, {"a": [0.5], "b": [0.7]}):
        found = fixed_test(values)
        assert np.isneginf(found.interval.low) and np.isposinf(found.interval.high) and np.isnan(found.p)
        assert np.isinf(hierarchical(values, 1.0).high)
    assert np.isinf(over_tasks({"a": [0.5, 0.5], "b": [0.5, 0.5]}).high), "equal tasks do not either"


@pytest.mark.parametrize("between", [0.0, 2.0], ids=["equal", "different"])
def test_intervals_cover_what_they_are_for(between):
    """Of 400 studies of 4 tasks and 3 seeds: these tasks' mean, and the mean of all tasks (0)."""
    covered = {"fixed": 0, "over": 0, "hierarchical": 0}
    for seed in range(400):
        random = np.random.default_rng(seed)
        centres = between * random.normal(size=4)
        values = {str(task): (centre + random.normal(size=3)).tolist() for task, centre in enumerate(centres)}
        truths = {"fixed": centres.mean(), "over": 0.0, "hierarchical": 0.0}
        found = {
            "fixed": fixed_tasks(values),
            "over": over_tasks(values),
            "hierarchical": hierarchical(values, max(between, 0.5)) if seed < 100 else None,
        }
        for name, interval in found.items():
            covered[name] += interval is not None and interval.low <= truths[name] <= interval.high
    assert 0.92 <= covered["fixed"] / 400 <= 0.98
    assert 0.92 <= covered["over"] / 400 <= 1.0
    assert 0.90 <= covered["hierarchical"] / 100 <= 1.0


def test_a_prior_for_equal_tasks_gives_the_interval_of_fixed_tasks_and_a_wide_one_a_wider():
    values = sample(4, 3, between=1.0, seed=3)
    fixed, equal, wide = fixed_tasks(values), hierarchical(values, 1e-3), hierarchical(values, 10.0)
    assert (equal.low, equal.high) == pytest.approx((fixed.low, fixed.high), abs=0.15 * (fixed.high - fixed.low))
    assert wide.low < equal.low and wide.high > equal.high


@pytest.mark.parametrize("seeds", [2, 3, 8])
def test_one_task_that_is_like_all_others_has_the_interval_of_its_seeds(seeds):
    values = sample(1, seeds, mean=1.0)
    fixed, equal = fixed_tasks(values), hierarchical(values, 1e-4)
    assert (equal.low, equal.high) == pytest.approx((fixed.low, fixed.high), abs=0.03 * (fixed.high - fixed.low))


def test_a_prior_that_says_little_does_not_make_an_interval_narrow():
    values = sample(4, 3, between=1.0, seed=3)
    widths = [found.high - found.low for found in (hierarchical(values, scale) for scale in (0.1, 1, 10, 1e3, 1e6))]
    assert widths == sorted(widths)


def test_tasks_that_differ_more_than_the_prior_says_make_a_wide_interval():
    """The standard deviation of the tasks at the top of the posterior is the root of 0.1 times that of the squares."""
    apart = {"a": [1.0, 1.1], "b": [200.0, 200.1], "c": [-50.0, -50.1]}
    squares = np.sum((np.array([1.05, 200.05, -50.05]) - 50.35) ** 2)
    found = hierarchical(apart, 0.1)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * np.sqrt(0.1 * np.sqrt(squares) / 3), rel=0.2)


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan])
def test_a_prior_needs_a_scale_above_0(scale):
    with pytest.raises(ConfigError, match=r"scale must be in \(0, inf\)"):
        hierarchical(sample(2, 2), scale)


def test_the_unit_of_the_values_does_not_matter():
    values = sample(4, 3, between=1.0, seed=3)
    plain, points = hierarchical(values, 0.5), hierarchical({k: [100 * v for v in s] for k, s in values.items()}, 50)
    assert (points.low, points.high) == pytest.approx((100 * plain.low, 100 * plain.high), rel=1e-6)


def test_pairing_by_seed_is_that_of_the_paired_t_test():
    random = np.random.default_rng(1)
    first, second = random.normal(size=6), random.normal(size=6)
    assert fixed_test({"a": (first - second).tolist()}).p == pytest.approx(ttest_rel(first, second).pvalue)


def test_the_recorded_search_minus_imp_has_wider_intervals_than_the_four_means_show():
    """At 83 and 99 % the four recorded means happen to be close; the seeds are not."""
    table, controls = recorded_results(), recorded_controls()
    table = table[table.task.isin(controls.task[controls.included])]
    for sparsity in (0.83, 0.99):
        level = table[table.sparsity == sparsity].set_index(["task", "seed"])
        difference = level[level.method == "search"].score - level[level.method == "imp"].score
        values = {task: each.tolist() for task, each in (100 * difference).groupby(level="task")}
        plain = mean_interval([np.mean(seeds) for seeds in values.values()])
        assert over_tasks(values).low < plain.low - 0.5 and over_tasks(values).high > plain.high + 0.5
