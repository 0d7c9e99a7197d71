"""Who leads a pool early, and where the leader ends."""

from __future__ import annotations

import numpy as np
import pytest
from support.made_up import pool

from randprune_lab.analysis.standing import Standing
from randprune_lab.errors import ConfigError


def test_early_scores_are_means_of_the_last_evaluations():
    made = pool(5, looks=3)
    assert np.allclose(Standing(made, 15).early, made.examples[:, 2:].mean(axis=(1, 2)))
    assert np.allclose(Standing(made, 10, last=1).early, made.examples[:, 2].mean(axis=1))
    assert np.allclose(Standing(made, 0).early, made.examples[:, 0].mean(axis=1))  # there is one


def test_where_early_scores_have_the_final_order_the_leader_is_the_best():
    now = Standing(pool(6, settled=True), 10)
    assert now.place == 1 and now.leader == int(now.pool.final.argmax()) and now.agreement.estimate == pytest.approx(1)


def test_steps_without_an_evaluation_are_refused():
    with pytest.raises(ConfigError, match="steps must be one of 0, 5, 10, got 7"):
        Standing(pool(), 7)
