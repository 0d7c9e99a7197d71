"""The app's part about early scores: pools of candidates that were all trained to the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from randprune_lab.analysis.pool_record import PoolRecord
from randprune_lab.analysis.standing import Standing
from randprune_lab.app.part import Case, Part, Table
from randprune_lab.viz import figures
from randprune_lab.viz.controls import choice, nearest
from randprune_lab.viz.explorer import Explorer
from randprune_lab.viz.style import percent

EVERY = 4
"""The number of training steps between two positions, at least."""
ABOUT = (
    "Candidates are trained a little, and the one with the highest early score is selected. Here all of them "
    "were trained to the end, so we know what a search never knows: how the selected one (blue) ends, and which one "
    "was the best (star)."
)
HINTS = {
    "steps": "Go back to 4, then on step by step, and guess before each move. How often does the leader change, and "
    "does the star lead at any time?",
    "source": "Voting gives every matrix equally many weights; random allocations differ in that. Which candidates "
    "differ more in the end, and where is the early order right?",
    "sparsity": "At 54 % look at the axis on the left: how much is there to win? At 99 %, compare with 50 points, the "
    "accuracy of a guess.",
}


def pools_part(pools: Sequence[PoolRecord]) -> Part:
    """The part about early scores: an explorer for each task and seed.

    Args:
        pools: pools of several sources of masks, at the same sparsities.
    """
    groups: dict[str, list[PoolRecord]] = {}
    for pool in pools:
        groups.setdefault(f"{pool.task}, seed {pool.seed}", []).append(pool)
    cases = tuple(_case(name, group) for name, group in groups.items())
    return Part("early", "Does an early score know the end?", ABOUT, "task", cases)


def _case(name: str, pools: Sequence[PoolRecord]) -> Case:
    by_place = {(pool.candidates_from, pool.sparsity): pool for pool in pools}
    sources = list(dict.fromkeys(source for source, _ in by_place))
    levels = sorted(set.intersection(*({level for each, level in by_place if each == source} for source in sources)))
    steps = _positions([at for at in pools[0].at if all(at in pool.at for pool in pools)])
    controls = {
        "source": choice("masks", {source: source for source in sources}),
        "sparsity": choice("sparsity", {percent(level): level for level in levels}, nearest(levels, 0.9375)),
        "steps": choice("training steps", {str(step): step for step in steps}, steps[-1]),
    }

    def picture(source: str, sparsity: float, steps: int) -> Figure:
        return figures.early_and_final(Standing(by_place[source, sparsity], steps))

    explorer = Explorer(f"Who leads early, and where do they end? ({name})", picture, controls)
    return Case(name, explorer, HINTS, _numbers(by_place, steps))


def _positions(at: Sequence[int]) -> list[int]:
    """Training steps at least `EVERY` apart, the last ones among them."""
    chosen: list[int] = []
    for steps in reversed(at):
        if steps and (not chosen or chosen[-1] - steps >= EVERY):
            chosen.append(steps)
    return chosen[::-1]


def _numbers(by_place: Mapping[tuple[str, float], PoolRecord], steps: Sequence[int]) -> Table:
    head = ["masks", "sparsity", "training steps", "leader", "its rank in the end", "its final accuracy (points)"]
    head += ["mean final accuracy (points)", "rank correlation of early with final scores [95 %]"]
    rows: list[tuple[object, ...]] = []
    for (source, sparsity), pool in by_place.items():
        for now in (Standing(pool, each) for each in steps):
            accuracy = f"{100 * pool.final[now.leader]:.1f}", f"{100 * pool.final.mean():.1f}"
            place = f"{now.place} of {len(pool.final)}"
            rows.append(
                (source, percent(sparsity), now.steps, now.leader, place, *accuracy, now.agreement.as_correlation())
            )
    return Table(head, rows)
