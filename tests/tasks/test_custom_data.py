"""Custom data are read unchanged from any format, or refused with the place and the remedy."""

from __future__ import annotations

import csv
import json
import os
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from randprune_lab.errors import ConfigError, DataError
from randprune_lab.tasks import CustomData, load_splits
from randprune_lab.tasks.corpus import Row
from randprune_lab.tasks.custom_data import MAX_CLASSES, read_custom_data
from randprune_lab.tasks.custom_labels import LARGEST

TEXTS = [f'a "{word}" text, number {i}\twith\nspace' for i, word in enumerate(["good", "bad", "so so"] * 20)]
NAMES = ["pos", "neg", "neutral"] * 20
COLUMNS = {"id": list(range(60)), "review": TEXTS, "mood": NAMES}
SETTINGS = {"text_columns": ("review",), "label_column": "mood"}


def write(path: Path, columns: dict[str, list[Any]]) -> Path:
    """Write the columns in the format of the path's suffix; without a suffix, as `datasets` saves them."""
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    if path.suffix in (".jsonl", ".json"):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    elif path.suffix == ".tsv":
        lines = [columns, *(row.values() for row in rows)]
        path.write_text("".join("\t".join(map(str, line)) + "\n" for line in lines), "utf-8")
    elif path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(columns))
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".parquet":
        datasets.Dataset.from_dict(columns).to_parquet(path)
    else:
        datasets.Dataset.from_dict(columns).save_to_disk(path)
    return path


def lines(path: Path, *rows: str) -> CustomData:
    """Custom data in a file of these lines."""
    path.write_text("\n".join(rows) + "\n", "utf-8")
    return CustomData(str(path))


def texts_of(custom: CustomData) -> list[str]:
    """The texts of the data's rows, in the order of the file."""
    return [row.texts[0] for row in read_custom_data(custom)[1].train]


def error_of(custom: CustomData) -> str:
    """The message with which the data are refused."""
    with pytest.raises(DataError) as caught:
        load_splits(custom)
    return str(caught.value)


# --- formats ---


@pytest.mark.parametrize("name", ["d.csv", "d.CSV", "d.jsonl", "d.json", "d.parquet", "saved"])
def test_every_format_has_the_same_rows(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name.lower(), COLUMNS).rename(tmp_path / name)
    task, corpus = read_custom_data(CustomData(str(path), **SETTINGS))
    assert task.labels == ("neg", "neutral", "pos") and task.text_fields == ("review",)
    assert corpus.train == [Row((text,), task.labels.index(name)) for text, name in zip(TEXTS, NAMES, strict=True)]
    assert corpus.test is None and corpus.found == {"all": 60}
    assert str(path) in corpus.source and "held out of it" in corpus.source


QUOTED = ['he said "no"', "plain", '"quoted"', "tab\there", "line\nbreak", '"open', '""', 'ends"', "x\r\ny", 'a "b" c']


@pytest.mark.parametrize("name", ["d.csv", "d.tsv"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_of_pandas_is_read_unchanged(tmp_path: Path, name: str, quoting: Any, end: str) -> None:
    table = pd.DataFrame({"text": QUOTED, "label": ["a", "b"] * 5})
    table.to_csv(
        tmp_path / name, sep="," if name == "d.csv" else "\t", index=False, quoting=quoting, lineterminator=end
    )
    assert texts_of(CustomData(str(tmp_path / name))) == QUOTED


@pytest.mark.parametrize(
    ("rows", "texts"),
    [
        (('"open\t1', 'a "b" c\t0'), ['"open', 'a "b" c']),
        (('"open\t1', 'close"\t0'), ['"open', 'close"']),  # one quoted field, but then the lines would not fit
        (('"Silver"\t1', '"Gold" ring\t0'), ['"Silver"', '"Gold" ring']),
        (('"Silver"\t1', "Gold\t0"), ["Silver", "Gold"]),
        (('"two\nlines"\t1', "one\t0"), ["two\nlines", "one"]),
    ],
)
def test_quotes_of_a_tsv_file_have_a_meaning_if_all_fit(
    tmp_path: Path, rows: tuple[str, ...], texts: list[str]
) -> None:
    assert texts_of(lines(tmp_path / "d.tsv", "text\tlabel", *rows)) == texts


def test_quotes_of_a_tsv_file_that_fit_in_part_are_an_error(tmp_path: Path) -> None:
    custom = lines(tmp_path / "d.tsv", "text\tlabel", '"a ""b"" c"\t1', "d\t0", '"open\t0')
    assert "d.tsv, line 4: not a CSV row (unexpected end of data); write a quote inside" in error_of(custom)


def test_a_long_text_is_read_and_the_limit_of_csv_stays(tmp_path: Path) -> None:
    limit, long = csv.field_size_limit(), "word " * 40_000
    assert texts_of(lines(tmp_path / "d.csv", "text,label", f'"{long}",1', "short,0")) == [long, "short"]
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize("name", ["d.csv", "d.tsv", "d.jsonl"])
def test_empty_lines_at_the_end_are_no_rows(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, {"text": ["a", "b"], "label": ["x", "y"]})
    path.write_bytes(path.read_bytes() + b"\n\r\n\n")
    assert texts_of(CustomData(str(path))) == ["a", "b"]


def test_a_json_file_may_be_one_array(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    path.write_text(json.dumps([{"text": "a", "label": 1}, {"text": "b", "label": 0}], indent=2))
    assert texts_of(CustomData(str(path))) == ["a", "b"]
    path.write_text('[{"text": "a", "label": 1}, 5]')
    assert f"{path}, item 2: not a JSON object but int" in error_of(CustomData(str(path)))


@pytest.mark.parametrize("name", ["d.csv", "d.tsv", "d.jsonl", "d.parquet"])
def test_nan_is_the_name_of_a_class_among_names(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, {"text": ["a", "b"], "label": ["nan", "deu"]})
    assert read_custom_data(CustomData(str(path)))[0].labels == ("deu", "nan")


@pytest.mark.parametrize("style", ["numpy", "torch", "pandas", "arrow"])
def test_the_format_of_a_saved_data_set_does_not_matter(tmp_path: Path, style: str) -> None:
    TRAIN.with_format(style).save_to_disk(tmp_path / "d")
    assert read_custom_data(CustomData(str(tmp_path / "d"))) == read_custom_data(saved(tmp_path / "d", train=TRAIN))


def test_pairs_and_scores(tmp_path: Path) -> None:
    rows = {"a": [f"one {i}" for i in range(50)], "b": ["other"] * 50, "y": [i / 10 - 1 for i in range(50)]}
    custom = CustomData(str(write(tmp_path / "d.csv", rows)), ("a", "b"), "y", "score")
    splits = load_splits(custom)
    assert splits.task.regression and splits.task.score_range == (rows["y"][0], rows["y"][-1])
    assert splits.task.metrics == ("pearson", "spearman")
    assert splits.train.column_names == ["a", "b", "label"]
    scores = [score for part in splits.roles.values() for score in part["label"]]
    assert sorted(scores) == pytest.approx(rows["y"])
    assert splits.label_counts()["test"]["lowest"] >= -1


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([10, 9, -1], ("-1", "9", "10")),
        (["10", "9", "b"], ("10", "9", "b")),
        ([True, False, True], ("False", "True")),
    ],
)
def test_classes_are_the_sorted_labels(tmp_path: Path, values: list[Any], labels: tuple[str, ...]) -> None:
    columns = {"text": [f"text {i}" for i in range(60)], "label": values * 20}
    for name in ("d.jsonl", "d.csv"):
        assert read_custom_data(CustomData(str(write(tmp_path / name, columns))))[0].labels == labels


# --- splits ---


def stored(labels: list[int], word: str, classes: tuple[str, ...] = ("worse", "better")) -> datasets.Dataset:
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=list(classes))})
    return datasets.Dataset.from_dict({"text": [f"{word} {i}" for i in range(len(labels))], "label": labels}, features)


def saved(path: Path, **splits: datasets.Dataset) -> CustomData:
    datasets.DatasetDict(splits).save_to_disk(path)
    return CustomData(str(path))


TRAIN, VALIDATION, TEST = stored([0, 1] * 50, "train"), stored([0, 1] * 10, "validation"), stored([1, 0] * 9, "test")
NO_LABELS = stored([-1] * 30, "unlabelled")


@pytest.mark.parametrize(
    ("splits", "test", "found"),
    [
        (
            {"train": TRAIN, "validation": VALIDATION, "test": NO_LABELS},
            20,
            {"train": 100, "validation": 20, "test (not used)": 30},
        ),
        (
            {"train": TRAIN, "validation": VALIDATION, "test": TEST},
            20,
            {"train": 100, "validation": 20, "test (not used)": 18},
        ),
        ({"train": TRAIN, "test": TEST}, 18, {"train": 100, "test": 18}),
        ({"train": TRAIN, "test": NO_LABELS}, 20, {"train": 100, "test (not used)": 30}),
        (
            {"train": TRAIN, "test": NO_LABELS.remove_columns("label")},
            20,
            {"train": 100, "test (not used)": 30},
        ),
    ],
)
def test_a_test_set_without_labels_is_never_read(
    tmp_path: Path, splits: dict[str, Any], test: int, found: dict[str, int]
) -> None:
    made = load_splits(saved(tmp_path / "d", **splits))
    assert made.task.labels == ("worse", "better")  # in their stored order
    assert len(made.test) == test and made.found == found
    assert not [text for part in made.roles.values() for text in part["text"] if text.startswith("unlabelled")]


def test_stored_classes_keep_their_order_in_parquet_too(tmp_path: Path) -> None:
    TRAIN.to_parquet(tmp_path / "d.parquet")
    task, corpus = read_custom_data(CustomData(str(tmp_path / "d.parquet")))
    assert task.labels == ("worse", "better") and Counter(row.label for row in corpus.train) == {0: 50, 1: 50}


def test_a_test_file_of_another_format_is_matched_by_class_names(tmp_path: Path) -> None:
    test = {"text": ["new 1", "new 2", "train 3"], "label": ["better", "worse", "better"]}
    custom = saved(tmp_path / "d", train=TRAIN, validation=VALIDATION)
    custom = CustomData(custom.data, test_data=str(write(tmp_path / "r.csv", test)))
    splits = load_splits(custom)
    assert sorted(zip(splits.test["text"], splits.test["label"], strict=True)) == [
        ("new 1", 1),
        ("new 2", 0),
        ("train 3", 1),
    ]
    assert splits.found == {"train": 100, "validation (not used)": 20, "test": 3}
    assert (splits.dropped_leaks, splits.identical_leaks) == (1, 1)


# --- errors ---


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("txt,label", "a,1"), " has no column 'text'; its columns are 'txt', 'label'; name those to use with --text"),
        (("text,text,label", "a,b,1"), " has 2 columns 'text'"),
        (("text,label",), " contains no rows; give data with rows"),
        (("text,label", "a,1", ",0"), ", line 3: column 'text' must have a text, got ''; add it"),
        (("text,label", "a,1", "b,"), ", line 3: no label in column 'label'; add it"),
        (("text,label", "a,1", "b,NaN"), ", line 3: no label in column 'label'; add it"),
        (("text,label", "a,1", "b,0.5"), ", line 3: label '0.5' in column 'label' is a fraction, but classes are"),
        (("text,label", "a,1e0", "b,1.0e400"), ", line 3: label '1.0e400' in column 'label' is a fraction, but"),
        (("text,label", "a,0.0", "b,1.0", "c,"), ", line 4: no label in column 'label'; add it, or remove the row"),
        (("text,label", *["a,0.0", "b,1.0"] * 3, "c,nan"), ", line 8: no label in column 'label'; add it, or remove"),
        (("text,label", "a,-1", "b,-1"), ": no row has a label in column 'label', all are -1 or missing, as in a test"),
        (("text,label", 'a "b" c,1', '"d" e,1'), ", line 3: not a CSV row ("),
        (("text,label", "a,1", '"b,0', "c,1"), ", line 3: not a CSV row (unexpected end of data)"),
        (("text,label", "a,1,2"), ", line 2: 3 fields, but the header has 2"),
        (("text,label", "a,1", "", "b,0"), ", line 3: an empty line; remove it"),
        (("text,label", "a,1", "b\0c,0"), ", line 3: a NUL character; convert the file to UTF-8 text"),
        (("text,label", "a,1", f"b,{'9' * 5000}"), ", line 3: label '9999999999"),
        (("text,label", *(f"t{i},{i}" for i in range(9))), ": column 'label' has 9 different labels in 9 rows, too"),
        (
            ("text,label", *(f"t{i},{i % (MAX_CLASSES + 1)}" for i in range(1000))),
            f": column 'label' has {MAX_CLASSES + 1} different labels in 1000 rows, too many for classes",
        ),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path: Path, rows: tuple[str, ...], message: str) -> None:
    assert f"{tmp_path / 'd.csv'}{message}" in error_of(lines(tmp_path / "d.csv", *rows))


def test_too_few_rows_and_too_few_labels_are_errors(tmp_path: Path) -> None:
    few = lines(tmp_path / "few.csv", "text,label", "a,1", "b,0")
    assert "has too few rows for train, validation and test: 2 (different texts: 2); use" in error_of(few)
    one = lines(tmp_path / "one.csv", "text,label", *(f"text {i},1" for i in range(9)))
    assert "all 9 train rows have the label '1', so nothing can be learned" in error_of(one)


def test_texts_that_are_the_same_are_counted_where_rows_are_too_few(tmp_path: Path) -> None:
    same = lines(tmp_path / "same.csv", "text,label", *(f"A text,{i % 2}" for i in range(60)))
    assert "train, validation and test: 60 (different texts: 1); use" in error_of(same)
    data = lines(tmp_path / "data.csv", "text,label", *(f"text {i},{i % 2}" for i in range(60)))
    error = error_of(CustomData(data.data, test_data=data.data))
    assert "60 (different texts: 60, rows left out because the test set has their texts: 60); use" in error


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("[1]",), ", line 1: not a JSON object but list; write one object per line"),
        (('{"text": "a", "label": 1}', "{"), ", line 2: not JSON ("),
        (
            ('{"text": "a", "label": 1}', '{"text": 7, "label": 1}'),
            ", line 2: column 'text' must have a text, got 7; add it",
        ),
        (
            ('{"text": "a", "label": 1}', '{"text": null, "label": 1}'),
            ", line 2: column 'text' must have a text, got None",
        ),
        (('{"text": "a", "label": 1}', '{"text": "b"}'), ", line 2: no label in column 'label'"),
        (
            ('{"text": "a", "label": 1}', '{"text": "b", "label": 1.5}'),
            ", line 2: label 1.5 in column 'label' is a fra",
        ),
        (('{"text": "a"}',), " has no column 'label'; its columns are 'text'"),
        (('{"text": "a", "label": 1}', "", '{"text": "b", "label": 0}'), ", line 2: an empty line; remove it"),
        (('{"text": "a", "label": 1, "label": 2}',), ", line 1: cannot read this JSON (key 'label' is given 2 times)"),
        (('{"text": "a", "label": ' + "9" * 5000 + "}",), ", line 1: cannot read this JSON (Exceeds the limit"),
        (('{"text": "a", "label": ' + "[" * 100_000,), ", line 1: cannot read this JSON (maximum recursion depth"),
        (('{"text": "a\\ud83d", "label": 1}',), ", line 1: column 'text' has half a character, '\\ud83d'; complete"),
        (('{"text": "a", "label": "\\udc00"}',), ", line 1: column 'label' has half a character, '\\udc00'"),
        (('{"text": "a", "label": [1]}',), ", line 1: label [1] in column 'label' must be a text or a whole number"),
        (('{"text": "a", "label": {"b": 1}}',), ", line 1: label {'b': 1} in column 'label' must be a text or a whole"),
    ],
)
def test_a_bad_jsonl_file_is_named_with_its_line(tmp_path: Path, rows: tuple[str, ...], message: str) -> None:
    assert f"{tmp_path / 'd.jsonl'}{message}" in error_of(lines(tmp_path / "d.jsonl", *rows))


@pytest.mark.parametrize("name", ["d.csv", "d.tsv", "d.jsonl", "d.parquet", "saved"])
def test_labels_that_pandas_made_floats_beside_a_missing_one_are_whole_numbers(tmp_path: Path, name: str) -> None:
    table = pd.DataFrame({"text": [f"text {i}" for i in range(61)], "label": [*range(3)] * 20 + [None]})
    for rows in (table, table[:60]):
        path = tmp_path / str(len(rows)) / name
        path.parent.mkdir()
        if name.endswith("sv"):
            rows.to_csv(path, index=False, sep="\t" if name == "d.tsv" else ",")
        elif name == "d.jsonl":
            rows.to_json(path, orient="records", lines=True)
        elif name == "d.parquet":
            rows.to_parquet(path)
        else:
            datasets.Dataset.from_pandas(rows).save_to_disk(path)
        if len(rows) > 60:
            assert re.search(rf"{path}, \w+ \d+: no label in column 'label'; add it", error_of(CustomData(str(path))))
        else:
            task, corpus = read_custom_data(CustomData(str(path)))
            assert task.labels == ("0", "1", "2") and [row.label for row in corpus.train] == [*range(3)] * 20


NO_NUMBERS = ["good", "inf", "nan", "1,5", "true", "1_000", "0x10", "1e400", "١٢", "１２", "--5", "1e", "5 %"]


@pytest.mark.parametrize("label", NO_NUMBERS)
def test_a_label_that_is_not_a_score_is_named_with_its_line(tmp_path: Path, label: str) -> None:
    path = write(tmp_path / "d.csv", {"text": ["a", "b"], "label": ["1.5", label]})
    error = error_of(CustomData(str(path), label_kind="score"))
    assert (
        f"line 3: label {label!r} in column 'label' is not a finite number" in error and "--label-kind class" in error
    )


@pytest.mark.parametrize(("label", "score"), [(" 5 ", 5), ("+5", 5), ("-.5", -0.5), ("5.", 5), ("2E+3", 2000)])
def test_a_score_is_a_decimal_number(tmp_path: Path, label: str, score: float) -> None:
    path = write(tmp_path / "d.csv", {"text": ["a", "b"], "label": ["1.25", label]})
    _, corpus = read_custom_data(CustomData(str(path), label_kind="score"))
    assert [row.label for row in corpus.train] == [1.25, score]


@pytest.mark.parametrize("label", ["1e39", "-3.5e38", "2e19"])
def test_a_score_whose_square_is_beyond_32_bits_is_named_with_its_line(tmp_path: Path, label: str) -> None:
    path = write(tmp_path / "d.csv", {"text": ["a", "b"], "label": ["1.5", label]})
    error = error_of(CustomData(str(path), label_kind="score"))
    assert f"line 3: label {label!r} in column 'label' is beyond 1e+18, and the squared error" in error


def test_the_largest_score_has_a_finite_loss() -> None:
    scores = torch.tensor([LARGEST, -LARGEST]).repeat(128)
    assert torch.nn.functional.mse_loss(torch.zeros_like(scores), scores).isfinite()


STEPS = np.arange(60)


@pytest.mark.parametrize("scores", [1.7e9 + STEPS, 2.0**24 + STEPS, -1234567 - STEPS / 100, 1e-50 * STEPS])
def test_scores_that_32_bits_do_not_keep_apart_are_an_error(tmp_path: Path, scores: np.ndarray) -> None:
    path = write(tmp_path / "d.jsonl", {"text": TEXTS, "label": scores.tolist()})
    error = error_of(CustomData(str(path), label_kind="score"))
    assert f"{path}: many scores of column 'label', from" in error and "subtract a constant" in error


@pytest.mark.parametrize("scores", [1960 + STEPS, 1.7e9 + 86400 * STEPS, [0.1 + 0.2, 0.3, 0.7] * 20, STEPS / 7e20])
def test_scores_that_32_bits_keep_apart_are_read(tmp_path: Path, scores: Any) -> None:
    path = write(tmp_path / "d.jsonl", {"text": TEXTS, "label": np.asarray(scores).tolist()})
    splits = load_splits(CustomData(str(path), label_kind="score"))
    found = [score for part in splits.roles.values() for score in part["label"]]
    assert sorted(found) == pytest.approx(sorted(scores), rel=1e-6)


def test_the_same_score_throughout_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "d.csv", {"text": ["a", "b"], "label": ["1.5", "1.50"]})
    assert "all 2 train rows have the label 1.5, so nothing" in error_of(CustomData(str(path), label_kind="score"))


@pytest.mark.parametrize("name", ["d.csv", "d.jsonl", "d.tsv"])
def test_a_byte_that_is_not_utf8_is_named_with_its_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"text,label\ngood,1\nna\xefve,0\n")
    assert f"{tmp_path / name}, line 3: not UTF-8; convert the file" in error_of(CustomData(str(tmp_path / name)))


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ({"text": ["a"], "label": ["best"]}, ", line 2: unknown label 'best'; the classes of"),
        ({"text": ["a"]}, " has no column 'label'"),
        ({"text": ["a", "b"], "label": ["-1", "-1"]}, ": no row has a label in column 'label'"),
        ({"text": [], "label": []}, " contains no rows"),
    ],
)
def test_a_bad_test_file_is_named(tmp_path: Path, test: dict[str, list[str]], message: str) -> None:
    data, path = write(tmp_path / "d.csv", {"text": TEXTS, "label": NAMES}), write(tmp_path / "r.csv", test)
    assert f"{path}{message}" in error_of(CustomData(str(data), test_data=str(path)))


def test_a_missing_label_of_a_saved_folder_is_named_with_its_row(tmp_path: Path) -> None:
    custom = saved(tmp_path / "d", train=stored([0, 1, -1], "train"))
    assert f"{custom.data}, train, row 2: no label in column 'label'" in error_of(custom)


ODD = [[1], {"a": 1}, b"a"]


@pytest.mark.parametrize("label", ODD, ids=str)
@pytest.mark.parametrize(("kind", "message"), [("class", "must be a text or"), ("score", "is not a finite number")])
def test_a_label_of_another_type_is_refused(tmp_path: Path, label: Any, kind: Any, message: str) -> None:
    pq.write_table(pa.table({"text": TEXTS, "label": [label] * 60}), tmp_path / "d.parquet")
    error = error_of(CustomData(str(tmp_path / "d.parquet"), label_kind=kind))
    assert f"d.parquet, row 0: label {label!r} in column 'label' {message}" in error


def test_columns_of_a_parquet_file_that_are_not_read_may_have_any_type(tmp_path: Path) -> None:
    others = {
        "map": pa.array([[("k", "v")]] * 60, pa.map_(pa.string(), pa.string())),
        "uuid": pa.array([b"0" * 16] * 60, pa.uuid()),
    }
    table = TRAIN.select(range(60)).data.table
    for name, values in others.items():
        table = table.append_column(name, values)
    stored = json.loads(table.schema.metadata[b"huggingface"])
    stored["info"]["features"]["map"] = {"_type": "NewInAnotherVersion"}
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(stored)}), tmp_path / "d.parquet")
    periods = pd.DataFrame({"text": TEXTS, "label": NAMES, "day": pd.period_range("2020", periods=60, freq="D")})
    periods.to_parquet(tmp_path / "p.parquet")
    assert read_custom_data(CustomData(str(tmp_path / "d.parquet")))[0].labels == ("worse", "better")
    assert read_custom_data(CustomData(str(tmp_path / "p.parquet")))[0].labels == ("neg", "neutral", "pos")


@pytest.mark.parametrize("name", ["d.parquet", "saved"])
def test_a_flipped_bit_is_read_or_refused(tmp_path: Path, name: str) -> None:
    """Without checksums some flips are only another text; none ends in another error, or the process."""
    path = tmp_path / name
    TRAIN.to_parquet(path) if name == "d.parquet" else TRAIN.save_to_disk(path)
    files = [path] if path.is_file() else sorted(path.iterdir())
    chance = random.Random(0)
    refused = 0
    for file in files:
        content = file.read_bytes()
        for place in chance.sample(range(len(content)), 100):
            changed = bytearray(content)
            changed[place] ^= 1 << chance.randrange(8)
            file.unlink()  # the old file may still be in memory
            file.write_bytes(changed)
            try:
                read_custom_data(CustomData(str(path)))
            except DataError:
                refused += 1
        file.unlink()
        file.write_bytes(content)
    assert refused > 20


def test_what_is_no_plain_file_is_refused_without_waiting(tmp_path: Path) -> None:
    for name in ("pipe.csv", "pipe.parquet"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "zero.jsonl").symlink_to("/dev/zero")
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    TRAIN.save_to_disk(tmp_path / "saved")
    (tmp_path / "saved" / "state.json").unlink()
    os.mkfifo(tmp_path / "saved" / "state.json")
    for name, message in (
        ("pipe.csv", "neither a file nor a folder"),
        ("pipe.parquet", "neither a file nor a folder"),
        ("zero.jsonl", "neither a file nor a folder"),
        ("saved", "state.json: neither a file nor a folder"),
        ("loop.csv", "Too many levels of symbolic links"),
        ("a" * 300 + ".csv", "File name too long"),
        ("pipe.csv/d.csv", "Not a directory"),
    ):
        error = error_of(CustomData(str(tmp_path / name)))
        assert error.startswith(f"cannot read {tmp_path / name}") and message in error


def test_a_path_without_data_is_named(tmp_path: Path) -> None:
    for name, message in (
        ("none.csv", "there is no file or folder"),
        (".", "give a folder that datasets saved"),
        ("d.xlsx", ".csv, .tsv, .jsonl, .json, .parquet, or a folder that datasets saved"),
        ("d.parquet", "not a Parquet file, or a damaged one"),
    ):
        path = tmp_path / name
        if path.suffix in (".xlsx", ".parquet"):
            path.write_text("no table")
        error = error_of(CustomData(str(path)))
        assert message in error and str(path) in error
    custom = saved(tmp_path / "d", one=TRAIN, two=TEST)
    assert f"{custom.data} has no split 'train'; its splits are 'one', 'two'" in error_of(custom)
    custom = CustomData(str(tmp_path / "d" / "one"), test_data=custom.data)
    assert f"{tmp_path / 'd'} has the splits one, two; give the folder of one of them" in error_of(custom)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"text_columns": ()}, "text_columns must name one or two columns, got 0"),
        ({"text_columns": ("a", "b", "c")}, "text_columns must name one or two columns, got 3"),
        ({"text_columns": ("a", "a")}, "must differ"),
        ({"text_columns": ("a",), "label_column": "a"}, "must differ"),
        ({"text_columns": ("label",), "label_column": "y"}, "no text column may be called 'label'"),
        ({"text_columns": "text"}, "text_columns must be a list, got 'text'; write ['text']"),
        ({"text_columns": [5]}, "text_columns.0 must be a text, got 5"),
        ({"label_column": ["label"]}, "label_column must be a text, got ['label']"),
        ({"label_kind": "number"}, "unknown label_kind 'number'; known: class, score"),
        ({"data": ""}, "data must be the path of a file or folder, got ''"),
        ({"data": "d\0.csv"}, "data must be the path of a file or folder, got 'd\\x00.csv'"),
        ({"data": 5}, "data must be the path of a file or folder, got 5"),
        ({"test_data": ""}, "test_data must be the path of a file or folder, got ''"),
    ],
)
def test_settings_that_contradict_each_other_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        CustomData(**{"data": "d.csv"} | settings)


def test_a_path_is_its_text() -> None:
    assert CustomData(Path("d.csv"), test_data=Path("t.csv")) == CustomData("d.csv", test_data="t.csv")  # type: ignore


def test_text_columns_may_be_a_list(tmp_path: Path) -> None:
    path = write(tmp_path / "d.csv", COLUMNS)
    custom = CustomData(str(path), text_columns=["review"], label_column="mood")  # type: ignore[arg-type]
    assert custom == CustomData(str(path), **SETTINGS)
    assert load_splits(custom).task.text_fields == ("review",)


def test_a_glue_folder_is_error_of(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="remove glue_dir"):
        load_splits(CustomData("d.csv"), glue_dir=tmp_path)
