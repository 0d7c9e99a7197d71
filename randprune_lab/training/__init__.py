"""Training one model on one task, with or without a mask; evaluation."""

from randprune_lab.training.config import Distillation, TrainingConfig
from randprune_lab.training.data import Encoded, encode
from randprune_lab.training.distillation import Teacher
from randprune_lab.training.loop import History, Training, train
from randprune_lab.training.scoring import SplitScore, answers, log_likelihood, predict, score

__all__ = [
    "Distillation",
    "Encoded",
    "History",
    "SplitScore",
    "Teacher",
    "Training",
    "TrainingConfig",
    "answers",
    "encode",
    "log_likelihood",
    "predict",
    "score",
    "train",
]
