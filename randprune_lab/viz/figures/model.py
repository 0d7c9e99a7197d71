"""Figures of a model: its prunable weights, the size of its files, and the time of a sparse product."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from torch import nn

from randprune_lab.analysis.footprint import break_even
from randprune_lab.masks.scope import prunable
from randprune_lab.viz.style import COLOURS, QUIET, fix_layout, new_figure


def scope(model: nn.Module, include: Sequence[str] | None = None, exclude: Sequence[str] = ()) -> Figure:
    """The number of prunable weights in each part of a model.

    Args:
        include: name patterns of the weights to prune, as in `masks.prunable`.
        exclude: name patterns of weights that stay dense.

    Raises:
        ScopeError: if a pattern matches nothing, or nothing is left to prune.
    """
    chosen = prunable(model, include, exclude)
    prefix = getattr(model, "base_model_prefix", "")
    every, taken = Counter[str](), Counter[str]()
    for name, parameter in model.named_parameters():
        every[_part(name, prefix)] += parameter.numel()
        taken[_part(name, prefix)] += parameter.numel() if name in chosen else 0
    height = 1.4 + 0.32 * len(every)
    figure, axis = new_figure(7.5, height)
    fix_layout(figure, left=0.26, right=0.82, bottom=0.62 / height, top=1 - 0.3 / height)
    places = np.arange(len(every))
    axis.barh(places, [*every.values()], color=QUIET, label="stays dense")
    axis.barh(places, [taken[part] for part in every], color=COLOURS["search"], label="prunable")
    axis.set_yticks(places, list(every))
    axis.invert_yaxis()
    axis.set(xlabel="number of weights", ylabel="part of the model")
    total, pruned = every.total(), taken.total()
    fraction = f"{100 * pruned / total:.0f} %"
    axis.set_title(f"{len(chosen)} tensors are prunable: {pruned:,} of {total:,} weights ({fraction})")
    axis.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _part(name: str, prefix: str) -> str:
    """The beginning of a parameter's name: up to its first number, or else its first word."""
    words = name.removeprefix(f"{prefix}.").split(".")
    number = next((place for place, word in enumerate(words) if word.isdigit()), None)
    return ".".join(words[: number + 1]) if number is not None else words[0]


def storage(rows: Sequence[dict[str, Any]]) -> Figure:
    """The size of a model in each form of storage.

    Args:
        rows: sizes as `analysis.measure_storage` returns them.
    """
    figure, axis = new_figure(7.5, 2.4)
    sizes = [row["bytes"] / 1e6 for row in rows]
    places = range(len(rows))
    bars = axis.barh(places, sizes, color=[COLOURS["dense"], QUIET, COLOURS["search"]][: len(rows)])
    axis.bar_label(bars, [f"{size:.3g} MB" for size in sizes], padding=4, fontsize="small")
    axis.set_yticks(places, [row["form"] for row in rows])
    axis.invert_yaxis()
    axis.margins(x=0.12)
    axis.set(xlabel="size (MB)", ylabel="form")
    smallest = min(rows, key=lambda row: row["bytes"])
    axis.set_title(f"Smallest form: {smallest['form']}, {sizes[0] / min(sizes):.2g}× smaller than {rows[0]['form']}")
    return figure


def product_times(rows: Sequence[dict[str, Any]]) -> Figure:
    """The time of one matrix product against sparsity, dense and as CSR.

    Args:
        rows: times as `analysis.measure_products` returns them.
    """
    figure, axis = new_figure(7.5, 3.6)
    sparsities = [100 * row["sparsity"] for row in rows]
    for form, label, colour in (("dense", "dense", "dense"), ("csr", "sparse (CSR)", "search")):
        axis.plot(sparsities, [1e3 * row[form] for row in rows], "o-", color=COLOURS[colour], label=label)
    axis.set(yscale="log", xlabel="sparsity of the matrix (%)", ylabel="time of one product (ms)")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(NullFormatter())
    if (even := break_even(rows)) is None:
        title = "On this machine, the sparse product is slower at every measured sparsity"
    elif even <= min(row["sparsity"] for row in rows):
        title = "On this machine, the sparse product is faster at every measured sparsity"
    else:
        axis.axvline(100 * even, color=QUIET, ls=":", lw=1.2, label="break-even")
        title = f"On this machine, the sparse product is faster above {100 * even:.0f} % sparsity"
    axis.set_title(title)
    axis.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
