"""Figures of a model: its prunable weights, its size, and the time of a sparse product and of a pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from torch import nn

from randprune_lab.analysis.footprint import break_even
from randprune_lab.errors import check_rows
from randprune_lab.masks.scope import prunable
from randprune_lab.viz.style import COLOURS, QUIET, headline, legend_below, new_figure, percent, place_axes, subtitle


def scope(
    model: nn.Module,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    types: Sequence[type[nn.Module] | str] | None = None,
    *,
    axes_for: Iterable[nn.Module] = (),
) -> Figure:
    """The number of prunable weights in each part of a model.

    Args:
        include, exclude, types: which weights are pruned, see `masks.prunable`.
        axes_for: other models that the axes fit too, so that pictures of all of them can be compared.

    Raises:
        ScopeError: if a pattern matches nothing, or nothing is left to prune.
    """
    chosen = prunable(model, include, exclude, types)
    every, taken = _by_part(model), _by_part(model, chosen)
    sizes = [_by_part(each) for each in (model, *axes_for)]
    rows = max(map(len, sizes))
    height = 1.6 + 0.24 * max(5, rows)
    figure, axis = new_figure(height=height)
    places = np.arange(len(every))
    axis.barh(places, [*every.values()], color=QUIET, label="stays dense")
    axis.barh(places, [taken[part] for part in every], color=COLOURS["search"], label="prunable")
    axis.set_yticks(places, list(every))
    axis.set(xlabel="number of weights", ylabel="part of the model")
    axis.set(xlim=(0, 1.05 * max(max(each.values()) for each in sizes)), ylim=(rows - 0.4, -0.6))
    axis.xaxis.set_major_locator(MaxNLocator(nbins=4))
    axis.xaxis.set_major_formatter("{x:,.0f}")
    total, pruned = every.total(), taken.total()
    fraction = f"{100 * pruned / total:.0f} %"
    headline(axis, f"{len(chosen)} tensors are prunable: {pruned:,} of {total:,} weights ({fraction})")
    place_axes(figure, left=1.35, bottom=0.5 + legend_below(figure), top=0.5, right=0.35)
    return figure


def _by_part(model: nn.Module, chosen: Container[str] | None = None) -> Counter[str]:
    """The number of weights in each part of a model; of the chosen ones alone, if there are any."""
    prefix, sizes = getattr(model, "base_model_prefix", ""), Counter[str]()
    for name, parameter in model.named_parameters():
        sizes[_part(name, prefix)] += parameter.numel() if chosen is None or name in chosen else 0
    return sizes


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
    check_rows(rows, "sizes")
    figure, axis = new_figure(height=2.2)
    sizes = [row["bytes"] / 1e6 for row in rows]
    places = range(len(rows))
    bars = axis.barh(places, sizes, color=[COLOURS["dense"], QUIET, COLOURS["search"]][: len(rows)])
    axis.bar_label(bars, [f"{size:.3g} MB" for size in sizes], padding=4)
    axis.set_yticks(places, [row["form"] for row in rows])
    axis.invert_yaxis()
    axis.margins(x=0.22)
    axis.set(xlabel="size (MB)", ylabel="form")
    smallest = min(rows, key=lambda row: row["bytes"])
    headline(axis, f"Smallest form: {smallest['form']}, {sizes[0] / min(sizes):.2g}× smaller than {rows[0]['form']}")
    return figure


def product_times(rows: Sequence[dict[str, Any]]) -> Figure:
    """The time of one matrix product against sparsity, dense and as CSR.

    Args:
        rows: times as `analysis.measure_products` returns them.
    """
    check_rows(rows, "times")
    figure, axis = new_figure(height=3.6)
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
    headline(axis, title)
    legend_below(figure)
    return figure


def model_savings(rows: Sequence[dict[str, Any]]) -> Figure:
    """The time of a whole model's forward pass, and the size of its weights, against sparsity.

    Args:
        rows: what `analysis.measure_models` returns.
    """
    check_rows(rows, "times and sizes")
    figure, axes = new_figure(height=5.2, nrows=2)
    places = range(len(rows))
    values = {
        "time": [[1e3 * row[form] for row in rows] for form in ("dense", "sparse")],
        "size": [[row[form] / 1e6 for row in rows] for form in ("dense_memory", "sparse_memory", "sparse_file")],
    }
    looks = [
        {"color": COLOURS["dense"], "marker": "o", "label": "dense"},
        {"color": COLOURS["search"], "marker": "s", "label": "rp.fast"},
        {"color": COLOURS["search"], "marker": "^", "ls": ":", "label": "file of rp.save_sparse"},
    ]
    for axis, (what, lines) in zip(axes, values.items(), strict=True):
        for line, look in zip(lines, looks, strict=False):
            axis.plot(places, line, **look)
        axis.set_xticks(places, [percent(row["sparsity"]) for row in rows])
        axis.set_ylim(0, 1.1 * max(map(max, lines)))
        axis.set(ylabel="time of a pass (ms)" if what == "time" else "weights (MB)")
        axis.set(xlabel="sparsity of the pruned matrices")
    first = next((place for place, row in enumerate(rows) if row["layers"]), None)
    if first:
        axes[0].axvline(first - 0.5, color=QUIET, ls=":", lw=1.2)
    last = rows[-1]
    where = f": sparse layers from {percent(rows[first]['sparsity'])} on" if first else ""
    subtitle(axes[0], f"A forward pass{where}")
    subtitle(axes[1], "The weights in memory, and in a file")
    headline(
        figure,
        f"On this machine, rp.fast takes {last['sparse'] / last['dense']:.2f} of the dense time at "
        f"{percent(last['sparsity'])}, and {last['sparse_memory'] / last['dense_memory']:.2f} of the memory",
    )
    legend_below(figure, axes[1])
    return figure
