"""The words of the field, and plain English: phrases that readers stumbled over stay out of code, docs and lessons."""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

import pytest
from support.pages import LESSONS, PAGES, ROOT, name, prose

DIALECT = [
    (r"less (that|those|imp|the other|each other|others)\b", "minus; difference from"),
    (r"\b(only )?so many\b", "N; the number of; at most N"),
    (r"\bas many\b", "the same number; N"),
    (r"\bone's own\b", "your own; custom"),
    (r"\bsurely\b", "significantly; certainly"),
    (
        r"\btells? (\w+ ){0,2}apart\b|\btold (\w+ )?apart\b|\bcan(not)? be told from\b",
        "distinguish; no clear difference",
    ),
    (r"\bto be had\b|\bcan be had\b", "available"),
    (r"\band the like\b|\blikewise\b|\ball else\b|\bbut for\b", "similar; also; everything else; except"),
    (r"\bin turn\b", "cyclically; one after the other"),
    (r"\bmend(s|ed|ing)?\b", "fix"),
    (r"\bhand(s|ed)? on\b|\bto hand on\b", "share; export; pass"),
    (r"\bhold(s)? zero\b", "contains zero"),
    (r"\bballots?\b|\blots\b|\blottery\b(?! ticket)|\bsettle(s|d)?\b", "votes; uniform numbers; decide"),
    (r"\bborders?\b(?!\s*[-:])", "threshold; limit"),
    (r"\bband\b", "undecided weights"),
    (r"\bliteral procedure\b", "reference procedure"),
    (r"\b(report|selection) (split|sets?|examples?|rows?)\b", "test set; validation set"),
    (r"\bwhat is (learned|pruned|had|handed on|kept)\b", "the task; the model; the baseline; ..."),
    (r"\b(kept|removed|drawn|trained) are\b", "... are kept"),
    (r"\bchances? to be kept\b|\bchance of being kept\b", "inclusion probability"),
]
"""Phrases, and what to write instead."""

SOURCES = sorted((ROOT / "randprune_lab").rglob("*.py"))


def found(text: str) -> list[str]:
    """The phrases in a text, each with what to write instead. Line breaks count as spaces."""
    flat = re.sub(r"\s+(# )?", " ", text)
    return [
        f"{match[0]!r} -> {instead}"
        for pattern, instead in DIALECT
        for match in re.finditer(pattern, flat, re.IGNORECASE)
    ]


def words(path: Path) -> str:
    """The comments and strings of a Python file, docstrings, help texts and messages among them."""
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", None)}
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline)
    return "\n".join(token.string for token in tokens if token.type in kinds)


def test_the_phrases_are_found():
    assert found("Scores less that of IMP, and only so\nmany  # steps") and not found("Scores minus those of IMP")


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_code_is_in_plain_english(path):
    assert found(words(path)) == []


@pytest.mark.parametrize("path", [*PAGES, *LESSONS], ids=name)
def test_pages_are_in_plain_english(path):
    assert found(prose(path)) == []
