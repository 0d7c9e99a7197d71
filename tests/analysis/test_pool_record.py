"""A pool record survives saving, and strategies run on it."""

import dataclasses

import numpy as np
import pytest
from support.made_up import pool

from randprune_lab.analysis.pool_record import FORMAT, KIND, PoolRecord
from randprune_lab.errors import FileError
from randprune_lab.sealed import read_arrays, write_arrays
from randprune_lab.search.strategies import TrainAll


def test_a_saved_pool_record_is_loaded_unchanged(tmp_path):
    saved = pool()
    saved.save(tmp_path / "pool")
    loaded = PoolRecord.load(tmp_path / "pool")
    for name, value in vars(saved).items():
        assert np.array_equal(getattr(loaded, name), value), name
    assert loaded.examples.dtype == np.float64 and loaded.correct.dtype == bool


def test_final_answers_are_kept_and_pools_from_before_have_none(tmp_path):
    saved = pool()
    right = np.random.default_rng(0).random((len(saved.final), 21)) < 0.5
    dataclasses.replace(saved, right=right).save(tmp_path / "new")
    loaded = PoolRecord.load(tmp_path / "new")
    assert np.array_equal(loaded.right, right) and loaded.truth is loaded.right
    saved.save(tmp_path / "without")
    arrays, about = read_arrays(tmp_path / "without", KIND, FORMAT, "")
    assert about.pop("tests") == 0
    write_arrays(tmp_path / "old", KIND, 3, arrays, about)
    old = PoolRecord.load(tmp_path / "old")
    assert old.right is None and np.array_equal(old.truth, saved.final)


def test_strategies_see_the_recorded_evaluations():
    record = pool()
    selection = TrainAll(score="log-loss", last=2).select(range(4), 10, record.replay, every=5)
    assert selection.winner == int(np.argmax(record.early(2)))
    metric = TrainAll(last=1).select(range(4), 10, record.replay, every=5)
    assert metric.winner == int(np.argmax(record.correct[:, -1].mean(axis=1)))


def test_a_file_that_is_not_a_pool_record_is_named_in_the_error(tmp_path):
    from safetensors.numpy import save_file

    (tmp_path / "text").write_text("not a pool record")
    save_file({"final": np.zeros(3)}, tmp_path / "other")
    for name in ("text", "other", "missing"):
        with pytest.raises(FileError, match=name):
            PoolRecord.load(tmp_path / name)
