"""The page of a class: one file without requests, whose words and numbers are those of what was gathered."""

from __future__ import annotations

import io
import re

import pandas as pd
import pytest
from PIL import Image
from support.made_up import share

from randprune_lab.analysis.gathered import Gathered, gather
from randprune_lab.classroom import watch, write_gathered
from randprune_lab.classroom.page import caption, forest, page, verdict
from randprune_lab.errors import ConfigError, FileError
from randprune_lab.stats import mean_interval


def gathered(*estimates: float, **changes: object) -> Gathered:
    shares = {f"{seed}.json": share(seed, each, **changes) for seed, each in enumerate(estimates)}
    return Gathered(shares, [], "imp-long", 0.99)


def test_thirty_rows_and_the_mean_are_drawn_where_the_numbers_are():
    estimates = [-0.3 + 0.01 * seed for seed in range(30)]
    figure = forest(gathered(*estimates))
    rows, mean = figure.estimates
    assert [one.estimate for one in rows.intervals] == estimates
    assert [*mean.intervals] == [mean_interval(estimates)] and "interval over seeds" in mean.label
    low, high = figure.axes[0].get_xlim()
    assert all(low < 100 * end < high for one in rows.intervals for end in (one.low, one.high)) and low < 0 < high


@pytest.mark.parametrize(
    ("estimates", "message"),
    [
        ((-0.2, -0.21, -0.22), "3 seeds at 99 %: search is behind IMP with equal steps: -21.0 [-23.5, -18.5] points"),
        ((0.2, 0.21, 0.22), "3 seeds at 99 %: search is ahead of IMP with equal steps: +21.0 [+18.5, +23.5] points"),
        ((-0.1, 0.1), "2 seeds at 99 %: no clear difference. search minus IMP with equal steps: "),
        ((-0.2,), "1 seed at 99 %: search minus IMP with equal steps: -20.0 points; more seeds give an interval"),
    ],
    ids=["behind", "ahead", "unclear", "one"],
)
def test_the_verdict_is_no_larger_than_the_interval_over_seeds(estimates, message):
    assert verdict(gathered(*estimates)).startswith(message)


def test_the_caption_says_which_kind_each_interval_is_and_who_had_how_many_steps():
    said = caption(gathered(-0.2, -0.1))
    assert "interval is over test examples, paired" in said and "interval is over seeds (Student's t)" in said
    assert "The same training for both: 600 steps" in said
    unequal = Gathered(gathered(-0.2).shares, [], "imp", 0.99)
    assert "Not the same training: 600 steps and 200" in caption(unequal)
    assert "IMP with 33 % of its steps" in verdict(unequal)


def test_a_page_asks_for_nothing_and_shows_names_as_text():
    found = gathered(-0.2, -0.1, guess="<b>ahead</b>")
    found = Gathered(found.shares, ["<script>.json: damaged"], found.other, found.sparsity)
    html = page(found)
    assert "<script>" not in html and "&lt;script&gt;.json: damaged" in html and "&lt;b&gt;ahead&lt;/b&gt;: 2" in html
    assert not re.search(r'(?:src|href)="(?!data:image/)', html) and 'http-equiv="refresh"' not in html
    assert 'http-equiv="refresh"' in page(found, watched=True)
    assert verdict(found).replace("'", "&#x27;") in " ".join(html.split())


def test_a_table_has_every_level_and_a_picture_is_one(tmp_path):
    found = gathered(-0.2, -0.1)
    write_gathered(found, tmp_path / "class.csv")
    table = pd.read_csv(tmp_path / "class.csv")
    assert len(table) == 2 * 3 * 2
    row = table[(table.seed == 1) & (table.method == "imp") & (table.sparsity == 0.9)].iloc[0]
    assert row.search_minus_this == -0.1 and row.steps == 100
    write_gathered(found, tmp_path / "class.png")
    with Image.open(io.BytesIO((tmp_path / "class.png").read_bytes())) as image:
        assert image.width > 600
    with pytest.raises(ConfigError, match=r"--out must be a file that ends in .html, .png, .csv, got 'class.pdf'"):
        write_gathered(found, tmp_path / "class.pdf")


def test_guesses_that_differ_in_capitals_and_spaces_are_counted_together():
    guesses = ["IMP ahead", "search ahead", "Search ahead", "search  ahead ", "search ahead"]
    shares = {f"{seed}.json": share(seed, guess=guess) for seed, guess in enumerate(guesses)}
    said = page(Gathered(shares, [], "imp-long", 0.99))
    assert "<ul><li>search ahead: 4</li><li>IMP ahead: 1</li></ul>" in said


def test_a_guess_in_a_table_is_no_formula_of_a_spreadsheet(tmp_path):
    write_gathered(gathered(-0.2, guess='=HYPERLINK("http://x.example")'), tmp_path / "class.csv")
    assert set(pd.read_csv(tmp_path / "class.csv").guess) == {'\'=HYPERLINK("http://x.example")'}


def test_a_folder_is_drawn_again_when_a_file_comes_and_not_otherwise(tmp_path, monkeypatch):
    out, drawn, told = tmp_path / "class.html", [], []

    def redraw() -> None:
        drawn.append(len(gather(tmp_path).shares))
        out.write_text(str(drawn), "utf-8")  # is no change

    steps = iter([None, share(1), None, share(2), None])

    def pause(seconds: float) -> None:
        new = next(steps, "end")
        if new == "end":
            raise KeyboardInterrupt
        if new is not None:
            new.save(tmp_path / f"{new.seed}.json")

    monkeypatch.setattr("randprune_lab.classroom.watching.sleep", pause)
    with pytest.raises(KeyboardInterrupt):
        watch(tmp_path, redraw, told.append, without=out)
    assert drawn == [1, 2]
    (waits,) = told
    assert isinstance(waits, FileError) and "has no shared file" in str(waits)


def test_files_without_the_method_that_is_asked_for_do_not_end_the_watch(tmp_path, monkeypatch):
    share(1).save(tmp_path / "1.json")
    looks, told = iter([lambda: share(2).save(tmp_path / "2.json")]), []

    def pause(seconds: float) -> None:
        next(looks, pytest.fail)()

    def redraw() -> None:
        if told:
            raise KeyboardInterrupt
        gather(tmp_path, other="ours")

    monkeypatch.setattr("randprune_lab.classroom.watching.sleep", pause)
    with pytest.raises(KeyboardInterrupt):
        watch(tmp_path, redraw, told.append, without=tmp_path / "class.html")
    assert "'ours'" in str(told[0])
