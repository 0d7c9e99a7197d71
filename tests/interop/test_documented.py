"""The examples in the documentation run unchanged."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from transformers import Trainer, TrainingArguments

import randprune_lab as rp

ROOT = Path(__file__).parents[2]


def examples(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("place", ["docs/your-training.md", "README.md"])
def test_examples_run_one_after_the_other(place, model, mask, rows, tmp_path, monkeypatch):
    text = (ROOT / place).read_text("utf-8")
    if place == "README.md":
        text = text.partition("## In your own training")[2].partition("## Where to read on")[0]
    text = text.partition("## A search around your own training")[0]  # see tests/search
    monkeypatch.chdir(tmp_path)
    settings = {"max_steps": 2, "save_strategy": "no", "report_to": "none", "disable_tqdm": True, "use_cpu": True}
    names = {
        "rp": rp,
        "Trainer": Trainer,
        "model": model,
        "mask": mask,
        "rows": rows,
        "arguments": TrainingArguments("out", **settings),
        "batches": [{name: tensor[None] for name, tensor in row.items()} for row in rows[:3]],
        "optimizer": torch.optim.AdamW(model.parameters()),
    }
    assert len(examples(text)) == {"docs/your-training.md": 7, "README.md": 1}[place]
    for example in examples(text):
        exec(example, names)
    assert all(not model.get_parameter(name)[~kept].any() for name, kept in names["mask"].items())
    if "dense" in names:  # the example without the package ends with the last weight
        assert torch.equal(torch.from_numpy(names["dense"]), model.get_parameter(names["name"]))
