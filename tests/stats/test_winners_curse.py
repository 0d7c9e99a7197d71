"""The closed form of the winner's curse agrees with simulations."""

import numpy as np
import pytest

from randprune_lab.errors import ConfigError
from randprune_lab.stats.winners_curse import best_of


@pytest.mark.parametrize(("candidates", "spread", "noise"), [(2, 1.0, 0.5), (16, 0.5, 1.0), (64, 0.0, 2.0)])
def test_expected_score_and_true_value_agree_with_simulations(candidates, spread, noise):
    random = np.random.default_rng(0)
    truth = random.normal(0, spread, size=(20_000, candidates))
    scores = truth + random.normal(0, noise, size=truth.shape)
    best = scores.argmax(axis=1)
    rows = np.arange(len(best))
    expected_score, expected_truth = best_of(candidates, spread, noise)
    for sample, expected in ((scores[rows, best], expected_score), (truth[rows, best], expected_truth)):
        assert abs(sample.mean() - expected) < 5 * (sample.std() + 1e-12) / np.sqrt(len(sample))  # 1 in a million


def test_the_maximum_of_normal_numbers_has_its_known_means():
    assert best_of(2, 1.0, 0.0) == pytest.approx((np.pi**-0.5, np.pi**-0.5))
    assert best_of(3, 1.0, 0.0)[0] == pytest.approx(1.5 * np.pi**-0.5)
    assert best_of(1, 1.0, 1.0) == (0.0, 0.0) and best_of(8, 0.0, 0.0) == (0.0, 0.0)


@pytest.mark.parametrize("wrong", [(0, 1.0, 1.0), (2, -1.0, 1.0), (2, 1.0, -1.0)])
def test_impossible_arguments_are_refused(wrong):
    with pytest.raises(ConfigError):
        best_of(*wrong)
