"""The closed forms against the reference procedure, by group size."""

import json

from randprune_lab.bench import limit
from randprune_lab.cli import main


def test_the_closed_forms_are_inaccurate_in_small_groups_and_not_in_large_ones():
    """Known from longer runs: about 6 % at 64 weights, below 1 % from 1,024 on. Seeds are fixed."""
    rows = limit.bench_limit(sizes=(64, 2048), sparsities=(0.9375,), numbers=2**16)
    errors = {(row["weights"], row["rounds"]): row["between candidates"] for row in rows}
    assert errors[64, 15]["relative error"] > 0.03
    assert abs(errors[2048, 15]["relative error"]) < 0.02 + 4 * errors[2048, 15]["standard error"]


def test_sizes_without_a_choice_are_left_out():
    assert limit.bench_limit(sizes=(8,), sparsities=(0.99,), numbers=16) == []


def test_the_command_prints_a_table_and_writes_json(monkeypatch, tmp_path, capsys):
    rows = limit.bench_limit(sizes=(32,), sparsities=(0.5,), numbers=2**10)
    monkeypatch.setattr(limit, "bench_limit", lambda: rows)
    assert main(["bench", "limit", "--json", str(tmp_path / "limit.json")]) == 0
    assert "between candidates" in capsys.readouterr().out
    assert json.loads((tmp_path / "limit.json").read_text()) == rows
