"""YAML in which a key that is given twice is an error. PyYAML keeps the last one, and says nothing of the others."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml

MERGE = "tag:yaml.org,2002:merge"


class StrictLoader(yaml.SafeLoader):
    """Reads plain YAML, and raises `ValueError` for a key that a mapping has twice."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        lines: dict[Hashable, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                name = key.value if key.tag == MERGE else self.construct_object(key)
                line = key.start_mark.line + 1
                if name in lines:
                    raise ValueError(f"line {line}: the key {name!r} is given twice, first in line {lines[name]}")
                lines[name] = line
        return node


def read_yaml(text: str) -> Any:
    """The content of YAML.

    Raises:
        ValueError: if a mapping has a key twice, or a value is not what it looks like, such as a date.
        yaml.YAMLError: if the text is not YAML.
    """
    return yaml.load(text, StrictLoader)
