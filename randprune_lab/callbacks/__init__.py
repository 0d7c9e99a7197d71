"""Masks in a training that is not the laboratory's: the Trainer of transformers, or a loop of your own."""

from randprune_lab.callbacks.gradual import GradualPruning
from randprune_lab.callbacks.mask_callback import MaskCallback

__all__ = ["GradualPruning", "MaskCallback"]
