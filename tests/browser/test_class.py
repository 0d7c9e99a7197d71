"""The page of a class in a browser: it fits every screen, asks for nothing, and while it is watched it loads itself."""

from __future__ import annotations

import pytest
from conftest import watched
from reading import faults
from support.made_up import share

from randprune_lab.analysis.gathered import gather
from randprune_lab.classroom import write_gathered

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_the_page_of_a_class_fits_the_screen(browser, tmp_path, width, scheme):
    for seed in range(30):
        share(seed, -0.2 + 0.002 * seed, guess="search ahead").save(tmp_path / f"{seed}.json")
    (tmp_path / f"{'long' * 30}.json").write_text("{", "utf-8")
    write_gathered(gather(tmp_path), tmp_path / "class.html")
    with watched(browser, width) as watch:
        watch.page.emulate_media(color_scheme=scheme)
        watch.page.context.set_offline(True)
        watch.page.goto((tmp_path / "class.html").as_uri())
        box = watch.page.locator("img").bounding_box()
        assert 250 < box["width"] <= width and box["height"] > box["width"]
        assert not faults(watch.page)
        assert watch.page.locator("tbody tr").count() == 30
        assert not watch.errors
        assert not watch.left


def test_a_watched_page_shows_what_comes_in(browser, tmp_path):
    out = tmp_path / "class.html"
    share(1).save(tmp_path / "1.json")
    write_gathered(gather(tmp_path), out, watched=True)
    with watched(browser) as watch:
        watch.page.goto(out.as_uri())
        assert watch.page.locator("tbody tr").count() == 1
        share(2).save(tmp_path / "2.json")
        write_gathered(gather(tmp_path), out, watched=True)
        watch.page.wait_for_function("() => document.querySelectorAll('tbody tr').length === 2")
        assert not watch.errors
