"""The vote as alarm clocks: which weights are drawn in a round, and how votes add up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64
from matplotlib.figure import Figure
from scipy.optimize import brentq

from randprune_lab.viz.style import COLOURS, QUIET, headline, new_figure, place_axes, subtitle


def clocks(
    weights: Sequence[float], kept: int, rounds: int, shown: int, *, power: float = 5.0, seed: int = 0
) -> Figure:
    """One round of the vote on a time line, and the votes up to this round beside their expected numbers.

    Each weight has a clock that rings after an exponential time of rate `|w| ** power`. The first `kept` clocks to ring
    are drawn in the round.

    Args:
        weights: the weights; all differ from zero.
        kept: k, the number of weights that are drawn in a round, below the number of weights.
        rounds: T, the number of rounds; the axes fit all of them.
        shown: the round that is drawn, from 1.
        power: the power of the voting rule.
        seed: the seed of the clocks.
    """
    rates = np.abs(np.array(weights)) ** power
    times = np.random.default_rng(seed).exponential(size=(rounds, len(rates))) / rates
    ends = np.sort(times, axis=1)[:, kept - 1]
    votes = (times <= ends[:, None])[:shown].sum(axis=0)
    now, drawn = times[shown - 1], times[shown - 1] <= ends[shown - 1]
    rows = np.arange(len(rates))
    figure, (line, bars) = new_figure(height=6.0, nrows=2)
    line.hlines(rows, times.min() / 2, now, color=QUIET, lw=0.8)
    for ring, colour in ((drawn, COLOURS["voting"]), (~drawn, QUIET)):
        line.plot(now[ring], rows[ring], "o", ms=8, color=colour)
    line.axvline(ends[shown - 1], color="black", lw=1, ls=":")
    line.set(xscale="log", xlim=(times.min() / 2, times.max() * 2), ylim=(-0.6, len(rates) - 0.4))
    line.xaxis.set_major_formatter(lambda number, _: f"{number:g}")
    line.set(xlabel=f"time until a clock rings (dotted: t, ringing {kept})", ylabel="weight")
    names = [f"{weight:.1f}" for weight in weights]
    drawn_names = [names[place] for place in np.flatnonzero(drawn)]
    headline(line, f"Round {shown}: {', '.join(drawn_names[:-1])} and {drawn_names[-1]} ring first and get a vote")
    bars.barh(rows, votes, height=0.6, color=COLOURS["voting"])
    bars.plot(shown * _drawn_in_a_round(rates, kept), rows, "|", ms=16, mew=2.5, color="black")
    bars.set(xlim=(0, rounds + 0.3), xlabel="votes so far (black: the expected number)", ylabel="weight")
    bars.set_ylim(-0.6, len(rates) - 0.4)
    for axis in (line, bars):
        axis.set_yticks(rows, names)
    leading = np.sort(np.argsort(-votes, kind="stable")[:kept])
    subtitle(bars, f"after {shown} of {rounds} rounds, most votes: {', '.join(names[place] for place in leading)}")
    place_axes(figure, left=0.55, bottom=0.5, top=0.5, hspace=0.5)
    return figure


def _drawn_in_a_round(rates: Float64[np.ndarray, " n"], kept: int) -> Float64[np.ndarray, " n"]:
    """The probability that each clock rings before t, where these add up to the number of drawn weights."""

    def too_many(log_time: float) -> float:
        return float(-np.expm1(-rates * np.exp(log_time)).sum() - kept)

    t = np.exp(brentq(too_many, -np.log(rates.max()) - 30, -np.log(rates.min()) + 30))
    return -np.expm1(-rates * t)
