"""Check a commit message: `python tests/support/commit_message.py FILE`. Exit code 1 says what is wrong.

The subject has at most 72 characters, begins with a capital letter and ends without a full stop; a body, which says
why, follows after an empty line.
"""

from __future__ import annotations

import sys
from pathlib import Path

LIMIT = 72


def faults(message: str) -> list[str]:
    """What is wrong with a message; comment lines of git do not count."""
    subject, *rest = [line for line in message.splitlines() if not line.startswith("#")] or [""]
    if subject.startswith(("Merge ", "Revert ", "fixup! ", "squash! ")):
        return []
    found = []
    if len(subject) > LIMIT:
        found.append(f"the subject must have at most {LIMIT} characters, got {len(subject)}")
    if not subject[:1].isupper() or subject.endswith("."):
        found.append("the subject must begin with a capital letter and end without a full stop")
    if not rest or rest[0].strip() or not any(line.strip() for line in rest):
        found.append("after an empty line, a body must say why the change is made")
    return found


def main(arguments: list[str]) -> int:
    found = faults(Path(arguments[0]).read_text("utf-8"))
    print("\n".join(f"commit message: {fault}" for fault in found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
