"""A report of small notebooks, made once for all tests."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

from randprune_lab.report import ReportSummary, report

PARAMETERS = 'profile = "classroom"\nseed = 0'

GOOD = [
    "large = 'x' * 200_000_000\nimport sys, os\nprint(sys.executable, os.getcwd(), profile, seed)",
    "import matplotlib.pyplot as plt\nplt.plot([0, 1], [1, 0])\nplt.title('Falling');",
    "from randprune_lab.report import key_figures, measured\n"
    "key_figures(winner_accuracy=0.75, candidates=8)\n"
    "key_figures(winner_accuracy=measured(0.8, tolerance=0.02, better='higher'))",
]
FAILING = [
    "sparsity = 1.2",
    "raise ValueError(f'sparsity must be in [0, 1), got {sparsity}')",
    "open('never', 'w')",
]
WIDGET = [
    "import io, ipywidgets, matplotlib.pyplot as plt\n"
    "def draw(bars):\n"
    "    figure, axes = plt.subplots()\n"
    "    axes.bar(range(bars), 1)\n"
    "    png = io.BytesIO()\n"
    "    figure.savefig(png)\n"
    "    plt.close(figure)\n"
    "    return png.getvalue()",
    "image = ipywidgets.Image(value=draw(3))\n"
    "slider = ipywidgets.IntSlider(value=3, min=1, max=9, continuous_update=False)\n"
    "slider.observe(lambda change: setattr(image, 'value', draw(change.new)), 'value')\n"
    "ipywidgets.VBox([slider, image])",
    "before = image.value\nslider.value = 7\nassert image.value != before",
]


def _write_notebook(path: Path, cells: list[str], heading: str = "# A heading", parameters: str = PARAMETERS) -> None:
    """Write a notebook with the name of a kernel that no machine has."""
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "elsewhere", "display_name": "E"}})
    tagged = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    code = map(nbformat.v4.new_code_cell, cells)
    notebook.cells = [nbformat.v4.new_markdown_cell(heading), tagged, *code]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


@pytest.fixture
def make_notebook() -> Callable[..., None]:
    """A function that writes a notebook: `make_notebook(path, sources of its code cells)`."""
    return _write_notebook


@dataclass(frozen=True)
class MadeReport:
    summary: ReportSummary
    printed: list[str]
    notebooks: Path

    def text(self, name: str) -> str:
        return (self.summary.out / name).read_text("utf-8")


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> MadeReport:
    """The report of a good notebook, a failing one, and one with a widget, in this order."""
    folder = tmp_path_factory.mktemp("course")
    _write_notebook(folder / "notebooks" / "00_good.ipynb", GOOD, "# The *good* one")
    _write_notebook(folder / "notebooks" / "01_failing.ipynb", FAILING)
    _write_notebook(folder / "notebooks" / "02_widget.ipynb", WIDGET)
    foreign = folder / "jupyter" / "kernels" / "python3"  # as on many clusters
    foreign.mkdir(parents=True)
    (foreign / "kernel.json").write_text('{"argv": ["false"], "display_name": "Python 3", "language": "python"}')
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(folder / "jupyter"))
        patch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
        summary = report("smoke", folder / "out", parameters={"seed": 7}, notebooks=folder / "notebooks", jobs=1)
    return MadeReport(summary, printed.getvalue().splitlines(), folder / "notebooks")
