"""Controls: baselines that need no encoder. On a task where they are as good as the model, masks cannot matter."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor, nn

from randprune_lab.errors import DataError, RunError
from randprune_lab.search.loaded import Loaded
from randprune_lab.tasks import Task, compute_metrics
from randprune_lab.training.loop import train
from randprune_lab.training.scoring import predict, score

BARE = "without-encoder"
BARE_RATES = (1.0, 3.0, 10.0)
"""Learning rates of the model without encoder, as multiples of the dense one; the validation set chooses."""


def measure_controls(loaded: Loaded) -> tuple[dict[str, float], np.ndarray]:
    """Measure the baselines that need no encoder.

    `majority` answers with the most frequent label, or the mean score. `words` is a linear model of the words of a
    text; the validation set chooses between two kinds of features. `without-encoder` is the model without its blocks,
    trained like the dense model; the validation set chooses the learning rate, of those with finite answers.

    Returns:
        The scores on the test set by name, and the logits of `without-encoder`.

    Raises:
        RunError: if `without-encoder` has finite answers with none of its learning rates.
    """
    task, splits = loaded.task, loaded.splits
    rows = len(loaded.tests[""])
    test = splits.test.select(range(rows))
    words = [linear_words(task, splits.train, splits.validation, test, compared=compared) for compared in (False, True)]
    logits = _bare(loaded)
    return {
        "majority": majority(task, splits.train, test),
        "words": max(words)[1],
        BARE: score(task, logits, loaded.tests[""])[task.primary_metric],
    }, logits


def majority(task: Task, train: Any, test: Any) -> float:
    """The first metric on the test set of the train set's most frequent label, or its mean score, as every answer."""
    labels = np.asarray(train["label"])
    answer = labels.mean() if task.regression else np.bincount(labels).argmax()
    return _score(task, np.full(len(test), answer), test)


def linear_words(task: Task, train: Any, validation: Any, test: Any, *, compared: bool) -> tuple[float, float]:
    """Train a linear model on bags of words, one for each text field.

    Args:
        task: the task.
        train, validation, test: the rows.
        compared: add features for the words that are in both texts, and for those in only one of them.

    Returns:
        The first metric on the validation set, and on the test set.
    """
    from sklearn.linear_model import LogisticRegression, Ridge

    features = _features(task, (train, validation, test), compared)
    model = Ridge() if task.regression else LogisticRegression(max_iter=2000)
    model.fit(features[0], train["label"])
    on_validation, on_test = (
        _score(task, model.predict(inputs), rows) for inputs, rows in zip(features[1:], (validation, test), strict=True)
    )
    return on_validation, on_test


def without_blocks(model: nn.Module) -> nn.Module:
    """A copy of a model without its repeated blocks (`nn.ModuleList`); embeddings, norms and head remain."""
    bare = copy.deepcopy(model)
    config: Any = getattr(bare, "config", None)
    kind = getattr(config, "model_type", "")
    blocks = [_Unchanged()] if kind == "deberta-v2" else []
    if kind == "albert":
        config.num_hidden_layers = 0  # it goes through its blocks that often
    names = [name for name, module in bare.named_modules() if isinstance(module, nn.ModuleList)]
    for name in names:
        if not any(name.startswith(f"{other}.") for other in names):
            bare.set_submodule(name, nn.ModuleList(blocks))
    return bare


class _Unchanged(nn.Module):
    """A block that changes nothing: the encoder of DeBERTa-v2 and v3 returns the states of its last block."""

    def forward(self, states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, None]:
        return states, None


def _bare(loaded: Loaded) -> np.ndarray:
    config = loaded.config.dense_training()
    rates = [rate * config.learning_rate for rate in BARE_RATES]
    trained, failed = [], None
    for number, rate in enumerate(rates):
        bare = without_blocks(loaded.fresh_model())
        training = replace(config, learning_rate=rate)
        try:
            history = train(bare, loaded.train, training, evaluate=loaded.scores_on(loaded.validation))
        except DataError as error:  # in regression, answers that are not finite have no score
            failed = error
            continue
        trained.append((history.scores[history.best], -number, predict(bare, loaded.tests[""])))
    finite = [entry for entry in trained if np.isfinite(entry[2]).all()]
    if not finite:
        tried = ", ".join(f"{rate:g}" for rate in rates)
        raise RunError(
            f"the model without encoder has finite answers with none of its learning rates, {tried}; lower "
            "dense_learning_rate"
        ) from failed
    return max(finite, key=lambda entry: entry[:2])[2]


def _features(task: Task, parts: tuple[Any, ...], compared: bool) -> list[Any]:
    from scipy import sparse
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(token_pattern=r"\S+", binary=True)
    fields = task.text_fields
    counter.fit([text for field in fields for text in parts[0][field]])
    features = []
    for rows in parts:
        counts = [counter.transform(list(rows[field])) for field in fields]
        shared = [counts[0].multiply(counts[1]), abs(counts[0] - counts[1])] if compared and len(fields) == 2 else []
        features.append(sparse.hstack([*counts, *shared]).tocsr())
    return features


def _score(task: Task, answers: Any, rows: Any) -> float:
    return compute_metrics(task, answers, rows["label"])[task.primary_metric]
