"""The model card of an exported winner: model, method, scores, seeds, and how to load it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from randprune_lab.analysis.run_record import RunRecord
from randprune_lab.criteria import describe_criterion
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.rules import describe_rule
from randprune_lab.search.config import RunConfig
from randprune_lab.search.units import DATA, DENSE, MODEL
from randprune_lab.tasks.spec import suffixed
from randprune_lab.terminal import printable

MARKUP = re.compile(r"[\\`*\[\]<>|&#!~$]|:(?=//)")
"""What has a meaning in the middle of a line of Markdown, except underscores, which have none within a word."""

PAPER = "[Li, Gao, Lei and Xu, Findings of EMNLP 2023](https://arxiv.org/abs/2310.13183)"

LOADING = {
    "dense": """\
from transformers import AutoModelForSequenceClassification, AutoTokenizer
{imports}
model = AutoModelForSequenceClassification.from_pretrained(folder)
tokenizer = AutoTokenizer.from_pretrained(folder)
""",
    "sparse": """\
import randprune_lab as rp
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer
{imports}
weights, mask = rp.load_sparse(f"{{folder}}/model.sparse.safetensors")
config = AutoConfig.from_pretrained(folder)
model = AutoModelForSequenceClassification.from_config(config).eval()
model.load_state_dict(weights)
tokenizer = AutoTokenizer.from_pretrained(folder)
""",
}
PLAIN = """\

The classification head reads the mean of the token states. transformers has no such architecture; the import above
adds it. Without randprune_lab, use the file `mean_pooled_bert.py` in this folder. transformers runs code from a folder
only if you set `trust_remote_code`; read the file before you do:

```python
from transformers import AutoModelForSequenceClassification, AutoTokenizer

model = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained(folder)
```

No code from the folder is needed with `BertForTokenClassification.from_pretrained(folder)`: the mean of its logits over
the tokens that are not padding is this model's logits, up to rounding, because the head is linear.
"""
FURTHER = {
    "dense": (
        "`rp.MaskSet.load` reads the masks in `mask.safetensors`. `rp.MaskCallback` keeps the removed weights at zero "
        "in further training."
    ),
    "sparse": "`weights` are dense tensors, bit for bit the trained ones; `mask` is True for the kept weights.",
}


def model_card(record: RunRecord, mask: MaskSet, format: str, model_type: str) -> str:
    """The card as Markdown, without paths of the machine that the run was made on.

    What a run records is shown as text: markup in it has no effect.

    Args:
        record: the finished run.
        mask: the masks of the winner.
        format: "dense" or "sparse".
        model_type: the architecture, as transformers calls it.
    """
    from randprune_lab.models.mean_pooled_bert import MeanPooledBertConfig

    parts = [
        _head(record),
        _method(record, mask),
        _scores(record),
        _layers(mask),
        _seeds(record),
        _loading(format, own=model_type == MeanPooledBertConfig.model_type),
    ]
    return "\n\n".join(parts) + "\n"


def _head(record: RunRecord) -> str:
    task, model = record.task, _text(_public(record.config.model))
    task_kind = "regression" if task.regression else "classification"
    return f"""\
---
library_name: transformers
pipeline_tag: text-classification
tags: [pruning, sparsity, randprune-lab]
---

# {model}, pruned for {_text(task.name)}

A text {task_kind} model with exact zeros, pruned and trained by randprune_lab {_text(_version(record))}."""


def _method(record: RunRecord, mask: MaskSet) -> str:
    config, unit, data = record.config, _unit(record), record.units[DATA]
    layers = f", its first {config.layers} layers" if config.layers else ""
    tests = ", ".join(str(data[suffixed("test", each)]) for each in record.task.test_sets)
    kept = f"{100 * mask.sparsity:.4f} % of {mask.size:,} prunable weights removed, {mask.kept:,} kept"
    examples = f"{data['train']} train, {data['validation']} validation, {tests} test examples"
    rows = [
        _row("pruned model", _public(config.model) + layers),
        _row("sparsity", kept),
        _row("levels", " → ".join(f"{level:g}" for level in config.levels)),
        *_scope(config),
        *([_row("structure", config.structure)] if config.structure else []),
        _row("mask rule", f"{describe_rule(unit['mask']['rule'])}, allocation {config.allocation}"),
        _row("importance score", describe_criterion(config.importance.to_dict())),
        _row("candidates per level", f"{config.candidates}, early evaluation: {config.early_strategy}"),
        _row("task", f"{record.task.name}: {examples}"),
        _row("data fingerprint", str(data["fingerprint"])[:16]),
        _row("protocol", _protocol(config.protocol)),
    ]
    return f"""\
## Method

Randomized pruning masks ({PAPER}): at each level of sparsity, candidate masks are drawn and each is evaluated after a
short training. The model is then trained with the best mask.

{_table(rows)}"""


def _scope(config: RunConfig) -> list[str]:
    given = {
        "weights to prune": config.include,
        "weights that stay dense": config.exclude,
        "kinds of layers to prune": config.types,
    }
    return [f"| {label} | {' '.join(map(_code, patterns))} |" for label, patterns in given.items() if patterns]


def _scores(record: RunRecord) -> str:
    last = len(record.config.levels)
    names = {DENSE: "dense, before pruning"}
    names |= {record.level(last, method).name: _method_label(record, method) for method in record.methods}
    columns = [suffixed(record.task.primary_metric, each) for each in record.task.test_sets]
    rows = [
        f"| {label} | " + " | ".join(record.score(name, each).in_points() for each in record.task.test_sets) + " |"
        for name, label in names.items()
    ]
    differences = [
        f"- this model minus {_text(row['baseline'])}, {_words(row['metric'])}: "
        f"{100 * row['estimate']:+.1f} points [{100 * row['low']:+.1f}, {100 * row['high']:+.1f}]"
        for row in record.differences()
        if row["level"] == last
    ]
    heading = f"| model | {' | '.join(map(_words, columns))} |"
    table = "\n".join([heading, "|---" * (len(columns) + 1) + "|", *rows])
    paired = "\n\nDifferences, paired by test example, with 95 % intervals:\n\n" if differences else ""
    intro = "Test scores in points (hundredths of the metric), with 95 % intervals over the test examples."
    return f"## Scores\n\n{intro}\n\n{table}{paired}" + "\n".join(differences)


def _layers(mask: MaskSet) -> str:
    rows = [
        f"| {_text(row.name)} | {'×'.join(map(str, row.shape))} | {row.kept:,} | {100 * row.sparsity:.4f} % |"
        for row in mask.table()[:-1]
    ]
    return "\n".join(
        ["## Sparsity by layer", "", "| weight | shape | kept weights | sparsity |", "|---|---|---|---|", *rows]
    )


def _seeds(record: RunRecord) -> str:
    unit = _unit(record)
    packages = record.environment["packages"] if record.environment else {}
    versions = ", ".join(f"{name} {version}" for name, version in packages.items()) or "not recorded"
    rows = [
        _row("seed of the run", record.config.seed),
        _row("seed of the masks of the last level", unit["mask"]["seed"]),
        _row("winner", f"candidate {unit['winner']}"),
        _row("SHA-256 of the masks", unit["mask_sha256"]),
        _row("SHA-256 of the weights", unit["weights_sha256"]),
        _row("versions", versions),
    ]
    return f"## Seeds and versions\n\n{_table(rows)}"


def _loading(format: str, own: bool) -> str:
    imports = "import randprune_lab.models.mean_pooled_bert  # adds the architecture\n" if own else ""
    code = LOADING[format].format(imports=imports)
    plain = PLAIN if own and format == "dense" else ""
    after = f"where `folder` is the path of this folder. {FURTHER[format]}\n{plain}".rstrip()
    return f"## How to load\n\n```python\n{code}```\n\n{after}"


# --- parts of the text ---


def _table(rows: list[str]) -> str:
    return "\n".join(["| | |", "|---|---|", *rows])


def _row(label: str, value: object) -> str:
    return f"| {label} | {_text(value)} |"


def _text(value: object) -> str:
    """A value as Markdown that shows its characters, on one line."""
    return MARKUP.sub(r"\\\g<0>", printable(value))


def _code(value: str) -> str:
    """A value as code, in which only the marks of code and of cells have a meaning."""
    return _text(value) if {*"`|"} & {*value} else f"`{printable(value)}`"


def _words(name: str) -> str:
    return _text(name.replace("_", " "))


def _unit(record: RunRecord) -> dict[str, Any]:
    return record.units[record.units[MODEL]["weights"]]


def _public(model: str) -> str:
    """The model's name without the path of a local folder: a built-in name, a hub id, or the name of the folder."""
    local = Path(model).is_absolute() or os.path.isdir(model)  # noqa: PTH112  Path.is_dir raises for a long name
    return Path(model).name if local else model


def _method_label(record: RunRecord, method: str) -> str:
    known = {
        "imp": "imp: iterative magnitude pruning without rewinding",
        "uniform": "uniform: random masks that ignore the weights",
    }
    return f"**{method}: this model**" if method == record.config.method else known[method]


def _protocol(protocol: str) -> str:
    described = {
        "held-out": "held-out: selected on the validation set; the test set was used once, at the end",
        "select-on-test": "select-on-test: the last level was selected on the test set, so its scores are too high",
    }
    return described[protocol]


def _version(record: RunRecord) -> str:
    return record.environment["packages"].get("randprune-lab", "") if record.environment else ""
