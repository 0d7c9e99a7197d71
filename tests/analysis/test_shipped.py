"""What ships is found, read, and missed with a remedy."""

import pytest
from made_up import pool

from randprune_lab.analysis.shipped import data_folder, recorded_results, reference_results, trained_pools
from randprune_lab.errors import FileError


def test_recorded_pools_ship_and_are_sorted():
    pools = trained_pools()
    keys = [(one.task, one.seed, one.candidates_from != "voting", one.sparsity) for one in pools]
    assert keys == sorted(keys) and len(set(keys)) == len(keys) >= 6


def test_reference_results_have_their_sources():
    table = reference_results()
    assert {"method", "sparsity", "task", "metric", "value", "source"} == set(table) and table.source.notna().all()


def test_another_folder_of_pools_can_be_named(tmp_path):
    pool().save(tmp_path / "one.safetensors")
    assert [one.task for one in trained_pools(tmp_path)] == ["mini-sst2"]
    with pytest.raises(FileError, match="no trained pools"):
        trained_pools(tmp_path / "none")


def test_the_variable_says_where_data_is_and_is_believed(tmp_path, monkeypatch):
    monkeypatch.setenv("RANDPRUNE_DATA", str(tmp_path))
    with pytest.raises(FileError, match=r"clone the repository, or say where it is by .* RANDPRUNE_DATA"):
        data_folder()
    (tmp_path / "reference_results.csv").write_text("method\n")
    assert data_folder() == tmp_path


def test_recorded_results_have_every_method_at_every_level():
    table = recorded_results()
    levels = table[table.sparsity > 0].groupby(["task", "seed", "method"]).size()
    assert set(levels) == {6} and {"imp", "uniform", "published", "random allocation", "dense"} == set(table.method)
    assert (table.gain[table.method == "imp"] == 0).all()
