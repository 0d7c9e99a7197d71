"""What sparsity saves: the bytes of a file, and the time of a matrix product, measured on this machine."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from randprune_lab.errors import FileError, check_count, check_range
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.sparsity import keep_count
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
def _seconds(matrix: Tensor, inputs: Tensor, repeats: int) -> float:
    times = []
    for _ in range(repeats + 1):  # the first one warms up and is not counted
        start = perf_counter()
        _ = matrix @ inputs
        times.append(perf_counter() - start)
    return median(times[1:])
