"""The site, as Sphinx makes it from the whole repository: `make docs`. No page of it needs a network."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from randprune_lab import __version__  # noqa: E402

project = "randprune_lab"
author = "The randprune_lab developers"
release = version = __version__
language = "en"

# What the pages are made of stands where readers of the repository look for it; the first page is docs/index.md.
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "binder/README.md",
    "data/README.md",
    "docs/**.md",
    "notebooks/*.ipynb",
    "notebooks/exercises/README.md",
]

extensions = [
    "accessible",
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "command_line",
    "mathml",
    "docstrings",
    "executed_notebooks",
    "source_links",
]

# --- pages and notebooks ---

myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 4  # as on GitHub
myst_update_mathjax = False
nb_execution_mode = "off"  # results are those of a report: `make report`
nb_merge_streams = True
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # they would come from a content delivery network
html_math_renderer = "mathml"

# --- reference ---

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autosummary_generate = False
napoleon_numpy_docstring = False
napoleon_preprocess_types = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
default_role = "py:obj"  # `MaskSet` in a docstring is a link to it, `sparsity` just code
add_module_names = False

# --- looks ---

html_theme = "furo"
html_title = "randprune_lab"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_extra_path = ["root"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_show_search_summary = False  # a browser does not let a page read other files
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
