"""A headless Chromium, a page that records its errors, and a JupyterLab on this machine."""

from __future__ import annotations

import os
import runpy
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import chromium
import nbformat
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from randprune_lab.viz.explorer import Explorer
from randprune_lab.viz.page_parts import HEADLESS

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
EXPLORER = Path(__file__).parent / "small_explorer.py"
QUIET = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
QUIET += " --disable-component-update --disable-sync"
TOKEN = "tests"
SECONDS_TO_START = 120


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = chromium.find()
    assert path, "no Chromium starts; `make test-browser` installs one"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET.split())
        yield browser
        browser.close()


@dataclass
class Watched:
    """A page, the errors of its console and scripts, and its requests to other machines."""

    page: Page
    errors: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._note)

    def _note(self, request) -> None:
        here = ("file:", "data:", "blob:", "http://127.0.0.1:", "ws://127.0.0.1:")
        if not request.url.startswith(here):
            self.left.append(request.url)


@contextmanager
def watched(browser: Browser, width: int = 1280, height: int = 900, has_touch: bool = False) -> Iterator[Watched]:
    """A new page of this size."""
    context = browser.new_context(viewport={"width": width, "height": height}, has_touch=has_touch)
    try:
        yield Watched(context.new_page())
    finally:
        context.close()


@pytest.fixture(scope="session")
def small_explorer() -> Explorer:
    return runpy.run_path(str(EXPLORER))["explorer"]


@pytest.fixture(scope="session")
def lab_folder(tmp_path_factory) -> Path:
    """The folder that JupyterLab shows: notebooks with a small explorer, and those of the course in the profile smoke.

    `explorer.ipynb` has not run, `headless.ipynb` has run without a reader.
    """
    root = tmp_path_factory.mktemp("lab") / "notebooks"
    root.mkdir()
    for path in NOTEBOOKS.glob("*.ipynb"):
        nbformat.write(_in_smoke_profile(path), root / path.name)
    cell = nbformat.v4.new_code_cell(EXPLORER.read_text("utf-8") + "\nexplorer")
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata=metadata)
    nbformat.write(notebook, root / "explorer.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(HEADLESS, "all")
        shown = runpy.run_path(str(EXPLORER))["explorer"]._repr_mimebundle_()
    cell.outputs = [nbformat.v4.new_output("execute_result", shown, execution_count=1)]
    nbformat.write(notebook, root / "headless.ipynb")
    return root


@pytest.fixture(scope="session")
def lab(lab_folder) -> Iterator[str]:
    """The address of a JupyterLab; {name} stands for a notebook."""
    root, folder = lab_folder, lab_folder.parent
    # This keeps all cells in the page, including those out of sight.
    settings = folder / "settings" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text('{"windowingMode": "none"}')
    port = _free_port()
    address = f"http://127.0.0.1:{port}/lab/tree/{{name}}?token={TOKEN}&reset"  # without what was open before
    with _served(_command(port, root), folder, f"http://127.0.0.1:{port}/api/status?token={TOKEN}"):
        yield address


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def _served(command: list[str], folder: Path, answers_at: str) -> Iterator[None]:
    """Run a server that keeps its log and its settings in a folder."""
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, env=_environment(folder), stdout=log, stderr=log)
        try:
            _wait_for(server, answers_at, folder / "log")
            yield
        finally:
            server.terminate()  # it ends its kernels
            server.wait()


def _in_smoke_profile(path: Path) -> nbformat.NotebookNode:
    notebook = nbformat.read(path, as_version=4)
    (cell,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    cell.source += '\nprofile = "smoke"'
    return notebook


def _command(port: int, root: Path) -> list[str]:
    settings = [
        "--no-browser",
        "--allow-root",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={root}",
        f"--IdentityProvider.token={TOKEN}",
        "--LabApp.expose_app_in_browser=True",
        "--LabApp.news_url=None",
        "--LabApp.extension_manager=readonly",
    ]
    return [sys.executable, "-m", "jupyterlab", *settings]


def _environment(folder: Path) -> dict[str, str]:
    """The environment without the user's settings, workspaces and extensions."""
    own = {f"JUPYTER_{kind.upper()}_DIR": folder / kind for kind in ("config", "data", "runtime")}
    own |= {f"JUPYTERLAB_{kind.upper()}_DIR": folder / kind for kind in ("settings", "workspaces")}
    return os.environ | {name: str(path) for name, path in own.items()}


def _wait_for(server: subprocess.Popen, address: str, log: Path) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while server.poll() is None and time.monotonic() < end:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"{address} does not answer:\n{log.read_text()}")
