"""Which strategy finds the better mask for how many steps: pools of candidates that were all trained to the end."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64

from randprune_lab.analysis.replay import Replay, regret
from randprune_lab.analysis.variance import variance_split
from randprune_lab.masks.rules import Magnitude
from randprune_lab.masks.sampler import MaskSampler
from randprune_lab.models import load_model
from randprune_lab.search.candidates import Level, Weights, derived_seed
from randprune_lab.search.config import PRESETS, RunConfig
from randprune_lab.search.run import Search
from randprune_lab.search.strategies import PairedRace, Published, Screened, Strategy, SuccessiveHalving
from randprune_lab.training.distillation import Teacher
from randprune_lab.training.loop import Training, train
from randprune_lab.training.scoring import answers, log_likelihood, predict, score

PATH = (0.54, 0.83, 0.92, 0.9375, 0.97, 0.99)
"""Levels on the way; each starts from the weights that the magnitude mask had in the level before."""

SPARSITIES = (0.54, 0.9375, 0.99)
CANDIDATES = 16
DRAWN = 8
"""Candidates of a search: so many of the pool are drawn again and again."""

LOOKS = 16
"""Evaluations of a candidate during its early training."""

NOISE_MASKS, NOISE_SEEDS = 6, 3
"""Masks, and training seeds of each, that split the variance of early scores."""

STRATEGIES: dict[str, Strategy] = {
    "published": Published(),
    "published, log-loss": Published(score="log-loss"),
    "halving, 1/3 of the steps": SuccessiveHalving(score="log-loss", budget=1 / 3),
    "halving, 1/5 of the steps": SuccessiveHalving(score="log-loss", budget=1 / 5),
    "race": PairedRace(),
    "screened to 2 untrained": Screened(keep=2, then=Published(score="log-loss")),
    "screened to 1 untrained": Screened(keep=1),
}


def bench_early(
    task: str = "mini-sst2", *, sparsities: tuple[float, ...] = SPARSITIES, candidates: int = CANDIDATES, seed: int = 0
) -> list[dict[str, Any]]:
    """A row for each sparsity: what strategies lose and spend, and how much of an early score is mask or seed.

    The truth about a candidate is its score on the report split after a whole training of the level. Strategies see
    the recorded early evaluations alone, of 8 of the candidates and half of the selection examples at a time.
    """
    preset = PRESETS["lesson"] | {"task": task, "seed": seed, "levels": PATH}
    search = Search(RunConfig(**preset), progress=False)
    start = _dense(search)
    teacher = _teacher(search, start)
    rows = []
    for number, sparsity in enumerate(PATH, start=1):
        if sparsity in sparsities:
            rows.append(_pool(search, number, start, teacher, candidates))
        if sparsity >= max(sparsities):
            break
        start = _next_start(search, number, start, teacher)
    return rows


@dataclass(frozen=True)
class Pool:
    """Trained candidates: early evaluations, final scores on the report split, and early scores of other seeds."""

    replay: Replay
    final: Float64[np.ndarray, " candidates"]
    noise: Float64[np.ndarray, "masks seeds"]


def _dense(search: Search) -> Weights:
    config = replace(search.config.dense_training(), keep_best=False)
    train(search.model, search.train, config, evaluate=lambda _: 0.0)
    return _weights(search)


def _teacher(search: Search, dense: Weights) -> Teacher:
    """A model of its own: a teacher does not learn."""
    model, _ = load_model(search.config.model, task=search.task)
    model.load_state_dict(dense)
    return Teacher(model, search.train)


def _next_start(search: Search, number: int, start: Weights, teacher: Teacher) -> Weights:
    search.model.load_state_dict(start)
    mask = MaskSampler(search.model, Magnitude(), PATH[number - 1]).draw(0)
    _train_to_the_end(search, number, mask, teacher)
    return _weights(search)


def _train_to_the_end(search: Search, number: int, mask: Any, teacher: Teacher) -> None:
    config = replace(search.config.level_training(derived_seed(search.config.seed, "level", number)), keep_best=False)
    train(search.model, search.train, config, evaluate=lambda _: 0.0, mask=mask, teacher=teacher)


def _weights(search: Search) -> Weights:
    return {name: tensor.clone() for name, tensor in search.model.state_dict().items()}


def _pool(search: Search, number: int, start: Weights, teacher: Teacher, candidates: int) -> dict[str, Any]:
    config = search.config
    steps = config.early_epochs * -(-len(search.train) // config.batch_size)
    config = replace(config, evaluate_every=max(1, steps // LOOKS), candidates=candidates)
    method = config.methods()[0]
    parts = (config, search.task, search.model, start, search.train, search.selection, teacher)
    level = Level(f"level-{number}", number, method, *parts)
    pool = _trained(search, level, teacher, candidates)
    results = {}
    for name, strategy in STRATEGIES.items():
        found = regret(
            strategy, pool.replay, pool.final, candidates=min(DRAWN, candidates), examples=len(search.selection) // 2
        )
        results[name] = {key: asdict(interval) for key, interval in found.summary().items()}
    early = np.array([pool.replay([(c, steps)])[0].score("log-loss", config.early_last) for c in range(candidates)])
    split = variance_split(pool.noise)
    return {
        "task": search.task.name,
        "sparsity": PATH[number - 1],
        "candidates": candidates,
        "steps": steps,
        "final scores": pool.final.tolist(),
        "final spread": float(pool.final.std(ddof=1)),
        "correlation": float(np.corrcoef(early, pool.final)[0, 1]) if np.ptp(pool.final) > 0 else None,
        "mask share": asdict(split.share),
        "strategies": results,
    }


def _trained(search: Search, level: Level, teacher: Teacher, candidates: int) -> Pool:
    """Really train them all: early, and to the end."""
    report, final, examples, correct = search.reports[""], [], [], []
    for candidate in range(candidates):
        untrained, _ = level.advance(candidate, None, 0)
        found, right = _early(level, candidate, level.training.seed)
        examples.append(np.concatenate([untrained.examples, found]))
        correct.append(np.concatenate([right[:1] * 0, right]))
        _train_to_the_end(search, level.number, level.start_with(candidate), teacher)
        final.append(score(search.task, predict(search.model, report), report)[search.task.primary_metric])
    every = level.training.evaluate_every
    stops = [*range(every, level.total_steps, every), level.total_steps]
    right = np.stack(correct)
    replay = Replay((0, *stops), np.stack(examples), lambda rows: right[:, :, rows].mean(axis=2))
    first = level.training.seed + 1  # every training has a seed of its own: shared ones would count as no noise
    seeds = first + np.arange(NOISE_MASKS * NOISE_SEEDS).reshape(NOISE_MASKS, NOISE_SEEDS)
    last = level.config.early_last
    noise = [
        [_early(level, mask, int(seed))[0][-last:].mean() for seed in seeds[mask]]
        for mask in range(min(NOISE_MASKS, candidates))
    ]
    return Pool(replay, np.array(final), np.array(noise))


def _early(level: Level, candidate: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Log-likelihoods and right answers at every evaluation of a whole early training with some seed."""
    mask = level.start_with(candidate)
    training = Training(level.model, level.train, replace(level.training, seed=seed), mask=mask, teacher=level.teacher)
    found, right = [], []

    def evaluate(model: torch.nn.Module) -> float:
        logits = predict(model, level.scoring)
        found.append(log_likelihood(level.task, logits, level.scoring))
        right.append((answers(level.task, logits) == level.scoring.labels).astype(np.float64))
        return 0.0

    training.run(evaluate)
    return np.stack(found), np.stack(right)


def describe(rows: list[dict[str, Any]]) -> str:
    """The figures as tables for a terminal. Points are hundredths of the metric."""
    lines = []
    for row in rows:
        share, final = row["mask share"], row["final scores"]
        lines += [
            f"{row['task']}, sparsity {row['sparsity']:.2%}: {row['candidates']} candidates trained to the end, "
            f"final scores {min(final):.3f} to {max(final):.3f}",
            f"  correlation of early log-loss and final score: {_number(row['correlation'])}",
            f"  share of the mask, not the training seed, in an early score's variance: {share['estimate']:.2f} "
            f"[{share['low']:.2f}, {share['high']:.2f}]",
            f"  {'strategy':<28} {'steps':>7} {'points lost to the best':>26} {'won over a random one':>26}",
        ]
        for name, found in row["strategies"].items():
            lost, gained = (_points(found[key]) for key in ("lost", "gained"))
            lines.append(f"  {name:<28} {found['share']['estimate']:>7.0%} {lost:>26} {gained:>26}")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "none, all final scores are equal" if value is None else f"{value:.2f}"


def _points(interval: dict[str, float]) -> str:
    low, high = 100 * interval["low"], 100 * interval["high"]
    return f"{100 * interval['estimate']:.2f} [{low:.2f}, {high:.2f}]"
