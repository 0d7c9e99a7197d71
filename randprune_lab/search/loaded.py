"""The configuration of a run with what it names: the data, and the model before any training."""

from __future__ import annotations

from typing import Any

from randprune_lab.errors import ConfigError
from randprune_lab.masks.scope import prunable
from randprune_lab.masks.structures import find_structure
from randprune_lab.models.load import load_model
from randprune_lab.search.config import RunConfig
from randprune_lab.tasks import load_splits
from randprune_lab.tasks.metrics import judged_by
from randprune_lab.tasks.spec import suffixed
from randprune_lab.tasks.splits import label_warnings
from randprune_lab.training.compute import Compute
from randprune_lab.training.data import Encoded, check_fits, encode
from randprune_lab.training.distillation import check_states
from randprune_lab.training.scoring import SplitScore

UNKNOWN = 0.2
"""The largest fraction of unknown tokens at which a model's vocabulary is accepted for a text."""

WITH_WORDS = {"tiny-minilm", "tiny-distilled", "minilm"}
"""Models with MiniLM's vocabulary: a text that one of them does not know, none knows."""


class Loaded:
    """The data of a configuration, and one model, which gets other weights for each step.

    Args:
        config: the settings of the run.

    Raises:
        ConfigError, DataError, FileError: if the task, the data or the model cannot be found or used.
    """

    def __init__(self, config: RunConfig):
        self.config = config
        self.splits = load_splits(
            config.custom_data or config.mini_glue or config.task,
            glue_dir=config.glue_dir,
            train_size=config.train_size,
            train_seed=config.train_seed,
        )
        self.task = judged_by(self.splits.task, config.metric)
        self.compute = Compute.find(config.device, config.threads, config.precision, config.compute)
        self.model, self.tokenizer = self._load()
        # This finds a pattern that matches nothing, or a block that does not fit, before the work begins.
        find_structure(config.structure).layout(self.model, prunable(self.model, **config.scope))
        self._initial = {name: tensor.cpu().clone() for name, tensor in self.model.state_dict().items()}
        self.train = self.encode(self.splits.train)
        check_states(self.model, self.train.batch([0]), config.distillation, config.model)
        self.validation = self.encode(_first(self.splits.validation, "validation", config.validation_size))
        tests = self.splits.tests.items()
        self.tests = {name: self.encode(_first(rows, "test", config.test_size)) for name, rows in tests}

    def encode(self, rows: Any) -> Encoded:
        """The rows as token ids for this run's model.

        Raises:
            ConfigError: if the model has no embedding for a token or a position, or too many tokens are unknown.
        """
        length = self.config.max_length or self.task.max_length
        encoded = encode(rows, self.task.text_fields, self.tokenizer, length)
        check_fits(encoded, self.model, self.tokenizer, self.config.model)
        if (unknown := encoded.share(self.tokenizer.unk_token_id)) > UNKNOWN:
            known = "by its hub id or folder" if self.config.model in WITH_WORDS else "such as tiny-minilm or minilm"
            raise ConfigError(
                f"model {self.config.model!r} does not know {unknown:.0%} of the tokens of task {self.task.name!r}; "
                f"choose a model for such text, {known}"
            )
        return encoded

    @property
    def used(self) -> dict[str, Encoded]:
        """The rows that this run uses, by role."""
        tests = {suffixed("test", test_set): rows for test_set, rows in self.tests.items()}
        return {"train": self.train, "validation": self.validation, **tests}

    def label_warnings(self) -> list[str]:
        """What this run's scores may hide about the labels."""
        return label_warnings(self.task, {role: rows.labels.tolist() for role, rows in self.used.items()})

    def fresh_model(self) -> Any:
        """A new model in the state of this run's model before any training."""
        return self._load()[0]

    def _load(self) -> tuple[Any, Any]:
        config = self.config
        model: Any
        model, tokenizer = load_model(config.model, task=self.task, layers=config.layers, seed=config.seed)
        return model.to(self.compute.device), tokenizer

    def scores_on(self, rows: Encoded) -> SplitScore:
        """What scores a training on these rows."""
        return SplitScore(self.task, rows, log_loss=self.config.checkpoint == "log-loss")


def _first(split: Any, role: str, size: int | None) -> Any:
    """The first rows of a split, or all. Every prefix of a split has the label proportions of the whole."""
    if size is None:
        return split
    if size > len(split):
        raise ConfigError(f"{role}_size must be at most {len(split)}, the number of rows of the {role} set, got {size}")
    return split.select(range(size))
