"""A page shows formulas, tables and figures without scripts and without the network."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import nbformat
import pytest
from matplotlib.figure import Figure
from support.hostile_html import HOSTILE, SVG

from randprune_lab.report.around import Around, Link
from randprune_lab.report.index import write_index
from randprune_lab.report.key_figures import KeyFigure
from randprune_lab.report.page import WIDGET_STATE, WIDGET_VIEW, render_page
from randprune_lab.report.passive import ADDRESSES, ATTRIBUTES, POLICY, TAGS, passive, policy_with
from randprune_lab.report.plumbing import fold
from randprune_lab.report.results import CellFailure, NotebookResult, ReportSummary, format_duration
from randprune_lab.viz.page_parts import SCRIPT
from randprune_lab.viz.style import new_figure
from randprune_lab.viz.widgets import choice, explore

RESULT = NotebookResult("00_tour", "The <tour>", "ok", seconds=125)


class Tags(HTMLParser):
    """The tags of a page, each with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attributes}))


def page_of(*cells: nbformat.NotebookNode, **metadata: object) -> str:
    return render_page(nbformat.v4.new_notebook(cells=list(cells), metadata=metadata), RESULT)


def markdown(text: str) -> str:
    return page_of(nbformat.v4.new_markdown_cell(text))


def code_with(*outputs: nbformat.NotebookNode) -> nbformat.NotebookNode:
    return nbformat.v4.new_code_cell("1", execution_count=1, outputs=list(outputs))


@pytest.mark.parametrize(
    "formula",
    [r"$\pi_i$", r"$$\sum_i \pi_i = k$$", "\\begin{align*}\na &= b \\\\ c &= d\n\\end{align*}"],
)
def test_formulas_become_mathml(formula):
    page = markdown(f"So {formula} holds")
    assert "<math" in page
    assert formula not in page


def test_aligned_equations_become_rows():
    assert markdown(r"$$\begin{aligned} a &= b \\ c &= d \end{aligned}$$").count("<mtr>") == 2


def test_remote_pictures_become_their_text():
    page = markdown("[![Open in Binder](https://example.org/badge.svg)](https://example.org/open)")
    assert '<a href="https://example.org/open">Open in Binder</a>' in page
    assert "<img" not in page


def test_links_to_notebooks_lead_to_their_pages():
    page = markdown("[next](01_pruning.ipynb#why) [elsewhere](https://example.org/a.ipynb)")
    assert 'href="01_pruning.html#why"' in page
    assert 'href="https://example.org/a.ipynb"' in page


@pytest.mark.parametrize(
    "url", ["../docs/glossary.md", "../docs/glossary.md#imp", "exercises/01_pruning.ipynb", "/README.md", "data.csv"]
)
def test_links_to_files_that_are_not_in_the_report_become_their_text(url):
    page = markdown(f"see the [**glossary**]({url})")
    assert "see the <strong>glossary</strong>" in page and url not in page


@pytest.mark.parametrize("url", ["#why", "https://example.org/docs/a.md", "mailto:a@example.org", "index.html"])
def test_other_links_stay(url):
    assert f'href="{url}"' in markdown(f"[here]({url})")


def test_progress_bars_are_removed_and_other_widgets_leave_a_note():
    def view(model: str) -> nbformat.NotebookNode:
        return nbformat.v4.new_output("display_data", {WIDGET_VIEW: {"model_id": model}, "text/plain": model})

    models = {
        "bar": {"model_name": "HBoxModel", "state": {"children": ["IPY_MODEL_inner"]}},
        "inner": {"model_name": "FloatProgressModel", "state": {}},
        "slider": {"model_name": "IntSliderModel", "state": {}},
    }
    page = page_of(code_with(view("bar"), view("slider")), widgets={WIDGET_STATE: {"state": models}})
    assert page.count('class="widget-note"') == 1
    assert "<pre>bar" not in page
    assert "FloatProgressModel" not in page


def test_a_text_progress_bar_is_reduced_to_its_last_state():
    bar = nbformat.v4.new_output("stream", name="stderr", text="\r 10%\r 50%")
    rest = nbformat.v4.new_output("stream", name="stderr", text="\r100%\n")
    page = page_of(code_with(bar, rest))
    assert "100%" in page
    assert " 50%" not in page


def test_figures_have_an_alternative_text():
    figure = nbformat.v4.new_output("display_data", {"image/png": "aGVsbG8="})
    assert 'alt="Figure of cell 1"' in page_of(code_with(figure))
    data, metadata = new_figure()[0]._repr_mimebundle_()
    assert data["image/png"].startswith(b"\x89PNG") and metadata == {"image/png": {"alt": ""}}
    for said, shown in [
        ("Falling: <score> against steps", "Falling: &lt;score&gt; against steps"),
        ("", "Figure of cell 1"),
    ]:
        figure.metadata = {"image/png": {"alt": said, "width": 3}}
        page = page_of(code_with(figure))
        assert f'alt="{shown}"' in page and "width=" not in page[page.index("<main>") :]


# --- plumbing is folded ---


def plumbing(source: str, *kinds: str, outputs: tuple = ()) -> nbformat.NotebookNode:
    return nbformat.v4.new_code_cell(source, metadata={"tags": ["plumbing", *kinds]}, outputs=list(outputs))


def test_neighbouring_plumbing_is_one_line_above_what_the_last_cell_shows():
    shown = nbformat.v4.new_output("stream", text="hello")
    cells = [
        plumbing("seed = 0", "parameters"),
        plumbing("import torch\n\nimport math", "imports"),
        plumbing("explore(seed)", "explorer", outputs=(shown,)),
        plumbing("other = 1"),
        nbformat.v4.new_code_cell("seen_at_once"),
    ]
    folded = fold(nbformat.v4.new_notebook(cells=cells)).cells
    assert [cell.metadata.get("folded") for cell in folded] == [
        "Code: parameters, imports, this explorer (4 lines)",
        "Code: set-up (1 line)",
        None,
    ]
    assert folded[0].source == "seed = 0\n\nimport torch\n\nimport math\n\nexplore(seed)" and folded[0].outputs == [
        shown
    ]
    page = page_of(*cells)
    details = [attributes for tag, attributes in Tags(page).found if tag == "details"]
    assert details == [{"class": "plumbing"}] * 2, "closed"
    assert page.index("</details>") < page.index("hello")
    assert page.rindex("</details>") < page.index("seen_at_once")


def test_a_cell_that_failed_is_not_folded():
    failed = nbformat.v4.new_output("error", ename="E", evalue="e", traceback=["e"])
    assert "<details" not in page_of(plumbing("1 / 0", outputs=(failed,)))


@pytest.mark.parametrize("profile", ["smoke", "classroom"])
def test_a_page_says_if_its_trainings_are_too_short_for_its_text(profile):
    result = replace(RESULT, parameters={"profile": profile})
    assert ("too short to learn" in render_page(nbformat.v4.new_notebook(), result)) == (profile == "smoke")


def test_parameters_of_a_run_are_in_the_bar_and_not_repeated_as_a_cell():
    cells = [
        nbformat.v4.new_code_cell("seed = 0", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("# Parameters\nseed = 7", metadata={"tags": ["injected-parameters"]}),
    ]
    page = render_page(nbformat.v4.new_notebook(cells=cells), replace(RESULT, parameters={"seed": "<7>"}))
    assert "# Parameters" not in page and "seed = '&lt;7&gt;'" in page


# --- ways from a page ---

CONTENTS = r'<nav aria-label="Contents".*?</nav>|<nav class="contents".*?</nav>'


def test_contents_are_the_sections_in_their_order_below_the_opening():
    page = page_of(
        nbformat.v4.new_markdown_cell("# Title\n\nOpening"),
        nbformat.v4.new_markdown_cell("## 1. *Why* `x < 1` & $y$\n\n### Not this"),
        nbformat.v4.new_markdown_cell("## 2. <b>onerror=alert(1)</b>"),
    )
    (place,) = re.findall(CONTENTS, page)
    links = re.findall(r'<a href="#([^"]*)">(.*?)</a>', place)
    assert [text for _, text in links] == ["1. Why x &lt; 1 &amp; y", "2. onerror=alert(1)"]
    assert all(f'id="{anchor}"' in page for anchor, _ in links)
    assert page.index("Opening") < page.index(place) < page.index('id="1.')
    assert not re.findall(CONTENTS, markdown("# Title\n\nNo sections"))


def links_of(page: str, tag: str = "a") -> list[tuple[str, str]]:
    return [(one.get("rel", ""), one["href"]) for name, one in Tags(page).found if name == tag]


def test_a_page_leads_to_the_pages_beside_it_by_their_titles():
    around = Around(Link("00_a.html", "What <is> it?"), Link("02_c.html", "And then?"))
    page = render_page(nbformat.v4.new_notebook(), RESULT, around)
    for link, title in ((("prev", "00_a.html"), "What &lt;is&gt; it?"), (("next", "02_c.html"), "And then?")):
        assert links_of(page).count(link) == 2, "above and below"
        assert f"</small>{title}</a>" in page
    assert not [rel for rel, _ in links_of(render_page(nbformat.v4.new_notebook(), RESULT)) if rel]


def test_tables_and_formulas_scroll_by_themselves_and_with_the_keyboard():
    shown = page_of(code_with(nbformat.v4.new_output("display_data", {"text/html": "<table><tr><td>1"})))
    for page, tag, name in (
        (markdown("| a | b |\n|---|---|\n| 1 | 2 |"), "table", "Table"),
        (shown, "table", "Table"),
        (markdown("So $$\\sum_i \\pi_i = k$$ holds"), "math", "Formula"),
    ):
        tags = Tags(page).found
        box = {"class": "scroll", "tabindex": "0", "role": "group", "aria-label": name}
        assert ("div", box) == tags[[found for found, _ in tags].index(tag) - 1]


# --- what a notebook shows cannot act ---


def outputs_of(html: str) -> list[nbformat.NotebookNode]:
    shown = [nbformat.v4.new_output("display_data", {kind: html}) for kind in KINDS]
    printed = nbformat.v4.new_output("stream", text=html)
    return [*shown, printed, nbformat.v4.new_output("error", ename=html, evalue=html, traceback=[html])]


PLAIN = NotebookResult("x", "x", "failed", failure=CellFailure(1, "x", "x"), key_figures={"x": KeyFigure("x", 1.0)})
KINDS = ("text/html", "text/markdown", "text/latex", "text/plain")
FRAME = {"html", "head", "meta", "title", "style", "body", "main", "nav"}


@pytest.mark.parametrize("html", HOSTILE)
def test_only_passive_html_is_on_a_page(html):
    cells = [nbformat.v4.new_markdown_cell(f"{html}\n\nin a line: {html}"), code_with(*outputs_of(html))]
    cells.append(nbformat.v4.new_raw_cell(html, metadata={"raw_mimetype": "text/html"}))
    page = page_of(*cells, nbformat.v4.new_markdown_cell("# The next cell"))
    own = f"</main><script>{SCRIPT}</script></body></html>"
    assert "".join(page.split()).endswith("".join(own.split())), "the only script is that of the explorers"
    tags = Tags(page[page.index("<main>") : page.rindex("</main>")]).found
    for tag, attributes in tags:
        assert tag in TAGS | FRAME and attributes.keys() <= ATTRIBUTES | {
            "href",
            "src",
            "download",
            "type",
            "name",
            "tabindex",
        }
        assert all(ADDRESSES[tag, name].fullmatch(attributes[name]) for name in {"href", "src"} & attributes.keys())
    headings = [attributes["id"] for tag, attributes in tags if tag == "h1"]
    assert headings == ["the-next-cell"], "what follows is not swallowed"


def test_scripts_and_style_sheets_are_not_shown_as_text():
    assert passive("a<style>p { color: red }</style><SCRIPT>1 < 2</SCRIPT >b") == "ab"


def test_the_policy_of_a_page_allows_pictures_in_it_and_the_script_of_explorers_alone():
    (policy,) = (attributes for tag, attributes in Tags(markdown("# Hello")).found if "http-equiv" in attributes)
    assert policy == {"http-equiv": "Content-Security-Policy", "content": policy_with(SCRIPT)}
    assert re.fullmatch(re.escape(POLICY) + r"; script-src 'sha256-[\w+/]{43}='", policy["content"])
    assert "script-src" not in POLICY and POLICY.startswith("default-src 'none'; img-src data:;")


def test_an_explorer_is_on_a_page_as_it_is_in_the_notebook_but_for_style_and_script():
    explorer = explore(
        "Which <b>one</b>?",
        lambda **values: Figure(),
        power=choice("power", {"1 %": 1, "2 %": 2, "5 %": 5}, 2),
        rule=choice("rule", ["a", "b"], "b"),
        family=choice("family", list("abcde"), "c"),
    )
    html = explorer.page()
    page = page_of(code_with(nbformat.v4.new_output("display_data", {"text/html": html})))
    shown = Tags(html[html.index("</style>") : html.index("<script>")]).found
    assert len(shown) > 20
    tags = Tags(page).found
    (first,) = (place for place, (_, attributes) in enumerate(tags) if attributes.get("class") == "rp-explorer")
    assert tags[first : first + len(shown)] == shown


@pytest.mark.parametrize("html", HOSTILE)
def test_names_on_the_index_are_text(tmp_path, html):
    failure, figures = CellFailure(1, html, html), {html: KeyFigure(html, 1.0)}
    result = NotebookResult(html, html, "failed", failure=failure, key_figures=figures)
    report = ReportSummary(tmp_path, html, {html: html}, (result,))
    write_index(report)
    tags = Tags(report.index.read_text("utf-8")).found
    assert ("meta", {"http-equiv": "Content-Security-Policy", "content": POLICY}) in tags
    write_index(replace(report, profile="x", parameters={"x": "x"}, results=(PLAIN,)))
    assert [tag for tag, _ in Tags(report.index.read_text("utf-8")).found] == [tag for tag, _ in tags]


def test_a_drawing_is_a_picture_which_runs_nothing():
    page = page_of(code_with(nbformat.v4.new_output("display_data", {"image/svg+xml": SVG})))
    assert 'src="data:image/svg+xml;base64,' in page and "<svg" not in page


def test_names_that_a_notebook_gives_are_text():
    mark = '"><b>bold</b>'
    picture = nbformat.v4.new_output("display_data", {"image/png": mark}, metadata={"image/png": {"width": "1 id=x"}})
    cell = code_with(picture)
    cell.metadata |= {"tags": [mark], "alt": mark}
    page = page_of(cell, title=mark)
    assert "<b>" not in page
    assert [sorted(attributes) for tag, attributes in Tags(page).found if tag == "img"] == [["alt", "src"]]


@pytest.mark.parametrize(
    "html",
    [
        '<table id="t"><tbody><tr><th style="text-align: left;">a</th><td colspan="2">1</td></tr></tbody></table>',
        '<details open=""><summary>Hint</summary><p>b <a href="01_b.html#why">c</a> <kbd>d</kbd></p></details>',
        '<img alt="a" src="data:image/png;base64,aGVsbG8="/>',
        '<math display="block"><mfrac><mi>a</mi><mn>2</mn></mfrac><mo stretchy="false">)</mo></math>',
    ],
)
def test_text_tables_pictures_and_formulas_stay(html):
    assert Tags(passive(html)).found == Tags(html).found


def test_title_is_escaped_and_the_index_one_click_away():
    page = markdown("# Hello")
    assert "<title>The &lt;tour&gt;</title>" in page
    assert 'href="index.html"' in page


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (125, "2 min 5 s"), (11520, "3 h 12 min")]
)
def test_durations_are_readable(seconds, text):
    assert format_duration(seconds) == text
