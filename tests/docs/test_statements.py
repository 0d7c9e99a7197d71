"""The limits that pages state are those of the code, and their tables of classes and studies have all of them."""

from __future__ import annotations

import re

import pytest
from support.pages import ROOT, prose, table_rows

from randprune_lab.criteria import CRITERIA
from randprune_lab.masks.allocations import ALLOCATIONS, Sensitive
from randprune_lab.masks.plan import GPU_CHUNK, GPU_TENSORS
from randprune_lab.masks.rules import RULES
from randprune_lab.masks.small_groups import REFERENCE_BELOW, REFERENCE_WORK
from randprune_lab.registry import is_builtin
from randprune_lab.search.drawing import SCORE_BATCHES
from randprune_lab.search.generations import NOISE_MASKS
from randprune_lab.search.scorer import WANDA_ROWS
from randprune_lab.search.strategies import STRATEGIES
from randprune_lab.sparse.fast import SIZE, SPARSITY
from randprune_lab.sparse.kept_layers import SPARSE_FROM
from randprune_lab.stats.intervals import RESAMPLES
from randprune_lab.study.config import built_in_studies
from randprune_lab.tasks.custom_data import MAX_CLASSES, MAX_LENGTH
from randprune_lab.tasks.custom_labels import LARGEST
from randprune_lab.tasks.mini_glue import MiniGlue
from randprune_lab.tasks.splits import TEST_ROWS, VALIDATION_ROWS
from randprune_lab.training.compute import Compute

POWERS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
SAID = {
    "early-evaluation": [
        f"at least {SIZE:,} weights and a sparsity of {100 * SPARSE_FROM:g} % or more",
        f"`computed   on {Compute('cpu', None, 2, 'float32', 'auto')} (device auto)`",
        f"of every level (at most {NOISE_MASKS})",
    ],
    "fast": [f"at least {SIZE:,} weights", f"a sparsity of at least {100 * SPARSITY:g} %"],
    "method": [
        f"fewer than {REFERENCE_BELOW:,} weights",
        f"at most {'2' + str(REFERENCE_WORK.bit_length() - 1).translate(POWERS)} random numbers",
        f"over {SCORE_BATCHES} batches",
        f"the first {WANDA_ROWS} examples",
        f"up to {GPU_TENSORS} tensors and {'2' + str(GPU_CHUNK.bit_length() - 1).translate(POWERS)} weights",
        f"`floor` ({Sensitive.floor:g})",
    ],
    "study": [f"{RESAMPLES:,} resamples"],
    "tasks": [
        f"at most {MAX_CLASSES} classes",
        f"the maximum length is {MAX_LENGTH} tokens",
        f"scores beyond {LARGEST:.0e}".replace("+", ""),
        f"at most {TEST_ROWS:,}, which",
        f"at most {VALIDATION_ROWS:,} rows",
        f"The generated tasks have one of {MiniGlue.validation} rows",
    ],
    "your-training": [f"at least {SIZE:,} weights and a sparsity of at least {100 * SPARSE_FROM:g} %"],
}
"""By page, what it says of a limit."""


TABLES = {
    "criterion": ("method", CRITERIA, ["score of a weight w", "passes for each batch", "source"]),
    "name (`--allocation`)": (
        "method",
        ALLOCATIONS,
        ["number of weights that a tensor keeps", "compared", "source", "cost, beyond a plan"],
    ),
    "rule (`--rule`)": ("method", RULES, ["in Python", "kept weights", "options"]),
    "strategy": ("early-evaluation", STRATEGIES, ["what it does"]),
}
"""By the head of its first column, the page of a table, the classes that it lists, and the rest of its head."""
OTHERS = {"counts", "screened"}
"""Names of classes that are given otherwise: counts in Python, and screening by an option."""


@pytest.mark.parametrize("page", SAID)
def test_pages_state_the_limits_of_the_code(page):
    stated = prose(ROOT / "docs" / f"{page}.md")
    assert [limit for limit in SAID[page] if limit not in stated] == []


@pytest.mark.parametrize("first", TABLES)
def test_tables_list_all_classes(first):
    page, registry, rest = TABLES[first]
    rows = table_rows(ROOT / "docs" / f"{page}.md", [first, *rest])
    listed = {row[0].strip("`") for row in rows if row[0].startswith("`") and " " not in row[0]}
    assert listed == {name for name, kind in registry.items() if is_builtin(kind)} - OTHERS


def test_the_table_of_studies_lists_all_that_ship():
    rows = table_rows(ROOT / "docs" / "study.md", ["name", "what it is", "what it costs"])
    assert {re.findall("`(.+?)`", row[0])[0] for row in rows} == {*built_in_studies()}
