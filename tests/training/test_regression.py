"""Regression: a head of width one, squared errors as losses, correlations as metrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from randprune_lab.models.load import load_model
from randprune_lab.tasks import get_task, load_splits
from randprune_lab.training.config import Distillation, TrainingConfig
from randprune_lab.training.data import encode
from randprune_lab.training.distillation import Teacher, label_loss, loss
from randprune_lab.training.loop import train
from randprune_lab.training.scoring import SplitScore, answers, predict, score

STSB = get_task("stsb")


@pytest.fixture(scope="module")
def pairs(pairs_dir, tiny_model):
    splits = load_splits("stsb", glue_dir=pairs_dir)
    _, tokenizer = load_model(tiny_model, task=STSB)
    return [encode(rows, STSB.text_fields, tokenizer, 32) for rows in (splits.train, splits.validation)]


@pytest.fixture
def model(tiny_model):
    return load_model(tiny_model, task=STSB)[0].eval()


def test_labels_are_scores(pairs):
    assert pairs[0].labels.dtype == np.float32 and set(pairs[0].labels) == {0.0, 2.5, 5.0}
    assert pairs[0].batch([0, 1])["labels"].dtype == torch.float32


def test_the_head_has_one_output_that_is_the_score(pairs, model):
    assert model.config.num_labels == 1 and model.config.problem_type == "regression"
    logits = predict(model, pairs[1])
    assert logits.shape == (len(pairs[1]), 1)
    assert (answers(STSB, logits) == logits[:, 0]).all()
    assert list(score(STSB, logits, pairs[1])) == ["pearson", "spearman"]


def test_the_loss_is_the_mean_squared_error(pairs, model):
    batch = pairs[0].batch(list(range(8)))
    predicted = predict(model, pairs[0])[:8, 0]
    expected = np.mean((predicted - pairs[0].labels[:8]) ** 2)
    assert loss(model, batch, None, Distillation()).item() == pytest.approx(expected, rel=1e-5)
    inputs = {key: value for key, value in batch.items() if key != "rows"}
    assert model(**inputs).loss.item() == pytest.approx(expected, rel=1e-5), "transformers computes the same loss"


def test_the_loss_does_not_broadcast_scores_to_a_matrix():
    """(b, 1) minus (b,) would silently be (b, b)."""
    logits, labels = torch.tensor([[1.0], [2.0]]), torch.tensor([1.0, 2.0])
    assert label_loss(logits, labels).item() == 0.0


def test_the_teachers_scores_enter_the_loss_as_squared_errors(pairs, model, tiny_model):
    teacher = Teacher(load_model(tiny_model, task=STSB, seed=1)[0], pairs[0])
    batch = pairs[0].batch(list(range(8)))
    student, target = predict(model, pairs[0])[:8], teacher.logits[:8]
    for settings in (Distillation(), Distillation(temperature=7.0)):  # nothing to soften
        expected = np.mean((student - target) ** 2)
        assert loss(model, batch, teacher, settings).item() == pytest.approx(expected, rel=1e-5)
    both = loss(model, batch, teacher, Distillation(labels=0.5, logits=2.0)).item()
    labels = np.mean((student[:, 0] - pairs[0].labels[:8]) ** 2)
    assert both == pytest.approx(0.5 * labels + 2.0 * np.mean((student - target) ** 2), rel=1e-5)


def test_scores_are_learned(pairs, model):
    config = TrainingConfig(epochs=10, learning_rate=3e-3)
    history = train(model, pairs[0], config, evaluate=SplitScore(STSB, pairs[1]))
    assert history.scores[-1] > 0.9


def test_the_offline_model_has_the_same_loss():
    model, tokenizer = load_model("minilm", task=STSB, layers=1)
    batch = tokenizer(["one text", "another"], return_tensors="pt", padding=True)
    answer = model.eval()(**batch, labels=torch.tensor([1.0, 4.0]))
    assert answer.logits.shape == (2, 1)
    assert answer.loss.item() == pytest.approx(((answer.logits[:, 0] - torch.tensor([1.0, 4.0])) ** 2).mean().item())
