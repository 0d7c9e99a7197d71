"""Criteria: what a weight is worth. A rule then draws masks by these scores.

`criterion` has what all criteria share, `passes` how a model is run for them, and `gradient` the criteria that need
gradients. Each criterion is a file: `magnitude`, `wanda`, `ria`, `taylor`, `fisher`, `movement`, `custom`.
"""

from randprune_lab.criteria.criterion import (
    CRITERIA,
    Criterion,
    describe_criterion,
    make_criterion,
    recorded_criterion,
    scores_by,
)
from randprune_lab.criteria.custom import Custom
from randprune_lab.criteria.fisher import Fisher
from randprune_lab.criteria.gradient import GradientCriterion, Record
from randprune_lab.criteria.magnitude import MagnitudeScore
from randprune_lab.criteria.movement import Movement
from randprune_lab.criteria.passes import Batch, Loss, model_loss
from randprune_lab.criteria.ria import Ria
from randprune_lab.criteria.score import scores
from randprune_lab.criteria.taylor import Taylor
from randprune_lab.criteria.wanda import Wanda

__all__ = [
    "CRITERIA",
    "Batch",
    "Criterion",
    "Custom",
    "Fisher",
    "GradientCriterion",
    "Loss",
    "MagnitudeScore",
    "Movement",
    "Record",
    "Ria",
    "Taylor",
    "Wanda",
    "describe_criterion",
    "make_criterion",
    "model_loss",
    "recorded_criterion",
    "scores",
    "scores_by",
]
