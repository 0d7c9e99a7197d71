"""What two texts have in common if they are the same: words and symbols, whatever the case and the punctuation."""

from __future__ import annotations

import re
import unicodedata

APOSTROPHES = "`ʻʼ"
"""Punctuation that Unicode calls a symbol or a letter."""

SIGNS = "#%&*@_"
"""Symbols that Unicode calls punctuation: names, quantities and code can differ in them alone."""

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180b-\u180f\u200b\u200c\u200e\u200f\u202a-\u202e"
    "\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb\U000e0100-\U000e01ef]"
)
"""Soft hyphens, spaces without width, marks of direction, variation selectors; not the joiner, which emoji need."""

_LONE_ACCENT = re.compile(r"(?<!\S)[\u0300-\u036f]+")  # such as ´ (NFKC: a space, an accent) in it´s
_ANGLES = re.compile(r"< ?([^\s<>]+) ?>")  # brackets around a word, not two comparisons
_MINUS = re.compile(r"(?<!\w)[-‐–](?=[^\w\s]?\.?\d)")
_JOINER_IN_WORD = re.compile("(?<=\\S)\u200d|\u200d(?=\\S)")


def normal_text(text: str) -> str:
    """The words and symbols of a text; the text itself if it has none.

    Compatible characters are the same (NFKC), a mark is a part of its word, and a symbol is a word of its own.

    >>> normal_text("So it is: «naïve» & ２ €…")
    'so it is naïve & 2 €'
    >>> normal_text("C++ != C#, -5"), normal_text("?!")
    ('c + + ≠ c # − 5', '?!')
    """
    text = _INVISIBLE.sub("", text)
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    text = text.replace("i\u0307", "i")  # what becomes of the capital İ
    marked = _LONE_ACCENT.sub(" ", _ANGLES.sub(r"(\1)", text).replace("!=", "≠"))
    words = _JOINER_IN_WORD.sub("", _MINUS.sub("−", marked).translate(_CHARACTERS)).split()
    return " ".join(words or text.split())


class _Characters(dict[int, str]):
    """What takes a character's place: itself in a word, itself between spaces if it is a symbol, or a space."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        kind = unicodedata.category(character)
        if (kind[0] in "PZ" and character not in SIGNS) or kind == "Cc" or character in APOSTROPHES:
            self[code] = " "
        elif kind[0] in "LMN" or kind == "Cf":
            self[code] = character
        else:
            self[code] = f" {character} "
        return self[code]


_CHARACTERS = _Characters()
