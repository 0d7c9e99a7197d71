"""A fast model from a sparse file, without its dense matrices."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from torch import Tensor, nn

from randprune_lab.errors import FileError, listed
from randprune_lab.files import reading
from randprune_lab.interop.sparse_file import SparseContent, unpacked
from randprune_lab.masks.layers import is_conv1d
from randprune_lab.sparse.fast import chosen, shared_forms
from randprune_lab.sparse.layer import SparseLinear
from randprune_lab.sparse.product import FeatureMajor


def fill(model: nn.Module, content: SparseContent, path: str | Path) -> nn.Module:
    """Make of `model` what `fast` makes of it with the weights and masks of a sparse file.

    Args:
        model: a model whose parameters are on the meta device. Weights get the types that they have there.
        content: the content of the file.
        path: the file, for errors.

    Returns:
        The model itself.

    Raises:
        FileError: if the weights are not those of the model.
    """
    parameters = dict(model.named_parameters(remove_duplicate=False))
    expected = {name: parameters.get(name, tensor) for name, tensor in model.state_dict().items()}
    _check(type(model).__name__, expected, content, path)
    with reading("sparse file", path):
        kept = {
            name: (content.packed[name][1].numel(), expected[name].dtype)
            for name in content.shapes
            if name in parameters
        }
        layers = chosen(model, kept)
        model.load_state_dict(_dense(content, expected, layers), strict=False, assign=True)
        forms = shared_forms(model, layers.values())
        sparse = {id(layer): _sparse(layer, content, name, forms[id(layer)]) for name, layer in layers.items()}
    for module in [*model.modules()]:
        for name, child in module._modules.items():
            module._modules[name] = sparse.get(id(child), child)
    return model.eval().requires_grad_(False)


def _check(owner: str, expected: Mapping[str, Tensor], content: SparseContent, path: str | Path) -> None:
    shapes = {name: [*tensor.shape] for name, tensor in content.dense.items()} | content.shapes
    shapes |= {name: shapes[other] for name, other in content.tied.items()}
    wanted = {name: [*tensor.shape] for name, tensor in expected.items()}
    wrong = [name for name in shapes.keys() | wanted.keys() if shapes.get(name) != wanted.get(name)]
    if wrong:
        name = min(wrong)
        raise FileError(
            f"{len(wrong)} weights in {path} are not those of {owner}, such as {name!r}: the file has "
            f"{_shape(shapes, name)}, the model {_shape(wanted, name)}; give the configuration of the saved model"
        )
    stored: dict[int, set[str]] = {}
    for name, tensor in expected.items():
        stored.setdefault(id(tensor), set()).add(content.tied.get(name, name))
    if apart := next((names for names in stored.values() if len(names) > 1), None):
        raise FileError(
            f"{listed(sorted(apart))} are one tied weight of {owner}, but {len(apart)} weights in {path}; load the "
            "file with load_sparse, and call fast on the model"
        )


def _shape(shapes: Mapping[str, list[int]], name: str) -> str:
    return f"shape {tuple(shapes[name])}" if name in shapes else "none of this name"


def _dense(
    content: SparseContent, expected: Mapping[str, Tensor], layers: Mapping[str, nn.Module]
) -> dict[str, Tensor]:
    """All weights except those of sparse layers; names of a tied weight have the same parameter."""
    made: dict[int, Tensor] = {}
    for name, old in expected.items():
        if name in layers or id(old) in made:
            continue
        stored = content.tied.get(name, name)
        whole = content.dense.get(stored)
        if whole is None:
            whole = unpacked(*content.kept(stored), content.shapes[stored])[0]
        new = whole.to(old.dtype)
        made[id(old)] = nn.Parameter(new, requires_grad=False) if isinstance(old, nn.Parameter) else new
    return {name: made[id(old)] for name, old in expected.items() if name not in layers}


def _sparse(layer: nn.Module, content: SparseContent, name: str, form: FeatureMajor) -> SparseLinear:
    places, values = content.kept(name)
    rows, columns = content.shapes[name]
    weight, bias = cast(Tensor, layer.weight), cast(Tensor | None, layer.bias)
    return SparseLinear(
        (rows, columns), places, values.to(weight.dtype), bias, inputs_first=is_conv1d(layer), form=form
    )
