"""A notebook that is open in JupyterLab, and what tests do with it."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Locator, Page

MINUTES = 60_000  # milliseconds
SLIDER = ".rp-explorer input[type=range]"
PICTURE = ".rp-explorer img.rp-picture"

# JupyterLab itself waits for these promises; waiting for an idle kernel and then running cells would be a race.
RESTORED = "() => window.jupyterapp && window.jupyterapp.restored.then(() => true)"
OPENED = """() => {
  window.panel = [...window.jupyterapp.shell.widgets('main')].find(widget => widget.sessionContext);
  return window.panel;
}"""
READY = """async () => {
  await window.panel.context.ready;
  await window.panel.sessionContext.ready;
  await window.panel.sessionContext.session.kernel.info;
  window.jupyterapp.shell.activateById(window.panel.id);
}"""
RUN = "() => { window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => { window.ran = true; }); }"
RUN_ONE = """number => {
  window.panel.content.activeCellIndex = number;
  return window.jupyterapp.commands.execute('notebook:run-cell');
}"""
CELLS = "() => window.panel.content.model.sharedModel.cells.map(cell => cell.toJSON())"
BYTES = """async image => {
  const reader = new FileReader();
  reader.readAsDataURL(await (await fetch(image.src)).blob());
  await new Promise(done => { reader.onload = done; });
  return reader.result;
}"""


class NotebookPage:
    """A notebook that is open in JupyterLab, with its kernel."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        page.goto(address)
        page.wait_for_function(RESTORED, timeout=2 * MINUTES)
        page.wait_for_function(OPENED, timeout=MINUTES)
        page.evaluate(READY)

    def run_all(self) -> None:
        """Run all cells, up to the last one or the first that fails."""
        self.page.evaluate(RUN)
        self.page.wait_for_function("() => window.ran", timeout=5 * MINUTES)

    def run_cell(self, number: int) -> None:
        """Run one cell, and wait until it has ended."""
        self.page.evaluate(RUN_ONE, number)

    def code_cells(self) -> list[dict[str, Any]]:
        """The code cells with their outputs, as they would be saved."""
        return [cell for cell in self.page.evaluate(CELLS) if cell["cell_type"] == "code"]

    @property
    def slider(self) -> Locator:
        """The handle of the first slider."""
        return self.page.locator(SLIDER).first

    def press(self, key: str) -> str:
        """Press a key on the slider, wait until the picture has changed, and return the new picture."""
        before = self.page.locator(PICTURE).first.get_attribute("src")
        self.slider.focus()
        self.page.keyboard.press(key)
        changed = "([css, before]) => document.querySelector(css).src !== before"
        self.page.wait_for_function(changed, arg=[PICTURE, before], timeout=MINUTES)
        return self.picture()

    def wait_for_picture(self, src: str) -> None:
        """Wait until the explorer's picture has this address."""
        shown = "([css, src]) => document.querySelector(css).src === src"
        self.page.wait_for_function(shown, arg=[PICTURE, src], timeout=MINUTES)

    def save(self) -> None:
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")

    def trust(self) -> None:
        """Let the scripts of all outputs run, as the command Trust Notebook does."""
        self.page.evaluate("() => window.panel.content.widgets.forEach(cell => { cell.model.trusted = true; })")

    def end_kernel(self) -> None:
        self.page.evaluate("() => window.panel.sessionContext.shutdown()")

    def picture(self) -> str:
        """The explorer's picture, as encoded bytes."""
        return self.page.locator(PICTURE).first.evaluate(BYTES)

    def value(self) -> str:
        """The text beside the slider."""
        return self.page.locator(".rp-explorer output").first.inner_text()
