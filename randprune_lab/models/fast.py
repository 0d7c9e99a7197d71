"""Loading a fast model from an exported folder or a sparse file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from randprune_lab.errors import ConfigError, FileError
from randprune_lab.files import given_path
from randprune_lab.interop.sparse_file import SPARSE_FILE, read_sparse
from randprune_lab.models.quiet import quiet
from randprune_lab.sparse.fill import fill

if TYPE_CHECKING:
    import transformers


def load_fast(path: str | Path, config: transformers.PreTrainedConfig | None = None) -> nn.Module:
    """What `fast` makes of a saved model, without ever holding its dense matrices in memory.

    The outputs are those of `fast(model, mask)` to the bit, where `model` has the weights and `mask` the masks of the
    file. The model is in float32.

    Args:
        path: a folder that `randprune export --format sparse` wrote, or a file that `save_sparse` wrote.
        config: the configuration of the model; by default, `config.json` in the folder. If a `state_dict()` was saved,
            `architectures` name the class.

    Raises:
        FileError: if a file is missing or damaged, or its weights are not those of the model.
        ConfigError: if the class of the model is none of transformers or of this package.

    Warns:
        UserWarning: if no layer is computed sparse, with the reason of the first.
    """
    path = given_path(path)
    file = path / SPARSE_FILE if path.is_dir() else path
    if not file.is_file():
        raise FileError(
            f"there is no sparse file at {file}; write it with randprune export --format sparse, or rp.save_sparse; "
            "from a dense folder, load the model and call randprune_lab.fast on it"
        )
    content = read_sparse(file)
    if config is None:
        config = _config(file.parent)
    for kind in _classes(config, content.owner):
        model = _empty(kind, config)
        if model.state_dict().keys() == content.names:
            break
    return fill(model, content, file)


def _config(folder: Path) -> Any:
    from transformers import AutoConfig

    from randprune_lab.models.mean_pooled_bert import MeanPooledBertConfig  # noqa: F401  # makes its type known

    if not (folder / "config.json").is_file():
        raise FileError(f"there is no config.json in {folder}; give the configuration: load_fast(file, model.config)")
    try:
        return AutoConfig.from_pretrained(folder)
    except Exception as error:  # transformers raises plain exceptions
        first = str(error).strip().partition("\n")[0]
        raise FileError(f"cannot read {folder / 'config.json'}: {type(error).__name__}: {first}") from error


def _empty(kind: Any, config: Any) -> nn.Module:
    """A model with its parameters on the meta device and its buffers in memory."""
    from accelerate import init_empty_weights

    with quiet(), init_empty_weights(include_buffers=False):
        model = kind(config)
    model.tie_weights()  # which accelerate has undone
    return model


def _classes(config: Any, owner: str) -> list[Any]:
    """The classes that the model may have: that of the file, or those that the configuration leaves open.

    These are the one that `architectures` names, and the classifier, which keeps its checkpoint's `architectures` until
    it is saved.
    """
    import transformers

    names = [owner] if owner else getattr(config, "architectures", None) or []
    classifiers: Any = transformers.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING
    classifier = classifiers.get(type(config), None)
    found = [getattr(transformers, name, None) for name in names]
    found += [classifier] if not owner or getattr(classifier, "__name__", "") == owner else []
    kinds = [kind for kind in found if isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel)]
    if fitting := [kind for kind in kinds if kind.config_class is type(config)]:
        return fitting
    if owner:
        raise ConfigError(
            f"the file has the weights of a {owner}, which is no model of transformers with a {type(config).__name__}; "
            "give the configuration of the saved model, or load its weights with rp.load_sparse and call rp.fast"
        )
    raise ConfigError(
        f"the configuration must name a model class of transformers in architectures, got {names!r} for a "
        f"{type(config).__name__}; set it: config.architectures = [type(model).__name__]"
    )
