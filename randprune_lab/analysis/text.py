"""A recorded run as text for a terminal."""

from __future__ import annotations

from randprune_lab.analysis.record import RunRecord


def describe_run(record: RunRecord) -> str:
    """Configuration, every level with its candidates and winner, and the scores on the report split."""
    config, data = record.config, record.units.get("data", {})
    layers = f", first {config.layers} layers" if config.layers else ""
    lines = [
        f"run        {record.path}" + ("" if record.finished else "   (not finished; go on with --resume)"),
        f"task       {config.task}: {data.get('train', '?')} train, {data.get('selection', '?')} selection, "
        f"{data.get('report', '?')} report examples from {data.get('source', '?')}",
        f"model      {config.model}{layers}",
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


def _dense(record: RunRecord) -> str:
    if "report/dense" not in record.units:
        return "dense      not reported yet"
    return f"dense      report accuracy {record.accuracy('dense')}"


def _candidates(record: RunRecord, level: int) -> list[str]:
    winner = record.units.get(f"randomized-level-{level}", {}).get("winner")
    return [
        f"  candidate {number}  early score {unit['score']:.4f}  {_rule(unit['mask']['rule'])}"
        + ("  <- winner" if number == winner else "")
        for number, unit in enumerate(record.candidates(level))
    ]


def _rule(rule: dict[str, object]) -> str:
    settings = {"voting": "sampling_ratio", "gumbel": "temperature"}
    name = str(rule["rule"])
    return f"{name}, {settings[name].replace('_', ' ')} {rule[settings[name]]:g}" if name in settings else name


def _trained(record: RunRecord, method: str, level: int) -> str:
    name = f"{method}-level-{level}"
    unit = record.units[name]
    reported = f"report accuracy {record.accuracy(name)}" if f"report/{name}" in record.units else "not reported yet"
    return (
        f"  {method:<10}  {reported}  selection {unit['score']:.4f}  "
        f"mask {unit['mask_sha256'][:12]}  weights {unit['weights_sha256'][:12]}"
    )


def _differences(record: RunRecord, level: int) -> list[str]:
    ours = f"randomized-level-{level}"
    return [
        f"  randomized less {other}: {record.difference(ours, f'{other}-level-{level}')}  (paired, 95 %)"
        for other in record.methods[1:]
        if f"report/{ours}" in record.units and f"report/{other}-level-{level}" in record.units
    ]
