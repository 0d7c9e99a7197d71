"""`randprune forget`: what it prints, writes and refuses, on the record that ships and on a study that has just run."""

from __future__ import annotations

import re
import shutil
from html import unescape

import pandas as pd
import pytest

from randprune_lab.analysis import data_folder, task_records
from randprune_lab.analysis.forgetting import losses, lost_consistently
from randprune_lab.cli import main
from randprune_lab.errors import ConfigError, DataError, FileError, RunError
from randprune_lab.forget import Forgotten
from randprune_lab.forget.page import page, with_texts
from randprune_lab.forget.study import _with_data
from randprune_lab.search import RunConfig
from randprune_lab.study import Grid, StudyConfig, record_study, run_study
from randprune_lab.tasks.mini_glue import MiniGlue, generate, phenomena_of

RECORDED = data_folder() / "recorded"
METHODS = ("magnitude-layerwise-top-4e-3", "magnitude-global-random-4e-3")
SETTINGS = {
    "model": "tiny",
    "train_size": 96,
    "validation_size": 40,
    "test_size": 60,
    "levels": [0.5, 0.97],
    "candidates": 1,
    "dense_epochs": 2,
    "dense_learning_rate": 1e-3,
    "epochs": 1,
}


@pytest.fixture(scope="module")
def found() -> Forgotten:
    return Forgotten.find(RECORDED / "referee", methods=METHODS)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A small study of two tasks, of which one has scores, with two seeds."""
    config = StudyConfig(
        tasks=("mini-cola", "mini-stsb"),
        seeds=(0, 1),
        methods={"imp": {"rule": "magnitude"}, "one-mask": {}},
        baseline="imp",
        settings=SETTINGS,
    )
    folder = tmp_path_factory.mktemp("forget") / "study"
    assert not run_study(config, folder)
    return folder


def test_tables_are_those_of_the_record(found):
    records = task_records(RECORDED / "referee")
    pd.testing.assert_frame_equal(found.losses, losses(records, METHODS))
    pd.testing.assert_frame_equal(found.consistently, lost_consistently(records, METHODS))
    assert set(found.phenomena.task) == set(found.texts) == {"mini-sst2", "mini-mnli"}


def test_the_page_has_every_part_and_nothing_from_elsewhere(found):
    html = page(found)
    assert len(re.findall('<img class="figure" src="data:image/svg', html)) == 2
    assert not re.search(r"<script|(src|href)=\"(?!data:)", html)
    again = found.consistently[found.consistently.consistently]
    for task, rows in again.groupby("task"):
        assert f"{task}: {len(rows)} of {(found.consistently.task == task).sum()} tested examples are found" in html
        row = rows.iloc[0]
        assert " | ".join(found.texts[task].texts[row.example]) in unescape(html)


def test_texts_and_label_names_belong_to_the_examples(found):
    table = with_texts(found)
    rows = generate(MiniGlue("mini-sst2")).test
    for row in table[table.task == "mini-sst2"].head(20).itertuples():
        assert (row.text, row.label) == (rows[row.example].texts[0], ("negative", "positive")[rows[row.example].label])


def test_a_study_and_its_record_give_the_same_page(study, tmp_path, capsys):
    record_study(Grid.load(study), tmp_path / "study")
    pages = []
    for folder, out in ((study, "a.html"), (tmp_path / "study", "b.html")):
        assert main(["forget", str(folder), "--out", str(tmp_path / out)]) == 0
        pages.append((tmp_path / out).read_text("utf-8"))
        table = pd.read_csv(tmp_path / out.replace("html", "csv"))
        assert set(table.task) == {"mini-cola"} and {"from_imp", "from_one-mask", "text"} <= set(table)
    assert pages[0] == pages[1]
    said = capsys.readouterr().out
    assert "wrong at 97 % (%)" in said and "mini-stsb: a score is not right or wrong" in said and "a.csv" in said


def test_one_seed_has_a_page_without_repetitions(study, tmp_path):
    one = Forgotten.find(study)
    shutil.copytree(study, tmp_path / "one")
    for other in (tmp_path / "one" / "runs").glob("*-seed-1"):
        shutil.rmtree(other)
    alone = Forgotten.find(tmp_path / "one")
    assert one.consistently is not None and alone.consistently is None
    assert "two seeds or more" in page(alone) and "Consistently lost" not in page(alone)
    assert main(["forget", str(tmp_path / "one"), "--out", str(tmp_path / "one.html")]) == 0
    assert not (tmp_path / "one.csv").exists()


def test_a_single_model_has_a_page_without_comparisons(study, tmp_path, capsys):
    shutil.copytree(study, tmp_path / "one")
    for other in [*(tmp_path / "one" / "runs").glob("*-seed-1"), *(tmp_path / "one" / "runs").glob("*/one-mask")]:
        shutil.rmtree(other, ignore_errors=True)
    assert main(["forget", str(tmp_path / "one"), "--out", str(tmp_path / "one.html")]) == 0
    assert "only with two methods or two seeds of a task" in capsys.readouterr().out
    html = (tmp_path / "one.html").read_text("utf-8")
    assert "How much becomes wrong" in html and "get the same wrong?" not in html and "nan" not in html


def test_phenomena_are_those_that_the_generator_drew():
    for task in ("mini-cola", "mini-mnli"):
        settings = MiniGlue(task, test=40)
        assert phenomena_of(settings) == phenomena_of(MiniGlue(task))[:40] and len(generate(settings).test) == 40


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([str(RECORDED), "--out", "a.html"], "has no study"),
        ([str(RECORDED / "referee"), "--out", "a.txt"], r"must be a file that ends in \.html"),
        ([str(RECORDED / "referee"), "--out", "a.html", "--methods", "imps"], "imps"),
        ([str(RECORDED / "referee"), "--out", "a.html", "--rate", "0"], "--rate"),
        ([str(RECORDED / "referee"), "--out", "a.html", "--rate", "nan"], "--rate"),
        ([str(RECORDED / "study"), "--out", "a.html", "--glue-dir", "nowhere"], "nowhere"),
    ],
)
def test_wrong_use_ends_in_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["forget", *arguments]) == 2
    said = capsys.readouterr().err
    assert re.search(message, said) and len(said.splitlines()) == 1 and not [*tmp_path.iterdir()]


def test_labels_have_names_also_where_the_texts_are_not_at_hand():
    found = Forgotten.find(RECORDED / "gain", methods=["imp"])
    assert not any(known.texts for known in found.texts.values())
    assert [line for line in found.left_out if line.startswith("no texts of QNLI, MRPC, MNLI: ")]
    assert {"entailment", "not_entailment"} == set(found.texts["qnli"].labels)
    assert "not_entailment" in page(found) and "<td>1</td>" not in page(found)


@pytest.mark.parametrize("error", [FileError, ConfigError], ids=["missing", "too few rows"])
def test_texts_that_cannot_be_read_are_left_out_and_a_method_counts_once(monkeypatch, error):
    def gone(*_):
        raise error("cannot read GLUE/train.tsv")

    monkeypatch.setattr("randprune_lab.forget.study._texts", gone)
    found = Forgotten.find(RECORDED / "referee", methods=(METHODS[0], *METHODS))
    assert found.methods == METHODS and not any(known.texts for known in found.texts.values())
    assert any(line.startswith("no texts of ") for line in found.left_out)
    with pytest.raises(error, match="cannot read"):
        Forgotten.find(RECORDED / "referee", methods=METHODS, glue_dir="GLUE")


def test_a_file_with_the_name_of_recorded_data_is_not_taken_for_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reviews.csv").write_text("text,label\nfine,1\n")
    columns = {"text_columns": ("text",), "label_column": "label"}
    assert _with_data(RunConfig(task="reviews", data="reviews.csv", **columns), None) is None
    own = RunConfig(task="reviews", data=str(tmp_path / "reviews.csv"), **columns)
    assert _with_data(own, None) == own


def test_a_method_that_is_not_finished_everywhere_is_named(study, tmp_path, capsys):
    shutil.copytree(study, tmp_path / "some")
    shutil.rmtree(tmp_path / "some" / "runs" / "mini-cola-seed-1" / "one-mask")
    missing = "one-mask: not finished for mini-cola seed 1"
    found = Forgotten.find(tmp_path / "some")
    assert found.methods == ("imp",) and missing in found.left_out
    assert missing not in Forgotten.find(tmp_path / "some", methods=["imp"]).left_out
    with pytest.raises(RunError, match=f"{missing}; leave it out of --methods, or go on"):
        Forgotten.find(tmp_path / "some", methods=["imp", "one-mask"])


def test_a_study_of_scores_alone_has_nothing_right_or_wrong(study, tmp_path):
    shutil.copytree(study, tmp_path / "scores")
    for other in (tmp_path / "scores" / "runs").glob("mini-cola-*"):
        shutil.rmtree(other)
    with pytest.raises(DataError, match="scores has only tasks with scores, which are not right or wrong; give"):
        Forgotten.find(tmp_path / "scores")


@pytest.mark.parametrize("name", ["results", "controls", "comparisons", "primary"])
def test_no_table_of_a_study_is_replaced(study, name, capsys, tmp_path):
    shutil.copy(study / "study.json", tmp_path)
    (tmp_path / f"{name}.csv").write_text("mine")
    assert main(["forget", str(study), "--out", str(tmp_path / f"{name}.html")]) == 2
    assert f"would replace {name}.csv of the study there; choose another name" in capsys.readouterr().err
    assert (tmp_path / f"{name}.csv").read_text() == "mine"


def test_a_study_without_a_finished_method_is_named(study, tmp_path):
    shutil.copytree(study, tmp_path / "begun")
    for method in ("imp", "one-mask"):
        for folder in (tmp_path / "begun" / "runs").glob(f"*/{method}"):
            shutil.rmtree(folder)
    with pytest.raises(RunError, match=r"no method in .*begun is finished yet; go on with randprune study --resume"):
        Forgotten.find(tmp_path / "begun")
