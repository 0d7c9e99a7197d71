"""Packages that are missing or too old are named; only carried ones are installed, and never torch."""

from __future__ import annotations

import sys
from importlib import metadata

import pytest

from gpu import needs


def test_missing_and_old_packages_are_named():
    has = dict.fromkeys(needs.needed(), "99.0")
    assert needs.missing(has) == {}
    del has["datasets"], has["xxhash"]
    assert needs.missing(has | {"transformers": "4.57.1", "torch": "2.11.0+cu130"}) == {
        "datasets": "missing",
        "transformers": "version 4.57.1 is below 5.8",
        "xxhash": "missing, needed by datasets",
    }


def test_everything_is_there_where_the_tests_run():
    assert needs.missing() == {}


def test_wheels_are_found_by_the_name_of_their_package(tmp_path):
    for name in ("wadler_lindig-0.1.8-py3-none-any.whl", "dill-0.4.1-py3-none-any.whl", "readme.txt"):
        (tmp_path / name).touch()
    assert set(needs.carried(tmp_path)) == {"wadler-lindig", "dill"}
    assert needs.carried(tmp_path / "none") == {}


def test_torch_is_never_installed_and_no_index_is_asked(tmp_path):
    command = needs.install_command(["dill"], tmp_path, tmp_path / "site")
    assert command[0] == sys.executable and {"--no-index", "--no-deps", "--target"} <= {*command}
    with pytest.raises(AssertionError):
        needs.install_command(["torch"], tmp_path, tmp_path / "site")


def test_the_version_of_the_checkout_is_known_without_an_installation(tmp_path):
    needs.announce_package(tmp_path)
    (found,) = metadata.distributions(name="randprune-lab", path=[str(tmp_path)])
    assert found.version == metadata.version("randprune-lab")
