"""The sensitivity of a dense model, as a run would train it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from torch import Tensor

from randprune_lab.errors import ConfigError, check_count, unknown_name
from randprune_lab.probe import divergence_from, sensitivity
from randprune_lab.probe.sensitivity import SPARSITIES
from randprune_lab.search.config import RunConfig
from randprune_lab.search.drawing import proposal_of
from randprune_lab.search.folder import units_with_dense
from randprune_lab.search.level import derived_seed
from randprune_lab.search.loaded import Loaded
from randprune_lab.search.recorded_config import read_config
from randprune_lab.search.run_files import checkpoint_path, load_tensors
from randprune_lab.search.scorer import label_loss, ordered_batches
from randprune_lab.search.units import DENSE
from randprune_lab.training.loop import train

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("randprune_lab")

Measure = Literal["divergence", "loss"]
MEASURES: tuple[Measure, ...] = get_args(Measure)

EXAMPLES = 256
"""The number of validation examples that the loss is measured on by default."""


def scan(
    config: RunConfig | str | Path,
    *,
    sparsities: Sequence[float] = SPARSITIES,
    measure: Measure = "divergence",
    examples: int = EXAMPLES,
    file: str | Path | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Fine-tune the dense model of a run, and scan the sensitivity of its tensors on the validation set.

    Args:
        config: the settings of a run, of which those of data, dense model, criterion and weights to prune count; or the
            folder of a run, whose dense model is read instead of trained.
        sparsities: see `sensitivity`.
        measure: what rises: the loss of the labels, or KL(dense || pruned) of the predictions. The loss can fall by
            chance on few examples; the divergence cannot, and allocations by it were better.
        examples: the number of validation examples, the first ones.
        file: a CSV file for the rows, see `sensitivity`.
        progress: show progress bars.

    Returns:
        The table of `sensitivity`; its losses are what was measured.

    Raises:
        ConfigError, DataError, FileError, RunError: if settings, data, model, file or run folder cannot be used.
    """
    check_count("examples", examples)
    if measure not in MEASURES:
        raise unknown_name("measure", measure, MEASURES)
    folder = None if isinstance(config, RunConfig) else Path(config)
    settings = config if isinstance(config, RunConfig) else read_config(Path(config))
    if settings.accumulated:
        raise ConfigError(
            f"criterion {settings.criterion!r} sums up scores during a training, which a scan has not; take another"
        )
    loaded = Loaded(settings)
    model, validation = loaded.model, loaded.validation
    with loaded.compute.active():
        if folder is not None:
            model.load_state_dict(dense_weights(folder))
        else:
            log.info("dense: fine-tuning on %d examples", len(loaded.train))
            evaluate = loaded.scores_on(validation)
            history = train(model, loaded.train, settings.dense_training(), evaluate=evaluate)
            metric = loaded.task.primary_metric
            log.info("dense: %s %.4f on the validation set", metric, history.scores[history.best])
        seed = derived_seed(settings.seed, "mask", 1)
        scores, signed = proposal_of(settings, settings.methods()[0], 1, seed, loaded.train).importance(model)
        batches = ordered_batches(validation.first(min(examples, len(validation))))
        return sensitivity(
            model,
            batches if measure == "loss" else divergence_from(model, batches),
            sparsities,
            scores=scores,
            signed=signed,
            **settings.scope,
            loss=label_loss,
            file=file,
            progress=progress,
        )


def dense_weights(path: Path) -> dict[str, Tensor]:
    """The dense model of the run in a folder.

    Raises:
        RunError: if the run has not trained it yet.
        FileError: if its file is missing or damaged, or has other weights than were recorded.
    """
    units = units_with_dense(path)
    return load_tensors(checkpoint_path(path, DENSE), units[DENSE]["weights_sha256"])
