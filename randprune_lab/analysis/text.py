"""A recorded run as text for a terminal."""

from __future__ import annotations

from randprune_lab.analysis.record import RunRecord
from randprune_lab.search.config import RunConfig
from randprune_lab.tasks.spec import suffixed


def describe_run(record: RunRecord) -> str:
    """Configuration, every level with its candidates and winner, and the scores on the report split."""
    config, data = record.config, record.units.get("data", {})
    layers = f", first {config.layers} layers" if config.layers else ""
    lines = [
        f"run        {record.path}" + ("" if record.finished else "   (not finished; go on with --resume)"),
        f"task       {record.task.name}: {_sizes(record)} examples from {data.get('source', '?')}",
        f"model      {config.model}{layers}",
        *_scope(config),
        f"protocol   {config.protocol}, seed {config.seed}",
        _dense(record),
    ]
    for level, sparsity in enumerate(config.levels, start=1):
        lines += ["", f"level {level}: sparsity {sparsity:.2%}", *_candidates(record, level)]
        lines += [
            _trained(record, method, level) for method in record.methods if f"{method}-level-{level}" in record.units
        ]
        lines += _differences(record, level)
    return "\n".join(lines)


def _scope(config: RunConfig) -> list[str]:
    """What the default of `prunable` was replaced by; nothing where it was not."""
    spared = f", but not {' '.join(config.exclude)}" if config.exclude else ""
    chosen = " ".join(config.include) or "every matrix in the blocks"
    return [f"pruned     {chosen}{spared}"] if config.include or config.exclude else []


def _dense(record: RunRecord) -> str:
    return f"dense      {_reported(record, 'dense')}"


def _sizes(record: RunRecord) -> str:
    data = record.units.get("data", {})
    roles = ["train", "selection", *(suffixed("report", each) for each in record.task.report_sets)]
    return ", ".join(f"{data.get(role, '?')} {_words(role)}" for role in roles)


def _reported(record: RunRecord, name: str) -> str:
    """Every metric on every report set; the first one of each with its interval."""
    unit = record.units.get(f"report/{name}")
    if unit is None:
        return "not reported yet"
    intervals = {
        suffixed(record.task.primary_metric, each): record.score(name, each) for each in record.task.report_sets
    }
    return "report " + ", ".join(
        f"{_words(metric)} {intervals.get(metric, f'{value:.4f}')}" for metric, value in unit.items()
    )


def _words(name: str) -> str:
    return name.replace("_", " ")


def _candidates(record: RunRecord, level: int) -> list[str]:
    winner = record.units.get(f"randomized-level-{level}/selection", {}).get("winner")
    lines = []
    for unit in record.candidates(level):
        score = "" if unit["score"] is None else f"early score {unit['score']:.4f}  "
        done = "" if unit["steps"] == unit["total_steps"] else f"after {unit['steps']} of {unit['total_steps']} steps  "
        chosen = "  <- winner" if unit["candidate"] == winner else ""
        lines.append(f"  candidate {unit['candidate']}  {score}{done}{_rule(unit['mask']['rule'])}{chosen}")
    if (sure := record.confidence(level)) is not None:
        lines.append(
            f"  how sure     best of these with a chance of {sure.chance_of_best[sure.winner]:.2f}; in log-likelihood "
            f"{sure.expected_loss:.4f} short of the best, and {sure.winners_curse:.4f} too good to be true"
        )
        lines.append(f"  noise floor  {_noise(record, level)}")
    return lines


def _noise(record: RunRecord, level: int) -> str:
    if (noise := record.noise(level)) is None:
        return "not measured; --noise-seeds 3 trains masks again with other seeds"
    share = noise.share
    interval = f"{share.estimate:.2f} [{share.low:.2f}, {share.high:.2f}]"
    return f"{interval} of an early score's variance is the mask, the rest is the training seed"


def _rule(rule: dict[str, object]) -> str:
    settings = {"voting": "sampling_ratio", "gumbel": "temperature"}
    name = str(rule["rule"])
    return f"{name}, {settings[name].replace('_', ' ')} {rule[settings[name]]:g}" if name in settings else name


def _trained(record: RunRecord, method: str, level: int) -> str:
    name = f"{method}-level-{level}"
    unit = record.units[name]
    return (
        f"  {method:<10}  {_reported(record, name)}  selection {unit['score']:.4f}  "
        f"mask {unit['mask_sha256'][:12]}  weights {unit['weights_sha256'][:12]}"
    )


def _differences(record: RunRecord, level: int) -> list[str]:
    ours = f"randomized-level-{level}"
    return [
        f"  randomized less {suffixed(other, each, ', ')}: "
        f"{record.difference(ours, f'{other}-level-{level}', each)}  (paired, 95 %)"
        for other in record.methods[1:]
        if f"report/{ours}" in record.units and f"report/{other}-level-{level}" in record.units
        for each in record.task.report_sets
    ]
