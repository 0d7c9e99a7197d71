"""Generated tasks in the likeness of GLUE's eight: a small language of our own, any number of rows, known answers."""

from randprune_lab.tasks.mini_glue.corpus import GENERATORS, MiniGlue, generate

__all__ = ["GENERATORS", "MiniGlue", "generate"]
