"""A source with three exercises that take no time and need no imports."""

from __future__ import annotations

from typing import Any

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

NAMES = ("one", "two", "three")


def marked(grade_id: str, *, solution: bool = False, points: float | None = None) -> dict[str, Any]:
    mark = {"schema_version": 3, "grade_id": grade_id, "solution": solution, "locked": not solution, "task": False}
    return {"nbgrader": mark | {"grade": points is not None} | ({} if points is None else {"points": points})}


def make_source() -> Any:
    cells = [
        new_markdown_cell("# Numbers", metadata=marked("intro")),
        new_code_cell("zero = 0", metadata=marked("setup")),
    ]
    for value, name in enumerate(NAMES, start=1):
        text = (
            f"## {value}. Number {name}\n\n{'★' * value}{'☆' * (3 - value)} · {5 * value} minutes\n\nGive {name}.\n\n"
        )
        hint = "<details><summary>Hint</summary>\n\nCount.\n\n</details>"
        answer = f"def {name}():\n    ### BEGIN SOLUTION\n    answer = {value}\n    return answer\n    ### END SOLUTION"
        check = f"assert {name}() == zero + {value}, 'count again'"
        cells += [
            new_markdown_cell(text + hint, metadata=marked(f"{name}-text")),
            new_code_cell(answer, metadata=marked(name, solution=True)),
            new_code_cell(check, metadata=marked(f"{name}-check", points=value)),
        ]
    return new_notebook(cells=cells)
