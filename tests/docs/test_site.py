"""What the site relies on, as far as it can be checked without building it (`make docs` builds it)."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest
from support.pages import PAGES, ROOT, name, table_rows, text

import randprune_lab as rp

REFERENCE = ROOT / "docs" / "reference"
DOCUMENTED = set(re.findall(r"automodule:: (\S+)", "".join(text(page) for page in REFERENCE.glob("*.md"))))
PACKAGES = (
    "masks",
    "criteria",
    "stats",
    "tasks",
    "models",
    "probe",
    "training",
    "interop",
    "callbacks",
    "sparse",
    "search",
    "analysis",
    "viz",
    "viz.figures",
    "study",
    "export",
    "report",
    "predictions",
    "exercises",
    "classroom",
    "bench",
)
OFFERED = [
    *[("randprune_lab", name) for name in rp.__all__],
    *[(f"randprune_lab.{package}", name) for package in PACKAGES
      for name in getattr(importlib.import_module(f"randprune_lab.{package}"), "__all__", ())],
]  # fmt: skip


@pytest.fixture
def check(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs" / "site")
    yield importlib.import_module("check")
    sys.modules.pop("check")


def test_every_name_of_the_package_is_in_the_reference():
    listed = set(re.findall(r"~(\S+)", text(REFERENCE / "index.md")))
    offered = {getattr(rp, name) for name in rp.__all__}
    assert listed == {f"{one.__module__}.{one.__qualname__}" for one in offered}


@pytest.mark.parametrize(("package", "public"), OFFERED)
def test_what_packages_offer_is_documented(package, public):
    one = getattr(importlib.import_module(package), public)
    module = getattr(one, "__module__", None)
    assert module is None or not module.startswith("randprune_lab") or module in DOCUMENTED


def test_every_page_of_the_reference_is_in_its_table_of_contents():
    listed = set(text(REFERENCE / "index.md").rpartition("```{toctree}")[2].split())
    assert {page.stem for page in REFERENCE.glob("*.md")} - {"index"} <= listed


def test_the_glossary_is_in_alphabetical_order():
    terms = [term.lower() for term, _ in table_rows(ROOT / "docs" / "glossary.md", ["term", "meaning"])]
    assert len(terms) > 30 and terms == sorted(terms)


def test_documented_modules_exist():
    assert all(importlib.import_module(module).__doc__ for module in DOCUMENTED)


def test_every_page_and_lesson_is_in_the_table_of_contents():
    inside = set(re.findall(r"^(?:.* <)?([\w./-]+)>?$", text(ROOT / "docs" / "index.md"), re.MULTILINE))
    lessons = {f"../notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    pages = {Path(name(page)) for page in PAGES} - {Path("docs/index.md")}
    docs = {str(page.relative_to("docs").with_suffix("")) for page in pages if page.parent == Path("docs")}
    assert lessons | docs <= inside


def test_the_check_notices_broken_links_and_requests(check, tmp_path):
    (tmp_path / "style.css").write_text("@import 'https://a.org/x.css'; a { background: url(data:x) }")
    (tmp_path / "good.html").write_text('<h1 id="here"></h1><a href="https://a.org">a</a><img src="good.html">')
    (tmp_path / "bad.html").write_text(
        '<a href="good.html#here"></a><a href="good.html#gone"></a><a href="gone.html"></a><a href="../x.html"></a>'
        '<script src="https://a.org/x.js"></script><link href="//a.org/x"><style>a { b: url(http://a.org/f) }</style>'
    )
    assert set(check.faults(tmp_path)) == {
        "bad.html: leads to good.html#gone, but there is no such anchor",
        "bad.html: leads to gone.html, which is not there",
        "bad.html: leads to ../x.html, which is not there",
        "bad.html: fetches https://a.org/x.js",
        "bad.html: fetches //a.org/x",
        "bad.html: fetches http://a.org/f",
        "style.css: fetches https://a.org/x.css",
    }
