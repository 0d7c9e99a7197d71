"""The model card of an exported winner: model, method, scores, seeds, and how to load it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from randprune_lab.analysis.run_record import RunRecord
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.rules import describe_rule
from randprune_lab.search.config import RunConfig
from randprune_lab.search.units import DATA, DENSE, MODEL
from randprune_lab.tasks.spec import suffixed

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
"""
FURTHER = {
    "dense": (
        "`rp.MaskSet.load` reads the masks in `mask.safetensors`. `rp.MaskCallback` keeps the removed weights at zero "
        "in further training."
    ),
    "sparse": "`weights` are dense tensors, bit for bit the trained ones; `mask` is True for the kept weights.",
}


def model_card(record: RunRecord, mask: MaskSet, format: str) -> str:
    """The card as Markdown, without paths of the machine that the run was made on.

    Args:
        record: the finished run.
        mask: the masks of the winner.
        format: "dense" or "sparse".
    """
    parts = [
        _head(record),
        _method(record, mask),
        _scores(record),
        _layers(mask),
        _seeds(record),
        _loading(record, format),
    ]
    return "\n\n".join(parts) + "\n"


def _head(record: RunRecord) -> str:
    task, model = record.task, _public(record.config.model)
    task_kind = "regression" if task.regression else "classification"
    return f"""\
---
library_name: transformers
pipeline_tag: text-classification
tags: [pruning, sparsity, randprune-lab]
---

# {model}, pruned for {task.name}

A text {task_kind} model with exact zeros, pruned and trained by randprune_lab {_version(record)}."""


def _method(record: RunRecord, mask: MaskSet) -> str:
    config, unit = record.config, _unit(record)
    layers = f", its first {config.layers} layers" if config.layers else ""
    levels = " → ".join(f"{level:g}" for level in config.levels)
    data = record.units[DATA]
    tests = ", ".join(str(data[suffixed("test", each)]) for each in record.task.test_sets)
    return f"""\
## Method

Randomized pruning masks ({PAPER}): at each level of sparsity, candidate masks are drawn and each is evaluated after a
short training. The model is then trained with the best mask.

| | |
|---|---|
| pruned model | {_public(config.model)}{layers} |
| sparsity | {100 * mask.sparsity:.4f} % of {mask.size:,} prunable weights removed, {mask.kept:,} kept |
| levels | {levels} |{_scope(config)}
| mask rule | {describe_rule(unit["mask"]["rule"])}, allocation {config.allocation} |
| candidates per level | {config.candidates}, early evaluation: {config.early_strategy} |
| task | {record.task.name}: {data["train"]} train, {data["validation"]} validation, {tests} test examples |
| data fingerprint | {data["fingerprint"][:16]} |
| protocol | {_protocol(config.protocol)} |"""


def _scope(config: RunConfig) -> str:
    given = {"weights to prune": config.include, "weights that stay dense": config.exclude}
    rows = [
        f"\n| {word} | {' '.join(f'`{one}`' for one in patterns)} |" for word, patterns in given.items() if patterns
    ]
    return "".join(rows)


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
        f"- this model minus {row['baseline']}, {row['metric'].replace('_', ' ')}: "
        f"{100 * row['estimate']:+.1f} points [{100 * row['low']:+.1f}, {100 * row['high']:+.1f}]"
        for row in record.differences()
        if row["level"] == last
    ]
    heading = f"| model | {' | '.join(column.replace('_', ' ') for column in columns)} |"
    table = "\n".join([heading, "|---" * (len(columns) + 1) + "|", *rows])
    paired = "\n\nDifferences, paired by test example, with 95 % intervals:\n\n" if differences else ""
    intro = "Test scores in points (hundredths of the metric), with 95 % intervals over the test examples."
    return f"## Scores\n\n{intro}\n\n{table}{paired}" + "\n".join(differences)


def _layers(mask: MaskSet) -> str:
    layers = {name: MaskSet({name: kept}) for name, kept in mask.items()}
    rows = [
        f"| {name} | {'×'.join(map(str, mask[name].shape))} | {layer.kept:,} | {100 * layer.sparsity:.4f} % |"
        for name, layer in layers.items()
    ]
    return "\n".join(
        ["## Sparsity by layer", "", "| weight | shape | kept weights | sparsity |", "|---|---|---|---|", *rows]
    )


def _seeds(record: RunRecord) -> str:
    unit = _unit(record)
    packages = (record.environment or {}).get("packages", {})
    versions = ", ".join(f"{name} {version}" for name, version in packages.items()) or "not recorded"
    return f"""\
## Seeds and versions

| | |
|---|---|
| seed of the run | {record.config.seed} |
| seed of the masks of the last level | {unit["mask"]["seed"]} |
| winner | candidate {unit["winner"]} |
| SHA-256 of the masks | {unit["mask_sha256"]} |
| SHA-256 of the weights | {unit["weights_sha256"]} |
| versions | {versions} |"""


def _loading(record: RunRecord, format: str) -> str:
    own = _mean_pooled(record)
    imports = "import randprune_lab.models.mean_pooled_bert  # adds the architecture\n" if own else ""
    code = LOADING[format].format(imports=imports)
    plain = PLAIN if own and format == "dense" else ""
    after = f"where `folder` is the path of this folder. {FURTHER[format]}\n{plain}".rstrip()
    return f"## How to load\n\n```python\n{code}```\n\n{after}"


def _mean_pooled(record: RunRecord) -> bool:
    """Whether the model has the architecture of this package, which transformers does not know."""
    config = record.path / record.units[MODEL]["path"] / "config.json"
    return json.loads(config.read_text("utf-8")).get("model_type") == "mean-pooled-bert"


# --- parts of the text ---


def _unit(record: RunRecord) -> dict[str, Any]:
    return record.units[record.units[MODEL]["weights"]]


def _public(model: str) -> str:
    """The model's name without the path of a local folder: a built-in name, a hub id, or the name of the folder."""
    return Path(model).name if Path(model).is_absolute() or Path(model).is_dir() else model


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
    return (record.environment or {}).get("packages", {}).get("randprune-lab", "")
