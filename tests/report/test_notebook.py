"""Titles, parameters and thumbnails are read from notebooks."""

from __future__ import annotations

import base64
import io
import json
import os

import pytest
from nbformat import v4
from PIL import Image

from randprune_lab.errors import ConfigError, FileError
from randprune_lab.notebook_file import read_notebook
from randprune_lab.report import notebook as read
from randprune_lab.report.key_figures import MIMETYPE


def png(color: str, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> dict[str, str]:
    file = io.BytesIO()
    Image.new(mode, size, color).save(file, "PNG")
    return {"image/png": base64.b64encode(file.getvalue()).decode()}


def figure(data: dict[str, str], *tags: str):
    return v4.new_code_cell("1", outputs=[v4.new_output("display_data", data)], metadata={"tags": list(tags)})


CELL = {"cell_type": "code", "id": "a", "execution_count": None, "metadata": {}, "source": "", "outputs": []}
NOTEBOOK = {"cells": [CELL], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def of_cell(**changed: object) -> dict[str, object]:
    return NOTEBOOK | {"cells": [CELL | changed]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        *((content, "the content must be a mapping") for content in (None, [], 42, "x")),
        *((content, "the content lacks 'nbformat'") for content in ({}, {"cells": [], "metadata": {}})),
        (NOTEBOOK | {"nbformat": 5}, "version"),
        *((NOTEBOOK | {"nbformat": number}, "nbformat must be a whole number") for number in ("4", None)),
        (NOTEBOOK | {"nbformat": 3}, "worksheets"),
        (NOTEBOOK | {"nbformat_minor": "x"}, ""),
        *((NOTEBOOK | {"cells": cells}, "") for cells in (None, 5, [None])),
        ({name: value for name, value in NOTEBOOK.items() if name != "cells"}, "cells"),
        *((NOTEBOOK | {"metadata": metadata}, "") for metadata in (None, [])),
        *((of_cell(source=source), "") for source in (7, None, [1])),
        *((of_cell(metadata={"tags": tags}), r"cells\.0\.metadata\.tags") for tags in (None, 5, "parameters", [1])),
        (of_cell(metadata=None), ""),
        *((of_cell(outputs=outputs), "") for outputs in (None, "x", [{}])),
        *((of_cell(cell_type=kind), "") for kind in (7, "poem")),
        (of_cell(source="half \ud83d"), "surrogates"),
        ({**NOTEBOOK, "cells": [{"cell_type": "code"}]}, ""),
    ],
)
def test_what_is_no_notebook_is_refused_in_one_line(tmp_path, content, reason):
    path = tmp_path / "00_x.ipynb"
    path.write_text(json.dumps(content))
    with pytest.raises(FileError, match=rf"00_x\.ipynb is no valid notebook \(.*{reason}.*\); save it") as error:
        read_notebook(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 5000, b"<<<<<<< HEAD\n{}"])
def test_bytes_that_are_no_json_are_refused(tmp_path, content):
    (tmp_path / "00_x.ipynb").write_bytes(content)
    with pytest.raises(FileError, match=r"00_x\.ipynb is no valid notebook \(.+\); save it again"):
        read_notebook(tmp_path / "00_x.ipynb")


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "queue.ipynb")
    for path in (tmp_path, tmp_path / "queue.ipynb", tmp_path / "missing.ipynb"):
        with pytest.raises(FileError, match="cannot read notebook"):
            read_notebook(path)


def test_older_notebooks_and_further_fields_are_read(tmp_path):
    old = {"cells": [{"cell_type": "markdown", "metadata": {}, "source": ["# A\n", "b"]}], "metadata": {}, "more": 1}
    (tmp_path / "x.ipynb").write_text(json.dumps(old | {"nbformat": 4, "nbformat_minor": 2}))
    (cell,) = read_notebook(tmp_path / "x.ipynb").cells
    assert cell.source == "# A\nb"


FIGURE = {"name": "accuracy", "value": 0.5, "tolerance": 0.0, "better": "neither", "label": "", "unit": ""}


@pytest.mark.parametrize(
    "recorded",
    [
        *({**FIGURE, "value": value} for value in ("0.5", None, True, [1.0], float("nan"), 10**400)),
        *({name: value for name, value in FIGURE.items() if name != lost} for lost in FIGURE),
        {**FIGURE, "size": "s"},
        *({**FIGURE, "name": name} for name in (None, 5, ["a"])),
        *({**FIGURE, "tolerance": tolerance} for tolerance in ("0.1", None)),
        {**FIGURE, "better": "more"},
        *(5, None, "text", ["name"]),
    ],
)
def test_what_is_no_key_figure_is_refused(recorded):
    notebook = v4.new_notebook(cells=[figure({MIMETYPE: [FIGURE, recorded]})])
    with pytest.raises(ConfigError, match=r"key figures\.1"):
        read.key_figures(notebook)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("text first\n\n# The *tour* of `masks`", "The tour of masks"),
        ("## [Linked](x.md) heading ##", "Linked heading"),
        ("# snake_case stays", "snake_case stays"),
        ("#no heading", "the default"),
    ],
)
def test_title_is_the_first_heading(text, title):
    notebook = v4.new_notebook(cells=[v4.new_code_cell("# a comment"), v4.new_markdown_cell(text)])
    assert read.title(notebook, "the default") == title


def test_parameters_are_the_names_assigned_in_the_tagged_cell():
    source = 'profile = "smoke"\nseed: int = 0  # why\na = b = 1\nif a:\n    inner = 2'
    tagged = v4.new_code_cell(source, metadata={"tags": ["parameters"]})
    notebook = v4.new_notebook(cells=[v4.new_code_cell("other = 1"), tagged])
    assert read.parameter_names(notebook) == {"profile", "seed", "a", "b"}
    assert read.parameter_names(v4.new_notebook()) == set()
    tagged.source = "profile ="
    with pytest.raises(ConfigError, match="plain assignments"):
        read.parameter_names(notebook)


@pytest.mark.parametrize(("tag", "color"), [("thumbnail", (0, 0, 255)), ("other", (255, 0, 0))])
def test_thumbnail_is_the_tagged_figure_or_else_the_first(tag, color):
    notebook = v4.new_notebook(cells=[figure(png("red")), figure(png("blue"), tag), figure(png("lime"))])
    with Image.open(io.BytesIO(read.thumbnail(notebook).png)) as image:
        assert image.convert("RGB").getpixel((0, 0)) == color


def test_what_is_transparent_in_a_figure_is_white_in_its_thumbnail():
    notebook = v4.new_notebook(cells=[figure(png("#00000000", mode="RGBA"))])
    with Image.open(io.BytesIO(read.thumbnail(notebook).png)) as image:
        assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


def test_thumbnail_is_small_and_may_be_missing():
    notebook = v4.new_notebook(cells=[figure(png("red", (3000, 2000)))])
    with Image.open(io.BytesIO(read.thumbnail(notebook).png)) as image:
        assert image.size == (720, 480)
    assert read.thumbnail(v4.new_notebook()) is None


def timed(cell, start: str, end: str):
    cell.metadata.papermill = {"start_time": f"2026-01-01T00:00:{start}", "end_time": f"2026-01-01T00:00:{end}"}
    return cell


def test_the_times_of_figures_count_from_the_first_cell_until_their_cells_have_ended():
    cells = [
        v4.new_markdown_cell("# Title"),
        timed(v4.new_code_cell("import x\n\nimport y", metadata={"tags": ["plumbing", "imports"]}), "10", "12"),
        timed(v4.new_code_cell("a = 1\n\nb = 2"), "12", "13"),
        timed(figure(png("red")), "13", "15.5"),
        timed(figure(png("red")), "16", "20"),
        timed(figure({"text/html": "a table"}), "20", "30"),
    ]
    assert read.figure_times(v4.new_notebook(cells=cells)) == (5.5, 10.0)
    assert read.code_before_the_first_figure(v4.new_notebook(cells=cells)) == 3
    assert read.figure_times(v4.new_notebook(cells=cells[:3])) is None
    assert read.figure_times(v4.new_notebook(cells=[figure(png("red"))])) is None, "not run by papermill"
