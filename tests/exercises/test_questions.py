"""The question bank: every number in it is computed here or read from the record, and every export reads back."""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, t

from randprune_lab.analysis import contrast, data_folder, pool_records, recorded_controls, recorded_results
from randprune_lab.analysis.contrasts import ALL
from randprune_lab.cli import main
from randprune_lab.errors import FileError
from randprune_lab.exercises import read_questions, write_questions
from randprune_lab.exercises.check import read_choices
from randprune_lab.exercises.questions import Option, Question, gift, markdown, qti
from randprune_lab.stats import assess_choice, best_of, rank_correlation
from randprune_lab.stats.intervals import Interval

ROOT = Path(__file__).parents[2]
QUESTIONS = {question.name: question for question in read_questions()}


def said(name: str) -> str:
    """What a question asks, its right answer and the reason."""
    question = QUESTIONS[name]
    return f"{question.asks} {question.right.text} {question.right.shows}"


def classroom(lesson: str) -> dict[str, float]:
    found = json.loads((ROOT / "data" / "expected" / "classroom.json").read_text("utf-8"))["notebooks"][lesson]
    return {key: figure["value"] if isinstance(figure, dict) else figure for key, figure in found.items()}


# --- the bank ---


def test_there_are_forty_of_all_lessons_with_one_right_and_three_wrong_answers():
    assert len(QUESTIONS) == len(read_questions()) == 40
    lessons = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert {question.lesson for question in QUESTIONS.values()} == lessons
    for question in QUESTIONS.values():
        assert len({option.text for option in question.options}) == 4, question.name
        assert all(option.text and option.shows for option in question.options), question.name
        assert question.options.count(question.right) == 1


def test_the_right_answer_is_not_always_at_the_same_place_nor_the_longest():
    places = Counter(question.options.index(question.right) for question in QUESTIONS.values())
    assert set(places) == {0, 1, 2, 3} and max(places.values()) <= 20
    longest = [
        question
        for question in QUESTIONS.values()
        if question.right.text == max((o.text for o in question.options), key=len)
    ]
    assert len(longest) < 30


def test_questions_of_one_lesson_are_chosen_by_its_beginning():
    assert {question.lesson for question in read_questions("05")} == {"05_selection"}
    with pytest.raises(FileError, match=r"starts with '99'; there are 00_tour, .*08_your_own_model"):
        read_questions("99")


# --- what it says ---

FISHER = [math.tanh(math.atanh(0.4) + side * norm.ppf(0.975) * math.sqrt((1 + 0.4**2 / 2) / 13)) for side in (-1, 1)]

COMPUTED = {
    "tour-sparsity": [f"{100 * (24 - 3) / 24:g} %", "21 of 24"],
    "prune-largest": ["-5 and 4"],
    "prune-bitmap": [f"{800 // 8 + 400 * 4:,} bytes", "1,600 of weights", f"{400 * 8:,}", "as the dense file does"],
    "prune-inputs": [f"{0.5 * 0.01:g} to the output", f"adds {0.05 * 10:g}"],
    "sample-clocks": [f"{4}/{1 + 4}"],
    "sample-coins": [
        f"which is {math.sqrt(100 * 0.3 * 0.7):.1f}",
        f"About {100 * 0.3:.0f}",
        f"between {30 - 1.96 * math.sqrt(21):.0f} and {30 + 1.96 * math.sqrt(21):.0f}",
    ],
    "sample-undecided": [str(100 - 50 - 20)],
    "diversity-jaccard": [f"{0.9 / 1.1:.2f}", f"keeps {2 - 0.9:g} k"],
    "diversity-differ": [f"{2 * 0.9 * 0.1:.2f}"],
    "diversity-coverage": [f"{100 * (1 - 0.9**8):.0f} %", f"{100 * 0.9**8:.0f} %"],
    "early-interval": [f"{FISHER[0]:.2f} to {FISHER[1]:.2f}"],
    "early-reliability": [f"{math.sqrt(0.49):.1f}"],
    "selection-shrink": [f"{2 * 0.25 / 1.25:.1f} points", f"= {0.25 / 1.25:.1f}"],
    "selection-more": [f"{best_of(n, 1, 0)[1]:.2f}" for n in (8, 16)],
    "selection-halving": [str(8 * 10 + 4 * 10 + 2 * 20)],
    "levels-fraction": ["Two thirds", "Of 3 %", "2 % go"],
    "results-many": [f"5 % of 36 is {0.05 * 36:g}", "About two"],
    "results-three-seeds": [
        f"{t.ppf(0.975, 2):.2f} for three",
        f"{t.ppf(0.975, 3):.2f} for four",
        "4.3 standard errors",
    ],
    "own-embeddings": [f"{1 / (0.5 + 0.5 * 0.05):.1f}"],
    "own-rows": [f"± {100 * 1.96 * math.sqrt(0.8 * 0.2 / 60):.0f} points"],
}


@pytest.mark.parametrize("name", COMPUTED)
def test_a_number_that_can_be_computed_is_right(name):
    assert not [number for number in COMPUTED[name] if number not in said(name)]


def test_numbers_of_wrong_answers_are_what_their_mistakes_give():
    wrong = {name: [option.text for option in question.wrong] for name, question in QUESTIONS.items()}
    assert wrong["selection-halving"] == [str(8 * 40), str(8 * 10 + 4 * 20 + 2 * 40), str(10 + 20 + 40)]
    assert wrong["diversity-differ"] == [f"{0.9 * 0.1:.2f}", f"{0.1:.2f}", f"{0.9**2:.2f}"]
    assert wrong["diversity-coverage"] == [f"{8 * 10} %", f"{100 * 0.9**8:.0f} %", "10 %"]
    assert wrong["diversity-jaccard"] == ["0.90", f"{0.9**2:.2f}", f"{0.9 / 2:.2f}"]
    assert wrong["early-reliability"] == ["0.49", f"{0.49**2:.2f}", "1.0"]
    assert wrong["own-embeddings"][:2] == ["20", f"{(20 + 1) / 2:g}"]
    assert wrong["sample-undecided"] == ["50", "80", f"{30 * 0.2:g}"]
    assert [(1.96 * 0.4 / half) ** 2 for half in (0.01, 0.2)] == pytest.approx([6000, 15], rel=0.03)
    assert (1.96 * (1 - 0.4**2) * math.sqrt(1.06) / 0.05) ** 2 > 1000 and math.sqrt(0.16 / 60) == pytest.approx(
        0.05, rel=0.04
    )


def pool(kind: str, sparsity: float):
    [found] = [one for one in pool_records() if (one.candidates_from, one.sparsity) == (kind, sparsity)]
    return found


def interval(found: Interval, digits: int, scale: float = 1) -> str:
    return f"{found.estimate * scale:.{digits}f} [{found.low * scale:.{digits}f}, {found.high * scale:.{digits}f}]"


def test_what_is_asked_about_recorded_pools_is_in_them():
    voting, random = (pool(kind, 0.9375) for kind in ("voting", "random allocation"))
    found = rank_correlation(voting.early(2), voting.final)
    assert f"{found.estimate:.2f}, with an interval of [{found.low:.2f}, {found.high:.2f}]" in said("early-voting")
    assert interval(rank_correlation(random.early(2), random.final), 2) in said("early-allocation")
    ranges = [round(100 * np.ptp(one.final)) for one in (random, voting)]
    assert "range over {} points instead of {}".format(*ranges) in said("early-allocation")
    first = pool("random allocation", 0.54)
    choice = assess_choice(first.examples[:, -2:].mean(axis=1), resamples=500)
    assert f"a chance of {100 * choice.chance_of_best[choice.winner]:.0f} %" in said("selection-last")
    assert first.final.argmin() == choice.winner and "it was the last" in said("selection-last")


def test_what_is_asked_about_recorded_runs_is_in_them():
    key = classroom("06_iterative_pruning")
    steps = [100 * key[name] for name in ("search_score", "imp_score", "imp_equal_steps")]
    assert "the search has {:.1f} % after 1,440 steps of training, IMP {:.1f} % after 480, and IMP {:.1f} %".format(
        *steps
    ) in said("levels-steps")
    assert key["steps_of_search"] == 1440 and key["steps_of_imp"] == 480
    assert f"shows {100 * classroom('03_mask_diversity')['map_fraction']:.0f} % of" in said("diversity-map")
    controls = recorded_controls().set_index(["task", "seed"])
    sst = controls.loc["sst2", 0]
    shown = "has {:.1f} %, and a model without its encoder {:.1f} %".format(
        100 * sst.dense, 100 * sst["without-encoder"]
    )
    assert shown in said("results-included") and not sst.included
    ends = tuple(100 * sst[name] for name in ("encoder", "encoder_low", "encoder_high"))
    assert "{:.1f} points [{:.1f}, {:.1f}]".format(*ends) in said("results-included")
    table = recorded_results(data_folder() / "recorded" / "study")
    table = table[table.task.isin(recorded_controls().query("included").task)]
    behind = contrast(table, "search", "imp", 0.9375)[ALL]
    rate = contrast(table, "imp-short", "imp-short-4e-3", 0.9375)[ALL]
    selection = contrast(table, "search", "one-mask", 0.99)[ALL]
    assert f"behind by {-100 * behind.estimate:.1f} points" in said("results-rate")
    assert interval(rate, 1, 100).replace(" [", " points [") in said("results-rate")
    assert interval(selection, 1, 100).replace(" [", " points [").replace(", 2", ", +2") in said("results-selection")


def test_the_case_is_told_as_the_lessons_tell_it():
    lesson = json.loads((ROOT / "notebooks" / "07_results.ipynb").read_text("utf-8"))
    text = " ".join("".join(cell["source"]) for cell in lesson["cells"])
    for number in ("14.9 points [12.0, 18.0]", "-3.4"):
        assert number in text and number in said("results-seed")
    assert "[-5.5, -1.4]" in text and "[-5.5, -1.4]" in said("results-seed")
    mean = (14.9 - 3.4) / 2
    assert mean == pytest.approx(5.75)


# --- the exercises with choices say what the record says ---


def exercise(book: str, name: str) -> str:
    notebook = json.loads((ROOT / "notebooks" / "exercises" / f"{book}.ipynb").read_text("utf-8"))
    return next(
        "".join(c["source"]) for c in notebook["cells"] if c["metadata"]["nbgrader"]["grade_id"] == f"{name}-text"
    )


def test_tables_of_exercises_are_those_of_the_record():
    text = exercise("04_early_evaluation", "which_pool")
    pools = {
        "P": ("voting", 0.54),
        "Q": ("voting", 0.9375),
        "R": ("random allocation", 0.9375),
        "S": ("random allocation", 0.54),
    }
    for letter, (kind, sparsity) in pools.items():
        one = pool(kind, sparsity)
        found = rank_correlation(one.early(2), one.final)
        gain = 100 * (one.final.max() - one.final.mean())
        assert f"| {letter} | {100 * sparsity:g} % | {interval(found, 2)} | {gain:.1f} |" in text
    assert read_choices()["which_pool"]["most"]["right"] == 0.8
    key, text = classroom("06_iterative_pruning"), exercise("06_iterative_pruning", "what_won")
    rows = [("dense model |", "dense_score"), ("search | 1,440", "search_score"), ("IMP | 480", "imp_score")]
    for row, name in [*rows, ("IMP | 1,440", "imp_equal_steps")]:
        assert f"| {row} | {100 * key[name]:.1f} |" in text
    assert read_choices()["what_won"]["by_steps"]["right"] == pytest.approx(
        100 * (key["imp_equal_steps"] - key["imp_score"])
    )
    text = exercise("07_results", "tasks_that_count")
    controls = recorded_controls().query("seed == 0").set_index("task")
    for shown, task in {"STS-B": "stsb", "QQP": "qqp", "QNLI": "qnli", "SST-2": "sst2"}.items():
        row = 100 * controls.loc[task].drop(["metric", "included"]).astype(float)
        ends = f"{row.encoder:+.1f} [{row.encoder_low:.1f}, {row.encoder_high:.1f}]"
        numbers = f"{row.dense:.1f} | {row['without-encoder']:.1f} | {ends}"
        assert f"| {shown} | {numbers} |" in text
        assert (shown in read_choices()["tasks_that_count"]["included"]["right"]) == controls.included[task]


def test_the_table_of_sampling_ratios_is_what_the_package_computes():
    import torch

    import randprune_lab as rp

    text = exercise("03_mask_diversity", "choose_ratio")
    weights = torch.randn(192, 192, generator=torch.Generator().manual_seed(0))
    for ratio in (1e-4, 1e-3, 1e-2, 1e-1):
        sampler = rp.MaskSampler({"w": weights}, rp.Voting(ratio), sparsity=0.9375)
        curve = sampler.curves["w"]
        differ = 100 * sampler.expected_hamming().overall / (2 * sampler.kept)
        largest = np.sort(np.repeat(curve.inclusion, curve.histogram.counts))[-sampler.kept :]
        row = f"| {differ:.1f} | {100 * largest.mean():.1f} |"
        assert row in text, ratio
        if ratio == read_choices()["choose_ratio"]["ratio"]["right"]:
            assert sampler.kept == 2304 and differ / 100 * 2 * 2304 == pytest.approx(654, abs=3)


def test_the_curves_of_an_exercise_keep_equally_many():
    text = exercise("02_mask_sampling", "read_curve")
    rows = [
        [float(cell) for cell in line.strip("| ").split("|")] for line in text.splitlines() if re.match(r"\| \d", line)
    ]
    table = pd.DataFrame(rows, columns=["weights", "magnitude", "a", "b"])
    assert table.weights.sum() == 1000
    right = {part: about["right"] for part, about in read_choices()["read_curve"].items()}
    assert table.weights @ table.a == pytest.approx(right["kept"]) and table.weights @ table.b == pytest.approx(
        right["kept"]
    )
    assert table.weights[(table.a > 0) & (table.a < 1)].sum() == right["undecided"]
    expected = read_choices()["sure_winner"]["expected"]["right"]
    assert sum((45, 39, 14, 58, 87, 99)) / 100 == pytest.approx(expected)


# --- exports ---

SPECIAL = Question(
    "a:b",
    "00_tour",
    'Is {x} = 1 ~ #2 & <b>"bold"</b>: \\ ?',
    Option("yes: {1} = 1", "a ~ b"),
    (Option("<script>alert(1)</script>", "#no"), Option("a=b", "c}d")),
)
EVERY = [*QUESTIONS.values(), SPECIAL]


def parse_gift(text: str) -> list[tuple[str, str, str, dict[str, str], str]]:
    """Lesson, name, question, what each option shows, and the right option, of each question."""
    found, lesson = [], ""
    special = re.compile(r"\\(.)")
    hidden = special.sub(lambda match: chr(0xE000 + ord(match[1])), text)

    def plain(part: str) -> str:
        return re.sub("[\ue000-\ue0ff]", lambda match: chr(ord(match[0]) - 0xE000), part).strip()

    for block in re.split(r"\n\s*\n", hidden.strip()):
        if block.startswith("$CATEGORY: "):
            lesson = block.rpartition("/")[2]
            continue
        name, asks, body = re.fullmatch(r"::(.*?)::\[plain\](.*?)\{(.*)\}", block, re.DOTALL).groups()
        options = re.findall(r"([=~])([^=~#]*)#([^=~#]*)", body)
        (right,) = (plain(option) for sign, option, _ in options if sign == "=")
        found.append((lesson, plain(name), plain(asks), {plain(o): plain(shows) for _, o, shows in options}, right))
    return found


def parse_qti(content: bytes) -> list[tuple[str, str, dict[str, str], str]]:
    space = {"q": "http://www.imsglobal.org/xsd/ims_qtiasiv1p2"}
    archive = zipfile.ZipFile(io.BytesIO(content))
    manifest = ElementTree.fromstring(archive.read("imsmanifest.xml"))
    (resource,) = manifest.iter("{http://www.imsglobal.org/xsd/imscp_v1p1}resource")
    assert resource.get("type") == "imsqti_xmlv1p2"
    found = []
    for item in ElementTree.fromstring(archive.read(resource.get("href"))).iterfind(".//q:item", space):

        def text(path: str, item=item) -> str:
            return item.findtext(f"{path}//q:mattext", None, space)

        shows = {}
        for label in item.iterfind(".//q:response_label", space):
            ident = label.get("ident")
            (condition,) = (
                one
                for one in item.iterfind(".//q:respcondition[@continue='Yes']", space)
                if one.findtext(".//q:varequal", None, space) == ident
            )
            feedback = condition.find("q:displayfeedback", space).get("linkrefid")
            shows[text(f".//q:response_label[@ident='{ident}']")] = text(f"q:itemfeedback[@ident='{feedback}']")
        (won,) = item.iterfind(".//q:respcondition[@continue='No']", space)
        assert won.findtext("q:setvar", None, space) == "100"
        right = text(f".//q:response_label[@ident='{won.findtext('.//q:varequal', None, space)}']")
        found.append((item.get("ident"), text("q:presentation/q:material/.."), shows, right))
    return found


def test_gift_reads_back_to_the_same_questions():
    wanted = [
        (one.lesson, one.name, one.asks, {option.text: option.shows for option in one.options}, one.right.text)
        for one in EVERY
    ]
    assert parse_gift(gift(EVERY)) == wanted


def test_qti_reads_back_to_the_same_questions():
    wanted = [
        (one.name, one.asks, {option.text: option.shows for option in one.options}, one.right.text) for one in EVERY
    ]
    assert parse_qti(qti(EVERY)) == wanted


def test_markdown_has_the_answers_after_all_questions():
    sheet, answers = markdown(EVERY).split("# Answers")
    for number, question in enumerate(EVERY, start=1):
        assert f"**{number}.** {question.asks}" in sheet and question.right.shows not in sheet
        letter = "ABCD"[question.options.index(question.right)]
        assert f"**{number}: {letter}.** {question.right.shows}" in answers


@pytest.mark.parametrize("form", ["gift", "qti", "md"])
def test_equal_questions_make_equal_files(tmp_path, form, capsys):
    call = ["exercises", "questions", "--format", form, "--only", "05", "--out"]
    assert main([*call, str(tmp_path / "one")]) == 0 and "5 questions" in capsys.readouterr().out
    write_questions(tmp_path / "two", form, read_questions("05"))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
