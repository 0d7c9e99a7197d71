"""Generated tasks modelled on GLUE's eight: a small artificial language, rows on demand, labels known to be right."""

from randprune_lab.tasks.mini_glue.corpus import GENERATORS, MiniGlue, generate, phenomena_of

__all__ = ["GENERATORS", "MiniGlue", "generate", "phenomena_of"]
