"""Figures of what came out: scores on the report split."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from randprune_lab.analysis.record import RunRecord
from randprune_lab.viz.style import COLOURS, LABELS, new_figure


def accuracy_by_sparsity(record: RunRecord) -> Figure:
    """The task's first metric, as a rule accuracy, on the report split against sparsity, with 95 % intervals."""
    figure, axis = new_figure(7.5, 3.8)
    dense = record.score("dense")
    axis.axhspan(dense.low, dense.high, color=COLOURS["dense"], alpha=0.12, lw=0)
    axis.axhline(dense.estimate, color=COLOURS["dense"], lw=1.2, ls="--", label=LABELS["dense"])
    places = np.arange(len(record.config.levels))
    for shift, method in zip(np.linspace(-0.08, 0.08, len(record.methods)), record.methods, strict=True):
        intervals = [record.score(f"{method}-level-{level + 1}") for level in places]
        middle = np.array([interval.estimate for interval in intervals])
        arms = [middle - [i.low for i in intervals], [i.high for i in intervals] - middle]
        axis.errorbar(
            places + shift,
            middle,
            arms,
            fmt="o-",
            capsize=3,
            color=COLOURS[method],
            label=LABELS.get(method, method),
        )
    axis.set_xticks(places, [f"{level:.4g} %" for level in 100 * np.array(record.config.levels)])
    axis.set(xlabel="sparsity of the encoder", ylabel=f"{record.task.primary_metric}, report split")
    axis.set_xlim(-0.5, len(places) - 0.5)
    axis.set_title(_verdict(record))
    axis.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _verdict(record: RunRecord) -> str:
    """What the last level says about the search against IMP, no more than its interval allows."""
    last = len(record.config.levels)
    sparsity = record.config.levels[-1]
    if "imp" not in record.methods:
        return f"{record.task.primary_metric.capitalize()} down to {sparsity:.4g} sparsity"
    gain = record.difference(f"randomized-level-{last}", f"imp-level-{last}")
    if gain.low <= 0 <= gain.high:
        return f"At {sparsity:.2%}: no clear difference to IMP ({gain.estimate:+.3f})"
    return f"At {sparsity:.2%}: {'better' if gain.estimate > 0 else 'worse'} than IMP by {abs(gain.estimate):.3f}"
