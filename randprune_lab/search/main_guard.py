"""Scripts that start processes: each process runs the script again, up to its main guard."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import FrameType

from randprune_lab.errors import ConfigError


def check_main_guard(what: str) -> None:
    """Refuse to start processes from a line of a script that each of them would run again.

    A new process imports the script that was started. Lines inside an `if`, such as `if __name__ == "__main__":`, may
    be left out there; all other lines would start processes again, and repeat what the script did before.

    Args:
        what: what would start processes, for the message.

    Raises:
        ConfigError: if the running line of the script is inside no `if`.
    """
    main = sys.modules["__main__"]
    path = Path(getattr(main, "__file__", None) or "")
    frame: FrameType | None = sys._getframe()
    while frame and not (frame.f_globals is vars(main) and frame.f_code.co_name == "<module>"):
        frame = frame.f_back
    if frame is None or not path.is_file() or path.name == "__main__.py":  # which is not imported again
        return
    conditions = [node for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.If)]
    if not any(node.lineno <= frame.f_lineno <= (node.end_lineno or node.lineno) for node in conditions):
        raise ConfigError(
            f"{what} starts processes, each of which would run {path.name} again: put what line {frame.f_lineno} "
            'does under a line `if __name__ == "__main__":`'
        )
