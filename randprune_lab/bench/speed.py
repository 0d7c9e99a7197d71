"""The time and the memory of models that compute with the kept weights alone, compared with other ways."""

from __future__ import annotations

import copy
import math
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from randprune_lab.bench.alternating import alternating, speed_row
from randprune_lab.bench.figure import Figure, figure_line
from randprune_lab.bench.measuring import peak_memory
from randprune_lab.bench.train_speed import training_rows
from randprune_lab.interop.sparse_file import SPARSE_FILE, save_sparse
from randprune_lab.interop.torch_prune import mask_from_zeros
from randprune_lab.masks.rules import Magnitude
from randprune_lab.masks.sampler import MaskSampler
from randprune_lab.models.fast import load_fast
from randprune_lab.sparse import fast
from randprune_lab.sparse.product import ready_for_csr

MODELS: dict[str, dict[str, Any]] = {
    "MiniLM, 6 layers": {
        "hidden_size": 384,
        "num_hidden_layers": 6,
        "num_attention_heads": 12,
        "intermediate_size": 1536,
    },
    "BERT-base": {},
}
"""Shapes of the models, as settings of a `BertConfig`. Their weights are random: the times do not depend on them."""


@dataclass(frozen=True)
class Forward:
    """A forward pass to time, with limit and target of dense / sparse."""

    model: str
    sparsity: float
    texts: int
    tokens: int
    limit: float
    target: float


FORWARD = (
    Forward("MiniLM, 6 layers", 0.99, 1, 1, 1, 2),
    Forward("MiniLM, 6 layers", 0.99, 1, 32, 2, 3),
    Forward("MiniLM, 6 layers", 0.99, 8, 64, 2, 3),
    Forward("BERT-base", 0.9375, 1, 32, 2, 3),
    Forward("BERT-base", 0.9375, 8, 64, 2, 3),
    Forward("BERT-base", 0.99, 1, 32, 4, 7),
    Forward("BERT-base", 0.99, 8, 64, 4, 7),
)

IN_MEMORY = ("BERT-base", 0.99, 0.6, 0.45)
"""The model whose memory is measured, its sparsity, and limit and target of sparse / dense."""


def bench_speed() -> list[dict[str, Any]]:
    """Measure forward passes, training steps, and the memory of loading and running a model.

    All contestants of a row compute the same in the same process, one after the other in every round; the ratios are
    those of their median times. `F.linear with CSR` is a model whose weights were replaced by `weight.to_sparse_csr()`.
    ONNX Runtime runs the dense model, if it is installed.

    Returns:
        The rows of all `PARTS`: what was measured, with which model, threads and processor, the measured values with
        their unit, and the ratios of them.
    """
    return [row for part in PARTS for row in part()]


def forward_rows() -> list[dict[str, Any]]:
    """A row for each of `FORWARD`."""
    return [_forward_row(case) for case in FORWARD]


def memory_rows() -> list[dict[str, Any]]:
    """A row with the peak memory of loading a model and running it once, each in a process of its own.

    There is no row where peak memory cannot be measured: outside of Linux.
    """
    name, sparsity, limit, target = IN_MEMORY
    model = pruned_bert(name, sparsity)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        save_sparse(model, mask_from_zeros(model), Path(folder) / SPARSE_FILE)
        peaks = {kind: _peak_in_process(kind, folder) for kind in ("dense", "sparse")}
    if any(map(math.isnan, peaks.values())):
        return []
    figure = Figure(
        "peak memory of the sparse file / of the dense model", peaks["sparse"] / peaks["dense"], limit, target
    )
    return [speed_row("load and run 1 x 32 tokens", name, sparsity, "bytes", peaks, [figure])]


PARTS: tuple[Callable[[], list[dict[str, Any]]], ...] = (forward_rows, memory_rows, training_rows)
"""What is measured, in this order. A part that measures something else is a function that returns rows."""


# --- forward passes ---


@cache
def pruned_bert(name: str, sparsity: float) -> Any:
    """A classifier with one of the shapes in `MODELS` and random weights, pruned by magnitude."""
    from transformers import BertConfig, BertForSequenceClassification

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        model = BertForSequenceClassification(BertConfig(**MODELS[name]))
    MaskSampler(model, Magnitude(), sparsity).draw(0).apply_(model)
    return model.eval()


def _forward_row(case: Forward) -> dict[str, Any]:
    model = pruned_bert(case.model, case.sparsity)
    ids = torch.randint(1000, 20_000, (case.texts, case.tokens), generator=torch.Generator().manual_seed(0))
    ways: dict[str, Callable[[], object]] = {
        "dense": partial(model, input_ids=ids),
        "sparse": partial(fast(model), input_ids=ids),
        "F.linear with CSR": partial(with_csr_weights(model), input_ids=ids),
    }
    if find_spec("onnxruntime") and find_spec("onnxscript"):
        ways["ONNX Runtime, dense"] = _onnx(model, ids)
    with torch.no_grad():  # in inference mode, F.linear refuses weights in CSR (PyTorch 2.13)
        seconds = alternating(ways)
    figures = [Figure("dense / sparse", seconds["dense"] / seconds["sparse"], case.limit, case.target, at_most=False)]
    figures += [
        Figure(f"{name} / sparse", seconds[name] / seconds["sparse"], 1, case.target, at_most=False)
        for name in ways
        if name not in ("dense", "sparse")
    ]
    what = f"forward pass of {case.texts} x {case.tokens} tokens"
    return speed_row(what, case.model, case.sparsity, "s", seconds, figures)


def with_csr_weights(model: nn.Module) -> nn.Module:
    """A copy whose pruned layers have CSR weights, as PyTorch's tutorials show it."""
    ready_for_csr()
    other = copy.deepcopy(model)
    for layer in other.modules():
        if isinstance(layer, nn.Linear) and not layer.weight.all():
            layer.weight = nn.Parameter(layer.weight.detach().to_sparse_csr(), requires_grad=False)
    return other


def _onnx(model: nn.Module, ids: Tensor) -> Callable[[], object]:
    onnxruntime: Any = import_module("onnxruntime")  # not among the dependencies
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = str(Path(folder) / "model.onnx")
        torch.onnx.export(model, (ids,), file, input_names=["ids"], dynamo=True, external_data=False, verbose=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return partial(session.run, None, {"ids": ids.numpy()})


# --- memory ---


def _peak_in_process(kind: str, folder: str) -> float:
    code = "import sys; from randprune_lab.bench.speed import peak; print(peak(*sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, kind, folder], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    return float(done.stdout.split()[-1])


def peak(kind: str, folder: str) -> float:
    """The peak memory of loading and running a model, in bytes, beyond that of the process after its imports.

    Args:
        kind: "sparse" for `load_fast`, "dense" for `from_pretrained`.
        folder: a folder with the files of both.
    """
    import accelerate  # noqa: F401  # imported before the measurement begins
    from transformers import BertForSequenceClassification

    from randprune_lab.models.mean_pooled_bert import MeanPooledBertConfig  # noqa: F401

    ids = torch.ones(1, 32, dtype=torch.int64)
    with peak_memory() as found, torch.inference_mode():
        if kind == "sparse":
            model = load_fast(folder)
        else:
            model = BertForSequenceClassification.from_pretrained(folder, use_safetensors=True).eval()
        model(input_ids=ids)
    return found[0]


def describe(rows: list[dict[str, Any]]) -> str:
    """The measurements as a table for a terminal."""
    lines = []
    for row in rows:
        place = f"{row['processor']}, {row['threads']} threads"
        lines.append(f"{row['what']}, {row['model']}, sparsity {100 * row['sparsity']:g} %, {place}")
        digits = ".5f" if row["unit"] == "s" else ",.0f"
        lines += [f"  {name:<32} {value:>14{digits}} {row['unit']}" for name, value in row["measured"].items()]
        lines += [figure_line(figure) for figure in row["figures"]]
    return "\n".join(lines)
