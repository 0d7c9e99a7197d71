"""The parts of the page of results that are made from the records, and the pictures of README and pages.

`make results` writes them again, after a record has grown.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import randprune_lab as rp
from randprune_lab.analysis import (
    answer_records,
    data_folder,
    inflation_by_size,
    parts_by_level,
    recorded_controls,
    recorded_results,
    reported_gains,
    task_records,
)
from randprune_lab.viz import figures
from randprune_lab.viz.style import described, palette_png
from support import best_shot_shows, minilm_shows, pools_show, rates_show
from support.pages import ROOT

DOCS, RECORDED = ROOT / "docs", data_folder() / "recorded"
PAGE = DOCS / "results.md"
FIRST = "task == 'sst2' and seed == 0"
"""What the figure of `minilm` shows: the task and seed that have all methods."""
BEGIN, END = "<!-- made from data/recorded/{}; do not edit -->", "<!-- end of what is made -->"


def _rates() -> str:
    folder = RECORDED / "rates"
    settings = json.loads((folder / "study.json").read_text("utf-8"))
    return rates_show.rates_show(recorded_results(folder), settings)


def _best_shot() -> str:
    folder = RECORDED / "best-shot"
    return best_shot_shows.best_shot_shows(recorded_results(folder), task_records(folder))


def _minilm() -> str:
    folder = RECORDED / "minilm"
    return minilm_shows.minilm_shows(task_records(folder), recorded_controls(folder))


PARTS: dict[str, Callable[[], str]] = {
    "rates": _rates,
    "best-shot": _best_shot,
    "answers": lambda: pools_show.pools_show(answer_records(RECORDED / "answers")),
    "minilm-tuning": lambda: "\n".join(minilm_shows.tuning_shows(recorded_results(RECORDED / "minilm-tuning"))),
    "minilm": _minilm,
    "minilm-gradual": lambda: minilm_shows.gradual_shows(task_records(RECORDED / "minilm-gradual")),
}
"""What makes the text of each part, by the folder of its record."""


def _draw_laptop() -> Figure:
    controls, table = recorded_controls(), recorded_results()
    included = table.task.isin(controls.task[controls.included])
    return figures.differences_by_level(table[included & (table.method != "uniform")])


def _draw_rates() -> Figure:
    table = rates_show.complete(recorded_results(RECORDED / "rates"))
    return figures.difference_parts(parts_by_level(table, rates_show.PATHS), "search at 4e-3", "IMP at 2e-3")


def _draw_inflation() -> Figure:
    return figures.inflation_by_size(inflation_by_size(reported_gains(answer_records(RECORDED / "answers"))))


def _draw_minilm() -> Figure:
    ((_, own),) = recorded_controls(RECORDED / "minilm").query(FIRST).iterrows()
    table = recorded_results(RECORDED / "minilm").query(FIRST)
    return figures.scores_by_steps(table, minilm_shows.LINES, own["without-encoder"])


def _draw_inclusion() -> Figure:
    model, _ = rp.load_model("minilm", num_labels=2)
    matrix = model.get_parameter("bert.encoder.layer.0.attention.self.query.weight").detach()
    votes = [rp.Voting(sampling_ratio=ratio) for ratio in (1e-6, 5e-5, 3e-4, 3e-3)]
    rounds = [rule.rounds(matrix.numel(), matrix.numel() // 16) for rule in votes]
    rules = {"1 round" if n == 1 else f"{n} rounds": rule for n, rule in zip(rounds, votes, strict=True)}
    rules |= {"magnitude": rp.Magnitude(), "uniform": rp.Uniform()}
    samplers = {label: rp.MaskSampler({"query": matrix}, rule, sparsity=0.9375) for label, rule in rules.items()}
    curves = {label: sampler.curves["query"] for label, sampler in samplers.items()}
    return figures.inclusion_curves(curves, "More rounds leave less to chance")


PICTURES: dict[str, Callable[[], Figure]] = {
    "inclusion_curves.png": _draw_inclusion,
    "study_results.png": _draw_laptop,
    rates_show.PICTURE: _draw_rates,
    pools_show.PICTURE: _draw_inflation,
    minilm_shows.PICTURE: _draw_minilm,
}
"""What draws each picture, by its file in docs."""


def written(page: str, part: str) -> str:
    """What the page has of a part."""
    found = re.findall(
        f"^{re.escape(BEGIN.format(part))}\n\n(.*?)\n\n{re.escape(END)}$", page, re.DOTALL | re.MULTILINE
    )
    assert len(found) == 1, f"{part} must be on the page once"
    return found[0]


def numbers(figure: Figure) -> str:
    """What a picture shows, as text: its title and axes, and every estimate with its interval."""
    shown = [
        [
            one.label,
            *([f"{one.scale * end:.6g}" for end in (each.estimate, each.low, each.high)] for each in one.intervals),
        ]
        for one in figure.estimates
    ]
    return json.dumps([described(figure), shown])


def said_by(picture: Path) -> Any:
    """What was written into a picture when it was made."""
    return Image.open(picture).info.get("Description")


def main() -> None:
    page = PAGE.read_text("utf-8")
    for part, make in PARTS.items():
        page = page.replace(written(page, part), make())
    PAGE.write_text(page, "utf-8")
    for name, draw in PICTURES.items():
        figure, about = draw(), PngInfo()
        about.add_text("Description", numbers(figure))
        Image.open(io.BytesIO(palette_png(figure))).save(DOCS / name, pnginfo=about, optimize=True)


if __name__ == "__main__":
    main()
