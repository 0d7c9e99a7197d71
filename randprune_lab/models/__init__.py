"""Models to prune: the offline default, tiny models, and any model from the hub or a folder."""

from randprune_lab.models.fast import load_fast
from randprune_lab.models.known import MODELS
from randprune_lab.models.listing import model_rows
from randprune_lab.models.load import load_model
from randprune_lab.models.tiny import tiny_config, word_tokenizer

__all__ = [
    "MODELS",
    "load_fast",
    "load_model",
    "model_rows",
    "tiny_config",
    "word_tokenizer",
]
