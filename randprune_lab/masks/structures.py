"""The structures by name: `"2:4"` and other N:M patterns, blocks such as `(32, 1)` or `"32x1"`, heads, neurons."""

from __future__ import annotations

import re
from operator import index

from randprune_lab.errors import ConfigError
from randprune_lab.masks.blocks import Blocks
from randprune_lab.masks.heads import Heads
from randprune_lab.masks.layout import Structure, Weights
from randprune_lab.masks.n_of_m import NofM
from randprune_lab.masks.neurons import Neurons

Named = str | tuple[int, int] | Structure | None
"""What users give as a structure; None: no structure."""


def find_structure(given: Named) -> Structure:
    """The structure of a name.

    Raises:
        ConfigError: if there is no such structure.

    >>> str(find_structure((32, 1)))
    '32x1'
    """
    if given is None or isinstance(given, Structure):
        return given or Weights()
    if isinstance(given, str):
        if given in (Heads.name, Neurons.name):
            return Heads() if given == Heads.name else Neurons()
        if found := re.fullmatch(r"(\d{1,9}):(\d{1,9})", given):
            return NofM(*map(int, found.groups()))
        if found := re.fullmatch(r"(\d{1,9})x(\d{1,9})", given):
            return Blocks(*map(int, found.groups()))
    elif isinstance(given, tuple | list) and len(given) == 2:
        try:
            return Blocks(*map(index, given))
        except TypeError:
            pass
    raise ConfigError(
        "structure must be 'n:m' such as '2:4', a block of (outputs, inputs) such as (32, 1) or '32x1', 'heads', "
        f"'neurons' or None, got {given!r}"
    )
