"""Masks as mathematics: rules, inclusion curves, sampling, mask sets. No training, no model zoo."""
