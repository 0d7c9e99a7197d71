"""HTML from notebooks, reduced to what a reader sees: nothing in it acts, and nothing is loaded."""

from __future__ import annotations

import base64
import hashlib
import re

import bleach
from bleach.css_sanitizer import CSSSanitizer

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""What browsers let a page of a report do: no scripts, no frames, no requests, whatever is on it."""


def policy_with(script: str) -> str:
    """The policy of a page on which this script runs, and no other."""
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return f"{POLICY}; script-src 'sha256-{digest}'"


def _names(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


TAGS = _names(
    "a abbr b blockquote br caption code col colgroup dd del details div dl dt em figcaption figure h1 h2 h3 h4 h5 h6",
    "hr i img kbd li mark ol p pre q s samp small span strong sub summary sup",
    "fieldset input label legend option output select",
    "table tbody td tfoot th thead tr u ul var",
    "math menclose mfrac mi mn mo mover mpadded mphantom mroot mrow mspace msqrt mstyle msub msubsup msup mtable mtd",
    "mtext mtr munder munderover",
)
ATTRIBUTES = _names(
    "aria-label aria-valuetext checked data-frames data-names data-predict data-truth max min role selected step value",
    "align alt class colspan height id open rowspan scope start style title valign width",
    "accent columnalign columnspacing display displaystyle fence form linebreak linethickness lspace mathsize",
    "mathvariant maxsize minsize movablelimits notation rowspacing rspace scriptlevel separator stretchy voffset xmlns",
)
ADDRESSES = {
    ("a", "href"): re.compile(r"(https?:|mailto:|#)\S*|[\w./-]+(#\S*)?"),
    ("img", "src"): re.compile(r"data:image/\S*"),
    ("input", "type"): re.compile("radio|range"),
    ("input", "name"): re.compile(".*"),
}

_UNSEEN = re.compile(r"<(script|style)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)


def passive(html: str) -> str:
    """HTML with text, tables, formulas and embedded pictures, all tags closed.

    Scripts, styles of whole pages, frames, forms, remote pictures and links that run code are left out.
    """
    return bleach.clean(
        _UNSEEN.sub("", html),
        tags=TAGS,
        attributes=_allowed,
        protocols=("http", "https", "mailto", "data"),
        css_sanitizer=CSSSanitizer(),
        strip=True,
    )


def _allowed(tag: str, name: str, value: str) -> bool:
    address = ADDRESSES.get((tag, name))
    return name in ATTRIBUTES if address is None else address.fullmatch(value) is not None
