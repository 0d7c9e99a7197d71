"""The training loop: short, seeded, on `accelerate`, with the mask enforced after every step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.training.config import TrainingConfig
from randprune_lab.training.data import Encoded, training_batches
from randprune_lab.training.distillation import Teacher, loss, use_eager_attention

Evaluate = Callable[[nn.Module], float]


@dataclass
class History:
    """What happened in a training: scores by step, and the mean loss since the evaluation before."""

    steps: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    total_steps: int = 0

    @property
    def best(self) -> int:
        """The position of the best score; the earliest of equals."""
        return max(range(len(self.scores)), key=self.scores.__getitem__)


def train(
    model: nn.Module,
    data: Encoded,
    config: TrainingConfig,
    *,
    evaluate: Evaluate,
    mask: MaskSet | None = None,
    teacher: Teacher | None = None,
    progress: str | None = None,
) -> History:
    """Train `model` in place; weights that `mask` removes are zero at the start and after every step.

    The result is a pure function of the model's weights, the data, the mask, the teacher and the configuration:
    batches and dropout come from `config.seed`, and the global random state is left as it was.

    Args:
        evaluate: gives the score of the model, higher is better; called every `config.evaluate_every` steps.
        progress: title of a progress bar, or None for none.
    """
    from accelerate import Accelerator
    from tqdm.auto import tqdm

    accelerator = Accelerator()
    epochs = [training_batches(data.lengths, config.batch_size, config.seed, epoch) for epoch in range(config.epochs)]
    batches = [rows for epoch in epochs for rows in epoch]
    optimizer = torch.optim.AdamW(_parameter_groups(model, config.weight_decay), lr=config.learning_rate, fused=True)
    factor = _schedule(config, len(batches))
    if teacher is not None and config.distillation.needs_teacher_states:
        use_eager_attention(model, teacher.model)
        teacher.model.to(accelerator.device)
    model, optimizer = accelerator.prepare(model, optimizer)
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]  # to find them takes time
    enforce = mask.enforcer(accelerator.unwrap_model(model)) if mask else _nothing
    enforce()

    history = History(total_steps=len(batches))
    best: dict[str, Tensor] | None = None
    since: list[float] = []
    with torch.random.fork_rng(), tqdm(batches, progress, disable=progress is None, leave=False) as bar:
        torch.manual_seed(config.seed)
        model.train()
        for step, rows in enumerate(bar, start=1):
            batch = {key: value.to(accelerator.device) for key, value in data.batch(rows.tolist()).items()}
            value = loss(model, batch, teacher, config.distillation)
            accelerator.backward(value)
            accelerator.clip_grad_norm_(learned, config.max_grad_norm)
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * factor(step - 1)
            optimizer.step()
            optimizer.zero_grad()
            enforce()
            since.append(value.item())
            if step % config.evaluate_every == 0 or step == len(batches):
                history.steps.append(step)
                history.scores.append(evaluate(model))
                history.losses.append(sum(since) / len(since))
                since.clear()
                bar.set_postfix(score=f"{history.scores[-1]:.3f}")
                if config.keep_best and history.best == len(history.scores) - 1:
                    best = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    if best is not None:
        model.load_state_dict(best)
    return history


def _parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Matrices decay; biases and norms don't."""
    matrices = [p for p in model.parameters() if p.requires_grad and p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.requires_grad and p.ndim < 2]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def _schedule(config: TrainingConfig, total: int) -> Callable[[int], float]:
    """Linear warm-up to 1, then linear decay to 0 at the end, or constant."""
    warmup = max(1, round(config.warmup * total))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 1.0 if config.decay == "constant" else max(0.0, (total - step) / max(1, total - warmup))

    return factor


def _nothing() -> None:
    """No mask to enforce."""
