"""An explorer with a slider and a toggle; each position has its own picture, which is drawn at once."""

from matplotlib.figure import Figure

from randprune_lab.viz.style import new_figure
from randprune_lab.viz.widgets import choice, explore


def picture(n: int, side: str) -> Figure:
    figure, axis = new_figure(4, 3)
    axis.plot([0, 1], [n, 2 if side == "left" else 3])
    axis.set(title=f"{n} {side}", xlabel="x", ylabel="y", ylim=(0, 9))
    return figure


explorer = explore(
    "Which one?",
    picture,
    n=choice("number", {f"{n} %": n for n in range(9)}, 4),
    side=choice("side", ["left", "right"]),
)
