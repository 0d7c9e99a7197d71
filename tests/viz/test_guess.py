"""The form of a prediction: what the next cell reads, what is kept, and what a page shows without a kernel."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest

from randprune_lab.errors import ConfigError
from randprune_lab.predictions import FILE, RECORD, read_predictions
from randprune_lab.report.passive import passive
from randprune_lab.viz.guess import Guess
from randprune_lab.viz.live_guess import LiveGuess
from randprune_lab.viz.page_parts import HEADLESS
from randprune_lab.viz.style import new_figure
from randprune_lab.viz.widgets import predict, score

VIEW = "application/vnd.jupyter.widget-view+json"
OPTIONS = {"near <1>": 1.0, "near 2": 2.0, "near 4": 4.0}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """The folder of the notebook."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(HEADLESS, raising=False)
    return tmp_path


def ask(**settings) -> Guess:
    return predict("How much & why?", OPTIONS, lesson="01", misconceptions={"near 4": "Doubles it twice."}, **settings)


def live(guess: Guess) -> LiveGuess:
    """The widget of a guess that a notebook has displayed."""
    data, _ = guess._repr_mimebundle_()
    assert VIEW in data and data["text/plain"].startswith("Predict: How much & why? near <1> / near 2 / near 4")
    return guess._live


def test_the_next_cell_reads_the_choice_and_the_file_keeps_it(folder):
    guess = ask()
    form = live(guess)
    assert (guess.answer, guess.value, guess.sure) == (None, None, None) and not (folder / FILE).exists()
    form.chosen = [-1, 3]  # how sure one is may come first
    assert guess.answer is None and form.chosen == [-1, 3]
    form.chosen = [1, 3]
    assert (guess.answer, guess.value, guess.sure) == ("near 2", 2.0, 0.7)
    assert form.note == "Kept. Run the next cell."
    assert read_predictions(folder / FILE) == [guess.prediction]
    assert form.record["answer"] == "near 2" and form.page.count(" checked") == 2


def test_the_truth_must_be_an_option_and_nothing_blocks_without_an_answer(folder, monkeypatch):
    monkeypatch.setenv(HEADLESS, "all")
    guess = ask()
    data = guess._repr_mimebundle_()
    assert VIEW not in data and RECORD not in data and 'data-predict="' in data["text/html"]
    with pytest.raises(ConfigError, match="the truth must be one of 'near <1>', 'near 2', 'near 4', got 'near 3'"):
        guess.reveal("near 3")
    assert "You made no prediction before" in repr(guess.reveal(guess.nearest(3.2)))
    assert guess.answer is None and not (folder / FILE).exists()
    assert "no prediction was made" in repr(score("01"))


def test_a_run_without_a_reader_can_be_given_an_answer(monkeypatch):
    monkeypatch.setenv(HEADLESS, "all")
    guess = ask(answer="near 4", sure=0.9)
    assert guess._repr_mimebundle_()[RECORD]["answer"] == "near 4"
    assert ask(answer="near 2").answer == "near 4", "what was answered before is kept"
    with pytest.raises(ConfigError, match="the answer must be one of"):
        predict("Else?", ["a", "b"], answer="c")


def test_the_true_answer_is_shown_beside_the_readers_with_the_misconception():
    guess = ask(answer="near 4", sure=0.9)
    assert repr(guess.reveal("near 2")) == (
        "Answer: near 2. You predicted: near 4 (90 % sure). Not so. Doubles it twice."
    )
    shown = guess.reveal("near <1>")._repr_html_()
    assert "<b>Answer: near &lt;1&gt;.</b>" in shown and passive(shown) == shown
    (data,) = re.findall(r'data-truth="([^"]*)"', shown)
    known = {"lesson": "01", "question": "How much & why?", "truth": "near <1>"}
    assert json.loads(html.unescape(data)) == known | {"misconceptions": {"near 4": "Doubles it twice."}}


def test_an_answer_that_is_changed_after_the_truth_jumps_back_and_is_marked(folder):
    guess = ask()
    form = live(guess)
    form.chosen = [2, 5]
    guess.reveal("near 2")
    form.chosen = [1, 5]
    assert form.chosen == [2, 5] and form.note == "Changed after the answer was shown: 'near 4' counts."
    assert read_predictions(folder / FILE)[0].changed
    assert "1 changed after the answer was shown" in repr(score("01"))


def test_an_answer_that_was_first_given_after_the_truth_is_marked():
    guess = ask()
    form = live(guess)
    guess.reveal("near 2")
    form.chosen = [1, 5]
    assert guess.answer == "near 2" and "does not count" in form.note
    assert "1 made after the answer was shown: not counted" in repr(score("01"))


def test_when_the_notebook_runs_again_the_earlier_answer_is_there_and_its_truth_is_known():
    guess = ask()
    live(guess).chosen = [0, 0]
    guess.reveal("near 2")
    again = ask()
    form = live(again)
    assert again.answer == "near <1>" and form.chosen == [0, 0]
    form.chosen = [1, 0]
    assert again.prediction.changed
    assert predict("How much & why?", ["near 2", "near 9"], lesson="01").answer is None, "other options"


def test_a_damaged_file_is_a_line_below_the_form_and_the_next_cell_still_reads_the_choice(folder):
    (folder / FILE).write_text("{", "utf-8")
    guess = ask()
    form = live(guess)
    form.chosen = [1, 1]
    assert guess.answer == "near 2" and (folder / FILE).read_text("utf-8") == "{"
    for said in (form.note, repr(score("01"))):
        assert FILE in said and "remove or rename it" in said and "\n" not in said
    (folder / FILE).unlink()
    form.chosen = [0, 1]
    assert form.note == "Kept. Run the next cell."


def test_in_a_read_only_folder_the_score_does_not_say_that_nothing_was_predicted(folder, monkeypatch):
    monkeypatch.setattr("os.access", lambda place, mode: Path(place) != folder)  # root may write anywhere
    [line] = score("01").lines
    assert (
        line == f"There is no score: {folder} is read-only, so no prediction is kept; work in a copy of the notebooks"
    )


def test_the_scores_are_of_the_lesson_and_of_all_lessons():
    ask(answer="near 2", sure=1.0).reveal("near 2")
    predict("Else?", ["a", "b"], lesson="02", answer="a", sure=1.0).reveal("b")
    first, second = score("01").lines
    assert first.startswith("This lesson: right in 1 of 1. Mean Brier score 0.00")
    assert second.startswith("All lessons so far: right in 1 of 2. Mean Brier score 1.00")
    assert passive(score("01")._repr_html_()) == score("01")._repr_html_()


def test_a_page_keeps_the_form_with_a_name_for_every_group():
    markup = ask().page()
    body = markup[markup.index("<div") : markup.index("<script>")]
    clean = passive(body)
    assert clean.count('type="radio"') == 3 + 7 and clean.count("<legend") == 2
    assert len(set(re.findall(r' name="([^"]*)"', clean))) == 2
    (data,) = re.findall(r'data-predict="([^"]*)"', clean)
    assert json.loads(html.unescape(data))["options"] == list(OPTIONS)
    assert "near &lt;1&gt;" in clean and "33 %, a guess" in clean and "100 %, certain" in clean


def test_a_guess_is_marked_in_a_figure_where_it_is_a_number():
    figure, axis = new_figure()
    before = len(axis.lines)
    assert ask().mark(figure) is figure and len(axis.lines) == before
    ask(answer="near 2").mark(figure)
    assert axis.lines[-1].get_xdata() == [2, 2] and axis.texts[-1].get_text() == "your guess"
    ask().mark(figure, horizontal=True)
    assert axis.lines[-1].get_ydata() == [2, 2]
    predict("Else?", ["a", "b"], answer="a").mark(figure)
    assert len(axis.lines) == before + 2


@pytest.mark.parametrize("options", ["ab", 3, ["a", "a"], ["a"]], ids=["text", "number", "twice", "one"])
def test_options_are_at_least_two_different_texts(options):
    with pytest.raises(ConfigError):
        predict("Which?", options)
