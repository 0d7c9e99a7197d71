"""Every page of the smoke report and of the site, where they have been made, can be read by everybody, offline."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import watched
from reading import faults

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
MADE_BY = {"reports/smoke": "make report PROFILE=smoke", "build/docs/html": "make docs PROFILE=smoke"}


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("folder", MADE_BY)
def test_every_page_can_be_read_by_everybody(browser, folder, width):
    pages = [path for path in sorted((ROOT / folder).rglob("*.html")) if "_modules" not in path.parts]
    pages = [path for path in pages if 'http-equiv="refresh"' not in path.read_text("utf-8")]  # it only leads elsewhere
    if not pages:
        pytest.skip(f"{folder} has no pages; `{MADE_BY[folder]}` makes them")
    wrong = {}
    with watched(browser, width) as watch:
        watch.page.context.set_offline(True)
        for path in pages:
            watch.page.goto(path.as_uri())
            if found := [*faults(watch.page), *watch.errors, *watch.left]:
                wrong[str(path.relative_to(ROOT))] = found
            watch.errors.clear(), watch.left.clear()
    assert not wrong, f"if the pages are old: {MADE_BY[folder]}"
