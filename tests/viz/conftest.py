"""One small search, run once; its folder is only read, or copied."""

from __future__ import annotations

import pytest

import randprune_lab as rl


@pytest.fixture(scope="session")
def record(glue_dir, tiny_model, tmp_path_factory) -> rl.RunRecord:
    config = rl.RunConfig(
        task="sst2",
        glue_dir=str(glue_dir),
        model=tiny_model,
        levels=(0.5, 0.9),
        candidates=3,
        evaluate_every=4,
        dense_epochs=5,
        dense_learning_rate=3e-3,
        epochs=1,
        learning_rate=1e-3,
    )
    return rl.RunRecord.load(rl.run(config, tmp_path_factory.mktemp("runs") / "whole", progress=False))
