"""What pruning costs before any training: forward passes with one tensor pruned, or with one allocation after another.

Read `one_shot` and `measures` first.
"""

from randprune_lab.probe.evolution import Evolution, evolve_allocation
from randprune_lab.probe.measures import divergence_from, loss_on
from randprune_lab.probe.one_shot import OneShot
from randprune_lab.probe.sensitivity import sensitivity

__all__ = ["Evolution", "OneShot", "divergence_from", "evolve_allocation", "loss_on", "sensitivity"]
