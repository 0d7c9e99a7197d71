"""A cluster that the tests of a file share: it takes seconds to start, and time of a processor as long as it runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dask.distributed import LocalCluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster
