"""A report is complete even if notebooks fail, needs no other files, and can be made again."""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

import nbformat
import pytest

from randprune_lab.errors import ConfigError, FileError, RunError, UnknownNameError
from randprune_lab.report import CellFailure, parse_parameters, report
from randprune_lab.report.key_figures import MIMETYPE, KeyFigure

REMOTE_SOURCE = re.compile(r"<(?:script|link|img|iframe)[^>]*?(?:src|href)\s*=\s*[\"']?(?:https?:)?//", re.IGNORECASE)


def test_failing_notebook_is_named_and_the_others_still_run(made):
    assert [result.status for result in made.summary.results] == ["ok", "failed", "ok"]
    assert made.summary.exit_code == 1
    # The parameters are cells 1 and 2; papermill inserts the second one.
    assert made.summary.results[1].failure == CellFailure(4, "ValueError", "sparsity must be in [0, 1), got 1.2")
    assert not (made.summary.out / "work" / "01_failing" / "never").exists()


def test_one_line_per_notebook_is_printed(made):
    good, failing, _, index = made.printed
    assert re.fullmatch(r"\[1/3\]  00_good     ok +\d+ s  0\.\d\d GB(  figures from .*)?", good)
    assert failing.endswith("cell 4: ValueError: sparsity must be in [0, 1), got 1.2")
    assert index == f"report: {made.summary.index}"


def test_kernel_is_this_interpreter_in_a_folder_of_its_own_with_the_parameters(made):
    notebook = nbformat.read(made.summary.out / "00_good.ipynb", as_version=4)
    printed = "".join(output.text for cell in notebook.cells for output in cell.get("outputs", []) if "text" in output)
    work = (made.summary.out / "work" / "00_good").resolve()
    assert printed.split() == [sys.executable, str(work), "smoke", "7"]


def test_key_figures_are_in_the_summary_in_order_and_with_their_last_value(made):
    figures = [
        KeyFigure("winner_accuracy", 0.8, tolerance=0.02, better="higher"),
        KeyFigure("candidates", 8),
    ]
    assert list(made.summary.results[0].key_figures.values()) == figures
    saved = json.loads(made.text("summary.json"))["notebooks"]
    assert [entry["key_figures"] for entry in saved] == [[asdict(figure) for figure in figures], [], []]
    assert "<dt>winner accuracy</dt><dd>0.8</dd>" in made.text("index.html")


def test_peak_memory_is_that_of_the_kernel(made):
    """An empty Python takes 10 MB, a kernel with torch less than a gigabyte."""
    saved = json.loads(made.text("summary.json"))["notebooks"]
    for result, entry in zip(made.summary.results, saved, strict=True):
        assert 10e6 < result.peak_memory < 1e9
        assert entry["peak_memory"] == result.peak_memory
    good, failing, _ = made.summary.results
    assert good.peak_memory > failing.peak_memory + 100e6  # it makes a large text


def test_the_summary_has_profile_parameters_titles_and_failures(made):
    saved = json.loads(made.text("summary.json"))
    assert saved["profile"] == "smoke"
    assert saved["parameters"] == {"seed": 7}
    assert saved["notebooks"][0]["title"] == "The good one"
    assert saved["notebooks"][1]["failure"] == {
        "cell": 4,
        "error": "ValueError",
        "message": "sparsity must be in [0, 1), got 1.2",
    }


def test_every_page_leads_to_those_beside_it_and_shows_its_parameters_once(made):
    pages = [f"{result.name}.html" for result in made.summary.results]
    for place, name in enumerate(pages):
        page = made.text(name)
        linked = {(rel, address) for address, rel in re.findall(r'href="([^"]*)" rel="(prev|next)"', page)}
        beside = {("prev", pages[place - 1])} if place else set()
        beside |= {("next", following) for following in pages[place + 1 : place + 2]}
        assert linked == beside
        assert "# Parameters" not in page and "<span>profile = 'smoke'</span>" in page


def test_every_page_needs_no_other_files(made):
    for path in made.summary.out.glob("*.html"):
        page = path.read_text("utf-8")
        assert page.count("<script") == (0 if path.stem == "index" else 1), path.name
        assert not REMOTE_SOURCE.search(page), path.name
        assert "url(http" not in page, path.name
        assert '<meta content="width=device-width' in page or '<meta name="viewport"' in page, path.name


def test_index_shows_figure_link_and_failure(made):
    index = made.text("index.html")
    assert made.summary.results[0].thumbnail.png.startswith(b"\x89PNG")
    assert index.count("data:image/png;base64,") == 1  # the other two notebooks have no figure
    assert '<a href="00_good.html">The good one</a>' in index
    assert "cell 4: ValueError: sparsity must be in [0, 1), got 1.2" in index


def test_widget_leaves_a_note_on_the_page(made):
    page = made.text("02_widget.html")
    assert page.count("widget-note") == 2  # once in the style sheet
    assert "IntSlider(" not in page


def test_report_is_replaced_by_the_next_one(made, tmp_path):
    out = shutil.copytree(made.summary.out, tmp_path / "out")
    (out / "my notes.txt").write_text("keep me")
    again = report("smoke", out, only="01", notebooks=made.notebooks)
    assert [result.name for result in again.results] == ["01_failing"]
    assert sorted(path.name for path in out.glob("*.html")) == ["01_failing.html", "index.html"]
    assert [path.name for path in (out / "work").iterdir()] == ["01_failing"]
    assert (out / "my notes.txt").exists()


def test_a_folder_with_other_files_is_refused_and_not_changed(made, tmp_path):
    (tmp_path / "summary.json").write_text('{"made_by": "someone else", "notebooks": []}')
    with pytest.raises(RunError, match="contains other files than a report"):
        report("smoke", tmp_path, notebooks=made.notebooks)
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]


def test_notebooks_are_never_overwritten(made):
    with pytest.raises(RunError, match="is the folder of the notebooks"):
        report("smoke", made.notebooks, notebooks=made.notebooks, overwrite=True)


def test_invalid_arguments_are_explained(made, tmp_path):
    with pytest.raises(ConfigError, match="unknown parameter sede; parameters of the selected notebooks: seed"):
        report("smoke", tmp_path / "out", parameters={"sede": 1}, notebooks=made.notebooks)
    with pytest.raises(UnknownNameError, match="'smoke'"):
        report("smok", tmp_path / "out", notebooks=made.notebooks)
    with pytest.raises(UnknownNameError, match="00_good"):
        report("smoke", tmp_path / "out", only="99", notebooks=made.notebooks)
    with pytest.raises(FileError, match="no notebooks"):
        report("smoke", tmp_path / "out", notebooks=tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("stems", [["Index"], ["00_a", "00_A"], ["Glossary"]])
def test_two_pages_that_would_be_one_file_are_refused(tmp_path, stems):
    folder = tmp_path / "notebooks"
    for path in [*(folder / f"{stem}.ipynb" for stem in stems), tmp_path / "docs" / "glossary.md"]:
        path.parent.mkdir(exist_ok=True)
        path.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    with pytest.raises(FileError, match=rf"{stems[-1]}\.html .*would be one page of the report; rename a notebook"):
        report("smoke", tmp_path / "out", notebooks=folder)


def test_a_file_that_is_not_a_notebook_is_named(tmp_path):
    (tmp_path / "00_broken.ipynb").write_text("not JSON")
    with pytest.raises(FileError, match="00_broken"):
        report("smoke", tmp_path / "out", notebooks=tmp_path)


@pytest.mark.parametrize(
    ("shown", "error"),
    [
        (
            {MIMETYPE: [asdict(KeyFigure("accuracy", 1)) | {"value": "much"}]},
            "ConfigError: key figures.0.value must be a finite",
        ),
        ({MIMETYPE: 5}, "ConfigError: key figures must be a list, got 5"),
        ({"image/png": "bm8gcGljdHVyZQ=="}, "UnidentifiedImageError: "),
        ({"image/png": 5}, "TypeError: "),
    ],
)
def test_a_notebook_that_shows_nonsense_fails_alone(make_notebook, tmp_path, monkeypatch, shown, error):
    for name in ("00_nonsense", "01_good"):
        make_notebook(tmp_path / "notebooks" / f"{name}.ipynb", [])

    def run(_: object, job: dict) -> dict:
        notebook = json.loads(Path(job["notebook"]).read_text("utf-8"))
        output = {"output_type": "display_data", "metadata": {}, "data": shown if "nonsense" in job["notebook"] else {}}
        notebook["cells"][1]["outputs"] = [output]
        Path(job["executed"]).write_text(json.dumps(notebook))
        return {"seconds": 1.0, "peak_memory": None, "error": None}

    monkeypatch.setattr("randprune_lab.report.runner.Workers.run", run)
    nonsense, good = report("smoke", tmp_path / "out", notebooks=tmp_path / "notebooks").results
    assert (nonsense.status, good.status) == ("failed", "ok")
    assert str(nonsense.failure).startswith(f"cell 0: {error}")
    assert nonsense.failure.error in (tmp_path / "out" / nonsense.page).read_text("utf-8")


def test_a_hanging_cell_and_a_dying_kernel_are_failures(make_notebook, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules["randprune_lab.report.build"].PROFILES, "smoke", 3)
    make_notebook(tmp_path / "notebooks" / "00_hangs.ipynb", ["import time; time.sleep(60)"])
    make_notebook(tmp_path / "notebooks" / "01_dies.ipynb", ["1", "import os; os._exit(3)"])
    hangs, dies = report("smoke", tmp_path / "out", notebooks=tmp_path / "notebooks").results
    assert (hangs.failure.cell, hangs.failure.error) == (3, "CellTimeoutError")
    assert (dies.failure.cell, dies.failure.error) == (4, "DeadKernelError")
    assert "DeadKernelError" in (tmp_path / "out" / "01_dies.html").read_text("utf-8")


def test_a_notebook_that_ends_itself_before_its_last_cell_has_failed(make_notebook, tmp_path):
    make_notebook(tmp_path / "notebooks" / "00_half.ipynb", ["raise SystemExit", "1"])
    make_notebook(tmp_path / "notebooks" / "01_whole.ipynb", ["1", "raise SystemExit"])
    half, whole = report("smoke", tmp_path / "out", notebooks=tmp_path / "notebooks").results
    assert str(half.failure) == "cell 3: SystemExit: the cells below did not run" and half.status == "failed"
    assert whole.failure is None and whole.status == "ok"
    assert "the cells below did not run" in (tmp_path / "out" / half.page).read_text("utf-8")


def test_parameters_are_read_from_text():
    texts = ["seed=3", "rate=1e-3", "levels=[0.5, 0.9]", "task=SST-2", "flag=False", "note=a=b", "model=None"]
    assert parse_parameters(texts) == {
        "seed": 3,
        "rate": 1e-3,
        "levels": [0.5, 0.9],
        "task": "SST-2",
        "flag": False,
        "note": "a=b",
        "model": None,
    }
    with pytest.raises(ConfigError, match="name=value"):
        parse_parameters(["seed"])


def test_a_file_is_found_where_the_command_was_given(tmp_path, monkeypatch):
    """Notebooks run in folders of their own. A folder needs a slash: `folder=runs` is the lessons' own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "my.csv").write_text("")
    for text in ("my.csv", "./my.csv", "./runs", "runs/"):
        assert parse_parameters([f"a={text}"]) == {"a": str(tmp_path / text)}
    for text in ("runs", "other.csv", "x" * 5000):
        assert parse_parameters([f"a={text}"]) == {"a": text}


@pytest.mark.parametrize("text", ["{1, 2}", "b'x'", "1j", "...", "[{1}]", "{(1, 2): 3}"])
def test_a_value_that_a_notebook_cannot_get_is_refused(made, tmp_path, text):
    with pytest.raises(ConfigError, match=r"parameter seed must be a number, a text, a list or a mapping, got"):
        report("smoke", tmp_path / "out", parameters=parse_parameters([f"seed={text}"]), notebooks=made.notebooks)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["{[1]: 2}", "[" * 5000, "1" * 5000])
def test_what_is_no_literal_is_text(text):
    assert parse_parameters([f"seed={text}"]) == {"seed": text}
