"""Predictions that readers commit to before they see a result: kept in a file, and scored."""

from randprune_lab.predictions.kept import FILE, RECORD, keep_prediction, predictions_of, read_predictions
from randprune_lab.predictions.prediction import Prediction, certainties
from randprune_lab.predictions.score import Score, brier_score, score_predictions

__all__ = [
    "FILE",
    "RECORD",
    "Prediction",
    "Score",
    "brier_score",
    "certainties",
    "keep_prediction",
    "predictions_of",
    "read_predictions",
    "score_predictions",
]
