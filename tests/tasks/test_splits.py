"""Roles are disjoint by text, stratified, and a function of the texts alone."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from randprune_lab.errors import ConfigError, DataError, UnknownNameError
from randprune_lab.tasks import Splits, load_splits
from randprune_lab.tasks.corpus import Corpus, Row
from randprune_lab.tasks.splits import Roles, assign_roles, text_key

law = settings(max_examples=100)
few_words = st.lists(st.sampled_from(["a", "A", "b", "c", ".", "-"]), min_size=1, max_size=3).map(" ".join)
repeated_rows = st.lists(st.builds(lambda text, label: Row((text,), label), few_words, st.integers(0, 1)), max_size=60)


def numbered(counts: dict[int, int], word: str = "text") -> list[Row]:
    """Rows with distinct texts, `counts[label]` for each label."""
    return [Row((f"{word} {label} {i}",), label) for label, count in counts.items() for i in range(count)]


def keys(rows: list[Row]) -> set[str]:
    return {text_key(row) for row in rows}


def assert_proportions(rows: list[Row], counts: dict[int, int], within: int = 1) -> None:
    """The rows have the label proportions of `counts`, within a number of rows."""
    total = sum(counts.values())
    actual = Counter(row.label for row in rows)
    for label, count in counts.items():
        assert abs(actual[label] - len(rows) * count / total) <= within


def write_sst2(folder: Path, train: list[str], dev: list[str]) -> Path:
    (folder / "SST-2").mkdir()
    for name, lines in (("train", train), ("dev", dev)):
        (folder / "SST-2" / f"{name}.tsv").write_text("\n".join(["sentence\tlabel", *lines]) + "\n")
    return folder


@pytest.fixture
def synthetic(tmp_path: Path) -> Path:
    train = [f"sentence number {i} .\t{int(i % 3 > 0)}" for i in range(200)]
    dev = [f"report number {i} .\t{i % 2}" for i in range(20)]
    return write_sst2(tmp_path, train, dev)


# --- roles ---


@given(train=repeated_rows, test=st.none() | repeated_rows)
@law
def test_no_row_is_lost_and_no_text_has_two_roles(train: list[Row], test: list[Row] | None) -> None:
    try:
        roles = assign_roles(Corpus("rows", train, test))
    except DataError as error:
        assert "too few rows" in str(error)
        return
    sets = [keys(rows) for rows in (roles.train, roles.validation, roles.test)]
    assert len(set.union(*sets)) == sum(map(len, sets))
    tested = keys(test or [])
    kept = [row for row in train if text_key(row) not in tested]
    assert Counter(roles.train + roles.validation + roles.test) == Counter(kept + (test or []))
    assert roles.dropped_leaks == len(train) - len(kept)


@given(train=repeated_rows, test=st.none() | repeated_rows, data=st.data())
@law
def test_the_order_of_the_source_does_not_matter(train: list[Row], test: list[Row] | None, data: st.DataObject) -> None:
    def roles(train: list[Row], test: list[Row] | None) -> Roles | str:
        try:
            return assign_roles(Corpus("rows", train, test))
        except DataError as error:
            return str(error)

    shuffled = test and data.draw(st.permutations(test))
    assert roles(train, test) == roles(data.draw(st.permutations(train)), shuffled if test else test)


@given(counts=st.dictionaries(st.integers(0, 2), st.integers(10, 60), min_size=1), official=st.booleans())
@law
def test_every_role_and_every_prefix_has_the_label_proportions(counts: dict[int, int], official: bool) -> None:
    test = numbered(counts, "test") if official else None
    roles = assign_roles(Corpus("rows", numbered(counts), test))
    total = sum(counts.values())
    assert len(roles.validation) == total // (10 if official else 5)
    assert len(roles.test) == (total if official else total // 5)
    for rows in (roles.validation, roles.test, roles.train):
        assert_proportions(rows, counts, within=1 if len(counts) < 3 else 2)  # held out twice, so rounded twice
        role_counts = Counter(row.label for row in rows)
        for size in range(len(rows)):
            assert_proportions(rows[:size], role_counts)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("A good film.",), ("a  good film",)),
        (("'Silver bullets'",), ("silver bullets . ",)),
        (("Straße",), ("STRASSE",)),
        (("one", "two"), ("Two !", "One")),
    ],
)
def test_texts_that_differ_in_case_punctuation_or_order_are_the_same(
    first: tuple[str, ...], second: tuple[str, ...]
) -> None:
    assert text_key(Row(first, 0)) == text_key(Row(second, 1))


def test_texts_with_other_words_differ() -> None:
    texts = [("a b",), ("ab",), ("b a",), ("a", "b"), ("a", "b c"), ("a b", "c"), ("a | b", "c"), ("a", "b | c")]
    assert len({text_key(Row(text, 0)) for text in texts}) == len(texts)


def test_rows_whose_text_is_in_the_test_set_are_dropped_and_counted(tmp_path: Path) -> None:
    train = [f"sentence number {i} .\t{i % 2}" for i in range(100)]
    glue_dir = write_sst2(tmp_path, train, ["Sentence number 7\t1", "sentence NUMBER 8 !\t0", "another\t1"])
    splits = load_splits("sst2", glue_dir=glue_dir)
    assert splits.dropped_leaks == 2
    assert len(splits.train) + len(splits.validation) == 98
    assert not {7, 8} & {
        int(text.split()[2]) for part in (splits.train, splits.validation) for text in part["sentence"]
    }


@pytest.mark.parametrize(
    ("train", "test", "leaks"),
    [
        (["👎", "🤮", "👍"], ["🎉"], 0),
        (["सोना", "पिता"], ["सुना", "पीता"], 0),
        (["?!", "C++", "-5"], ["!!", "C#", "5"], 0),
        (["été", "ＯＫ", "❤️"], ["e\u0301te\u0301", "ok", "❤"], 3),
    ],
)
def test_leaks_are_found_in_any_script(train: list[str], test: list[str], leaks: int) -> None:
    rows, tested = [Row((text,), 0) for text in train], [Row((text,), 1) for text in test]
    roles = assign_roles(Corpus("rows", [*numbered({0: 50, 1: 50}), *rows], tested))
    assert roles.dropped_leaks == leaks


def test_texts_of_symbols_are_enough_for_three_roles() -> None:
    rows = [Row(("👍👎"[i % 2] * (i // 2 + 1),), i % 2) for i in range(60)]
    assert [len(part) for part in assign_roles(Corpus("rows", rows, None))[:3]] == [36, 12, 12]


def test_identical_leaks_are_counted_separately() -> None:
    train = [*numbered({0: 50, 1: 50}), Row(("Same.",), 0), Row(("same",), 1), Row(("other",), 1), Row(("new",), 1)]
    roles = assign_roles(Corpus("rows", train, [Row(("same",), 1)], {"further": [Row(("Other!",), 0)]}))
    assert (roles.dropped_leaks, roles.identical_leaks) == (3, 1)
    assert not {"same", "other"} & (keys(roles.train) | keys(roles.validation))


@given(train=repeated_rows, further=repeated_rows)
@law
def test_a_further_test_set_is_complete_and_disjoint_from_train_and_validation(
    train: list[Row], further: list[Row]
) -> None:
    try:
        roles = assign_roles(Corpus("rows", train, [Row(("test",), 0)], {"further": further}))
    except DataError as error:
        assert "too few rows" in str(error)
        return
    assert Counter(roles.further_tests["further"]) == Counter(further)
    assert not keys(further) & (keys(roles.train) | keys(roles.validation))


@given(scores=st.lists(st.floats(0, 5, width=16), min_size=100, max_size=300), official=st.booleans())
@law
def test_scores_are_spread_evenly_over_all_roles(scores: list[float], official: bool) -> None:
    """The fraction of rows below each decile of all scores is the same in every role, within two rows per bin."""
    rows = [Row((f"text {i}",), score) for i, score in enumerate(scores)]
    roles = assign_roles(Corpus("rows", rows, [Row(("test",), 1.0)] if official else None))
    edges = np.quantile(scores, np.arange(1, 10) / 10)
    for part in (roles.validation, roles.train) if official else (roles.validation, roles.train, roles.test):
        for number, edge in enumerate(edges, start=1):
            fraction = sum(score < edge for score in scores) / len(scores)
            assert abs(sum(row.label < edge for row in part) - fraction * len(part)) <= 2 * (number + 1)


@pytest.mark.parametrize("label", ["0", "1"])
def test_a_single_label_in_all_rows_is_an_error(tmp_path: Path, label: str) -> None:
    glue_dir = write_sst2(tmp_path, [f"text {i}\t{label}" for i in range(50)], ["report\t1"])
    name = ["negative", "positive"][int(label)]
    with pytest.raises(DataError, match=f"all 50 train rows have the label '{name}', so nothing can be learned"):
        load_splits("sst2", glue_dir=glue_dir)


def test_too_few_rows_are_an_error(tmp_path: Path) -> None:
    glue_dir = write_sst2(tmp_path, ["a\t1", "b\t0"], ["c\t1"])
    with pytest.raises(DataError, match=r"SST-2 has too few rows for train, validation and test: 2 \(.*\); use the"):
        load_splits("sst2", glue_dir=glue_dir)


# --- loading ---


def test_the_splits_of_a_synthetic_set_are_pinned(synthetic: Path) -> None:
    splits = load_splits("sst2", glue_dir=synthetic)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (180, 20, 20)
    assert splits.train[:3] == {
        "sentence": ["sentence number 122 .", "sentence number 159 .", "sentence number 74 ."],
        "label": [1, 0, 1],
    }
    assert splits.fingerprint == "dba34df6770bbad9094525d9210a657a536ad1751d12a4e6ed20089e22e8a03f"


def test_the_splits_have_text_fields_and_integer_labels(synthetic: Path) -> None:
    splits = load_splits("sst2", glue_dir=synthetic)
    for part in (splits.train, splits.validation, splits.test):
        assert part.column_names == ["sentence", "label"]
        assert part.features["label"].names == list(splits.task.labels)
        assert isinstance(part[0]["label"], int)
        assert part.cache_files == []  # in memory


def test_smaller_train_sets_are_parts_of_larger_ones(synthetic: Path) -> None:
    whole = load_splits("sst2", glue_dir=synthetic)
    for size in (2, 50, 179, 180):
        part = load_splits("sst2", glue_dir=synthetic, train_size=size)
        assert part.train[:] == whole.train[:size]
        assert part.validation[:] == whole.validation[:]
        assert part.test[:] == whole.test[:]


def test_train_rows_are_drawn_by_their_seed(synthetic: Path) -> None:
    """Another seed draws other rows of the same label proportions; the other roles, and a whole train set, stay."""
    whole = load_splits("sst2", glue_dir=synthetic)
    first, *drawn = (
        load_splits("sst2", glue_dir=synthetic, train_size=60, train_seed=seed) for seed in (None, 0, 1, 1)
    )
    assert first.train[:] == whole.train[:60] and drawn[1].fingerprint == drawn[2].fingerprint
    texts = [set(splits.train["sentence"]) for splits in (first, *drawn[:2])]
    assert all(len(one) == 60 and one <= set(whole.train["sentence"]) for one in texts)
    assert all(len(one & other) < 45 for one, other in itertools.combinations(texts, 2)), "20 are expected"
    for splits in drawn:
        assert sum(splits.train["label"]) == sum(first.train["label"])
        assert (splits.validation[:], splits.test[:]) == (whole.validation[:], whole.test[:])
    assert load_splits("sst2", glue_dir=synthetic, train_seed=1).fingerprint == whole.fingerprint


@pytest.mark.parametrize("size", [-1, 0, 1, 181])
def test_a_train_size_out_of_range_is_an_error_with_the_range(synthetic: Path, size: int) -> None:
    message = rf"train_size must be from 2 \(one row per label\) to 180 \(the rows of task 'sst2'\), got {size}"
    with pytest.raises(ConfigError, match=message):
        load_splits("sst2", glue_dir=synthetic, train_size=size)


def test_the_fingerprint_changes_with_every_row(synthetic: Path) -> None:
    splits = load_splits("sst2", glue_dir=synthetic)
    changes: list[Splits] = [load_splits("sst2", glue_dir=synthetic, train_size=179)]
    for role in ("train", "validation", "test"):
        part = getattr(splits, role)
        other = part.map(lambda row, i: {"label": 1 - row["label"] if i == 3 else row["label"]}, with_indices=True)
        changes.append(dataclasses.replace(splits, **{role: other}))
    changes.append(dataclasses.replace(splits, validation=splits.test, test=splits.validation))
    assert len({splits.fingerprint, *(change.fingerprint for change in changes)}) == len(changes) + 1
    assert load_splits("sst2", glue_dir=str(synthetic)).fingerprint == splits.fingerprint


def test_an_unknown_task_is_an_error() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'rotten_tomatoes'"):
        load_splits("rotten_tomatos")


# --- real data ---


@pytest.fixture(scope="module")
def rotten_tomatoes() -> Splits:
    return load_splits("rotten_tomatoes")


def rows_of(splits: Splits) -> list[list[Row]]:
    parts = splits.roles.values()
    fields = splits.task.text_fields
    return [
        [Row(tuple(texts), label) for *texts, label in zip(*(part[:][f] for f in (*fields, "label")), strict=True)]
        for part in parts
    ]


def test_the_offline_default_has_the_sizes_in_the_lessons(rotten_tomatoes: Splits) -> None:
    parts = rows_of(rotten_tomatoes)
    assert [len(rows) for rows in parts] == [6000, 1000, 1530]
    assert sum(len(keys(rows)) for rows in parts) == len(set.union(*map(keys, parts)))
    for rows in parts:
        assert_proportions(rows, {0: 1, 1: 1})
    assert rotten_tomatoes.dropped_leaks == 0
    assert rotten_tomatoes.fingerprint.startswith("3e46fc1946e9")


def test_small_train_sets_of_the_offline_default_are_balanced_and_nested(rotten_tomatoes: Splits) -> None:
    small = load_splits("rotten_tomatoes", train_size=501).train
    assert small[:] == rotten_tomatoes.train[:501]
    assert_proportions([Row(("",), label) for label in small["label"]], {0: 1, 1: 1})


@pytest.mark.skipif("RANDPRUNE_GLUE_DIR" not in os.environ, reason="RANDPRUNE_GLUE_DIR names no GLUE folder")
@pytest.mark.parametrize(
    ("name", "sizes", "leaks", "identical", "fingerprint"),
    [
        ("cola", [7678, 855, 1043], 18, 16, "bfb3d92ea2fc"),
        ("sst2", [66_344, 1000, 872], 5, 0, "8ad023de10fe"),
        ("mrpc", [3302, 366, 408], 0, 0, "04eb1d65bf75"),
        ("stsb", [5163, 574, 1500], 12, 6, "cb749fbe7097"),
        ("qqp", None, 0, 0, ""),
        ("mnli", None, None, 0, ""),
        ("qnli", None, 0, 0, ""),
        ("rte", [2241, 249, 277], 0, 0, "bda688dbbc3b"),
    ],
)
def test_glue_keeps_its_dev_set_and_holds_out_a_tenth_or_a_thousand_rows(
    name: str, sizes: list[int] | None, leaks: int | None, identical: int, fingerprint: str
) -> None:
    """None: the files may contain only a part of the official rows. Recorded runs have these fingerprints."""
    splits = load_splits(name, glue_dir=os.environ["RANDPRUNE_GLUE_DIR"])
    parts = rows_of(splits)
    assert splits.fingerprint.startswith(fingerprint)
    assert sizes in (None, [len(rows) for rows in parts[:3]])
    assert leaks in (None, splits.dropped_leaks) and splits.identical_leaks == identical
    used, tested = parts[:2], parts[2:]
    assert sum(len(keys(rows)) for rows in used) == len(set.union(*map(keys, used)))
    assert not set.union(*map(keys, used)) & set.union(*map(keys, tested))
    sizes_found = list(splits.found.values())
    assert sum(map(len, used)) == sizes_found[0] - splits.dropped_leaks
    assert [len(rows) for rows in tested] == sizes_found[1:]
    if not splits.task.regression:
        counts = Counter(row.label for rows in used for row in rows)
        assert_proportions(parts[0], counts)
        assert_proportions(parts[1], counts)
