"""Laws of predictions: what counts, what is kept in the file, and how answers are scored."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from randprune_lab.errors import ConfigError, FileError
from randprune_lab.predictions import (
    Prediction,
    brier_score,
    certainties,
    keep_prediction,
    predictions_of,
    read_predictions,
    score_predictions,
)
from randprune_lab.predictions.kept import KIND, LARGEST, MOST, write_predictions

ASKED = Prediction("01", "Which?", ("a", "b", "c"), {"b": "confuses two things"})


# --- what counts ---


def test_an_answer_before_the_truth_counts_and_can_be_changed_until_then():
    one = ASKED.answered("a", 0.6).answered("b", 0.8)
    assert (one.answer, one.sure, one.counts, one.changed) == ("b", 0.8, False, False)
    assert one.revealed("b").counts


@pytest.mark.parametrize(("answer", "sure"), [("c", 0.8), ("b", 0.9), ("b", None)])
def test_an_answer_that_is_changed_after_the_truth_is_marked_for_good_and_the_first_counts(answer, sure):
    one = ASKED.answered("b", 0.8).revealed("c").answered(answer, sure)
    assert (one.answer, one.sure, one.changed, one.counts) == ("b", 0.8, True, True)
    assert one.answered("b", 0.8).changed
    assert not ASKED.answered("b", 0.8).revealed("c").answered("b", 0.8).changed


def test_a_first_answer_after_the_truth_is_late_and_does_not_count():
    one = ASKED.revealed("a").answered("a", 1.0)
    assert one.late and not one.counts and not one.changed
    assert one.answered("b").answer == "b"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: ASKED.answered("d"), "the answer must be one of 'a', 'b', 'c', got 'd'"),
        (lambda: ASKED.answered("a").revealed("a").answered("d"), "the answer must be one of"),
        (lambda: ASKED.revealed("d"), "the truth must be one of 'a', 'b', 'c', got 'd'"),
        (lambda: ASKED.answered("a", 0.2), "sure must be in"),
        (lambda: ASKED.answered("a", 1.1), "sure must be in"),
        (lambda: Prediction("01", "Which?", ("a",)), "at least two different options"),
        (lambda: Prediction("01", "Which?", ("a", "a")), "at least two different options"),
        (lambda: Prediction("01", "Which?", ("a", "b"), {"c": "why"}), "a misconception must be one of"),
    ],
    ids=["answer", "changed", "truth", "below chance", "above certain", "one option", "twice", "misconception"],
)
def test_what_is_none_of_the_options_is_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        change()


@given(st.integers(2, 30))
def test_certainty_goes_from_chance_to_certain_in_steps(options):
    levels = certainties(options)
    assert levels[0] == 1 / options and levels[-1] == 1 and list(levels) == sorted(set(levels))
    for level in levels:
        Prediction("", "Which?", tuple(map(str, range(options)))).answered("0", level)


# --- the score ---


@pytest.mark.parametrize(
    ("options", "sure", "right", "score"),
    [(2, 1.0, True, 0), (5, 1.0, False, 2), (2, 0.5, True, 0.5), (2, 0.8, False, 1.28), (3, 0.6, True, 0.24)],
)
def test_the_brier_score_of_known_answers(options, sure, right, score):
    assert brier_score(options, sure, right) == pytest.approx(score)


@given(st.integers(2, 9), st.booleans())
def test_a_guess_scores_alike_whether_right_or_wrong(options, right):
    assert brier_score(options, 1 / options, right) == pytest.approx(1 - 1 / options)


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=6), st.data())
def test_nobody_scores_better_than_by_saying_what_they_believe(weights, data):
    belief = [one / sum(weights) for one in weights]

    def expected(option: int, sure: float) -> float:
        right, wrong = (brier_score(len(belief), sure, hit) for hit in (True, False))
        return belief[option] * right + (1 - belief[option]) * wrong

    best = max(range(len(belief)), key=belief.__getitem__)
    other = data.draw(st.integers(0, len(belief) - 1))
    sure = data.draw(st.floats(1 / len(belief), 1))
    assert expected(best, belief[best]) <= expected(other, sure) + 1e-9


def answers(*given: tuple[str, float | None, str]) -> list[Prediction]:
    return [ASKED.answered(answer, sure).revealed(truth) for answer, sure, truth in given]


def test_the_score_of_several_answers_is_a_mean_and_leaves_out_what_does_not_count():
    late, open_ = ASKED.revealed("a").answered("a", 1.0), ASKED.answered("a", 0.9)
    made = answers(("a", 1.0, "a"), ("b", 1.0, "a"), ("b", None, "b"))
    changed = made[0].answered("c", 0.5)
    score = score_predictions([late, open_, changed, *made[1:]])
    assert (score.counted, score.right, score.rated, score.hits) == (3, 2, 2, 1)
    assert score.brier == 1 and score.guessing == pytest.approx(2 / 3) and score.sure == 1
    assert (score.late, score.changed) == (1, 1)
    said = " ".join(score.sentences)
    assert "Right in 2 of 3." in said and "Mean Brier score 1.00" in said and "a guess each time gets 0.67" in said
    assert "1 changed after the answer was shown" in said and "1 made after the answer was shown: not counted" in said


@pytest.mark.parametrize(
    ("right", "sure", "said"),
    [
        (2, 0.9, "On average 90 % sure and right in 20 %: you are too sure."),
        (10, 0.5, "you are right more often than you think"),
        (7, 0.7, "your certainty fits, as far as 10 answers can show"),
        (10, 1.0, "your certainty fits"),
        (9, 1.0, "you are too sure"),
    ],
)
def test_calibration_is_said_in_words(right, sure, said):
    made = answers(*[("a", sure, "a")] * right, *[("b", sure, "a")] * (10 - right))
    assert said in " ".join(score_predictions(made).sentences)


def test_of_few_answers_nothing_is_said_about_calibration():
    said = " ".join(score_predictions(answers(*[("b", 1.0, "a")] * 4)).sentences)
    assert "5 answers or more would show whether your certainty fits" in said


def test_without_answers_there_is_no_score():
    score = score_predictions([])
    assert math.isnan(score.brier) and score.sentences == ["No prediction was made before its answer was shown."]


# --- the file ---


def test_what_is_kept_is_read_again_and_a_new_answer_replaces_the_old_one(tmp_path):
    path = tmp_path / "predictions.json"
    other = Prediction("02", "Which?", ("x", "y")).answered("y")
    for one in (ASKED.answered("a"), other, ASKED.answered("b", 1 / 3).revealed("c")):
        keep_prediction(path, one)
    assert read_predictions(path) == [ASKED.answered("b", 1 / 3).revealed("c"), other]
    assert [one.name for one in tmp_path.iterdir()] == ["predictions.json"]


def about(**changes: object) -> str:
    record = {
        "lesson": "01",
        "question": "Which?",
        "options": ["a", "b"],
        "misconceptions": {},
        "answer": "a",
        "sure": 0.5,
        "truth": None,
        "late": False,
        "changed": False,
    } | changes
    return json.dumps({"kind": KIND, "format": 1, "predictions": [record]})


BROKEN = {
    "empty": "",
    "half": about()[:100],
    "list": "[]",
    "no predictions": json.dumps({"kind": KIND, "format": 1}),
    "another kind": '{"kind": "randprune run", "format": 1}',
    "no kind": "{}",
    "another format": about().replace('"format": 1', '"format": 2'),
    "unknown name": about(points=3),
    "a number as answer": about(answer=1),
    "an answer that is no option": about(answer="z"),
    "a truth that is no option": about(truth="z"),
    "a text as certainty": about(sure="0.5"),
    "certainty above 1": about(sure=2),
    "NaN": about(sure=math.nan),
    "one option": about(options=["a"]),
    "options as text": about(options="ab"),
    "deep": "[" * 100_000,
    "NUL": "\0" * 10,
    "large": " " * (LARGEST + 1),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_damaged_file_is_one_line_that_says_what_to_do_and_is_not_overwritten(tmp_path, content):
    path = tmp_path / "predictions.json"
    path.write_text(content, "utf-8")
    for action in (lambda: read_predictions(path), lambda: keep_prediction(path, ASKED.answered("a"))):
        with pytest.raises(FileError, match=r"remove or rename it, and a new one is written") as error:
            action()
        assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert path.read_text("utf-8") == content


def test_a_file_with_too_many_predictions_is_refused():
    record = json.loads(about())["predictions"][0]
    assert len(predictions_of([record | {"question": str(n)} for n in range(MOST)])) == MOST
    with pytest.raises(ConfigError, match="at most"):
        predictions_of([record] * (MOST + 1))


def test_a_full_file_takes_no_other_question_and_can_still_be_read(tmp_path):
    path, many = tmp_path / "predictions.json", [Prediction("01", f"Which {n}?", ("a", "b")) for n in range(MOST + 1)]
    write_predictions(path, many[:MOST])
    keep_prediction(path, many[7])
    with pytest.raises(ConfigError, match="at most 200 predictions, got 201"):
        keep_prediction(path, many[MOST])
    assert read_predictions(path) == many[:MOST]
