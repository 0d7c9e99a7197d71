"""Measurements of the package itself, as ratios taken in one process."""
