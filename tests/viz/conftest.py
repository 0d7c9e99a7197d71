from __future__ import annotations

import pytest

import randprune_lab as rp


@pytest.fixture(scope="session")
def record(finished) -> rp.RunRecord:
    return rp.RunRecord.load(finished)
