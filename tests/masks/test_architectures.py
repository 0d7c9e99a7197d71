"""What is pruned by default in every model that transformers can build from a small configuration, by name and kind.

`python tests/masks/test_architectures.py` writes the list anew, for another version of transformers; read its diff.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from randprune_lab.masks.choice import Scope, scope

FILE = Path(__file__).with_name("architectures.json")
RECORDED: dict[str, Any] = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}

DEPTH = re.compile(r".*(_layers|n_layer|depth|num_blocks)")
"""Settings of a configuration that are numbers of layers."""

NEVER = re.compile(r"bias|router|norm$|table|rel_pos_.$|A_log|(cls|mask)_token|lora_", re.IGNORECASE)
"""What the last part of a projection's name does not contain."""


def shrunk(config: Any) -> Any:
    """The configuration with two layers, and those of its parts."""
    for name, value in vars(config).items():
        if hasattr(value, "to_dict"):
            shrunk(value)
        elif DEPTH.fullmatch(name) and isinstance(value, int) and value > 2:
            setattr(config, name, 2)
    return config


def built(kind: type) -> torch.nn.Module | None:
    """A small model on the meta device, or None if its configuration needs more than defaults."""
    from transformers import AutoModel

    for change in (shrunk, lambda config: config):
        try:
            with torch.device("meta"):
                return AutoModel.from_config(change(kind()))
        except Exception:  # of all kinds: needs another package, a size that does not fit ...
            continue
    return None


def scopes() -> Iterator[tuple[str, Scope | None]]:
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_MAPPING

    transformers.logging.set_verbosity_error()
    known = MODEL_MAPPING.keys()
    for name in sorted(CONFIG_MAPPING):
        if CONFIG_MAPPING[name] in known:
            model = built(CONFIG_MAPPING[name])
            yield name, None if model is None else scope(model)


def pruned(table: Scope) -> dict[str, list[str]]:
    """The pruned names of a table by kind."""
    kinds: dict[str, list[str]] = {}
    for row in table.rows:
        if row.dense is None:
            kinds.setdefault(row.kind, []).append(re.sub(r"\b\d+\b", "*", row.name).removesuffix(".weight"))
    return {kind: sorted(set(names)) for kind, names in kinds.items()}


def recorded() -> dict[str, Any]:
    import transformers

    with warnings.catch_warnings(action="ignore"):
        found = {name: table if table is None else pruned(table) for name, table in scopes()}
    return {
        "transformers": transformers.__version__,
        "not built": [name for name, names in found.items() if names is None],
        "pruned": {name: names for name, names in found.items() if names is not None},
    }


def test_what_is_pruned_in_every_architecture() -> None:
    import transformers

    if transformers.__version__ != RECORDED["transformers"]:
        pytest.skip(f"the list was made with transformers {RECORDED['transformers']}")
    found = recorded()
    assert found["not built"] == RECORDED["not built"]
    assert found["pruned"].keys() == RECORDED["pruned"].keys()
    for name, names in found["pruned"].items():
        assert names == RECORDED["pruned"][name], name


def test_the_list_has_no_table_router_bias_or_norm() -> None:
    """Read with the eyes of somebody who knows the names, not the classes."""
    names = {name for kinds in RECORDED["pruned"].values() for parts in kinds.values() for name in parts}
    assert len(RECORDED["pruned"]) > 500 and len(RECORDED["not built"]) < 60
    assert {name for name in names if NEVER.search(name.rpartition(".")[2])} == set()


if __name__ == "__main__":
    parts = recorded()
    rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(names)}" for name, names in parts.pop("pruned").items())
    FILE.write_text(f'{json.dumps(parts)[:-1]},\n "pruned": {{\n{rows}\n}}}}\n', "utf-8")
