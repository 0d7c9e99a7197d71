"""What sparsity saves: bytes, and the time of a matrix product and of a whole model, measured on this machine."""

from __future__ import annotations

import copy
import gzip
import tempfile
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from randprune_lab.errors import FileError, check_count, check_range
from randprune_lab.interop.sparse_file import save_sparse
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.rules import Magnitude
from randprune_lab.masks.sampler import MaskSampler
from randprune_lab.masks.sparsity import keep_count
from randprune_lab.sparse.fast import fast
from randprune_lab.sparse.layer import SparseLinear
from randprune_lab.sparse.product import ready_for_csr

PACKED = "masks and kept values"


def measure_storage(folder: str | Path, mask: MaskSet) -> list[dict[str, Any]]:
    """Measure the bytes of a saved model's weights: as saved, compressed, and packed.

    The packed form is the file of `save_sparse` without its header: the masks as `MaskSet.save` writes them, and the
    values of all weights that no mask removes.

    Args:
        folder: a folder that `save_pretrained` wrote.
        mask: the mask of the weights.

    Returns:
        A row with `form` and `bytes` for each form.

    Raises:
        FileError: if the folder has no safetensors file.
    """
    from safetensors import safe_open

    files = sorted(Path(folder).glob("*.safetensors"))
    if not files:
        raise FileError(f"{folder} holds no .safetensors file; give the folder that save_pretrained wrote")
    values = 0
    for file in files:
        with safe_open(str(file), framework="pt") as weights:
            for name in weights.keys():  # noqa: SIM118
                tensor = weights.get_tensor(name)
                values += tensor.element_size() * int(mask[name].sum() if name in mask else tensor.numel())
    with tempfile.TemporaryDirectory() as temporary:
        packed_masks = Path(temporary) / "masks.safetensors"
        mask.save(packed_masks)
        packed = packed_masks.stat().st_size + values
    return [
        {"form": "as saved", "bytes": sum(file.stat().st_size for file in files)},
        {"form": "gzip", "bytes": sum(len(gzip.compress(file.read_bytes(), 6)) for file in files)},
        {"form": PACKED, "bytes": packed},
    ]


def measure_products(
    matrix: Float[Tensor, "out in"], sparsities: Sequence[float], *, columns: int = 128, repeats: int = 9
) -> list[dict[str, Any]]:
    """Measure the median time of `matrix @ inputs` after magnitude pruning: dense, and as `torch.sparse_csr`.

    Args:
        matrix: the matrix to prune.
        sparsities: the sparsities to measure.
        columns: the number of columns of the inputs, such as the tokens of a batch.
        repeats: the number of measurements that a median is taken of.

    Returns:
        A row for each sparsity, with the seconds `dense` and `csr`. Dense is measured again for each sparsity.

    Raises:
        ConfigError: if a sparsity is not in [0, 1), or `repeats` is below 1.
    """
    check_count("repeats", repeats)
    ready_for_csr()
    rows = []
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(matrix.shape[1], columns, generator=generator)
    order = matrix.abs().flatten().argsort(descending=True)
    for sparsity in sparsities:
        check_range("sparsity", sparsity, low=0, high=1, high_open=True)
        pruned = torch.zeros_like(matrix).flatten()
        kept = order[: keep_count(len(order), sparsity)]
        pruned[kept] = matrix.flatten()[kept]
        dense = pruned.reshape(matrix.shape)
        rows.append(
            {
                "sparsity": sparsity,
                "dense": _seconds(dense, inputs, repeats),
                "csr": _seconds(dense.to_sparse_csr(), inputs, repeats),
            }
        )
    return rows


def break_even(rows: Sequence[dict[str, Any]]) -> float | None:
    """The sparsity above which CSR is not slower than dense; None if it is slower at the highest measured sparsity.

    Between two sparsities, the ratio of the times is interpolated linearly.

    Args:
        rows: the rows of `measure_products`.
    """
    ratios = [(row["sparsity"], row["csr"] / row["dense"]) for row in sorted(rows, key=lambda row: row["sparsity"])]
    if ratios[-1][1] > 1:
        return None
    for (low, slower), (high, faster) in reversed([*pairwise(ratios)]):
        if slower > 1:
            return low + (high - low) * (slower - 1) / (slower - faster)
    return ratios[0][0]


@torch.no_grad()
def measure_models(
    model: nn.Module, sparsities: Sequence[float], *, texts: int = 8, tokens: int = 64, repeats: int = 5
) -> list[dict[str, Any]]:
    """Measure a whole model after magnitude pruning: its forward pass, its memory and its file, dense and sparse.

    Sparse is the copy that `fast` makes, which is dense where that is faster; its file is that of `save_sparse`.

    Args:
        model: a model of transformers with word embeddings, on the CPU; it is left as it is.
        sparsities: the sparsities to measure.
        texts, tokens: the number of texts of the batch, and the number of tokens of each, drawn at random.
        repeats: the number of measurements that a median is taken of.

    Returns:
        A row for each sparsity: the number of `layers` that are computed sparse, the seconds `dense` and `sparse`, the
        bytes of the weights in memory `dense_memory` and `sparse_memory`, and in a file, `dense_file` and
        `sparse_file`.

    Raises:
        ConfigError: if a sparsity is not in (0, 1), or a number is below 1.
    """
    for name, number in {"texts": texts, "tokens": tokens, "repeats": repeats}.items():
        check_count(name, number)
    embeddings: Any = model.get_input_embeddings()  # type: ignore[operator]
    ids = torch.randint(embeddings.num_embeddings, (texts, tokens), generator=torch.Generator().manual_seed(0))
    rows = []
    for sparsity in sparsities:
        check_range("sparsity", sparsity, low=0, high=1, low_open=True, high_open=True)
        pruned = copy.deepcopy(model).eval()
        mask = MaskSampler(pruned, Magnitude(), sparsity).draw(0)
        mask.apply_(pruned)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "no layer of .* is computed sparse")
            quick = fast(pruned, mask)
        with tempfile.TemporaryDirectory() as folder:
            save_sparse(pruned, mask, Path(folder) / "sparse.safetensors")
            file = (Path(folder) / "sparse.safetensors").stat().st_size
        dense, sparse = _medians(partial(pruned, input_ids=ids), partial(quick, input_ids=ids), repeats)
        rows.append(
            {
                "sparsity": sparsity,
                "layers": sum(isinstance(layer, SparseLinear) for layer in quick.modules()),
                "dense": dense,
                "sparse": sparse,
                "dense_memory": _bytes(pruned),
                "sparse_memory": _bytes(quick),
                "dense_file": _bytes(pruned),
                "sparse_file": file,
            }
        )
    return rows


def _bytes(model: nn.Module) -> int:
    """The bytes of a model's parameters and buffers."""
    return sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))


def _medians(one: Callable[[], object], other: Callable[[], object], repeats: int) -> tuple[float, float]:
    """The median seconds of two ways that take turns; their first round warms up and is not counted."""
    rounds = []
    for _ in range(repeats + 1):
        start = perf_counter()
        one()
        middle = perf_counter()
        other()
        rounds.append((middle - start, perf_counter() - middle))
    first, second = zip(*rounds[1:], strict=True)
    return median(first), median(second)


@torch.no_grad()
def _seconds(matrix: Tensor, inputs: Tensor, repeats: int) -> float:
    times = []
    for _ in range(repeats + 1):  # the first one warms up and is not counted
        start = perf_counter()
        _ = matrix @ inputs
        times.append(perf_counter() - start)
    return median(times[1:])
