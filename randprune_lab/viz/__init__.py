"""Figures and widgets, drawn from curves and recorded runs."""
