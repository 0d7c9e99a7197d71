"""A pool record survives saving, and strategies run on it."""

import numpy as np
import pytest
from support.made_up import pool

from randprune_lab.analysis.pool_record import PoolRecord
from randprune_lab.errors import FileError
from randprune_lab.search.strategies import TrainAll


def test_a_saved_pool_record_is_loaded_unchanged(tmp_path):
    saved = pool()
    saved.save(tmp_path / "pool")
    loaded = PoolRecord.load(tmp_path / "pool")
    for name, value in vars(saved).items():
        assert np.array_equal(getattr(loaded, name), value), name
    assert loaded.examples.dtype == np.float64 and loaded.correct.dtype == bool


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
