"""Titles, parameters and thumbnails are read from notebooks."""

from __future__ import annotations

import base64
import io

import pytest
from nbformat import v4
from PIL import Image

from randprune_lab.errors import ConfigError
from randprune_lab.report import notebook as read


def png(color: str, size: tuple[int, int] = (8, 8)) -> dict[str, str]:
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, "PNG")
    return {"image/png": base64.b64encode(file.getvalue()).decode()}


def figure(data: dict[str, str], *tags: str):
    return v4.new_code_cell("1", outputs=[v4.new_output("display_data", data)], metadata={"tags": list(tags)})


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
    with Image.open(io.BytesIO(read.thumbnail(notebook))) as image:
        assert image.getpixel((0, 0))[:3] == color


def test_thumbnail_is_small_and_may_be_missing():
    notebook = v4.new_notebook(cells=[figure(png("red", (3000, 2000)))])
    with Image.open(io.BytesIO(read.thumbnail(notebook))) as image:
        assert image.size == (720, 480)
    assert read.thumbnail(v4.new_notebook()) is None
