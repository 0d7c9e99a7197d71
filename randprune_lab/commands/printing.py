"""What several commands print."""

from __future__ import annotations

import json
from typing import Any

from randprune_lab.terminal import (
    printable,
)


def print_run(record: Any, as_json: bool) -> int:
    from randprune_lab.analysis.text import describe_run

    print(json.dumps(record.summary(), indent=2) if as_json else describe_run(record))
    return 0


def print_rows(rows: list[dict[str, Any]], as_json: bool) -> int:
    if as_json:
        print(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        print(printable(row["name"]))
        for key, value in row.items():
            if key != "name" and value not in (None, {}):
                print(f"  {key.replace('_', ' '):<12} {printable(plain(value))}")
    return 0


def plain(value: Any) -> str:
    if isinstance(value, dict):
        parts = {key: f"({plain(item)})" if isinstance(item, dict) else plain(item) for key, item in value.items()}
        return ", ".join(f"{key} {part}" for key, part in parts.items())
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
