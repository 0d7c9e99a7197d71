from __future__ import annotations

import pytest

import randprune_lab as rl


@pytest.fixture(scope="session")
def record(finished) -> rl.RunRecord:
    return rl.RunRecord.load(finished)
