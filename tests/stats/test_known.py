"""A statistic that cannot be computed is None with a reason; other errors are not hidden."""

import numpy as np
import pytest

from randprune_lab.errors import ConfigError
from randprune_lab.stats import known, variance_split


def test_an_unknown_statistic_has_the_reason_of_its_error():
    assert known(lambda: variance_split(np.arange(6.0).reshape(2, 3)).seed) == (1.0, "")
    found, reason = known(lambda: variance_split(np.ones((2, 1))))
    assert found is None and reason == "a variance split needs at least two masks and two seeds, got 2 and 1"


def test_other_errors_are_raised():
    def wrong():
        raise ConfigError("a setting")

    with pytest.raises(ConfigError):
        known(wrong)
