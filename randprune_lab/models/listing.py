"""The models in a list: what each of them is, where it comes from, and how large it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from randprune_lab.errors import RandpruneError
from randprune_lab.masks.choice import scope
from randprune_lab.models.known import MODELS, PackagedModel, as_text, place_of
from randprune_lab.models.load import config_of, explained
from randprune_lab.models.quiet import quiet


def model_rows(names: Sequence[str | Path] = ()) -> list[dict[str, Any]]:
    """One row for each model: its description, its source, and its size or why it is not available.

    Its `weights` are the rows of the table that `randprune_lab.scope` prints.

    Args:
        names: names of models, hub ids or folders; by default all of `MODELS`.
    """
    return [{"name": name} | _about(name) | _size(name) for name in map(as_text, names or MODELS)]


def _about(name: str) -> dict[str, Any]:
    model = MODELS.get(name)
    if model is None:
        folder = Path(name).is_dir()
        return {"description": None, "source": f"folder {name}" if folder else f"Hugging Face hub, {name}"}
    if isinstance(model, PackagedModel):
        source = f"pip package {model.package}"
    else:
        source = f"built here, {'random weights' if model.encoder is None else 'random head'} from the seed"
        if model.embeddings_of is not None:
            source += f"; tokenizer and embeddings: {_about(model.embeddings_of)['source']}"
        if model.encoder is not None:
            source += "; other weights: this package"
    return {"description": model.description, "source": source}


def _size(name: str) -> dict[str, Any]:
    from transformers import AutoModelForSequenceClassification

    row = dict.fromkeys(("layers", "width", "parameters", "prunable", "dense_layers", "weights", "unavailable"))
    try:
        with quiet():
            config = config_of(name)
        with explained(name, place_of(name)), torch.device("meta"):  # shapes without memory
            model = AutoModelForSequenceClassification.from_config(config)
        table = scope(model)
    except RandpruneError as error:
        return row | {"unavailable": str(error)}
    return row | {
        "layers": getattr(config, "num_hidden_layers", None),
        "width": getattr(config, "hidden_size", None),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "prunable": table.prunable,
        "dense_layers": table.dense_layers,
        "weights": [asdict(part) for part in table.rows],
    }
