"""The record of a run as text for a terminal."""

from __future__ import annotations

from collections.abc import Callable

from randprune_lab.analysis.level_record import LevelRecord
from randprune_lab.analysis.run_record import RunRecord
from randprune_lab.criteria import describe_criterion
from randprune_lab.masks.rules import describe_rule
from randprune_lab.search.config import RunConfig
from randprune_lab.search.strategies import NOT_FINITE
from randprune_lab.search.units import COMPUTE, DATA, DENSE
from randprune_lab.stats.known import known
from randprune_lab.tasks.spec import suffixed
from randprune_lab.terminal import printable
from randprune_lab.training.compute import Compute


def describe_run(record: RunRecord) -> str:
    """The configuration of a run, each level with its candidates and winner, and the test scores."""
    config, data = record.config, record.units.get(DATA, {})
    layers = f", first {config.layers} layers" if config.layers else ""
    lines = [
        f"run        {record.path}" + ("" if record.finished else "   (not finished; go on with --resume)"),
        f"task       {record.task.name}: {_sizes(record)} examples from {data.get('source', '?')}",
        *(f"warning    {warning}" for warning in record.warnings),
        f"model      {config.model}{layers}",
        *_scope(config),
        f"criterion  {describe_criterion(config.importance.to_dict())}",
        f"protocol   {config.protocol}, seed {config.seed}",
        f"computed   {_compute(record)}",
        "scores     in points (hundredths of the metric), with 95 % intervals; differences are paired by example",
        f"dense      {_test_scores(record, DENSE)}",
    ]
    for number, sparsity in enumerate(config.levels, start=1):
        lines += ["", f"level {number}: sparsity {sparsity:.2%}", *_candidates(record.level(number))]
        levels = [record.level(number, method) for method in record.methods]
        lines += [_trained(record, level) for level in levels if level.done]
        lines += _differences(record, number)
    return "\n".join(map(printable, lines))


def _scope(config: RunConfig) -> list[str]:
    """The line on the pruned weights, if the settings choose them."""
    spared = f", except {' '.join(config.exclude)}" if config.exclude else ""
    layers = f"{' and '.join(config.types) or 'linear'} layers"
    chosen = " ".join((*config.include, *(("in", layers) if config.types else ())))
    shown = chosen if config.include else f"the {layers} of the blocks"
    return [f"pruned     {shown}{spared}"] if config.include or config.exclude or config.types else []


def _compute(record: RunRecord) -> str:
    if COMPUTE not in record.units:
        return f"not begun (device {record.config.device})"
    asked = f" (device {record.config.device})" if record.config.device == "auto" else ""
    return f"on {Compute(**record.units[COMPUTE])}{asked}"


def _sizes(record: RunRecord) -> str:
    data = record.units.get(DATA, {})
    roles = ["train", "validation", *(suffixed("test", name) for name in record.task.test_sets)]
    return ", ".join(f"{data.get(role, '?')} {_words(role)}" for role in roles)


def _test_scores(record: RunRecord, name: str) -> str:
    """All metrics on all test sets; the first metric has its interval."""
    if name not in record.scored:
        return "no test scores yet"
    first = record.task.primary_metric
    intervals = {suffixed(first, test_set): record.score(name, test_set) for test_set in record.task.test_sets}
    return "test " + ", ".join(
        f"{_words(metric)} {intervals[metric].in_points() if metric in intervals else f'{100 * value:.1f}'}"
        for metric, value in record.test_metrics(name).items()
    )


def _words(name: str) -> str:
    return name.replace("_", " ")


def _candidates(level: LevelRecord) -> list[str]:
    winner = level.selection.get("winner")
    drops = [drop for round in level.selection.get("rounds", []) for drop in round["dropped"]]
    diverged = {drop["candidate"] for drop in drops if drop["why"] == NOT_FINITE}
    lines = []
    for unit in level.candidates:
        score = "" if unit["score"] is None else f"early score {_early_score(level, unit['score'])}  "
        score = "diverged  " if unit["candidate"] in diverged else score
        done = "" if unit["steps"] == unit["total_steps"] else f"after {unit['steps']} of {unit['total_steps']} steps  "
        chosen = "  <- winner" if unit["candidate"] == winner else ""
        lines.append(f"  candidate {unit['candidate']}  {score}{done}{describe_rule(unit['mask']['rule'])}{chosen}")
    if level.finalists:
        lines.append(f"  confidence   {_said(lambda: _confidence(level))}")
        lines.append(f"  noise floor  {_said(lambda: _noise(level))}")
    return lines


def _said(statistic: Callable[[], str]) -> str:
    """A statistic as text, or why it is unknown."""
    text, reason = known(statistic)
    return text or f"cannot be said, because {reason}"


def _confidence(level: LevelRecord) -> str:
    confidence = level.confidence
    assert confidence is not None, "there was a choice"
    probability = confidence.chance_of_best[confidence.winner]
    return (
        f"the winner is the best of these with probability {probability:.2f}; in log-likelihood, "
        f"expected loss {confidence.expected_loss:.4f}, winner's curse {confidence.winners_curse:.4f}"
    )


def _early_score(level: LevelRecord, score: float) -> str:
    """A metric in points, or a mean log-likelihood as it is."""
    return f"{100 * score:.1f}" if level.config.early_score == "metric" else f"{score:.4f}"


def _noise(level: LevelRecord) -> str:
    if (noise := level.noise) is None:
        return "not measured; --noise-seeds 3 trains masks again with other seeds"
    fraction = noise.share
    interval = f"{fraction.estimate:.2f} [{fraction.low:.2f}, {fraction.high:.2f}]"
    return f"{interval} of an early score's variance is due to the mask, the rest to the training seed"


def _trained(record: RunRecord, level: LevelRecord) -> str:
    unit = record.units[level.name]
    return (
        f"  {level.method:<10}  {_test_scores(record, level.name)}  validation {100 * level.validation_score:.1f}  "
        f"mask {unit['mask_sha256'][:12]}  weights {unit['weights_sha256'][:12]}"
    )


def _differences(record: RunRecord, number: int) -> list[str]:
    ours = record.level(number)
    return [
        f"  {ours.method} minus {suffixed(other, test_set, ', ')}: "
        f"{record.difference(ours.name, record.level(number, other).name, test_set).in_points(signed=True)}"
        for other in record.methods[1:]
        if {ours.name, record.level(number, other).name} <= record.scored
        for test_set in record.task.test_sets
    ]
