"""Figures and explorers, drawn from curves and recorded runs."""

from randprune_lab.viz import figures, widgets
from randprune_lab.viz.controls import Choice
from randprune_lab.viz.explorer import Explorer
from randprune_lab.viz.guess import Guess
from randprune_lab.viz.widgets import choice, explore, predict, sampling_ratio_slider, score, sparsity_slider

__all__ = [
    "Choice",
    "Explorer",
    "Guess",
    "choice",
    "explore",
    "figures",
    "predict",
    "sampling_ratio_slider",
    "score",
    "sparsity_slider",
    "widgets",
]
