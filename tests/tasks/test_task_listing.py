"""The listing has the sizes of available tasks, and the reason for each unavailable one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from randprune_lab.tasks import TASKS, CustomData, task_rows

pytestmark = pytest.mark.usefixtures("loaded_once")


def by_name(rows: list[dict]) -> dict[str, dict]:
    return {row["name"]: row for row in rows}


def test_without_a_folder_only_the_offline_task_has_counts() -> None:
    rows = by_name(task_rows())
    assert list(rows) == list(TASKS)
    assert rows["rotten_tomatoes"]["rows"] == {"train": 6000, "validation": 1000, "test": 1530}
    assert rows["rotten_tomatoes"]["unavailable"] is None
    assert rows["sst2"]["rows"] is None
    assert "--glue-dir" in rows["sst2"]["unavailable"]
    assert len({tuple(row) for row in rows.values()}) == 1  # every row has the same keys
    json.dumps(list(rows.values()))


def test_with_a_folder_its_tasks_have_counts_and_others_name_the_missing_file(tmp_path: Path) -> None:
    (tmp_path / "SST-2").mkdir()
    for split, size in (("train", 100), ("dev", 7)):
        lines = ["sentence\tlabel", *(f"{split} {i}\t{i % 2}" for i in range(size))]
        (tmp_path / "SST-2" / f"{split}.tsv").write_text("\n".join(lines))
    rows = by_name(task_rows(tmp_path))
    assert rows["sst2"]["rows"] == {"train": 90, "validation": 10, "test": 7}
    assert rows["sst2"]["source"] == f"GLUE folder {tmp_path / 'SST-2'}"
    assert rows["mrpc"]["rows"] is None
    assert str(tmp_path / "MRPC" / "train.tsv") in rows["mrpc"]["unavailable"]
    assert rows["rotten_tomatoes"]["rows"] is not None
    assert rows["sst2"]["found"] == {"train": 100, "dev": 7}
    assert rows["sst2"]["counts"]["train"] == {"negative": 45, "positive": 45}
    assert rows["sst2"]["leaks"] == {"left out": 0, "identical": 0}


def test_custom_data_are_described_alone(tmp_path: Path) -> None:
    lines = [json.dumps({"a": f"text {i}", "b": "same", "y": i / 4}) for i in range(21)]
    (tmp_path / "mine.jsonl").write_text("\n".join(lines))
    (row,) = task_rows(custom=CustomData(str(tmp_path / "mine.jsonl"), ("a", "b"), "y", "score"))
    assert row["name"] == "mine" and row["scores"] == (0.0, 5.0) and row["labels"] is None
    assert row["found"] == {"all": 21} and row["rows"] == {"train": 13, "validation": 4, "test": 4}
    assert row.keys() == task_rows()[0].keys()
    json.dumps(row)


def test_labels_that_scores_say_nothing_about_are_named(tmp_path: Path) -> None:
    labels = ["pos", "neg"] * 58 + ["pos ", "Rare", "rare", "rare"]
    rows = [json.dumps({"text": f"text {i}", "label": label}) for i, label in enumerate(labels)]
    (tmp_path / "mine.jsonl").write_text("\n".join(rows))
    (row,) = task_rows(custom=CustomData(str(tmp_path / "mine.jsonl")))
    counts = row["counts"]
    for role, part in counts.items():
        missing = [label for label, count in part.items() if not count]
        assert (f"the {role} set has no row of class {', '.join(map(repr, missing))}; add" in row["warnings"]) == (
            bool(missing)
        )
    assert not all(counts["test"].values()) and not all(counts["validation"].values())
    for names in ("'pos', 'pos '", "'Rare', 'rare'"):
        assert f"the labels {names} differ only in blanks or case" in row["warnings"]
    assert not any(row["warnings"] for row in task_rows())


def test_sets_with_one_score_are_named(tmp_path: Path) -> None:
    """A rare score is in one role alone, so that in the others nothing can be learned or compared."""
    rows = [json.dumps({"text": f"text {i}", "label": float(i == 7)}) for i in range(60)]
    (tmp_path / "mine.jsonl").write_text("\n".join(rows))
    (row,) = task_rows(custom=CustomData(str(tmp_path / "mine.jsonl"), label_kind="score"))
    constant = [role for role, part in row["counts"].items() if part["lowest"] == part["highest"]]
    assert len(constant) == 2
    assert row["warnings"] == "; ".join(
        f"all rows of the {role} set have the score 0; add rows with other scores" for role in constant
    )
