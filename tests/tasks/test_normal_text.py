"""Texts are the same if they have the same words and symbols, in any script."""

from __future__ import annotations

from unicodedata import normalize

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from randprune_lab.tasks.normal_text import normal_text

# Pairs of texts: a blank divides the two, a bar divides the pairs.
APART = """
👍 👎 | 🎉 👍 | 👍🏻 👍🏿 | 🇩🇪 🇫🇷 | ♥ ♦ | 1️⃣ 1 | 👨‍👩‍👧 👨👩👧 | 🏴󠁧󠁢󠁥󠁮󠁧󠁿 🏴󠁧󠁢󠁳󠁣󠁴󠁿 | ☀ ☁ | 👍 👍👍 | \ue000 \ue001
सोना सुना | की का | क कि | நான் நன் | తల తాల | বল বলা | ਕਲ ਕਾਲ | นา น่า | แก แก้ | ດີ ດີ່ | မ မာ | ក កា
كَتَبَ كُتِبَ | שָׁלוֹם שׁלום | é e | ガ カ | 한 하 | ½ 12 | π p | m² m
C++ C# | C# C | x<1 x>1 | a*b a/b | a==b a!=b | x!=y x=y | a&&b a||b | x^2 x,2 | R&D R,D | f(-1) f(1)
-5 5 | +5 5 | −5 5 | –5 5 | -$5 $5 | -.5 .5 | (-5) (5) | $5 €5 | ¥5 £5 | 5% 5 | #1 1 | 5° 5 | 1,000 1000 | ± + | ~5 5
a|b a,b | x_1 x,1 | <3 3 | can't cant | @home home
"""
SAME = """
Straße STRASSE | ΣΟΦΟΣ σοφος | İzmir izmir | Ǆ ǆ | É é | ﬁne Fine | 𝐠𝐨𝐨𝐝 good | Ｆｕｌｌ！ full | ① 1 | ｶﾞ ガ
it's it’s | it's it´s | it's itʼs | «bien» bien | “$5” $5 | good…film good-film | well–known WELL/KNOWN
你好。 你好 | नमस्ते। नमस्ते | صدقة، صدقة | לֹא־טוֹב לֹא,טוֹב | ሰላም፡ቀን ሰላም,ቀን | <SPX> (spx) | x≠y x!=y | -5 −5
co\u00adop coop | good\u200bfilm goodfilm | می\u200cخواهم میخواهم | क्\u200dष क्ष | \u202bשלום\u202c שלום
ﻼ لا | $5 ＄5
¿qué? qué | 1/2 1-2 | 👍! 👍 | ``bad'' "bad" | \ufeffgood good | ❤\ufe0f ❤ | ❤\ufe0e ❤\ufe0f | 葛\U000e0100 葛
"""
WITHOUT_WORDS = ("?!", "!?", ":)", ":(", ".", "...", "(", ")", "-", "。")


def pairs(table: str) -> list[list[str]]:
    return [pair.split() for line in table.strip().splitlines() for pair in line.split(" | ")]


@pytest.mark.parametrize("text", ["{}", "a {} b", "«{}»!"])
def test_other_words_marks_and_symbols_make_another_text(text: str) -> None:
    assert not [pair for pair in pairs(APART) if len({normal_text(text.format(part)) for part in pair}) == 1]


@pytest.mark.parametrize("text", ["{}", "a {} b", "«{}»!"])
def test_case_punctuation_and_encoding_make_no_difference(text: str) -> None:
    assert not [pair for pair in pairs(SAME) if len({normal_text(text.format(part)) for part in pair}) == 2]


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
@settings(max_examples=100)
def test_the_normal_form_of_unicode_makes_no_difference(text: str) -> None:
    assert {normal_text(normalize(form, text)) for form in ("NFC", "NFD", "NFKC", "NFKD")} == {normal_text(text)}


def test_a_text_without_words_and_symbols_is_itself() -> None:
    assert [normal_text(f" {text}\n") for text in WITHOUT_WORDS] == list(WITHOUT_WORDS)


@pytest.mark.parametrize("mark", ".,;:!?'\"()[]{}-‐–—…«»„“”‚‘’¿¡。、，！？「」؟،।")
def test_punctuation_at_a_word_makes_no_difference(mark: str) -> None:
    assert normal_text(f"{mark} good{mark} film {mark}") == "good film"
