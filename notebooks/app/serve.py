"""Open the classroom's app on this machine: `python notebooks/app/serve.py [RUN]`."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SETTINGS = [
    "--template=offline",
    "--Voila.ip=127.0.0.1",
    "--VoilaConfiguration.show_tracebacks=True",
    # A visitor who has left needs no kernel any more.
    "--MappingKernelManager.cull_interval=60",
    "--MappingKernelManager.cull_idle_timeout=1200",
]


def main() -> None:
    """Become the server."""
    given = arguments()
    if importlib.util.find_spec("voila") is None:
        sys.exit("the app needs voila; run pip install 'randprune-lab[lab,app]'")
    paths = [str(HERE / "share"), os.environ.get("JUPYTER_PATH")]
    environment = os.environ | {"JUPYTER_PATH": os.pathsep.join(filter(None, paths))}
    if given.run:  # the kernel works in another folder
        environment["RANDPRUNE_RUN"] = str(Path(given.run).resolve())
    command = [sys.executable, "-m", "voila", str(HERE / "explorers.ipynb"), *SETTINGS]
    command += [f"--port={given.port}", *(["--no-browser"] if given.no_browser else [])]
    os.execve(sys.executable, command, environment)


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description="Open the explorers in a browser.")
    add = parser.add_argument
    add("run", nargs="?", help="a run folder, or a folder of them, to look at too")
    add("--port", type=int, default=8866, metavar="N", help="(default: 8866)")
    add("--no-browser", action="store_true", help="only serve")
    return parser.parse_args()


if __name__ == "__main__":
    main()
