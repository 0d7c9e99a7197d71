"""Figures and explorers, drawn from curves and recorded runs."""

from randprune_lab.viz import figures, widgets
from randprune_lab.viz.controls import Choice
from randprune_lab.viz.explorer import Explorer
from randprune_lab.viz.widgets import choice, explore, sampling_ratio_slider, sparsity_slider

__all__ = [
    "Choice",
    "Explorer",
    "choice",
    "explore",
    "figures",
    "sampling_ratio_slider",
    "sparsity_slider",
    "widgets",
]
