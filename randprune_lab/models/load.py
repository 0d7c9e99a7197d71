"""Loading models with a classification head: the offline default, a tiny one, or any from the hub or a folder."""

from __future__ import annotations

import numbers
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from randprune_lab.errors import (
    ConfigError,
    FileError,
    RandpruneError,
    UnknownNameError,
    check_count,
    listed,
    unknown_name,
)
from randprune_lab.files import reading
from randprune_lab.models.known import MODELS, WORD_EMBEDDINGS, PackagedModel, TinyModel, as_text, place_of
from randprune_lab.models.quiet import quiet
from randprune_lab.tasks.spec import Task, get_task

if TYPE_CHECKING:
    import transformers


def load_model(
    name: str | Path,
    *,
    num_labels: int | None = None,
    task: Task | str | None = None,
    layers: int | None = None,
    seed: int = 0,
) -> tuple[transformers.PreTrainedModel, transformers.PreTrainedTokenizerBase]:
    """A model with a classification head, in float32 on the CPU, and its tokenizer.

    Weights that the checkpoint lacks, usually the head, are drawn with `seed`; the global random state is not changed.
    A head for the same number of labels is kept.

    Args:
        name: one of `MODELS`, a folder with a model and its tokenizer, or a hub id.
        num_labels: outputs of the head; 1 for a score (regression).
        task: the task whose labels the head gets, or its name. Give either this or `num_labels`.
        layers: the number of layers to keep, from the first; all by default.

    Raises:
        UnknownNameError: if there is no such model or task, or the hub cannot be reached.
        FileError: if the package is not installed, a folder or its files are damaged, or the checkpoint lacks a weight
            that belongs to neither the head nor a pooler.
        ConfigError: if the model has fewer layers, its tokenizer cannot pad, a setting is of the wrong kind, or not
            exactly one of `num_labels` and `task` is given.

    >>> model, tokenizer = load_model("tiny", num_labels=3)
    >>> model.config.num_labels
    3
    """
    labels = _labels(num_labels, task)
    name = as_text(name)
    check_count("seed", seed, low=0, high=2**63 - 1)
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    if isinstance(tiny := MODELS.get(name), TinyModel):
        return _make_tiny(tiny, name, labels, layers, seed)
    place = place_of(name)
    with quiet(), explained(name, place):
        config = _load_config(name, place)
        _set_labels(config, labels)
        if layers is not None:
            _keep_layers(config, layers, name)
        tokenizer = AutoTokenizer.from_pretrained(place)
        with _seeded(seed):
            model, loading = AutoModelForSequenceClassification.from_pretrained(
                place,
                config=config,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,  # a head for another number of labels
                use_safetensors=True,  # the other kind of checkpoint is a pickle
                output_loading_info=True,
            )
    _check_weights(model, loading, name)
    _check_tokenizer(tokenizer, name)
    _enable_padding(model, tokenizer, name)
    return model, tokenizer


def _make_tiny(tiny: TinyModel, name: str, labels: Task | int, layers: int | None, seed: int) -> tuple[Any, Any]:
    from randprune_lab.models.mean_pooled_bert import MeanPooledBertForSequenceClassification
    from randprune_lab.models.tiny import reduced_embeddings

    with quiet():
        tokenizer = _tiny_tokenizer(tiny)
        config = _tiny_config(tokenizer)
        _set_labels(config, labels)
        if layers is not None:
            _keep_layers(config, layers, name)
        with _seeded(seed):
            model = MeanPooledBertForSequenceClassification(config).eval()
    if tiny.embeddings_of is not None:
        words = reduced_embeddings(Path(place_of(tiny.embeddings_of)), config.initializer_range)
        model.bert.embeddings.word_embeddings.weight.data.copy_(words)
    if tiny.encoder is not None:
        _load_encoder(model.bert, tiny.encoder)
    return model, tokenizer


def _load_encoder(encoder: Any, file: str) -> None:
    """Load the weights that ship with this package into an encoder that has its word embeddings already."""
    from safetensors.torch import load_file

    path = Path(__file__).with_name(file)
    with reading("weights file", path):
        weights = load_file(path)
        names = [name for name in encoder.state_dict() if name != WORD_EMBEDDINGS]
        encoder.load_state_dict({name: weights[name] for name in names}, strict=False)


def _tiny_tokenizer(tiny: TinyModel) -> Any:
    from transformers import AutoTokenizer

    from randprune_lab.models.tiny import POSITIONS, word_tokenizer

    if tiny.embeddings_of is None:
        return word_tokenizer()
    return AutoTokenizer.from_pretrained(place_of(tiny.embeddings_of), model_max_length=POSITIONS)


def _tiny_config(tokenizer: Any) -> Any:
    from randprune_lab.models.tiny import tiny_config

    config = tiny_config(len(tokenizer))
    config.pad_token_id = tokenizer.pad_token_id
    return config


def config_of(name: str) -> Any:
    """The configuration of a model; raises as `load_model` does."""
    if isinstance(tiny := MODELS.get(name), TinyModel):
        return _tiny_config(_tiny_tokenizer(tiny))
    place = place_of(name)
    with explained(name, place):
        return _load_config(name, place)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Weights drawn inside the block come from `seed`; after it, the global random state is as before."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(seed))  # unlike torch.manual_seed, leaves other devices alone
        yield


def _load_config(name: str, place: str) -> Any:
    from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, AutoConfig

    from randprune_lab.models.mean_pooled_bert import MeanPooledBertConfig  # makes the type known to transformers

    model = MODELS.get(name)
    mean_pooled = isinstance(model, PackagedModel) and model.mean_pooled
    config = (MeanPooledBertConfig if mean_pooled else AutoConfig).from_pretrained(place)
    if type(config) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        raise ConfigError(
            f"model {name!r} is of type {config.model_type!r}, of which transformers has no classifier "
            "(AutoModelForSequenceClassification); choose another model"
        )
    return config


def _labels(num_labels: int | None, task: Task | str | None) -> Task | int:
    """The task, or the number of labels."""
    if (num_labels is None) == (task is None):
        given = "both" if task is not None else "neither"
        raise ConfigError(f"load_model needs either num_labels or task, got {given}; give num_labels=2 for two classes")
    if task is not None:
        if not isinstance(task, Task | str):
            raise ConfigError(f"task must be a Task or its name, got {task!r}; give a number of labels as num_labels")
        return get_task(task) if isinstance(task, str) else task
    check_count("num_labels", num_labels)  # type: ignore[arg-type]  # not None here
    return int(num_labels)  # type: ignore[arg-type]


def _set_labels(config: Any, task: Task | int) -> None:
    if isinstance(task, int):
        config.num_labels = task
        return
    names = ("score",) if task.regression else task.labels
    config.id2label = dict(enumerate(names))
    config.label2id = {name: index for index, name in enumerate(names)}
    config.problem_type = "regression" if task.regression else "single_label_classification"


def _keep_layers(config: Any, layers: int, name: str) -> None:
    available = getattr(config, "num_hidden_layers", None)
    if available is None or config.is_encoder_decoder:
        raise ConfigError(
            f"layers cannot be set for model {name!r}, which is not one stack of layers, got {layers}; remove it"
        )
    whole = isinstance(layers, numbers.Integral) and not isinstance(layers, bool)
    if not (whole and 1 <= layers <= available):
        raise ConfigError(
            f"layers must be from 1 to {available}, the number of layers of model {name!r}, got {layers!r}"
        )
    config.num_hidden_layers = int(layers)
    if isinstance(kinds := getattr(config, "layer_types", None), list):  # such as local and global attention
        config.layer_types = kinds[: int(layers)]


def _check_weights(model: Any, loading: dict[str, Any], name: str) -> None:
    """Raise if the checkpoint lacks weights of the body: random or default ones would pass for trained ones."""
    fresh = {*loading["missing_keys"], *(key for key, *_ in loading["mismatched_keys"])}
    if lost := sorted(key for key in fresh if not _is_head(model, key)):
        unknown = sorted(loading["unexpected_keys"])
        found = f"; what it has instead may be {listed(unknown[:3])}: rename that (no 'module.')" if unknown else ""
        raise FileError(
            f"the checkpoint of model {name!r} lacks {len(lost)} weight tensors or has them in another shape, such as "
            f"{lost[0]!r}{found}; use the config.json that belongs to these weights"
        )


def _is_head(model: Any, weight: str) -> bool:
    """Whether a weight belongs to the classification head, or to a pooler, which many checkpoints lack."""
    body = model.base_model_prefix
    return "pooler" in weight.split(".") or (hasattr(model, body) and not weight.startswith(f"{body}."))


def _check_tokenizer(tokenizer: Any, name: str) -> None:
    """Raise if the tokenizer is empty: transformers makes an empty one if it finds no tokenizer files."""
    if len(tokenizer) <= len(set(tokenizer.all_special_ids)):
        raise FileError(
            f"the tokenizer of model {name!r} is empty; put its files (tokenizer.json) in the folder of config.json"
        )


def _enable_padding(model: Any, tokenizer: Any, name: str) -> None:
    if tokenizer.pad_token is None:  # GPT-2 and similar models
        if tokenizer.eos_token is None:
            raise ConfigError(f"the tokenizer of model {name!r} has neither a pad nor an eos token; add one of them")
        tokenizer.pad_token = tokenizer.eos_token
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id


@contextmanager
def explained(name: str, place: str) -> Iterator[None]:
    """Turn errors of transformers about a model that cannot be loaded into errors of this package."""
    try:
        yield
    except RandpruneError:
        raise
    except Exception as error:  # safetensors and tokenizers raise plain exceptions
        first_line = str(error).strip().partition("\n")[0].rstrip(".")
        raise _cannot_load(name, place, f"{type(error).__name__}: {first_line}") from error


def _cannot_load(name: str, place: str, reason: str) -> FileError | UnknownNameError:
    if name in MODELS or Path(place).is_dir():
        return FileError(
            f"cannot load a model from folder {place}: {reason}; it must contain config.json, model.safetensors "
            "and the tokenizer's files, as save_pretrained writes them"
        )
    return UnknownNameError(
        f"{unknown_name('model', name, MODELS)}; or give an existing folder, or a hub id with network "
        f"access (it is then cached); transformers reports: {reason}"
    )
