"""What a page must have for every reader: nothing is lost on a small screen, and axe-core finds no serious fault."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

# What is wider than its box must be in one that scrolls and shows by a shadow that it does, or else it is lost.
LOST = """() => {
  const isLost = one => {
    for (let box = one; box && box !== document.body; box = box.parentElement) {
      const {overflowX, backgroundAttachment} = getComputedStyle(box);
      if (overflowX === "visible" || box.scrollWidth <= box.clientWidth + 1) continue;
      if (overflowX !== "auto" || !backgroundAttachment.includes("local")) return true;
    }
    return one.getBoundingClientRect().right > innerWidth + 1 && !one.closest(".scroll");
  };
  const seen = [...document.querySelectorAll("img, table, pre, math")].filter(one => one.checkVisibility());
  return seen.filter(isLost).map(one => one.outerHTML.slice(0, 200));
}"""
UNFOLD = "() => document.querySelectorAll('details').forEach(one => { one.open = true; })"


def faults(page: Page) -> list[str]:
    """What is lost on this page at its width, also where it is folded, and what axe-core calls serious or critical."""
    page.evaluate(UNFOLD)
    found = [f"lost: {one}" for one in page.evaluate(LOST)]
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        found.append("the page scrolls sideways")
    # Without `preload`, axe-core does not ask for style sheets, which a page on a disk may not. Only faults are listed.
    for one in Axe().run(page, options={"preload": False, "resultTypes": ["violations"]}).response["violations"]:
        if one["impact"] in ("serious", "critical"):
            found += [f"{one['id']}: {node['html'][:200]}" for node in one["nodes"]]
    return found
