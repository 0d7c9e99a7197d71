"""A trained pool in a file is the pool."""

import numpy as np
import pytest
from support.made_up import pool

from randprune_lab.analysis.pool_record import PoolRecord
from randprune_lab.errors import FileError
from randprune_lab.search.strategies import TrainAll


def test_what_was_saved_comes_back_equal(tmp_path):
    saved = pool()
    saved.save(tmp_path / "pool")
    loaded = PoolRecord.load(tmp_path / "pool")
    for name, value in vars(saved).items():
        assert np.array_equal(getattr(loaded, name), value), name
    assert loaded.examples.dtype == np.float64 and loaded.correct.dtype == bool


def test_strategies_see_the_recorded_evaluations():
    one = pool()
    selection = TrainAll(score="log-loss", last=2).select(range(4), 10, one.replay, every=5)
    assert selection.winner == int(np.argmax(one.early(2)))
    metric = TrainAll(last=1).select(range(4), 10, one.replay, every=5)
    assert metric.winner == int(np.argmax(one.correct[:, -1].mean(axis=1)))


def test_a_file_that_is_no_pool_is_named(tmp_path):
    from safetensors.numpy import save_file

    (tmp_path / "text").write_text("no pool")
    save_file({"final": np.zeros(3)}, tmp_path / "other")
    for name in ("text", "other", "missing"):
        with pytest.raises(FileError, match=name):
            PoolRecord.load(tmp_path / name)
