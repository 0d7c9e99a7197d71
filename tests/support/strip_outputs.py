"""Remove outputs and execution counts from notebooks: `python tests/support/strip_outputs.py PATH ...`.

Notebooks are committed without outputs. A path may be a folder. A file that is clean already is not touched.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat


def strip(path: Path) -> bool:
    """Clean one notebook in place. Returns whether it changed."""
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    dirty = [cell for cell in cells if cell.outputs or cell.execution_count is not None]
    for cell in dirty:
        cell.outputs, cell.execution_count = [], None
    if dirty:
        nbformat.write(notebook, path)
    return bool(dirty)


def main(arguments: list[str]) -> int:
    paths = [Path(argument) for argument in arguments]
    files = [file for path in paths for file in (path.rglob("*.ipynb") if path.is_dir() else [path])]
    changed = [file for file in sorted(files) if ".ipynb_checkpoints" not in file.parts and strip(file)]
    print("\n".join(f"removed the outputs of {file}" for file in changed), end="\n" if changed else "")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
