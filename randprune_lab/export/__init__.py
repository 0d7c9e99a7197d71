"""The winner of a run as a folder to share: weights, configuration, tokenizer, masks, and a model card."""

from randprune_lab.export.folder import FORMATS, export_run

__all__ = ["FORMATS", "export_run"]
