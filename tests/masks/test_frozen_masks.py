"""Masks that were drawn once and must never change: rules, allocations, structures and proposals.

A recipe names a mask by a few integers and a fingerprint of the weights. If one rounding in a curve, a histogram or a
random number changed, every recorded recipe would become unreadable. The fixture has the SHA-256 of masks and the
fingerprints of their recipes; it is never updated.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import randprune_lab as rp
from randprune_lab import models
from randprune_lab.masks.counter_rng import uniform
from randprune_lab.search import LearnedAllocation, LearnedInclusion, Proposal

CASES = json.loads(Path(__file__).with_name("frozen_masks.json").read_text("utf-8"))
SHAPES = {
    "blocks.0.weight": (96, 64),
    "blocks.1.weight": (48, 64),
    "blocks.2.weight": (12, 8),
    "blocks.3.weight": (384, 256),
}
PROPOSALS = {"nothing": Proposal, "allocation": LearnedAllocation, "inclusion": LearnedInclusion}


@cache
def weights(kind: str) -> dict[str, Tensor]:
    """Products of exactly rounded numbers: the same bits on every machine; or weights that ship with the package."""
    if kind == "tiny-distilled":
        every = load_file(Path(models.__file__).with_name("tiny_distilled.safetensors"))
        return {name: every[name] for name in sorted(every) if every[name].ndim == 2 and ".layer." in name}
    found = {}
    for name, shape in SHAPES.items():
        u = 2 * uniform(7, 0, name, torch.arange(shape[0] * shape[1])) - 1
        cubes = u * u * u
        values = torch.round(cubes * 16) / 16 if kind == "ties" else cubes
        found[name] = values.to(getattr(torch, kind, torch.float32)).reshape(shape)
    return found


def model(kind: str) -> nn.Module:
    made = nn.Module()
    made.blocks = nn.ModuleList(nn.Linear(shape[1], shape[0], bias=False) for shape in SHAPES.values())
    made.load_state_dict(weights(kind))
    return made


def rule(settings: dict[str, Any]) -> rp.Rule:
    return rp.make_rule(**{"name" if key == "rule" else key: value for key, value in settings.items()})


def draw(case: dict[str, Any], candidate: int) -> tuple[str, str | None]:
    """SHA-256 of a mask, and the fingerprint of its recipe where it has one."""
    if case["draw"] == "n_of_m":
        pattern = f"{case['n']}:{case['m']}"
        sampler = rp.MaskSampler(
            weights(case["weights"]), rule(case["rule"]), None, structure=pattern, seed=case["seed"]
        )
        return sampler.draw(candidate).sha256, None  # they had no fingerprint
    if case["draw"] == "blocks":
        sampler = rp.MaskSampler(
            weights(case["weights"]),
            rule(case["rule"]),
            case["sparsity"],
            structure=tuple(case["block"]),
            seed=case["seed"],
        )
        return sampler.draw(candidate).sha256, sampler.fingerprint
    if case["draw"] == "proposal":
        elites = tuple(map(tuple, case["elites"]))
        settings = {"size": case["size"], "elites": elites, "rate": case["rate"]}
        rules = tuple(map(rule, case["rules"]))
        proposal = PROPOSALS[case["learn"]](rules, case["sparsity"], case["seed"], **settings)
        pruned = model(case["weights"])
        return proposal.draw(pruned, candidate).sha256, proposal.recipe(pruned, candidate)["fingerprint"]
    settings = {name: case[name] for name in ("seed", "allocation", "reference_below")}
    sampler = rp.MaskSampler(weights(case["weights"]), rule(case["rule"]), case["sparsity"], **settings)
    return sampler.draw(candidate).sha256, sampler.recipe(candidate).fingerprint


def about(case: dict[str, Any]) -> str:
    words = [case["draw"], case["weights"], case.get("rule", {}).get("rule", case.get("learn"))]
    return "-".join(map(str, [*words, case.get("allocation", ""), case.get("sparsity", "")]))[:60]


@pytest.mark.parametrize("case", CASES, ids=about)
def test_masks_and_fingerprints_are_what_they_always_were(case: dict[str, Any]) -> None:
    for candidate, sha256 in case["sha256"].items():
        fingerprint = case.get("fingerprints", {}).get(candidate, case.get("fingerprint"))
        assert draw(case, int(candidate)) == (sha256, fingerprint)


def test_the_fixture_has_every_rule_allocation_and_structure() -> None:
    assert Counter(case["draw"] for case in CASES) == {"sampler": 109, "n_of_m": 28, "blocks": 14, "proposal": 3}
    rules = {case["rule"]["rule"] for case in CASES if "rule" in case}
    assert rules == {"magnitude", "uniform", "gumbel", "voting"}
    assert {str(case["allocation"]) for case in CASES if "allocation" in case} > {"layerwise", "global", "erk"}
