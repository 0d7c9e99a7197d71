"""Every figure has titles and labels, uses the same colours for the same things, and leaves no global state."""

from __future__ import annotations

import dataclasses
import html
import inspect
import itertools
import json
import re
import shutil

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from support.made_up import pool
from torch import nn

import randprune_lab as rp
from randprune_lab.analysis.contrasts import differences
from randprune_lab.analysis.forgetting import RELATIONS
from randprune_lab.analysis.judging import judge
from randprune_lab.analysis.level_record import LevelRecord
from randprune_lab.analysis.levels import level_masks
from randprune_lab.analysis.recorded import RESULTS
from randprune_lab.analysis.reporting import SIZES, WAYS
from randprune_lab.analysis.results import results_table
from randprune_lab.analysis.shipped import reference_results
from randprune_lab.analysis.standing import Standing
from randprune_lab.analysis.task_record import TaskRecord, early_evaluations
from randprune_lab.errors import ConfigError, DataError, FileError, RunError
from randprune_lab.masks.curve import Histogram, InclusionCurve
from randprune_lab.search.strategies import TrainAll
from randprune_lab.stats.confidence import assess_choice
from randprune_lab.stats.intervals import Interval, mean_interval
from randprune_lab.study import StudyConfig
from randprune_lab.viz import figures
from randprune_lab.viz.figures import results
from randprune_lab.viz.figures.sampling import METHODS, _inclusion_at, _threshold
from randprune_lab.viz.figures.selection import MARKERS
from randprune_lab.viz.style import COLOURS, DEPTH, FAINT, LABELS, QUIET, RAMP, described, new_figure, png, svg

WEIGHTS = torch.randn(80, 64, generator=torch.Generator().manual_seed(0))
RULE_OF_EACH_KIND = (rp.Voting(sampling_ratio=0.01), rp.GumbelTopK(), rp.Uniform(), rp.Magnitude())


def curve(rule: rp.Rule, sparsity: float = 0.75):
    return rp.MaskSampler({"w": WEIGHTS}, rule, sparsity).curves["w"]


def two_tensors() -> rp.MaskSet:
    return rp.MaskSet({"layer.0.query.weight": WEIGHTS > 0, "layer.0.key.weight": WEIGHTS > 1})


TIMES = [
    {"method": method, "candidates": number, "seconds": 0.1 * number, "measured": number < 100}
    for method in METHODS
    for number in (1, 10, 100)
]


CONTRASTS = StudyConfig.load("laptop").contrasts
PARTS = pd.DataFrame(
    {"sparsity": sparsity, "part": part, "estimate": 0.01, "low": -0.02, "high": 0.04}
    for sparsity in (0.9, 0.99)
    for part in ("whole", "mask", "rate")
)
INFLATION = pd.DataFrame(
    {"kind": kind, "way": way, "size": size, "estimate": 0.01 * place, "low": 0.01 * (place - 1), "high": 0.05}
    | {"records": 6}
    for kind in ("masks", "restarts")
    for place, way in enumerate(WAYS)
    for size in SIZES.values()
)
STEPS = pd.DataFrame(
    {"method": method, "sparsity": sparsity, "steps": steps, "metric": "accuracy", "score": score}
    | {"score_low": score - 0.02, "score_high": score + 0.02}
    for sparsity in (0.9, 0.97, 0.99)
    for method, steps, score in (("imp", 375, 0.7), ("imp-11", 1375, 0.74 - sparsity / 10), ("fisher", 375, 0.72))
)
DENSE = STEPS.iloc[:1].assign(method="dense", sparsity=0.0)
SHARED = pd.DataFrame(
    {"task": "qnli", "sparsity": sparsity, "relation": relation, "shared": 0.3 + 0.1 * place, "chance": 0.1}
    for sparsity in (0.9, 0.99)
    for place, relation in enumerate(RELATIONS)
)
PHENOMENA = pd.DataFrame(
    {
        "task": "mini-rte",
        "phenomenon": name,
        "sparsity": sparsity,
        "difference": 3.0,
        "low": -1.0,
        "high": 7.0,
        "holm": 1.0,
    }
    for sparsity in (0.9, 0.99)
    for name in ("passive", "negation")
)
MEANS = {name: Interval(0.01 * place, 0.01 * place - 0.005, 0.1) for place, name in enumerate(CONTRASTS)}


def query(record: rp.RunRecord) -> str:
    return next(name for name in level_masks(record)["imp"][0] if "query" in name)


def last_masks(record: rp.RunRecord) -> list[rp.MaskSet]:
    masks = level_masks(record)
    return [masks[method][-1] for method in ("search", "imp")]


def runs(record: rp.RunRecord) -> TaskRecord:
    return TaskRecord.of({"search": record})


def against_imp(record: rp.RunRecord) -> TaskRecord:
    """The record of a search, with the answers of the dense model as those of IMP."""
    one = runs(record)
    return dataclasses.replace(one, answers={**one.answers, "imp": np.stack([one.dense] * len(one.levels))})


CONTROLS = pd.DataFrame(
    {
        "task": ["a", "b"],
        "metric": "accuracy",
        **dict.fromkeys(("majority", "words", "without-encoder", "magnitude"), 0.5),
        "dense": [0.8, 0.5],
        "included": [True, False],
    }
)
DISTANCES = np.array([[0, 4, 6], [4, 0, 10], [6, 10, 0]])
GRID = {(s, r): np.array([s, r, s * r]) for s in (0.5, 0.9) for r in (0.1, 0.2, 0.3)}
NARROW = Interval(0.9, 0.89, 0.91)


def scanned() -> pd.DataFrame:
    rows = [
        (f"layer.{depth}.{kind}.weight", 64, sparsity, 0.7 + depth * sparsity, depth * sparsity, 0.7)
        for depth in range(2)
        for kind in ("query", "output")
        for sparsity in (0.5, 0.99)
    ]
    return pd.DataFrame(rows, columns=["weight", "size", "sparsity", "measured", "increase", "dense"])


SAVINGS = [
    {"sparsity": at, "layers": layers, "dense": 0.06, "sparse": seconds, "dense_memory": 9e7, "sparse_memory": memory}
    | {"dense_file": 9e7, "sparse_file": 8e7 * (1 - at)}
    for at, layers, seconds, memory in ((0.54, 0, 0.06, 9e7), (0.9375, 36, 0.03, 6e7), (0.99, 36, 0.02, 5e7))
]

SEEDS = {0: Interval(0.1, 0.0, 0.2), 7: Interval(0.3, 0.2, 0.4)}
MEAN = mean_interval([0.1, 0.3])
FIGURES = {
    "kept_numbers": lambda record: figures.kept_numbers(WEIGHTS[:12, :12], {"large": WEIGHTS[:12, :12].abs() > 1}),
    "magnitude_pruning": lambda record: figures.magnitude_pruning(WEIGHTS, 0.75),
    "sparsity_by_tensor": lambda record: figures.sparsity_by_tensor(
        {"per tensor": two_tensors(), "global": two_tensors()}
    ),
    "one_shot": lambda record: figures.one_shot([0.5], {"before": [NARROW], "after": [NARROW]}, NARROW, "accuracy"),
    "sensitivity": lambda record: figures.sensitivity(scanned()),
    "overlap_map": lambda record: figures.overlap_map(
        np.eye(4) / 2 + 0.5, ["magnitude", "voting", "voting", "uniform"]
    ),
    "candidate_map": lambda record: figures.candidate_map(DISTANCES, ["magnitude", "a", "a"]),
    "distance_by_tensor": lambda record: figures.distance_by_tensor({"w": 4.0}, {"w": np.array([3, 5])}, {"w": 10}),
    "distance_grid": lambda record: figures.distance_grid(GRID, ["v", "w"], 0.9, 0.2),
    "coverage_by_candidates": lambda record: figures.coverage_by_candidates((2, 8), {"a": np.array([0.1, 0.2])}, {}),
    "inclusion_curves": lambda record: figures.inclusion_curves({"voting": curve(rp.Voting())}, "One rule"),
    "inclusion_check": lambda record: figures.inclusion_check(WEIGHTS, [WEIGHTS > 1], curve(rp.Voting())),
    "time_by_candidates": lambda record: figures.time_by_candidates(TIMES),
    "sampling": lambda record: figures.sampling(WEIGHTS, rp.Voting(), 0.75),
    "early_and_final": lambda record: figures.early_and_final(Standing(pool(6), 5)),
    "method_differences": lambda record: figures.method_differences(
        {"search": Interval(-0.02, -0.04, 0.01), "uniform": Interval(-0.4, -0.5, -0.3)}, "Who is ahead?", 12
    ),
    "run_level": lambda record: figures.run_level(record, 2),
    "scores_by_level": lambda record: figures.scores_by_level(results_table([record]), "sst2"),
    "early_scores": lambda record: figures.early_scores(record, 2),
    "early_by_rate": lambda record: figures.early_by_rate({1.0: record, 4.0: record}),
    "recorded_early_scores": lambda record: figures.recorded_early_scores(runs(record), "search", 0.9),
    "controls": lambda record: figures.controls(CONTROLS),
    "early_by_ratio": lambda record: figures.early_by_ratio(early_evaluations([runs(record)], "search")),
    "spread_by_level": lambda record: figures.spread_by_level(early_evaluations([runs(record)], "search")),
    "accuracy_by_sparsity": lambda record: figures.accuracy_by_sparsity(record),
    "schedule": lambda record: figures.schedule(record),
    "equal_steps": lambda record: figures.equal_steps(record, record),
    "levels_against_one_shot": lambda record: figures.levels_against_one_shot(record, record),
    "surviving": lambda record: figures.surviving(level_masks(record)["search"], query(record)),
    "masks_compared": lambda record: figures.masks_compared(*last_masks(record), query(record)),
    "scope": lambda record: figures.scope(nn.Sequential(nn.Linear(3, 4)), include=["*.weight"]),
    "storage": lambda record: figures.storage([{"form": "as saved", "bytes": 8}, {"form": "gzip", "bytes": 4}]),
    "rank_changes": lambda record: figures.rank_changes(pool(6)),
    "clocks": lambda record: figures.clocks([0.6, 0.8, 1.0, 2.0], 2, 6, 3),
    "ladder": lambda record: figures.ladder({"seed 0": [NARROW] * 2, "seed 1": [NARROW] * 2}, ["imp", "imp-4e-3"], 1),
    "method_sketch": lambda record: figures.method_sketch(WEIGHTS[:12, :12], [WEIGHTS[:12, :12] > 1] * 3),
    "recorded_lead": lambda record: figures.recorded_lead(against_imp(record), "search", "imp", 0.9),
    "search_step": lambda record: figures.search_step(against_imp(record), "search", "imp", 0.9, "train"),
    "early_against_final": lambda record: figures.early_against_final([pool(), pool(6)]),
    "noise_floor": lambda record: figures.noise_floor([pool(), pool(6)]),
    "correlation_by_steps": lambda record: figures.correlation_by_steps(pool(6)),
    "results_by_task": lambda record: figures.results_by_task(results_table([record]), ["imp", "search"]),
    "contrast_means": lambda record: figures.contrast_means({0.9: MEANS, 0.99: MEANS}),
    "scores_by_steps": lambda record: figures.scores_by_steps(
        pd.concat([DENSE, STEPS]), {"IMP": ["imp-11", "imp"], "Fisher scores": ["fisher", "not recorded"]}
    ),
    "seeds_forest": lambda record: figures.seeds_forest(
        SEEDS, mean_interval([0.1, 0.3]), title="Two", names=("a", "b")
    ),
    "difference_parts": lambda record: figures.difference_parts(PARTS, "search", "IMP"),
    "shared_losses": lambda record: figures.shared_losses(SHARED),
    "phenomena_losses": lambda record: figures.phenomena_losses(PHENOMENA),
    "inflation_by_size": lambda record: figures.inflation_by_size(INFLATION),
    "differences_by_method": lambda record: figures.differences_by_method(
        differences(results_table([record]), 0.9), 0.9, "search"
    ),
    "differences_by_level": lambda record: figures.differences_by_level(results_table([record])),
    "references": lambda record: figures.references(reference_results(), "mnli", "accuracy (matched)"),
    "winners_curse": lambda record: figures.winners_curse(8, 0.5, 1.0),
    "chance_of_best": lambda record: figures.chance_of_best(assess_choice(pool().examples[:, -1]), list("abcd")),
    "race": lambda record: figures.race(TrainAll().select(range(4), 10, pool().replay, every=5), 10),
    "gain_by_budget": lambda record: figures.gain_by_budget(judge([pool(9, looks=20)], repetitions=2)),
    "model_savings": lambda record: figures.model_savings(SAVINGS),
    "product_times": lambda record: figures.product_times(
        [{"sparsity": sparsity, "dense": 1.0, "csr": 2 - sparsity} for sparsity in (0.5, 0.9)]
    ),
}


@pytest.fixture(params=FIGURES)
def draw(request, record):
    return lambda: FIGURES[request.param](record)


@pytest.fixture(scope="module", params=FIGURES)
def drawn(request, record) -> Figure:
    """A figure whose texts have their places."""
    figure = FIGURES[request.param](record)
    FigureCanvasAgg(figure).draw()
    return figure


# --- all figures ---


def test_every_figure_is_drawn_here():
    assert {name for name, value in vars(figures).items() if inspect.isfunction(value)} == set(FIGURES)
    assert set(figures.__all__) == set(FIGURES)


def test_every_axis_has_a_title_and_labels(draw):
    figure = draw()
    assert isinstance(figure, Figure)
    assert figure.get_suptitle() or figure.axes[0].get_title()
    assert figure.axes[0].get_ylabel()
    for axis in figure.axes:
        shared = axis.get_shared_x_axes().get_siblings(axis)
        assert axis.get_title() or shared[0] is not axis or len(shared) > 1
        assert any(one.get_xlabel() for one in shared)
    for left, axis in itertools.pairwise(figure.axes):  # further axes share the scale to their left, or have none
        assert axis.get_ylabel() or axis.get_shared_y_axes().joined(left, axis) or not len(axis.get_yticks())


def test_the_same_arguments_give_the_same_image(draw):
    image = png(draw())
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    assert png(draw()) == image


def test_no_figure_is_left_open_and_the_global_style_is_left_alone(draw):
    before = dict(plt.rcParams)
    png(draw())
    assert plt.get_fignums() == [] and dict(plt.rcParams) == before


EMPTY = {
    "pd.DataFrame": pd.DataFrame(columns=[*RESULTS, "relation", "phenomenon", "included", "part", "kind", "weight"]),
    "Sequence[dict[str, Any]]": [],
    "Sequence[Mapping[str, Any]]": [],
    "Sequence[PoolRecord]": [],
    "Mapping[float, Mapping[str, Interval]]": {},
}
"""The first arguments that are tables, rows or records, without any."""


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_of_nothing_is_refused(name):
    drawing = getattr(figures, name)
    first, *others = inspect.signature(drawing).parameters.values()
    if first.annotation in EMPTY:
        required = ["x" for parameter in others if parameter.default is parameter.empty]
        with pytest.raises(DataError, match=r"^there are no .* to draw; choose runs or records that have some"):
            drawing(EMPTY[first.annotation], *required)


def test_without_noise_seeds_there_is_no_noise_to_draw():
    with pytest.raises(DataError, match="there are no pools in which masks have several training seeds to draw"):
        figures.noise_floor([dataclasses.replace(pool(), noise=np.zeros((0, 0)))])


def test_without_imp_there_are_no_differences_from_it(record):
    table = results_table([record])
    with pytest.raises(DataError, match="there are no differences from IMP"):
        figures.differences_by_level(table.assign(difference=np.nan))


# --- readable for everybody ---

PHONE = 390 - 2 * 20 - 2 * 5
"""The width of a figure in pixels, on a phone of 390 pixels: less the margins of the page and of the figure."""
SMALLEST = 9
"""The least height of letters on a phone, in pixels."""


def written(figure: Figure) -> list[Text]:
    """The texts that can be seen, where the figure has placed them."""
    hidden = set()
    for scale in (scale for axis in figure.axes for scale in (axis.xaxis, axis.yaxis)):
        low, high = sorted(scale.get_view_interval())
        room = 1e-6 * (high - low)
        ticks = (*scale.get_major_ticks(), *scale.get_minor_ticks())
        shown = {one.label1 for one in ticks if low - room <= one.get_loc() <= high + room}
        hidden |= {one.label1 for one in (*scale.majorTicks, *scale.minorTicks)} - shown
    texts = (text for text in figure.findobj(Text) if text not in hidden)
    return [text for text in texts if text.get_visible() and text.get_text().strip()]


def test_all_letters_can_be_read_on_a_phone(drawn):
    pixel = PHONE / (72 * drawn.get_size_inches()[0])  # of a point
    for text in written(drawn):
        assert pixel * text.get_fontsize() >= SMALLEST, text
        assert "$" not in text.get_text(), "exponents are smaller"


def test_nothing_is_cut_off_and_no_two_texts_overlap(drawn):
    boxes = {text: text.get_window_extent() for text in written(drawn) if text.get_rotation() in (0, 90)}
    width, height = drawn.bbox.size
    for text, box in boxes.items():
        assert box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1, text
    for (text, box), (other, next_box) in itertools.combinations(boxes.items(), 2):
        shared = Bbox.intersection(box, next_box)
        assert shared is None or min(shared.width, shared.height) <= 2 / 72 * drawn.dpi, (text, other)


def test_every_mark_and_letter_has_contrast_with_white(drawn):
    """Except for what is behind the marks, and for letters on a dark ground."""
    colours = [line.get_color() for line in drawn.findobj(Line2D) if line.get_alpha() is None and len(line.get_xdata())]
    colours += [text.get_color() for text in written(drawn)]
    colours += [bar.get_facecolor() for bar in drawn.findobj(Rectangle) if bar.get_alpha() is None and bar.get_width()]
    for colour in {to_hex(one) for one in colours} - {FAINT.lower(), "#ffffff"}:
        assert contrast(colour) >= 3, colour


def test_the_description_is_the_title_and_the_axes_and_estimates_are_a_table(drawn):
    data, metadata = drawn._repr_mimebundle_()
    said = described(drawn)
    for axis in drawn.axes:
        assert all(" ".join(one.split()) in said for one in (axis.get_title(), axis.get_xlabel(), axis.get_ylabel()))
    assert drawn.get_suptitle() in said
    assert f' alt="{html.escape(said)}">' in data["text/html"] and metadata == {"image/png": {"alt": said}}
    assert data["image/png"].startswith(b"\x89PNG")
    assert ("<table>" in data["text/html"]) == bool(drawn.estimates)


def test_the_table_has_each_estimate_in_the_row_of_its_name():
    """Also where ticks are closer than one: 83 and 90 % are, where a step halves the kept weights."""
    levels = (0.5, 0.83, 0.9, 0.9375)
    falling = [Interval(0.9 - level / 2, 0.8 - level / 2, 1 - level / 2) for level in levels]
    figure = figures.one_shot(levels, {"before": falling, "after": [NARROW] * 4}, NARROW, "accuracy")
    page = figure._repr_mimebundle_()[0]["text/html"]
    rows = re.findall('<th scope="row">(.*?)</th><td>(.*?)</td><td>(.*?)</td>', page)
    names = ("50", "83", "90", "93.75")
    assert rows == [(name, one.in_points(), NARROW.in_points()) for name, one in zip(names, falling, strict=True)]


# --- inclusion curves ---


def test_a_label_that_begins_with_a_rule_has_its_colour_and_others_take_the_ramp():
    labels = ["Voting, T = 40", "sampling ratio 1e-06", "magnitude", "sampling ratio 0.001", "uniform"]
    figure = figures.inclusion_curves({label: curve(rp.Voting(sampling_ratio=0.01)) for label in labels}, "Rules")
    lines = {line.get_label(): line.get_color() for line in figure.axes[0].lines if line.get_label() in labels}
    expected = (COLOURS["voting"], RAMP[0], COLOURS["magnitude"], RAMP[1], COLOURS["uniform"])
    assert lines == dict(zip(labels, expected, strict=True))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == labels


def test_curves_rise_from_0_to_1_around_the_threshold():
    figure = figures.inclusion_curves({str(i): curve(rule) for i, rule in enumerate(RULE_OF_EACH_KIND)}, "Rules")
    voting, gumbel, uniform, magnitude = (line.get_data() for line in figure.axes[0].lines[::2])
    for x, y in (voting, gumbel, magnitude):
        assert (np.diff(y) >= 0).all() and y[x < 0.3].max() < 0.2 and y[x > 3].min() > 0.9
    assert uniform[1] == pytest.approx(0.25)
    x, y = magnitude
    assert (y[x < 0.99] == 0).all() and (y[x > 1.01] == 1).all()


# --- one rule on one matrix ---


@pytest.mark.parametrize("rule", RULE_OF_EACH_KIND, ids=lambda rule: rule.name)
def test_a_strip_has_the_rules_colour_where_a_candidate_keeps_the_next_larger_weight(rule):
    strips, curve = figures.sampling(WEIGHTS, rule, 0.75, candidates=2).axes
    sampler, scores = rp.MaskSampler({"weights": WEIGHTS}, rule, 0.75), WEIGHTS.abs().double().flatten()
    threshold = _threshold(sampler.curves["weights"])
    assert curve.lines[0].get_color() == COLOURS[rule.name]
    for candidate, strip in enumerate(strips.collections):
        assert [to_hex(strip.cmap(each)) for each in (0, 1)] == [to_hex(FAINT), to_hex(COLOURS[rule.name])]
        kept = sampler.draw(candidate)["weights"].flatten()
        edges = strip.get_coordinates()[0, :, 0]
        for place, colour in zip(np.sqrt(edges[1:] * edges[:-1]), strip.get_array().ravel(), strict=True):
            larger = torch.where(scores >= threshold * place, scores, torch.inf)
            assert colour == kept[larger.argmin()] if larger.isfinite().any() else colour is np.ma.masked


def test_a_parameter_of_a_model_can_be_drawn():
    before = nn.Parameter(WEIGHTS)
    assert png(figures.sampling(before, rp.Voting(), 0.75)) == png(figures.sampling(WEIGHTS, rp.Voting(), 0.75))
    assert before.grad is None


def test_a_rule_of_your_own_is_drawn_in_the_neutral_colour():
    @dataclasses.dataclass(frozen=True)
    class Half(rp.Uniform):
        name = "half"

    assert figures.sampling(WEIGHTS, Half(), 0.5).axes[1].lines[0].get_color() == QUIET


@pytest.mark.parametrize(("rule", "overlap"), [(rp.Magnitude(), 100), (rp.Uniform(), 25)])
def test_the_title_has_the_overlap_of_two_candidates(rule, overlap):
    """Two masks that keep a quarter of the weights at random have a quarter of their kept weights in common."""
    title = figures.sampling(WEIGHTS, rule, 0.75).axes[0].get_title()
    assert title == f"75 %: two candidates share {overlap} % of their weights"


# --- recorded runs ---


def test_early_scores_are_those_of_the_journal_from_their_mean_and_the_winner_is_highlighted(record):
    units, winner = record.level(2).candidates, record.units["search-level-2"]["winner"]
    axis, summary = figures.early_scores(record, 2).axes
    scores, means = (np.array([unit[name] for unit in units]) for name in ("metric", "score"))
    for number, (unit, line, point) in enumerate(zip(units, axis.lines, summary.lines, strict=True)):
        assert line.get_xdata().tolist() == unit["at"]
        assert line.get_ydata() == pytest.approx(100 * (scores[number] - scores.mean(axis=0)))
        assert (point.get_xdata()[0], point.get_ydata()[0]) == (
            number,
            pytest.approx(100 * (means[number] - means.mean())),
        )
        colour = COLOURS["search"] if number == winner else QUIET
        assert line.get_color() == point.get_color() == colour
    spread = 100 * np.ptp([unit["score"] for unit in units])
    assert axis.get_title() == f"3 masks at 90 %: early scores differ by {spread:.1f} points"
    assert summary.get_title() == f"selected: {winner}"
    assert summary.get_ylabel() == "mean accuracy,\npoints from mean"


def test_early_scores_by_log_loss_are_not_drawn_as_points(record, monkeypatch):
    candidates = [{**unit, "score": -0.7 - unit["candidate"] / 10} for unit in record.level(2).candidates]
    monkeypatch.setattr(LevelRecord, "candidates", candidates)
    axis, summary = figures.early_scores(record, 2).axes
    assert axis.get_title() == "3 masks at 90 %: early scores differ by 0.200 nats"
    assert [point.get_ydata()[0] for point in summary.lines] == pytest.approx([0.1, 0, -0.1])
    assert summary.get_ylabel() == "log-likelihood,\nnats from mean"


def test_the_axes_of_early_scores_are_those_of_every_level(record):
    first, second = (figures.early_scores(record, level).axes for level in (1, 2))
    for one, other in zip(first, second, strict=True):
        assert (one.get_ylim(), one.get_xlim()) == (other.get_ylim(), other.get_xlim())


def test_early_scores_of_a_level_that_does_not_exist_are_refused(record):
    with pytest.raises(ConfigError, match="level must be a whole number from 1 to 2, got 3"):
        figures.early_scores(record, 3)


def test_recorded_early_scores_are_drawn_as_those_of_the_run(record):
    assert png(figures.recorded_early_scores(runs(record), "search", 0.9)) == png(figures.early_scores(record, 2))


def test_the_spread_of_a_level_is_that_of_its_early_scores(record):
    early = early_evaluations([runs(record)], "search")
    line = figures.spread_by_level(early).axes[0].lines[-1]
    each = [np.std([one["score"] for one in record.level(level).candidates], ddof=1) for level in (1, 2)]
    assert line.get_ydata() == pytest.approx(100 * np.array(each))


def test_ratios_are_compared_within_their_level():
    """A level with high scores is no evidence for the ratios of its candidates."""
    rows = [
        {"task": task, "seed": 0, "sparsity": 0.9, "score": base + 0.01 * ratio, "sampling_ratio": ratio}
        for task, base in (("a", 0.9), ("b", 0.1))
        for ratio in (1, 3)
    ]
    drawn = figures.early_by_ratio(pd.DataFrame(rows)).axes[0].containers[0].lines[0]
    assert drawn.get_xdata().tolist() == [0, 1] and drawn.get_ydata() == pytest.approx([-1, 1])


def test_more_levels_of_the_same_runs_make_no_interval_narrower():
    rows = [
        {"task": task, "seed": seed, "sparsity": level, "score": way * (place + seed), "sampling_ratio": 2 + way}
        for place, task in enumerate("abc")
        for seed, level, way in itertools.product((0, 1), (0.5, 0.9, 0.99), (-1, 1))
    ]
    table = pd.DataFrame(rows)
    one, three = (figures.early_by_ratio(early) for early in (table[table.sparsity == 0.5], table))
    assert one.estimates[0].intervals == three.estimates[0].intervals
    assert "the intervals are unknown" in figures.early_by_ratio(table[table.task == "a"]).axes[0].get_title()


def test_a_task_that_is_not_included_is_grey():
    axis = figures.controls(CONTROLS).axes[0]
    assert [text.get_color() for text in axis.get_yticklabels()] == ["black", QUIET]
    assert "1 of 2 tasks" in axis.get_title()
    unknown = CONTROLS.assign(included=pd.Series([True, None], dtype="boolean"))
    axis = figures.controls(unknown).axes[0]
    assert [text.get_color() for text in axis.get_yticklabels()] == ["black", QUIET]
    assert "1 of 1 tasks" in axis.get_title()


def test_methods_with_results_on_different_tasks_can_be_drawn_together():
    """As in a study that is not finished."""
    found = {"search": {"a": NARROW, "all tasks": NARROW}, "allocation": {"b": NARROW, "all tasks": NARROW}}
    axis = figures.differences_by_method(found, 0.9, "search").axes[0]
    labels = [text.get_text() for text in axis.get_yticklabels()]
    drawn = {line.get_label(): [labels[1 - int(y)] for y in line.get_ydata()] for line in axis.lines}
    assert labels == ["search", "random allocations"]
    assert (drawn["a"], drawn["b"]) == (["search"], ["random allocations"])


def test_only_the_named_methods_of_a_task_are_drawn_and_the_largest_difference_is_named():
    rows = [
        {"task": task, "seed": seed, "method": method, "sparsity": s, "metric": "accuracy", "score": score + seed / 100}
        for task, far in (("a", 0.1), ("b", 0.3))
        for seed in (0, 1)
        for method, s, score in (("dense", 0, 0.9), ("imp", 0.5, 0.8), ("search", 0.5, 0.8 - far), ("wanda", 0.5, 0))
    ]
    figure = figures.results_by_task(pd.DataFrame(rows), ["imp", "search"])
    assert figure.get_suptitle() == "2 methods are apart by at most 30.0 points (b, 50 %)"
    assert {line.get_label() for line in figure.axes[0].lines} == {"dense", "IMP", "search"}


def test_a_method_without_results_on_a_task_is_left_out_there():
    rows = [
        {"task": task, "seed": 0, "method": method, "sparsity": s, "metric": "accuracy", "score": score}
        for task, methods in (("a", ["imp"]), ("b", ["imp", "search"]), ("c", []))
        for method, s, score in (("dense", 0, 0.9), ("imp", 0.5, 0.8), ("search", 0.5, 0.7))
        if method in ("dense", *methods)
    ]
    figure = figures.results_by_task(pd.DataFrame(rows), ["imp", "search"])
    assert figure.get_suptitle() == "2 methods are apart by at most 10.0 points (b, 50 %)"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["dense", "IMP", "search"]
    assert [len(axis.lines[2].get_xdata()) for axis in figure.axes] == [0, 1], "b alone has the search, and c nothing"
    with pytest.raises(DataError, match=r"there are no results of nobody to draw"):
        figures.results_by_task(pd.DataFrame(rows), ["nobody"])


def test_always_answering_the_most_frequent_label_is_drawn_where_scores_are_accuracies(record, monkeypatch):
    _, labels = record.answers("dense")
    chance = 100 * max(np.mean(labels == label) for label in labels)
    drawn = {line.get_label(): line for line in figures.accuracy_by_sparsity(record).axes[0].lines}
    assert set(drawn["most frequent label"].get_ydata()) == {chance}


# --- the tour ---


@pytest.mark.parametrize("stage", ["judge", "keep", "train"])
def test_a_stage_of_a_search_shows_what_is_known_by_then(record, stage):
    run = against_imp(record)
    early, scores = figures.search_step(run, "search", "imp", 0.9, stage).axes
    winner = run.recipes["search"][1]["candidate"]
    chosen = [number for number, line in enumerate(early.lines) if line.get_color() == COLOURS["search"]]
    assert chosen == ([] if stage == "judge" else [winner])
    assert [len(one.lines[0].get_xdata()) for one in scores.containers] == [1 + (stage == "train")] * 2
    done = 0.9 if stage == "train" else 0.5
    found = run.difference("search", "imp", done).in_points(signed=True)
    assert scores.get_title() == f"search minus IMP at {100 * done:g} %: {found} points"


def test_before_the_first_level_is_trained_nothing_is_scored(record):
    _, scores = figures.search_step(against_imp(record), "search", "imp", 0.5, "keep").axes
    assert scores.get_title() == "nothing is scored on the test set yet"


def test_the_title_of_a_lead_is_the_paired_difference(record):
    run = against_imp(record)
    title = figures.recorded_lead(run, "search", "imp", 0.9).axes[0].get_title()
    assert title == f"SST-2 at 90 %: {results.lead(run.difference('search', 'imp', 0.9), 'search', 'imp')}"


def test_the_sketch_has_the_kept_weights_of_three_masks_and_four_numbered_steps():
    weights = WEIGHTS[:12, :12]
    figure = figures.method_sketch(weights, [weights > 1] * 3)
    blue = np.isclose(figure.axes[0].images[0].get_array(), to_rgb(COLOURS["search"])).all(axis=-1)
    assert blue.sum() == 3 * (weights > 1).sum()
    assert [axis.get_title()[0] for axis in figure.axes] == ["1", "2", "4", "3"]


def test_early_scores_are_not_drawn_before_there_is_a_winner(record, tmp_path):
    copy = shutil.copytree(record.path, tmp_path / "copy")
    journal = (copy / "journal.jsonl").read_text("utf-8").splitlines(keepends=True)
    names = [json.loads(line)["unit"] for line in journal]
    (copy / "journal.jsonl").write_text("".join(journal[: names.index("search-level-1/selection")]), "utf-8")
    with pytest.raises(RunError, match="has not finished the early evaluations of level 1"):
        figures.early_scores(rp.RunRecord.load(copy), 1)
    with pytest.raises(FileError, match="test-dense"):
        shutil.rmtree(copy / "predictions")
        figures.accuracy_by_sparsity(rp.RunRecord.load(copy))


def test_the_legend_of_a_level_has_room_below_its_axes_however_long_the_name_of_the_method_is(record, monkeypatch):
    monkeypatch.setitem(LABELS, "search", "a search with a name that is as wide as the figure")
    figure = figures.run_level(record, 2)
    FigureCanvasAgg(figure).draw()
    (legend,), (_, scores) = figure.legends, figure.axes
    assert legend.get_window_extent().y1 < scores.xaxis.label.get_window_extent().y0


def test_accuracies_are_drawn_in_points_with_their_intervals(record):
    axis = figures.accuracy_by_sparsity(record).axes[0]
    drawn = {container.get_label(): container for container in axis.containers}
    assert set(drawn) == {LABELS[method] for method in record.methods}
    for method in record.methods:
        line, _, (bars,) = drawn[LABELS[method]]
        intervals = [record.accuracy(f"{method}-level-{level}") for level in (1, 2)]
        assert line.get_ydata() == pytest.approx([100 * interval.estimate for interval in intervals])
        ends = [[float(y) for _, y in segment] for segment in bars.get_segments()]
        assert ends == [pytest.approx([100 * interval.low, 100 * interval.high]) for interval in intervals]
        assert line.get_color() == COLOURS[method]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["50", "90"]


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [
        (Interval(0.03, -0.01, 0.07), "no clear difference from IMP (+3.0 points)"),
        (Interval(-0.03, -0.07, 0.0), "no clear difference from IMP (-3.0 points)"),
        (Interval(0.03, 0.01, 0.05), "better than IMP by 3.0 points"),
        (Interval(-0.03, -0.05, -0.01), "worse than IMP by 3.0 points"),
    ],
)
def test_the_title_claims_no_more_than_the_interval_allows(record, monkeypatch, gain, verdict):
    monkeypatch.setattr(rp.RunRecord, "difference", lambda *_: gain)
    title = figures.accuracy_by_sparsity(record).axes[0].get_title()
    assert title.startswith(f"At 90 %: {verdict}, with ")


@pytest.mark.parametrize(
    ("candidates", "winner", "ending"),
    [
        ((40, 180), (20, 20), ", with 3.25 times its steps"),
        ((0, 0), (40, 40), ""),
        ((0, 0), (30, 10), ", with 0.5 times its steps"),
    ],
)
def test_the_title_has_the_steps_of_the_search_if_they_are_not_those_of_imp(
    record, monkeypatch, candidates, winner, ending
):
    totals = {"search": sum(candidates) + sum(winner), "imp": 80}
    monkeypatch.setattr(results, "total_steps", lambda _: totals)
    monkeypatch.setattr(rp.RunRecord, "difference", lambda *_: Interval(0.021, 0.01, 0.03))
    title = figures.accuracy_by_sparsity(record).axes[0].get_title()
    assert title == f"At 90 %: better than IMP by 2.1 points{ending}"


def test_without_imp_the_title_compares_nothing(record):
    alone = dataclasses.replace(record, config=dataclasses.replace(record.config, baselines=()))
    assert "IMP" not in figures.accuracy_by_sparsity(alone).axes[0].get_title()


# --- magnitude pruning ---


def test_only_the_numbers_of_kept_weights_are_written():
    corner = WEIGHTS[:5, :12]
    _, kept = figures.kept_numbers(corner, {"large": corner.abs() > 1}).axes
    written = {(round(y), round(x)): int(text.get_text()) for text in kept.texts for x, y in [text.get_position()]}
    large = (corner.abs() > 1).nonzero().tolist()
    assert written == {(row, column): round(10 * float(corner[row, column])) for row, column in large}
    assert f"{len(written)} kept" in kept.get_title()


def test_the_histogram_has_every_weight_once_and_the_threshold_between_kept_and_removed():
    axis, picture = figures.magnitude_pruning(WEIGHTS, 0.75).axes
    removed, kept = (patch.get_data() for patch in axis.patches)
    assert (removed.values.sum(), kept.values.sum()) == (WEIGHTS.numel() * 0.75, WEIGHTS.numel() * 0.25)
    (threshold,) = {float(x) for x in axis.lines[0].get_xdata()}
    assert threshold == WEIGHTS.abs().flatten().topk(WEIGHTS.numel() // 4).values.min()
    assert not removed.values[removed.edges[:-1] > threshold].any()
    assert not kept.values[kept.edges[1:] < threshold * 0.999].any()
    assert picture.images[0].get_array().sum() == WEIGHTS.numel() // 4


def test_the_title_has_the_fraction_of_the_energy_that_is_kept():
    ones = torch.cat([torch.full((10,), 3.0), torch.ones(90)]).view(10, 10)
    title = figures.magnitude_pruning(ones, 0.9).axes[0].get_title()
    assert title == "10.0 % of the weights have 50 % of the energy"


def test_sparsities_are_those_of_the_masks_and_the_widest_spread_is_named():
    figure = figures.sparsity_by_tensor({"even": two_tensors(), "uneven": two_tensors()})
    expected = [100 * (1 - float(mask.double().mean())) for mask in two_tensors().values()]
    for axis in figure.axes:
        assert axis.images[0].get_array().ravel().tolist() == pytest.approx(expected)
        assert [label.get_text() for label in axis.get_yticklabels()] == ["query", "key"]
    message = f"even: sparsities of {min(expected):.1f} to {max(expected):.1f} %, by tensor"
    assert figure.get_suptitle() == message


@pytest.mark.parametrize(
    ("after", "title"),
    [
        (Interval(0.8, 0.75, 0.85), "At 90 %, training recovers 20.0 of the 30.0 points lost"),
        (Interval(0.8, 0.64, 0.95), "No clear gain from training after pruning"),
        (Interval(0.95, 0.9, 1.0), "At 90 %, training after pruning gains 35.0 points, and ends above the dense model"),
    ],
)
def test_training_recovers_no_more_than_the_intervals_allow(after, title):
    before = [NARROW, Interval(0.6, 0.55, 0.65)]
    figure = figures.one_shot([0.5, 0.9], {"before": before, "after": [NARROW, after]}, NARROW, "accuracy")
    assert figure.axes[0].get_title() == title


# --- mask diversity ---


def test_the_means_of_the_overlap_map_leave_out_the_overlap_of_a_mask_with_itself():
    shared = np.array([[1, 0.5, 0.7], [0.5, 1, 0.3], [0.7, 0.3, 1]])
    axis = figures.overlap_map(shared, ["magnitude", "voting", "voting"]).axes[0]
    assert [text.get_text() for text in axis.texts] == ["60 %", "30 %"]
    assert axis.get_title() == "Overlap of two masks: 30 to 70 % of the kept weights"


def test_the_map_has_the_magnitude_mask_in_its_origin_above_the_true_distances_within_each_group():
    plane, check = figures.candidate_map(DISTANCES, ["magnitude", "ratio 1", "ratio 1"]).axes
    first, others = plane.lines
    assert (*first.get_xdata(), *first.get_ydata()) == (0, 0) and others.get_label() == "ratio 1, 2 masks"
    assert first.get_color() != others.get_color() and first.get_markeredgecolor() == COLOURS["magnitude"]
    assert "100 %" in plane.get_title()  # three points lie in a plane
    on_the_map, true = check.lines[:2]
    assert true.get_xdata() == pytest.approx([np.sqrt(10)]) and on_the_map.get_xdata()[0] == pytest.approx(np.sqrt(10))


def test_distances_are_drawn_as_percentages_of_2k():
    axis = figures.distance_by_tensor({"w": 4.0}, {"w": np.array([3, 6])}, {"w": 10}).axes[0]
    assert axis.lines[0].get_xdata() == pytest.approx([20])
    assert axis.containers[0].lines[0].get_xdata() == pytest.approx([22.5])
    assert axis.get_title() == "Measured means are within 12.5 % of the expected distances"


def test_the_grid_marks_the_setting_that_is_drawn_tensor_by_tensor():
    grid, bars = figures.distance_grid(GRID, ["v", "w"], 0.9, 0.2).axes
    assert (*grid.lines[0].get_xdata(), *grid.lines[0].get_ydata()) == (1, 1)
    assert grid.images[0].get_array()[1, 1] == pytest.approx(100 * 0.9 * 0.2)
    names = dict(zip(bars.get_yticks(), (label.get_text() for label in bars.get_yticklabels()), strict=True))
    lengths = {names[bar.get_y() + bar.get_height() / 2]: bar.get_width() for bar in bars.patches}
    assert lengths == pytest.approx({"v": 90, "w": 20})
    assert bars.get_title() == "18.0 % of 2k at 90 %, ratio 2e-01"


# --- colours ---

CONES = {  # what eyes without red, green or blue cones see (Machado et al. 2009, severity 1)
    "all": np.eye(3),
    "red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TOGETHER = {  # colours that are drawn together, and their least distance in CIELAB (1976)
    "methods": ({*COLOURS.values()}, 22),
    "ramp and rules": ({*RAMP, COLOURS["magnitude"], COLOURS["uniform"]}, 14),
    "others than the selected one": ({COLOURS["search"], QUIET}, 30),
    "controls": ({QUIET, *(COLOURS[name] for name in ("uniform", "magnitude", "dense"))}, 11),
    "strategies": ({colour for _, colour in MARKERS}, 22),
}


def linear(colour: str) -> np.ndarray:
    """Linear light of an sRGB colour."""
    values = np.array(to_rgb(colour))
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(colour: str) -> float:
    """The contrast of a colour with white, as in WCAG 2.2."""
    return 1.05 / (float(linear(colour) @ [0.2126, 0.7152, 0.0722]) + 0.05)


def seen(colour: str, cones: str) -> np.ndarray:
    """A colour in CIELAB as eyes see it."""
    light = np.clip(np.array(CONES[cones]) @ linear(colour), 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ light
    x, y, z = np.cbrt(np.maximum(xyz / [0.9505, 1, 1.089], 1e-4))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_every_published_rule_and_method_has_a_colour(record):
    studied = {*StudyConfig.load("laptop").methods} - {"search"}
    published = {"magnitude", "uniform", "gumbel", "voting"}  # others have the neutral colour
    assert {*published, *record.methods, *studied, "dense"} == set(COLOURS)


def test_the_same_rule_has_the_same_colour_by_either_name():
    config = rp.RunConfig()
    for method in config.methods():
        assert COLOURS[method.name] == COLOURS[method.rules[0].name]


@pytest.mark.parametrize("cones", ["all", "red", "green"])
@pytest.mark.parametrize("group", TOGETHER)
def test_colour_blind_readers_can_distinguish_what_is_drawn_together(group, cones):
    colours, least = TOGETHER[group]
    for one, other in itertools.combinations(sorted(colours), 2):
        assert np.linalg.norm(seen(one, cones) - seen(other, cones)) >= least, (one, other)


def test_every_colour_has_contrast_with_white():
    for colour in (*COLOURS.values(), *RAMP, QUIET, *map(DEPTH, np.linspace(0, 1, 9))):
        assert contrast(colour) >= 3, colour
    assert contrast(QUIET) >= 4.5, "it is also a colour of text"


def test_the_neutral_colour_and_the_ramp_are_not_the_colours_of_rules():
    assert not {QUIET, *RAMP} & set(COLOURS.values())


def test_the_ramp_goes_from_light_to_dark():
    brightness = [sum(to_rgb(colour)) for colour in RAMP]
    assert brightness == sorted(set(brightness), reverse=True)


# --- curves ---


@pytest.mark.parametrize("rule", RULE_OF_EACH_KIND, ids=str)
def test_a_curve_read_at_its_own_scores_is_itself_and_never_leaves_its_range_between(rule):
    whole = curve(rule)
    scores = whole.histogram.scores
    assert _inclusion_at(whole, scores) == pytest.approx(whole.inclusion, abs=1e-12)
    between = _inclusion_at(whole, np.geomspace(scores[0] / 2, scores[-1] * 2, 50))
    assert np.all(np.diff(between) >= -1e-12)
    assert between.min() >= whole.inclusion.min() and between.max() <= whole.inclusion.max()


def test_a_curve_read_at_zero_is_zero_since_zero_weights_are_never_kept():
    some = InclusionCurve(Histogram.from_scores(np.array([0.0, 1.0, 2.0])), np.array([0.5, 0.5]), k=1)
    none = InclusionCurve(Histogram.from_scores(np.zeros(3)), np.zeros(0), k=0)
    assert _inclusion_at(some, np.array([0.0, 1.0])).tolist() == [0.0, 0.5]
    assert _inclusion_at(none, np.array([0.0, 1.0])).tolist() == [0.0, 0.0]


# --- the sampler against the procedure ---


def test_masks_of_the_curves_rule_are_near_the_curve_and_other_masks_are_not():
    sampler = rp.MaskSampler({"w": WEIGHTS}, rp.GumbelTopK(), 0.75, reference_below=0)
    own = figures.inclusion_check(WEIGHTS, [sampler.draw(c)["w"] for c in range(200)], sampler.curves["w"])
    other = figures.inclusion_check(WEIGHTS, [torch.zeros_like(WEIGHTS).bool()], sampler.curves["w"])
    off = [float(figure.axes[0].get_title().split()[-1]) for figure in (own, other)]
    assert off[0] < 0.05 and off[1] > 0.9


def test_the_title_about_steps_compares_the_fewest_with_the_most():
    lines = {"IMP": ["imp-11", "imp"], "Fisher scores": ["fisher", "not recorded"]}
    figure = figures.scores_by_steps(pd.concat([DENSE, STEPS]), lines)
    assert figure.get_suptitle().replace("\n", " ") == (
        "Fisher scores, 375 steps, minus IMP, 1,375 steps (points): +7.0 at 90 %, +7.7 at 97 %, +7.9 at 99 %"
    )
    drawn = {each.label: (each.places, [one.estimate for one in each.intervals]) for each in figure.estimates[1:]}
    assert drawn["IMP"][0] == pytest.approx([360, 1320]), "in the order of the steps, a little to the side"
    assert drawn["IMP"][1] == pytest.approx([0.7, 0.641])


def test_the_title_of_the_times_is_their_ratio_at_the_largest_number_of_candidates():
    slow = [{**row, "seconds": 50 * row["seconds"]} if row["method"] == "reference" else row for row in TIMES]
    title = figures.time_by_candidates(slow).axes[0].get_title()
    assert title == "100 candidates: 50 times faster than the published procedure"


def test_a_scan_has_a_panel_for_each_kind_and_names_the_largest_rise():
    figure = figures.sensitivity(scanned())
    assert [axis.get_title() for axis in figure.axes] == ["query", "output"]
    assert figure.get_suptitle() == "Largest rise of the loss: 0.99, layer 1 query at 99 %"
    lines = [line for line in figure.axes[1].lines if line.get_marker() == "o"]
    assert [[*line.get_ydata()] for line in lines] == [[0.0, 0.0], [0.5, 0.99]]
    nothing = scanned().assign(increase=-0.1)
    assert figures.sensitivity(nothing).get_suptitle() == "The loss rises for no tensor"


def test_small_numbers_of_a_text_stay_whole_in_svg():
    figure, axis = new_figure()
    axis.plot([0, 1], [0, 1 / 3], label="ratio 0.0003")
    axis.legend()
    assert ">ratio 0.0003<" in svg(figure).decode()
