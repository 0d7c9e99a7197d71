"""Masks as mathematics: rules, inclusion curves, sampling, mask sets. No training, no models.

Read the files in this order; each builds on those before it:

1. `reference`: the published procedure, slow and simple. All faster code is tested against it.
2. `curve`: from weights to scores, a histogram, and an inclusion curve.
3. `rules`: each rule is one curve. `check` has the laws that a rule of your own must obey.
4. `wrappers`, `layers`, `choice` and `scope`: what each parameter of a model is, which are pruned and why. `sparsity`
    has a sparsity for each pattern of names. The room `allocations`: how many weights each tensor keeps.
5. `weight_checks`: what weights must be. `importance`: scores that are given instead of magnitudes. `plan`: what all
    candidates of a group have in common.
6. `counter_rng` and `pareto`: how one candidate is drawn, with exactly k weights kept; `small_groups`: those that the
    reference procedure draws; `rows`: many of them at once.
7. `layout`: what a sampler draws. `structures` names what it can be besides single weights: `blocks`, `coupled` units
    (`heads` and `neurons`), and `n_of_m`. `group_law`: expected distances in small groups.
8. `sampler`: `MaskSampler`, which brings these together.

Around them: `mask_set`, `mask_table` and `mask_file` (masks in memory, in print and on disk), `gradients` (masks of
gradients), `recipe` (a mask's name). `schedule`, `regrow`, `gradual` and `redraws` redraw masks during a training.
"""

from randprune_lab.masks.allocations import ALLOCATIONS, Allocation, keep_counts, tensor_counts
from randprune_lab.masks.check import check_rule
from randprune_lab.masks.curve import Histogram, InclusionCurve
from randprune_lab.masks.gradual import GradualMasks
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.recipe import Recipe
from randprune_lab.masks.reference import published_mask
from randprune_lab.masks.rules import RULES, GumbelTopK, Magnitude, Rule, Uniform, Voting, make_rule
from randprune_lab.masks.sampler import MaskSampler
from randprune_lab.masks.scope import prunable

__all__ = [
    "ALLOCATIONS",
    "RULES",
    "Allocation",
    "GradualMasks",
    "GumbelTopK",
    "Histogram",
    "InclusionCurve",
    "Magnitude",
    "MaskSampler",
    "MaskSet",
    "Recipe",
    "Rule",
    "Uniform",
    "Voting",
    "check_rule",
    "keep_counts",
    "make_rule",
    "prunable",
    "published_mask",
    "tensor_counts",
]
