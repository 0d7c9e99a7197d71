"""The examples of searches around a training of your own run unchanged."""

from __future__ import annotations

from support.pages import ROOT, blocks

import randprune_lab as rp

PAGE = ROOT / "docs" / "your-training.md"


def test_examples_of_your_own_training_run_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    examples = [example for example in blocks(PAGE, "python") if "rp.MaskSearch" in example]
    found: list[rp.MaskSearch] = []
    for example in examples:
        exec(compile(example, PAGE.name, "exec", dont_inherit=True), names)
        found.append(names["search"])
    assert [len(search.result()) for search in found] == [2, 2, 1]
    for search in found:
        assert search.mask.sparsity == search.best.sparsity
    assert all(not found[-1].model.get_parameter(name)[~kept].any() for name, kept in found[-1].mask.items())
